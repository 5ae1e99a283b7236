"""Workers killed without warning, under load: what a client was told is in the store, on both databases, in both modes.

What was in a spool when everything was killed is delivered by the next start, and only then compared.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest
import requests
from sqlalchemy import select

from cds_service.app import open_store
from cds_service.settings import load_settings
from cds_service.store.connect import open_engine
from cds_service.store.tables import card, consult, feedback
from tests.postgres import PostgresServer
from tests.serving import free_port

WORKERS: Final = 3
CLIENTS: Final = 4
SECONDS_UNDER_LOAD: Final = 6.0
SECONDS_MORE: Final = 30.0
"""How long a busy machine may take longer to answer enough."""
ENOUGH: Final = 20
SECONDS_BETWEEN_KILLS: Final = 0.8
SECONDS_TO_START: Final = 40
MODES: Final = ("spool", "strict")
STORY: Final = "incidental-tail-lesion"
SERVICE: Final = "/cds-services/pnet-order-sign"


@dataclass
class Told:
    """What clients were told, and so what must be in the store."""

    cards: set[str] = field(default_factory=set)
    suggestions: set[str] = field(default_factory=set)
    acknowledged: set[tuple[str, str]] = field(default_factory=set)
    interrupted: int = 0
    refused: int = 0


@contextmanager
def serving(url: str, folder: Path, mode: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The service as an operator starts it, with several workers, in a process group of its own."""
    port = free_port()
    settings = {
        "PNET_CDS_DATABASE_URL": url,
        "PNET_CDS_STORE_MODE": mode,
        "PNET_CDS_SPOOL_DIR": str(folder / "spool"),
        "PNET_CDS_WORKERS": str(WORKERS),
        "PNET_CDS_PORT": str(port),
        "PNET_CDS_LOG_LEVEL": "warning",
    }
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PNET_CDS_")} | settings
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "cds_service", "serve", "--demo"],
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,
        )
        base = f"http://127.0.0.1:{port}"
        try:
            wait_until_ready(base, server, folder / "server.log")
            yield base, server
        finally:
            kill_group(server)


def kill_group(server: subprocess.Popen[bytes]) -> None:
    """Master and workers at once, without a chance to put anything in order."""
    try:
        os.killpg(server.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    finally:
        server.wait(10)


def wait_until_ready(base: str, server: subprocess.Popen[bytes], log: Path) -> None:
    """Until the service says that it is."""
    end = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < end:
        assert server.poll() is None, log.read_text(encoding="utf-8", errors="replace")
        try:
            if requests.get(f"{base}/readyz", timeout=5).status_code == 200:
                return
        except requests.RequestException:
            time.sleep(0.1)
    pytest.fail(f"the service did not start: {log.read_text(encoding='utf-8', errors='replace')}")


def workers(master: int) -> list[int]:
    """The worker processes of the server."""
    listed = Path(f"/proc/{master}/task/{master}/children")
    return [int(pid) for pid in listed.read_text(encoding="ascii").split()]


def client(base: str, request: dict[str, Any], told: Told, stop: threading.Event) -> None:
    """Calls the service and reports on every card, as fast as it is answered; remembers what it was told."""
    while not stop.is_set():
        try:
            answer = requests.post(base + SERVICE, json=request | {"hookInstance": str(uuid4())}, timeout=10)
            if answer.status_code != 200:
                told.refused += 1
                continue
            for shown in answer.json()["cards"]:
                report(base, shown, told)
        except (requests.RequestException, ValueError):
            told.interrupted += 1


def report(base: str, shown: dict[str, Any], told: Told) -> None:
    """Remember a card and send feedback on it; a card without identifier was not recorded and asks for none."""
    if "uuid" not in shown:
        assert all("uuid" not in suggestion for suggestion in shown.get("suggestions", []))
        told.refused += 1
        return
    told.cards.add(shown["uuid"])
    told.suggestions |= {suggestion["uuid"] for suggestion in shown.get("suggestions", [])}
    entry = {
        "card": shown["uuid"],
        "outcome": "overridden",
        "overrideReason": {"reason": shown["overrideReasons"][0]},
        "outcomeTimestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
    }
    answer = requests.post(f"{base}{SERVICE}/feedback", data=json.dumps({"feedback": [entry]}), timeout=10)
    if answer.status_code == 200:
        told.acknowledged.add((shown["uuid"], entry["outcomeTimestamp"]))
    else:
        told.refused += 1


def under_fire(base: str, server: subprocess.Popen[bytes], victims: list[Any]) -> Told:
    """Clients at work while something is killed again and again, and in the end the whole server."""
    request = requests.get(f"{base}/demo/requests/{STORY}", timeout=10).json()
    told, stop = Told(), threading.Event()
    threads = [threading.Thread(target=client, args=(base, request, told, stop)) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    chance, end = random.Random(4), time.monotonic() + SECONDS_UNDER_LOAD  # noqa: S311 - a reproducible choice
    while time.monotonic() < end or (len(told.acknowledged) <= ENOUGH and time.monotonic() < end + SECONDS_MORE):
        time.sleep(SECONDS_BETWEEN_KILLS)
        chance.choice(victims)(chance)
    kill_group(server)
    stop.set()
    for thread in threads:
        thread.join(30)
    return told


def assert_nothing_is_lost(url: str, folder: Path, told: Told) -> None:
    """Started again, the store has every card with its consult, every suggestion and every acknowledged entry."""
    store = open_store(load_settings(demo=True, database_url=url, spool_dir=str(folder / "spool")))
    assert (store.waiting().spooled, store.waiting().set_aside) == (0, 0)
    store.release()
    engine = open_engine(url)
    with engine.connect() as connection:
        rows = connection.execute(select(card.c.uuid, card.c.suggestions).join(consult)).all()
        entries = connection.execute(select(feedback.c.card_uuid, feedback.c.outcome_at)).all()
    engine.dispose()
    assert told.cards - {row.uuid for row in rows} == set()
    assert told.suggestions - {uuid for row in rows for uuid in row.suggestions} == set()
    kept = {(row.card_uuid, row.outcome_at.replace(tzinfo=UTC)) for row in entries}
    acknowledged = {(uuid, datetime.fromisoformat(at)) for uuid, at in told.acknowledged}
    assert acknowledged - kept == set()


@pytest.mark.parametrize("mode", MODES)
def test_killed_workers_lose_nothing(url: str, tmp_path: Path, mode: str) -> None:
    """CR-011: workers and at last the whole server are killed with signal 9 while clients call and report."""
    with serving(url, tmp_path, mode) as (base, server):

        def kill_a_worker(chance: random.Random) -> None:
            running = workers(server.pid)
            if running:
                os.kill(chance.choice(running), signal.SIGKILL)

        told = under_fire(base, server, [kill_a_worker])
    assert_nothing_is_lost(url, tmp_path, told)
    assert len(told.cards) > ENOUGH, told
    assert len(told.acknowledged) > ENOUGH, told
    assert told.interrupted, "no kill met a call under way; the test shows nothing"


@pytest.mark.parametrize("mode", MODES)
def test_a_killed_database_loses_nothing(postgres: PostgresServer, tmp_path: Path, mode: str) -> None:
    """PostgreSQL processes are killed under the service: it goes on with its spool and recovers; nobody notices."""
    url = postgres.new_database()
    with serving(url, tmp_path, mode) as (base, server):

        def kill_a_connection(chance: random.Random) -> None:
            backends = connections_of(postgres)
            if backends:
                os.kill(chance.choice(backends), signal.SIGKILL)

        told = under_fire(base, server, [kill_a_connection])
    postgres.wait()
    assert_nothing_is_lost(url, tmp_path, told)
    assert len(told.acknowledged) > ENOUGH, told
    assert told.refused == 0, "a call went without a record, or feedback was not taken"
    log = (tmp_path / "server.log").read_text(encoding="utf-8")
    assert "records wait in the spool" in log or '"event": "not kept"' in log, (
        "no kill met a transaction under way; the test shows nothing"
    )


def connections_of(postgres: PostgresServer) -> list[int]:
    """The server's processes that serve a connection."""
    listed = Path(f"/proc/{postgres.pid}/task/{postgres.pid}/children").read_text(encoding="ascii").split()
    found = []
    for pid in map(int, listed):
        try:
            title = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        if "[local]" in title:
            found.append(pid)
    return found
