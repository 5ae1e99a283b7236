"""Endurance: constant load for ten minutes, and what memory and records do: ``python -m benchmarks.soak``.

Every answer has to be 200, every consult in the database in the end, and memory flat. The calls are about more patients
than anything remembers. ``--seconds`` and ``--connections`` change how long and how much at once.
"""

from __future__ import annotations

import sys
import threading
import time
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPConnection
from itertools import cycle
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from typing import Final

from sqlalchemy import func, select

from benchmarks.charts import MIXED, WITHOUT, Call, calls
from benchmarks.load import Target, serving
from cds_service.store.connect import open_engine
from cds_service.store.spool import waiting_in
from cds_service.store.tables import consult
from hooks import order_sign

PORT: Final = 18_096
_SAMPLES: Final = 20
_POOL: Final = 700
"""Patients with a tumour, and as many without."""
_SIZE: Final = 50


@dataclass(slots=True)
class _Tally:
    """What came back; each connection has its own."""

    answered: int = 0
    failed: list[str] = field(default_factory=list)
    walls: list[float] = field(default_factory=list)


def main() -> None:
    """Run, print a line every twentieth of the time, and end with status 1 if a call failed or a record is missing."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--connections", type=int, default=2)
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        with serving("service", PORT, Path(folder)) as target:
            tallies = _soak(target, Path(folder), options.seconds, options.connections)
        answered = sum(tally.answered for tally in tallies)
        failed = [said for tally in tallies for said in tally.failed]
        kept = _kept(Path(folder))
    print(f"\n{answered} answered, {len(failed)} failed, {kept} consults in the database")  # noqa: T201
    for said in failed[:5]:
        print(said)  # noqa: T201
    sys.exit(int(bool(failed) or kept < answered))


def _soak(target: Target, folder: Path, seconds: float, connections: int) -> list[_Tally]:
    today = datetime.now(UTC).date()
    pool = [call for kind in (MIXED, WITHOUT) for call in calls(kind, _SIZE, order_sign.SERVICE, _POOL, today)]
    pool = [call for pair in zip(pool[:_POOL], pool[_POOL:], strict=True) for call in pair]
    stop, tallies = threading.Event(), [_Tally() for _ in range(connections)]
    threads = [
        threading.Thread(target=_call, args=(tally, pool[number * 97 % len(pool) :] + pool, stop))
        for number, tally in enumerate(tallies)
    ]
    for thread in threads:
        thread.start()
    print("| s | calls | failed | RSS, MiB | spool, kB | p50, ms | p99, ms |\n|---|---|---|---|---|---|---|")  # noqa: T201
    for line in _watched(target, folder, tallies, seconds):
        print("| " + " | ".join(line) + " |", flush=True)  # noqa: T201
    stop.set()
    for thread in threads:
        thread.join()
    return tallies


def _call(tally: _Tally, pool: Sequence[Call], stop: threading.Event) -> None:
    """One connection, as fast as it is answered."""
    with closing(HTTPConnection("127.0.0.1", PORT, timeout=60)) as connection:
        target = Target("service", PORT, 0, connection)
        for call in cycle(pool):
            if stop.is_set():
                return
            began = time.perf_counter()
            try:
                target.send(call)
            except (OSError, RuntimeError) as error:
                tally.failed.append(f"{type(error).__name__}: {error}")
                connection.close()
            else:
                tally.answered += 1
            tally.walls.append((time.perf_counter() - began) * 1000)


def _watched(target: Target, folder: Path, tallies: list[_Tally], seconds: float) -> Iterator[list[str]]:
    """A line for each twentieth of the time."""
    began, seen = time.monotonic(), [0] * len(tallies)
    for number in range(1, _SAMPLES + 1):
        time.sleep(max(0.0, began + number * seconds / _SAMPLES - time.monotonic()))
        walls = [wall for tally, start in zip(tallies, seen, strict=True) for wall in tally.walls[start:]]
        seen = [len(tally.walls) for tally in tallies]
        percentiles = quantiles(walls, n=100, method="inclusive") if len(walls) > 1 else [0.0] * 99
        yield [
            f"{time.monotonic() - began:.0f}",
            str(sum(tally.answered for tally in tallies)),
            str(sum(len(tally.failed) for tally in tallies)),
            f"{target.memory() / 1024:.1f}",
            f"{waiting_in(folder / 'service.sqlite-spool').spooled / 1000:.0f}",
            f"{percentiles[49]:.1f}",
            f"{percentiles[98]:.1f}",
        ]


def _kept(folder: Path) -> int:
    engine = open_engine(f"sqlite:///{folder}/service.sqlite")
    try:
        with engine.connect() as connection:
            return connection.execute(select(func.count()).select_from(consult)).scalar_one()
    finally:
        engine.dispose()


if __name__ == "__main__":
    main()
