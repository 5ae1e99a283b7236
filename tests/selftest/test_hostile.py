"""Services that are out for trouble, broken, or none: the run ends, in time, with a report and never with a trace."""

from __future__ import annotations

import copy
import gzip
import json
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any, Final

import pytest
from requests.structures import CaseInsensitiveDict

from cds_service.errors import RemoteError
from cds_service.http_client import Exchange, get_bounded
from cds_service.selftest import wire as wire_module
from cds_service.selftest.check import Result
from cds_service.selftest.report import as_junit, as_object
from cds_service.selftest.subject import MOST_SERVICES
from cds_service.selftest.wire import DISCOVERY, Got, Silence, Wire
from tests.selftest.examining import found, not_run, reported, wire_to
from tests.selftest.toy import DISCOVERY as DOCUMENT
from tests.selftest.toy import Said, Toy, answer_to, respond, running, served, serving

SECONDS: Final = 0.4
Write = Callable[[bytes], object]


def endless(write: Write) -> None:
    """A body without an end."""
    write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
    while True:
        write(b"[" * 65536)


def trickle(write: Write) -> None:
    """A body that comes byte by byte."""
    write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
    while True:
        write(b" ")
        time.sleep(0.05)


def trickling_headers(write: Write) -> None:
    """Headers that come byte by byte."""
    write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while True:
        write(b"x")
        time.sleep(0.05)


def endless_redirect(write: Write) -> None:
    """A redirect whose body has no end."""
    write(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n")
    while True:
        write(b"x" * 65536)


def silent(_write: Write) -> None:
    """Nothing, for long."""
    time.sleep(3 * SECONDS)


def rubbish(write: Write) -> None:
    """No HTTP."""
    write(b"\0\1\2 220 ready\r\n\r\n")


def cut_off(write: Write) -> None:
    """Less than was promised."""
    write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n{")


def bomb(write: Write) -> None:
    """A small body that becomes a large one."""
    body = gzip.compress(b"[" * 50_000_000)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n"
    write(head.encode() + body)


def zstandard(write: Write) -> None:
    """A compression nobody asked for."""
    write(b"HTTP/1.1 200 OK\r\nContent-Encoding: zstd\r\nContent-Length: 2\r\n\r\n{}")


ATTACKS: Final = (endless, trickle, trickling_headers, endless_redirect, silent, rubbish, cut_off, bomb, zstandard)


def attacking(attack: Callable[[Write], None], *, everywhere: bool) -> type[BaseHTTPRequestHandler]:
    """A service that attacks whoever calls it; at once, or after a good discovery."""

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            self.close_connection = True
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.path == DISCOVERY and not everywhere:
                body = json.dumps(DOCUMENT).encode()
                head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
                self.wfile.write(head.encode() + body)
                return
            try:
                attack(self.wfile.write)
            except OSError:
                return  # the other side has had enough

        do_GET = do_POST = do_PUT = do_OPTIONS = handle_any  # noqa: N815 - names of the library

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_from_the_start_stops_the_run(attack: Callable[[Write], None]) -> None:
    """Discovery that cannot be read: the run says why it stopped, at once."""
    with running(attacking(attack, everywhere=True)) as base:
        started = time.monotonic()
        report = reported(wire_to(base, seconds=SECONDS))
        assert time.monotonic() - started < 5 * SECONDS + 1
    assert report.stopped
    assert report.status == 2


@pytest.mark.parametrize("attack", [endless, trickle, trickling_headers, cut_off, rubbish])
def test_an_attack_in_the_middle_ends_with_a_report(attack: Callable[[Write], None]) -> None:
    """Calls that are not answered: they fail, the rest is not run, and after some of them no more are made."""
    with running(attacking(attack, everywhere=False)) as base:
        started = time.monotonic()
        report = reported(wire_to(base, seconds=SECONDS))
        assert time.monotonic() - started < 30
    assert "call-answered" in found(report)
    assert {"card-summary", "call-repeated", "error-not-json"} <= not_run(report)
    assert report.status == 1


def test_a_service_that_goes_away_is_reported() -> None:
    """After discovery nobody is there any more."""
    with serving(Toy()) as toy:
        discovered = toy.base
        wire = Leaving(discovered, discovered, time.time, SECONDS)
        report = reported(wire)
    (answered,) = (row for row in report.rows if row.check.id == "call-answered")
    assert answered.result is Result.FAIL
    assert report.status == 1


class Leaving(Wire):
    """A service that answers discovery, and then no more."""

    def send(self, method: str, path: str, body: Any = None, **more: Any) -> Got | Silence:
        """The call, at first; later at a place where nobody listens."""
        got = super().send(method, path, body, **more)
        self.base = "http://127.0.0.1:1"
        return got


def test_a_redirect_is_not_followed() -> None:
    """A service that sends callers elsewhere is none, and elsewhere is never asked."""
    asked: list[str] = []

    def elsewhere(method: str, path: str, headers: Any, body: bytes) -> Said:
        asked.append(path)
        return respond(Toy(), method, path, headers, body)

    with served(elsewhere) as other:
        moved = Said(307, b"{}", headers={"Location": f"{other}{DISCOVERY}"})
        with served(lambda *_: moved) as base:
            report = reported(wire_to(base))
    assert "status 307" in report.stopped
    assert asked == []


def test_the_body_of_a_redirect_is_not_read() -> None:
    """Key sets and charts come through the same client: a redirect is refused at once, whatever follows it."""
    with running(attacking(endless_redirect, everywhere=True)) as base:
        started = time.monotonic()
        with pytest.raises(RemoteError, match="status 302"):
            get_bounded(base, 1000, SECONDS)
        assert time.monotonic() - started < SECONDS


@pytest.mark.parametrize(
    "body",
    [b"", b"<html></html>", b'{"cards": []}', b"[]", b"7", b'"services"', b"\xff", b"[" * 100_000, b'{"services": {}}'],
)
def test_what_is_no_discovery_stops_the_run(body: bytes) -> None:
    """Other pages are not taken for a service; a list of entries without its object is, so that it can be told."""
    with served(lambda *_: Said(200, body)) as base:
        report = reported(wire_to(base))
    assert "no list of services" in report.stopped


def test_nobody_there() -> None:
    """A port where nobody listens, and a name nobody has."""
    assert "no answer" in reported(wire_to("http://127.0.0.1:1")).stopped


def test_too_many_calls_are_no_fault() -> None:
    """A service that counts calls: what it refuses for that is not run, and the run is not called good."""
    toy = Toy()
    calls = iter(range(10_000))

    def limited(method: str, path: str, headers: Any, body: bytes) -> Said:
        return respond(toy, method, path, headers, body) if next(calls) < 60 else Said(429, b"{}")

    with served(limited) as base:
        report = reported(wire_to(base))
    assert found(report) == set()
    assert report.status == 2


def test_a_long_list_of_services_is_not_called_in_full() -> None:
    """Discovery of any length ends."""
    wire = Canned({"services": [{"id": f"s{n}", "hook": "patient-view", "description": "x"} for n in range(3000)]})
    report = reported(wire)
    assert len({path for path in wire.called if path.count("/") == 2}) <= MOST_SERVICES + 1
    assert report.rows


def test_only_this_machine_may_do_without_encryption() -> None:
    """CH-002: plain http to another machine fails, and https does not."""
    for base, failed in (("http://cds.example.org", True), ("https://cds.example.org", False), ("http://[::1]", False)):
        wire = Canned({"services": []})
        wire.base = base
        assert ("security-https" in found(reported(wire))) is failed


# --- answers of every shape, without a network ------------------------------------------------------------------------


class Canned(Wire):
    """A service that always says the same."""

    def __init__(self, document: Any, answer: Any = None) -> None:
        super().__init__("http://127.0.0.1:9", "http://127.0.0.1:9", time.time, 1)
        self.document, self.answer = document, answer or {"cards": []}
        self.called: list[str] = []

    def send(self, method: str, path: str, body: Any = None, **_: Any) -> Got | Silence:
        """What it always says."""
        del method, body
        self.called.append(path)
        said = self.document if path == DISCOVERY else self.answer
        headers = CaseInsensitiveDict({"Content-Type": "application/json"})
        return Got(Exchange(200, headers, json.dumps(said).encode(), 0.0))


ODD: Final[tuple[Any, ...]] = (None, 7, "\x1b[2J\0\ud7ff", [7], {"x": [None]}, [[]])


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place in a document."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, item in items:
        yield (*path, step)
        yield from places(item, (*path, step))


def replaced(document: Any, path: tuple[str | int, ...], value: Any) -> Any:
    """The document with something else in one place."""
    changed = copy.deepcopy(document)
    holder = changed
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = value
    return changed


DRAFT: Final = {"resourceType": "ServiceRequest", "id": "d"}
ANSWER: Final = answer_to({"context": {"draftOrders": {"entry": [{"resource": DRAFT}]}}})


@pytest.mark.parametrize("odd", ODD, ids=range(len(ODD)))
def test_no_shape_breaks_the_run(odd: Any) -> None:
    """Each member of discovery and of an answer is something else in turn: there is a report that can be shown."""
    short = {"services": DOCUMENT["services"][:1]}
    wires = [Canned(replaced(short, path, odd), ANSWER) for path in places(short)]
    wires += [Canned(short, replaced(ANSWER, path, odd)) for path in places(ANSWER)]
    for wire in wires:
        report = reported(wire)
        assert "\x1b" not in json.dumps(as_object(report), ensure_ascii=False)
        assert as_junit(report)
        assert report.stopped or report.rows


def test_the_limit_of_size_is_that_of_the_wire(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer beyond the limit is not read to its end."""
    monkeypatch.setattr(wire_module, "MOST_BYTES", 10)
    with serving(Toy()) as toy:
        assert "at most 10 bytes" in reported(wire_to(toy.base)).stopped
