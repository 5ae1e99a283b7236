"""Reads from one FHIR server: in parallel, page after page, within one deadline. Knows paging, not medicine.

A read that fails keeps the pages that came before and says why it ended; nothing is raised. Every address asked lies on
the server and below its base path, and the token goes nowhere else.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from threading import Event
from typing import Final

from cds_service import __version__
from cds_service.domain.terms import Lack
from cds_service.fhir.policy import Base, ReadPolicy
from cds_service.fhir.prefetch import opened
from cds_service.http_client import Allowance, Connections, Reply, look_up
from cds_service.protocol.authorization import FhirAccess

_PARALLEL: Final = 6
_PAUSES: Final = (0.1, 0.3, 0.9)
"""Seconds to wait before each further try of a busy server that does not say how long."""
_GRACE_SECONDS: Final = 0.2
"""How long reads may take to notice that time is up."""
_LARGEST_SHARE: Final = 2
"""One input takes at most this fraction of the bytes of a call."""
_BUSY: Final = (429, 503)
_REFUSED: Final = (401, 403)
_OK: Final = 200
_REDIRECTS: Final = range(300, 400)
_CLIENT_ERRORS: Final = range(400, 500)
_NOT_IMPLEMENTED: Final = 501

LookUp = Callable[[str, int, float], Sequence[str]]


@dataclass(slots=True)
class Fetched:
    """Pages read under one key, as raw JSON in their order, and why there are not more of them."""

    pages: list[bytes] = field(default_factory=list)
    lack: Lack | None = Lack.TIMED_OUT
    """None once the last page was read."""


Read = Callable[[FhirAccess, Base, Mapping[str, str], ReadPolicy], Mapping[str, Fetched]]
"""Reads the queries given by key, each relative to the server or the address of a page of it."""


def read(
    access: FhirAccess, base: Base, queries: Mapping[str, str], policy: ReadPolicy, *, look_up: LookUp = look_up
) -> Mapping[str, Fetched]:
    """Read all queries at once; returns when the time of the policy is over, whatever the server does."""
    ends = time.monotonic() + policy.seconds
    addresses = look_up(base.host, base.port, policy.seconds)
    if not addresses:
        return {key: Fetched(lack=Lack.UNREACHABLE) for key in queries}
    if not policy.check(base, addresses):
        return {key: Fetched(lack=Lack.ADDRESS_REFUSED) for key in queries}
    call = _Call(access, base, policy, ends, Connections(base.host, base.port, addresses, policy.ca_file, _PARALLEL))
    return call.read(queries)


@dataclass(slots=True)
class _Call:
    """The reads of one call."""

    access: FhirAccess
    base: Base
    policy: ReadPolicy
    ends: float
    connections: Connections
    over: Event = field(default_factory=Event)

    def read(self, queries: Mapping[str, str]) -> Mapping[str, Fetched]:
        found = {key: Fetched() for key in queries}
        total = Allowance(self.policy.max_bytes)
        workers = ThreadPoolExecutor(_PARALLEL, thread_name_prefix="fhir-read")
        try:
            running: list[Future[None]] = [
                workers.submit(self._pages, query, found[key], total) for key, query in queries.items()
            ]
            wait(running, self._left())
        finally:
            self.over.set()
            self.connections.close()
            workers.shutdown(wait=False, cancel_futures=True)
        wait([one for one in running if not one.cancelled()], _GRACE_SECONDS)
        return {key: Fetched(list(one.pages), one.lack) for key, one in found.items()}

    def _left(self) -> float:
        return max(self.ends - time.monotonic(), 0.0)

    def _pages(self, query: str, into: Fetched, total: Allowance) -> None:
        """Read page after page until the last one or until something ends it."""
        share = total.share(self.policy.max_bytes // _LARGEST_SHARE)
        seen: set[str] = set()
        link: str | None = query
        while link is not None:
            url = self.base.resolve(link)
            if url is None or url in seen:
                into.lack = Lack.FOREIGN_LINK if url is None else Lack.TOO_MANY_PAGES
                return
            if len(into.pages) >= self.policy.max_pages:
                into.lack = Lack.TOO_MANY_PAGES
                return
            seen.add(url)
            page = self._page(url, share)
            if isinstance(page, Lack):
                into.lack = page
                return
            try:
                page, link = opened(page)
            except ValueError:
                into.lack = Lack.NOT_FHIR
                return
            into.pages.append(page)
        into.lack = None

    def _page(self, url: str, share: Allowance) -> bytes | Lack:
        """One page; a busy server is asked again after the pause it names, as far as time allows."""
        for pause in (*_PAUSES, None):
            if self.over.is_set():
                return Lack.TIMED_OUT
            reply = self.connections.get(url, self._headers(), self._left(), share)
            if self.over.is_set():  # an answer that was cut off by the end of time can look like any other failure
                return Lack.TIMED_OUT
            if isinstance(reply, Lack):
                return reply
            if reply.status not in _BUSY:
                return reply.body if reply.status == _OK else _refusal(reply)
            if pause is None:
                break
            asked = reply.retry_after
            seconds = pause * (1 + random.random() / 2) if asked is None else asked  # noqa: S311 - spreads load
            if seconds >= self._left() or self.over.wait(seconds):
                break
        return Lack.BUSY

    def _headers(self) -> dict[str, str]:
        headers = {
            "Accept": "application/fhir+json",
            "Accept-Encoding": "gzip",
            "Cache-Control": "no-cache",  # HAPI answers a search it was asked within a minute from memory otherwise
            "User-Agent": f"pnet-cds/{__version__}",
        }
        if self.access.token is not None:
            headers["Authorization"] = f"Bearer {self.access.token}"
        return headers


def _refusal(reply: Reply) -> Lack:
    """What an answer without data says."""
    if reply.status in _REFUSED:
        return Lack.UNAUTHORISED
    if reply.status in _REDIRECTS:
        return Lack.REDIRECTED
    if reply.status in _CLIENT_ERRORS or reply.status == _NOT_IMPLEMENTED:
        return Lack.NOT_OFFERED
    return Lack.SERVER_ERROR
