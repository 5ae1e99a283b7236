"""Calls and feedback mutated under the guidance of coverage: nothing but a refusal of ours may come out as an error.

``python -m tests.fuzz.harness --seconds 120`` starts from calls about the synthetic patients. What breaks the service
is left in ``build/fuzz``; ``python -m tests.fuzz.harness FILE`` tries it again.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from itertools import count
from pathlib import Path
from typing import Final

import atheris
import msgspec

with atheris.instrument_imports(include=["cds_service", "fhir_profiles", "hooks"]):
    from cds_service.errors import RequestError
    from cds_service.knowledge import load_knowledge
    from cds_service.pipeline import Parts, answer, prefetch_templates
    from cds_service.protocol.feedback import parse_feedback
    from cds_service.web.openapi_examples import feedback
    from fhir_profiles.synthetic import hook_request, synthetic_patients
    from fhir_profiles.terminology import load_terminology
    from hooks import SERVICES

from tests.builders import AS_OF
from tests.fuzz.mutation import mutated

FOUND: Final = Path("build/fuzz")
LONGEST: Final = 200_000
SLOWEST_SECONDS: Final = 10
_HOOK: Final = re.compile(rb'"hook":\s*"([a-z-]+)"')
_SERVICES: Final = {service.hook.encode(): service for service in SERVICES}
_NUMBERS: Final = count()
_PARTS: Final = Parts(load_knowledge(), load_terminology(), lambda: AS_OF, lambda: f"id-{next(_NUMBERS)}")


def try_body(body: bytes) -> None:
    """One body, to the service of the hook it names, or as feedback."""
    named = _HOOK.search(body)
    try:
        if named is None:
            parse_feedback(body)
        service = _SERVICES.get(named[1] if named else b"", SERVICES[0])
        outcome = answer(service, body, _PARTS)
    except RequestError:
        return
    msgspec.json.encode(outcome.body)


def mutate(body: bytes, longest: int, seed: int) -> bytes:
    """Mostly changes that leave it JSON; now and then any change of bytes."""
    if seed % 8 == 0:
        return bytes(atheris.Mutate(body, longest))
    return mutated(body, seed)[:longest]


def corpus(folder: Path) -> None:
    """Calls of every hook about every patient, and feedback."""
    (folder / "feedback").write_text(json.dumps(feedback()), encoding="utf-8")
    for patient in synthetic_patients():
        for service in SERVICES:
            call = hook_request(
                patient.bundle, service.hook, prefetch_templates(service), "6f2b1c1e-8a0f-4a52-9d2e-0c1f5a7b3d90"
            )
            (folder / f"{patient.slug}-{service.hook}").write_text(json.dumps(call), encoding="utf-8")


def main(arguments: list[str]) -> None:
    """Fuzz for a time, or try the files named."""
    if arguments and arguments[0] != "--seconds":
        for name in arguments:
            try_body(Path(name).read_bytes())
        return
    seconds = int(arguments[1]) if arguments else 120
    FOUND.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        corpus(Path(folder))
        options = {
            "max_total_time": seconds,
            "max_len": LONGEST,
            "timeout": SLOWEST_SECONDS,
            "artifact_prefix": f"{FOUND}/",
            "rss_limit_mb": 2048,
            "print_final_stats": 1,
        }
        atheris.Setup(
            [sys.argv[0], folder, *(f"-{name}={value}" for name, value in options.items())],
            try_body,
            custom_mutator=mutate,
        )
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
