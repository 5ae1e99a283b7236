"""Many connections, silent ones and slow ones: others are answered meanwhile."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.faults.running import SERVICE, Running, running
from tests.instance import eventually

THREADS = 2
SHORTER = "import cds_service.connections as c; c.HEADER_SECONDS = c.FIRST_BYTE_SECONDS = 1.0; c.CALL_SECONDS = 2.0"
HEAD = f"POST {SERVICE} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One process with two threads, and bounds of a second or two."""
    with running(tmp_path_factory.mktemp("connections"), "--demo", first=SHORTER, threads=str(THREADS)) as started:
        yield started


def connect(service: Running) -> socket.socket:
    """A connection to it."""
    host, _, port = service.base.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=60)


def ended(connection: socket.socket) -> bool:
    """Whether the server has closed it; whatever it says before does not matter."""
    connection.settimeout(20)
    try:
        while connection.recv(4096):
            pass
    except ConnectionError:
        pass
    return True


def test_silent_connections_cost_nothing(service: Running, call: dict[str, Any]) -> None:
    """With three hundred connections that send nothing, calls are answered; in the end they are closed."""
    with ExitStack() as opened:
        silent = [opened.enter_context(connect(service)) for _ in range(300)]
        began = time.monotonic()
        assert [service.ask(SERVICE, call).status_code for _ in range(5)] == [200] * 5
        assert time.monotonic() - began < 20
        assert all(ended(each) for each in silent)


@pytest.mark.parametrize("sent", [HEAD[:20], HEAD + "\r\n{"], ids=["head", "body"])
def test_slow_senders_are_cut_off(service: Running, call: dict[str, Any], sent: str) -> None:
    """More clients than threads, each of which sends a byte now and then: they are cut off, and others answered."""
    with ExitStack() as opened:
        slow = [opened.enter_context(connect(service)) for _ in range(2 * THREADS)]
        for each in slow:
            each.sendall(sent.encode())

        def trickle() -> bool:
            for each in tuple(slow):
                try:
                    each.sendall(b" ")
                except OSError:
                    slow.remove(each)
            try:
                return requests.post(service.base + SERVICE, json=call, timeout=0.3).ok
            except requests.Timeout:
                return False

        eventually(trickle, "slow senders hold all threads")
        eventually(lambda: not trickle() or not slow, "slow senders are not cut off")


def test_more_calls_than_threads_are_all_answered(tmp_path: Path, call: dict[str, Any]) -> None:
    """A burst waits its turn: none of fifty calls at once is refused or lost."""
    body = json.dumps(call).encode()
    head = HEAD.replace("100000", str(len(body))) + "Connection: close\r\n\r\n"
    with running(tmp_path, "--demo", threads=str(THREADS)) as service, ExitStack() as opened:
        burst = [opened.enter_context(connect(service)) for _ in range(50)]
        for each in burst:
            each.sendall(head.encode() + body)
        answers = [each.makefile("rb").readline() for each in burst]
    assert answers == [b"HTTP/1.1 200 OK\r\n"] * 50
