"""Sections of a card's detail, most important first. Record text is escaped; every statement carries its source."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from cds_service.cards import wording
from cds_service.cards.markdown import escape, reference, section, table
from cds_service.domain.findings import (
    ABOUT_ANOTHER,
    ANOTHER_PATIENT,
    DraftOrder,
    OrderAssessment,
    RatedStudy,
    Skipped,
)
from cds_service.domain.same import Same
from cds_service.domain.terms import LACK_WORDS, NOT_RATED, USUALLY_NOT_APPROPRIATE
from cds_service.knowledge.model import Knowledge, Row
from cds_service.protocol.response import Link
from cds_service.service import Consultation

DISCLAIMER: Final = (
    "_Ratings and staging definitions are restated from the sources named; the owners' current publications prevail. "
    "pnet-cds is decision support: it is neither the ACR nor a qualified mechanism nor a medical device._"
)
_SHOWN_FACTS: Final = (
    "nen_status",
    "primary_site",
    "differentiation",
    "ki67_percent",
    "size_mm",
    "metastases",
    "curative_resection",
    "residual_disease",
    "recurrence",
    "prior_treatments",
    "current_treatments",
    "disease_dominance",
    "management_strategy",
    "baseline_staging_done",
    "functional_syndrome",
    "hereditary_syndrome",
    "last_imaging_result",
    "months_since_last_imaging",
    "months_since_resection",
    "recist",
    "biochemical_rise",
    "new_symptoms",
    *wording.SAFETY_FACTS,
)
_MOST_ADVICE: Final = 6
_MOST_PROBLEMS: Final = 8
_KNOWLEDGES: Final = 32
_RULES: Final = 1024
"""Sets of rules of a card whose sources are held in memory."""
_STATEMENTS: Final = 4096
"""Statements that are held in memory; a knowledge has some 300."""


def _row(rule: str, knowledge: Knowledge) -> Row:
    return knowledge.rows.get(rule) or knowledge.rule_rows[rule]


def statement(rule: str, knowledge: Knowledge) -> str:
    """A rule in our own words with its sources and whether an engineering default is part of it."""
    return _statement(rule, Same(knowledge))


@lru_cache(maxsize=_STATEMENTS)
def _statement(rule: str, same: Same[Knowledge]) -> str:
    row = _row(rule, same.value)
    return f"{row.statement} ({rule}; {wording.citation(row, same.value)})"


def subject(draft: DraftOrder) -> str:
    """The order the card speaks about."""
    names = ", ".join(reference(item) for item in draft.group if item)
    text = escape(draft.name) or "draft imaging order"
    return f"**Order:** {text}" + (f" ({names})" if names else "")


def rating(order: OrderAssessment, knowledge: Knowledge) -> str:
    """What the rating is, who reports it, and what it rests on."""
    scenario = knowledge.scenarios[order.scenario]
    if order.rating == NOT_RATED:
        text = f"**Not rated** for {scenario.label}. {statement(order.rating_row, knowledge)}"
        return text + " This is not a judgement against the study."
    row = knowledge.ratings.get((order.scenario, order.order.procedure or "")) or _row(order.rating_rule, knowledge)
    reported = wording.reported_by(row, knowledge)
    return (
        f"**{wording.RATING[order.rating].capitalize()}** for {scenario.label} (ACR-style scenario), {reported}. "
        f"{row.statement} ({order.rating_rule})"
    )


def safety(order: OrderAssessment, knowledge: Knowledge) -> str:
    """Safety findings, gravest first."""
    return section(
        "Safety",
        [f"{finding.severity.capitalize()}: {statement(finding.rule, knowledge)}" for finding in order.safety],
    )


def suggestion_safety(order: OrderAssessment, knowledge: Knowledge) -> str:
    """What to mind about the suggested study."""
    lines = [f"{f.severity.capitalize()}: {statement(f.rule, knowledge)}" for f in order.suggestion_safety]
    return section("To mind about the suggested study", lines)


def overlay(consultation: Consultation, order: OrderAssessment) -> str:
    """The separate SSTR-PET result, never merged with the rating."""
    if order.order.procedure != "pet-ct-sstr" or consultation.assessment.auc == NOT_RATED:
        return ""
    rules = [rule for rule in consultation.assessment.rules if rule.startswith("AUC-")]
    lines = [statement(rule, consultation.knowledge) for rule in rules]
    return section("SSTR-PET appropriate use (a separate rating): appropriate", lines)


def facts(consultation: Consultation) -> list[str]:
    """The facts behind the answer, each with date and source."""
    chart, known = consultation.chart, consultation.assessment.facts
    lines: list[str] = []
    for name in _SHOWN_FACTS:
        value = getattr(known, name)
        evidence = chart.evidence.get(name, ())
        if value is None or not evidence:
            continue
        lines.append(
            f"{wording.fact_name(name)}: {wording.fact_value(name, value)} ({wording.evidence_lines(evidence)})"
        )
    return lines


def reasons(consultation: Consultation, scenario: str) -> str:
    """Why this scenario."""
    row = consultation.knowledge.scenarios[scenario]
    limited = ""
    if consultation.assessment.limited_applicability:
        limited = " " + statement("RAT-06", consultation.knowledge)
    head = f"Why this scenario: {row.label} ({row.rule_id}, {consultation.assessment.scenario_rule})"
    return section(head, [row.statement + limited, *facts(consultation)])


def alternatives(order: OrderAssessment, knowledge: Knowledge) -> str:
    """Every study a source rates in this scenario, with its radiation level."""
    rows = [
        (
            knowledge.procedures[study.procedure].label,
            wording.RATING[study.rating],
            study.radiation,
            _for_patient(study),
        )
        for study in order.alternatives
        if study.rating != USUALLY_NOT_APPROPRIATE or study.procedure == order.order.procedure
    ]
    shown = table(("Study", "Rating as reported", "Radiation level", "For this patient"), rows)
    exhausted = "\n\n**No rated alternative is left for this patient.** " + statement("SUG-03", knowledge)
    return f"**Rated studies in this scenario**\n\n{shown}{exhausted if order.no_alternative else ''}" if shown else ""


def _for_patient(study: RatedStudy) -> str:
    """What speaks against a rated study here and now."""
    against = [wording.NOT_HERE] if not study.available else []
    return "; ".join([*against, *([f"no: {', '.join(study.blocked_by)}"] if study.blocked_by else [])])


def order_advice(order: OrderAssessment, knowledge: Knowledge) -> str:
    """Protocol, pitfalls and choice of modality for this order."""
    shown = [rule for rule in (*order.warnings, *order.advice) if not rule.startswith("SAF-")]
    return section("For this order (advice, not an ACR rating)", [statement(rule, knowledge) for rule in shown])


def patient_advice(consultation: Consultation) -> str:
    """Advice that does not depend on the order."""
    of_orders = {rule for order in consultation.assessment.orders for rule in order.advice}
    shown = [rule for rule in consultation.assessment.advice if rule not in of_orders]
    pitfalls = [rule for rule in consultation.assessment.warnings if rule.startswith("PIT-")]
    of_warnings = {rule for order in consultation.assessment.orders for rule in order.warnings}
    shown = [*(rule for rule in pitfalls if rule not in of_warnings), *shown]
    at_length = _at_length(Same(consultation.knowledge))
    shown = [rule for rule in shown if rule in at_length]
    lines = [statement(rule, consultation.knowledge) for rule in shown[:_MOST_ADVICE]]
    return section("For this patient (advice, not an ACR rating)", lines)


@lru_cache(maxsize=_KNOWLEDGES)
def _at_length(same: Same[Knowledge]) -> frozenset[str]:
    """Advice that does not refer to a longer one."""
    return frozenset(rule.row.id for rule in same.value.advice if not rule.row.refers_to)


def data_problems(consultation: Consultation) -> str:
    """Conflicts, unusable resources and inputs that could not be had."""
    lines = [wording.conflict_line(conflict) for conflict in consultation.assessment.conflicts]
    lines += unusable_lines(consultation.chart.skipped)
    return section("About the data", [*lines, *not_received(consultation)])


def not_received(consultation: Consultation) -> list[str]:
    """Inputs that could not be had."""
    if consultation.chart.unavailable:
        lacks = consultation.chart.lacks
        keys = ", ".join(
            f"{reference(key)} ({LACK_WORDS[lacks[key]]})" if key in lacks else key
            for key in consultation.chart.unavailable
        )
        return [f"Not received in full, so what it holds is unknown and was not read as absent: {keys}"]
    return []


def unusable_lines(skipped: tuple[Skipped, ...], most: int = _MOST_PROBLEMS) -> list[str]:
    """What was set aside. Resources of another patient are told by kind only: a card names nobody else's record."""
    foreign = [item for item in skipped if item.reason in (ANOTHER_PATIENT, ABOUT_ANOTHER)]
    own = [item for item in skipped if item not in foreign]
    lines = []
    if foreign:
        kinds = ", ".join(sorted({item.source.partition("/")[0] for item in foreign}))
        lines.append(
            f"Set aside as another patient's, and not read: {len(foreign)} of the resources received ({kinds}). "
            "The chart may be mixed up."
        )
    for item in own[:most]:
        about = f" for {wording.fact_name(item.fact)}" if item.fact else ""
        lines.append(f"Present but unusable{about}: {reference(item.source)}, {item.reason}")
    if len(own) > most:
        lines.append(f"And {len(own) - most} more that are present but unusable, listed in the assessment")
    return lines


def sources(rules: tuple[str, ...], knowledge: Knowledge) -> str:
    """Full citations of everything on the card."""
    return _sources(rules, Same(knowledge))


@lru_cache(maxsize=_RULES)
def _sources(rules: tuple[str, ...], same: Same[Knowledge]) -> str:
    knowledge = same.value
    cited = {source.key: source for rule in rules for source in knowledge.sources_of(_row(rule, knowledge))}
    lines = [
        source.citation + (f" <{source.url}>" if source.url else "")
        for source in cited.values()
        if source.kind != "project"
    ]
    return section(f"Sources (knowledge {knowledge.version}, {knowledge.hash})", lines)


def links(rules: tuple[str, ...], consultation: Consultation, scenario: str) -> tuple[Link, ...]:
    """The guideline text of the scenario, where its address is known, and the cited publications that can be opened."""
    found = {link.url: link for link in guideline_links(consultation, scenario)}
    for link in _publications(rules, Same(consultation.knowledge)):
        found.setdefault(link.url, link)
    return tuple(found.values())


@lru_cache(maxsize=_RULES)
def _publications(rules: tuple[str, ...], same: Same[Knowledge]) -> tuple[Link, ...]:
    """The cited publications that can be opened, each once."""
    found: dict[str, Link] = {}
    for rule in rules:
        row = same.value.rows.get(rule) or same.value.rule_rows.get(rule)
        for source in same.value.sources_of(row) if row else ():
            if source.url:
                found.setdefault(source.url, Link(source.label, source.url))
    return tuple(found.values())


def guideline_links(consultation: Consultation, scenario: str) -> tuple[Link, ...]:
    """The page about a scenario; none when the address under which clients reach this service is not known."""
    if not consultation.public_url:
        return ()
    label = f"Guideline: {consultation.knowledge.scenarios[scenario].label}"
    return (Link(label, f"{consultation.public_url}/guideline/scenarios/{scenario}"),)
