"""What would change this answer: every unknown fact is set to each value that the rules can tell apart, one at a time.

The answer is assessed again with that one fact and compared. Nothing is read off the wording of a rule, so what is
said here is what the service would say. Two facts at a time are not tried: a rule that lacks two facts (inpatient and
eGFR; diagnosis and primary site when both are unknown) does not show here and stays among the missing facts. Facts
that do not change are not listed, nor are changes of advice.

The work is bounded by a number of assessments, not by time, so the same request always gets the same answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import compress
from typing import Any, Final, NamedTuple

from cds_service.clinical import axes, readings
from cds_service.clinical.assess import answer_with, with_fact
from cds_service.clinical.conditions import evaluate
from cds_service.clinical.followup import trigger
from cds_service.clinical.imaging import OUT_OF_SCOPE
from cds_service.clinical.outcomes import differences, group, level
from cds_service.clinical.situation import (
    NOT_TRUE_UNLESS_RECORDED,
    order_situation,
    patient_situation,
    with_defaults,
)
from cds_service.domain.facts import FACTS, Facts
from cds_service.domain.findings import Assessment, Change, Order, WhatIf, WouldChange
from cds_service.domain.terms import LEVELS, NOT_RATED
from cds_service.knowledge.model import Condition, Knowledge, SameKnowledge, UnitRow

MOST_EVALUATIONS: Final = 64
"""Most values tried in one call: some 20 ms at most. Nearly every chart needs fewer; beyond it the facts on which least
hangs are left unexamined, and named."""

_REMEMBERED: Final = 256
"""Lists held in memory; what is held names no patient."""

NOT_ASKED: Final = frozenset(
    {"days_since_same_procedure", "stated_grade", "recorded_t", "recorded_stage", "recorded_edition"}
)
"""No gaps in a record: no earlier study is the rule, and what others concluded follows from the findings themselves."""


class _Views:
    """The situation as rows see it.

    Attributes:
        patient: apart from any order.
        orders: of each order, and of each suggested study.
        studies: of each study that might be suggested.
        gates: which functions look at facts at all.
    """

    def __init__(
        self,
        patient: Mapping[str, Any],
        orders: Iterable[Mapping[str, Any]],
        studies: Iterable[Mapping[str, Any]],
        gates: Iterable[str],
    ) -> None:
        self.patient = patient
        self.gates = frozenset(gates)
        self._about_patient = (patient, *orders)
        self._about_orders = self._about_patient[1:]
        self._blocking = (*self._about_orders, *studies)
        self._held: dict[tuple[int, bool, bool], bool] = {}

    def show(self, column: readings.Column) -> bool:
        """Whether knowing the fact can make a difference to this test: all else that its row asks must hold."""
        if column.gate not in self.gates:
            return False
        if column.rest is None:
            return True
        key = (id(column.rest), column.per_order, column.blocks)
        if key not in self._held:
            about_orders = self._blocking if column.blocks else self._about_orders
            views = about_orders if column.per_order else self._about_patient
            self._held[key] = any(evaluate(column.rest, view).value for view in views)
        return self._held[key]


def would_change(facts: Facts, now: Assessment, knowledge: Knowledge) -> WhatIf:
    """What knowing one more fact would change.

    Args:
        facts: the facts as recorded, before written defaults.
        now: their assessment.
        knowledge: the knowledge it was made with.
    """
    orders = tuple(order.order for order in now.orders)
    return _remembered(_Case(facts, orders, now.missing, SameKnowledge(knowledge), MOST_EVALUATIONS, now))


@dataclass(frozen=True, slots=True)
class _Case:
    """What decides the list: the same facts, orders and knowledge have the same one, so ``now`` is not compared."""

    facts: Facts
    orders: tuple[Order, ...]
    missing: tuple[str, ...]
    same: SameKnowledge
    budget: int
    now: Assessment = field(compare=False)


@lru_cache(maxsize=_REMEMBERED)
def _remembered(case: _Case) -> WhatIf:
    """An EHR asks about one patient several times in a row: patient-view, order-select, order-sign."""
    facts, now, knowledge = case.facts, case.now, case.same.knowledge
    known = axes.axes(knowledge, facts.primary_site)
    views = _views(facts, now, knowledge)
    told = _Told(facts, now, known, knowledge)
    found: list[tuple[WouldChange, ...]] = []
    unexamined: list[str] = []
    spent = 0
    for axis in known.axes:
        if not is_open(axis.fact, facts, known, views.patient):
            continue
        question = _question(axis, facts, views, known, knowledge)
        if spent + len(question.groups) > case.budget:
            unexamined.append(axis.fact)
            continue
        spent += len(question.groups)
        entries = _entries(question, told)
        if entries:
            found.append(entries)
    found.sort(key=lambda entries: _weight(entries, now))
    return WhatIf(tuple(entry for entries in found for entry in entries), tuple(unexamined), spent)


def is_open(name: str, facts: Facts, known: axes.Axes, patient: Mapping[str, Any]) -> bool:
    """Whether the fact is unknown and a question that can be asked of this patient.

    A row that prompts for an unknown fact says of whom it is asked (pregnancy: SAF-14); nobody else is asked.
    """
    if getattr(facts, name) is not None or name in NOT_ASKED:
        return False
    prompts = (rule.condition.when for rule in known.prompts.get(name, ()))
    of_patient = (tuple(test for test in when if test.name in FACTS and test.name != name) for when in prompts)
    return all(evaluate(Condition(tests), patient).value is not False for tests in of_patient)


class _Question(NamedTuple):
    """What to try for one fact: its values in groups of which one has to be tried, and whether orders are concerned."""

    axis: axes.Axis
    groups: list[list[axes.Value]]
    touches_orders: bool


class _Told(NamedTuple):
    """What the values are tried on: the facts, what is said of them now, and by which rules."""

    facts: Facts
    now: Assessment
    known: axes.Axes
    knowledge: Knowledge


def _question(axis: axes.Axis, facts: Facts, views: _Views, known: axes.Axes, knowledge: Knowledge) -> _Question:
    """The axis with what is particular to this patient.

    A fact that can lead to another scenario or grade may be read by rows that only apply then, so all tests count.
    """
    live = [views.show(column) for column in axis.columns]
    if any(column.rank in (readings.SCENARIO, readings.GRADE) for column in compress(axis.columns, live)):
        live = [True for _ in live]
    if axis.fact in readings.DATES and any(live):
        dated = [column for other in known.axes if other.fact in readings.DATES for column in other.columns]
        moved = readings.through_other_dates(axis.fact, facts, filter(views.show, dated))
        axis = axes.axis(FACTS[axis.fact], (*axis.columns, *moved), knowledge)
        live += [True for _ in moved]
    return _Question(axis, axis.groups(live), axes.touches_orders(compress(axis.columns, live)))


def _changes(question: _Question, value: object, told: _Told) -> tuple[Change, ...]:
    """What would be said otherwise; that a prompt for the fact falls silent is no news."""
    fact = question.axis.fact
    then = answer_with(with_fact(told.facts, fact, value), told.now, told.knowledge, orders=question.touches_orders)
    prompts = [rule.row.id for rule in told.known.prompts.get(fact, ())]
    return tuple(change for change in differences(told.now, then) if change.before not in prompts)


def _entries(question: _Question, told: _Told) -> tuple[WouldChange, ...]:
    """One entry for each answer that knowing the fact could lead to, those that change most first."""
    axis = question.axis
    answers: dict[tuple[Change, ...], list[axes.Value]] = {}
    for alike in question.groups:
        changes = _changes(question, alike[0].example, told)
        if changes:
            answers.setdefault(changes, []).extend(alike)
    entries = [
        WouldChange(axis.fact, axis.together(values), values[0].example, level(changes, told.knowledge), changes)
        for changes, values in answers.items()
    ]
    return tuple(sorted(entries, key=lambda entry: LEVELS.index(entry.level)))


def _weight(entries: tuple[WouldChange, ...], now: Assessment) -> tuple[int, bool, int, int]:
    """How much changes at most, whether a rule asks for the fact, by how many values, and the order of the record."""
    fact = entries[0].fact
    changing = sum(len(entry.values) for entry in entries)
    return LEVELS.index(entries[0].level), fact not in now.missing, -changing, list(FACTS).index(fact)


def _views(facts: Facts, now: Assessment, knowledge: Knowledge) -> _Views:
    """The situations in which the rows were asked, put together from the assessment."""
    facts = with_defaults(facts)
    orders = tuple(order.order for order in now.orders)
    patient = patient_situation(facts, orders, knowledge)
    patient["followup_trigger"] = trigger(patient, knowledge)
    patient |= {"scenario": now.scenario, "grade_2010": now.grade.who2010, "grade_2019": now.grade.who2019}
    patient |= {name: False for name in NOT_TRUE_UNLESS_RECORDED if patient[name] is None}
    ordered = []
    for order in now.orders:
        seen = order_situation(patient, order.order, knowledge)
        ordered.append(seen | {"scenario": order.scenario, "order_too_early": "SAF-16" in order.warnings})
        if order.suggestion:
            ordered.append(order_situation(patient, Order("candidate", order.suggestion), knowledge))
    scenarios = {now.scenario, *(order.scenario for order in now.orders)}
    preferred = [knowledge.preferences[name].preference for name in sorted(scenarios) if name in knowledge.preferences]
    keys = dict.fromkeys(key for keys in preferred for key in keys) if now.orders else {}
    studies = [order_situation(patient, Order("candidate", key), knowledge) for key in keys]
    return _Views(patient, ordered, studies, _gates(facts, now, knowledge))


def _gates(facts: Facts, now: Assessment, knowledge: Knowledge) -> Iterator[str]:
    """Which functions look at facts at all."""
    yield readings.ALWAYS
    if now.scenario != OUT_OF_SCOPE:
        unit = next(row for row in knowledge.grading if isinstance(row, UnitRow))
        yield readings.GRADED
        yield readings.gate_of_unit(unit.factors[facts.mitoses_unit or unit.default])
        if facts.mitoses is not None:
            yield readings.COUNTED
    if now.tnm:
        stations = {entry.site for entry in (*knowledge.nodes.distant, *knowledge.nodes.regional)}
        yield readings.STAGED
        shown = now.tnm_primary_system
        yield readings.gate_of_system(shown or "")
        others = (name for name in now.tnm if shown is None or group(now.tnm[name]) != group(now.tnm[shown]))
        yield from map(readings.gate_of_other_stage, others)
        if not stations.isdisjoint(facts.metastases or ()):
            yield readings.STATIONS
    if now.auc == NOT_RATED:
        yield readings.NO_OVERLAY
    if now.followup.row is not None or any(order.scenario != now.scenario for order in now.orders):
        yield readings.TIMED
    if "too-early" in (now.followup.status, now.followup.sstr_status) or any(
        "SAF-16" in order.warnings for order in now.orders
    ):
        yield readings.EARLY


def forget() -> None:
    """Throw away all lists that are remembered; for measurements."""
    _remembered.cache_clear()
