"""CPU time per order-sign call by size of the chart. Run it from the project's root; read the ratios."""

from __future__ import annotations

import time
from datetime import date
from uuid import uuid4

import msgspec

from cds_service.knowledge import load_knowledge
from cds_service.pipeline import Parts, answer, prefetch_templates
from fhir_profiles.large_chart import large_chart
from fhir_profiles.synthetic import hook_request
from fhir_profiles.terminology import load_terminology
from hooks import order_sign

SIZES = (50, 500, 5000)
SECONDS = 3.0


def main() -> None:
    """Print one line per size."""
    parts = Parts(load_knowledge(), load_terminology(), lambda: date(2026, 11, 20), lambda: str(uuid4()))
    service = order_sign.SERVICE
    print(f"{'Observations':>12} {'body kB':>8} {'CPU ms/call':>12}")  # noqa: T201
    for size in SIZES:
        request = hook_request(large_chart(size), service.hook, prefetch_templates(service), str(uuid4()))
        body = msgspec.json.encode(request)
        answer(service, body, parts)
        calls, started = 0, time.process_time()
        while time.process_time() - started < SECONDS:
            answer(service, body, parts)
            calls += 1
        spent = (time.process_time() - started) / calls * 1000
        print(f"{size:>12} {len(body) // 1000:>8} {spent:>12.2f}")  # noqa: T201


if __name__ == "__main__":
    main()
