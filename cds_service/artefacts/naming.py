"""What every artefact says about itself: canonical URL, version, name, publisher."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from cds_service.domain.terms import FHIR_BASE
from cds_service.knowledge.model import Knowledge

PACKAGE: Final = "org.pnet-cds.imaging"
"""Name of the FHIR package."""
PUBLISHER: Final = "pnet-cds project"
FHIR_VERSION: Final = "4.0.1"


@dataclass(frozen=True, slots=True)
class Stamp:
    """Version and date of all artefacts made from one state of the knowledge.

    Attributes:
        version: version of the clinical content, with its hash as label: other rows, another version.
        date: ISO day on which that version was published.
    """

    version: str
    date: str


def stamp(knowledge: Knowledge) -> Stamp:
    """The stamp of the knowledge; where a site file is in force, its hash is part of it."""
    site = f".{knowledge.site.hash}" if knowledge.site.hash else ""
    return Stamp(f"{knowledge.version}-{knowledge.hash}{site}", knowledge.editions[0].date)


def canonical(kind: str, identifier: str) -> str:
    """Canonical URL of an artefact of ours, without version."""
    return f"{FHIR_BASE}/{kind}/{identifier}"


def computable_name(identifier: str) -> str:
    """The identifier in the form FHIR asks of ``name``."""
    name = "".join(part[:1].upper() + part[1:] for part in identifier.replace(".", "-").split("-"))
    return name if name[0].isalpha() else f"N{name}"


def header(kind: str, identifier: str, title: str, description: str, marked: Stamp) -> dict[str, Any]:
    """The members that all our artefacts begin with."""
    return {
        "resourceType": kind,
        "id": identifier,
        "url": canonical(kind, identifier),
        "version": marked.version,
        "name": computable_name(identifier),
        "title": title,
        "status": "active",
        "experimental": False,
        "date": marked.date,
        "publisher": PUBLISHER,
        "description": description,
    }
