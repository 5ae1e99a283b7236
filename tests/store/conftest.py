"""Databases of both kinds for the tests of the store; what is promised is promised on both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from cds_service.store.connect import open_engine
from cds_service.store.migrate import migrate
from cds_service.store.sql import SqlStore
from tests.postgres import PostgresServer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database file in a folder that does not exist yet."""
    return tmp_path / "var" / "consults.sqlite"


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{path}"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    """An engine on it, without a schema."""
    opened = open_engine(url)
    yield opened
    opened.dispose()


@pytest.fixture
def store(engine: Engine) -> SqlStore:
    """A store at the current schema."""
    migrate(engine)
    return SqlStore(engine)


@pytest.fixture
def file_store(path: Path) -> Iterator[SqlStore]:
    """The same, on SQLite only."""
    engine = open_engine(f"sqlite:///{path}")
    migrate(engine)
    yield SqlStore(engine)
    engine.dispose()
