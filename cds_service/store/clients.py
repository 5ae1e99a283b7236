"""Clients, their keys and their used tokens in the database, shared by all processes that answer calls."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from sqlalchemy import Connection, Engine, Row, Select, bindparam, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from cds_service.clients import Client, Key, PamaPlacement
from cds_service.errors import ClientInvalid, StoreError
from cds_service.store.connect import open_engine
from cds_service.store.migrate import migrate
from cds_service.store.rows import in_utc
from cds_service.store.tables import client, client_jku, client_key, used_token

GIVEN = ""
"""The source of keys that were given out of band."""

_ALL: Final = select(client).order_by(client.c.id)
_NAMED: Final = _ALL.where(client.c.id == bindparam("client"))
_WITH_ISSUER: Final = _ALL.where(client.c.issuer == bindparam("issuer"))
_FETCHES: Final = select(client_jku).where(client_jku.c.client_id == bindparam("client")).order_by(client_jku.c.url)
_KEYS: Final = (
    select(client_key)
    .where(client_key.c.client_id == bindparam("client"))
    .order_by(client_key.c.source, client_key.c.kid)
)
_FORGET: Final = delete(used_token).where(used_token.c.expires_at < bindparam("now"))
_USE: Final = insert(used_token)
"""What every call with a token asks; put together once, which takes longer than to ask."""


@dataclass(frozen=True, slots=True)
class Fetch:
    """When a key set was last asked for, and when it was last had."""

    tried_at: datetime | None = None
    fetched_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Registered:
    """A client with its keys, and the state of each address its keys are read from."""

    client: Client
    keys: tuple[Key, ...]
    fetches: Mapping[str, Fetch]


class ClientStore(Protocol):
    """What answering a call needs to know of clients. Every function may raise StoreError."""

    def with_issuer(self, issuer: str) -> Registered | None:
        """The client whose tokens have this issuer."""

    def all(self) -> tuple[Registered, ...]:
        """Every client, by id."""

    def origins(self) -> frozenset[str]:
        """The origins of browser pages of all clients that are enabled."""

    def release(self) -> None:
        """Close idle connections, so that processes that are made from this one do not share them."""

    def claim_fetch(self, client_id: str, url: str, now: datetime, quiet_since: datetime) -> bool:
        """Take the right to fetch a key set; false when somebody tried after ``quiet_since``."""

    def keep_fetched(self, client_id: str, url: str, keys: Iterable[Key], now: datetime) -> None:
        """Replace the keys that were read from an address."""

    def use_token(self, digest: str, expires_at: datetime, now: datetime) -> bool:
        """Note a token as used until it expires; false when it was used before, in whatever process."""


class SqlClients:
    """Clients in SQLite or PostgreSQL, through SQLAlchemy Core."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def release(self) -> None:
        """Close idle connections; the next use opens new ones."""
        self.engine.dispose()

    # --- registration -------------------------------------------------------------------------------------------------

    def add(self, new: Client) -> None:
        """Register a client.

        Raises:
            ClientInvalid: its id or issuer is registered already.
        """
        try:
            with self._writing() as connection:
                connection.execute(insert(client), _row(new))
                _point_to(connection, new)
        except IntegrityError:
            raise ClientInvalid("A client with this id or this issuer is registered already.") from None

    def change(self, changed: Client) -> None:
        """Replace the settings of a client; its keys stay, but for those from addresses it no longer has.

        Raises:
            ClientInvalid: there is no such client, or another one has the issuer.
        """
        try:
            with self._writing() as connection:
                where = client.c.id == changed.id
                if not connection.execute(update(client).where(where).values(**_row(changed))).rowcount:
                    raise _nobody(changed.id)
                kept = [GIVEN, *changed.jkus]
                connection.execute(
                    delete(client_key).where(client_key.c.client_id == changed.id, client_key.c.source.not_in(kept))
                )
                connection.execute(
                    delete(client_jku).where(client_jku.c.client_id == changed.id, client_jku.c.url.not_in(kept))
                )
                _point_to(connection, changed)
        except IntegrityError:
            raise ClientInvalid("Another client has this issuer.") from None

    def remove(self, client_id: str) -> None:
        """Remove a client and its keys. Tokens it used stay used.

        Raises:
            ClientInvalid: there is no such client.
        """
        with self._writing() as connection:
            if not connection.execute(delete(client).where(client.c.id == client_id)).rowcount:
                raise _nobody(client_id)

    def get(self, client_id: str) -> Registered:
        """A client by its id.

        Raises:
            ClientInvalid: there is no such client.
        """
        found = self._read(_NAMED, client=client_id)
        if not found:
            raise _nobody(client_id)
        return found[0]

    def with_issuer(self, issuer: str) -> Registered | None:
        """The client whose tokens have this issuer."""
        return next(iter(self._read(_WITH_ISSUER, issuer=issuer)), None)

    def all(self) -> tuple[Registered, ...]:
        """Every client, by id."""
        return self._read(_ALL)

    def origins(self) -> frozenset[str]:
        """The origins of browser pages of all clients that are enabled."""
        with _reported("The clients could not be read"), self.engine.connect() as connection:
            listed = connection.execute(select(client.c.cors_origins).where(client.c.enabled)).scalars()
            return frozenset(origin for origins in listed for origin in origins)

    def _read(self, asked: Select[Any], **named: str) -> tuple[Registered, ...]:
        with _reported("The clients could not be read"), self.engine.connect() as connection:
            rows = connection.execute(asked, named).all()
            return tuple(_registered(connection, row) for row in rows)

    # --- keys ---------------------------------------------------------------------------------------------------------

    def give_keys(self, client_id: str, keys: Iterable[Key]) -> None:
        """Add keys that were given out of band; a key of the same name is replaced."""
        given = tuple(keys)
        names = [key.kid for key in given]
        where = (client_key.c.client_id == client_id, client_key.c.source == GIVEN, client_key.c.kid.in_(names))
        try:
            with self._writing() as connection:
                connection.execute(delete(client_key).where(*where))
                _insert_keys(connection, client_id, GIVEN, given)
        except IntegrityError:
            raise _nobody(client_id) from None

    def remove_key(self, client_id: str, kid: str) -> int:
        """Remove a key by name, whatever its source, and say how many there were."""
        with self._writing() as connection:
            where = (client_key.c.client_id == client_id, client_key.c.kid == kid)
            return connection.execute(delete(client_key).where(*where)).rowcount

    def claim_fetch(self, client_id: str, url: str, now: datetime, quiet_since: datetime) -> bool:
        """Take the right to fetch a key set; false when somebody tried after ``quiet_since``."""
        with self._writing() as connection:
            claimed = connection.execute(
                update(client_jku)
                .where(
                    client_jku.c.client_id == client_id,
                    client_jku.c.url == url,
                    or_(client_jku.c.tried_at.is_(None), client_jku.c.tried_at <= quiet_since),
                )
                .values(tried_at=now)
            )
            return bool(claimed.rowcount)

    def keep_fetched(self, client_id: str, url: str, keys: Iterable[Key], now: datetime) -> None:
        """Replace the keys that were read from an address; nothing is kept for an address taken away meanwhile."""
        where = (client_jku.c.client_id == client_id, client_jku.c.url == url)
        # Of two processes that keep the same set at the same moment, either may win.
        with suppress(IntegrityError), self._writing() as connection:
            if connection.execute(update(client_jku).where(*where).values(fetched_at=now)).rowcount:
                connection.execute(
                    delete(client_key).where(client_key.c.client_id == client_id, client_key.c.source == url)
                )
                _insert_keys(connection, client_id, url, keys)

    # --- replay guard -------------------------------------------------------------------------------------------------

    def use_token(self, digest: str, expires_at: datetime, now: datetime) -> bool:
        """Note a token as used until it expires; false when it was used before, in whatever process.

        The primary key decides between two processes. What has expired is forgotten on the way.
        """
        try:
            with self._writing() as connection:
                connection.execute(_FORGET, {"now": now})
                connection.execute(_USE, {"digest": digest, "expires_at": expires_at})
        except IntegrityError:
            return False
        return True

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with _reported("The clients could not be written"), self.engine.begin() as connection:
            yield connection


def open_clients(database_url: str) -> SqlClients:
    """The clients in a database, which is brought to the current schema.

    Raises:
        SettingsError, StoreError: it cannot be opened.
    """
    engine = open_engine(database_url)
    migrate(engine)
    return SqlClients(engine)


@contextmanager
def _reported(what: str) -> Iterator[None]:
    """A failure of the database as our own error; a broken key is left to the caller, who knows what it means."""
    try:
        yield
    except IntegrityError:
        raise
    except SQLAlchemyError as error:
        raise StoreError(f"{what}: {type(error).__name__}.") from None


def _nobody(client_id: str) -> ClientInvalid:
    return ClientInvalid(f"There is no client {client_id!r}; pnet-cds client list shows those there are.")


def _row(given: Client) -> dict[str, Any]:
    return {
        "id": given.id,
        "issuer": given.issuer,
        "tenants": list(given.tenants),
        "services": list(given.services),
        "fhir_servers": list(given.fhir_servers),
        "pama": given.pama.value,
        "site_file": given.site_file,
        "cors_origins": list(given.cors_origins),
        "rate_limit": given.rate_limit,
        "enabled": given.enabled,
        "smart_client_id": given.smart_client_id,
        "frame_origins": list(given.frame_origins),
    }


def _point_to(connection: Connection, given: Client) -> None:
    """Add the addresses of keys that are not there yet."""
    known = set(connection.execute(select(client_jku.c.url).where(client_jku.c.client_id == given.id)).scalars())
    new = [{"client_id": given.id, "url": url} for url in given.jkus if url not in known]
    if new:
        connection.execute(insert(client_jku), new)


def _insert_keys(connection: Connection, client_id: str, source: str, keys: Iterable[Key]) -> None:
    rows = [{"client_id": client_id, "source": source, "kid": key.kid, "jwk": dict(key.jwk)} for key in keys]
    if rows:
        connection.execute(insert(client_key), rows)


def _registered(connection: Connection, row: Row[Any]) -> Registered:
    fetches = connection.execute(_FETCHES, {"client": row.id}).all()
    keys = connection.execute(_KEYS, {"client": row.id}).all()
    return Registered(
        client=Client(
            id=row.id,
            issuer=row.issuer,
            jkus=tuple(fetch.url for fetch in fetches),
            tenants=tuple(row.tenants),
            services=tuple(row.services),
            fhir_servers=tuple(row.fhir_servers),
            pama=PamaPlacement(row.pama),
            site_file=row.site_file,
            cors_origins=tuple(row.cors_origins),
            rate_limit=row.rate_limit,
            enabled=row.enabled,
            smart_client_id=row.smart_client_id,
            frame_origins=tuple(row.frame_origins),
        ),
        keys=tuple(Key(key.kid, key.source, key.jwk) for key in keys),
        fetches={fetch.url: _fetch(fetch.tried_at, fetch.fetched_at) for fetch in fetches},
    )


def _fetch(tried_at: datetime | None, fetched_at: datetime | None) -> Fetch:
    return Fetch(tried_at and in_utc(tried_at), fetched_at and in_utc(fetched_at))
