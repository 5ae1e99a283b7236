"""Three-valued conditions: the truth table, every test with its limits, and what is lacking."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.clinical.conditions import Truth, evaluate
from cds_service.knowledge.model import Condition, Op, Test
from cds_service.knowledge.ranges import Range

TRUTHS = (True, False, None)


def flag(name: str) -> Test:
    """A test that is as true as the fact is."""
    return Test(name, Op.IN, frozenset({True}))


def values(**truths: bool | None) -> dict[str, bool | None]:
    """A situation of flags."""
    return truths


def both(one: bool | None, other: bool | None) -> bool | None:
    """Conjunction of three-valued logic (Kleene)."""
    if one is False or other is False:
        return False
    return None if one is None or other is None else True


def either(one: bool | None, other: bool | None) -> bool | None:
    """Disjunction of three-valued logic (Kleene)."""
    if one is True or other is True:
        return True
    return None if one is None or other is None else False


@pytest.mark.parametrize(("a", "b"), list(product(TRUTHS, repeat=2)))
def test_a_conjunction_is_false_as_soon_as_one_part_is(a: bool | None, b: bool | None) -> None:
    """All nine combinations: one false part decides, else one unknown part leaves it open."""
    truth = evaluate(Condition((flag("a"), flag("b"))), values(a=a, b=b))
    assert truth.value is both(a, b)


@pytest.mark.parametrize(("a", "b"), list(product(TRUTHS, repeat=2)))
def test_alternatives_are_true_as_soon_as_one_is(a: bool | None, b: bool | None) -> None:
    """All nine combinations: one true alternative decides, else one unknown alternative leaves it open."""
    truth = evaluate(Condition((), ((flag("a"),), (flag("b"),))), values(a=a, b=b))
    assert truth.value is either(a, b)


@pytest.mark.parametrize(("w", "a", "b"), list(product(TRUTHS, repeat=3)))
def test_a_row_needs_its_conjunction_and_an_alternative(w: bool | None, a: bool | None, b: bool | None) -> None:
    """All 27 combinations of a common part and two alternatives."""
    truth = evaluate(Condition((flag("w"),), ((flag("a"),), (flag("b"),))), values(w=w, a=a, b=b))
    assert truth.value is both(w, either(a, b))


@given(st.lists(st.lists(st.sampled_from("abcd"), max_size=3), max_size=4), st.data())
def test_any_condition_is_kleene_logic(parts: list[list[str]], data: st.DataObject) -> None:
    """For any shape and any situation the value is that of Kleene logic, and what is lacking is unknown."""
    situation = {name: data.draw(st.sampled_from(TRUTHS)) for name in "abcd"}
    when, *others = parts or [[]]
    expected: bool | None = True
    for name in when:
        expected = both(expected, situation[name])
    if others:
        alternatives: bool | None = False
        for part in others:
            conjunction: bool | None = True
            for name in part:
                conjunction = both(conjunction, situation[name])
            alternatives = either(alternatives, conjunction)
        expected = both(expected, alternatives)
    condition = Condition(tuple(map(flag, when)), tuple(tuple(map(flag, part)) for part in others))
    truth = evaluate(condition, situation)
    assert truth.value is expected
    assert bool(truth.lacking) is (expected is None)
    assert all(situation[name] is None for name in truth.lacking)


@given(st.data())
def test_knowing_more_never_takes_back_an_answer(data: st.DataObject) -> None:
    """A condition that is decided stays decided, the same way, whatever the unknown facts turn out to be."""
    situation = {name: data.draw(st.sampled_from(TRUTHS)) for name in "abcd"}
    condition = Condition((flag("a"),), ((flag("b"), flag("c")), (flag("d"),)))
    before = evaluate(condition, situation)
    filled = {name: data.draw(st.booleans()) if value is None else value for name, value in situation.items()}
    after = evaluate(condition, filled).value
    assert after is not None
    assert before.value in (None, after)


def test_an_empty_condition_holds() -> None:
    """A row without conditions always applies."""
    assert evaluate(Condition(), {}) == Truth(True)


def test_an_absent_name_is_unknown() -> None:
    """A name that is not in the situation is as unknown as one that is None."""
    assert (
        evaluate(Condition((flag("a"),)), {}) == evaluate(Condition((flag("a"),)), {"a": None}) == Truth(None, ("a",))
    )


def test_what_is_lacking_is_named_once_and_in_order() -> None:
    """The facts without which a row cannot be decided are named in the order of the row."""
    condition = Condition((flag("c"),), ((flag("b"), flag("a")), (flag("a"),)))
    assert evaluate(condition, {}).lacking == ("c", "b", "a")


def test_what_a_false_alternative_lacks_does_not_matter() -> None:
    """Facts that could change nothing any more are not asked for."""
    condition = Condition((), ((flag("a"), flag("b")), (flag("c"),)))
    assert evaluate(condition, values(a=False, c=None)) == Truth(None, ("c",))
    assert evaluate(condition, values(a=None, b=None, c=True)) == Truth(True)
    assert evaluate(Condition((flag("a"), flag("b"))), values(a=None, b=False)) == Truth(False)


NUMBERS = Range(above=10, at_most=20)
FLOOR = Range(at_least=10, below=20)


@pytest.mark.parametrize(
    ("op", "operand", "value", "expected"),
    [
        (Op.IN, frozenset({"a", "b"}), "a", True),
        (Op.IN, frozenset({"a", "b"}), "c", False),
        (Op.IN, frozenset({20}), 20.0, True),
        (Op.IN, frozenset({False}), False, True),
        (Op.NOT, frozenset({"a"}), "a", False),
        (Op.NOT, frozenset({"a"}), "b", True),
        (Op.RANGE, NUMBERS, 10, False),
        (Op.RANGE, NUMBERS, 10.0001, True),
        (Op.RANGE, NUMBERS, 20, True),
        (Op.RANGE, NUMBERS, 20.0001, False),
        (Op.RANGE, FLOOR, 9.9999, False),
        (Op.RANGE, FLOOR, 10, True),
        (Op.RANGE, FLOOR, 19.9999, True),
        (Op.RANGE, FLOOR, 20, False),
        (Op.RANGE, Range(), 1e9, True),
        (Op.CONTAINS, frozenset({"a", "b"}), ("b", "c"), True),
        (Op.CONTAINS, frozenset({"a", "b"}), ("c",), False),
        (Op.CONTAINS, frozenset({"a"}), (), False),
        (Op.CONTAINS_ALL, frozenset({"a", "b"}), ("b", "c", "a"), True),
        (Op.CONTAINS_ALL, frozenset({"a", "b"}), ("a",), False),
        (Op.CONTAINS_ALL, frozenset({"a"}), (), False),
        (Op.ONLY, frozenset({"a"}), ("a",), True),
        (Op.ONLY, frozenset({"a"}), ("a", "b"), False),
        (Op.ONLY, frozenset({"a"}), (), False),
        (Op.LACKS, frozenset({"a"}), ("b",), True),
        (Op.LACKS, frozenset({"a"}), ("a", "b"), False),
        (Op.LACKS, frozenset({"a"}), (), True),
        (Op.EMPTY, True, (), True),
        (Op.EMPTY, True, ("a",), False),
        (Op.EMPTY, False, (), False),
        (Op.EMPTY, False, ("a",), True),
        (Op.UNLESS, frozenset({True}), True, False),
        (Op.UNLESS, frozenset({True}), False, True),
        (Op.KNOWN, True, "a", True),
        (Op.KNOWN, True, False, True),
        (Op.KNOWN, True, 0, True),
        (Op.KNOWN, True, (), True),
        (Op.KNOWN, False, "a", False),
    ],
)
def test_a_test_decides_at_its_limit(op: Op, operand: Any, value: Any, expected: bool) -> None:
    """Each operator on either side of what it separates; zero, false and the empty list are values."""
    assert evaluate(Condition((Test("x", op, operand),)), {"x": value}) == Truth(expected)


@pytest.mark.parametrize("op", list(Op))
def test_an_unknown_value_opens_every_test_but_two(op: Op) -> None:
    """Unknown leaves a test open, except where the row says what it means: ``unless`` passes, ``known`` decides."""
    operands: dict[Op, Any] = {Op.RANGE: Range(above=1), Op.EMPTY: True, Op.KNOWN: True}
    truth = evaluate(Condition((Test("x", op, operands.get(op, frozenset({"a"}))),)), {"x": None})
    expected = {Op.UNLESS: Truth(True), Op.KNOWN: Truth(False)}.get(op, Truth(None, ("x",)))
    assert truth == expected


def test_known_false_asks_for_ignorance() -> None:
    """``known = false`` is true of an unknown fact, which is never reported as missing by it."""
    assert evaluate(Condition((Test("x", Op.KNOWN, False),)), {}) == Truth(True)
