"""Opens databases; the only module that knows their drivers' quirks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from cds_service.errors import SettingsError, StoreError

_BUSY_SECONDS = 10


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
        return _open_other(parsed)
    if parsed.database and parsed.database != ":memory:":
        _make_folder(Path(parsed.database).parent)
    engine = create_engine(parsed, connect_args={"timeout": _BUSY_SECONDS})
    event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _open_other(url: URL) -> Engine:
    try:
        return create_engine(url, pool_pre_ping=True)
    except (NoSuchModuleError, ImportError):
        raise SettingsError(
            f"PNET_CDS_DATABASE_URL: there is no driver for {url.drivername!r} in this installation"
        ) from None


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"The folder of the SQLite file cannot be made: {error.strerror}.") from None


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    """Write-ahead log, so that readers and the writer do not wait for each other; foreign keys enforced."""
    cursor = connection.cursor()
    for statement in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=NORMAL", "PRAGMA foreign_keys=ON"):
        cursor.execute(statement)
    cursor.close()
