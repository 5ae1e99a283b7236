"""Opens databases; the only module that knows their drivers' quirks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from cds_service.errors import SettingsError, StoreError

_BUSY_SECONDS = 10
_PATIENCE = {"connect_timeout": 3, "tcp_user_timeout": 5000}
"""Seconds until a server that does not answer is given up, and milliseconds until a connection that went dead is."""
_POSTGRESQL = ("postgres", "postgresql")
"""Spellings without a driver; the driver is psycopg."""


def open_engine(url: str) -> Engine:
    """An engine for a database URL; the folder of an SQLite file is made if needed.

    Raises:
        SettingsError: the URL cannot be understood.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise SettingsError("PNET_CDS_DATABASE_URL: not a database URL such as sqlite:///var/pnet-cds.sqlite") from None
    if parsed.get_backend_name() != "sqlite":
        return _open_postgresql(parsed)
    if parsed.database and parsed.database != ":memory:":
        _make_folder(Path(parsed.database).parent)
    engine = create_engine(parsed, connect_args={"timeout": _BUSY_SECONDS}, json_serializer=_json)
    event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _open_postgresql(url: URL) -> Engine:
    if url.drivername in _POSTGRESQL:
        url = url.set(drivername="postgresql+psycopg")
    try:
        engine = create_engine(url, pool_pre_ping=True, connect_args=_PATIENCE, json_serializer=_json)
    except (NoSuchModuleError, ImportError):
        raise SettingsError(
            f"PNET_CDS_DATABASE_URL: there is no driver for {url.drivername!r} in this installation; SQLite needs "
            "none, PostgreSQL needs the extra pnet-cds[postgres]"
        ) from None
    event.listen(engine, "connect", _prepare_postgresql)
    return engine


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"The folder of the SQLite file cannot be made: {error.strerror}.") from None


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    """Write-ahead log, so that readers and the writer do not wait for each other; foreign keys enforced.

    A commit waits for the disk (FULL): what was acknowledged outlives a killed process with NORMAL as well, but a power
    cut only with FULL.
    """
    cursor = connection.cursor()
    for statement in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "PRAGMA foreign_keys=ON"):
        cursor.execute(statement)
    cursor.close()


def _prepare_postgresql(connection: Any, _record: Any) -> None:
    """A commit waits for the disk, also where the server is set up not to; stricter settings stay."""
    cursor = connection.cursor()
    cursor.execute(
        "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
    )
    cursor.close()
    connection.commit()
