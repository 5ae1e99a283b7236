"""The performer's card: protocol, tracer, earlier studies to send, and what safety needs to know."""

from __future__ import annotations

from typing import Final

from cds_service.cards import detail, wording
from cds_service.cards.markdown import cut, document, escape, section
from cds_service.cards.order import gravest_headline, study_name, topic
from cds_service.cards.reasons import override_reasons
from cds_service.domain.findings import DraftOrder, OrderAssessment
from cds_service.domain.terms import CRITICAL, INFO, WARNING
from cds_service.protocol.response import SUMMARY_LIMIT, Card, Source
from cds_service.service import Consultation
from fhir_profiles.reading import objects, words

_PROTOCOL: Final = ("PRO-", "MOD-01", "MOD-02")
_MOST_PRIORS: Final = 6
_SAFETY: Final = ("implant", "egfr", "dialysis", "aki", "gadolinium_allergy", "iodinated_allergy", "pregnant")


def dispatch_card(consultation: Consultation, order: DraftOrder, assessed: OrderAssessment) -> Card:
    """What whoever performs the study should know before the patient is on the table."""
    knowledge = consultation.knowledge
    rules = tuple(rule for rule in (*assessed.warnings, *assessed.advice))
    headline = gravest_headline(assessed, knowledge)
    name = study_name(order, assessed, knowledge)
    summary = f"Check before {name}: {headline}" if headline else f"Protocol and safety facts for {name}"
    severities = {finding.severity for finding in assessed.safety}
    indicator = CRITICAL if CRITICAL in severities else WARNING if WARNING in severities else INFO
    return Card(
        summary=cut(summary, SUMMARY_LIMIT),
        indicator=indicator,
        source=Source("pnet-cds, for the performer", topic=topic("guideline")),
        detail=document(
            [
                detail.subject(order),
                detail.safety(assessed, knowledge),
                section(
                    "Protocol", [detail.statement(r, knowledge) for r in assessed.advice if r.startswith(_PROTOCOL)]
                ),
                section("As ordered", _as_ordered(order)),
                section("Safety facts", _safety_facts(consultation)),
                section("Earlier studies to send", _priors(consultation)),
                detail.data_problems(consultation),
                detail.sources(rules, knowledge),
                detail.DISCLAIMER,
            ]
        ),
        override_reasons=override_reasons("dispatch"),
        links=detail.links(rules, consultation, assessed.scenario),
        rules=rules,
        associated=tuple(reference for reference in order.group if reference),
    )


def _as_ordered(order: DraftOrder) -> list[str]:
    """Tracer and details as the order states them."""
    details = [escape(words(item)) for item in objects(order.resource.get("orderDetail"))]
    return [line for line in (*details, order.open_question) if line]


def _safety_facts(consultation: Consultation) -> list[str]:
    """Every safety fact, known with its source or said to be unknown."""
    facts, chart = consultation.assessment.facts, consultation.chart
    lines: list[str] = []
    for name in _SAFETY:
        if name == "pregnant" and facts.sex == "male":
            continue
        value = getattr(facts, name)
        if value is None:
            lines.append(f"{wording.fact_name(name)}: not on record")
            continue
        source = next((f" ({wording.evidence_line(item)})" for item in chart.evidence.get(name, ())), "")
        lines.append(f"{wording.fact_name(name)}: {wording.fact_value(name, value)}{source}")
    return lines


def _priors(consultation: Consultation) -> list[str]:
    priors = consultation.chart.priors[:_MOST_PRIORS]
    return [f"{escape(prior.label)} ({wording.evidence_line(prior)})" for prior in priors] or ["none on record"]
