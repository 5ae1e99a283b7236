"""Disk full, database away: what clients are told is true, and no consult and no feedback that was taken is lost."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from cds_service.store.connect import open_engine
from cds_service.store.spool import waiting_in
from cds_service.store.tables import card, feedback
from tests.faults.running import SERVICE, Running, overridden, register, running, token
from tests.instance import eventually
from tests.postgres import PostgresServer, running_server

PUBLIC = "https://cds.example.org"


@pytest.fixture(scope="module")
def database() -> Iterator[PostgresServer]:
    """A PostgreSQL server that only these tests stop and start."""
    with running_server() as server:
        yield server


def kept(url: str) -> tuple[set[str], set[str]]:
    """The cards of a database, and those there is feedback on."""
    engine = open_engine(url)
    with engine.connect() as connection:
        found = set(connection.execute(select(card.c.uuid)).scalars())
        told = set(connection.execute(select(feedback.c.card_uuid)).scalars())
    engine.dispose()
    return found, told


def settled(service: Running) -> None:
    """Wait until nothing waits."""
    eventually(lambda: waiting_in(service.folder / "spool").spooled == 0, "records still wait")


@pytest.mark.parametrize("mode", ["spool", "strict"])
def test_a_full_disk_keeps_nobody_from_the_advice(tmp_path: Path, call: dict[str, Any], mode: str) -> None:
    """While nothing can be written, not even the log, cards come without identifiers; then everything is as before."""
    with running(tmp_path, "--demo", store_mode=mode) as service:
        shown = [service.ask(SERVICE, call).json()["cards"][0] for _ in range(3)]
        settled(service)
        service.limit_files(0)
        for _ in range(3):
            answer = service.ask(SERVICE, call)
            (bare,) = answer.json()["cards"]
            assert (answer.status_code, bare["summary"]) == (200, shown[0]["summary"])
            assert "uuid" not in bare
            assert "systemActions" not in answer.json()
        assert service.ask(f"{SERVICE}/feedback", overridden(shown[0]["uuid"])).status_code == 503
        assert service.ask("/readyz").status_code == 503
        assert service.ask("/healthz").status_code == 200
        service.limit_files(-1)
        eventually(lambda: "uuid" in service.ask(SERVICE, call).json()["cards"][0], "it did not recover")
        shown += [service.ask(SERVICE, call).json()["cards"][0] for _ in range(3)]
        assert service.ask(f"{SERVICE}/feedback", overridden(shown[0]["uuid"])).status_code == 200
        assert service.ask("/readyz").status_code == 200
    found, told = kept(f"sqlite:///{tmp_path}/store.sqlite")
    assert {each["uuid"] for each in shown} <= found
    assert told == {shown[0]["uuid"]}


def test_calls_go_on_without_the_database_where_the_site_says_so(
    database: PostgresServer, tmp_path: Path, call: dict[str, Any]
) -> None:
    """Tokens of known clients are good once, consults and feedback wait, also those of a worker that is killed."""
    url = database.new_database()
    register(url)
    settings = {"database_url": url, "public_url": PUBLIC, "workers": "2", "without_store": "answer"}
    with running(tmp_path, **settings) as service:
        shown = [service.ask(SERVICE, call, token()) for _ in range(4)]
        database.stop()
        shown += [service.ask(SERVICE, call, token()) for _ in range(12)]
        assert {answer.status_code for answer in shown} == {200}
        assert service.ask("/cds-services", bearer=token("/cds-services")).status_code == 200
        assert service.ask("/readyz").status_code == 200
        assert "wait in the spool" in service.ask("/readyz").json()["store"]
        assert service.ask(SERVICE, call, token(issuer="https://stranger.example.org")).status_code == 401
        same = token()
        with ThreadPoolExecutor(8) as pool:
            again = list(pool.map(lambda _: service.ask(SERVICE, call, same), range(8)))
        assert sorted(answer.status_code for answer in again) == [200] + [401] * 7
        shown += [answer for answer in again if answer.ok]
        cards = [answer.json()["cards"][0]["uuid"] for answer in shown]
        said = service.ask(f"{SERVICE}/feedback", overridden(cards[-1]), token(f"{SERVICE}/feedback"))
        assert said.status_code == 200
        os.kill(service.workers()[0], signal.SIGKILL)
        database.start()
        eventually(lambda: service.ask(SERVICE, call, token()).ok, "it did not recover")
        settled(service)
        assert service.ask(SERVICE, call, same).status_code == 401
    found, told = kept(url)
    assert set(cards) <= found
    assert told == {cards[-1]}


def test_clients_are_refused_without_the_database_unless_the_site_says_otherwise(
    database: PostgresServer, tmp_path: Path, call: dict[str, Any]
) -> None:
    """By default a token that cannot be checked opens nothing: 503, not ready, alive; and then everything is back."""
    url = database.new_database()
    register(url)
    with running(tmp_path, database_url=url, public_url=PUBLIC) as service:
        (before,) = service.ask(SERVICE, call, token()).json()["cards"]
        database.stop()
        refused = service.ask(SERVICE, call, token())
        assert refused.status_code == 503
        assert refused.json()["issue"][0]["details"]["coding"][0]["code"] == "store-unavailable"
        eventually(lambda: service.ask("/readyz").status_code == 503, "it says that it is ready")
        assert service.ask("/healthz").status_code == 200
        database.start()
        eventually(lambda: service.ask("/readyz").ok, "it did not recover")
        (after,) = service.ask(SERVICE, call, token()).json()["cards"]
    assert {before["uuid"], after["uuid"]} <= kept(url)[0]


def test_a_stop_delivers_what_waits(tmp_path: Path, call: dict[str, Any]) -> None:
    """SIGTERM right after an answer: the record is in the database when the process has ended, and no file is left."""
    with running(tmp_path, "--demo", workers="2") as service:
        shown = [service.ask(SERVICE, call).json()["cards"][0]["uuid"] for _ in range(6)]
    assert set(shown) <= kept(f"sqlite:///{tmp_path}/store.sqlite")[0]
    assert list((tmp_path / "spool").iterdir()) == []
