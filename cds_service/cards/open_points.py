"""What is not on record: what it would change in at most three lines, the rest by name, and a test that would tell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from cds_service.cards import whatif_words, wording
from cds_service.cards.markdown import section
from cds_service.domain.findings import DraftOrder, WhatIf, WouldChange
from cds_service.domain.same import Same
from cds_service.knowledge.model import Knowledge
from cds_service.protocol.response import Action, Suggestion
from cds_service.service import Consultation
from fhir_profiles.drafts import ANSWERED_BY, suggested_test
from fhir_profiles.terminology import load_terminology

MOST_LINES: Final = 3
_MOST_NAMES: Final = 6
_MOST_ANSWERS: Final = 3
_MOST_CHANGES: Final = 2
_REMEMBERED: Final = 512
"""Kinds of patients whose lines are held in memory."""
_NO_GAP: Final = "days_since_same_procedure"  # no earlier study on record is the rule


def open_points(consultation: Consultation, draft: DraftOrder | None = None) -> str:
    """What would change the answer, and what else is not on record."""
    shown = _shown(consultation, draft)
    orderable = frozenset(fact for fact in shown.facts if _orderable(fact, consultation))
    lines = _lines(Same(shown), orderable, Same(consultation.knowledge))
    question = draft.open_question if draft else ""
    also = [question[:1].upper() + question[1:]] if question else []
    names = [wording.fact_name(name) for name in others(consultation, shown.facts)]
    if names:
        rest = len(names) - _MOST_NAMES
        also.append(
            ", ".join(names[:_MOST_NAMES]) + (f" and {rest} more, listed in the assessment" if rest > 0 else "")
        )
    parts = (
        section("What would change this answer", list(lines)),
        section("Also not on record" if lines else "Not on record", also),
    )
    return "\n\n".join(part for part in parts if part)


@lru_cache(maxsize=_REMEMBERED)
def _lines(same: Same[_Shown], orderable: frozenset[str], knowledge: Same[Knowledge]) -> tuple[str, ...]:
    facts = same.value.facts
    return tuple(whatif_line(fact, facts[fact], knowledge.value, orderable=fact in orderable) for fact in facts)


def whatif_line(fact: str, entries: Iterable[WouldChange], knowledge: Knowledge, *, orderable: bool) -> str:
    """``Record Ki-67: 3 to 20 % → NET G2 | above 20 % → NET G3``."""
    answers: dict[str, list[WouldChange]] = {}
    for entry in entries:
        told = whatif_words.changes(entry.changes, knowledge)
        answers.setdefault("; ".join(told[:_MOST_CHANGES]), []).append(entry)
    parts = [
        f"{whatif_words.values(fact, [value for entry in same for value in entry.values])} → {told}"
        for told, same in answers.items()
    ]
    test = " (a test can be ordered)" if orderable else ""
    more = f" | {len(parts) - _MOST_ANSWERS} more" if len(parts) > _MOST_ANSWERS else ""
    return f"Record {wording.fact_name(fact)}{test}: {' | '.join(parts[:_MOST_ANSWERS])}{more}"


def ask(consultation: Consultation, draft: DraftOrder) -> Suggestion | None:
    """The test that answers the most decisive question of the card, when one can be ordered and none is on order."""
    for fact in _shown(consultation, draft).facts:
        if _orderable(fact, consultation):
            terminology = load_terminology()
            label = ANSWERED_BY[fact].label
            resource = suggested_test(fact, draft.resource, consultation.patient_id, terminology)
            return Suggestion(f"Also order {label}", (Action("create", f"Order {label}", resource=resource),))
    return None


def _orderable(fact: str, consultation: Consultation) -> bool:
    return fact in ANSWERED_BY and consultation.requested.isdisjoint(ANSWERED_BY[fact].concepts)


class _Shown(NamedTuple):
    """The facts that a card tells of, with what each would change for its order or the patient."""

    facts: Mapping[str, tuple[WouldChange, ...]]


def _shown(consultation: Consultation, draft: DraftOrder | None) -> _Shown:
    ours = frozenset({"", *(_numbers(consultation, draft) if draft else ())})
    return _shown_of(Same(consultation.what_if()), ours)


@lru_cache(maxsize=_REMEMBERED)
def _shown_of(same: Same[WhatIf], ours: frozenset[str]) -> _Shown:
    """The leading fact of each level first, so that three lines tell three kinds of things."""
    by_fact: dict[str, list[WouldChange]] = {}
    for entry in _about(same.value, ours):
        by_fact.setdefault(entry.fact, []).append(entry)
    leading: dict[str, str] = {}
    for fact, entries in by_fact.items():
        leading.setdefault(entries[0].level, fact)
    chosen = list(dict.fromkeys((*leading.values(), *by_fact)))[:MOST_LINES]
    return _Shown({fact: tuple(by_fact[fact]) for fact in by_fact if fact in chosen})


def _about(what_if: WhatIf, ours: frozenset[str]) -> Iterator[WouldChange]:
    """Entries that change something about these orders or the patient, without what they change about others."""
    for entry in what_if.entries:
        changes = tuple(change for change in entry.changes if change.order in ours)
        if changes:
            yield WouldChange(entry.fact, entry.values, entry.example, entry.level, changes)


def _numbers(consultation: Consultation, draft: DraftOrder) -> Iterator[str]:
    """By which number changes name the order."""
    for number, order in enumerate(consultation.assessment.orders, start=1):
        if order.order.id == draft.order.id:
            yield str(number)


def others(consultation: Consultation, shown: Mapping[str, object]) -> Iterator[str]:
    """The other missing facts that can be asked for."""
    male = consultation.assessment.facts.sex == "male"
    for name in consultation.assessment.missing:
        if name not in shown and name != _NO_GAP and not (male and name == "pregnant"):
            yield name
