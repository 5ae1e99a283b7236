"""A PostgreSQL server of the tests' own: real, in a temporary folder, reached through a socket file."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final

import psycopg

from tests.requirement import missing

_USERS: Final = ("postgres", "nobody")
_START_SECONDS: Final = 30


def find_programs() -> Path | None:
    """The folder with the server's programs: of the path, or where Debian's package puts them."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    folders = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return max(folders, key=lambda folder: float(folder.parent.name), default=None)


@dataclass
class PostgresServer:
    """A running server."""

    folder: Path
    command: list[str]
    user: str | None
    numbers: Iterator[int]
    process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process all others of the server come from."""
        assert self.process is not None, "PostgreSQL does not run"
        return self.process.pid

    def start(self) -> None:
        """Start it, and return once it takes connections."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, user=self.user, cwd=self.folder)
        self.wait()

    def stop(self) -> None:
        """Stop it at once, with all its connections."""
        if self.process is not None:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(_START_SECONDS)
            self.process = None

    def url(self, database: str) -> str:
        """The database as SQLAlchemy URL."""
        return f"postgresql://postgres@/{database}?host={self.folder}"

    def connect(self) -> psycopg.Connection[tuple[object, ...]]:
        """A connection of its own for the test."""
        return psycopg.connect(host=str(self.folder), user="postgres", dbname="postgres", autocommit=True)

    def wait(self) -> None:
        """Until the server takes connections: after its start, or after it recovered."""
        end = time.monotonic() + _START_SECONDS
        while True:
            try:
                self.connect().close()
            except psycopg.OperationalError:
                log = (self.folder / "log").read_text(encoding="utf-8", errors="replace")
                assert time.monotonic() < end, f"PostgreSQL does not answer: {log}"
                time.sleep(0.1)
            else:
                return

    def new_database(self) -> str:
        """URL of a new, empty database."""
        name = f"test{next(self.numbers)}"
        with self.connect() as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.url(name)


@contextmanager
def running_server() -> Iterator[PostgresServer]:
    """Start a server and end it; skips the test where none is installed."""
    programs = find_programs()
    if programs is None:
        missing("REQUIRE_POSTGRES", "PostgreSQL is not installed on this machine (Debian: apt-get install postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="pnet-pg-", dir="/tmp"))
    user = _other_user(folder)
    data = str(folder / "data")
    initdb = [str(programs / "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"]
    command = [str(programs / "postgres"), "-D", data, "-k", str(folder), "-c", "listen_addresses=", "-c", "fsync=off"]
    server = PostgresServer(folder, command, user, count(1))
    try:
        with (folder / "log").open("wb") as log:
            subprocess.run(initdb, check=True, stdout=log, stderr=log, user=user, cwd=folder)
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _other_user(folder: Path) -> str | None:
    """The server refuses to run as root: then somebody else runs it, and owns its folder."""
    if os.geteuid() != 0:
        return None
    for user in _USERS:
        try:
            shutil.chown(folder, user)
        except LookupError:
            continue
        return user
    raise AssertionError(f"none of the users {_USERS} exists to run PostgreSQL as")
