"""Runs all benchmarks and prints the tables: ``python -m benchmarks``; ``--keep`` adds the run to the history."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks import stages
from benchmarks.charts import MIXED, SERVICES, STORY, WITHOUT, Call, calls
from benchmarks.load import Target, measure, serving
from benchmarks.report import Row, Run, remember, stage_table, table
from hooks import order_sign

PORTS: Final = (18_091, 18_092)
ROUNDS: Final = 10
WARM_UP: Final = 30
PATIENTS: Final = {50: 300, 500: 80, 5000: 16}
"""How many patients each kind of call is about; at 50 Observations more than the service remembers."""
_FIRST: Final = {50: 0, 500: 2000, 5000: 3000}
"""Numbers of the first patients, so that no size is about the patients of another one."""


def main() -> None:
    """Measure, print, and keep the run if asked to."""
    today = datetime.now(UTC).date()
    rows: list[Row] = []
    with (
        TemporaryDirectory() as folder,
        serving("limit", PORTS[0], Path(folder)) as limit,
        serving("service", PORTS[1], Path(folder)) as service,
    ):
        for row in _rows((limit, service), today):
            rows.append(row)
            print(table([row]).splitlines()[-1], flush=True)  # noqa: T201
    by_stage = stages.measure(today)
    print(f"\n{table(rows)}\n\n{stage_table(by_stage)}")  # noqa: T201
    if "--keep" in sys.argv:
        python = platform.python_version()
        remember(Run(day=today.isoformat(), commit=_commit(), python=python, rows=rows, stages=by_stage))


def _rows(targets: tuple[Target, Target], today: date) -> Iterator[Row]:
    """Every kind of call, measured on both servers."""
    for size, count in PATIENTS.items():
        warm_up = list(calls(STORY, size, order_sign.SERVICE, min(WARM_UP, count), today, first=_FIRST[size] + count))
        measure(targets, warm_up, 1)
        for kind in (STORY, WITHOUT, *((MIXED,) if size == min(PATIENTS) else ())):
            first = _FIRST[size] + (5 * count if kind == MIXED else 0)
            posted = list(calls(kind, size, order_sign.SERVICE, count, today, first=first))
            yield _row(kind, size, order_sign.SERVICE.id, posted, targets)
        hooks = [
            list(calls(STORY, size, service, count, today, first=_FIRST[size] + 2 * count)) for service in SERVICES
        ]
        yield _row(
            STORY, size, "three hooks in a row", [call for each in zip(*hooks, strict=True) for call in each], targets
        )
        for number, service in enumerate(SERVICES[:2], start=3):
            posted = list(calls(STORY, size, service, count, today, first=_FIRST[size] + number * count))
            yield _row(STORY, size, service.id, posted, targets)


def _row(kind: str, size: int, service: str, posted: list[Call], targets: tuple[Target, Target]) -> Row:
    samples = measure(targets, posted, ROUNDS)
    limit, ours = (samples[target.name] for target in targets)
    return Row(
        patient=kind,
        size=size,
        service=service,
        calls=len(posted),
        limit=limit.per_call,
        cpu=ours.per_call,
        p50=ours.percentile(50),
        p99=ours.percentile(99),
    )


def _commit() -> str:
    """The commit that was measured; a mark behind it says that there were changes."""
    described = ("git", "describe", "--always", "--dirty", "--exclude=*")
    return subprocess.run(described, capture_output=True, check=False, text=True).stdout.strip()  # noqa: S603


if __name__ == "__main__":
    main()
