"""Safety never rests on silence (SAF rules), in two properties.

A safety rule about an order is *fired*, *open* (neither true nor false, and a fact it lacks is reported as missing), or
*cleared*. What is known only ever refines what is unknown:

* a critical finding stays when any unknown fact becomes known, and whatever else is on record;
* where a rule would fire for some values of the unknown facts, it is fired or open while they are unknown, and never
  cleared.

``implant = unknown`` is a device on record without MR safety information. It is a value that a rule of its own speaks
about (SAF-02), and every other word refines it: the question is on the card when a rule about the same fact fires.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final

from cds_service.clinical.assess import assess
from cds_service.clinical.conditions import evaluate
from cds_service.clinical.situation import order_situation
from cds_service.domain.facts import FACTS, Facts
from cds_service.domain.findings import Order
from cds_service.domain.terms import CRITICAL, NAMES, ORDER_SIGNALS
from cds_service.knowledge.model import ClassRow, Condition, FollowupRow, Knowledge, Rule, SafetyRow
from cds_service.proof.axes import UNKNOWN_WORD, Axes, axes, limits, numbers
from cds_service.proof.explore import Failed, attempt, grid, size
from cds_service.proof.findings import Proof, Trial
from cds_service.proof.selection import patients

State = dict[str, Any]
Key = tuple[Any, ...]

SCHEDULED: Final = ("pnet-post-resection-surveillance", "pnet-non-liver-dominant-followup")
"""Scenarios for which a source states an interval without regard to treatment."""
UNSCHEDULED: Final = ("pnet-initial-staging", "out-of-scope")
_SIGNALS: Final = ("followup_trigger", "order_too_early")
"""Signals that stand for facts of the course of the disease."""
_COLUMNS: Final = ("order_abdominal", "order_sstr")
"""What an order is to the schedule."""


def safety(knowledge: Knowledge) -> tuple[Proof, Proof]:
    """Both properties, over every rule that is switched on, every kind of order and every state of the rule's facts."""
    stays = Trial("safety-stays", "critical safety findings stay when facts become known")
    speaks = Trial("safety-unknown", "unknown never safer than the worst known value")
    scenarios = patients(knowledge)
    for rule in knowledge.safety:
        if rule.row.enabled:
            tables = [_Table(rule, *found, knowledge) for found in _backgrounds(rule, scenarios, knowledge)]
            for table in tables:
                table.critical_findings_stay(stays)
                table.unknown_speaks(speaks)
                if rule.row.severity == CRITICAL:
                    table.fires_as_in(tables[0], stays)
    return stays.proof(), speaks.proof()


def _kinds_of_order(rule: Rule[SafetyRow], knowledge: Knowledge) -> tuple[Order, ...]:
    """One order of each kind that the rule tells apart: the one with the fewest attributes, of which least is asked."""
    condition = rule.condition
    tests = [test for part in (condition.when, *condition.any) for test in part if test.name in ORDER_SIGNALS]
    kinds: dict[Key, Order] = {}
    studies = sorted(knowledge.procedures.values(), key=lambda study: len(study.attributes))
    every = frozenset().union(*(study.attributes for study in studies))
    for order in (*(Order(study.key, study.key) for study in studies), Order("another study", None, attributes=every)):
        seen = order_situation({"order_intent": None, "days_since_same_procedure": None}, order, knowledge)
        columns = [seen[name] for name in _COLUMNS] if _is_timed(rule) else []
        told_apart = (evaluate(Condition((test,)), seen).value for test in tests)
        kinds.setdefault((*columns, *told_apart), order)
    return tuple(kinds.values())


def _is_timed(rule: Rule[SafetyRow]) -> bool:
    return "order_too_early" in rule.condition.names


def _backgrounds(
    rule: Rule[SafetyRow], scenarios: Mapping[str, Facts], knowledge: Knowledge
) -> Iterator[tuple[State, Facts, Axes]]:
    """Patients to try a rule on, and the facts to vary.

    What else is on record is nothing, or every other safety fact in two ways; nothing alone where a signal already
    brings many facts. Critical rules are tried in every scenario.
    """
    signals = rule.condition.names.intersection(_SIGNALS)
    tried = SCHEDULED if _is_timed(rule) else UNSCHEDULED[:1] if signals else UNSCHEDULED
    for scenario in scenarios if rule.row.severity == CRITICAL else [name for name in tried if name in scenarios]:
        own = _schedule_axes(scenario, knowledge) if _is_timed(rule) else _facts_of(rule, knowledge)
        others = {name: found for name, found in _safety_axes(knowledge).items() if name not in own}
        for place in (0,) if signals else (0, 1, -1):
            known = {name: found[place] for name, found in others.items()}
            patient = replace(scenarios[scenario], differentiation="well", **known)
            yield {"scenario": scenario, **known}, patient, own


def _safety_axes(knowledge: Knowledge) -> Axes:
    """The facts that safety rules read, directly or through the triggers of early imaging."""
    conditions: list[Condition] = [rule.condition for rule in knowledge.safety if rule.row.enabled]
    if knowledge.triggers:
        conditions.append(knowledge.triggers.condition)
    return {name: found for name, found in axes(conditions).items() if name in FACTS}


def _schedule_axes(scenario: str, knowledge: Knowledge) -> Axes:
    """The facts behind ``order_too_early``: time on both columns of the schedule, and what chooses the row."""
    rules = [rule for rule in knowledge.followup if _speaks_of(rule, scenario)]
    early = knowledge.tolerance.early
    read = axes((rule.condition for rule in rules), ("months_since_last_imaging", "months_since_last_sstr_imaging"))
    column = {
        "months_since_last_imaging": {early * rule.row.interval[0] for rule in rules if rule.row.interval},
        "months_since_last_sstr_imaging": {early * rule.row.sstr.later[0] for rule in rules if rule.row.sstr},
    }
    timed: dict[str, tuple[Any, ...]] = {name: (None, *numbers(bounds)) for name, bounds in column.items()}
    graded = {"ki67_percent": (None, *_indices(knowledge))} if "grade_2019" in read else {}
    kept = ("last_imaging_result", "months_resection_to_last_imaging")
    return timed | graded | {name: read[name] for name in kept if name in read}


def _speaks_of(rule: Rule[FollowupRow], scenario: str) -> bool:
    tests = [test for test in rule.condition.when if test.name == "scenario"]
    return all(scenario in test.operand for test in tests)


def _indices(knowledge: Knowledge) -> tuple[float, ...]:
    """A Ki-67 of the lowest class and one of the class above it."""
    classes = [row for row in knowledge.grading if isinstance(row, ClassRow)]
    bound = min(limits(row.ki67_percent for row in classes))
    return numbers([bound])[:2]


def _facts_of(rule: Rule[SafetyRow], knowledge: Knowledge) -> Axes:
    """The facts that decide the rule, the triggers of early imaging included."""
    names = set(rule.condition.names)
    if "followup_trigger" in names and knowledge.triggers:
        names |= knowledge.triggers.condition.names
    return {name: found for name, found in _safety_axes(knowledge).items() if name in names}


@dataclass
class _Table:
    """What one rule does, for one patient, in every state of its facts, for every kind of order."""

    rule: Rule[SafetyRow]
    told: State
    patient: Facts
    axes: Axes
    knowledge: Knowledge
    """What decides the rule."""
    can: dict[tuple[Key, str], bool] = field(default_factory=dict)

    @cached_property
    def orders(self) -> tuple[Order, ...]:
        """The kinds of order that the rule tells apart."""
        return _kinds_of_order(self.rule, self.knowledge)

    @cached_property
    def fired(self) -> Mapping[Key, Mapping[str, Mapping[str, str]]]:
        """Severity by rule, by order, by state."""
        return {tuple(state.values()): self._findings(state) for state in grid(self.axes)}

    def _findings(self, state: State) -> Mapping[str, Mapping[str, str]]:
        answer = attempt(lambda: assess(replace(self.patient, **state), self.orders, self.knowledge))
        if isinstance(answer, Failed):
            return {order.id: {} for order in self.orders}
        return {order.order.id: {found.rule: found.severity for found in order.safety} for order in answer.orders}

    def steps(self, key: Key) -> Iterator[tuple[str, Key]]:
        """The states in which one unknown fact has become known, with the fact."""
        for place, name in enumerate(self.axes):
            if key[place] is None or _is_open_word(name, key[place]):
                for value in self.axes[name]:
                    if value is not None and value != key[place]:
                        yield name, (*key[:place], value, *key[place + 1 :])

    def state(self, key: Key) -> State:
        """The state as a counter-example shows it."""
        others = {name: value for name, value in self.told.items() if value is not None and name not in self.axes}
        return others | dict(zip(self.axes, key, strict=True))

    def critical_findings_stay(self, trial: Trial) -> None:
        """No step from unknown to known takes a critical finding away."""
        trial.covered(size(self.axes) * len(self.orders), size(self.axes))
        for key, by_order in self.fired.items():
            for name, known in self.steps(key):
                for order, findings in by_order.items():
                    for rule in _critical(findings):
                        trial.expect(
                            rule in self.fired[known][order],
                            self.state(known),
                            f"{rule} still fired, as with {name} unknown",
                            "no such finding",
                            (rule,),
                            order,
                        )

    def fires_as_in(self, other: _Table, trial: Trial) -> None:
        """The rule fires whatever else is on record, and whatever the scenario."""
        rule = self.rule.row.id
        for key, by_order in self.fired.items():
            for order, findings in by_order.items():
                trial.expect(
                    rule in findings or rule not in other.fired[key][order],
                    self.state(key),
                    f"{rule} fired, as with {other.told['scenario']} and other facts unknown",
                    "no such finding",
                    (rule,),
                    order,
                )

    def unknown_speaks(self, trial: Trial) -> None:
        """Where some value of what is unknown makes the rule fire, it is fired, or open and reported."""
        trial.covered(size(self.axes) * len(self.orders), size(self.axes))
        rule = self.rule.row.id
        for key, by_order in self.fired.items():
            for order in self.orders:
                if rule in by_order[order.id] or not self.can_fire(key, order.id):
                    continue
                telling = {name for name, known in self.steps(key) if self.can_fire(known, order.id)}
                trial.expect(
                    self._asked(key, order, telling),
                    self.state(key),
                    f"{rule} fired, or {' or '.join(sorted(telling))} reported as missing: a known value makes it fire",
                    "cleared",
                    (rule,),
                    order.id,
                )

    def can_fire(self, key: Key, order: str) -> bool:
        """Whether the rule fires in the state or in one that refines it."""
        if (key, order) not in self.can:
            self.can[key, order] = self.rule.row.id in self.fired[key][order] or any(
                self.can_fire(known, order) for _, known in self.steps(key) if _is_known(known, key)
            )
        return self.can[key, order]

    def _asked(self, key: Key, order: Order, telling: Iterable[str]) -> bool:
        """Whether one of the facts is reported as missing for this order alone, or a rule about its open word fires."""
        state = dict(zip(self.axes, key, strict=True))
        answer = attempt(lambda: assess(replace(self.patient, **state), (order,), self.knowledge))
        if isinstance(answer, Failed):
            return False
        about = {
            name
            for rule in self.knowledge.safety
            if rule.row.id in self.fired[key][order.id]
            for name in rule.condition.names
        }
        return any(name in answer.missing or (state[name] is not None and name in about) for name in telling)


def _is_open_word(name: str, value: object) -> bool:
    return value == UNKNOWN_WORD and UNKNOWN_WORD in NAMES[name].words


def _is_known(known: Key, key: Key) -> bool:
    """Whether a step leads to knowledge, so that following steps comes to an end."""
    return sum(value in (None, UNKNOWN_WORD) for value in known) < sum(value in (None, UNKNOWN_WORD) for value in key)


def _critical(findings: Mapping[str, str]) -> Iterator[str]:
    return (rule for rule, severity in findings.items() if severity == CRITICAL)
