"""A Redis server of the tests' own, which keeps nothing on disk, and can go away and come back."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.instance import eventually
from tests.requirement import missing
from tests.serving import free_port

_SECONDS: Final = 30


@dataclass
class Redis:
    """A Redis server of the test's own, which can go away and come back."""

    folder: Path
    port: int
    program: str
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, empty."""
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        options += ["--dir", str(self.folder)]
        with (self.folder / "redis.log").open("ab") as log:
            self.process = subprocess.Popen([self.program, *options], stdout=log, stderr=log)
        eventually(lambda: self.asked("PING").startswith("+PONG"), "Redis does not answer")

    def stop(self) -> None:
        """Kill it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(_SECONDS)
            self.process = None

    def asked(self, command: str) -> str:
        """What it answers to a command."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                connection.sendall(f"{command}\r\n".encode())
                return connection.recv(4096).decode()
        except ConnectionError:
            return ""


@contextmanager
def running_redis(folder: Path) -> Iterator[Redis]:
    """A server; skips the test where none is installed."""
    program = shutil.which("redis-server")
    if program is None:
        missing("REQUIRE_DEPLOYMENT", "Redis is not installed on this machine (Debian: apt-get install redis-server)")
    server = Redis(folder, free_port(), program)
    try:
        server.start()
        yield server
    finally:
        server.stop()
