"""Writes the draft order of a suggestion: only codes marked as preferred, and what the clinician had already said.

Indication, encounter, requester and priority are carried over from the replaced draft when they have the shape R4 asks
for; what does not is left out rather than passed on damaged.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from cds_service.domain.policy import DEFAULT_WRITING, OrderWriting
from cds_service.domain.terms import FHIR_BASE
from cds_service.errors import SiteError
from fhir_profiles.reading import objects, text
from fhir_profiles.terminology import Preferred, Terminology

_ID = re.compile(r"[A-Za-z0-9\-.]+")
_PRIORITIES = frozenset({"routine", "urgent", "asap", "stat"})
_INTENTS = frozenset({"proposal", "plan", "order", "original-order"})
CONCEPT_OF = {
    "mri-abd-pel-wwo": "mri-abdomen-pelvis-wo-w",
    "ct-abd-pel-w": "ct-abdomen-pelvis-w",
    "ct-cap-w": "ct-chest-abdomen-pelvis-w",
    "pet-ct-sstr": "sstr-pet-ct",
}
"""Concept whose preferred codes a suggested study is written with."""

_REQUISITIONS = f"{FHIR_BASE}/requisition"


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


def suggested_orders(
    procedure: str,
    label: str,
    detail: str,
    draft: Mapping[str, object],
    patient_id: str,
    terminology: Terminology,
    writing: OrderWriting = DEFAULT_WRITING,
    window: tuple[date, date] | None = None,
) -> tuple[dict[str, Any], ...]:
    """Draft ServiceRequests for the better study: one, or two under one requisition where the site codes it so.

    Args:
        procedure: procedure key; one of :data:`CONCEPT_OF`.
        label: text of the order.
        detail: protocol text for ``orderDetail``; empty for none.
        draft: the order it replaces, or what else says indication and encounter.
        patient_id: the patient of the call.
        terminology: where the preferred codes come from.
        writing: code systems to write, and the tracer in use.
        window: first and last day on which the study is due, if it is not for now.
    """
    order = _order({"text": label}, draft, patient_id)
    details = _details(procedure, detail, terminology, writing)
    if details:
        order["orderDetail"] = details
    order.update(_carried(draft))
    if window:
        order["occurrencePeriod"] = {"start": window[0].isoformat(), "end": window[1].isoformat()}
    concept = terminology.concepts[CONCEPT_OF[procedure]]
    preferred = concept.preferred or Preferred()
    first: list[str] = getattr(preferred, writing.code_systems[0])
    if len(first) > 1:
        return _under_one_requisition(order, writing.code_systems[0], first, terminology)
    codings = _preferred(concept.key, preferred, writing.code_systems, terminology)
    return (order | {"code": {"coding": codings, "text": label} if codings else {"text": label}},)


def _under_one_requisition(
    order: dict[str, Any], system: str, codes: list[str], terminology: Terminology
) -> tuple[dict[str, Any], ...]:
    """One order per code of a study that the system codes as several.

    The requisition is made from the order itself, so that the same call gets the same answer.
    """
    value = str(uuid5(NAMESPACE_URL, json.dumps([order, codes], sort_keys=True)))
    shared = order | {"requisition": {"system": _REQUISITIONS, "value": value}}
    uri = terminology.uris[system]
    label = order["code"]["text"]
    return tuple(
        shared | {"code": {"coding": [{"system": uri, "code": code}], "text": f"{label} ({number} of {len(codes)})"}}
        for number, code in enumerate(codes, start=1)
    )


def study_code(procedure: str, label: str, terminology: Terminology) -> dict[str, Any]:
    """The code a study is ordered by: its name, with those of its preferred codes that mean this study and no other.

    A code that says less, as that of a PET/CT without its tracer, is not written here.

    Args:
        procedure: procedure key.
        label: text of the order.
        terminology: where the preferred codes come from.
    """
    for concept in terminology.concepts.values():
        if concept.procedure != procedure or not concept.preferred:
            continue
        codings = [
            coding
            for coding in _preferred(concept.key, concept.preferred, DEFAULT_WRITING.code_systems, terminology)
            if (match := terminology.match(coding["system"], coding["code"])) and match.procedure == procedure
        ]
        if codings:
            return {"coding": codings, "text": label}
    return {"text": label}


def proposed_order(
    procedure: str, label: str, patient_id: str, terminology: Terminology, writing: OrderWriting
) -> dict[str, Any]:
    """A proposal to order a study, as a suggestion of it would be written; of other studies what their code says.

    Args:
        procedure: procedure key.
        label: text of the order.
        patient_id: the patient.
        terminology: where the preferred codes come from.
        writing: the tracer in use.
    """
    proposal = {"intent": "proposal"}
    if procedure not in CONCEPT_OF:
        return _order(study_code(procedure, label, terminology), proposal, patient_id)
    one_order = OrderWriting(DEFAULT_WRITING.code_systems, writing.sstr_tracer)
    return suggested_orders(procedure, label, "", proposal, patient_id, terminology, one_order)[0]


def suggested_test(fact: str, draft: Mapping[str, object], patient_id: str, terminology: Terminology) -> dict[str, Any]:
    """A draft ServiceRequest for the test that tells a fact.

    Args:
        fact: one of :data:`ANSWERED_BY`.
        draft: the order it is needed for.
        patient_id: the patient of the call.
        terminology: where the preferred codes come from.
    """
    test = ANSWERED_BY[fact]
    preferred = terminology.concepts[test.concept].preferred or Preferred()
    codings = _preferred(test.concept, preferred, DEFAULT_WRITING.code_systems, terminology)
    return _order({"coding": codings, "text": test.label}, draft, patient_id) | _carried(draft)


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


def _preferred(
    concept: str, preferred: Preferred, systems: Iterable[str], terminology: Terminology
) -> list[dict[str, str]]:
    """One coding per system; two codes of one system are two orders and are never put into one concept."""
    found: list[dict[str, str]] = []
    for system in systems:
        codes: list[str] = getattr(preferred, system)
        if len(codes) != 1:
            continue
        coding = {"system": terminology.uris[system], "code": codes[0]}
        match = terminology.match(coding["system"], codes[0])
        if system != "cpt" and match is not None and match.concept == concept:
            coding["display"] = match.display
        found.append(coding)
    return found


def _details(procedure: str, detail: str, terminology: Terminology, writing: OrderWriting) -> list[dict[str, Any]]:
    details: list[dict[str, Any]] = []
    if procedure == "pet-ct-sstr":
        details.append(_tracer(writing.sstr_tracer, terminology))
    if detail:
        details.append({"text": detail})
    return details


def _tracer(concept: str, terminology: Terminology) -> dict[str, Any]:
    """The tracer by its first code that may be written, else by name alone."""
    row = terminology.concepts[concept]
    code = next((code for code in row.codes if code.emit), None)
    named: dict[str, Any] = {"text": row.label}
    return {"coding": [{"system": terminology.uris[code.system], "code": code.code}]} | named if code else named


def check_tracer(writing: OrderWriting, terminology: Terminology) -> None:
    """Refuse a site whose tracer is none of SSTR PET.

    Raises:
        SiteError: the site file names another tracer, or none that is known.
    """
    tracers = [key for key, row in terminology.concepts.items() if row.kind == "tracer" and row.tracer == "sstr"]
    if writing.sstr_tracer not in tracers:
        raise SiteError(
            f"The site file does not fit: studies.sstr_tracer: expected one of {', '.join(sorted(tracers))}."
        )


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
    if reference.startswith("#") or _has_space(reference):
        return None
    identifier = _identifier(value.get("identifier"))
    if not reference and not identifier:
        return None
    display = text(value.get("display"))
    carried: dict[str, Any] = {"reference": reference} if reference else {"identifier": identifier}
    return carried | ({"display": display} if display else {})


def _has_space(value: str) -> bool:
    return len(value.split()) > 1 or value != value.strip()


def _identifier(value: object) -> dict[str, str]:
    """System and value of a logical reference."""
    if not isinstance(value, dict) or not text(value.get("value")):
        return {}
    system = text(value.get("system"))
    usable = system and not _has_space(system)
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
