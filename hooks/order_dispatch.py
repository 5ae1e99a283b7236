"""order-dispatch: protocol and safety facts for whoever performs the study."""

from __future__ import annotations

from cds_service.cards.dispatch import dispatch_card
from cds_service.protocol.response import Card
from cds_service.service import Consultation, HookService, Subject
from hooks import orders


def respond(consultation: Consultation) -> tuple[Card, ...]:
    """One card for each dispatched imaging order in scope."""
    return tuple(
        dispatch_card(consultation, draft, order)
        for draft, order in zip(consultation.drafts, consultation.assessment.orders, strict=True)
        if orders.in_scope(consultation, order)
    )


SERVICE = HookService(
    id="pnet-order-dispatch",
    hook="order-dispatch",
    title="Neuroendocrine tumour: for the performer",
    description=(
        "Protocol, tracer, earlier studies, renal function, implants, contrast reactions and pregnancy for an imaging "
        "order of a patient with a neuroendocrine neoplasm that is being dispatched."
    ),
    usage_requirements=(
        "FHIR R4. The dispatched ServiceRequests are read from prefetch, or by id with the token. "
        "Conditions are needed."
    ),
    inputs=tuple(key for key in orders.INPUTS if key != "encounter"),
    required=orders.REQUIRED,
    respond=respond,
    subject=Subject.DISPATCHED,
    kinds=("guideline",),
    hook_version="1.1",
)
