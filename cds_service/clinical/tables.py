"""The tables of a knowledge, ready to be asked: what they say about a situation is worked out once and remembered.

A table is a function of the few facts and signals that its rows test, and nothing else. Situations that agree in those
get the same answer, whoever the patient is; so a trial with one fact changed costs only the tables that test the fact,
and the second call about a patient costs none. What is remembered names no patient, and its number is bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, Generic, NamedTuple, TypeVar

from cds_service.clinical import followup, grading, imaging, staging
from cds_service.clinical.conditions import evaluate
from cds_service.clinical.remembering import KNOWLEDGES, SITUATIONS
from cds_service.domain.facts import FACTS, Facts
from cds_service.domain.same import Same
from cds_service.domain.terms import CRITICAL
from cds_service.knowledge.model import Knowledge, Row, Rule, SafetyRow

T = TypeVar("T")
R = TypeVar("R", bound=Row)


class _Only(dict[str, Any]):
    """A situation cut down to the names a table was said to read: reading another one is a mistake, never a None."""

    def get(self, name: str, default: Any = None) -> Any:  # noqa: ARG002 - the default of a mapping does not apply
        return self[name]


class Remembered(Generic[T]):
    """A function of a situation that reads these names and no others."""

    def __init__(self, function: Callable[[Mapping[str, Any]], T], names: Iterable[str]) -> None:
        self.names = tuple(sorted(set(names)))
        self._answer = lru_cache(maxsize=SITUATIONS)(
            lambda values: function(_Only(zip(self.names, values, strict=True)))
        )

    def __call__(self, situation: Mapping[str, Any]) -> T:
        """The answer of the function."""
        return self._answer(tuple(map(situation.get, self.names)))


class Told(NamedTuple, Generic[R]):
    """A row that is true, or unknown for lack of the names given."""

    row: R
    true: bool
    lacking: tuple[str, ...]


class Tables:
    """Every table that an assessment asks."""

    def __init__(self, knowledge: Knowledge) -> None:
        enabled = tuple(rule for rule in knowledge.safety if rule.row.enabled)
        self.scenario = Remembered(
            lambda situation: imaging.scenario(situation, knowledge),
            {*_tested(knowledge.selection), *(name for rule in knowledge.selection for name in rule.row.missing)},
        )
        self.grading = Remembered(lambda situation: grading.grading(_facts(situation), knowledge), grading.READS)
        self.staging = Remembered(
            lambda situation: staging.staging(_facts(situation), situation, knowledge),
            {*staging.READS, *_tested(rule for rules in knowledge.staging.values() for rule in rules)},
        )
        self.timing = Remembered(
            lambda situation: followup.timing(situation, knowledge),
            {
                *followup.READS,
                *_tested(knowledge.followup),
                *(name for rule in knowledge.followup for name in rule.row.missing),
            },
        )
        self.trigger = Remembered(
            lambda situation: followup.trigger(situation, knowledge),
            _tested(() if knowledge.triggers is None else (knowledge.triggers,)),
        )
        self.staging_warnings = _rows(knowledge.staging_warnings)
        self.overlay = _rows(knowledge.overlay)
        self.advice = _rows(tuple(rule for rule in knowledge.advice if not rule.about_order))
        self.order_advice = _rows(tuple(rule for rule in knowledge.advice if rule.about_order))
        self.safety: Remembered[tuple[Told[SafetyRow], ...]] = _rows(enabled)
        self.critical: Remembered[tuple[Told[SafetyRow], ...]] = _rows(
            tuple(rule for rule in enabled if rule.row.severity == CRITICAL)
        )


def tables(knowledge: Knowledge) -> Tables:
    """The tables of this knowledge; they are made when they are first asked for."""
    return _tables(Same(knowledge))


def forget() -> None:
    """Throw away all that is remembered; for measurements."""
    _tables.cache_clear()


@lru_cache(maxsize=KNOWLEDGES)
def _tables(same: Same[Knowledge]) -> Tables:
    return Tables(same.value)


def _tested(rules: Iterable[Rule[Any]]) -> set[str]:
    """Every name that a condition of the rules tests."""
    return {name for rule in rules for name in rule.condition.names}


def _rows(rules: tuple[Rule[R], ...]) -> Remembered[tuple[Told[R], ...]]:
    """The rows that are not false, in the order of the table."""

    def told(situation: Mapping[str, Any]) -> tuple[Told[R], ...]:
        seen = dict(situation)  # all that the conditions test, so nothing needs to watch over it
        outcomes = ((rule.row, evaluate(rule.condition, seen)) for rule in rules)
        return tuple(Told(row, bool(o.value), o.lacking) for row, o in outcomes if o.value is not False)

    return Remembered(told, _tested(rules))


def _facts(situation: Mapping[str, Any]) -> Facts:
    """The facts among the names of a situation; a function that is handed these must not read others."""
    return Facts(**{name: value for name, value in situation.items() if name in FACTS})
