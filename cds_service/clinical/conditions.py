"""Three-valued evaluation of row conditions.

A test is true, false or unknown; a conjunction with a false test is false whatever else is unknown; an alternative with
a true part is true. A row fires only when true. When it is unknown, the names it lacks are returned, so that they can
be reported as missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from cds_service.knowledge.model import Condition, Conjunction, Op, Test

Situation = Mapping[str, Any]
"""Facts and signals by name; an absent name or ``None`` is unknown."""


class Truth(NamedTuple):
    """Outcome of a condition: true, false, or unknown for lack of the names given."""

    value: bool | None
    lacking: tuple[str, ...] = ()


TRUE = Truth(True)
FALSE = Truth(False)

_TESTS: dict[Op, Callable[[Any, Any], bool]] = {
    Op.IN: lambda value, operand: value in operand,
    Op.RANGE: lambda value, operand: operand.holds(value),
    Op.NOT: lambda value, operand: value not in operand,
    Op.CONTAINS: lambda value, operand: not operand.isdisjoint(value),
    Op.CONTAINS_ALL: lambda value, operand: operand.issubset(value),
    Op.ONLY: lambda value, operand: bool(value) and operand.issuperset(value),
    Op.LACKS: lambda value, operand: operand.isdisjoint(value),
    Op.EMPTY: lambda value, operand: (not value) == operand,
}


def satisfies(test: Test, value: object) -> bool:
    """Whether a value passes a test; an unknown one passes only what asks for being unknown or not known otherwise."""
    if test.op is Op.UNLESS:
        return value is None or value not in test.operand
    if test.op is Op.KNOWN:
        return bool((value is not None) == test.operand)
    return value is not None and _TESTS[test.op](value, test.operand)


def _conjunction(tests: Conjunction, situation: Situation) -> Truth:
    lacking: list[str] = []
    for test in tests:
        value = situation.get(test.name)
        if test.op is Op.UNLESS:
            holds = value is None or value not in test.operand
        elif test.op is Op.KNOWN:
            holds = (value is not None) == test.operand
        elif value is None:
            lacking.append(test.name)
            continue
        else:
            holds = _TESTS[test.op](value, test.operand)
        if not holds:
            return FALSE
    return Truth(None, tuple(lacking)) if lacking else TRUE


def evaluate(condition: Condition, situation: Situation) -> Truth:
    """Whether the condition holds in the situation."""
    base = _conjunction(condition.when, situation)
    if base.value is False or not condition.any:
        return base
    lacking = list(base.lacking)
    satisfied = False
    for part in condition.any:
        outcome = _conjunction(part, situation)
        if outcome.value:
            satisfied = True
            break
        lacking.extend(outcome.lacking)
    if satisfied:
        return base
    if lacking and len(lacking) > len(base.lacking):
        return Truth(None, tuple(dict.fromkeys(lacking)))
    return FALSE
