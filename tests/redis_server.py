"""A Redis server of the tests' own, which keeps nothing on disk."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.instance import free_port
from tests.requirement import missing

_SECONDS: Final = 30


@contextmanager
def running_redis(folder: Path) -> Iterator[str]:
    """The address of a server; skips the test where none is installed."""
    program = shutil.which("redis-server")
    if program is None:
        missing("REQUIRE_DEPLOYMENT", "Redis is not installed on this machine (Debian: apt-get install redis-server)")
    port = free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(folder)]
    with (folder / "redis.log").open("wb") as log:
        server = subprocess.Popen([program, *options], stdout=log, stderr=log)
        try:
            _wait(port)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.terminate()
            server.wait(_SECONDS)


def _wait(port: int) -> None:
    until = time.monotonic() + _SECONDS
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                connection.sendall(b"PING\r\n")
                if connection.recv(16) == b"+PONG\r\n":
                    return
        except ConnectionRefusedError:
            pass
        assert time.monotonic() < until, "Redis does not answer"
        time.sleep(0.05)
