"""Representative values of facts and signals, read off the conditions that test them.

Two values that no test tells apart are the same value for every rule, so one of them stands for both. Unknown is a
value of every axis.

* a number: every bound, one value in each band between the bounds, one below the lowest and one above the highest;
* a word: one for each group of words that occur in the same operands; the words no test names are one such group, and
  the word ``unknown`` is always its own;
* a list: every set made of one word of each group, and the empty list;
* a flag: true and false.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, combinations, pairwise
from typing import Any

from cds_service.domain.facts import FactSpec, Kind
from cds_service.domain.terms import NAMES
from cds_service.knowledge.model import Condition, Op, Test
from cds_service.knowledge.ranges import Range

Axes = Mapping[str, tuple[Any, ...]]
"""The values to try, by name of the fact or signal; ``None`` is unknown."""

OTHER_WORD = "any-other-word"
"""Stands for every word of an open vocabulary that no test names."""

UNKNOWN_WORD = "unknown"
"""On record, but not what it is. Always a value of its own, whether a row names it or not."""

_ALONE = (Op.CONTAINS_ALL,)
"""Tests for which words of one operand are not interchangeable."""


def axes(conditions: Iterable[Condition], names: Iterable[str] = ()) -> Axes:
    """The axes that the conditions read, and those named besides; per-order signals belong to the order, not here."""
    tests: dict[str, list[Test]] = {name: [] for name in names}
    for condition in conditions:
        for test in chain(condition.when, *condition.any):
            tests.setdefault(test.name, []).append(test)
    return {name: values(NAMES[name], found) for name, found in tests.items()}


def values(spec: FactSpec, tests: Iterable[Test]) -> tuple[Any, ...]:
    """Unknown, and one value of each kind that the tests tell apart."""
    tests = tuple(tests)
    if spec.kind is Kind.FLAG:
        return (None, True, False)
    if spec.kind is Kind.NUMBER:
        return (None, *numbers(_bounds(tests)))
    if spec.kind is Kind.WORD:
        return (None, *words(spec, tests))
    return (None, *_subsets(words(spec, tests)))


def limits(ranges: Iterable[Range]) -> set[float]:
    """The bounds that ranges name."""
    ends = chain.from_iterable((band.above, band.at_least, band.below, band.at_most) for band in ranges)
    return {end for end in ends if end is not None}


def numbers(bounds: Iterable[float]) -> tuple[float, ...]:
    """Every bound and one number in each band around and between them; a single one when nothing is bounded."""
    ends = sorted(set(bounds))
    if not ends:
        return (1.0,)
    lowest = ends[0] / 2 if ends[0] > 0 else ends[0] - 1
    between = [(low + high) / 2 for low, high in pairwise(ends)]
    return tuple(float(value) for value in sorted((lowest, *ends, *between, ends[-1] + 1)))


def words(spec: FactSpec, tests: Iterable[Test]) -> tuple[str, ...]:
    """One word of each group of words that occur in the same operands."""
    tests = tuple(test for test in tests if isinstance(test.operand, frozenset))
    named = sorted(frozenset().union(*(test.operand for test in tests)))
    groups: dict[tuple[object, ...], str] = {}
    for word in spec.words or (*named, OTHER_WORD):
        groups.setdefault((word == UNKNOWN_WORD, *(_role(word, test) for test in tests)), word)
    return tuple(groups.values())


def _role(word: str, test: Test) -> object:
    inside = word in test.operand
    return word if inside and test.op in _ALONE else inside


def _bounds(tests: Iterable[Test]) -> Iterator[float]:
    for test in tests:
        if test.op is Op.RANGE:
            yield from limits([test.operand])
        elif isinstance(test.operand, frozenset):
            yield from test.operand


def _subsets(groups: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    return chain.from_iterable(combinations(groups, size) for size in range(len(groups) + 1))
