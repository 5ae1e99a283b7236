"""What all tests share: a running service, the service's parts, and a network that ends at this machine."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import date
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests
from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server

from cds_service.app import create_app
from cds_service.knowledge import load_knowledge
from cds_service.knowledge.model import Knowledge
from cds_service.pipeline import Parts
from cds_service.settings import Settings
from fhir_profiles.terminology import Terminology, load_terminology
from tests.builders import AS_OF
from tests.calling import InProcess, MakeApp, OverHttp, templates
from tests.postgres import PostgresServer, running_server


class NetworkForbiddenError(RuntimeError):
    """A test tried to reach another machine."""


def _refuse_foreign(address: object) -> None:
    """Refuse an address of another machine; a socket file has a path instead."""
    if not isinstance(address, tuple):
        return
    host = str(address[0])
    if host in ("localhost", ""):
        return
    try:
        loopback = ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise NetworkForbiddenError(f"tests stay on this machine; something tried to reach {host}")


@pytest.fixture(scope="session", autouse=True)
def _loopback_only() -> Iterator[None]:
    """No test opens a connection to, or looks up the name of, another machine."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex"):
            original = getattr(socket.socket, name)

            def guarded(self: socket.socket, address: Any, original: Any = original) -> Any:
                _refuse_foreign(address)
                return original(self, address)

            patch.setattr(socket.socket, name, guarded)
        look_up = socket.getaddrinfo

        def guarded_look_up(host: Any, *rest: Any, **more: Any) -> Any:
            if host is not None:
                _refuse_foreign((host,))
            return look_up(host, *rest, **more)

        patch.setattr(socket, "getaddrinfo", guarded_look_up)
        yield


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real PostgreSQL server; without one on the machine the tests that need it are skipped, on our CI they fail."""
    with running_server() as server:
        yield server


@pytest.fixture(scope="session")
def knowledge() -> Knowledge:
    """The guideline tables as packaged."""
    return load_knowledge()


@pytest.fixture(scope="session")
def terminology() -> Terminology:
    """The code tables as packaged."""
    return load_terminology()


@pytest.fixture(scope="session")
def parts(knowledge: Knowledge, terminology: Terminology) -> Parts:
    """What a call is answered with, on the day of the bundled stories."""
    return Parts(knowledge, terminology, lambda: AS_OF, lambda: str(uuid4()))


@pytest.fixture(scope="session")
def make_app(tmp_path_factory: pytest.TempPathFactory) -> MakeApp:
    """Makes applications in demo mode, each with a database of its own; takes parts and settings to override."""

    def make(
        *, today: date = AS_OF, store: Any = None, knowledge: Knowledge | None = None, **settings: object
    ) -> Flask:
        database: Path = tmp_path_factory.mktemp("database") / "consults.sqlite"
        given = {"demo": True, "database_url": f"sqlite:///{database}", **settings}
        return create_app(Settings(**given), store=store, knowledge=knowledge, today=lambda: today)  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def app(make_app: MakeApp) -> Flask:
    """The application in demo mode, on the day of the bundled stories."""
    return make_app()


@pytest.fixture(scope="session")
def local(app: Flask) -> InProcess:
    """The application without HTTP in between."""
    return InProcess(app)


class _Quiet(WSGIRequestHandler):
    """A request handler that keeps connections and writes no log."""

    protocol_version = "HTTP/1.1"

    def log(self, *_: object) -> None:
        """Say nothing."""


def served(app: Flask, port: int = 0, tls: ssl.SSLContext | None = None) -> Iterator[OverHttp]:
    """The application behind a real HTTP server, for as long as it is asked for; with TLS under the name localhost."""
    server = make_server("127.0.0.1", port, app, threaded=True, request_handler=_Quiet, ssl_context=tls)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    with requests.Session() as session:
        session.trust_env = False
        host = "https://localhost" if tls else "http://127.0.0.1"
        yield OverHttp(f"{host}:{server.server_port}", session)
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="session")
def live(app: Flask) -> Iterator[OverHttp]:
    """The application behind a real HTTP server."""
    yield from served(app)


@pytest.fixture(scope="session")
def live_with_small_limit(make_app: MakeApp) -> Iterator[OverHttp]:
    """The same with the smallest limit on the size of a request that can be set."""
    yield from served(make_app(max_body_bytes=1024))


@pytest.fixture(scope="session")
def advertised(local: InProcess) -> dict[str, dict[str, str]]:
    """Prefetch templates by hook, from discovery."""
    return templates(local)
