"""Writes the draft order of a suggestion: only codes marked as preferred, and what the clinician had already said.

Indication, encounter, requester and priority are carried over from the replaced draft when they have the shape R4 asks
for; what does not is left out rather than passed on damaged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from fhir_profiles.reading import objects, text
from fhir_profiles.terminology import Preferred, Terminology

_ID = re.compile(r"[A-Za-z0-9\-.]+")
_PRIORITIES = frozenset({"routine", "urgent", "asap", "stat"})
_INTENTS = frozenset({"proposal", "plan", "order", "original-order"})
_LABELS = {"loinc": "loinc", "sct": "sct", "cpt": "cpt", "local": "local"}

CONCEPT_OF = {
    "mri-abd-pel-wwo": "mri-abdomen-pelvis-wo-w",
    "ct-abd-pel-w": "ct-abdomen-pelvis-w",
    "ct-cap-w": "ct-chest-abdomen-pelvis-w",
    "pet-ct-sstr": "sstr-pet-ct",
}
"""Concept whose preferred codes a suggested study is written with."""


@dataclass(frozen=True, slots=True)
class Test:
    """A test that tells a fact.

    Attributes:
        concept: concept whose preferred codes the order is written with.
        label: name of the order.
        concepts: with any of these drafted or on order there is nothing to ask for.
    """

    __test__ = False  # not a pytest class

    concept: str
    label: str
    concepts: frozenset[str]


ANSWERED_BY = {
    "egfr": Test("egfr", "creatinine with eGFR", frozenset({"egfr", "creatinine"})),
    "pregnant": Test("hcg-pregnancy-test", "a pregnancy test", frozenset({"hcg-pregnancy-test", "pregnancy-status"})),
}
"""Facts for which a test can be ordered with a code that may be written; for the others no such code is known."""

_TRACERS = {"pet-ct-sstr": ("tracer-ga68-dotatate", "hcpcs", "A9587")}


def suggested_order(
    procedure: str,
    label: str,
    detail: str,
    draft: Mapping[str, object],
    patient_id: str,
    terminology: Terminology,
    window: tuple[date, date] | None = None,
) -> dict[str, Any]:
    """A draft ServiceRequest for the better study.

    Args:
        procedure: procedure key; one of :data:`CONCEPT_OF`.
        label: text of the order.
        detail: protocol text for ``orderDetail``; empty for none.
        draft: the order it replaces, or what else says indication and encounter.
        patient_id: the patient of the call.
        terminology: where the preferred codes come from.
        window: first and last day on which the study is due, if it is not for now.
    """
    order = _order(_code(CONCEPT_OF[procedure], label, terminology), draft, patient_id)
    details = _details(procedure, detail, terminology)
    if details:
        order["orderDetail"] = details
    order.update(_carried(draft))
    if window:
        order["occurrencePeriod"] = {"start": window[0].isoformat(), "end": window[1].isoformat()}
    return order


def suggested_test(fact: str, draft: Mapping[str, object], patient_id: str, terminology: Terminology) -> dict[str, Any]:
    """A draft ServiceRequest for the test that tells a fact.

    Args:
        fact: one of :data:`ANSWERED_BY`.
        draft: the order it is needed for.
        patient_id: the patient of the call.
        terminology: where the preferred codes come from.
    """
    test = ANSWERED_BY[fact]
    return _order(_code(test.concept, test.label, terminology), draft, patient_id) | _carried(draft)


def _order(code: dict[str, Any], draft: Mapping[str, object], patient_id: str) -> dict[str, Any]:
    return {
        "resourceType": "ServiceRequest",
        "status": "draft",
        "intent": _intent(draft),
        "code": code,
        "subject": {"reference": f"Patient/{patient_id}"},
    }


def _intent(draft: Mapping[str, object]) -> str:
    intent = text(draft.get("intent"))
    return intent if intent in _INTENTS else "order"


def _code(key: str, label: str, terminology: Terminology) -> dict[str, Any]:
    concept = terminology.concepts[key]
    codings = _preferred(concept.key, concept.preferred or Preferred(), terminology)
    return {"coding": codings, "text": label} if codings else {"text": label}


def _preferred(concept: str, preferred: Preferred, terminology: Terminology) -> list[dict[str, str]]:
    """One coding per system; two codes of one system are two orders and are never put into one concept."""
    found: list[dict[str, str]] = []
    for system in _LABELS:
        codes: list[str] = getattr(preferred, system)
        if len(codes) != 1:
            continue
        coding = {"system": terminology.uris[system], "code": codes[0]}
        match = terminology.match(coding["system"], codes[0])
        if system != "cpt" and match is not None and match.concept == concept:
            coding["display"] = match.display
        found.append(coding)
    return found


def _details(procedure: str, detail: str, terminology: Terminology) -> list[dict[str, Any]]:
    details: list[dict[str, Any]] = []
    if procedure in _TRACERS:
        concept, system, code = _TRACERS[procedure]
        row = terminology.code_row(concept, system, code)
        label = terminology.concepts[concept].label
        details.append({"coding": [{"system": terminology.uris[system], "code": row.code}], "text": label})
    if detail:
        details.append({"text": detail})
    return details


def _carried(draft: Mapping[str, object]) -> dict[str, Any]:
    """Encounter, requester, priority and indication of the replaced draft."""
    carried: dict[str, Any] = {}
    for name in ("encounter", "requester"):
        reference = _reference(draft.get(name))
        if reference:
            carried[name] = reference
    priority = text(draft.get("priority"))
    if priority in _PRIORITIES:
        carried["priority"] = priority
    reasons = [concept for concept in (_concept(reason) for reason in objects(draft.get("reasonCode"))) if concept]
    if reasons:
        carried["reasonCode"] = reasons
    references = [ref for ref in (_reference(item) for item in objects(draft.get("reasonReference"))) if ref]
    if references:
        carried["reasonReference"] = references
    return carried


def _reference(value: object) -> dict[str, Any] | None:
    """A reference that leads outside the draft itself."""
    if not isinstance(value, dict):
        return None
    reference = text(value.get("reference"))
    if reference.startswith("#") or any(character.isspace() for character in reference):
        return None
    identifier = _identifier(value.get("identifier"))
    if not reference and not identifier:
        return None
    display = text(value.get("display"))
    carried: dict[str, Any] = {"reference": reference} if reference else {"identifier": identifier}
    return carried | ({"display": display} if display else {})


def _identifier(value: object) -> dict[str, str]:
    """System and value of a logical reference."""
    if not isinstance(value, dict) or not text(value.get("value")):
        return {}
    system = text(value.get("system"))
    usable = system and not any(character.isspace() for character in system)
    return ({"system": system} if usable else {}) | {"value": text(value["value"])}


def _concept(value: Mapping[str, Any]) -> dict[str, Any] | None:
    codings = [coding for coding in (_coding(item) for item in objects(value.get("coding"))) if coding]
    written = text(value.get("text"))
    concept: dict[str, Any] = {}
    if codings:
        concept["coding"] = codings
    if written:
        concept["text"] = written
    return concept or None


def _coding(value: Mapping[str, Any]) -> dict[str, str] | None:
    """System, code and display of a coding, when they have the form R4 asks for."""
    system, code, display = (text(value.get(name)) for name in ("system", "code", "display"))
    if not code or re.search(r"\s\s|[\t\r\n]", code) or (system and re.search(r"\s", system)):
        return None
    coding = {"code": code}
    if system:
        coding["system"] = system
    if display:
        coding["display"] = display
    return coding


def is_id(value: str) -> bool:
    """Whether a string has the form of a FHIR id; ids longer than R4 allows are seen in the wild and accepted."""
    return _ID.fullmatch(value) is not None
