"""Two worker processes: whoever is asked, the numbers are those of both, also after one of them has died."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.serving import free_port

_SECONDS: Final = 60
SIGN: Final = "/cds-services/pnet-order-sign"


@dataclass(frozen=True)
class Running:
    """A demo of two processes."""

    base: str
    process: subprocess.Popen[bytes]
    log: Path
    temporary: Path

    def ask(self, path: str, body: bytes | None = None) -> requests.Response:
        """A request on a connection of its own, so that any process may get it."""
        headers = {"Connection": "close", "Content-Type": "application/json"}
        method = "GET" if body is None else "POST"
        return requests.request(method, self.base + path, data=body, headers=headers, timeout=30)

    def refuse(self, times: int) -> None:
        """Calls that are refused, many at once."""
        with ThreadPoolExecutor(8) as pool:
            assert {got.status_code for got in pool.map(lambda _: self.ask(SIGN, b"{}"), range(times))} == {400}

    def refused(self) -> float:
        """How many were, as one of the processes says."""
        return sum(
            sample.value
            for family in text_string_to_metric_families(self.ask("/metrics").text)
            for sample in family.samples
            if sample.name == "pnet_cds_calls_total" and sample.labels["outcome"] == "request-invalid"
        )

    def workers(self) -> set[int]:
        """The processes that refused calls, by the log."""
        lines = (json.loads(line) for line in self.log.read_text("utf-8").splitlines() if line.startswith("{"))
        return {line["process"] for line in lines if line["event"] == "refused"}

    def folders(self) -> list[Path]:
        """Where it counts."""
        return list(self.temporary.glob("pnet-cds-metrics-*"))


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """``pnet-cds serve --demo`` with two worker processes."""
    (tmp_path / "temporary").mkdir()
    port, log = free_port(), tmp_path / "log"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PNET_CDS_")} | {
        "PNET_CDS_DATABASE_URL": f"sqlite:///{tmp_path}/store.sqlite",
        "PNET_CDS_PORT": str(port),
        "PNET_CDS_WORKERS": "2",
        "TMPDIR": str(tmp_path / "temporary"),
    }
    with log.open("wb") as written:
        command = [sys.executable, "-m", "cds_service", "serve", "--demo"]
        process = subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=written, stderr=written)
        found = Running(f"http://127.0.0.1:{port}", process, log, tmp_path / "temporary")
        try:
            wait_until_ready(found)
            yield found
        finally:
            process.terminate()
            process.wait(_SECONDS)


def wait_until_ready(running: Running) -> None:
    """Wait for the service to say it is ready."""
    until = time.monotonic() + _SECONDS
    while time.monotonic() < until:
        assert running.process.poll() is None, running.log.read_text("utf-8")
        try:
            if running.ask("/readyz").ok:
                return
        except requests.ConnectionError:
            time.sleep(0.1)
    pytest.fail(running.log.read_text("utf-8"))


def test_the_numbers_are_of_all_processes(running: Running) -> None:
    """Both count, each tells the sum; a process that dies takes nothing with it, and the folder goes in the end."""
    calls = 0
    while len(running.workers()) < 2:
        running.refuse(40)
        calls += 40
        assert calls < 2000, "both processes get calls"
    assert {running.refused() for _ in range(12)} == {calls}
    (folder,) = running.folders()
    assert folder.stat().st_mode & 0o077 == 0
    counting = {path.stem for path in folder.glob("counter_*.db")}
    assert {f"counter_{worker}" for worker in running.workers()} <= counting

    died = min(running.workers())
    os.kill(died, signal.SIGKILL)
    until = time.monotonic() + _SECONDS
    while len(running.workers()) < 3:
        assert time.monotonic() < until, "another process takes over"
        try:
            running.ask(SIGN, b"{}")
        except requests.ConnectionError:  # it was with the one that died
            continue
        calls += 1
    assert {running.refused() for _ in range(12)} == {calls}

    running.process.terminate()
    assert running.process.wait(_SECONDS) == 0
    assert running.folders() == []
