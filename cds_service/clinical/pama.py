"""What may be recorded on an order without anybody looking at it: the PAMA rating, or why there is none yet.

A card can say what it rests on and what it does not know; a rating on an order cannot. So it is recorded only where it
is the same in every reading of the record that damage leaves open: for each fact that could not be read, that was not
received although a written default (SEL-0) takes it as absent, or that sources contradict each other about, the chart
is assessed again with each value the fact may have.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from cds_service.clinical import imaging
from cds_service.clinical.assess import assess, with_fact
from cds_service.clinical.contradictions import Assessed
from cds_service.domain.facts import FACTS, Kind
from cds_service.domain.findings import Assessment, OrderAssessment, PamaRating
from cds_service.domain.terms import NOT_RATED
from cds_service.knowledge.model import Knowledge

_INSUFFICIENT = "insufficient-data"
_NO_RATING = ""
_IDENTIFYING = ("nen_status", "primary_site")
_DOMINANCE = "disease_dominance"
_SHARE = "liver_tumour_share_percent"
_TRACER_QUESTION = "the tracer is not stated"


@dataclass(frozen=True, slots=True)
class _Study:
    """A study as it stands in one reading of the record."""

    scenario: str
    procedure: str | None
    rating: str
    row: str
    agent: str | None
    question: str = ""


def with_pama(assessed: Assessed, knowledge: Knowledge, unseen: Iterable[str] = ()) -> Assessed:
    """The assessment with what may be recorded on each order.

    Args:
        assessed: the chart and its assessment.
        knowledge: the rows in force.
        unseen: facts that a written default takes as absent although what would hold them was not received.
    """
    base = assessed.assessment
    if not base.orders or not knowledge.pama:
        return assessed
    doubts = _doubts(assessed, frozenset(unseen), knowledge)
    orders = tuple(_rated(number, order, doubts, knowledge) for number, order in enumerate(base.orders))
    return replace(assessed, assessment=replace(base, orders=orders))


def _rated(
    number: int, order: OrderAssessment, doubts: Mapping[str, list[Assessment]], knowledge: Knowledge
) -> OrderAssessment:
    """The order with its rating, and that of the suggested study, where they are the same in every other reading."""
    others = {fact: [world.orders[number] for world in worlds] for fact, worlds in doubts.items()}
    ordered = _settled(_ordered(order), {fact: map(_ordered, worlds) for fact, worlds in others.items()}, knowledge)
    if order.suggestion is None:
        return replace(order, pama=ordered)
    better = order.suggestion
    suggested = _settled(
        _suggested(order, better, knowledge),
        {fact: [_suggested(world, better, knowledge) for world in worlds] for fact, worlds in others.items()},
        knowledge,
    )
    return replace(order, pama=ordered, suggestion_pama=suggested)


def _ordered(order: OrderAssessment) -> _Study:
    asked = order.order
    return _Study(order.scenario, asked.procedure, order.rating, order.rating_row, asked.agent, asked.open_question)


def _suggested(order: OrderAssessment, procedure: str, knowledge: Knowledge) -> _Study:
    rated, row = imaging.rating(order.scenario, procedure, knowledge, knowledge.site_agent)
    return _Study(order.scenario, procedure, rated, row.id, knowledge.site_agent)


def _settled(study: _Study, others: Mapping[str, Iterable[_Study]], knowledge: Knowledge) -> PamaRating | None:
    """The rating, unless another reading of a fact leads to another code."""
    found = _rating(study, knowledge)
    if found is None or found.code is None:
        return found
    lacking = tuple(
        fact for fact, worlds in others.items() if any(_code(world, knowledge) != found.code for world in worlds)
    )
    return PamaRating(None, knowledge.pama[_NO_RATING].id, lacking=lacking) if lacking else found


def _code(study: _Study, knowledge: Knowledge) -> str | None:
    found = _rating(study, knowledge)
    return found.code if found else None


def _rating(study: _Study, knowledge: Knowledge) -> PamaRating | None:
    """The rating of a study in one reading of the record (PM-003 to PM-005)."""
    if study.scenario == imaging.OUT_OF_SCOPE:
        return None
    none = knowledge.pama[_NO_RATING].id
    if study.scenario == _INSUFFICIENT:
        return PamaRating(None, none, lacking=_IDENTIFYING)
    if study.question or imaging.needs_agent(study.procedure, study.agent, knowledge):
        return PamaRating(None, none, question=study.question or _TRACER_QUESTION)
    if study.rating == NOT_RATED and imaging.candidates_differ(study.scenario, study.procedure, knowledge):
        return PamaRating(None, none, lacking=(_DOMINANCE,))
    row = knowledge.pama[study.rating]
    return PamaRating(row.code, row.id, study.rating, "" if study.rating == NOT_RATED else study.row)


def _doubts(assessed: Assessed, unseen: frozenset[str], knowledge: Knowledge) -> dict[str, list[Assessment]]:
    """Other readings of the record, by the fact that they read otherwise."""
    chart, base = assessed.chart, assessed.assessment
    orders = tuple(order.order for order in base.orders)
    damaged = {skipped.fact for skipped in chart.skipped if skipped.fact}
    values: dict[str, list[object]] = {
        fact: list(_possible(fact, knowledge))
        for fact in FACTS
        if fact in damaged | unseen and getattr(chart.facts, fact) is None
    }
    told = [(conflict.fact, conflict.other) for conflict in base.conflicts]
    for alternative in chart.alternatives:
        if (alternative.fact, alternative.evidence) in told:
            values.setdefault(alternative.fact, []).append(alternative.value)
    return {
        fact: [assess(with_fact(chart.facts, fact, value), orders, knowledge) for value in possible]
        for fact, possible in values.items()
    }


def _possible(fact: str, knowledge: Knowledge) -> Iterator[object]:
    """The values a fact may have, as far as the choice of a scenario can tell them apart.

    Of numbers only the share of the liver decides between scenarios; an age that cannot be read is unknown as one that
    is not on record is, and the scenarios are for adults.
    """
    spec = FACTS[fact]
    if spec.kind is Kind.FLAG:
        yield from (True, False)
    elif spec.kind is Kind.WORD:
        yield from spec.words
    elif spec.kind is Kind.WORDS:
        yield ()
        yield from ((word,) for word in spec.words)
    half = knowledge.principles["SEL-D"].liver_tumour_share_percent
    if fact == _SHARE and half is not None:
        yield from (half - 1, half, half + 1)
