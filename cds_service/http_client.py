"""The only importer of requests: time limits on everything, errors without content, checked addresses only."""

from __future__ import annotations

import logging
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, Final, cast
from urllib.parse import urlsplit
from weakref import WeakSet

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError, NewConnectionError
from urllib3.exceptions import TimeoutError as HTTPTimeoutError

from cds_service.domain.terms import Lack
from cds_service.errors import RemoteError

_CONNECT_SECONDS: Final = 5
_PIECE: Final = 64 * 1024
_GZIP: Final = 16 + zlib.MAX_WBITS
_OK: Final = 200
_NOT_JSON: Final = ("html", "xml")

logging.getLogger("urllib3").propagate = False  # it writes addresses, which hold patient ids


def get_bounded(url: str, most_bytes: int, most_seconds: float) -> bytes:
    """GET a small document: no redirects, no proxy, no credentials, no compression, bounded in size and time.

    Raises:
        RemoteError: no connection, another status than 200, too large, or too slow.
    """
    until = time.monotonic() + most_seconds
    content = bytearray()
    try:
        with _Session() as session:
            session.trust_env = False
            with session.get(
                url,
                timeout=most_seconds,
                allow_redirects=False,
                stream=True,
                headers={"Accept": "application/json", "Accept-Encoding": "identity"},
            ) as response:
                if response.status_code != requests.codes.ok or response.headers.get("Content-Encoding"):
                    raise RemoteError(f"{url} answered with status {response.status_code}, or compressed.")
                while chunk := response.raw.read1(_PIECE):
                    content += chunk
                    if len(content) > most_bytes or time.monotonic() > until:
                        raise RemoteError(f"{url} sends more than {most_bytes} bytes, or too slowly.")
    except (requests.RequestException, OSError, HTTPError) as error:
        raise RemoteError(f"{url} cannot be read ({type(error).__name__}).") from None
    return bytes(content)


def exchange(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes | None,
    *,
    most_bytes: int,
    most_seconds: float,
    ca_file: str = "",
    admit: Callable[[Sequence[str]], bool] = bool,
) -> Exchange:
    """Make one call over a connection of its own and read the answer, whatever its status, bounded in size and time.

    ``admit`` says whether a host with such addresses may be called; without it, every host that has one.

    Raises:
        RemoteError: no complete answer; the message says why, and nothing of what was sent or received.
    """
    started = time.monotonic()
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    addresses = look_up(host, port, most_seconds)
    if addresses and not admit(addresses):
        raise RemoteError(f"{method} {parts.path}: this server may not be called")
    connections = Connections(host, port, addresses, ca_file, 1)
    # A time limit of the library counts from byte to byte; this one ends an answer that trickles.
    ending = threading.Timer(most_seconds, connections.close)
    ending.daemon = True
    ending.start()
    try:
        made = connections.exchange(method, url, headers, body, most_seconds, most_bytes)
        late = time.monotonic() - started >= most_seconds
        why = "" if not late else f"no complete answer within {most_seconds:g} seconds"
    except _Failed as failed:
        why = f"the answer cannot be read to its end ({failed.lack.value}; at most {most_bytes} bytes are read)"
    except (requests.RequestException, OSError, HTTPError, zlib.error, ValueError) as error:
        late = time.monotonic() - started >= most_seconds
        why = f"no complete answer within {most_seconds:g} seconds" if late else f"no answer ({type(error).__name__})"
    finally:
        ending.cancel()
        connections.close()
    if why:
        raise RemoteError(f"{method} {parts.path}: {why}")
    return made


def look_up(host: str, port: int, seconds: float) -> tuple[str, ...]:
    """The addresses of a host; none when it has none or the look-up takes longer than that."""
    found: list[str] = []

    def ask() -> None:
        with suppress(OSError, UnicodeError):
            found.extend(str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))

    asking = threading.Thread(target=ask, name="look-up", daemon=True)  # the system's look-up cannot be interrupted
    asking.start()
    asking.join(seconds)
    return tuple(dict.fromkeys(found))


class _Session(requests.Session):
    """Sees no redirects: to tell where one leads, the library would read its whole body, however long that is."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Nowhere."""
        del resp
        return None


@dataclass(slots=True)
class Allowance:
    """Bytes that may still be read, counted after decompression; a share also counts against the whole."""

    left: int
    whole: Allowance | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def share(self, most: int) -> Allowance:
        """At most so many bytes of this allowance."""
        return Allowance(most, self)

    def spend(self, count: int) -> bool:
        """Take so many bytes; False when they are more than what is left."""
        with self._lock:
            self.left -= count
            enough = self.left >= 0
        return enough and (self.whole is None or self.whole.spend(count))


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer; the body is read only when the status is 200.

    Attributes:
        retry_after: seconds to wait before another try, when the server says so.
    """

    status: int
    body: bytes = b""
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Exchange:
    """A call that was answered, with whatever status.

    Attributes:
        headers: names in any case.
        seconds: from the first byte sent to the last byte read.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float


class _Failed(Exception):
    """A read ended without an answer."""

    def __init__(self, lack: Lack) -> None:
        super().__init__(lack.value)
        self.lack = lack


class Connections:
    """Connections to one host for the length of one call.

    They go to the given addresses whatever the name resolves to by now, follow no redirect and no proxy, and take no
    credentials from the machine. :meth:`close` ends reads that are under way.
    """

    def __init__(self, host: str, port: int, addresses: Sequence[str], ca_file: str, most: int) -> None:
        self._host = host
        self._port = port
        self._addresses = tuple(addresses)
        self._open: WeakSet[socket.socket] = WeakSet()
        self._lock = threading.Lock()
        self._closed = False
        self._session = _Session()
        self._session.trust_env = False
        self._session.headers.clear()
        self._session.verify = ca_file or True
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, _Adapter(self, most))

    def get(self, url: str, headers: dict[str, str], seconds: float, allowance: Allowance) -> Reply | Lack:
        """GET a page of JSON, or why there is none."""
        try:
            with self._session.get(
                url, headers=headers, timeout=max(seconds, 0.001), allow_redirects=False, stream=True
            ) as response:
                if response.status_code != _OK:
                    return Reply(response.status_code, retry_after=_retry_after(response))
                _check_type(response)
                return Reply(_OK, b"".join(_body(response, allowance)))
        except _Failed as failed:
            return failed.lack
        except (requests.Timeout, HTTPTimeoutError):
            return Lack.TIMED_OUT
        except (requests.exceptions.ChunkedEncodingError, HTTPError, zlib.error):
            return Lack.CUT_OFF
        except (requests.RequestException, OSError):
            return Lack.UNREACHABLE

    def exchange(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, seconds: float, most_bytes: int
    ) -> Exchange:
        """One call with its whole answer; errors of the library pass through."""
        started = time.monotonic()
        with self._session.request(
            method, url, headers=headers, data=body, timeout=seconds, allow_redirects=False, stream=True
        ) as response:
            answered = b"".join(_body(response, Allowance(most_bytes)))
            return Exchange(response.status_code, response.headers, answered, time.monotonic() - started)

    def dial(self, connection: HTTPConnection) -> socket.socket:
        """Connect to one of the checked addresses."""
        if connection.host.strip("[]") != self._host or connection.port != self._port:
            raise NewConnectionError(connection, "not the host this was made for")
        timeout = connection.timeout if isinstance(connection.timeout, int | float) else _CONNECT_SECONDS
        for address in self._addresses:
            with suppress(OSError):
                made = socket.create_connection((address, self._port), timeout)
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return self.keep(made)
        raise NewConnectionError(connection, "no address answers")

    def keep(self, made: socket.socket) -> socket.socket:
        """Remember a socket as long as it is in use, so that it can be ended from outside."""
        with self._lock:
            if self._closed:
                made.close()
                raise ConnectionAbortedError
            self._open.add(made)
        return made

    def close(self) -> None:
        """End all reads and connections."""
        with self._lock:
            self._closed = True
            for kept in list(self._open):
                with suppress(OSError):
                    socket.socket.shutdown(kept, socket.SHUT_RDWR)  # below TLS, which would wait for the other side
        self._session.close()


class _Adapter(HTTPAdapter):
    """Makes connections by :meth:`Connections.dial`; names and certificates are checked as always."""

    def __init__(self, owner: Connections, most: int) -> None:
        self._owner = owner
        super().__init__(pool_connections=1, pool_maxsize=most, max_retries=0)

    def init_poolmanager(self, *args: Any, **more: Any) -> None:
        """Make the pools with our connections."""
        super().init_poolmanager(*args, **more)
        owner = self._owner

        class Plain(HTTPConnection):
            def _new_conn(self) -> socket.socket:
                return owner.dial(self)

        class Encrypted(HTTPSConnection):
            greeting: socket.socket | None = None
            """A second handle while TLS is being agreed on, when the first has no owner."""

            def _new_conn(self) -> socket.socket:
                made = owner.dial(self)
                self.greeting = owner.keep(made.dup())
                return made

            def connect(self) -> None:
                try:
                    super().connect()
                    owner.keep(cast("socket.socket", self.sock))
                finally:
                    if self.greeting is not None:
                        self.greeting.close()

        plain = type("PlainPool", (HTTPConnectionPool,), {"ConnectionCls": Plain})
        encrypted = type("EncryptedPool", (HTTPSConnectionPool,), {"ConnectionCls": Encrypted})
        self.poolmanager.pool_classes_by_scheme = {"http": plain, "https": encrypted}


def _check_type(response: requests.Response) -> None:
    """Refuse what says of itself that it is no JSON; many servers name the type inexactly or not at all."""
    media = response.headers.get("Content-Type", "").partition(";")[0].lower()
    if any(word in media for word in _NOT_JSON):
        raise _Failed(Lack.NOT_FHIR)


def _body(response: requests.Response, allowance: Allowance) -> Iterator[bytes]:
    """The body in pieces, never more at once than a piece, and never more in all than allowed."""
    length = response.headers.get("Content-Length", "")
    if length.isdigit() and int(length) > allowance.left:
        raise _Failed(Lack.TOO_LARGE)
    for piece in _decoded(response):
        if not allowance.spend(len(piece)):
            raise _Failed(Lack.TOO_LARGE)
        yield piece


def _decoded(response: requests.Response) -> Iterator[bytes]:
    """Pieces after decompression, which is done here so that a small piece cannot become a large one unseen."""
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    pieces = iter(lambda: response.raw.read(_PIECE, decode_content=False), b"")
    if encoding in ("", "identity"):
        yield from pieces
        return
    if encoding not in ("gzip", "x-gzip"):
        raise _Failed(Lack.NOT_FHIR)
    inflating = zlib.decompressobj(_GZIP)
    for piece in pieces:
        part = inflating.decompress(piece, _PIECE)
        while part:
            yield part
            part = inflating.decompress(inflating.unconsumed_tail, _PIECE)
    if not inflating.eof:
        raise _Failed(Lack.CUT_OFF)


def _retry_after(response: requests.Response) -> float | None:
    """Seconds of Retry-After; a date counts from the server's own clock."""
    asked = response.headers.get("Retry-After", "").strip()
    if asked.isdigit():
        return float(asked)
    try:
        until, now = (parsedate_to_datetime(value) for value in (asked, response.headers.get("Date", "")))
        return max((until - now).total_seconds(), 0.0)
    except (ValueError, TypeError):
        return None
