"""Patients that no rule can tell apart, as one patient who stands for all of them.

Numbers enter the rules through bands: whether a Ki-67 is 3.1 or 19.7 % is the same to every row. A number is replaced
here by one that stands for its band, so that what is worked out for one patient holds for the next of the same kind.
The bands are cut at every number that a row, or a function of this room, compares a fact with; they come from the rows
themselves and from :mod:`cds_service.clinical.readings`, so a new row brings its own cuts. A test compares what is said
of patients with what is said of those who stand for them, and another looks for comparisons that no cut knows.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import pairwise
from statistics import fmean
from typing import Any, Final

from cds_service.clinical import readings
from cds_service.clinical.remembering import KNOWLEDGES
from cds_service.domain.alter import altered
from cds_service.domain.facts import FACTS, Facts, Kind, TumourGrowth
from cds_service.domain.findings import Order
from cds_service.domain.same import Same
from cds_service.knowledge.model import Knowledge, Rule, Test
from cds_service.knowledge.ranges import Range

AS_THEY_ARE: Final = frozenset({"mitoses"})
"""Numbers that are not compared as they are: mitoses are counted in several units, and brought to one of them first."""

_SINCE_SAME: Final = "days_since_same_procedure"
_GROWTH: Final = TumourGrowth(1.0, 1.0, 1.0)
"""Any growth: rows only ask whether it is known; markers are worked out from the numbers of the patient."""


class Bands:
    """The bands between the cuts of one fact; each cut is a band of its own."""

    def __init__(self, cuts: Iterable[float]) -> None:
        self.cuts = tuple(sorted(set(cuts)))
        between = [fmean(pair) for pair in pairwise(self.cuts)]
        self._examples = (self.cuts[0] - 1, *between, self.cuts[-1] + 1)

    def example(self, number: float) -> float:
        """The number that stands for all in the same band."""
        place = bisect_left(self.cuts, number)
        if place < len(self.cuts) and self.cuts[place] == number:
            return self.cuts[place]
        return self._examples[place]


def alike(facts: Facts, knowledge: Knowledge) -> Facts:
    """The patient who stands for all that no rule tells from this one.

    Args:
        facts: the facts with the written defaults, which follow from the numbers as they are.
        knowledge: the rows in force.
    """
    known = vars(facts)
    examples: dict[str, object] = {
        name: bands.example(number)
        for name, bands in bands_of(knowledge).items()
        if (number := known[name]) is not None
    }
    if facts.recist is not None:
        examples["recist"] = _GROWTH
    return altered(facts, examples)


def alike_orders(orders: Iterable[Order], knowledge: Knowledge) -> tuple[Order, ...]:
    """The orders as any patient of the kind has them: numbered from 1, whatever their references are."""
    since = bands_of(knowledge)[_SINCE_SAME].example
    return tuple(
        Order(
            str(number),
            order.procedure,
            order.intent,
            None if order.days_since_same_procedure is None else since(order.days_since_same_procedure),
            order.attributes,
            order.modality,
            order.agent,
            order.open_question,
        )
        for number, order in enumerate(orders, start=1)
    )


def bands_of(knowledge: Knowledge) -> Mapping[str, Bands]:
    """The bands of every number that is compared as it is."""
    return _bands(Same(knowledge))


@lru_cache(maxsize=KNOWLEDGES)
def _bands(same: Same[Knowledge]) -> Mapping[str, Bands]:
    """Nothing is told from something everywhere, so that zero is always a cut."""
    cuts = {name: {0.0} for name, spec in FACTS.items() if spec.kind is Kind.NUMBER and name not in AS_THEY_ARE}
    for test in _tests(same.value):
        if test.name in cuts:
            cuts[test.name].update(_numbers(test.operand))
    return {name: Bands(of_fact) for name, of_fact in cuts.items()}


def _tests(knowledge: Knowledge) -> Iterator[Test]:
    """Every test that a row or a function makes of a fact."""
    for rule in _rules(knowledge):
        for part in (rule.condition.when, *rule.condition.any):
            yield from part
    yield from (column.test for column in readings.columns(knowledge, None))


def _rules(knowledge: Knowledge) -> Iterator[Rule[Any]]:
    """Every row with a condition."""
    yield from knowledge.selection
    yield from knowledge.overlay
    yield from knowledge.advice
    yield from knowledge.safety
    yield from knowledge.staging_warnings
    yield from knowledge.followup
    for rules in knowledge.staging.values():
        yield from rules
    if knowledge.triggers is not None:
        yield knowledge.triggers


def _numbers(operand: object) -> Iterator[float]:
    """The numbers that a test compares with."""
    named: Iterable[object] = ()
    if isinstance(operand, Range):
        named = (operand.above, operand.at_least, operand.below, operand.at_most)
    elif isinstance(operand, frozenset):
        named = operand
    yield from (float(number) for number in named if isinstance(number, int | float))
