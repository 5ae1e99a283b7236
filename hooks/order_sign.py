"""order-sign: each imaging order gets its rating recorded; a card only where something deserves attention."""

from __future__ import annotations

from cds_service.cards.order import is_good, is_provided
from cds_service.cards.pama import is_unsettled, rating_actions
from cds_service.domain.findings import ABOUT_ANOTHER, ANOTHER_PATIENT, DraftOrder, OrderAssessment
from cds_service.domain.terms import CRITICAL, NOT_RATED, WARNING
from cds_service.protocol.response import Card
from cds_service.service import Consultation, HookService
from hooks import orders

_TREATMENTS = frozenset({"current_treatments", "prior_treatments"})
_SAFETY_INPUTS = frozenset({"allergies", "devices", "laboratory", "socialHistory", "conditions"})


def _deserves(consultation: Consultation, draft: DraftOrder, order: OrderAssessment) -> bool:
    if not orders.in_scope(consultation, order):
        return False
    if any(finding.severity in (CRITICAL, WARNING) for finding in order.safety):
        return True
    if (order.suggestion and not is_provided(order, consultation)) or draft.open_question or is_unsettled(order):
        return True
    if _argued_against(consultation, order) or _unreadable(consultation, order):
        return True
    return order.rating != NOT_RATED and not is_good(order)


def _argued_against(consultation: Consultation, order: OrderAssessment) -> bool:
    """Whether advice argues against the ordered study itself."""
    against = {rule.row.id for rule in consultation.knowledge.advice if rule.row.against_order}
    return not against.isdisjoint(order.advice)


def _unreadable(consultation: Consultation, order: OrderAssessment) -> bool:
    """Whether data contradicts itself, is another patient's, ended in an error, or could not be read and matters."""
    if consultation.assessment.conflicts:
        return True
    if any(skipped.reason in (ANOTHER_PATIENT, ABOUT_ANOTHER) for skipped in consultation.chart.skipped):
        return True
    if order.order.procedure is not None and _SAFETY_INPUTS.intersection(consultation.failed):
        return True
    lost = {skipped.fact for skipped in consultation.chart.skipped if skipped.fact}
    known = consultation.chart.facts
    return any(getattr(known, name) is None and _matters(name, consultation) for name in lost)


def _matters(fact: str, consultation: Consultation) -> bool:
    """Treatments have a written default and so are never listed as missing; what could not be read of them matters."""
    return fact in consultation.assessment.missing or fact in _TREATMENTS


def respond(consultation: Consultation) -> tuple[Card, ...]:
    """Cards for orders that are not simply good."""
    return orders.cards(consultation, _deserves)


SERVICE = HookService(
    id="pnet-order-sign",
    hook="order-sign",
    title="Neuroendocrine tumour: last check before signing",
    description=(
        "Records the appropriateness rating on each imaging order for a patient with a neuroendocrine neoplasm (system "
        "actions), and speaks only where an order deserves attention: a rating below usually appropriate, a safety "
        "finding, a duplicate or too early study, or data that could not be read."
    ),
    usage_requirements=orders.USAGE,
    inputs=orders.INPUTS,
    required=orders.REQUIRED,
    respond=respond,
    act=rating_actions,
    acts=lambda _: True,
)
