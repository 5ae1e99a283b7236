"""What may be recorded on an order without anybody looking at it: the PAMA rating, or why there is none yet.

A card can say what it rests on and what it does not know; a rating on an order cannot. So it is recorded only where it
is the same in every reading of the record that damage leaves open: for each fact that could not be read, that was not
received although a written default (SEL-0) takes it as absent, or that sources contradict each other about, the chart
is read again with each value the fact may have.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from cds_service.clinical import imaging
from cds_service.clinical.assess import Reading, readings, with_fact
from cds_service.clinical.contradictions import Assessed
from cds_service.domain.alter import altered
from cds_service.domain.facts import FACTS, Kind
from cds_service.domain.findings import ABOUT_ANOTHER, ANOTHER_PATIENT, Order, OrderAssessment, PamaRating
from cds_service.domain.terms import APPROPRIATE_USE, NOT_RATED
from cds_service.knowledge.model import Knowledge

_INSUFFICIENT = "insufficient-data"
_NO_RATING = ""
_IDENTIFYING = ("nen_status", "primary_site")
_DOMINANCE = "disease_dominance"
_SHARE = "liver_tumour_share_percent"
_WHOSE = "data of another patient came with the chart"
_TRACER_QUESTION = "the tracer is not stated"

Others = Mapping[str, frozenset[Reading]]
"""Other readings of one order, by the fact that they read otherwise."""


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
    asked = tuple(order.order for order in base.orders)
    plain = readings(assessed.chart.facts, asked, knowledge)
    others = {
        fact: [readings(with_fact(assessed.chart.facts, fact, value), asked, knowledge) for value in values]
        for fact, values in _doubtful(assessed, frozenset(unseen), knowledge).items()
    }
    orders = tuple(
        _rated(
            order, plain[number], {fact: frozenset(r[number] for r in each) for fact, each in others.items()}, knowledge
        )
        for number, order in enumerate(base.orders)
    )
    if any(skipped.reason in (ANOTHER_PATIENT, ABOUT_ANOTHER) for skipped in assessed.chart.skipped):
        orders = tuple(_in_doubt(order, knowledge) for order in orders)
    return Assessed(altered(base, {"orders": orders}), assessed.chart)


def _in_doubt(order: OrderAssessment, knowledge: Knowledge) -> OrderAssessment:
    """The order when nobody can be sure whose chart it is."""
    doubt = PamaRating(None, knowledge.pama[_NO_RATING].id, question=_WHOSE)
    return altered(order, {"pama": doubt if order.pama else None, "suggestion_pama": None})


def _rated(order: OrderAssessment, plain: Reading, others: Others, knowledge: Knowledge) -> OrderAssessment:
    """The order with what may be recorded on it and on the suggested one."""
    suggested = None
    if order.suggestion is not None:
        better = Order(order.order.id, order.suggestion, agent=knowledge.site.studies.sstr_agent)
        suggested = _settled(better, plain, others, knowledge)
    return altered(order, {"pama": _settled(order.order, plain, others, knowledge), "suggestion_pama": suggested})


def _settled(order: Order, plain: Reading, others: Others, knowledge: Knowledge) -> PamaRating | None:
    """The rating, unless another reading of a fact leads to another code."""
    found = _rating(order, plain, knowledge)
    if found is None or found.code is None:
        return found
    lacking = tuple(
        fact for fact, read in others.items() if any(_code(order, other, knowledge) != found.code for other in read)
    )
    return PamaRating(None, knowledge.pama[_NO_RATING].id, lacking=lacking) if lacking else found


def _code(order: Order, reading: Reading, knowledge: Knowledge) -> str | None:
    found = _rating(order, reading, knowledge)
    return found.code if found else None


def _rating(order: Order, reading: Reading, knowledge: Knowledge) -> PamaRating | None:
    """The rating of a study in one reading of the record (PM-003 to PM-005)."""
    scenario = reading.scenario
    if scenario == imaging.OUT_OF_SCOPE:
        return None
    none = knowledge.pama[_NO_RATING].id
    if scenario == _INSUFFICIENT:
        return PamaRating(None, none, lacking=_IDENTIFYING)
    if order.open_question or imaging.needs_agent(order.procedure, order.agent, knowledge):
        return PamaRating(None, none, question=order.open_question or _TRACER_QUESTION)
    category, applied = imaging.rating(scenario, order.procedure, knowledge, order.agent)
    if category == NOT_RATED and imaging.candidates_differ(scenario, order.procedure, knowledge):
        return PamaRating(None, none, lacking=(_DOMINANCE,))
    criterion = "" if category == NOT_RATED else applied.id
    if category == NOT_RATED and order.procedure == imaging.SSTR_PET and reading.overlay:
        category, criterion = APPROPRIATE_USE, reading.overlay
    row = knowledge.pama[category]
    return PamaRating(row.code, row.id, category, criterion)


def _doubtful(assessed: Assessed, unseen: frozenset[str], knowledge: Knowledge) -> dict[str, list[object]]:
    """Other values that facts may have, as far as damage leaves them open."""
    chart, base = assessed.chart, assessed.assessment
    doubted = unseen.union(skipped.fact for skipped in chart.skipped if skipped.fact)
    values: dict[str, list[object]] = {
        fact: list(_possible(fact, knowledge))
        for fact in FACTS
        if fact in doubted and getattr(chart.facts, fact) is None
    }
    told = [(conflict.fact, conflict.other) for conflict in base.conflicts]
    for alternative in chart.alternatives:
        if (alternative.fact, alternative.evidence) in told:
            values.setdefault(alternative.fact, []).append(alternative.value)
    return values


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
