"""``pnet-cds sandbox``: the synthetic patients on a FHIR server, and their removal."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from datetime import date
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cds_service.commands.fhir_access import open_server, taken, token_options
from cds_service.ehr.sandbox import Loaded, find, load, remove
from fhir_profiles.synthetic import synthetic_patients

_server = click.option("--fhir-server", required=True, metavar="URL", help="Base URL of the FHIR server.")
_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


@click.group()
def sandbox() -> None:
    """Synthetic patients on a FHIR server, to try the service with. Invented data only."""


@sandbox.command("load")
@_server
@click.option(
    "--patient", "slugs", multiple=True, metavar="SLUG", help="A synthetic patient; default: all. Repeatable."
)
@click.option("--server-ids", is_flag=True, help="Let the server give the ids; what is there already stays as it is.")
@_json
@token_options("system/*.read system/*.write")
def load_patients(fhir_server: str, slugs: tuple[str, ...], server_ids: bool, as_json: bool, **given: Any) -> None:
    """Write synthetic patients, tagged as such, with the day of their story moved to today."""
    known = {patient.slug: patient for patient in synthetic_patients()}
    if unknown := sorted(set(slugs) - set(known)):
        raise click.UsageError(f"No such patient: {', '.join(unknown)}. There are {', '.join(known)}.")
    server, _ = open_server(fhir_server, taken(given))
    wanted = [known[slug] for slug in slugs or known]
    loaded = list(load(server, wanted, date.today(), server_ids=server_ids))
    if as_json:
        click.echo(json.dumps([asdict(one) for one in loaded], ensure_ascii=False))
    else:
        _print(loaded)


def _print(loaded: list[Loaded]) -> None:
    table = Table(title="Synthetic patients on the server", title_justify="left")
    for column in ("patient", "encounter", "draft orders", "story"):
        table.add_column(column, overflow="fold")  # an id that is cut off is of no use
    for one in loaded:
        table.add_row(*map(Text, (one.patient, one.encounter, "\n".join(one.drafts), one.title)))
    Console().print(table)


@sandbox.command()
@_server
@click.option("--yes", is_flag=True, help="Delete; without it the command only counts.")
@_json
@token_options("system/*.read system/*.write")
def clean(fhir_server: str, yes: bool, as_json: bool, **given: Any) -> None:
    """Delete what `sandbox load` has written, and nothing else. Counts only, unless --yes is given."""
    server, _ = open_server(fhir_server, taken(given))
    found = find(server)
    if found and yes:
        remove(server, found)
    counts = Counter(str(one["resourceType"]) for one in found)
    if as_json:
        click.echo(json.dumps({"deleted": yes, "resources": counts}))
        return
    told = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())) or "nothing"
    click.echo(f"{'Deleted' if yes else 'Would delete'}: {told}.")
    if found and not yes:
        click.echo("Nothing was deleted; add --yes to delete.")
