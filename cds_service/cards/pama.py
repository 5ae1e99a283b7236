"""Ratings recorded on orders: the system actions, the rated suggestion, and what a card says when nothing is recorded.

What may be recorded is decided in :mod:`cds_service.clinical.pama`; how it is written, in :mod:`fhir_profiles.pama`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from cds_service.cards import wording
from cds_service.cards.markdown import section
from cds_service.domain.findings import OrderAssessment, PamaRating
from cds_service.domain.terms import APPROPRIATE_USE, FHIR_BASE
from cds_service.protocol.response import Action, Suggestion
from cds_service.service import Consultation
from fhir_profiles.pama import Rating, can_carry, extensions, with_rating
from fhir_profiles.terminology import load_terminology

_NO_CRITERION = "Not rated: no source available to this service covers this study"
_APPROPRIATE_USE = "Appropriate by the criteria for SSTR PET, which are no ACR-style category"
_DESCRIPTION = "Record the appropriateness rating on the order"


def rating_actions(consultation: Consultation) -> tuple[Action, ...]:
    """One update for each draft to speak about that has a rating and can carry it (PM-011)."""
    return tuple(_updates(consultation))


def _updates(consultation: Consultation) -> Iterator[Action]:
    pairs = list(zip(consultation.drafts, consultation.assessment.orders, strict=True))
    for draft, order in pairs[: consultation.subjects]:
        written = consultation.written.get(draft.reference)
        if written is None or not can_carry(draft.resource):
            continue
        added = _extensions(order.pama, consultation)
        resource = with_rating(written, added) if added else None
        if resource is not None:
            yield Action("update", _DESCRIPTION, resource)


def rated_suggestion(suggestion: Suggestion, order: OrderAssessment, consultation: Consultation) -> Suggestion:
    """The suggestion with the rating already on the orders it creates (PM-013)."""
    added = _extensions(order.suggestion_pama, consultation)
    if not added:
        return suggestion
    actions = (
        replace(action, resource={**action.resource, "extension": added}) if action.resource else action
        for action in suggestion.actions
    )
    return replace(suggestion, actions=tuple(actions))


def _extensions(pama: PamaRating | None, consultation: Consultation) -> list[dict[str, Any]]:
    """The extensions of a rating; none where there is no rating."""
    if pama is None or pama.code is None:
        return []
    qcdsm = consultation.knowledge.site.pama.qcdsm
    text = _text(pama, consultation)
    criterion = f"{_criteria(consultation)}/{pama.criterion}" if pama.criterion else ""
    rating = Rating(pama.code, pama.category, text, criterion, consultation.consult_id, qcdsm)
    return extensions(rating, load_terminology())


def _criteria(consultation: Consultation) -> str:
    """Base of the guideline rows as URIs: the pages about them where their address is known, else names alone."""
    return f"{consultation.public_url}/guideline/rules" if consultation.public_url else f"{FHIR_BASE}/guideline-rule"


def _text(pama: PamaRating, consultation: Consultation) -> str:
    """The category in words, who reports it, and the limitation that a code cannot carry (RAT-06)."""
    if not pama.criterion:
        return _NO_CRITERION
    knowledge = consultation.knowledge
    reported = wording.reported_by(knowledge.rows[pama.criterion], knowledge)
    words = _APPROPRIATE_USE if pama.category == APPROPRIATE_USE else wording.RATING[pama.category].capitalize()
    text = f"{words}, {reported}"
    if consultation.assessment.limited_applicability:
        text += f". {knowledge.principles['RAT-06'].statement}"
    return text


def is_unsettled(order: OrderAssessment) -> bool:
    """Whether the order gets no rating although it is in scope, so that a card must say what settles it (PM-005)."""
    return order.pama is not None and order.pama.code is None


def unsettled_facts(order: OrderAssessment) -> str:
    """The facts that must be settled before the order can be rated, for people."""
    return " and ".join(wording.fact_name(fact) for fact in order.pama.lacking) if order.pama else ""


def unsettled(order: OrderAssessment) -> str:
    """Why nothing is recorded on the order, and what settles it; empty when something is, or out of scope."""
    if order.pama is None or order.pama.code is not None:
        return ""
    facts = unsettled_facts(order)
    lines = [order.pama.question, f"{facts}: not on record, unreadable or contradictory" if facts else ""]
    return section("No rating is recorded on the order until this is settled", [line for line in lines if line])
