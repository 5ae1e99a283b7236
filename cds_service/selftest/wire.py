"""Calls to the service under test: each on a connection of its own, signed if asked, bounded in size and time."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

import msgspec

from cds_service import __version__
from cds_service.auth.signing import Signer
from cds_service.errors import RemoteError
from cds_service.http_client import Exchange, exchange

JSON: Final = "application/json"
SIGNED: Final = "signed"
"""In place of a token: one of our own, if there is a key to sign with."""

MOST_BYTES: Final = 16 * 1024 * 1024
"""Longest answer that is read."""

_MOST_UNANSWERED: Final = 5
"""After so many calls in a row without an answer no more are made."""

NOT_JSON: Final = object()
"""In place of the content of a body that is no JSON."""


@dataclass(frozen=True, slots=True)
class Got:
    """An answer."""

    exchange: Exchange

    @property
    def status(self) -> int:
        """Its status."""
        return self.exchange.status

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.exchange.seconds

    def header(self, name: str) -> str:
        """The value of a header; empty when it is not there."""
        return self.exchange.headers.get(name, "")

    def content(self) -> Any:
        """The body, read strictly as JSON in UTF-8, or ``NOT_JSON``."""
        try:
            return msgspec.json.decode(self.exchange.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return NOT_JSON

    def told(self) -> str:
        """What is said about it in a report."""
        return f"status {self.status}"


@dataclass(frozen=True, slots=True)
class Silence:
    """No answer.

    Attributes:
        tried: whether the call was made at all.
    """

    why: str
    tried: bool = True

    def told(self) -> str:
        """What is said about it in a report."""
        return self.why


@dataclass(slots=True)
class Wire:
    """The way to the service.

    Attributes:
        base: what the paths of the specification are appended to.
        audience: the same as the service knows it, for tokens.
        clock: seconds since the epoch.
        unanswered: calls in a row that got no answer.
    """

    base: str
    audience: str
    clock: Callable[[], float]
    seconds: float
    signer: Signer | None = None
    ca_file: str = ""
    unanswered: int = field(default=0, init=False)

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        media: str = JSON,
        token: str | None = SIGNED,
        headers: Mapping[str, str] | None = None,
    ) -> Got | Silence:
        """One call; a body that is not bytes is sent as JSON, and ``token`` None sends none.

        A refusal for too many calls, or for the token there is no key for, counts as no answer, because it says nothing
        about what was asked.
        """
        if self.unanswered >= _MOST_UNANSWERED:
            return Silence(f"not tried: {_MOST_UNANSWERED} calls in a row were not answered", tried=False)
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Accept": JSON, "User-Agent": f"pnet-cds-selftest/{__version__}", **(headers or {})}
        if content is not None:
            sent["Content-Type"] = media
        anonymous = token == SIGNED and self.signer is None
        if token == SIGNED:
            token = self.signer.token(self.audience + path, self.clock()) if self.signer else None
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        try:
            got = exchange(
                method,
                self.base + path,
                sent,
                content,
                most_bytes=MOST_BYTES,
                most_seconds=self.seconds,
                ca_file=self.ca_file,
            )
        except RemoteError as error:
            self.unanswered += 1
            return Silence(str(error))
        self.unanswered = 0
        if got.status == HTTPStatus.TOO_MANY_REQUESTS:
            return Silence("refused for too many calls (429); try again later, or with fewer --service", tried=False)
        if got.status == HTTPStatus.UNAUTHORIZED and anonymous:
            return Silence("refused for want of a token (401); --issuer and --key sign calls", tried=False)
        return Got(got)


DISCOVERY: Final = "/cds-services"


def path_of(service: str, *more: str) -> str:
    """The path of a service, or of something below it."""
    return "/".join([DISCOVERY, *(quote(part, safe="") for part in (service, *more))])
