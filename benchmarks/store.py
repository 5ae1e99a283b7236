"""What keeping consults costs: ``python -m benchmarks.store`` sends the same calls to the limit and to both modes."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.charts import STORY, WITHOUT, calls
from benchmarks.load import measure, serving
from hooks import order_sign

PORTS: Final = {"limit": 18_093, "service": 18_094, "strict": 18_095}
_PATIENTS: Final = 400
_ROUNDS: Final = 20
_SIZE: Final = 50


def main() -> None:
    """Measure and print."""
    today = datetime.now(UTC).date()
    with (
        TemporaryDirectory() as folder,
        serving("limit", PORTS["limit"], Path(folder)) as limit,
        serving("service", PORTS["service"], Path(folder)) as service,
        serving("strict", PORTS["strict"], Path(folder)) as strict,
    ):
        targets = (limit, service, strict)
        measure(targets, list(calls(STORY, _SIZE, order_sign.SERVICE, 30, today, first=5000)), 1)
        print("| patient | mode | CPU ms per call | p50 | p99 |\n|---|---|---|---|---|")  # noqa: T201
        for kind in (STORY, WITHOUT):
            posted = list(calls(kind, _SIZE, order_sign.SERVICE, _PATIENTS, today))
            for name, sample in measure(targets, posted, _ROUNDS).items():
                figures = (sample.per_call, sample.percentile(50), sample.percentile(99))
                print("| " + " | ".join((kind, name, *(f"{figure:.2f}" for figure in figures))) + " |")  # noqa: T201


if __name__ == "__main__":
    main()
