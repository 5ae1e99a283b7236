"""The service as an operator starts it, and what the tests of faults do to it."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import requests

from cds_service.auth.keys import read_key_set
from cds_service.clients import Client
from cds_service.store.clients import GIVEN, open_clients
from tests.instance import eventually
from tests.serving import free_port
from tests.signing import claims, key_set, public_jwk, sign

SERVICE: Final = "/cds-services/pnet-order-sign"
PUBLIC: Final = "https://cds.example.org"
EHR: Final = "https://ehr.example.org"
_SECONDS: Final = 60
_START: Final = "from cds_service.cli import main; main()"


def register(url: str) -> None:
    """A client that may call, in the database of a service."""
    clients = open_clients(url)
    clients.add(Client("ehr", EHR))
    clients.give_keys("ehr", read_key_set(key_set(public_jwk("es")), GIVEN).keys)
    clients.release()


def token(path: str = SERVICE, issuer: str = EHR) -> str:
    """A good token of that client for one call."""
    return sign(claims(issuer, f"{PUBLIC}{path}"), "es")


@dataclass
class Running:
    """A running service."""

    base: str
    folder: Path
    process: subprocess.Popen[bytes]

    def workers(self) -> list[int]:
        """Its processes that answer calls."""
        pid = self.process.pid
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()]

    def ask(self, path: str, body: Any = None, bearer: str = "") -> requests.Response:
        """A call on a connection of its own, so that any process may get it."""
        headers = {"Connection": "close"} | ({"Authorization": f"Bearer {bearer}"} if bearer else {})
        method = "GET" if body is None else "POST"
        return requests.request(method, self.base + path, json=body, headers=headers, timeout=20)

    def log(self) -> str:
        """What it has written."""
        return (self.folder / "server.log").read_text("utf-8", errors="replace")

    def limit_files(self, size: int) -> None:
        """Let no worker write a file beyond a size: to it, its disks are full. A negative size frees them."""
        for pid in self.workers():
            hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard if size < 0 else size, hard))


@contextmanager
def running(folder: Path, *arguments: str, first: str = "", **settings: str) -> Iterator[Running]:
    """``pnet-cds serve`` with settings; ``first`` is code that changes bounds which are too long for a test."""
    port = free_port()
    own = {name: value for name, value in os.environ.items() if not name.startswith("PNET_CDS_")}
    given = {
        "PNET_CDS_DATABASE_URL": f"sqlite:///{folder}/store.sqlite",
        "PNET_CDS_SPOOL_DIR": str(folder / "spool"),
        "PNET_CDS_PORT": str(port),
        **{f"PNET_CDS_{name.upper()}": value for name, value in settings.items()},
    }
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", f"{first}\n{_START}", "serve", *arguments],
            env={**own, **given},
            cwd=folder,
            stdout=log,
            stderr=log,
        )
        service = Running(f"http://127.0.0.1:{port}", folder, process)
        try:
            eventually(lambda: _answers(service), "the service did not start", _SECONDS)
            yield service
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(_SECONDS)


def _answers(service: Running) -> bool:
    assert service.process.poll() is None, service.log()
    try:
        return service.ask("/readyz").ok
    except requests.ConnectionError:
        return False


def overridden(card: str) -> dict[str, Any]:
    """Feedback on a card."""
    entry = {"card": card, "outcome": "overridden", "outcomeTimestamp": "2026-11-20T09:30:00Z"}
    return json.loads(json.dumps({"feedback": [entry]}))  # type: ignore[no-any-return]
