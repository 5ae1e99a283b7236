"""Patients of one kind are told the same: what stands for a number is compared as the number itself would be."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar, Self

import pytest

from cds_service.clinical import tables
from cds_service.clinical.assess import answer_with, assess, assess_plainly, of_kind, with_fact
from cds_service.clinical.followup import measured
from cds_service.clinical.kinds import AS_THEY_ARE, Bands, alike, alike_orders, bands_of
from cds_service.clinical.markers import eligibility, markers
from cds_service.clinical.situation import with_defaults
from cds_service.domain.alter import altered
from cds_service.domain.facts import FACTS, Facts, Kind
from cds_service.domain.findings import Order
from cds_service.interchange import read_facts
from tests.cases_loader import clinical_cases
from tests.clinical.patients import KNOWLEDGE, OUTSIDE, PATIENTS

NUMBERS = [name for name, spec in FACTS.items() if spec.kind is Kind.NUMBER]
ORDERS = (Order("a", "pet-ct-sstr", days_since_same_procedure=12.5), Order("b", "ct-abd-w"), Order("c", None))


class Watched(float):
    """A number that notes what it is compared with."""

    against: ClassVar[dict[str, set[float]]] = defaultdict(set)

    def __new__(cls, number: float, fact: str) -> Self:
        """The number of a fact."""
        made = super().__new__(cls, number)
        made.fact = fact
        return made

    fact: str

    def _note(self, other: object) -> None:
        if isinstance(other, int | float) and not isinstance(other, Watched):
            self.against[self.fact].add(float(other))

    def __eq__(self, other: object) -> bool:
        same = float(self) == other
        if not same:  # what is remembered is looked for by equal values
            self._note(other)
        return same

    def __hash__(self) -> int:
        return super().__hash__()

    def __lt__(self, other: float) -> bool:
        self._note(other)
        return super().__lt__(other)

    def __le__(self, other: float) -> bool:
        self._note(other)
        return super().__le__(other)

    def __gt__(self, other: float) -> bool:
        self._note(other)
        return super().__gt__(other)

    def __ge__(self, other: float) -> bool:
        self._note(other)
        return super().__ge__(other)


def charts() -> Iterator[tuple[Facts, tuple[Order, ...]]]:
    """All worked cases and a patient of each scenario, with the orders of the case."""
    for case in clinical_cases():
        facts = read_facts(case.facts)
        yield facts, tuple(Order(str(n), key, facts.order_intent) for n, key in enumerate(case.orders))
    yield from ((facts, ORDERS) for facts in PATIENTS.values())


def numbers_around(bands: Bands) -> Iterator[float]:
    """Every cut, what is next to it on either side, and something in every band."""
    for cut in bands.cuts:
        yield from (
            cut,
            cut - 1e-9,
            cut + 1e-9,
            cut - 0.3,
            cut + 0.3,
            bands.example(cut - 0.5),
            bands.example(cut + 0.5),
        )


def filled(facts: Facts, drawn: random.Random) -> Facts:
    """The facts with most numbers drawn anew, many of them at or next to a cut."""
    bands = bands_of(KNOWLEDGE)
    return altered(
        facts,
        {
            name: drawn.choice([*numbers_around(bands[name]), drawn.uniform(0, 2 * bands[name].cuts[-1] + 1)])
            for name in bands
            if getattr(facts, name) is not None or drawn.random() < 0.4
        },
    )


def test_what_is_said_of_a_patient_is_what_the_rules_say_of_the_numbers_as_they_are() -> None:
    """For all cases and scenarios with numbers at, next to and between all cuts: as if nothing were remembered."""
    drawn = random.Random(20)
    for facts, orders in charts():
        for known in map(with_defaults, (facts, *(filled(facts, drawn) for _ in range(3)))):
            numbered = tuple(replace(order, id=str(n)) for n, order in enumerate(orders, start=1))
            plain = assess_plainly(known, numbered, KNOWLEDGE)
            assert of_kind(alike(known, KNOWLEDGE), alike_orders(orders, KNOWLEDGE), KNOWLEDGE) == replace(
                plain,
                facts=alike(known, KNOWLEDGE),
                orders=tuple(
                    replace(each, order=order)
                    for each, order in zip(plain.orders, alike_orders(orders, KNOWLEDGE), strict=True)
                ),
            )


def test_the_numbers_and_references_of_the_patient_are_put_in() -> None:
    """Two patients of a kind have their own facts, order ids, months on the schedule and markers."""
    drawn = random.Random(21)
    for facts, orders in charts():
        for known in map(with_defaults, (facts, filled(facts, drawn))):
            found = assess(known, orders, KNOWLEDGE)
            judged = Facts() if found.scenario == OUTSIDE else known
            assert found.facts == known
            assert tuple(order.order for order in found.orders) == orders
            assert found.followup == measured(found.followup, known, KNOWLEDGE)
            assert found.markers == markers(judged, KNOWLEDGE)
            assert found.eligibility == eligibility(judged, found.grade.who2019, KNOWLEDGE)


def test_no_rule_compares_a_number_with_one_that_is_no_cut() -> None:
    """Every comparison of a fact with a number, over all charts, is with a cut of the fact: none was forgotten."""
    Watched.against.clear()
    drawn = random.Random(22)
    for facts, orders in charts():
        drawn_facts = filled(facts, drawn)
        values: dict[str, Any] = {
            name: Watched(value, name) for name in NUMBERS if (value := getattr(drawn_facts, name)) is not None
        }
        watched = with_defaults(altered(drawn_facts, values))
        tables.forget()
        assess_plainly(watched, orders, KNOWLEDGE)
    bands = bands_of(KNOWLEDGE)
    compared = {name: seen for name, seen in Watched.against.items() if name not in AS_THEY_ARE}
    assert {"ki67_percent", "size_mm", "egfr", "months_since_last_imaging"} <= set(compared)
    assert not {(name, number) for name, seen in compared.items() for number in seen.difference(bands[name].cuts)}


@pytest.mark.parametrize("name", [name for name in NUMBERS if name not in AS_THEY_ARE])
def test_what_stands_for_a_number_is_in_its_band(name: str) -> None:
    """No cut lies between a number and what stands for it, and a cut stands for itself."""
    bands = bands_of(KNOWLEDGE)[name]
    for number in numbers_around(bands):
        example = bands.example(number)
        low, high = sorted((number, example))
        assert not [cut for cut in bands.cuts if low <= cut <= high and number != example]
        assert bands.example(example) == example


def test_a_trial_on_who_stands_for_the_patient_is_one_on_the_patient() -> None:
    """What is compared for what would change the answer is the same for the numbers as they are."""
    drawn = random.Random(23)
    for facts, orders in list(charts())[::5]:
        known = with_defaults(filled(facts, drawn))
        like, now = alike(known, KNOWLEDGE), assess(known, orders, KNOWLEDGE)
        for name in ("ki67_percent", "size_mm", "egfr", "months_since_last_sstr_imaging"):
            for number in bands_of(KNOWLEDGE)[name].cuts[:4]:
                plain = answer_with(with_fact(known, name, number + 0.25), now, KNOWLEDGE, orders=True)
                told = answer_with(with_fact(like, name, number + 0.25), now, KNOWLEDGE, orders=True)
                assert told._replace(orders=()) == plain._replace(orders=())
                assert [(o.rating, o.suggestion, o.safety) for o in told.orders] == [
                    (o.rating, o.suggestion, o.safety) for o in plain.orders
                ]
