"""Assesses a chart whose sources disagree, or whose numbers are ranges.

The newest source decides; what an older or equal one would have led to is found by assessing again with its value. Only
a difference in scenario, grade, stage, rating or safety is a conflict worth telling. A number recorded as a range is
used only where the whole range leads to the same answer. Facts that contradict other facts are found next door
(:mod:`cds_service.clinical.incompatible`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cds_service.clinical.assess import assess, told_of, with_fact
from cds_service.clinical.incompatible import incompatible
from cds_service.clinical.situation import with_defaults
from cds_service.domain.alter import altered
from cds_service.domain.facts import Facts
from cds_service.domain.findings import Assessment, Conflict, Order, PatientFacts, Skipped, ValueRange
from cds_service.knowledge.model import Knowledge

_MOST = 24
"""Most alternatives looked at in one call; the newest ones come first."""


@dataclass(frozen=True, slots=True)
class Assessed:
    """The assessment and the chart it rests on, after ranges were settled."""

    assessment: Assessment
    chart: PatientFacts


def assess_chart(chart: PatientFacts, orders: tuple[Order, ...], knowledge: Knowledge) -> Assessed:
    """Assess, settle ranges, and name the conflicts that change an answer."""
    chart = _settle_ranges(chart, orders, knowledge)
    base = assess(chart.facts, orders, knowledge)
    conflicts = (*_conflicts(chart, base, orders, knowledge), *incompatible(chart, base, knowledge))
    missing = base.missing + tuple(r.fact for r in chart.ranges if r.fact not in base.missing)
    return Assessed(altered(base, {"conflicts": conflicts, "missing": missing}), chart)


def _outcome(assessment: Assessment) -> dict[str, Any]:
    """What a conflict may change; without an order, safety is about the studies that could be suggested."""
    return {
        "scenario": assessment.scenario,
        "grade": assessment.grade,
        "stage": dict(assessment.tnm),
        "rating": tuple(order.rating for order in assessment.orders),
        "suggestion": tuple(order.suggestion for order in assessment.orders),
        "safety": tuple(order.safety for order in assessment.orders) or assessment.blocked_studies,
    }


def _differences(one: Assessment, other: Assessment) -> tuple[str, ...]:
    before, after = _outcome(one), _outcome(other)
    return tuple(name for name in before if before[name] != after[name])


def _conflicts(
    chart: PatientFacts, base: Assessment, orders: tuple[Order, ...], knowledge: Knowledge
) -> Iterator[Conflict]:
    for alternative in chart.alternatives[:_MOST]:
        facts = with_defaults(with_fact(chart.facts, alternative.fact, alternative.value))
        told = told_of(facts, orders, knowledge)
        changes = () if told is base.alike else _differences(base, told)
        if changes:
            yield Conflict(
                alternative.fact,
                chart.evidence.get(alternative.fact, ()),
                alternative.evidence,
                changes,
                getattr(chart.facts, alternative.fact),
                alternative.value,
            )


def _settle_ranges(chart: PatientFacts, orders: tuple[Order, ...], knowledge: Knowledge) -> PatientFacts:
    """Drop numbers whose range leads to more than one answer; say so."""
    open_ranges = [limits for limits in chart.ranges if _spans(limits, chart.facts, orders, knowledge)]
    if not open_ranges:
        return chart
    facts = chart.facts
    skipped = list(chart.skipped)
    evidence = dict(chart.evidence)
    for limits in open_ranges:
        facts = with_fact(facts, limits.fact, None)
        sources = [item.source for item in evidence.pop(limits.fact, ())]
        skipped += [Skipped(s, "recorded as a range that spans a decision limit", limits.fact) for s in sources]
    ranges = tuple(limits for limits in chart.ranges if limits not in open_ranges)
    settled = {"facts": facts, "evidence": evidence, "skipped": tuple(skipped), "ranges": ranges}
    return altered(chart, settled)


def _spans(limits: ValueRange, facts: Facts, orders: tuple[Order, ...], knowledge: Knowledge) -> bool:
    low, high = (
        told_of(with_defaults(with_fact(facts, limits.fact, number)), orders, knowledge)
        for number in (limits.low, limits.high)
    )
    timing = (
        low.followup.status != high.followup.status or low.followup.interval_months != high.followup.interval_months
    )
    return timing or bool(_differences(low, high))
