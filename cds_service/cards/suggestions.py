"""One click to the better study: delete the draft, create the suggested order."""

from __future__ import annotations

from typing import Any

from cds_service.clinical.situation import attributes
from cds_service.domain.findings import DraftOrder, OrderAssessment
from cds_service.knowledge.model import AdviceRow, Knowledge
from cds_service.protocol.response import Action, Suggestion
from fhir_profiles.drafts import CONCEPT_OF, is_id, suggested_orders
from fhir_profiles.terminology import load_terminology


def replace_order(
    draft: DraftOrder,
    order: OrderAssessment,
    patient_id: str,
    knowledge: Knowledge,
    drafted: frozenset[str],
) -> Suggestion | None:
    """Replace the draft (and the drafts it is one study with) by the suggested study.

    None when there is nothing to suggest, or when the draft has no id and so cannot be removed. A study that is already
    drafted is not created again; the suggestion then only removes the draft. A draft that answers another question is
    never removed: the suggested study is offered beside it.
    """
    if order.suggestion is None or order.suggestion not in CONCEPT_OF:
        return None
    if is_complement(order, knowledge):
        return None if order.suggestion in drafted else _beside(draft, order, patient_id, knowledge)
    if not draft.group or not all(is_id(reference.partition("/")[2]) for reference in draft.group):
        return None
    label = knowledge.procedures[order.suggestion].label
    deletes = tuple(
        Action("delete", "Remove the draft order that is replaced", resource_id=reference) for reference in draft.group
    )
    if order.suggestion in drafted:
        return Suggestion(f"Remove this order; {label} is already drafted", deletes, recommended=True)
    return Suggestion(
        f"Replace by {label}", (*deletes, *_orders(draft, order, patient_id, knowledge)), recommended=True
    )


def is_complement(order: OrderAssessment, knowledge: Knowledge) -> bool:
    """Whether the ordered study answers another question than the suggested ones."""
    return "complement" in attributes(order.order, knowledge)


def _beside(draft: DraftOrder, order: OrderAssessment, patient_id: str, knowledge: Knowledge) -> Suggestion:
    label = knowledge.procedures[order.suggestion or ""].label
    return Suggestion(f"Order {label} as well", _orders(draft, order, patient_id, knowledge))


def _orders(draft: DraftOrder, order: OrderAssessment, patient_id: str, knowledge: Knowledge) -> tuple[Action, ...]:
    """The suggested study, with what the clinician had already said on the draft."""
    key = order.suggestion or ""
    label, detail = knowledge.procedures[key].label, _detail(order, knowledge)
    written = suggested_orders(
        key, label, detail, draft.resource, patient_id, load_terminology(), knowledge.order_writing
    )
    return creates(written)


def creates(orders: tuple[dict[str, Any], ...]) -> tuple[Action, ...]:
    """The actions that create orders."""
    return tuple(Action("create", f"Order {order['code']['text']}", resource=order) for order in orders)


def _detail(order: OrderAssessment, knowledge: Knowledge) -> str:
    """Protocol advice for the suggested study, as text for the order."""
    modality = knowledge.procedures[order.suggestion or ""].modality
    for rule in knowledge.advice:
        row: AdviceRow = rule.row
        if row.order_detail and any(
            test.name == "order_modality" and modality in test.operand for test in rule.condition.when
        ):
            return row.order_detail
    return ""
