"""``pnet-cds audit``: what was answered, as FHIR R4 audit resources."""

from __future__ import annotations

import json
from datetime import datetime
from typing import IO

import click

from cds_service.commands.opening import instants, opened, period
from cds_service.reports.audit import audit_event, provenances
from cds_service.settings import load_settings


@click.group()
def audit() -> None:
    """Who was told what, for auditors."""


@audit.command()
@period
@click.option("--provenance", is_flag=True, help="Add a Provenance for every order that was suggested.")
@click.option("--output", type=click.File("w", encoding="utf-8"), default="-", help="File to write; default: output.")
def export(since: datetime | None, until: datetime | None, output: IO[str], *, provenance: bool) -> None:
    """Write a FHIR R4 AuditEvent per consult as NDJSON, oldest first. Patients appear as keyed hashes only."""
    with opened(load_settings()) as archive:
        for consult in archive.consults(*instants(since, until)):
            for resource in (audit_event(consult), *(provenances(consult) if provenance else ())):
                output.write(json.dumps(resource, ensure_ascii=False) + "\n")
