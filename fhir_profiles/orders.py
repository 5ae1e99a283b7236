"""Draft imaging orders of a call: what study each asks for, and which drafts belong to one study."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from cds_service.domain.alter import altered
from cds_service.domain.facts import FACTS
from cds_service.domain.findings import DraftOrder, Order
from cds_service.errors import PatientMismatch, UnsupportedFhirVersion
from fhir_profiles.inputs.studies import Study, study
from fhir_profiles.reading import (
    Resource,
    codings,
    is_about,
    matches,
    member,
    objects,
    reading_defaults,
    status,
    text,
)
from fhir_profiles.terminology import Terminology

_NOT_OURS = frozenset({"revoked", "entered-in-error", "completed"})
_OPEN = frozenset({"draft", "active", "on-hold"})
_OLDER_ORDERS = frozenset(
    {"ProcedureRequest", "DiagnosticOrder", "ReferralRequest", "DeviceUseRequest", "MedicationOrder"}
)
_INTENTS = FACTS["order_intent"].words


@dataclass(frozen=True, slots=True)
class _Read:
    draft: DraftOrder
    study: Study


def imaging_orders(orders: Iterable[Resource], patient_id: str, terminology: Terminology) -> tuple[DraftOrder, ...]:
    """The orders that are imaging studies; anything else is none of our business and left alone.

    Raises:
        PatientMismatch: an imaging order is about another patient than the call.
        UnsupportedFhirVersion: an order is of a type that exists in older FHIR versions only.
    """
    found: list[_Read] = []
    for resource in orders:
        kind = text(resource.get("resourceType"))
        if kind in _OLDER_ORDERS:
            raise UnsupportedFhirVersion(f"context.draftOrders holds a {kind}, which R4 does not have; send FHIR R4.")
        if kind != "ServiceRequest" or status(resource) in _NOT_OURS:
            continue
        if resource.get("doNotPerform") is True or any(resource == read.draft.resource for read in found):
            continue
        named = study(resource.get("code"), terminology, extra=resource.get("orderDetail"))
        if named is None:
            continue
        _check_patient(resource, patient_id)
        found.append(_Read(_draft(resource, named, terminology), named))
    return tuple(_paired(found))


def is_for(resource: Resource, patient_id: str) -> bool:
    """Whether an order is about the patient; one that names nobody came with the patient's."""
    subject = resource.get("subject")
    return not text(member(subject, "reference")) or is_about(subject, patient_id)


def _check_patient(resource: Resource, patient_id: str) -> None:
    if not is_for(resource, patient_id):
        raise PatientMismatch(
            "A draft order's subject is not the patient of context.patientId; one call is about one patient."
        )


def _draft(resource: Resource, named: Study, terminology: Terminology) -> DraftOrder:
    identifier = text(resource.get("id"))
    reference = f"ServiceRequest/{identifier}" if identifier else ""
    order = Order(
        id=reference or "ServiceRequest",
        procedure=named.procedure,
        intent=_intent(resource, terminology),
        attributes=named.attributes,
        modality=named.modality,
        agent=named.agent,
        open_question=named.open_question,
    )
    return DraftOrder(reference, named.label, order, resource, (reference,))


def _intent(resource: Resource, terminology: Terminology) -> str | None:
    """The purpose, when the order states it with a word of the local CodeSystem."""
    for reason in objects(resource.get("reasonCode")):
        for coding in codings(reason):
            if coding.system and terminology.system(coding.system) == "local" and coding.code in _INTENTS:
                return coding.code
    return None


def _requisition(resource: Resource) -> tuple[str, str] | None:
    value = text(member(resource.get("requisition"), "value"))
    return (text(member(resource.get("requisition"), "system")), value) if value else None


def _paired(found: list[_Read]) -> list[DraftOrder]:
    """Drafts under one requisition whose codes together are one study count as that study."""
    result = {index: read.draft for index, read in enumerate(found)}
    taken: set[int] = set()
    for pair in reading_defaults().pair:
        for first, one in enumerate(found):
            key = _requisition(one.draft.resource)
            if first in taken or key is None or pair.concepts[0] not in one.study.concepts:
                continue
            for second, other in enumerate(found):
                if second in taken or second == first or pair.concepts[1] not in other.study.concepts:
                    continue
                if _requisition(other.draft.resource) != key:
                    continue
                group = tuple(found[i].draft.reference for i in sorted((first, second)))
                for index in (first, second):
                    draft = result[index]
                    order = replace(draft.order, procedure=pair.procedure, open_question="")
                    result[index] = replace(draft, order=order, group=group)
                taken |= {first, second}
                break
    return [result[index] for index in sorted(result)]


def indications(drafts: Iterable[DraftOrder], terminology: Terminology) -> list[dict[str, Any]]:
    """Reasons of the drafts that name a neuroendocrine tumour, as unconfirmed Conditions about the same order."""
    return [
        {
            "resourceType": "ServiceRequest",
            "id": draft.reference.partition("/")[2],
            "code": reason,
            "verificationStatus": {"coding": [{"code": "provisional"}], "text": "provisional"},
            "meta": {"lastUpdated": draft.resource.get("authoredOn")},
            "bodySite": list(objects(draft.resource.get("bodySite"))),
        }
        for draft in drafts
        for reason in objects(draft.resource.get("reasonCode"))
        if any(match.role == "tumour" for match in matches(reason, terminology))
    ]


def planned_studies(resources: Iterable[Resource], patient_id: str, terminology: Terminology) -> frozenset[str]:
    """Procedure keys of imaging that is already on order for the patient."""
    named = (
        study(resource.get("code"), terminology, extra=resource.get("orderDetail"))
        for resource in resources
        if resource.get("resourceType") == "ServiceRequest"
        and status(resource) == "active"
        and is_for(resource, patient_id)
    )
    return frozenset(found.procedure for found in named if found is not None and found.procedure)


def requested_concepts(resources: Iterable[Resource], patient_id: str, terminology: Terminology) -> frozenset[str]:
    """Concepts of everything that is drafted or on order for the patient, so that nothing is asked for twice."""
    return frozenset(
        match.concept
        for resource in resources
        if resource.get("resourceType") == "ServiceRequest"
        and status(resource) in _OPEN
        and resource.get("doNotPerform") is not True
        and is_for(resource, patient_id)
        for match in matches(resource.get("code"), terminology)
    )


def with_history(drafts: Iterable[DraftOrder], days_since: Mapping[str, float]) -> tuple[DraftOrder, ...]:
    """The drafts with the days since the same study was last done."""
    return tuple(
        altered(draft, {"order": altered(draft.order, {"days_since_same_procedure": days_since.get(key)})})
        for draft, key in ((draft, draft.order.procedure or "") for draft in drafts)
    )
