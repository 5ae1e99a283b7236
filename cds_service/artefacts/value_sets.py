"""ValueSets: the codes the service matches with, from the rows it matches with.

A ValueSet holds the codes that count by themselves. Codes that count only together with text, codes that could not be
verified and codes whose system has no URI to write are accepted from senders, but nobody is asked to send them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from cds_service.artefacts.local_codes import LOCAL, STUDY, words_of
from cds_service.artefacts.naming import Stamp, canonical, header
from cds_service.domain.facts import FACTS, Kind
from cds_service.knowledge.model import Knowledge
from fhir_profiles.terminology import CodeRow, ConceptRow, Terminology

NEN_CONDITION: Final = "nen-condition"
IMAGING_ORDER: Final = "imaging-order"
SUGGESTED_ORDER: Final = "suggested-order"
ABSTRACTED_FACT: Final = "abstracted-fact"
TNM_CATEGORY: Final = "tnm-category"
TNM_VALUE: Final = "tnm-value"

Codes = Mapping[str, Mapping[str, str]]
"""Display by code, by URI of the system."""


def value_sets(knowledge: Knowledge, terminology: Terminology, marked: Stamp) -> Iterator[dict[str, Any]]:
    """One ValueSet per concept, per fact with words, and per group that a profile binds to."""
    for concept in terminology.concepts.values():
        codes = codes_of([concept], terminology)
        if codes:
            yield _set(concept.key, concept.label, f"Codes read as: {concept.label}.", codes, marked)
    for spec in FACTS.values():
        words = words_of(spec, knowledge, terminology)
        if words:
            listed = dict.fromkeys([*words, "none"] if spec.kind is Kind.WORDS else words, "")
            said = f"Words that the fact {spec.name} can take."
            yield _set(f"fact-{spec.code}", spec.name.replace("_", " "), said, {_local(): listed}, marked)
    yield from _groups(terminology, marked)
    yield _whole(
        STUDY, "Imaging studies", "Every study the guideline rows speak about.", canonical("CodeSystem", STUDY), marked
    )


def _groups(terminology: Terminology, marked: Stamp) -> Iterator[dict[str, Any]]:
    for identifier, title, description, belongs in _GROUPS:
        concepts = [concept for concept in terminology.concepts.values() if belongs(concept)]
        yield _set(identifier, title, description, codes_of(concepts, terminology), marked)
    yield _set(
        SUGGESTED_ORDER,
        "Codes of suggested orders",
        "Codes with which this service writes an order: verified, and marked as fit to be written.",
        _written(terminology),
        marked,
    )
    yield _set(
        ABSTRACTED_FACT,
        "Abstracted facts",
        "Local codes with which any fact can be stated, where a standard code does not say it.",
        {_local(): dict.fromkeys(sorted({*(spec.code for spec in FACTS.values()), *_local_facts(terminology)}), "")},
        marked,
    )


_GROUPS: Final[tuple[tuple[str, str, str, Callable[[ConceptRow], bool]], ...]] = (
    (
        NEN_CONDITION,
        "Neuroendocrine neoplasms",
        (
            "Diagnoses read as a neuroendocrine neoplasm, of the pancreas or elsewhere. ICD-10-CM codes of the same "
            "families with further digits are accepted too."
        ),
        lambda concept: concept.kind == "condition" and concept.role == "tumour",
    ),
    (
        IMAGING_ORDER,
        "Imaging studies that can be ordered",
        "Codes recognised on a draft order as an imaging study of this service.",
        lambda concept: concept.kind == "procedure-imaging" and bool(concept.procedure or concept.modality),
    ),
    (
        TNM_CATEGORY,
        "TNM categories and stage groups",
        "What a TNM Observation is about: clinical, pathological or unspecified T, N, M or stage group.",
        lambda concept: concept.role == "tnm",
    ),
    (
        TNM_VALUE,
        "Values of TNM categories",
        "AJCC values of T, N, M and stage group.",
        lambda concept: concept.key.startswith("ajcc-"),
    ),
)


def codes_of(concepts: Iterable[ConceptRow], terminology: Terminology) -> dict[str, dict[str, str]]:
    """The codes of concepts that count by themselves, in the order of the rows."""
    found: dict[str, dict[str, str]] = {}
    for concept in concepts:
        for row in concept.codes:
            if counts_alone(row) and terminology.uris[row.system]:
                found.setdefault(terminology.uris[row.system], {}).setdefault(row.code, _display(row))
    return found


def counts_alone(row: CodeRow) -> bool:
    """Whether a code says enough without text beside it."""
    return row.use == "alone" and row.status != "unverified"


def _display(row: CodeRow) -> str:
    """CPT descriptions belong to the AMA, so none is written; those of local codes stand in their CodeSystem."""
    return "" if row.system in ("cpt", "local") else row.display


def _written(terminology: Terminology) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for concept in terminology.concepts.values():
        for label in ("loinc", "sct", "cpt", "local"):
            codes: list[str] = getattr(concept.preferred, label) if concept.preferred else []
            for code in codes:
                row = next((row for row in concept.codes if (row.system, row.code) == (label, code)), None)
                found.setdefault(terminology.uris[label], {}).setdefault(code, _display(row) if row else "")
    return found


def _local_facts(terminology: Terminology) -> Iterator[str]:
    for concept in terminology.concepts.values():
        yield from (row.code for row in concept.codes if row.system == "local" and row.fact)


def _local() -> str:
    return canonical("CodeSystem", LOCAL)


def _set(identifier: str, title: str, description: str, codes: Codes, marked: Stamp) -> dict[str, Any]:
    return header("ValueSet", identifier, title, description, marked) | {
        "compose": {
            "include": [
                {"system": system, "concept": [_concept(code, display) for code, display in listed.items()]}
                for system, listed in codes.items()
            ]
        }
    }


def _whole(identifier: str, title: str, description: str, system: str, marked: Stamp) -> dict[str, Any]:
    return header("ValueSet", identifier, title, description, marked) | {"compose": {"include": [{"system": system}]}}


def _concept(code: str, display: str) -> dict[str, str]:
    return {"code": code} | ({"display": display} if display else {})
