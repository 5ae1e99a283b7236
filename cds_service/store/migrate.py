"""Brings a database to the current schema with the packaged migrations."""

from __future__ import annotations

from importlib.resources import as_file, files

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, func, select

from cds_service.errors import StoreError

_LOCK = 5_064_521
"""Any number that no other user of the database takes as an advisory lock."""


def _config(location: str) -> Config:
    config = Config()
    config.set_main_option("script_location", location.replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def migrate(engine: Engine, to: str = "head") -> None:
    """Create or upgrade the schema, to the newest migration unless another is named.

    A schema that a later release has made is left as it is, see :func:`serves`.

    Raises:
        StoreError: the database cannot be reached or upgraded.
    """
    with as_file(files("cds_service.store") / "migrations") as folder:
        config = _config(str(folder))
        try:
            with engine.begin() as connection:
                _alone(connection)
                if _later(MigrationContext.configure(connection).get_current_revision(), _newest(config)):
                    return
                config.attributes["connection"] = connection
                command.upgrade(config, to)
        except Exception as error:
            raise StoreError(f"The store cannot be brought to the current schema: {type(error).__name__}.") from error


def _alone(connection: Connection) -> None:
    """Several processes may start at once: one migrates, the others wait and find it done."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))


def is_current(engine: Engine) -> bool:
    """Whether the database is at the newest migration."""
    at, newest = revisions(engine)
    return at == newest


def serves(engine: Engine) -> bool:
    """Whether this release can work on the database: at its newest migration, or at one of a later release.

    In every rolling update the first instance of the new release migrates while others of the old one still answer
    calls. Migrations therefore only add what earlier releases do without, and have numbers that grow.
    """
    at, newest = revisions(engine)
    return at == newest or _later(at, newest)


def _later(at: str | None, newest: str) -> bool:
    return at is not None and at.isdecimal() and int(at) > int(newest)


def revisions(engine: Engine) -> tuple[str | None, str]:
    """The migration the database is at, if any, and the newest one."""
    with as_file(files("cds_service.store") / "migrations") as folder:
        newest = _newest(_config(str(folder)))
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision(), newest


def _newest(config: Config) -> str:
    return str(ScriptDirectory.from_config(config).get_current_head())
