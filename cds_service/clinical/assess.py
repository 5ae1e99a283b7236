"""Runs the clinical functions in order and returns one :class:`Assessment`.

The order is: defaults, grade, scenario, stage, timing, then per order rating, safety, suggestion and advice. Nothing
here reads a clock or a resource; facts and orders come in, findings go out.

What the rules say is worked out once for all patients of a kind (:mod:`cds_service.clinical.kinds`) and remembered; the
numbers of the patient are put in afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cds_service.clinical import imaging
from cds_service.clinical.followup import NOT_EVALUATED, Timing, measured
from cds_service.clinical.grading import GRADED_BY, Grading
from cds_service.clinical.kinds import alike, alike_orders
from cds_service.clinical.markers import eligibility, markers
from cds_service.clinical.outcomes import Answer
from cds_service.clinical.remembering import KINDS
from cds_service.clinical.situation import (
    NOT_TRUE_UNLESS_RECORDED,
    SIGNAL_NEEDS,
    order_situation,
    patient_situation,
    with_defaults,
)
from cds_service.clinical.staging import Staging, is_carcinoma
from cds_service.clinical.tables import Remembered, Tables, Told, tables
from cds_service.domain.alter import altered
from cds_service.domain.facts import FACTS, Facts
from cds_service.domain.findings import Assessment, Followup, Grade, Order, OrderAssessment, RatedStudy, SafetyFinding
from cds_service.domain.same import Same
from cds_service.domain.terms import CRITICAL, NOT_RATED, RATINGS, SEVERITIES
from cds_service.knowledge.model import Knowledge, Row, SafetyRow

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
    told = told_of(facts, orders, knowledge)
    judged = facts if told.scenario != imaging.OUT_OF_SCOPE else Facts()
    return altered(
        told,
        {
            "alike": told,
            "facts": facts,
            "orders": tuple(altered(each, {"order": order}) for each, order in zip(told.orders, orders, strict=True)),
            "followup": measured(told.followup, facts, knowledge),
            "markers": markers(judged, knowledge),
            "eligibility": eligibility(judged, told.grade.who2019, knowledge),
        },
    )


def told_of(facts: Facts, orders: tuple[Order, ...], knowledge: Knowledge) -> Assessment:
    """What the rules say of the kind of a patient, given with the written defaults: the same object for all of it."""
    return of_kind(alike(facts, knowledge), alike_orders(orders, knowledge), knowledge)


def of_kind(facts: Facts, orders: tuple[Order, ...], knowledge: Knowledge) -> Assessment:
    """What the rules say of all patients of a kind and their orders; it says nothing of numbers.

    Args:
        facts: who stands for the kind (:func:`cds_service.clinical.kinds.alike`).
        orders: numbered from 1.
        knowledge: the rows in force.
    """
    return _of_kind(facts, orders, Same(knowledge))


@lru_cache(maxsize=KINDS)
def _of_kind(facts: Facts, orders: tuple[Order, ...], same: Same[Knowledge]) -> Assessment:
    return assess_plainly(facts, orders, same.value)


def assess_plainly(facts: Facts, orders: tuple[Order, ...], knowledge: Knowledge) -> Assessment:
    """What the rules say of facts with the written defaults, without markers and without months of the schedule."""
    trail, asked = _Trail(facts), tables(knowledge)
    situation = patient_situation(facts, orders, knowledge)
    situation["followup_trigger"] = asked.trigger(situation)
    chosen = _chosen(situation, _intent(situation, orders), asked)
    _chose(chosen, knowledge, trail)
    situation["scenario"] = chosen.name
    in_scope = chosen.name != imaging.OUT_OF_SCOPE
    graded = _grade(situation, in_scope, asked)
    staged = _stage(situation, in_scope, asked)
    timed = _timing(situation, in_scope, asked)
    _worked_out(graded, staged, timed, trail)
    warnings = [*graded.warnings, *_fired(asked.staging_warnings, situation, trail, in_scope)]
    overlay = _fired(asked.overlay, situation, trail, in_scope)
    advice = _fired(asked.advice, situation, trail, in_scope)
    assessed = tuple(_order(order, situation, timed, knowledge, trail) for order in orders)
    _limits(facts, situation, chosen.name, assessed, trail)
    everything = [*advice, *(rule for order in assessed for rule in order.advice)]
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
        auc=_auc(overlay),
        warnings=_unique([*warnings, *(r for r in everything if r.startswith(_PITFALL)), *order_warnings]),
        advice=_unique([rule for rule in everything if not rule.startswith(_PITFALL)]),
        missing=tuple(trail.missing),
        followup=timed.followup,
        markers={},
        eligibility={},
        rules=tuple(trail.rules),
        blocked_studies=_blocked_studies(situation, knowledge),
        nearly={rule: tuple(names) for rule, names in trail.nearly.items()},
        applied={rule: tuple(rows) for rule, rows in trail.applied.items()},
    )


def answer_with(facts: Facts, now: Assessment, knowledge: Knowledge, *, orders: bool) -> Answer:
    """What is compared of an assessment, with other facts; unless they can touch the orders, these are as they are.

    Args:
        facts: with the written defaults.
        now: the assessment that is compared, with its orders.
        knowledge: the rows in force.
        orders: whether what is said of the orders may be another.
    """
    asked, ordered = tables(knowledge), tuple(order.order for order in now.orders)
    situation = patient_situation(facts, ordered, knowledge)
    situation["followup_trigger"] = asked.trigger(situation)
    scenario = situation["scenario"] = _chosen(situation, _intent(situation, ordered), asked).name
    in_scope = scenario != imaging.OUT_OF_SCOPE
    graded = _grade(situation, in_scope, asked)
    staged = _stage(situation, in_scope, asked)
    timed = _timing(situation, in_scope, asked)
    overlay = in_scope and any(told.true for told in asked.overlay(situation))
    judged = tuple(_judged(order, situation, timed, knowledge) for order in ordered) if orders else now.orders
    return Answer(scenario, judged, graded.grade, staged.tnm, staged.primary_system, timed.followup, _auc(overlay))


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
    facts = alike(with_defaults(facts), knowledge)
    return _readings(facts, alike_orders(orders, knowledge), Same(knowledge))


@lru_cache(maxsize=KINDS)
def _readings(facts: Facts, orders: tuple[Order, ...], same: Same[Knowledge]) -> tuple[Reading, ...]:
    situation = patient_situation(facts, orders, same.value)
    return tuple(_reading(order_situation(situation, order, same.value), same.value) for order in orders)


def _reading(seen: dict[str, Any], knowledge: Knowledge) -> Reading:
    asked = tables(knowledge)
    seen["scenario"] = _chosen(seen, seen["order_intent"], asked).name
    return Reading(seen["scenario"], next((told.row.id for told in asked.overlay(seen) if told.true), ""))


def _intent(situation: Mapping[str, Any], orders: tuple[Order, ...]) -> str:
    """What the imaging is for, as far as it decides the scenario of the patient."""
    return (orders[0].intent if orders else None) or str(situation["order_intent"])


def _chosen(situation: Mapping[str, Any], intent: str, asked: Tables) -> imaging.Scenario:
    defaults = {name: False for name in NOT_TRUE_UNLESS_RECORDED if situation[name] is None}
    return asked.scenario({**situation, **defaults, "order_intent": intent})


def _chose(chosen: imaging.Scenario, knowledge: Knowledge, trail: _Trail) -> None:
    trail.applies(chosen.rule, knowledge.rows[chosen.row])
    for rule, names in chosen.missing.items():
        trail.lacks(names, rule)


def _grade(situation: dict[str, Any], in_scope: bool, asked: Tables) -> Grading:
    graded = asked.grading(situation) if in_scope else Grading(Grade())
    situation["grade_2010"] = graded.grade.who2010
    situation["grade_2019"] = graded.grade.who2019
    situation["grade_warnings"] = graded.warnings
    return graded


def _stage(situation: dict[str, Any], in_scope: bool, asked: Tables) -> Staging:
    staged = asked.staging(situation) if in_scope else Staging({}, None)
    stages = tuple(staged.tnm.values())
    situation["t_not_assessable"] = any(stage.t == "TX" for stage in stages)
    situation["n_not_assessable"] = any(stage.n == "NX" for stage in stages)
    situation["m_unknown"] = any(stage.m is None for stage in stages)
    situation["distant_metastases"] = staged.distant_metastases
    return staged


def _timing(situation: Mapping[str, Any], in_scope: bool, asked: Tables) -> Timing:
    return asked.timing(situation) if in_scope else Timing(Followup(NOT_EVALUATED))


def _worked_out(graded: Grading, staged: Staging, timed: Timing, trail: _Trail) -> None:
    """Leave in the trail what grade, stage and timing rest on."""
    trail.fired(*graded.rules, *graded.warnings)
    for name in graded.missing:
        trail.lacks([name], GRADED_BY[name])
    for row in staged.rows:
        trail.applies(row.rule_id, row)
    for rule, names in staged.missing.items():
        trail.lacks(names, rule)
    _timed(timed, trail)


def _timed(timed: Timing, trail: _Trail) -> None:
    for row in timed.rows:
        trail.applies(row.rule_id, row)
    trail.lacks(timed.missing, timed.followup.rule or "")


def _auc(overlay: object) -> str:
    return "appropriate" if overlay else NOT_RATED


def _fired(
    table: Remembered[tuple[Told[Any], ...]], situation: Mapping[str, Any], trail: _Trail, in_scope: bool = True
) -> list[str]:
    """Ids of the rules that are true; the unknown ones leave what they lack in the trail."""
    fired: list[str] = []
    for told in table(situation) if in_scope else ():
        shown = _shown(told.row)
        if told.true:
            fired.append(shown)
            trail.applies(shown, told.row)
        else:
            trail.lacks(told.lacking, shown)
    return list(_unique(fired))


def _shown(row: Row) -> str:
    """The id that answers show: a suffix behind a dot tells rows of one statement apart, and shows as the rule."""
    return row.rule_id if "." in row.id else row.id


@dataclass(frozen=True, slots=True)
class _Judged:
    """One order as the rules see it; what :class:`OrderAssessment` says of it, under the same names.

    Attributes:
        seen: the situation seen from the order.
        chosen: its scenario, and what led to it.
        timed: its place on the schedule; None when it is that of the patient.
        rated: the row behind the rating.
        told: the safety rules that are true or unknown.
    """

    order: Order
    seen: Mapping[str, Any]
    chosen: imaging.Scenario
    timed: Timing | None
    rating: str
    rated: Row
    told: tuple[Told[SafetyRow], ...]
    safety: tuple[SafetyFinding, ...]
    blocked_by: tuple[str, ...]
    better: imaging.Suggestion
    suggestion_safety: tuple[SafetyFinding, ...]

    @property
    def scenario(self) -> str:
        """The scenario of the order."""
        return self.chosen.name

    @property
    def suggestion(self) -> str | None:
        """The better study."""
        return self.better.procedure


def _judged(order: Order, situation: dict[str, Any], timed: Timing, knowledge: Knowledge) -> _Judged:
    """Scenario, rating, safety and better study of an order; nothing is left in the trail."""
    asked = tables(knowledge)
    seen = order_situation(situation, order, knowledge)
    chosen = _chosen(seen, seen["order_intent"], asked)
    own: Timing | None = None
    if chosen.name != situation["scenario"]:
        seen["scenario"] = chosen.name
        timed = own = _timing(seen, chosen.name != imaging.OUT_OF_SCOPE, asked)
    seen["order_too_early"] = _too_early(seen, timed)
    category, rated = imaging.rating(chosen.name, order.procedure, knowledge, order.agent)
    told = asked.safety(seen)
    safety = _found(told)
    blocked_by = tuple(finding.rule for finding in safety if finding.severity == CRITICAL)
    better = imaging.suggestion(
        chosen.name,
        order.procedure,
        category,
        bool(blocked_by),
        lambda key: bool(_blocked_by(key, seen, knowledge)),
        knowledge,
    )
    about_better = _found(asked.safety(_instead(better.procedure, seen, knowledge))) if better.procedure else ()
    return _Judged(order, seen, chosen, own, category, rated, told, safety, blocked_by, better, about_better)


def _order(
    order: Order, situation: dict[str, Any], timed: Timing, knowledge: Knowledge, trail: _Trail
) -> OrderAssessment:
    judged = _judged(order, situation, timed, knowledge)
    chosen, seen, better = judged.chosen, judged.seen, judged.better
    _chose(chosen, knowledge, trail)
    if judged.timed is not None:
        timed = judged.timed
        _timed(timed, trail)
    if seen["order_sstr"] and timed.followup.sstr_interval_months and seen["months_since_last_sstr_imaging"] is None:
        trail.lacks(["months_since_last_sstr_imaging"], "SAF-16")
    for told in judged.told:
        if not told.true:
            trail.lacks(told.lacking, told.row.id)
    trail.fired(*(told.row.id for told in judged.told if told.true))
    in_scope = chosen.name != imaging.OUT_OF_SCOPE
    advice = _fired(tables(knowledge).order_advice, seen, trail, in_scope)
    trail.applies(judged.rated.rule_id, judged.rated)
    trail.fired(*(("SAF-20",) if judged.blocked_by else ()), *(("SUG-01",) if better.row else ()))
    if better.row:
        trail.applies(better.row.rule_id, better.row)
    return OrderAssessment(
        order=order,
        scenario=chosen.name,
        rating=judged.rating,
        rating_rule=judged.rated.rule_id,
        suggestion=better.procedure,
        blocked_by=judged.blocked_by,
        safety=judged.safety,
        warnings=_unique(
            [*(rule for rule in advice if rule.startswith(_PITFALL)), *(finding.rule for finding in judged.safety)]
        ),
        advice=tuple(rule for rule in advice if not rule.startswith(_PITFALL)),
        suggestion_safety=judged.suggestion_safety,
        alternatives=_alternatives(chosen.name, seen, knowledge),
        no_alternative=better.exhausted,
        rating_row=judged.rated.id,
    )


def _too_early(seen: Mapping[str, Any], timed: Timing) -> bool:
    """The ordered study comes before its time on its own column of the schedule (SAF-16)."""
    early = "too-early"
    return (seen["order_abdominal"] and timed.followup.status == early) or (
        seen["order_sstr"] and timed.followup.sstr_status == early
    )


def _found(told: Iterable[Told[SafetyRow]]) -> tuple[SafetyFinding, ...]:
    """Safety rules that fire, gravest first."""
    fired = [SafetyFinding(safety.row.id, safety.row.severity) for safety in told if safety.true]
    return tuple(sorted(fired, key=lambda finding: SEVERITIES.index(finding.severity)))


def _instead(procedure: str, situation: Mapping[str, Any], knowledge: Knowledge) -> dict[str, Any]:
    """The situation seen from another study for this patient; its own timing is not known and not judged."""
    seen = order_situation(situation, Order("candidate", procedure), knowledge)
    seen["days_since_same_procedure"] = seen["order_too_early"] = None
    return seen


def _blocked_by(procedure: str, situation: Mapping[str, Any], knowledge: Knowledge) -> tuple[str, ...]:
    """Critical safety rules that speak against this study for this patient."""
    told = tables(knowledge).critical(_instead(procedure, situation, knowledge))
    return tuple(safety.row.id for safety in told if safety.true)


def _blocked_studies(situation: Mapping[str, Any], knowledge: Knowledge) -> frozenset[str]:
    preference = knowledge.preferences.get(situation["scenario"])
    return frozenset(
        key
        for key in (preference.preference if preference else ())
        if key in knowledge.unavailable or _blocked_by(key, situation, knowledge)
    )


def _alternatives(scenario: str, situation: Mapping[str, Any], knowledge: Knowledge) -> tuple[RatedStudy, ...]:
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
    return altered(facts, {name: value})


def forget() -> None:
    """Throw away what is remembered of kinds of patients; for measurements."""
    _of_kind.cache_clear()
    _readings.cache_clear()
