"""ConceptMaps: from studies to the codes they are ordered by, and from reported categories to PAMA ratings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from cds_service.artefacts.local_codes import LOCAL, STUDY
from cds_service.artefacts.naming import Stamp, canonical, header
from cds_service.artefacts.value_sets import counts_alone
from cds_service.domain.terms import MAY_BE_APPROPRIATE, MAY_BE_APPROPRIATE_DISAGREEMENT
from cds_service.knowledge.model import Knowledge
from fhir_profiles.terminology import ConceptRow, Terminology

STUDY_CODES: Final = "imaging-study-codes"
CODES_STUDY: Final = "imaging-codes-study"
PAMA: Final = "appropriateness-pama"
_SAME: Final = {"equivalence": "equivalent"}
_READ_AS: Final = {"equivalence": "narrower", "comment": "Read as this study, and not written."}
_SYSTEMS: Final = ("loinc", "cpt", "sct")


def concept_maps(knowledge: Knowledge, terminology: Terminology, marked: Stamp) -> Iterator[dict[str, Any]]:
    """All ConceptMaps."""
    pairs = [
        (concept, row.system, row.code, row.procedure or concept.procedure)
        for concept in terminology.concepts.values()
        for row in concept.codes
        if row.system in _SYSTEMS and counts_alone(row) and (row.procedure or concept.procedure)
    ]
    study = canonical("CodeSystem", STUDY)
    outward: dict[tuple[str, str], dict[str, list[dict[str, str]]]] = {}
    inward: dict[tuple[str, str], dict[str, list[dict[str, str]]]] = {}
    for concept, system, code, key in pairs:
        uri = terminology.uris[system]
        written = code in _preferred(concept, system)
        here = outward.setdefault((study, uri), {}).setdefault(key, [])
        here.append({"code": code} | (_SAME if written else _READ_AS))
        back = inward.setdefault((uri, study), {}).setdefault(code, [])
        back.append({"code": key, "equivalence": "equivalent" if written else "wider"})
    yield _map(
        STUDY_CODES,
        "Studies to codes",
        "LOINC, CPT and SNOMED CT codes of each study. Equivalent is the code this service writes; narrower are codes "
        "that it reads as the same study. Where a study has two equivalent CPT codes they are two orders under one "
        "requisition.",
        outward,
        marked,
    )
    yield _map(
        CODES_STUDY, "Codes to studies", "The same read from the code: the study it is rated as.", inward, marked
    )
    yield _pama(knowledge, terminology, marked)


def _preferred(concept: ConceptRow, system: str) -> list[str]:
    codes: list[str] = getattr(concept.preferred, system) if concept.preferred else []
    return codes


def _pama(knowledge: Knowledge, terminology: Terminology, marked: Stamp) -> dict[str, Any]:
    """Categories to the three PAMA codes, from the rows of the table ``pama``."""
    targets = {
        category: [
            {"code": row.code, "equivalence": _equivalence(category), "comment": f"{row.rule_id}: {row.statement}"}
        ]
        for category, row in knowledge.pama.items()
        if category and row.code
    }
    return _map(
        PAMA,
        "Reported categories to PAMA ratings",
        "How a category is recorded on an order as one of the three Argonaut PAMA codes. There is no way back: a PAMA "
        "code does not say which category it was made from, so the category is recorded beside it.",
        {(canonical("CodeSystem", LOCAL), terminology.uris["pama"]): targets},
        marked,
    )


def _equivalence(category: str) -> str:
    """May be appropriate has no code of its own, so the code says something else that contains it (PAM-02, PAM-03)."""
    return "inexact" if category in (MAY_BE_APPROPRIATE, MAY_BE_APPROPRIATE_DISAGREEMENT) else "wider"


def _map(
    identifier: str,
    title: str,
    description: str,
    groups: dict[tuple[str, str], dict[str, list[dict[str, str]]]],
    marked: Stamp,
) -> dict[str, Any]:
    return header("ConceptMap", identifier, title, description, marked) | {
        "group": [
            {
                "source": source,
                "target": target,
                "element": [{"code": code, "target": targets} for code, targets in elements.items()],
            }
            for (source, target), elements in groups.items()
        ]
    }
