"""The service as an operator starts it: a process of its own, with settings in its environment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import requests

from tests.serving import free_port

_SECONDS: Final = 60


def eventually(true: Callable[[], bool], said: str, seconds: float = 30) -> None:
    """Wait for what a server does in its own time."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, said
        time.sleep(0.05)


@dataclass
class Instance:
    """One server of a deployment, which can be stopped and started again at the same address."""

    folder: Path
    settings: Mapping[str, str]
    arguments: tuple[str, ...] = ()
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def base(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def spool(self) -> Path:
        """Where its records wait for the database, if it was told."""
        return Path(self.settings["PNET_CDS_SPOOL_DIR"])

    @property
    def log(self) -> Path:
        """What it has written so far."""
        return self.folder / f"{self.port}.log"

    def start(self) -> None:
        """Start it, and wait until it says that it is ready."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("PNET_CDS_")}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cds_service", "serve", *self.arguments],
                env={**own, **self.settings, "PNET_CDS_PORT": str(self.port)},
                cwd=self.folder,
                stdout=log,
                stderr=log,
            )
        until = time.monotonic() + _SECONDS
        while not self.ready():
            assert self.process.poll() is None, self.log.read_text("utf-8")
            assert time.monotonic() < until, self.log.read_text("utf-8")
            time.sleep(0.1)

    def ready(self) -> bool:
        """Whether it says so."""
        try:
            return requests.get(f"{self.base}/readyz", headers={"Connection": "close"}, timeout=5).ok
        except requests.ConnectionError:
            return False

    def signal(self, number: signal.Signals) -> None:
        """Tell it something."""
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self) -> int:
        """Until it has ended; its exit status."""
        assert self.process is not None
        return self.process.wait(_SECONDS)

    def workers(self) -> set[int]:
        """Its processes that answer calls."""
        assert self.process is not None
        pid = self.process.pid
        return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()))


@contextmanager
def running(instance: Instance) -> Iterator[Instance]:
    """Start it, and end it whatever happens."""
    try:
        instance.start()
        yield instance
    finally:
        if instance.process is not None and instance.process.poll() is None:
            instance.process.terminate()
            instance.wait()
