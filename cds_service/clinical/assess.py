"""Runs the clinical functions in order and returns one :class:`Assessment`.

The order is: defaults, grade, scenario, stage, timing, then per order rating, safety, suggestion and advice. Nothing
here reads a clock or a resource; facts and orders come in, findings go out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cds_service.clinical import imaging
from cds_service.clinical.conditions import FALSE, evaluate
from cds_service.clinical.followup import NOT_EVALUATED, Timing, timing, trigger
from cds_service.clinical.grading import GRADED_BY, Grading, grading
from cds_service.clinical.markers import eligibility, markers
from cds_service.clinical.situation import (
    NOT_TRUE_UNLESS_RECORDED,
    SIGNAL_NEEDS,
    order_situation,
    patient_situation,
    with_defaults,
)
from cds_service.clinical.staging import Staging, is_carcinoma, staging
from cds_service.domain.facts import FACTS, Facts
from cds_service.domain.findings import Assessment, Followup, Grade, Order, OrderAssessment, RatedStudy, SafetyFinding
from cds_service.domain.terms import CRITICAL, NOT_RATED, RATINGS, SEVERITIES
from cds_service.knowledge.model import Knowledge, Row, Rule, SafetyRow

_PITFALL = "PIT-"


class _Trail:
    """Rules that fired and facts that were missing, in the order they came up."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.rules: dict[str, None] = {}
        self.applied: dict[str, dict[str, None]] = {}
        self.missing: dict[str, None] = {}
        self.nearly: dict[str, dict[str, None]] = {}

    def fired(self, *rule_ids: str) -> None:
        self.rules.update(dict.fromkeys(rule_ids))

    def applies(self, rule_id: str, row: Row) -> None:
        """A row fired, which is shown under its rule."""
        self.fired(rule_id)
        self.applied.setdefault(rule_id, {})[row.id] = None

    def lacks(self, names: Sequence[str], rule_id: str = "") -> None:
        """Facts to ask for; of those behind a signal, the ones that are on record are not asked for again."""
        needed = [name for name in names if name in FACTS]
        behind = (need for name in names for need in SIGNAL_NEEDS.get(name, ()))
        needed += [need for need in behind if getattr(self.facts, need) is None]
        self.missing.update(dict.fromkeys(needed))
        if rule_id and needed:
            self.nearly.setdefault(rule_id, {}).update(dict.fromkeys(needed))


def assess(facts: Facts, orders: tuple[Order, ...], knowledge: Knowledge) -> Assessment:
    """Everything the rules have to say about this patient and these orders."""
    facts = with_defaults(facts)
    trail = _Trail(facts)
    situation = patient_situation(facts, orders, knowledge)
    situation["followup_trigger"] = trigger(situation, knowledge)
    first_intent = orders[0].intent if orders else None
    chosen = _scenario(situation, first_intent or situation["order_intent"], knowledge, trail)
    situation["scenario"] = chosen.name
    in_scope = chosen.name != imaging.OUT_OF_SCOPE
    graded = _grade(facts, situation, in_scope, knowledge, trail)
    staged = _stage(facts, situation, in_scope, knowledge, trail)
    timed = _timing(situation, in_scope, knowledge, trail)
    warnings = [*graded.warnings, *_fired(knowledge.staging_warnings, situation, trail, in_scope)]
    overlay = _fired(knowledge.overlay, situation, trail, in_scope)
    advice = _fired(_about(knowledge.advice, orders=False), situation, trail, in_scope)
    assessed = tuple(_order(order, situation, timed, knowledge, trail) for order in orders)
    _limits(facts, situation, chosen.name, assessed, trail)
    everything = [*advice, *(rule for order in assessed for rule in order.advice)]
    judged = facts if in_scope else Facts()
    order_warnings = [rule for order in assessed for rule in order.warnings]
    return Assessment(
        facts=facts,
        scenario=chosen.name,
        scenario_rule=chosen.rule,
        limited_applicability=_is_limited(chosen.name, situation),
        grade=graded.grade,
        tnm=staged.tnm,
        tnm_primary_system=staged.primary_system,
        orders=assessed,
        auc="appropriate" if overlay else NOT_RATED,
        warnings=_unique([*warnings, *(r for r in everything if r.startswith(_PITFALL)), *order_warnings]),
        advice=_unique([rule for rule in everything if not rule.startswith(_PITFALL)]),
        missing=tuple(trail.missing),
        followup=timed.followup,
        markers=markers(judged, knowledge),
        eligibility=eligibility(judged, graded.grade.who2019, knowledge),
        rules=tuple(trail.rules),
        blocked_studies=_blocked_studies(situation, knowledge),
        nearly={rule: tuple(names) for rule, names in trail.nearly.items()},
        applied={rule: tuple(rows) for rule, rows in trail.applied.items()},
    )


def _unique(rules: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(rules))


@dataclass(frozen=True, slots=True)
class Reading:
    """What decides about the rating of one order.

    Attributes:
        scenario: the scenario of the order.
        overlay: row by which SSTR PET is appropriate in it; empty when there is none.
    """

    scenario: str
    overlay: str


def readings(facts: Facts, orders: tuple[Order, ...], knowledge: Knowledge) -> tuple[Reading, ...]:
    """What decides about the rating of each order, and nothing else of the assessment."""
    situation = patient_situation(with_defaults(facts), orders, knowledge)
    return tuple(_reading(order_situation(situation, order, knowledge), knowledge) for order in orders)


def _reading(seen: dict[str, Any], knowledge: Knowledge) -> Reading:
    seen["scenario"] = _chosen(seen, seen["order_intent"], knowledge).name
    fired = (rule.row.id for rule in knowledge.overlay if evaluate(rule.condition, seen).value)
    return Reading(seen["scenario"], next(fired, ""))


def _chosen(situation: Mapping[str, Any], intent: str, knowledge: Knowledge) -> imaging.Scenario:
    defaults = {name: False for name in NOT_TRUE_UNLESS_RECORDED if situation[name] is None}
    return imaging.scenario({**situation, **defaults, "order_intent": intent}, knowledge)


def _scenario(situation: Mapping[str, Any], intent: str, knowledge: Knowledge, trail: _Trail) -> imaging.Scenario:
    chosen = _chosen(situation, intent, knowledge)
    trail.applies(chosen.rule, knowledge.rows[chosen.row])
    for rule, names in chosen.missing.items():
        trail.lacks(names, rule)
    return chosen


def _grade(facts: Facts, situation: dict[str, Any], in_scope: bool, knowledge: Knowledge, trail: _Trail) -> Grading:
    graded = grading(facts, knowledge) if in_scope else Grading(Grade())
    situation["grade_2010"] = graded.grade.who2010
    situation["grade_2019"] = graded.grade.who2019
    situation["grade_warnings"] = graded.warnings
    trail.fired(*graded.rules, *graded.warnings)
    for name in graded.missing:
        trail.lacks([name], GRADED_BY[name])
    return graded


def _stage(facts: Facts, situation: dict[str, Any], in_scope: bool, knowledge: Knowledge, trail: _Trail) -> Staging:
    staged = staging(facts, situation, knowledge) if in_scope else Staging({}, None)
    stages = tuple(staged.tnm.values())
    situation["t_not_assessable"] = any(stage.t == "TX" for stage in stages)
    situation["n_not_assessable"] = any(stage.n == "NX" for stage in stages)
    situation["m_unknown"] = any(stage.m is None for stage in stages)
    situation["distant_metastases"] = staged.distant_metastases
    for row in staged.rows:
        trail.applies(row.rule_id, row)
    for rule, names in staged.missing.items():
        trail.lacks(names, rule)
    return staged


def _timing(situation: dict[str, Any], in_scope: bool, knowledge: Knowledge, trail: _Trail) -> Timing:
    timed = timing(situation, knowledge) if in_scope else Timing(Followup(NOT_EVALUATED))
    for row in timed.rows:
        trail.applies(row.rule_id, row)
    trail.lacks(timed.missing, timed.followup.rule or "")
    return timed


def _about(rules: Iterable[Rule[Any]], *, orders: bool) -> list[Rule[Any]]:
    """The rules that speak about an order, or those that speak about the patient."""
    return [rule for rule in rules if rule.about_order is orders]


def _fired(rules: Iterable[Rule[Any]], situation: Mapping[str, Any], trail: _Trail, in_scope: bool = True) -> list[str]:
    """Ids of the rules that are true; the unknown ones leave what they lack in the trail."""
    return list(_unique(_shown(row) for row in _true_rows(rules, situation, trail))) if in_scope else []


def _true_rows(rules: Iterable[Rule[Any]], situation: Mapping[str, Any], trail: _Trail) -> list[Row]:
    true: list[Row] = []
    for rule in rules:
        outcome = evaluate(rule.condition, situation)
        if outcome.value:
            true.append(rule.row)
            trail.applies(_shown(rule.row), rule.row)
        elif outcome.value is None:
            trail.lacks(outcome.lacking, _shown(rule.row))
    return true


def _shown(row: Row) -> str:
    """The id that answers show: a suffix behind a dot tells rows of one statement apart, and shows as the rule."""
    return row.rule_id if "." in row.id else row.id


def _order(
    order: Order, situation: dict[str, Any], timed: Timing, knowledge: Knowledge, trail: _Trail
) -> OrderAssessment:
    seen = order_situation(situation, order, knowledge)
    chosen = _scenario(seen, seen["order_intent"], knowledge, trail)
    if chosen.name != situation["scenario"]:
        seen["scenario"] = chosen.name
        timed = _timing(seen, chosen.name != imaging.OUT_OF_SCOPE, knowledge, trail)
    seen["order_too_early"] = _too_early(seen, timed)
    if seen["order_sstr"] and timed.followup.sstr_interval_months and seen["months_since_last_sstr_imaging"] is None:
        trail.lacks(["months_since_last_sstr_imaging"], "SAF-16")
    category, rated = imaging.rating(chosen.name, order.procedure, knowledge, order.agent)
    safety = _safety(seen, knowledge.safety, trail)
    blocked_by = tuple(finding.rule for finding in safety if finding.severity == CRITICAL)
    better = imaging.suggestion(
        chosen.name,
        order.procedure,
        category,
        bool(blocked_by),
        lambda key: bool(_blocked_by(key, seen, knowledge)),
        knowledge,
    )
    in_scope = chosen.name != imaging.OUT_OF_SCOPE
    advice = _fired(_about(knowledge.advice, orders=True), seen, trail, in_scope)
    trail.applies(rated.rule_id, rated)
    trail.fired(*(("SAF-20",) if blocked_by else ()), *(("SUG-01",) if better.row else ()))
    if better.row:
        trail.applies(better.row.rule_id, better.row)
    return OrderAssessment(
        order=order,
        scenario=chosen.name,
        rating=category,
        rating_rule=rated.rule_id,
        suggestion=better.procedure,
        blocked_by=blocked_by,
        safety=safety,
        warnings=_unique(
            [*(rule for rule in advice if rule.startswith(_PITFALL)), *(finding.rule for finding in safety)]
        ),
        advice=tuple(rule for rule in advice if not rule.startswith(_PITFALL)),
        suggestion_safety=_safety_of(better.procedure, seen, knowledge.safety, knowledge) if better.procedure else (),
        alternatives=_alternatives(chosen.name, seen, knowledge),
        no_alternative=better.exhausted,
        rating_row=rated.id,
    )


def _too_early(seen: Mapping[str, Any], timed: Timing) -> bool:
    """The ordered study comes before its time on its own column of the schedule (SAF-16)."""
    early = "too-early"
    return (seen["order_abdominal"] and timed.followup.status == early) or (
        seen["order_sstr"] and timed.followup.sstr_status == early
    )


def _safety(
    seen: Mapping[str, Any], rules: Iterable[Rule[SafetyRow]], trail: _Trail | None
) -> tuple[SafetyFinding, ...]:
    """Safety rules that fire, gravest first; without a trail nothing is noted as fired or missing."""
    fired: list[SafetyFinding] = []
    for rule in rules:
        outcome = evaluate(rule.condition, seen) if rule.row.enabled else FALSE
        if outcome.value:
            fired.append(SafetyFinding(rule.row.id, rule.row.severity))
        elif outcome.value is None and trail:
            trail.lacks(outcome.lacking, rule.row.id)
    if trail:
        trail.fired(*(finding.rule for finding in fired))
    return tuple(sorted(fired, key=lambda finding: SEVERITIES.index(finding.severity)))


def _safety_of(
    procedure: str, situation: dict[str, Any], rules: Iterable[Rule[SafetyRow]], knowledge: Knowledge
) -> tuple[SafetyFinding, ...]:
    """What the rules have to say about another study for this patient; its own timing is not known and not judged."""
    other = Order("candidate", procedure)
    seen = order_situation(situation | {"days_since_same_procedure": None}, other, knowledge)
    return _safety(seen | {"order_too_early": None}, rules, None)


def _blocked_by(procedure: str, situation: dict[str, Any], knowledge: Knowledge) -> tuple[str, ...]:
    """Critical safety rules that speak against this study for this patient."""
    critical = (rule for rule in knowledge.safety if rule.row.severity == CRITICAL)
    return tuple(finding.rule for finding in _safety_of(procedure, situation, critical, knowledge))


def _blocked_studies(situation: dict[str, Any], knowledge: Knowledge) -> frozenset[str]:
    preference = knowledge.preferences.get(situation["scenario"])
    return frozenset(
        key
        for key in (preference.preference if preference else ())
        if key in knowledge.unavailable or _blocked_by(key, situation, knowledge)
    )


def _alternatives(scenario: str, situation: dict[str, Any], knowledge: Knowledge) -> tuple[RatedStudy, ...]:
    """Every study that has a rating in the scenario, best first, and what blocks it."""
    names = knowledge.scenarios[scenario].candidates or [scenario]
    studies: list[RatedStudy] = []
    for (name, procedure), row in knowledge.ratings.items():
        if name != names[0]:
            continue
        rated, reason = imaging.rating(scenario, procedure, knowledge, knowledge.site.studies.sstr_agent)
        if rated != NOT_RATED:
            blocked_by = _blocked_by(procedure, situation, knowledge)
            available = procedure not in knowledge.unavailable
            studies.append(RatedStudy(procedure, rated, row.radiation, reason.rule_id, blocked_by, available))
    return tuple(sorted(studies, key=lambda study: RATINGS.index(study.rating)))


def _is_limited(scenario: str, situation: Mapping[str, Any]) -> bool:
    """RAT-06: the scenarios of the pancreas were written for well-differentiated tumours."""
    return scenario.startswith("pnet-") and is_carcinoma(situation)


def _limits(
    facts: Facts,
    situation: Mapping[str, Any],
    scenario: str,
    orders: tuple[OrderAssessment, ...],
    trail: _Trail,
) -> None:
    """Principles that qualify the ratings given."""
    if _is_limited(scenario, situation):
        trail.fired("RAT-06")
    if any(o.order.procedure == imaging.SSTR_PET and o.rating != NOT_RATED for o in orders):
        trail.fired("RAT-07")
    if facts.age_years is None:
        trail.lacks(["age_years"])


def with_fact(facts: Facts, name: str, value: object) -> Facts:
    """The same facts with one of them changed."""
    return replace(facts, **{name: value})  # type: ignore[arg-type]
