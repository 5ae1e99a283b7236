"""Clients while the database is away, where the site wants calls to go on: as they were known last.

A token is then good once for each machine, by a file named after it. Whoever was let in before the outage with a token
can use it once more in it; whoever was disabled, by another process and just before, is let in until the database is
back. That is why a site has to say so.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar

from cds_service.clients import Key
from cds_service.errors import StoreError
from cds_service.observability import logger
from cds_service.store.clients import ClientStore, Registered

_RETRY_SECONDS: Final = 1.0
_ANSWER_SECONDS: Final = 60.0
"""Longer than any attempt to reach the database takes."""
_MY_FOLDER: Final = 0o700
_MINE: Final = 0o600
_FORGOTTEN_SECONDS: Final = 3 * 3600
"""Age at which the file of a token goes: tokens live an hour at most."""
_Answer = TypeVar("_Answer")


class RememberingClients:
    """The clients of a database, and what is remembered of them while it is away."""

    def __init__(self, clients: ClientStore, folder: Path) -> None:
        self._clients, self._folder = clients, folder
        self._known: dict[str, Registered] = {}
        self._asking = threading.Lock()
        self._away_until: float | None = None
        self._moment = 0.0

    def with_issuer(self, issuer: str) -> Registered | None:
        """The client whose tokens have this issuer."""

        def ask() -> Registered | None:
            found = self._clients.with_issuer(issuer)
            if found is None:
                self._known.pop(issuer, None)
            else:
                self._known[issuer] = found
            return found

        return self._asked(ask, lambda: self._known.get(issuer))

    def all(self) -> tuple[Registered, ...]:
        """Every client, by id; asked at the start, which needs the database."""
        found = self._clients.all()
        self._known = {each.client.issuer: each for each in found}
        return found

    def origins(self) -> frozenset[str]:
        """The origins of browser pages of all clients that are enabled."""
        return self._asked(self._clients.origins, self._known_origins)

    def _known_origins(self) -> frozenset[str]:
        enabled = [each.client for each in self._known.values() if each.client.enabled]
        return frozenset(origin for client in enabled for origin in client.cors_origins)

    def release(self) -> None:
        """Close idle connections."""
        self._clients.release()

    def claim_fetch(self, client_id: str, url: str, now: datetime, quiet_since: datetime) -> bool:
        """Take the right to fetch a key set; nobody has it while the database, which would keep it, is away."""
        return self._asked(lambda: self._clients.claim_fetch(client_id, url, now, quiet_since), lambda: False)

    def keep_fetched(self, client_id: str, url: str, keys: Iterable[Key], now: datetime) -> None:
        """Replace the keys that were read from an address."""
        self._clients.keep_fetched(client_id, url, keys, now)

    def use_token(self, digest: str, expires_at: datetime, now: datetime) -> bool:
        """Note a token as used; false when it was used before, or on this machine while the database was away."""
        file, self._moment = self._folder / digest, now.timestamp()
        if file.exists():
            return False
        return self._asked(lambda: self._clients.use_token(digest, expires_at, now), lambda: self._claim(file))

    def _claim(self, file: Path) -> bool:
        """Making the file decides between processes.

        Raises:
            StoreError: it cannot be made, so the token cannot be noted.
        """
        try:
            self._folder.mkdir(_MY_FOLDER, parents=True, exist_ok=True)
            file.touch(_MINE, exist_ok=False)
        except FileExistsError:
            return False
        except OSError as error:
            raise StoreError(f"A used token cannot be noted: {error.strerror}.") from None
        return True

    def _asked(self, ask: Callable[[], _Answer], otherwise: Callable[[], _Answer]) -> _Answer:
        """Ask the database or, while it is away, what is remembered; one thread finds out whether it is back."""
        if not self._may_ask():
            return otherwise()
        try:
            answer = ask()
        except StoreError as error:
            if self._away_until is None:
                logger().error("clients as known last", slug=error.slug)
            self._away_until = time.monotonic() + _RETRY_SECONDS
            return otherwise()
        if self._away_until is not None:
            logger().warning("clients from the database again")
            self._forget_tokens()
        self._away_until = None
        return answer

    def _forget_tokens(self) -> None:
        """Delete the files of tokens that have long expired."""
        for file in self._folder.glob("*"):
            with suppress(OSError):  # another process does the same
                if self._moment - file.stat().st_mtime > _FORGOTTEN_SECONDS:
                    file.unlink()

    def _may_ask(self) -> bool:
        with self._asking:
            if self._away_until is None:
                return True
            if time.monotonic() < self._away_until:
                return False
            self._away_until = time.monotonic() + _ANSWER_SECONDS
            return True
