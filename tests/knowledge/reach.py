"""Which rows the worked cases reach, and which axes of a condition they try on both sides.

Every case is assessed with knowledge in which each row is its own rule, so that the assessment names rows and not the
rules they belong to. What the conditions were asked about is put together again from the public parts of
``cds_service.clinical``; ``test_coverage.py`` checks that both ways of looking agree.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from cds_service.clinical.assess import assess
from cds_service.clinical.conditions import evaluate
from cds_service.clinical.followup import trigger
from cds_service.clinical.grading import grading
from cds_service.clinical.situation import (
    NOT_TRUE_UNLESS_RECORDED,
    order_situation,
    patient_situation,
    with_defaults,
)
from cds_service.clinical.staging import Staging, staging
from cds_service.domain.facts import Facts
from cds_service.domain.findings import Assessment, Order
from cds_service.interchange import read_facts, read_orders
from cds_service.knowledge import Knowledge, load_knowledge
from cds_service.knowledge.model import Condition, Row, Rule, Test
from tests.cases_loader import Case, clinical_cases, plain_cases

INDEPENDENT: Final = ("overlay", "advice", "safety", "staging_warnings")
"""Tables of which every true row is applied."""
LISTS: Final = ("selection", "followup", "staging")
"""Tables of which the first true row is applied."""
OUT_OF_SCOPE: Final = "out-of-scope"

RowT = TypeVar("RowT", bound=Row)
Situation = Mapping[str, Any]


@dataclass(frozen=True)
class Seen:
    """A case as the rules saw it.

    Attributes:
        rows: ids of the rows that were applied.
        patient: the situation of the patient.
        orders: the situation seen from each order.
    """

    case: Case
    facts: Facts
    assessment: Assessment
    rows: frozenset[str]
    patient: Situation
    orders: tuple[Situation, ...]

    @property
    def in_scope(self) -> bool:
        """Whether anything but safety is asked."""
        return self.assessment.scenario != OUT_OF_SCOPE


class Asked(NamedTuple):
    """A rule and a situation in which it was asked.

    Attributes:
        shadowed: an earlier row of the decision list had already answered.
    """

    rule: Rule[Any]
    case: Seen
    situation: Situation
    value: bool | None
    lacking: tuple[str, ...]
    shadowed: bool = False


class Unit(NamedTuple):
    """One conjunction of a row: the row itself, or one of its alternatives."""

    row: str
    tests: tuple[Test, ...]

    def __str__(self) -> str:
        return f"{self.row} ({', '.join(dict.fromkeys(test.name for test in self.tests))})"


def own_rule(row: RowT) -> RowT:
    """The row as a rule of its own."""
    return msgspec.structs.replace(row, rule="")


def _own_rules(rules: tuple[Rule[Any], ...]) -> tuple[Rule[Any], ...]:
    return tuple(replace(rule, row=own_rule(rule.row)) for rule in rules)


def unfolded(knowledge: Knowledge) -> Knowledge:
    """The same knowledge with every row a rule of its own."""
    return replace(
        knowledge,
        ratings={key: own_rule(row) for key, row in knowledge.ratings.items()},
        preferences={key: own_rule(row) for key, row in knowledge.preferences.items()},
        staging={key: _own_rules(rules) for key, rules in knowledge.staging.items()},
        selection=_own_rules(knowledge.selection),
        advice=_own_rules(knowledge.advice),
        followup=_own_rules(knowledge.followup),
    )


@cache
def seen() -> tuple[Seen, ...]:
    """All worked cases as the rules see them."""
    knowledge = unfolded(load_knowledge())
    return tuple(_seen(case, knowledge) for case in (*clinical_cases(), *plain_cases()))


def _seen(case: Case, knowledge: Knowledge) -> Seen:
    facts = read_facts(case.facts)
    orders = read_orders(list(case.orders), facts, knowledge)
    assessment = assess(facts, orders, knowledge)
    patient = _patient(facts, orders, assessment, knowledge)
    views = tuple(
        order_situation(patient, assessed.order, knowledge)
        | {"scenario": assessed.scenario, "order_too_early": "SAF-16" in assessed.warnings}
        for assessed in assessment.orders
    )
    return Seen(case, with_defaults(facts), assessment, frozenset(assessment.rules), patient, views)


def _patient(facts: Facts, orders: tuple[Order, ...], assessment: Assessment, knowledge: Knowledge) -> dict[str, Any]:
    situation = patient_situation(with_defaults(facts), orders, knowledge)
    in_scope = assessment.scenario != OUT_OF_SCOPE
    stages = tuple(assessment.tnm.values())
    situation |= {
        "followup_trigger": trigger(situation, knowledge),
        "scenario": assessment.scenario,
        "grade_2010": assessment.grade.who2010,
        "grade_2019": assessment.grade.who2019,
        "grade_warnings": grading(facts, knowledge).warnings if in_scope else (),
        "t_not_assessable": any(stage.t == "TX" for stage in stages),
        "n_not_assessable": any(stage.n == "NX" for stage in stages),
        "m_unknown": any(stage.m is None for stage in stages),
    }
    staged = staging(with_defaults(facts), situation, knowledge) if in_scope else Staging({}, None)
    return situation | {"distant_metastases": staged.distant_metastases}


def asked(table: str) -> Iterator[Asked]:
    """Every rule of a table with every situation in which it was asked, or would have been.

    Rules about metastases are left out where a node station is named, whose meaning staging decides (TNM-22).
    """
    knowledge = unfolded(load_knowledge())
    for case in seen():
        if table in INDEPENDENT:
            for rule in getattr(knowledge, table):
                if "metastases" in rule.condition.names and _names_a_station(case.facts, knowledge):
                    continue
                for situation in case.orders if rule.about_order else (case.patient,):
                    yield _ask(rule, case, situation)
        else:
            for rules, situation in _lists(table, case, knowledge):
                yield from _in_turn(rules, case, situation)


def _in_turn(rules: tuple[Rule[Any], ...], case: Seen, situation: Situation) -> Iterator[Asked]:
    answered = False
    for rule in rules:
        found = _ask(rule, case, situation)
        yield found._replace(shadowed=answered)
        answered = answered or bool(found.value)


def _ask(rule: Rule[Any], case: Seen, situation: Situation) -> Asked:
    truth = evaluate(rule.condition, situation)
    return Asked(rule, case, situation, truth.value, truth.lacking)


def _lists(table: str, case: Seen, knowledge: Knowledge) -> Iterator[tuple[tuple[Rule[Any], ...], Situation]]:
    """The decision lists gone through for a case, with the situation they were asked about."""
    if table == "selection":
        for situation in (case.patient, *case.orders):
            unrecorded = {name: False for name in NOT_TRUE_UNLESS_RECORDED if situation[name] is None}
            yield knowledge.selection, {**situation, **unrecorded}
    elif table == "followup":
        yield knowledge.followup, case.patient
    elif not _names_a_station(case.facts, knowledge):
        for system in case.assessment.tnm:
            for axis in ("T", "N", "M"):
                yield knowledge.staging[str(case.facts.primary_site), system, axis], case.patient


def _names_a_station(facts: Facts, knowledge: Knowledge) -> bool:
    """Whether a node station makes staging look at nodes and metastases that differ from the recorded ones."""
    stations = {entry.site for entry in (*knowledge.nodes.distant, *knowledge.nodes.regional)}
    return not stations.isdisjoint(facts.metastases or ())


def units(rule: Rule[Any]) -> tuple[Unit, ...]:
    """The conjunctions any of which makes the rule true."""
    condition = rule.condition
    return tuple(Unit(rule.row.id, (*condition.when, *part)) for part in condition.any or ((),))


def truth_by_name(unit: Unit, situation: Situation) -> dict[str, bool | None]:
    """Truth of the tests of a unit, those of one fact taken together."""
    names = dict.fromkeys(test.name for test in unit.tests)
    return {
        name: evaluate(Condition(tuple(test for test in unit.tests if test.name == name)), situation).value
        for name in names
    }
