"""Brings a database to the current schema with the packaged migrations."""

from __future__ import annotations

from importlib.resources import as_file, files

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

from cds_service.errors import StoreError


def _config(location: str) -> Config:
    config = Config()
    config.set_main_option("script_location", location.replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def migrate(engine: Engine) -> None:
    """Create or upgrade the schema.

    Raises:
        StoreError: the database cannot be reached or upgraded.
    """
    with as_file(files("cds_service.store") / "migrations") as folder:
        config = _config(str(folder))
        try:
            with engine.begin() as connection:
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
        except Exception as error:
            raise StoreError(f"The store cannot be brought to the current schema: {type(error).__name__}.") from error


def is_current(engine: Engine) -> bool:
    """Whether the database is at the newest migration."""
    with as_file(files("cds_service.store") / "migrations") as folder:
        newest = ScriptDirectory.from_config(_config(str(folder))).get_current_head()
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision() == newest
