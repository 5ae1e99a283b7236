"""What the commands on the store share: opening it, periods and ages."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from cds_service.errors import StoreError
from cds_service.settings import Settings
from cds_service.store.archive import Archive
from cds_service.store.connect import open_engine
from cds_service.store.spool import adopt
from cds_service.store.sql import SqlStore


@contextmanager
def opened(settings: Settings, *, current: bool = True) -> Iterator[Archive]:
    """The configured store; a command never makes one by accident, and closes it in the end.

    Raises:
        StoreError: there is none, or (with ``current``) its schema is not the current one.
    """
    path = settings.sqlite_path
    if path is not None and not path.is_file():
        raise StoreError("There is no store at PNET_CDS_DATABASE_URL yet; `pnet-cds db migrate` makes it.")
    engine = open_engine(settings.database_url)
    try:
        archive = Archive(engine)
        if current:
            archive.require_current()
            adopt(settings.spool_folder, SqlStore(engine))  # what processes left that are no more
        yield archive
    finally:
        engine.dispose()


_DAY = click.DateTime(["%Y-%m-%d"])


def period(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options ``--since`` and ``--until``."""
    since = click.option("--since", type=_DAY, help="First day, YYYY-MM-DD (UTC); default: the beginning.")
    until = click.option("--until", type=_DAY, help="Last day, YYYY-MM-DD (UTC); default: today.")
    return since(until(command))


def instants(since: datetime | None, until: datetime | None) -> tuple[datetime | None, datetime | None]:
    """Days to instants: from the beginning of the first to before the day after the last."""
    if since and until and until < since:
        raise click.UsageError("--until is before --since.")
    first = since.replace(tzinfo=UTC) if since else None
    return first, until.replace(tzinfo=UTC) + timedelta(days=1) if until else None


def days(value: str) -> int:
    """An age in days, as ``365d`` or ``365``."""
    match = re.fullmatch(r"(\d{1,5})d?", value, re.ASCII)
    if match is None or not int(match[1]):
        raise click.BadParameter(f"{value!r} is not a number of days such as 365d.")
    return int(match[1])
