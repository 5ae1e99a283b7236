"""Studies that may be handed back as orders: rated usually appropriate, available here, and not blocked by safety."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from cds_service.cards import whatif_words
from cds_service.clinical.imaging import may_be_chosen
from cds_service.consult import Gaps, about_options
from cds_service.domain.terms import USUALLY_APPROPRIATE
from cds_service.knowledge.model import Knowledge
from fhir_profiles.drafts import CONCEPT_OF, suggested_orders
from fhir_profiles.terminology import Terminology


@dataclass(frozen=True, slots=True)
class Offer:
    """A study with the draft orders for it: one, or two where the site codes it so.

    Attributes:
        mind: safety rules that fire for it, in words; none of them blocks it.
    """

    label: str
    orders: tuple[dict[str, Any], ...]
    mind: tuple[str, ...] = ()


def offers(
    bundle: Mapping[str, Any],
    encounter: str | None,
    today: date,
    knowledge: Knowledge,
    terminology: Terminology,
    gaps: Gaps,
) -> Iterator[Offer]:
    """What a card could offer for this chart, whatever was ordered; nothing for a patient there is no advice about.

    Raises:
        FactsError: no Bundle, or not exactly one Patient.
    """
    found = about_options(bundle, today, knowledge, terminology, gaps)
    chart = found.assessed.chart
    if chart.deceased or not chart.nen_evidence:
        return
    known: dict[str, Any] = {"reasonCode": [chart.indication]} if chart.indication else {}
    if encounter:
        known["encounter"] = {"reference": f"Encounter/{encounter}"}
    for order in found.assessed.assessment.orders:
        key = order.order.procedure or ""
        if key in CONCEPT_OF and order.rating == USUALLY_APPROPRIATE and may_be_chosen(order, knowledge):
            label = knowledge.procedures[key].label
            written = suggested_orders(key, label, "", known, found.id or "", terminology, knowledge.order_writing)
            mind = tuple(whatif_words.safety_rule(finding.rule, knowledge) for finding in order.safety)
            yield Offer(label, written, mind)
