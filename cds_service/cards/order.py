"""The card about one draft order: action first, then the reasons."""

from __future__ import annotations

from typing import Final

from cds_service.cards import detail, wording
from cds_service.cards.markdown import cut, document, plain
from cds_service.cards.open_points import ask, open_points
from cds_service.cards.pama import rated_suggestion, unsettled, unsettled_facts
from cds_service.cards.reasons import override_reasons
from cds_service.cards.suggestions import is_complement, replace_order
from cds_service.domain.findings import DraftOrder, OrderAssessment
from cds_service.domain.terms import (
    CRITICAL,
    INFO,
    NOT_RATED,
    USUALLY_APPROPRIATE,
    USUALLY_NOT_APPROPRIATE,
    WARNING,
)
from cds_service.knowledge.model import Knowledge
from cds_service.protocol.response import ANY, AT_MOST_ONE, SUMMARY_LIMIT, Card, Coding, Source
from cds_service.service import Consultation

_TOPICS: Final = "http://terminology.hl7.org/CodeSystem/cdshooks-card-type"
_NAME_IN_SUMMARY: Final = 48
DUPLICATE: Final = "SAF-15"


def order_card(consultation: Consultation, draft: DraftOrder, order: OrderAssessment) -> Card:
    """Everything there is to say about one order, whether or not a hook decides to say it."""
    knowledge = consultation.knowledge
    better = replace_order(draft, order, consultation.patient_id, knowledge, consultation.drafted)
    if better:
        better = rated_suggestion(better, order, consultation)
    question = ask(consultation, draft)
    return Card(
        summary=cut(_summary(consultation, draft, order), SUMMARY_LIMIT),
        indicator=_indicator(order, knowledge),
        source=_source(order, knowledge),
        detail=document(
            [
                detail.subject(draft),
                detail.rating(order, knowledge),
                unsettled(order),
                detail.safety(order, knowledge),
                detail.suggestion_safety(order, knowledge),
                detail.overlay(consultation, order),
                detail.reasons(consultation, order.scenario),
                detail.alternatives(order, knowledge),
                detail.order_advice(order, knowledge),
                detail.patient_advice(consultation),
                open_points(consultation, draft),
                detail.data_problems(consultation),
                detail.sources(_rules(consultation, order), knowledge),
                detail.DISCLAIMER,
            ]
        ),
        suggestions=tuple(filter(None, (better, question))),
        selection=ANY if better and question else AT_MOST_ONE,
        override_reasons=override_reasons("order"),
        links=detail.links(_rules(consultation, order), consultation, order.scenario),
        rules=_rules(consultation, order),
        associated=tuple(reference for reference in draft.group if reference),
    )


def _rules(consultation: Consultation, order: OrderAssessment) -> tuple[str, ...]:
    """Rows the card rests on."""
    scenario = consultation.knowledge.scenarios[order.scenario].rule_id
    return tuple(dict.fromkeys((order.rating_rule, *order.warnings, *order.advice, scenario)))


def study_name(draft: DraftOrder, order: OrderAssessment, knowledge: Knowledge) -> str:
    """The study in few words, for a summary."""
    procedure = knowledge.procedures.get(order.order.procedure or "")
    return procedure.short if procedure else cut(plain(draft.name) or "this study", _NAME_IN_SUMMARY)


def _summary(consultation: Consultation, draft: DraftOrder, order: OrderAssessment) -> str:
    """The action first, in fewer than 140 characters."""
    name = study_name(draft, order, consultation.knowledge)
    return (
        _blocked(name, order, consultation.knowledge)
        or _unratable(name, draft, order, consultation)
        or _better(name, order, consultation)
        or _caution(name, order, consultation.knowledge)
        or _unsettled(name, order)
        or _verdict(name, order, consultation.knowledge)
    )


def _blocked(name: str, order: OrderAssessment, knowledge: Knowledge) -> str:
    if not order.blocked_by:
        return ""
    headline = gravest_headline(order, knowledge)
    if order.suggestion and not is_complement(order, knowledge):
        return f"Order {knowledge.procedures[order.suggestion].short} instead of {name}: {headline}"
    return f"Discuss before {name}: {headline}" + ("; no rated alternative is left" if order.no_alternative else "")


def _unratable(name: str, draft: DraftOrder, order: OrderAssessment, consultation: Consultation) -> str:
    if order.scenario == "insufficient-data":
        return f"{wording.capital(name)} cannot be rated: {_lacking(consultation)} not on record"
    return f"State it on the order: {draft.open_question} ({name})" if draft.open_question else ""


def _better(name: str, order: OrderAssessment, consultation: Consultation) -> str:
    knowledge = consultation.knowledge
    if not order.suggestion:
        return ""
    if is_complement(order, consultation.knowledge):
        return _as_well(name, order, consultation)
    better, scenario = knowledge.procedures[order.suggestion].short, knowledge.scenarios[order.scenario].label
    if order.rating == USUALLY_NOT_APPROPRIATE:
        return f"Order {better} instead of {name}: usually not appropriate for {scenario}"
    return f"Consider {better}: {name} is not rated for {scenario}"


def _as_well(name: str, order: OrderAssessment, consultation: Consultation) -> str:
    """A study that answers another question stays; the suggested one is missing only if nobody has ordered it."""
    key = order.suggestion or ""
    if is_provided(order, consultation):
        return ""
    return f"Consider {consultation.knowledge.procedures[key].short} as well: {name} answers another question"


def is_provided(order: OrderAssessment, consultation: Consultation) -> bool:
    """Whether the suggested study is drafted or on order, beside an order that answers another question."""
    there = consultation.drafted | consultation.planned
    return is_complement(order, consultation.knowledge) and order.suggestion in there


def _caution(name: str, order: OrderAssessment, knowledge: Knowledge) -> str:
    headline = gravest_headline(order, knowledge)
    if headline:
        return f"Check before {name}: {headline}"
    rows = [rule.row for rule in knowledge.advice if rule.row.id in order.advice]
    against = next((row.against_order for row in rows if row.against_order), "")
    return f"Reconsider {name}: {against}" if against else ""


def _unsettled(name: str, order: OrderAssessment) -> str:
    facts = unsettled_facts(order)
    return f"Settle {facts} before {name}: the rating depends on it" if facts else ""


def _verdict(name: str, order: OrderAssessment, knowledge: Knowledge) -> str:
    scenario = knowledge.scenarios[order.scenario].label
    if order.rating == NOT_RATED:
        return f"No source rates {name} for {scenario}; see the advice"
    return f"{wording.capital(name)} is {wording.RATING[order.rating]} for {scenario}"


def _lacking(consultation: Consultation) -> str:
    facts = consultation.assessment.facts
    names = [n for n in ("primary_site", "nen_status") if getattr(facts, n) is None]
    return " and ".join(wording.fact_name(name) for name in names)


def gravest_headline(order: OrderAssessment, knowledge: Knowledge) -> str:
    """The gravest safety finding that deserves attention; information alone does not make a headline."""
    for finding in order.safety:
        if finding.severity != INFO:
            return next(rule.row.headline for rule in knowledge.safety if rule.row.id == finding.rule)
    return ""


def _indicator(order: OrderAssessment, knowledge: Knowledge) -> str:
    """Critical for danger only; a warning for what should change or be checked; otherwise information."""
    if order.blocked_by:
        return CRITICAL
    attention = order.rating == USUALLY_NOT_APPROPRIATE or any(f.severity == WARNING for f in order.safety)
    return WARNING if attention or (order.suggestion and not is_complement(order, knowledge)) else INFO


def _source(order: OrderAssessment, knowledge: Knowledge) -> Source:
    """The direct source of the gravest statement on the card."""
    rule = order.blocked_by[0] if order.blocked_by else order.rating_rule
    row = knowledge.rows.get(rule) or knowledge.rule_rows[rule]
    cited = knowledge.sources_of(row)[0]
    topic = "contraindication" if order.blocked_by else "appropriate-use"
    if not order.blocked_by and DUPLICATE in order.warnings:
        topic = "duplicate-therapy"
    label = f"{cited.label}, restated by pnet-cds" if cited.kind != "project" else "pnet-cds"
    return Source(label, cited.url, Coding(_TOPICS, topic, topic.replace("-", " ").capitalize()))


def topic(code: str) -> Coding:
    """A card topic (CR-004)."""
    return Coding(_TOPICS, code, code.replace("-", " ").capitalize())


def is_good(order: OrderAssessment) -> bool:
    """Usually appropriate and nothing safety has to say beyond information."""
    return order.rating == USUALLY_APPROPRIATE and all(finding.severity == INFO for finding in order.safety)
