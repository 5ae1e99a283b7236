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
    Op.UNLESS: lambda value, operand: value not in operand,
    Op.KNOWN: lambda _, operand: bool(operand),
}
"""Tests of a value that is known."""
_UNLESS, _KNOWN = Op.UNLESS, Op.KNOWN


def satisfies(test: Test, value: object) -> bool:
    """Whether a value passes a test; an unknown one passes only what asks for being unknown or not known otherwise."""
    if value is None:
        return test.op is _UNLESS or (test.op is _KNOWN and not test.operand)
    return _TESTS[test.op](value, test.operand)


def _conjunction(tests: Conjunction, situation: Situation) -> Truth:
    lacking: list[str] = []
    for test in tests:
        value, op = situation.get(test.name), test.op
        if value is None:
            if op is _KNOWN:
                if test.operand:
                    return FALSE
            elif op is not _UNLESS:
                lacking.append(test.name)
        elif not _TESTS[op](value, test.operand):
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
