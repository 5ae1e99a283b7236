"""What holds the artefacts together: the Library of the knowledge, the CapabilityStatement, the ImplementationGuide."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from cds_service import __version__
from cds_service.artefacts.naming import FHIR_VERSION, PACKAGE, Stamp, canonical, header
from cds_service.artefacts.plans import CHOICE, LIBRARY
from cds_service.domain.facts import FACTS, FactSpec, Kind
from cds_service.knowledge.model import Knowledge

GUIDE: Final = "pnet-cds"
APPLY: Final = "http://hl7.org/fhir/OperationDefinition/PlanDefinition-apply"
SERVED: Final = (
    "ActivityDefinition",
    "CapabilityStatement",
    "CodeSystem",
    "ConceptMap",
    "ImplementationGuide",
    "Library",
    "PlanDefinition",
    "StructureDefinition",
    "ValueSet",
)
"""Types of artefacts, and so of what can be read from the service."""
SEARCHED: Final = {
    "_id": "token",
    "url": "uri",
    "version": "token",
    "name": "string",
    "title": "string",
    "status": "token",
}
"""Search parameters of every type of artefact."""
_TYPES: Final = {
    Kind.WORD: "CodeableConcept",
    Kind.NUMBER: "Quantity",
    Kind.FLAG: "boolean",
    Kind.WORDS: "CodeableConcept",
    Kind.GROWTH: "Observation",
}


def library(knowledge: Knowledge, marked: Stamp) -> dict[str, Any]:
    """What the plans know and what they ask for: one parameter per fact, one reference per plan."""
    about = (
        f"The guideline rows behind the plans: knowledge {knowledge.version}, hash {knowledge.hash}. "
        "A parameter that is not given is unknown, and never taken as no."
    )
    plans = (CHOICE, *knowledge.scenarios)
    return header("Library", LIBRARY, "Imaging of neuroendocrine tumours", about, marked) | {
        "type": {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/library-type", "code": "asset-collection"}]
        },
        "relatedArtifact": [{"type": "composed-of", "resource": canonical("PlanDefinition", plan)} for plan in plans]
        + [
            {"type": "citation", "label": source.key, "display": source.label, "citation": source.citation}
            | ({"url": source.url} if source.url else {})
            for source in knowledge.sources.values()
        ],
        "parameter": [_parameter(spec) for spec in FACTS.values()],
    }


def _parameter(spec: FactSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "use": "in",
        "min": 0,
        "max": "*" if spec.kind is Kind.WORDS else "1",
        "type": _TYPES[spec.kind],
    }


def capability(marked: Stamp, base: str = "") -> dict[str, Any]:
    """What the FHIR endpoint answers: of the software in general or, with its base URL, of one instance."""
    members = header(
        "CapabilityStatement",
        GUIDE,
        "FHIR endpoint of pnet-cds",
        "Read-only: the artefacts of the imaging guideline, and what it advises for one patient.",
        marked,
    )
    members |= {
        "kind": "instance" if base else "capability",
        "software": {"name": "pnet-cds", "version": __version__},
        "fhirVersion": FHIR_VERSION,
        "format": ["json"],
        "rest": [
            {
                "mode": "server",
                "documentation": "Calls carry the same client token as calls of the hooks; this statement is open.",
                "resource": [_served(kind) for kind in SERVED],
            }
        ],
    }
    if base:
        members["implementation"] = {"description": "pnet-cds", "url": base}
    return members


def _served(kind: str) -> dict[str, Any]:
    served: dict[str, Any] = {
        "type": kind,
        "interaction": [{"code": "read"}, {"code": "search-type"}],
        "searchParam": [{"name": name, "type": type_} for name, type_ in SEARCHED.items()],
    }
    if kind == "PlanDefinition":
        served["operation"] = [{"name": "apply", "definition": APPLY}]
    return served


def implementation_guide(
    resources: Iterable[Mapping[str, Any]], examples: Iterable[Mapping[str, Any]], marked: Stamp
) -> dict[str, Any]:
    """The list of everything, with the examples and the profile each is of; what has no id cannot be listed."""
    members = header(
        "ImplementationGuide",
        GUIDE,
        "pnet-cds implementation guide",
        "What the service asks of a sender, what it writes, and the guideline it works by.",
        marked,
    )
    return members | {
        "packageId": PACKAGE,
        "license": "Apache-2.0",
        "fhirVersion": [FHIR_VERSION],
        "definition": {
            "resource": [
                {"reference": {"reference": _reference(one)}, "name": one["title"], "exampleBoolean": False}
                for one in resources
            ]
            + [
                {
                    "reference": {"reference": _reference(one)},
                    "name": one["id"],
                    "exampleCanonical": one["meta"]["profile"][0],
                }
                for one in examples
                if "id" in one
            ]
        },
    }


def _reference(resource: Mapping[str, Any]) -> str:
    return f"{resource['resourceType']}/{resource['id']}"
