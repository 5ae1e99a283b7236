"""Commands of the documentation, as a reader types them: found in the pages, run in a folder like a fresh checkout."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

import requests

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = ("README.md", *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md")))
DEMO: Final = "http://127.0.0.1:8080"
"""Where the pages say that the demo listens."""

_BLOCK: Final = re.compile(r"^([ ]*)```(?:sh|console)\n(.*?)^[ ]*```", re.DOTALL | re.MULTILINE)
_CHECKOUT: Final = ("Makefile", "setup.cfg", "pyproject.toml")
_STARTING_SECONDS: Final = 180
_RUNNING_SECONDS: Final = 300


def blocks(page: str) -> list[str]:
    """The blocks of commands on a page, without their indentation."""
    found = _BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))
    return [re.sub(rf"^{indent}", "", text, flags=re.MULTILINE) for indent, text in found]


@cache
def commands(block: str) -> tuple[str, ...]:
    """The commands of a block, without comments. One may go over several lines: by a backslash, quotes, or a loop."""
    found, begun = list[str](), ""
    for line in block.splitlines():
        begun += line
        if line.endswith("\\") or not _is_whole(begun):
            begun += "\n"
            continue
        if shlex.split(begun, comments=True):
            found.append(begun)
        begun = ""
    assert not begun, f"a command has no end: {begun}"
    return tuple(found)


def _is_whole(command: str) -> bool:
    """Whether the shell would not ask for another line."""
    return subprocess.run(["bash", "-n", "-c", command], capture_output=True, check=False).returncode == 0


def plain(command: str) -> str:
    """A command on one line, without comment, by which it is named in lists."""
    return " ".join(shlex.split(command.replace("\\\n", " "), comments=True))


def is_server(command: str) -> bool:
    """Whether the command starts the service and does not come back."""
    return bool(re.search(r"\bmake run$|\bpnet-cds serve\b", plain(command)))


@dataclass(frozen=True)
class Checkout:
    """A folder like a checkout after ``make``: the Makefile, and a ``.venv`` that leads to this environment.

    Attributes:
        followed: pages whose commands were typed in it.
    """

    folder: Path
    followed: set[str] = field(default_factory=set)

    @classmethod
    def made(cls, folder: Path) -> Checkout:
        """Fill an empty folder."""
        programs = folder / ".venv" / "bin"
        programs.mkdir(parents=True)
        for name in _CHECKOUT:
            shutil.copy(ROOT / name, folder / name)
        _program(programs / "python", f'exec {shlex.quote(sys.executable)} "$@"')
        _program(programs / "pnet-cds", f'exec {shlex.quote(sys.executable)} -m cds_service "$@"')
        for stamp in (".installed", ".installed-dev"):
            (folder / ".venv" / stamp).touch()
        return cls(folder)

    def environment(self, **more: str) -> dict[str, str]:
        """That of a reader who has set nothing of ours."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("PNET_CDS_", "MAKE"))}
        path = f"{self.folder}/.venv/bin{os.pathsep}{os.environ['PATH']}"
        return clean | {"PYTHONPATH": str(ROOT), "PATH": path, "COLUMNS": "200"} | more

    def run(self, script: str, **more: str) -> str:
        """What commands print. The first that fails ends it, with what it said."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.folder,
            env=self.environment(**more),
            capture_output=True,
            text=True,
            check=False,
            timeout=_RUNNING_SECONDS,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    @contextmanager
    def running(self, command: str) -> Iterator[str]:
        """The address of a service started by a command, until it is no longer needed."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = str(free.getsockname()[1])
        log = self.folder / f"log-{port}"
        with log.open("w", encoding="utf-8") as written:
            process = subprocess.Popen(
                ["bash", "-euc", command],
                cwd=self.folder,
                env=self.environment(PNET_CDS_PORT=port),
                stdout=written,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            base = f"http://127.0.0.1:{port}"
            _wait_for(base, process, log)
            yield base
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=_STARTING_SECONDS)


def _program(path: Path, line: str) -> None:
    path.write_text(f"#!/bin/sh\n{line}\n", encoding="utf-8")
    path.chmod(0o755)


def _wait_for(base: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until the service says that it can answer."""
    end = time.monotonic() + _STARTING_SECONDS
    while True:
        try:
            if requests.get(f"{base}/readyz", timeout=5).ok:
                return
        except requests.ConnectionError:
            pass
        assert process.poll() is None, log.read_text(encoding="utf-8")
        assert time.monotonic() < end, log.read_text(encoding="utf-8")
        time.sleep(0.1)


def at(command: str, base: str) -> str:
    """The command for a demo that listens elsewhere than the pages say; ``call`` goes to the demo unless told."""
    moved = command.replace(DEMO, base)
    return moved if "--url" in moved else moved.replace("pnet-cds call", f"pnet-cds call --url {base}")
