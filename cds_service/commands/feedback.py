"""``pnet-cds feedback``: how clinicians receive the advice."""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cds_service.commands.opening import instants, opened, period
from cds_service.knowledge import load_knowledge
from cds_service.reports.feedback import KEYS, REASON, FeedbackReport, Row, feedback_report
from cds_service.settings import load_settings
from cds_service.web.feedback_page import document

_FILE = click.Path(dir_okay=False, writable=True, path_type=Path)
_MAIN_REASONS = 2
_COUNTS = ("shown", "accepted", "overridden", "ignored")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@click.group()
def feedback() -> None:
    """What became of the cards."""


@feedback.command()
@period
@click.option("--by", type=click.Choice(list(KEYS)), default="rule", show_default=True, help="What to count by.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="Print the rows as CSV.")
@click.option("--html", type=_FILE, metavar="FILE", help="Write all of it as a page, with charts and over time.")
def report(
    since: datetime | None, until: datetime | None, by: str, *, as_json: bool, as_csv: bool, html: Path | None
) -> None:
    """Count cards accepted, overridden and ignored, and why. Ignored are cards on which no feedback came.

    Periods count by when a card was shown; of several reports on a card the last decision counts.
    """
    if as_json + as_csv + bool(html) > 1:
        raise click.UsageError("Give one of --json, --csv and --html.")
    span, settings = instants(since, until), load_settings()
    with opened(settings) as archive:
        cards = tuple(archive.shown(*span))
        unknown = archive.on_unknown_cards(*span)
    found = feedback_report(cards, by)
    if html:
        about = _about(since, until, unknown)
        html.write_text(document(cards, load_knowledge(), settings.public_url or "", about), encoding="utf-8")
        click.echo(f"Wrote {html}: {found.total.shown} cards.")
    elif as_json:
        told = {"by": by, "total": _object(found.total, found), "rows": [_object(row, found) for row in found.rows]}
        days = {"since": since and f"{since:%Y-%m-%d}", "until": until and f"{until:%Y-%m-%d}"}
        click.echo(json.dumps(days | told | {"feedback_on_unknown_cards": unknown}, ensure_ascii=False))
    elif as_csv:
        click.echo(_csv(found), nl=False)
    else:
        _print(found, unknown)


def _about(since: datetime | None, until: datetime | None, unknown: int) -> str:
    """Which cards a page counts."""
    first, last = (f"{day:%Y-%m-%d}" if day else "" for day in (since, until))
    span = f"Cards shown {f'from {first}' if first else 'from the beginning'} to {last or 'the day of writing'} (UTC)."
    return span + (f" Feedback on cards that are not in the store (any more): {unknown}." if unknown else "")


def _object(row: Row, found: FeedbackReport) -> dict[str, Any]:
    counts: dict[str, Any] = {name: getattr(row, name) for name in _COUNTS}
    rates = {f"{name}_rate": _rate(row.share(counts[name])) for name in _COUNTS[1:]}
    reasons = [{"reason": key, "display": found.displays[key], "cards": n} for key, n in row.reasons.most_common()]
    return {"key": row.key, **counts, **rates, "reasons": reasons}


def _rate(share: float | None) -> float | None:
    return None if share is None else round(share, 4)


def _csv(found: FeedbackReport) -> str:
    written = io.StringIO()
    out = csv.writer(written, lineterminator="\n")
    out.writerow((found.by, *_COUNTS, *(f"{name}_rate" for name in _COUNTS[1:]), "reasons"))
    for row in found.rows:
        told = _object(row, found)
        reasons = "; ".join(f"{item['display']}: {item['cards']}" for item in told.pop("reasons"))
        out.writerow([_harmless(str("" if value is None else value)) for value in (*told.values(), reasons)])
    return written.getvalue()


def _harmless(cell: str) -> str:
    """Words of clients are no formulas: a spreadsheet shall show them, not run them."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def _print(found: FeedbackReport, unknown: int) -> None:
    table = Table(title=f"Cards by {found.by}", title_justify="left")
    table.add_column(found.by)
    for name in _COUNTS:
        table.add_column(name, justify="right")
    table.add_column("main reasons for overriding")
    for row in (*found.rows, found.total):
        name = found.displays.get(row.key, row.key) if found.by == REASON else row.key
        table.add_row(Text(name), *(_cell(row, each) for each in _COUNTS), Text(_main_reasons(row, found)))
    console = Console()
    console.print(table)
    if unknown:
        console.print(f"Feedback on cards that are not in the store (any more): {unknown}")


def _cell(row: Row, name: str) -> str:
    count = getattr(row, name)
    share = row.share(count)
    return str(count) if name == "shown" or share is None else f"{count} ({share:.0%})"


def _main_reasons(row: Row, found: FeedbackReport) -> str:
    return ", ".join(f"{found.displays[key]} ({n})" for key, n in row.reasons.most_common(_MAIN_REASONS))
