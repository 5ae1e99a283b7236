"""Sends calls to servers in turns and reads what each costs: CPU time of its processes, and the time of each call."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from statistics import quantiles
from typing import Final

from benchmarks.charts import Call

_NANOSECONDS: Final = 1_000_000
_START_SECONDS: Final = 120
_HEADERS: Final = {"Content-Type": "application/json"}


@dataclass(slots=True)
class Sample:
    """What calls of one kind cost one server, in milliseconds."""

    cpu: float = 0.0
    walls: list[float] = field(default_factory=list)

    @property
    def per_call(self) -> float:
        """CPU time per call."""
        return self.cpu / len(self.walls)

    def percentile(self, percent: int) -> float:
        """Time of a call that so many of a hundred do not exceed."""
        return quantiles(self.walls, n=100, method="inclusive")[percent - 1]


@dataclass(slots=True)
class Target:
    """A running server."""

    name: str
    port: int
    master: int
    connection: HTTPConnection

    def send(self, call: Call) -> bytes:
        """The body of the answer.

        Raises:
            RuntimeError: it is not 200.
        """
        self.connection.request("POST", call.path, call.body, _HEADERS)
        response = self.connection.getresponse()
        body = response.read()
        if response.status != 200:  # noqa: PLR2004
            raise RuntimeError(f"{self.name} answered {response.status}: {body[:200]!r}")
        return body

    def cpu(self) -> float:
        """CPU milliseconds that the threads of all worker processes have used."""
        return sum(_cpu(pid) for pid in _children(self.master))

    def memory(self) -> int:
        """KiB that all worker processes have in memory."""
        pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in _children(self.master))
        return pages * os.sysconf("SC_PAGE_SIZE") // 1024


def measure(targets: Sequence[Target], calls: Sequence[Call], rounds: int) -> dict[str, Sample]:
    """Send the calls to each target in turns, so that whatever else the machine does meets all of them alike."""
    samples = {target.name: Sample() for target in targets}
    size = max(1, len(calls) // rounds)
    for start in range(0, len(calls), size):
        for target in targets:
            target.connection.close()  # the server has closed it as well, if the other one took long
            before = target.cpu()
            for call in calls[start : start + size]:
                began = time.perf_counter()
                target.send(call)
                samples[target.name].walls.append((time.perf_counter() - began) * 1000)
            samples[target.name].cpu += target.cpu() - before
    return samples


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _cpu(pid: int) -> float:
    """To the nanosecond where the kernel says so, else in ticks."""
    try:
        threads = Path(f"/proc/{pid}/task").iterdir()
        return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / _NANOSECONDS
    except (OSError, IndexError):
        used = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return sum(map(int, used)) * 1000 / os.sysconf("SC_CLK_TCK")


@contextmanager
def serving(name: str, port: int, folder: Path, options: Sequence[str] = ()) -> Iterator[Target]:
    """A server of :mod:`benchmarks.serving` for as long as it is needed."""
    command = [sys.executable, "-m", "benchmarks.serving", name, str(port), *options]
    root = Path(__file__).parents[1]
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own module
            command, cwd=folder, env={**os.environ, "PYTHONPATH": str(root)}, stdout=log, stderr=log
        )
        try:
            with closing(_connected(port)) as connection:
                yield Target(name, port, process.pid, connection)
        finally:
            process.terminate()
            process.wait()


def _connected(port: int) -> HTTPConnection:
    """A connection that is kept alive, once the server listens."""
    until = time.monotonic() + _START_SECONDS
    while True:
        connection = HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.connect()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
        else:
            return connection
