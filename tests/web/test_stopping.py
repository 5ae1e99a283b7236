"""Stopping and reloading lose no call: of connections that were let in, none ends without an answer."""

from __future__ import annotations

import json
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Final, Self

import pytest

from tests.instance import Instance, eventually, running

SIGN: Final = "/cds-services/pnet-order-sign"
_CALLERS: Final = 6
_SELECTING: Final = "[pama]\norder_select = true\n"
_EMPTY: Final = b"HTTP/1.1 400 "


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Instance]:
    """A demo of two processes with a site file."""
    (tmp_path / "site.toml").write_text("", "utf-8")
    settings = {
        "PNET_CDS_DATABASE_URL": f"sqlite:///{tmp_path}/store.sqlite",
        "PNET_CDS_WORKERS": "2",
        "PNET_CDS_SITE_FILE": "site.toml",
    }
    with running(Instance(tmp_path, settings, ("--demo",))) as started:
        eventually(lambda: len(started.workers()) == 2, "both processes are there")
        yield started


class Callers:
    """Some who call again and again, each call on a connection of its own, until nobody lets them in."""

    def __init__(self, port: int, pause: float = 0, silence: float = 0) -> None:
        self.port = port
        self.pause = pause
        self.silence = silence
        self.seen: Counter[str] = Counter()
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=self._call) for _ in range(_CALLERS)]

    def __enter__(self) -> Self:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join()

    def _call(self) -> None:
        while not self.stop.is_set():
            connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
            try:
                connection.connect()
            except ConnectionRefusedError:
                self.seen["refused"] += 1
                return
            time.sleep(self.silence)
            try:
                connection.request("GET", "/healthz", headers={"Connection": "close"})
                self.seen[str(connection.getresponse().status)] += 1
            except (OSError, HTTPException) as error:
                self.seen[type(error).__name__] += 1
            finally:
                connection.close()
            time.sleep(self.pause)


def begun(port: int) -> socket.socket:
    """A call whose body has not come yet."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    connection.sendall(f"POST {SIGN} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n".encode())
    return connection


def test_a_server_that_stops_answers_everybody_it_has_let_in(instance: Instance) -> None:
    """While calls come in all the time, and one is slow to send its body: answered, or refused before it was sent."""
    with closing(begun(instance.port)) as slow, Callers(instance.port, pause=0.1) as callers:
        time.sleep(0.5)
        instance.signal(signal.SIGTERM)
        time.sleep(1)
        slow.sendall(b"{}")
        answer = slow.recv(4096)
        for thread in callers.threads:
            thread.join(30)
    assert answer.startswith(_EMPTY)
    assert set(callers.seen) == {"200", "refused"}, callers.seen
    assert callers.seen["200"] > _CALLERS
    assert callers.seen["refused"] == _CALLERS
    assert instance.wait() == 0


def test_whoever_was_let_in_may_still_say_what_for(instance: Instance) -> None:
    """Callers who are silent at first, some of them when the server begins to stop: each is answered or refused."""
    with Callers(instance.port, silence=0.2) as callers:
        time.sleep(0.7)
        instance.signal(signal.SIGTERM)
        for thread in callers.threads:
            thread.join(30)
    assert set(callers.seen) == {"200", "refused"}, callers.seen
    assert callers.seen["refused"] == _CALLERS
    assert instance.wait() == 0


def test_a_kept_connection_may_still_call_while_the_server_stops(instance: Instance) -> None:
    """A call that was on its way on an idle connection when the server began to stop is answered."""
    with closing(HTTPConnection("127.0.0.1", instance.port, timeout=30)) as kept, closing(begun(instance.port)):
        kept.request("GET", "/healthz")
        first = kept.getresponse()
        first.read()
        assert first.headers["Connection"] == "keep-alive"
        instance.signal(signal.SIGTERM)
        time.sleep(0.5)
        kept.request("GET", "/healthz")
        last = kept.getresponse()
        assert (last.status, last.headers["Connection"]) == (200, "close")
        last.read()
    assert instance.wait() == 0


def selecting(instance: Instance) -> bool:
    """Whether ratings are recorded at order-select, as discovery says."""
    with closing(HTTPConnection("127.0.0.1", instance.port, timeout=30)) as connection:
        connection.request("GET", "/cds-services", headers={"Connection": "close"})
        services = json.loads(connection.getresponse().read())["services"]
    extension = next(service for service in services if service["id"] == "pnet-order-select")["extension"]
    options = {option["code"]: option for option in extension["davinci-crd.configuration-options"]}
    return bool(options["record-ratings"]["default"])


def reload(instance: Instance, event: str) -> dict[str, Any]:
    """Have it read its site file again; the log line about it, once all processes are new ones."""
    before = instance.workers()
    instance.signal(signal.SIGHUP)
    until = time.monotonic() + 30
    while before & instance.workers() or len(instance.workers()) != len(before):
        assert time.monotonic() < until, instance.log.read_text("utf-8")
        time.sleep(0.05)
    lines = [json.loads(line) for line in instance.log.read_text("utf-8").splitlines() if line.startswith("{")]
    found: list[dict[str, Any]] = [line for line in lines if line["event"] == event]
    assert len(found) == 1
    return found[0]


def test_a_reload_brings_the_site_file_and_loses_no_call(instance: Instance) -> None:
    """New processes answer by the file as it is now; everybody who calls meanwhile is answered."""
    assert not selecting(instance)
    (instance.folder / "site.toml").write_text(_SELECTING, "utf-8")
    with Callers(instance.port) as callers:
        time.sleep(0.3)
        reload(instance, "reloaded")
        time.sleep(0.3)
    assert set(callers.seen) == {"200"}, callers.seen
    assert selecting(instance)


def test_a_site_file_that_does_not_fit_changes_nothing(instance: Instance) -> None:
    """The reload is refused with the reason in the log, and the service goes on as it was."""
    (instance.folder / "site.toml").write_text(_SELECTING + "[no-such-table]\n", "utf-8")
    with Callers(instance.port) as callers:
        line = reload(instance, "not reloaded")
        time.sleep(0.3)
    assert (line["slug"], line["level"]) == ("site-invalid", "error")
    assert "no-such-table" in line["why"]
    assert set(callers.seen) == {"200"}, callers.seen
    assert not selecting(instance)
    (instance.folder / "site.toml").write_text(_SELECTING, "utf-8")
    reload(instance, "reloaded")
    assert selecting(instance)
