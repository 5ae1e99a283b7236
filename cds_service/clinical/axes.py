"""The values of an unknown fact that the rules can tell apart, worked out from the rules and never written by hand.

Every test that a row or a function makes of a fact is a *column*; a representative value either passes it or does not.
Values that pass the same columns lead to the same answer, and a value that passes what an unknown fact passes changes
nothing. Numbers are cut at every bound that a test names: each bound is a value of its own, and so is each stretch
between two of them. All of this depends on the knowledge and the primary site alone and is computed once for both.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import compress, pairwise
from statistics import fmean
from typing import Any, Final

from cds_service.clinical import readings
from cds_service.clinical.conditions import satisfies
from cds_service.clinical.readings import Column
from cds_service.domain.facts import FACTS, FactSpec, Kind
from cds_service.domain.same import Same
from cds_service.knowledge.model import Knowledge, LimitsRow, Op, Rule, SafetyRow, Test
from cds_service.knowledge.ranges import Range

_OF_THE_PATIENT: Final = frozenset({readings.STAGE, readings.OVERLAY})
ELSEWHERE: Final = "elsewhere"
"""In an open list of sites: any site that no row names."""
_LIMITS: Final = ("above", "at_least", "below", "at_most")
_COUNTED: Final = ("1", "a")
"""Units of facts that are counted, so that the next value is the next whole number."""
_REMEMBERED: Final = 32
"""Pairs of knowledge and site held in memory: 14 sites and none, and room for the rows of another day."""


@dataclass(frozen=True, slots=True)
class Value:
    """A value to try, and what it stands for: itself, or the stretch of numbers around it."""

    example: Any
    stands_for: Any


@dataclass(frozen=True, slots=True)
class Axis:
    """The values of one fact that rules tell apart.

    Attributes:
        truths: for each value, which columns it passes.
        unknown: which columns the unknown fact passes.
    """

    fact: str
    columns: tuple[Column, ...]
    values: tuple[Value, ...]
    truths: tuple[tuple[bool, ...], ...]
    unknown: tuple[bool, ...]

    def groups(self, live: Sequence[bool]) -> list[list[Value]]:
        """The values that the live columns tell from unknown; those they cannot tell apart are together."""
        as_unknown = tuple(compress(self.unknown, live))
        found: dict[tuple[bool, ...], list[Value]] = {}
        for value, truth in zip(self.values, self.truths, strict=True):
            passed = tuple(compress(truth, live))
            if passed != as_unknown:
                found.setdefault(passed, []).append(value)
        return list(found.values())

    def together(self, values: Collection[Value]) -> tuple[Any, ...]:
        """What values stand for: stretches of numbers that touch become one."""
        if FACTS[self.fact].kind is not Kind.NUMBER:
            return tuple(value.stands_for for value in values)
        runs: list[list[Value]] = [[]]
        for value in self.values:
            if value in values:
                runs[-1].append(value)
            elif runs[-1]:
                runs.append([])
        return tuple(_span(run[0].stands_for, run[-1].stands_for) for run in runs if run)


@dataclass(frozen=True, slots=True)
class Axes:
    """What there is to try about primaries of one site.

    Attributes:
        axes: one for each fact, those that decide most first.
        prompts: safety rows that fire because a fact is unknown, by fact.
    """

    axes: tuple[Axis, ...]
    prompts: Mapping[str, tuple[Rule[SafetyRow], ...]]


def axes(knowledge: Knowledge, site: str | None) -> Axes:
    """The axes of all facts that can change an answer about a primary of this site."""
    return _axes(Same(knowledge), site)


@lru_cache(maxsize=_REMEMBERED)
def _axes(same: Same[Knowledge], site: str | None) -> Axes:
    knowledge = same.value
    columns: dict[str, list[Column]] = {}
    for column in readings.columns(knowledge, site):
        columns.setdefault(column.test.name, []).append(column)
    built = [axis(FACTS[name], tuple(of_fact), knowledge) for name, of_fact in columns.items()]
    built.sort(key=lambda each: min(column.rank for column in each.columns))
    prompts: dict[str, tuple[Rule[SafetyRow], ...]] = {}
    for rule in knowledge.safety:
        for test in rule.condition.when:
            if test.op is Op.KNOWN and test.name in FACTS:
                prompts[test.name] = (*prompts.get(test.name, ()), rule)
    return Axes(tuple(built), prompts)


def touches_orders(live: Iterable[Column]) -> bool:
    """Whether knowing a fact can change what is said of an order: not if only stage or overlay ask for it."""
    return any(column.rank not in _OF_THE_PATIENT for column in live)


def axis(spec: FactSpec, columns: tuple[Column, ...], knowledge: Knowledge) -> Axis:
    """The axis of a fact whose values these tests tell apart."""
    tests = [column.test for column in columns]
    values = tuple(_values(spec, tests, knowledge))
    return Axis(
        spec.name,
        columns,
        values,
        tuple(tuple(satisfies(test, value.example) for test in tests) for value in values),
        tuple(satisfies(test, None) for test in tests),
    )


def _bounds(tests: Iterable[Test]) -> set[float]:
    """The numbers that tests name."""
    found: set[float] = set()
    for test in tests:
        if test.op is Op.RANGE:
            found.update(limit for name in _LIMITS if (limit := getattr(test.operand, name)) is not None)
        elif test.op in (Op.IN, Op.NOT, Op.UNLESS):
            found.update(test.operand)
    return found


def _span(first: Range, last: Range) -> Range:
    """From the low end of one range to the high end of another; any number at all is said as "not negative"."""
    low = 0 if first.above is first.at_least is last.below is last.at_most is None else first.at_least
    return Range(above=first.above, at_least=low, below=last.below, at_most=last.at_most)


def _values(spec: FactSpec, tests: list[Test], knowledge: Knowledge) -> Iterator[Value]:
    if spec.kind is Kind.FLAG:
        yield from (Value(flag, flag) for flag in (True, False))
    elif spec.kind is Kind.WORD:
        yield from (Value(word, word) for word in spec.words)
    elif spec.kind is Kind.WORDS:
        yield from (Value(words, words) for words in _lists(spec, tests, _named(spec.name, knowledge)))
    elif spec.kind is Kind.NUMBER:
        yield from _stretches(sorted(_bounds(tests)), _domain(spec.name, knowledge), spec.unit)


def _named(name: str, knowledge: Knowledge) -> list[str]:
    """Words of an open list that any row names."""
    rules = (*knowledge.advice, *knowledge.overlay, *(rule for rules in knowledge.staging.values() for rule in rules))
    parts = (part for rule in rules for part in (rule.condition.when, *rule.condition.any))
    tests = [test for part in parts for test in part if test.name == name and isinstance(test.operand, frozenset)]
    return sorted({word for test in tests for word in test.operand})


def _lists(spec: FactSpec, tests: list[Test], named: list[str]) -> Iterator[tuple[str, ...]]:
    """None, each word alone, and each word of which a test asks whether it is the only one, with another."""
    alone = {word for test in tests if test.op in (Op.ONLY, Op.LACKS, Op.CONTAINS_ALL) for word in test.operand}
    tested = sorted({word for test in tests if isinstance(test.operand, frozenset) for word in test.operand})
    words = spec.words or ((*tested, ELSEWHERE) if alone else tuple(named))
    yield ()
    yield from ((word,) for word in words)
    yield from ((word, ELSEWHERE) for word in sorted(alone))


def _domain(name: str, knowledge: Knowledge) -> Range:
    """Numbers that the fact can be: not negative, and the indices of proliferation within their physical limits."""
    limits = next((row for row in knowledge.grading if isinstance(row, LimitsRow)), None)
    found: Range | None = getattr(limits, name, None) if name in ("ki67_percent", "mitoses") else None
    return found or Range(at_least=0)


def _stretches(cuts: list[float], domain: Range, unit: str) -> Iterator[Value]:
    """Each cut, and each stretch below, between and above the cuts, as far as the domain reaches."""
    cuts = [float(cut) for cut in cuts if domain.holds(cut)]
    if not cuts:
        return
    low, high, step = domain.at_least or 0, domain.at_most, 1 if unit in _COUNTED else 0
    if cuts[0] > low:
        yield Value(cuts[0] - step if step else fmean((low, cuts[0])), Range(below=cuts[0]))
    for cut, following in pairwise(cuts):
        yield _point(cut)
        yield Value(fmean((cut, following)), Range(above=cut, below=following))
    last = cuts[-1]
    yield _point(last)
    if high is None:
        yield Value(last + (step or last or 1), Range(above=last))
    elif last < high:
        yield Value(fmean((last, high)), Range(above=last))


def _point(number: float) -> Value:
    return Value(number, Range(at_least=number, at_most=number))
