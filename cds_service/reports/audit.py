"""Consults as FHIR R4 audit resources: who asked what about whom, and which orders were suggested.

Built from what the store holds: a patient is a keyed hash, a card its identifiers and rows; no resource was ever kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from cds_service.domain.terms import FHIR_BASE
from cds_service.store.base import CardRecord, ConsultRecord, SuggestedOrder

PATIENTS: Final = f"{FHIR_BASE}/sid/patient-pseudonym"
CLIENTS: Final = f"{FHIR_BASE}/sid/client"
HOOKS: Final = f"{FHIR_BASE}/CodeSystem/hook"
_URI: Final = "urn:ietf:rfc:3986"
_EVENT: Final = "http://terminology.hl7.org/CodeSystem/audit-event-type"
_ENTITY: Final = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
_ROLE: Final = "http://terminology.hl7.org/CodeSystem/object-role"
_SOURCE: Final = "http://terminology.hl7.org/CodeSystem/security-source-type"
_PARTICIPANT: Final = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
_OPERATION: Final = "http://terminology.hl7.org/CodeSystem/v3-DataOperation"
_SERVICE: Final = {"type": "Device", "display": "pnet-cds"}


def audit_event(consult: ConsultRecord) -> dict[str, Any]:
    """An AuditEvent about one answered call (DICOM/FHIR event "RESTful operation", action "execute")."""
    event: dict[str, Any] = {
        "resourceType": "AuditEvent",
        "id": consult.id,
        "type": {"system": _EVENT, "code": "rest", "display": "RESTful Operation"},
        "subtype": [{"system": HOOKS, "code": consult.hook}],
        "action": "E",
        "recorded": _instant(consult),
        "outcome": "0",
        "agent": [
            {"who": _client(consult), "requestor": True},
            {"who": _SERVICE, "name": consult.service, "requestor": False},
        ],
        "source": {
            "observer": _SERVICE,
            "type": [{"system": _SOURCE, "code": "4", "display": "Application Server"}],
        },
        "entity": [*_patient(consult), _consult(consult)],
    }
    if consult.unavailable:
        event["outcomeDesc"] = f"Answered without: {', '.join(consult.unavailable)}"
    return event


def provenances(consult: ConsultRecord) -> Iterator[dict[str, Any]]:
    """A Provenance for each order that a card of the consult offered to create.

    The order itself is made by the client, if the clinician accepts; what stands for it here is the identifier of the
    suggestion.
    """
    for card in consult.cards:
        for number, order in enumerate(card.orders):
            yield _provenance(consult, card, order, number)


def _provenance(consult: ConsultRecord, card: CardRecord, order: SuggestedOrder, number: int) -> dict[str, Any]:
    return {
        "resourceType": "Provenance",
        "id": f"{order.suggestion}-{number}" if number else order.suggestion,
        "target": [
            {
                "type": "ServiceRequest",
                "identifier": {"system": _URI, "value": f"urn:uuid:{order.suggestion}"},
                "display": _order_words(order),
            }
        ],
        "recorded": _instant(consult),
        "policy": [f"{FHIR_BASE}/knowledge/{consult.knowledge_version}"],
        "activity": {"coding": [{"system": _OPERATION, "code": "CREATE", "display": "create"}]},
        "agent": [
            {
                "type": {"coding": [{"system": _PARTICIPANT, "code": "author", "display": "Author"}]},
                "who": _SERVICE,
                "onBehalfOf": _client(consult),
            }
        ],
        "entity": [
            {"role": "derivation", "what": {"identifier": {"system": _URI, "value": f"urn:uuid:{card.uuid}"}}},
            {"role": "source", "what": {"identifier": {"system": _URI, "value": f"urn:uuid:{consult.id}"}}},
        ],
    }


def _order_words(order: SuggestedOrder) -> str:
    codes = ", ".join(f"{system}|{code}" for system, code, _ in order.codings)
    return f"{order.text} ({codes})" if codes else order.text or "order"


def _instant(consult: ConsultRecord) -> str:
    return consult.answered_at.isoformat(timespec="milliseconds")


def _client(consult: ConsultRecord) -> dict[str, Any]:
    """Who asked; without client authentication nobody knows."""
    if not consult.client:
        return {"display": "unauthenticated client"}
    return {"identifier": {"system": CLIENTS, "value": consult.client}}


def _patient(consult: ConsultRecord) -> list[dict[str, Any]]:
    if not consult.patient:
        return []
    return [
        {
            "what": {"type": "Patient", "identifier": {"system": PATIENTS, "value": consult.patient}},
            "type": {"system": _ENTITY, "code": "1", "display": "Person"},
            "role": {"system": _ROLE, "code": "1", "display": "Patient"},
        }
    ]


def _consult(consult: ConsultRecord) -> dict[str, Any]:
    told = {
        "scenario": consult.scenario,
        "rules": " ".join(consult.rules),
        "ratings": " ".join(f"{study}={rating}" for study, rating in consult.ratings.items()),
        "cards": " ".join(card.uuid for card in consult.cards),
        "knowledge-version": consult.knowledge_version,
        "knowledge-hash": consult.knowledge_hash,
        "skipped-resources": str(consult.skipped),
        "duration-ms": str(consult.duration_ms),
    }
    return {
        "what": {"identifier": {"system": _URI, "value": f"urn:uuid:{consult.id}"}},
        "type": {"system": _ENTITY, "code": "2", "display": "System Object"},
        "role": {"system": _ROLE, "code": "20", "display": "Job"},
        "detail": [{"type": name, "valueString": value} for name, value in told.items() if value],
    }
