"""What keeping consults costs: ``python -m benchmarks.store`` sends the same calls to servers that keep them or do not.

Nothing is kept by ``limit``, which answers with a constant card, and by ``forgetful``, the service without its records.
"""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.charts import STORY, WITHOUT, calls
from benchmarks.load import measure, serving
from hooks import order_sign

PORTS: Final = {"limit": 18_093, "forgetful": 18_094, "service": 18_095, "strict": 18_097}
_PATIENTS: Final = {STORY: 300, WITHOUT: 1200}
_ROUNDS: Final = 20
_SIZE: Final = 50


def main() -> None:
    """Measure and print."""
    today = datetime.now(UTC).date()
    with TemporaryDirectory() as folder, ExitStack() as started:
        targets = [started.enter_context(serving(name, port, Path(folder))) for name, port in PORTS.items()]
        measure(targets, list(calls(STORY, _SIZE, order_sign.SERVICE, 30, today, first=5000)), 1)
        print("| patient | mode | CPU ms per call | p50 | p99 |\n|---|---|---|---|---|")  # noqa: T201
        for kind, count in _PATIENTS.items():
            posted = list(calls(kind, _SIZE, order_sign.SERVICE, count, today))
            for name, sample in measure(targets, posted, _ROUNDS).items():
                figures = (sample.per_call, sample.percentile(50), sample.percentile(99))
                print("| " + " | ".join((kind, name, *(f"{figure:.2f}" for figure in figures))) + " |")  # noqa: T201


if __name__ == "__main__":
    main()
