"""Several worker processes on one SQLite file: a token opens one door once, whoever is asked; the log keeps secrets."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import requests

from cds_service.auth.keys import read_key_set
from cds_service.clients import Client
from cds_service.store.clients import GIVEN, SqlClients, open_clients
from tests.calling import synthetic_request
from tests.serving import free_port
from tests.signing import claims, key_set, public_jwk, sign

PUBLIC: Final = "https://cds.example.org"
DISCOVERY: Final = f"{PUBLIC}/cds-services"
EHR: Final = "https://ehr.example.org"
_STARTING_SECONDS: Final = 60


@dataclass(frozen=True)
class Service:
    """A running service of two processes."""

    base: str
    log: Path
    clients: SqlClients

    def ask(self, token: str, path: str = "/cds-services", **more: Any) -> requests.Response:
        """A call on a connection of its own, so that any process may get it."""
        headers = {"Authorization": f"Bearer {token}", "Connection": "close", **more.pop("headers", {})}
        method = "POST" if "json" in more else "GET"
        return requests.request(method, self.base + path, headers=headers, timeout=30, **more)

    def lines(self) -> list[dict[str, Any]]:
        """The log so far."""
        return [json.loads(line) for line in self.log.read_text("utf-8").splitlines() if line.startswith("{")]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """``pnet-cds serve`` with two worker processes and one client."""
    folder = tmp_path_factory.mktemp("workers")
    url = f"sqlite:///{folder}/store.sqlite"
    clients = open_clients(url)
    clients.add(Client("ehr", EHR))
    clients.give_keys("ehr", read_key_set(key_set(public_jwk("es")), GIVEN).keys)
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PNET_CDS_")} | {
        "PNET_CDS_DATABASE_URL": url,
        "PNET_CDS_PUBLIC_URL": PUBLIC,
        "PNET_CDS_PORT": str(port),
        "PNET_CDS_WORKERS": "2",
        "PNET_CDS_THREADS": "4",
        "PNET_CDS_RATE_LIMIT": "9999/second",
    }
    log = folder / "log"
    with log.open("w", encoding="utf-8") as written:
        process = subprocess.Popen(
            [sys.executable, "-m", "cds_service", "serve"],
            env=environment,
            cwd=folder,
            stdout=written,
            stderr=written,
        )
        try:
            running = Service(f"http://127.0.0.1:{port}", log, clients)
            wait_until_ready(running, process)
            yield running
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(_STARTING_SECONDS)
            clients.release()


def wait_until_ready(service: Service, process: subprocess.Popen[bytes]) -> None:
    """Wait for the service to say it is ready."""
    until = time.monotonic() + _STARTING_SECONDS
    while time.monotonic() < until:
        assert process.poll() is None, service.log.read_text("utf-8")
        try:
            if requests.get(f"{service.base}/readyz", timeout=5).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.1)
    pytest.fail(service.log.read_text("utf-8"))


def token(path: str = "", **changes: Any) -> str:
    """A good token, with changes."""
    return sign(claims(EHR, DISCOVERY + path, **changes), "es")


def test_a_token_is_accepted_by_one_process_only(service: Service) -> None:
    """CH-135: of many calls at once with one token, spread over both processes, exactly one is let in."""
    rounds = 12
    with ThreadPoolExecutor(8) as pool:
        for _ in range(rounds):
            same = token()
            answers = list(pool.map(service.ask, [same] * 8))
            assert sorted(answer.status_code for answer in answers) == [200] + [401] * 7
            bodies = {(answer.content, answer.headers["WWW-Authenticate"]) for answer in answers if not answer.ok}
            assert bodies == {(b"", "Bearer")}
    replayed = [line for line in service.lines() if line.get("reason") == "replayed"]
    assert len(replayed) == rounds * 7
    assert len({line["process"] for line in replayed}) == 2


def test_every_good_token_passes_under_load(service: Service) -> None:
    """The guard makes nobody wait until he is refused: different tokens at once all pass."""
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(service.ask, [token() for _ in range(80)]))
    assert {answer.status_code for answer in answers} == {200}


def test_a_token_longer_than_any_header_gets_the_same_refusal(service: Service) -> None:
    """The server in front of the application has no answer of its own for tokens that are too long."""
    bare = requests.get(f"{service.base}/cds-services", headers={"Connection": "close"}, timeout=30)
    got = service.ask(token(filling="x" * 10_000))
    changing = {"Date", "X-Request-Id"}
    for answer in (bare, got):
        assert (answer.status_code, answer.content) == (401, b"")
    assert {n: v for n, v in got.headers.items() if n not in changing} == {
        n: v for n, v in bare.headers.items() if n not in changing
    }


def test_a_change_holds_for_all_processes_at_once(service: Service) -> None:
    """A key given to or taken from the client from outside counts from the next call on, in every process."""

    def ask(_: int) -> int:
        return service.ask(sign(claims(EHR, DISCOVERY), "late")).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(16))) == {401}
        service.clients.give_keys("ehr", read_key_set(key_set(public_jwk("late")), GIVEN).keys)
        assert set(pool.map(ask, range(16))) == {200}
        service.clients.remove_key("ehr", "late")
        assert set(pool.map(ask, range(16))) == {401}


def test_the_log_keeps_no_secret(service: Service, advertised: dict[str, dict[str, str]]) -> None:
    """Whatever header or member a secret is in, refused or accepted, it is not in the log; the request id is."""
    secrets = [f"s3cr3t-{number:02}" for number in range(8)]
    body = synthetic_request("incidental-tail-lesion", "order-sign", advertised)
    body["fhirServer"] = f"https://user:{secrets[0]}@fhir.example.org"
    body["fhirAuthorization"] = {
        "access_token": secrets[1],
        "token_type": "Bearer",
        "expires_in": 300,
        "scope": "patient/*.read",
        "subject": secrets[2],
    }
    body["extension"] = {"note": secrets[3]}
    path = "/pnet-order-sign"
    sent = token(path)
    headers = {
        "X-Request-Id": "call-0123456789",
        "Cookie": f"session={secrets[4]}",
        "X-Api-Key": secrets[5],
        "Proxy-Authorization": f"Basic {secrets[6]}",
    }
    got = service.ask(sent, f"/cds-services{path}?token={secrets[7]}", json=body, headers=headers)
    assert got.status_code == 200
    assert got.headers["X-Request-Id"] == "call-0123456789"
    bad = sign(claims(EHR, DISCOVERY), "es", key="stranger")
    assert service.ask(bad, headers=headers).status_code == 401
    assert (
        service.ask(token(path), f"/cds-services{path}", json={"hook": secrets[3]}, headers=headers).status_code == 400
    )
    log = service.log.read_text("utf-8")
    for secret in (*secrets, *sent.split(".")[1:], *bad.split(".")[1:], body["context"]["patientId"]):
        assert secret not in log
    answered = next(line for line in service.lines() if line["event"] == "answered")
    assert (answered["request_id"], answered["client"]) == ("call-0123456789", "ehr")
    refused = [line for line in service.lines() if line.get("reason") == "wrong-signature"]
    assert {line["request_id"] for line in refused} == {"call-0123456789"}
    assert all("client" not in line for line in refused)


def test_a_damaged_header_is_not_logged(service: Service) -> None:
    """What the HTTP server itself refuses is logged without what was sent."""
    host, port = service.base.removeprefix("http://").split(":")
    secret = token()
    for line in (f"Authorization Bearer {secret}", f"Authorization : Bearer {secret}", f"Bearer {secret}: x"):
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(f"GET /cds-services HTTP/1.1\r\nHost: x\r\n{line}\r\n\r\n".encode())
            assert b" 400 " in connection.recv(4096)
    assert secret.split(".")[1] not in service.log.read_text("utf-8")
