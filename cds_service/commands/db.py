"""``pnet-cds db``: the store's schema, contents and retention."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import click

from cds_service.commands.opening import days, opened
from cds_service.settings import load_settings
from cds_service.store.base import Kept
from cds_service.store.connect import open_engine
from cds_service.store.migrate import migrate as migrate_store
from cds_service.store.spool import waiting_in


@click.group()
def db() -> None:
    """The store: schema, contents, retention."""


@db.command()
def migrate() -> None:
    """Make the store or bring it to the current schema. Starting the service does the same."""
    engine = open_engine(load_settings().database_url)
    try:
        migrate_store(engine)
    finally:
        engine.dispose()
    click.echo("The store is at the current schema.")


@db.command()
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def status(*, as_json: bool) -> None:
    """Show the schema and how much the store holds. Exit status 1 if the schema is not the current one."""
    settings = load_settings()
    with opened(settings, current=False) as archive:
        at, newest = archive.revisions()
        where = archive.engine.url.render_as_string(hide_password=True)
        current = at == newest
        kept = archive.kept() if current else None
        oldest = archive.oldest() if current else None
    waiting = waiting_in(settings.spool_folder)
    told = {
        "store": where,
        "schema": at or "none",
        "newest_schema": newest,
        "consults": kept.consults if kept else None,
        "cards": kept.cards if kept else None,
        "feedback": kept.feedback if kept else None,
        "spooled_bytes": waiting.spooled,
        "set_aside_bytes": waiting.set_aside,
        "oldest_consult": oldest.isoformat() if oldest else None,
        "retention_days": settings.retention_days or None,
    }
    if as_json:
        click.echo(json.dumps(told))
    else:
        for name, value in told.items():
            click.echo(f"{name.replace('_', ' ')}: {'-' if value is None else value}")
    if not current:
        raise click.ClickException("The schema is not the current one; run `pnet-cds db migrate`.")


@db.command()
@click.option("--older-than", type=days, metavar="DAYS", help="Age, as 365d; default: PNET_CDS_RETENTION_DAYS.")
@click.option("--yes", is_flag=True, help="Delete; without it the command only counts.")
def purge(older_than: int | None, *, yes: bool) -> None:
    """Delete consults older than an age, with their cards and feedback. Counts only, unless --yes is given."""
    settings = load_settings()
    age = older_than or settings.retention_days
    if not age:
        raise click.UsageError("Give --older-than, or set PNET_CDS_RETENTION_DAYS.")
    before = datetime.now(UTC) - timedelta(days=age)
    with opened(settings) as archive:
        gone = archive.purge(before) if yes else archive.kept(before)
    click.echo(f"{'Deleted' if yes else 'Would delete'} {_words(gone)} from before {before:%Y-%m-%d %H:%M} UTC.")
    if not yes:
        click.echo("Nothing was deleted; add --yes to delete.")


def _words(kept: Kept) -> str:
    return f"{kept.consults} consults, {kept.cards} cards, {kept.feedback} feedback entries"
