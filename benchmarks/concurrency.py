"""Many callers at once, and other numbers of processes and threads: ``python -m benchmarks.concurrency``.

All servers run all the time and are asked in turns, so that whatever else the machine does meets all of them alike.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPConnection
from itertools import cycle
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.charts import STORY, Call, calls
from benchmarks.load import Target, serving
from hooks import order_sign

FIRST_PORT: Final = 18_101
ROUNDS: Final = 8
SECONDS: Final = 2.0
UNBOUND: Final = 64
"""More big calls at once than there are threads."""
_HEADERS: Final = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Variant:
    """A way to run the service."""

    kind: str
    workers: int
    threads: int
    at_once: int = UNBOUND

    @property
    def name(self) -> str:
        """What it is called in the table."""
        bound = "" if self.at_once == UNBOUND else f", big bodies {self.at_once} at once"
        return f"{self.kind}, {self.workers} x {self.threads}{bound}"


@dataclass(frozen=True, slots=True)
class Load:
    """Who calls at once: so many callers with charts of so many Observations each."""

    callers: tuple[tuple[int, int], ...]

    @property
    def name(self) -> str:
        """What it is called in the table."""
        return " + ".join(f"{count} callers, {size:,} Observations" for count, size in self.callers)


@dataclass(slots=True)
class Seen:
    """What the callers with charts of one size saw: rates by round, and the milliseconds of each call.

    Attributes:
        cpu: CPU milliseconds of the server in all rounds, for the calls of all callers.
    """

    cpu: float = 0.0
    rates: list[float] = field(default_factory=list)
    walls: list[float] = field(default_factory=list)

    def percentile(self, percent: int) -> float:
        """Time of a call that so many of a hundred do not exceed."""
        return quantiles(self.walls, n=100, method="inclusive")[percent - 1]


VARIANTS: Final = (
    Variant("gthread", 1, 4),
    Variant("gthread", 1, 4, at_once=1),
    Variant("gthread", 1, 8, at_once=1),
    Variant("gthread", 2, 1),
    Variant("gthread", 2, 4),
    Variant("gthread", 2, 4, at_once=1),
    Variant("sync", 2, 1),
)
LOADS: Final = (
    Load(((8, 50),)),
    Load(((4, 5000),)),
    Load(((4, 50), (4, 5000))),
)


def main() -> None:
    """Measure every load on every variant, and print a table for each load."""
    today = datetime.now(UTC).date()
    bodies = {
        size: list(calls(STORY, size, order_sign.SERVICE, count, today, first=first))
        for size, count, first in ((50, 400, 0), (5000, 8, 3000))
    }
    with TemporaryDirectory() as folder, ExitStack() as stack:
        targets = [
            stack.enter_context(running(variant, FIRST_PORT + number, Path(folder)))
            for number, variant in enumerate(VARIANTS)
        ]
        for target in targets:
            load(target, Load(((2, 50), (1, 5000))), bodies, 2.0)
        for callers in LOADS:
            seen = [{size: Seen() for _, size in callers.callers} for _ in targets]
            for _ in range(ROUNDS):
                for target, found in zip(targets, seen, strict=True):
                    before = target.cpu()
                    for size, walls in load(target, callers, bodies, SECONDS).items():
                        found[size].rates.append(len(walls) / SECONDS)
                        found[size].walls += walls
                    found[size].cpu += target.cpu() - before
            print(f"\n{table(callers, seen)}", flush=True)  # noqa: T201


@contextmanager
def running(variant: Variant, port: int, folder: Path) -> Iterator[Target]:
    """The service, run in that way."""
    options = (variant.kind, str(variant.workers), str(variant.threads), str(variant.at_once))
    with serving("service", port, folder, options) as target:
        yield target


def load(target: Target, who: Load, bodies: dict[int, list[Call]], seconds: float) -> dict[int, list[float]]:
    """Milliseconds of every call of all callers, by the size of their charts."""
    walls: dict[int, list[float]] = {size: [] for _, size in who.callers}
    until = time.perf_counter() + seconds
    threads = [
        threading.Thread(target=_call, args=(target.port, bodies[size], caller, until, walls[size]))
        for count, size in who.callers
        for caller in range(count)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return walls


def _call(port: int, posted: Sequence[Call], caller: int, until: float, walls: list[float]) -> None:
    start = caller * len(posted) // 8 % len(posted)
    connection = HTTPConnection("127.0.0.1", port, timeout=120)
    for call in cycle((*posted[start:], *posted[:start])):
        began = time.perf_counter()
        if began > until:
            break
        connection.request("POST", call.path, call.body, _HEADERS)
        response = connection.getresponse()
        response.read()
        if response.status != 200:  # noqa: PLR2004
            raise RuntimeError(f"answered {response.status}")
        walls.append((time.perf_counter() - began) * 1000)
    connection.close()


def table(who: Load, seen: list[dict[int, Seen]]) -> str:
    """Rates, their ratio to those of the first variant round by round, times, and CPU time per call of all callers."""
    lines = [f"{who.name}:", "", "| variant | Observations | calls/s | ratio | p50 | p99 | CPU |", "|" + "---|" * 7]
    for variant, found in zip(VARIANTS, seen, strict=True):
        cpu = sum(one.cpu for one in found.values()) / sum(len(one.walls) for one in found.values())
        for size, one in found.items():
            ratio = median(rate / base for rate, base in zip(one.rates, seen[0][size].rates, strict=True) if base)
            lines.append(
                f"| {variant.name} | {size:,} | {median(one.rates):.1f} | {ratio:.2f} | {one.percentile(50):.0f} "
                f"| {one.percentile(99):.0f} | {cpu:.1f} |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
