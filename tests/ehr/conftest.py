"""An EHR's world: a FHIR server, a running service, and the command in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest

from tests.calling import MakeApp, OverHttp
from tests.cli.conftest import Ran
from tests.conftest import served
from tests.ehr.servers import STARTERS, Server

Run = Callable[..., Ran]
BUSY_MACHINE_SECONDS = 20.0


@pytest.fixture(scope="module", params=STARTERS)
def fhir(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An empty FHIR server."""
    with STARTERS[request.param](tmp_path_factory.mktemp("fhir")) as server:
        yield server


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Address of the service's database."""
    return f"sqlite:///{tmp_path_factory.mktemp('store') / 'store.sqlite'}"


@pytest.fixture(scope="module")
def cds(make_app: MakeApp, store: str, fhir: Server) -> Iterator[OverHttp]:
    """The service, today, with time enough to read on a busy machine, also a server that wants no token."""
    settings = {"database_url": store, "fhir_seconds": BUSY_MACHINE_SECONDS, "fhir_open_servers": fhir.url}
    yield from served(make_app(today=date.today(), **settings))  # noqa: DTZ011


def run_command(*arguments: str, **environment: str) -> Ran:
    """The command in a process of its own, so that it and the service do not share an output."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PNET_CDS_")}
    done = subprocess.run(
        [sys.executable, "-m", "cds_service", *arguments],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=inherited | {"COLUMNS": "200"} | environment,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Ran(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def run(fhir: Server) -> Run:
    """Runs a command that knows the token of the FHIR server."""
    return lambda *arguments, **more: run_command(*arguments, **(fhir.environment | more))


@pytest.fixture
def call(run: Run, fhir: Server, cds: OverHttp) -> Run:
    """Runs ``pnet-cds call`` against the running service and the FHIR server."""
    return lambda *arguments, **more: run("call", "--url", cds.base, "--fhir-server", fhir.url, *arguments, **more)
