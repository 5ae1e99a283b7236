"""What order-select and order-sign share: the inputs they ask for, and one card per study."""

from __future__ import annotations

from collections.abc import Callable

from cds_service.cards.order import order_card
from cds_service.domain.findings import DraftOrder, OrderAssessment
from cds_service.domain.terms import CRITICAL, WARNING
from cds_service.protocol.response import Card
from cds_service.service import Consultation

INPUTS = (
    "patient",
    "encounter",
    "conditions",
    "laboratory",
    "imagingResults",
    "examinations",
    "socialHistory",
    "procedures",
    "imagingStudies",
    "reports",
    "medicationRequests",
    "medicationStatements",
    "medicationAdministrations",
    "allergies",
    "devices",
    "deviceUse",
    "plannedServices",
    "carePlans",
)
REQUIRED = ("conditions",)
USAGE = (
    "FHIR R4. Draft imaging orders are ServiceRequests with LOINC, CPT or SNOMED CT codes; Conditions are needed, "
    "everything else refines the answer."
)

Deserves = Callable[[Consultation, DraftOrder, OrderAssessment], bool]


def cards(consultation: Consultation, deserves: Deserves) -> tuple[Card, ...]:
    """One card for each study that deserves one; drafts that are one study share it."""
    found: list[Card] = []
    told: set[tuple[str, ...]] = set()
    pairs = list(zip(consultation.drafts, consultation.assessment.orders, strict=True))
    for draft, order in pairs[: consultation.subjects]:
        if draft.group in told and draft.reference:
            continue
        told.add(draft.group)
        if deserves(consultation, draft, order):
            found.append(order_card(consultation, draft, order))
    return tuple(found)


def in_scope(consultation: Consultation, order: OrderAssessment) -> bool:
    """Outside the scope only safety is worth a word, and a contradiction that leaves open whether it is outside."""
    if any("scenario" in conflict.changes for conflict in consultation.assessment.conflicts):
        return True
    return order.scenario != "out-of-scope" or any(f.severity in (CRITICAL, WARNING) for f in order.safety)
