"""Opens databases; the only module that knows their drivers' quirks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from cds_service.errors import SettingsError

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
        return create_engine(parsed, pool_pre_ping=True)
    if parsed.database and parsed.database != ":memory:":
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(parsed, connect_args={"timeout": _BUSY_SECONDS})
    event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    """Write-ahead log, so that readers and the writer do not wait for each other; foreign keys enforced."""
    cursor = connection.cursor()
    for statement in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=NORMAL", "PRAGMA foreign_keys=ON"):
        cursor.execute(statement)
    cursor.close()
