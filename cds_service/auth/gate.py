"""From the Authorization header of a call to the client that made it.

Order of checks (CH-135): form, issuer, audience, time, tenant, signature, first use. Keys of a client are in the store;
what a key set on the network holds is copied there, so that all processes share one copy and one limit on fetching.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cds_service.auth.keys import read_key_set
from cds_service.auth.tokens import Claims, Token, check_claims, check_signature, ends, read_token
from cds_service.clients import Caller, Client, Key
from cds_service.errors import ClientInvalid, RemoteError, Unauthenticated
from cds_service.observability import logger
from cds_service.store.clients import GIVEN, ClientStore, Fetch, Registered

FRESH: Final = timedelta(minutes=15)
"""How long a fetched key set is used without asking again."""

USABLE: Final = timedelta(hours=24)
"""How long a fetched key set is used while its address does not answer."""

BETWEEN_FETCHES: Final = timedelta(seconds=30)
"""Least time between two fetches of one key set, whoever asks."""

_LARGEST_KEY_SET: Final = 256 * 1024
_FETCH_SECONDS: Final = 5.0
_WAITS: Final = 20
_WAIT_SECONDS: Final = 0.1

Fetcher = Callable[[str, int, float], bytes]
"""Reads a document from an address, with at most so many bytes in at most so many seconds; may raise RemoteError."""


@dataclass(frozen=True, slots=True)
class Gate:
    """Lets registered clients through and nobody else.

    Attributes:
        skew_seconds: how far a client's clock may be off.
    """

    clients: ClientStore
    fetch: Fetcher
    now: Callable[[], datetime]
    skew_seconds: int

    def caller(self, authorization: str | None, url: str) -> Caller:
        """Who makes the call to ``url``.

        Raises:
            Unauthenticated: nobody we know, or not proven; the reason is for the log.
            StoreError: it cannot be found out.
        """
        token = read_token(authorization)
        registered = self.clients.with_issuer(token.claims.iss)
        if registered is None:
            raise Unauthenticated("unknown-issuer")
        client = registered.client
        if not client.enabled:
            raise Unauthenticated("client-disabled")
        check_claims(token.claims, url, self.now(), self.skew_seconds)
        if client.tenants and token.claims.tenant not in client.tenants:
            raise Unauthenticated("wrong-tenant")
        check_signature(token, self._key(token, registered))
        self._use(token.claims)
        return Caller(client, token.claims.tenant if client.tenants else None)

    def _use(self, claims: Claims) -> None:
        digest = hashlib.sha256(f"{claims.iss}\0{claims.jti}".encode("utf-8", "surrogatepass")).hexdigest()
        until = ends(claims) + timedelta(seconds=self.skew_seconds)
        if not self.clients.use_token(digest, until, self.now()):
            raise Unauthenticated("replayed")

    def _key(self, token: Token, registered: Registered) -> Key:
        """The key a token names: from the set it points to, else from any source agreed with the client.

        A key set is read when it is not fresh or does not hold the key; until it answers, the key it had is used.
        """
        if token.jku is not None and token.jku not in registered.client.jkus:
            raise Unauthenticated("jku-not-listed")
        sources = (token.jku,) if token.jku is not None else (GIVEN, *registered.client.jkus)
        for source in sources:
            found = self._named(token.kid, sources, registered)
            if found is not None and (found.source == GIVEN or self._age(registered, found.source) <= FRESH):
                return found
            if source != GIVEN and (found is None or found.source == source):
                registered = self._refreshed(registered, source, wait=found is None)
        found = self._named(token.kid, sources, registered)
        if found is None:
            raise Unauthenticated("unknown-key")
        return found

    def _named(self, kid: str, sources: tuple[str, ...], registered: Registered) -> Key | None:
        usable = [source for source in sources if source == GIVEN or self._age(registered, source) < USABLE]
        by_name = {(key.source, key.kid): key for key in registered.keys}
        return next((by_name[source, kid] for source in usable if (source, kid) in by_name), None)

    def _age(self, registered: Registered, url: str) -> timedelta:
        fetched = registered.fetches.get(url, Fetch()).fetched_at
        return self.now() - fetched if fetched is not None else timedelta.max

    def _refreshed(self, registered: Registered, url: str, *, wait: bool) -> Registered:
        """The client after its key set was read again, by us or, if we wait, by whoever is reading it now."""
        now = self.now()
        if self.clients.claim_fetch(registered.client.id, url, now, now - BETWEEN_FETCHES):
            try:
                fetch_keys(self.clients, self.fetch, registered.client, url, now)
            except (ClientInvalid, RemoteError) as error:
                logger().warning("key set not read", client=registered.client.id, slug=error.slug)
        elif wait:
            self._wait_for_another(registered, url)
        current = self.clients.with_issuer(registered.client.issuer)
        if current is None:
            raise Unauthenticated("unknown-issuer")
        return current

    def _wait_for_another(self, registered: Registered, url: str) -> None:
        """Wait, not for long, while another thread or process is reading the key set."""
        for _ in range(_WAITS):
            current = self.clients.with_issuer(registered.client.issuer)
            fetch = current.fetches.get(url) if current else None
            if fetch is None or fetch.tried_at is None:
                return
            finished = fetch.fetched_at is not None and fetch.fetched_at >= fetch.tried_at
            if finished or self.now() - fetch.tried_at > timedelta(seconds=_FETCH_SECONDS):
                return
            time.sleep(_WAIT_SECONDS)


def fetch_keys(clients: ClientStore, fetch: Fetcher, client: Client, url: str, now: datetime) -> tuple[str, ...]:
    """Read a client's key set from its address into the store, and say what was left out of it.

    Raises:
        RemoteError: it cannot be read.
        ClientInvalid: it is no key set, or holds no key that can be used.
    """
    found = read_key_set(fetch(url, _LARGEST_KEY_SET, _FETCH_SECONDS), url)
    if not found.keys:
        raise ClientInvalid(f"The key set at {url} holds no key that can be used.")
    clients.keep_fetched(client.id, url, found.keys, now)
    return found.left_out
