"""A FHIR server that fails in every way that matters. The first part of the path says how.

``http://127.0.0.1:<port>/<fault>/<anything>`` is a base URL. Every request is kept with its headers, so that a test can
say what was sent where.
"""

from __future__ import annotations

import json
import socketserver
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final, cast

HUGE: Final = 2 * 1024**3
_BLANKS: Final = b" " * 1024 * 1024
_JSON: Final = "application/fhir+json"


@dataclass
class Seen:
    """A request as it arrived."""

    path: str
    headers: dict[str, str]


@dataclass
class State:
    """What a server knows."""

    url: str = ""
    foreign: str = ""
    seen: list[Seen] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def asked(self, part: str = "") -> list[Seen]:
        """The requests whose path holds this."""
        return [one for one in self.seen if part in one.path]


def result(code: str = "2039-6", patient: str = "itl-patient", number: int = 1) -> dict[str, Any]:
    """A laboratory result; by itself a tumour marker that changes nothing."""
    return {
        "resourceType": "Observation",
        "id": f"read-{patient}-{number}",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
        "subject": {"reference": f"Patient/{patient}"},
        "valueQuantity": {"value": 1.1, "unit": "ng/mL"},
    }


def bundle(*resources: Mapping[str, Any], following: str | None = None) -> bytes:
    """A page, with a link to the next one if there is one."""
    page: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset"}
    page["entry"] = [{"resource": resource} for resource in resources]
    if following is not None:
        page["link"] = [{"relation": "next", "url": following}]
    return json.dumps(page).encode()


def head(status: int = 200, **headers: str) -> bytes:
    """Status line and headers; underscores stand for hyphens."""
    given = {"Content-Type": _JSON, "Connection": "close"} | {k.replace("_", "-"): v for k, v in headers.items()}
    lines = [f"HTTP/1.1 {status} Status", *(f"{name}: {value}" for name, value in given.items() if value), "", ""]
    return "\r\n".join(lines).encode()


def whole(body: bytes, status: int = 200, **headers: str) -> Iterator[bytes]:
    """An answer in one piece."""
    yield head(status, Content_Length=str(len(body)), **headers) + body


def _gzip(pieces: Iterator[bytes]) -> Iterator[bytes]:
    packing = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    yield head(Content_Encoding="gzip")
    for piece in pieces:
        yield packing.compress(piece)
    yield packing.flush()


def _blanks() -> Iterator[bytes]:
    """Two gigabytes that a reader of JSON would have to wait through."""
    for _ in range(HUGE // len(_BLANKS)):
        yield _BLANKS


def _drip(server: State, data: bytes) -> Iterator[bytes]:
    """One byte after the other, each soon enough not to look like a silence."""
    for place in range(len(data)):
        server.over.wait(0.05)
        yield data[place : place + 1]


def _slow(server: State, _path: str) -> Iterator[bytes]:
    server.over.wait(30)
    yield from whole(bundle(result()))


def _slow_headers(server: State, _path: str) -> Iterator[bytes]:
    yield from _drip(server, head() + bundle(result()))


def _slow_body(server: State, _path: str) -> Iterator[bytes]:
    yield head()
    yield from _drip(server, bundle(result()))


def _slow_second_page(server: State, path: str) -> Iterator[bytes]:
    if "page=2" in path:
        server.over.wait(30)
    yield from whole(bundle(result(), following="?page=2"))


def _chunked(_server: State, _path: str) -> Iterator[bytes]:
    yield head(Transfer_Encoding="chunked")
    for _ in range(HUGE // len(_BLANKS)):
        yield f"{len(_BLANKS):x}\r\n".encode() + _BLANKS + b"\r\n"


def _cut_chunk(_server: State, _path: str) -> Iterator[bytes]:
    yield head(Transfer_Encoding="chunked") + b"ffff\r\n" + bundle(result())


def _cut_gzip(_server: State, _path: str) -> Iterator[bytes]:
    data = b"".join(_gzip(iter([bundle(*(result(number=n) for n in range(50)))])))
    yield data[:-40]


def _endless(server: State, path: str) -> Iterator[bytes]:
    number = len(server.asked(path.partition("?")[0]))
    yield from whole(bundle(result(number=number), following=f"?page={number}"))


def _busy(status: int, times: int, **headers: str) -> Callable[[State, str], Iterator[bytes]]:
    def serve(server: State, path: str) -> Iterator[bytes]:
        if len(server.asked(path.partition("?")[0])) <= times:
            return whole(b"{}", status, **headers)
        return whole(bundle(result()))

    return serve


def _plain(status: int = 200, body: bytes | None = None, **headers: str) -> Callable[[State, str], Iterator[bytes]]:
    given = bundle(result()) if body is None else body
    return lambda _server, _path: whole(given, status, **headers)


_OUTCOME: Final = json.dumps({"resourceType": "OperationOutcome", "issue": [{"severity": "error"}]}).encode()
_DATES: Final = {"Date": "Fri, 20 Nov 2026 10:00:00 GMT", "Retry_After": "Fri, 20 Nov 2026 10:00:01 GMT"}

FAULTS: Final[Mapping[str, Callable[[State, str], Iterator[bytes]]]] = {
    "good": _plain(),
    "good-gzip": lambda _s, _p: _gzip(iter([bundle(result())])),
    "good-without-type": _plain(Content_Type=""),
    "good-plain-text": _plain(Content_Type="text/plain"),
    "good-half-character": _plain(body=bundle(result() | {"note": [{"text": "cut \ud83d"}]})),
    "slow": _slow,
    "slow-headers": _slow_headers,
    "slow-body": _slow_body,
    "slow-second-page": _slow_second_page,
    "status-400": _plain(400),
    "status-401": _plain(401),
    "status-403": _plain(403),
    "status-404": _plain(404),
    "status-410": _plain(410),
    "status-500": _plain(500),
    "status-501": _plain(501),
    "outcome": _plain(body=_OUTCOME),
    "cut-length": lambda _s, _p: iter([head(Content_Length="9999") + bundle(result())]),
    "cut-chunk": _cut_chunk,
    "cut-gzip": _cut_gzip,
    "cut-unsaid": lambda _s, _p: iter([head() + bundle(result())[:-9]]),
    "silent": lambda _s, _p: iter([]),
    "html": _plain(body=b"<html>please sign in</html>", Content_Type="text/html"),
    "xml": _plain(body=b"<Bundle/>", Content_Type="application/fhir+xml"),
    "no-json": _plain(body=b"OK"),
    "no-resource": _plain(body=b'{"token": "x"}'),
    "odd-encoding": _plain(Content_Encoding="br"),
    "other-type": _plain(body=bundle({"resourceType": "Medication", "id": "m"})),
    "endless": _endless,
    "loop": lambda _s, _p: whole(bundle(result(), following="?page=1")),
    "other-patient": _plain(body=bundle(result(), result("98979-8", patient="someone-else"))),
    "redirect": lambda server, path: whole(b"", 302, Location=server.foreign + path),
    "redirect-here": lambda server, path: whole(b"", 307, Location=server.url + path.replace("redirect-here", "good")),
    "foreign-next": lambda server, path: whole(bundle(result(), following=server.foreign + path)),
    "sideways-next": lambda server, _p: whole(bundle(result(), following=f"{server.url}/good/Observation")),
    "upward-next": lambda _s, _p: whole(bundle(result(), following="../../good/fhir/Observation")),
    "userinfo-next": lambda server, path: whole(
        bundle(result(), following=server.url.replace("//", "//me@") + path + "&page=2")
    ),
    "huge-length": lambda _s, _p: iter([head(Content_Length=str(HUGE)), *[_BLANKS] * 16]),
    "huge-chunks": _chunked,
    "gzip-bomb": lambda _s, _p: _gzip(_blanks()),
    "busy-once": _busy(503, 1, Retry_After="0"),
    "busy-twice": _busy(429, 2),
    "busy-a-second": _busy(429, 1, **_DATES),
    "busy-an-hour": _busy(429, 99, Retry_After="3600"),
    "busy-always": _busy(503, 99),
}


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        state = cast("_Server", self.server).state
        path = self.rfile.readline().decode("latin-1").split(" ")[1:2]
        headers: dict[str, str] = {}
        while (line := self.rfile.readline().decode("latin-1").strip()) != "":
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        if not path:
            return
        state.seen.append(Seen(path[0], headers))
        with suppress(OSError):
            for piece in FAULTS.get(path[0].split("/")[1], FAULTS["good"])(state, path[0]):
                self.wfile.write(piece)
                self.wfile.flush()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    state: State


@contextmanager
def serving(foreign: str = "") -> Iterator[State]:
    """A running server; ``foreign`` is where it tries to lead its callers."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.state = State(f"http://127.0.0.1:{server.server_address[1]}", foreign)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield server.state
        finally:
            server.state.over.set()
            server.shutdown()
            thread.join()
