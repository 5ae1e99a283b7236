"""All artefacts of one state of the knowledge, in a stable order, found by type and id."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cds_service.artefacts.guide import capability, implementation_guide, library
from cds_service.artefacts.local_codes import code_systems
from cds_service.artefacts.maps import concept_maps
from cds_service.artefacts.naming import FHIR_VERSION, PUBLISHER, Stamp, stamp
from cds_service.artefacts.plans import activities, plans
from cds_service.artefacts.value_sets import value_sets
from cds_service.knowledge.model import Knowledge
from fhir_profiles.definitions import structure_definitions, valid_examples
from fhir_profiles.terminology import Terminology

Artefact = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Artefacts:
    """The artefacts, and the examples that show the profiles in use.

    Attributes:
        by_key: artefact by type and id.
    """

    stamp: Stamp
    by_key: Mapping[tuple[str, str], Artefact]
    examples: Mapping[str, Artefact]

    def __iter__(self) -> Iterator[Artefact]:
        return iter(self.by_key.values())


def artefacts(knowledge: Knowledge, terminology: Terminology) -> Artefacts:
    """Everything an implementation guide of this knowledge holds.

    Raises:
        KeyError: two artefacts have one id.
    """
    marked = stamp(knowledge)
    made = sorted(_all(knowledge, terminology, marked), key=lambda one: (one["resourceType"], one["id"]))
    examples = valid_examples()
    made.append(implementation_guide(made, examples.values(), marked))
    by_key = {(one["resourceType"], one["id"]): one for one in made}
    if len(by_key) != len(made):
        raise KeyError("two artefacts have one id")
    return Artefacts(marked, by_key, examples)


def _all(knowledge: Knowledge, terminology: Terminology, marked: Stamp) -> Iterator[dict[str, Any]]:
    for definition in structure_definitions():
        yield _stamped(definition, marked)
    yield from code_systems(knowledge, terminology, marked)
    yield from value_sets(knowledge, terminology, marked)
    yield from concept_maps(knowledge, terminology, marked)
    yield from plans(knowledge, marked)
    yield from activities(knowledge, terminology, marked)
    yield library(knowledge, marked)
    yield capability(marked)


def _stamped(definition: Mapping[str, Any], marked: Stamp) -> dict[str, Any]:
    """A profile with version, date and publisher; the files leave them out, so that they cannot be forgotten there."""
    stamped: dict[str, Any] = {}
    for name, value in definition.items():
        stamped[name] = value
        if name == "url":
            stamped["version"] = marked.version
        if name == "status":
            stamped |= {"experimental": False, "date": marked.date, "publisher": PUBLISHER}
        if name == "description":
            stamped["fhirVersion"] = FHIR_VERSION
    return stamped
