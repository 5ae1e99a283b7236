"""order-select: the clinician is still choosing, so every selected imaging order in scope gets its card."""

from __future__ import annotations

from cds_service.cards.pama import rating_actions
from cds_service.domain.findings import DraftOrder, OrderAssessment
from cds_service.protocol.response import Card
from cds_service.service import Consultation, HookService
from hooks import orders


def _deserves(consultation: Consultation, _draft: DraftOrder, order: OrderAssessment) -> bool:
    return orders.in_scope(consultation, order)


def respond(consultation: Consultation) -> tuple[Card, ...]:
    """Rating, reasons, better study and safety for each selected order."""
    return orders.cards(consultation, _deserves)


SERVICE = HookService(
    id="pnet-order-select",
    hook="order-select",
    title="Neuroendocrine tumour: is this the right study?",
    description=(
        "Rates each selected imaging order for a patient with a neuroendocrine neoplasm as published sources report, "
        "offers the better study as a one-click suggestion, and checks safety and timing."
    ),
    usage_requirements=orders.USAGE,
    inputs=orders.INPUTS,
    required=orders.REQUIRED,
    respond=respond,
    act=rating_actions,
    acts=lambda site: site.pama.order_select,
)
