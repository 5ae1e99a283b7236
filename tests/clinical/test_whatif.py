"""What would change an answer: every statement is true, nothing that matters is left out, and the work is bounded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any, Final, NamedTuple

import pytest

from cds_service.clinical import axes, tables, whatif
from cds_service.clinical.assess import assess, with_fact
from cds_service.clinical.outcomes import differences
from cds_service.clinical.situation import patient_situation, with_defaults
from cds_service.clinical.whatif import NOT_ASKED, is_open, would_change
from cds_service.domain.facts import FACTS, Facts, Kind, TumourGrowth
from cds_service.domain.findings import Assessment, Change, Order, WhatIf
from cds_service.domain.terms import LEVELS
from cds_service.interchange import read_facts, read_orders
from cds_service.knowledge.ranges import Range
from tests.cases_loader import Case, clinical_cases, plain_cases
from tests.clinical.patients import IN_SCOPE, KNOWLEDGE, PANCREAS, PATIENTS, assessed

CASES: Final = (*clinical_cases(), *plain_cases())
SAMPLE: Final = CASES[::17]
"""Cases that are tried with every value of every fact."""
NUMBERS: Final = (0.0, 0.3, 0.5, 1, 1.5, 2, 2.5, 3, 4, 4.4, 4.5, 5, 7, 8, 9, 10, 11, 12, 15, 16, 18, 20, 24, 25, 29, 30)
NUMBERS_ABOVE: Final = (31, 35, 40, 44, 45, 50, 55, 60, 90, 100)
YEARS: Final = (1990.0, 2017, 2018, 2020, 2023, 2024, 2026)
STATION: Final = ("celiac-node",)
SITES: Final = ((), ("liver",), ("bone",), ("liver", "bone"), ("site-not-stated",), STATION)


class Asked(NamedTuple):
    """A case with its answer and what would change it."""

    facts: Facts
    orders: tuple[Order, ...]
    now: Assessment
    what_if: WhatIf


@cache
def asked(case_id: str) -> Asked:
    """A case, asked what would change its answer."""
    case = next(case for case in CASES if case.id == case_id)
    facts = read_facts(case.facts)
    orders = read_orders(list(case.orders), facts, KNOWLEDGE)
    now = assess(facts, orders, KNOWLEDGE)
    return Asked(facts, orders, now, would_change(facts, now, KNOWLEDGE))


def ask(facts: Facts, *procedures: str) -> WhatIf:
    """What would change the answer about these facts and studies."""
    return would_change(facts, assessed(facts, *procedures), KNOWLEDGE)


def changed_by(given: Asked, fact: str, value: object) -> tuple[Change, ...]:
    """What the whole of the rules says otherwise with the fact, but for prompts to ask for it."""
    then = assess(with_fact(given.facts, fact, value), given.orders, KNOWLEDGE)
    prompts = ("SAF-14",) if fact == "pregnant" else ()
    return tuple(change for change in differences(given.now, then) if change.before not in prompts)


def holds(stated: object, value: Any) -> bool:
    """Whether a stated value stands for a value."""
    if isinstance(stated, Range):
        return stated.holds(value)
    if isinstance(value, tuple):
        return stated == tuple("elsewhere" if word == "bone" else word for word in value)
    return stated == value and isinstance(stated, bool) is isinstance(value, bool)


def predicted(given: Asked, fact: str, value: object) -> tuple[Change, ...]:
    """What was said that the value would change."""
    entries = [e for e in given.what_if.entries if e.fact == fact and any(holds(v, value) for v in e.values)]
    assert len(entries) < 2, f"{fact} {value} is in two entries"
    return entries[0].changes if entries else ()


def every_value(name: str) -> Iterator[object]:
    """Values to try that were not taken from the rules."""
    spec = FACTS[name]
    if spec.kind is Kind.FLAG:
        yield from (True, False)
    elif spec.kind is Kind.WORD:
        yield from spec.words
    elif spec.kind is Kind.WORDS:
        yield from [(), *((word,) for word in spec.words)] if spec.words else SITES
    elif spec.kind is Kind.NUMBER:
        limited = name in ("age_years", "nodes_positive_count", "gastric_type", "mitoses")
        numbers = YEARS if name == "diagnosis_year" else (*NUMBERS, *NUMBERS_ABOVE)
        yield from (float(number) for number in numbers if not limited or float(number).is_integer())


def sampled(stated: object) -> Iterator[object]:
    """Values a statement is about: for a range its ends and what lies just inside them."""
    if not isinstance(stated, Range):
        yield stated
        return
    low = stated.above if stated.above is not None else stated.at_least
    high = stated.below if stated.below is not None else stated.at_most
    near = (bound + step for bound in (low, high) if bound is not None for step in (-0.001, 0.0, 0.001))
    yield from (number for number in near if stated.holds(number) and number >= 0)


# --- truth ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_every_example_leads_to_exactly_what_is_said(case: Case) -> None:
    """Assessing the case with the stated value and all rules gives the stated changes and no other."""
    given = asked(case.id)
    for entry in given.what_if.entries:
        assert entry.changes == changed_by(given, entry.fact, entry.example), (entry.fact, entry.example)
        assert any(holds(value, entry.example) for value in entry.values)


@pytest.mark.parametrize("case", SAMPLE, ids=[case.id for case in SAMPLE])
def test_a_range_is_true_up_to_its_ends(case: Case) -> None:
    """Every value that an entry names, and the numbers next to the ends of a range, lead to the same answer."""
    given = asked(case.id)
    for entry in given.what_if.entries:
        for value in (value for stated in entry.values for value in sampled(stated)):
            if FACTS[entry.fact].unit in ("1", "a") and isinstance(value, float) and not value.is_integer():
                continue
            assert entry.changes == changed_by(given, entry.fact, value), (entry.fact, value)


@pytest.mark.parametrize("case", SAMPLE, ids=[case.id for case in SAMPLE])
def test_what_is_not_said_changes_nothing(case: Case) -> None:
    """Values chosen without the rules change exactly what was predicted for them, most often nothing."""
    given = asked(case.id)
    known = axes.axes(KNOWLEDGE, given.facts.primary_site)
    patient = patient_situation(with_defaults(given.facts), given.orders, KNOWLEDGE)
    for name in FACTS:
        if name in given.what_if.unexamined or not is_open(name, given.facts, known, patient):
            continue
        for value in every_value(name):
            if value == STATION and given.facts.primary_site != "pancreas":
                continue  # only there is the station weighed by name
            assert predicted(given, name, value) == changed_by(given, name, value), (name, value)


def test_only_unknown_facts_are_asked_for() -> None:
    """Nothing that is on record, and none of the facts that are no gap, is ever in the list."""
    for case in CASES:
        given = asked(case.id)
        for entry in given.what_if.entries:
            assert getattr(given.facts, entry.fact) is None
            assert entry.fact not in NOT_ASKED


def complete() -> Facts:
    """A patient of whom everything is known."""
    values: dict[str, Any] = {}
    for name, spec in FACTS.items():
        values[name] = {
            Kind.FLAG: False,
            Kind.NUMBER: 1.0,
            Kind.WORD: spec.words[0] if spec.words else None,
            Kind.WORDS: (),
            Kind.GROWTH: TumourGrowth(10.0, 11.0, 6.0),
        }[spec.kind]
    return replace(Facts(**values), age_years=60.0, diagnosis_year=2025.0)


def test_a_complete_chart_leaves_nothing_to_ask() -> None:
    """With every fact on record nothing is tried and nothing is listed."""
    for procedure in ("eus", "ct-abd-pel-w"):
        assert ask(complete(), procedure) == WhatIf()


# --- what is said -----------------------------------------------------------------------------------------------------


def told(what_if: WhatIf, fact: str, what: str) -> dict[str, tuple[str | None, ...]]:
    """What one part of the answer would be, by the first stated value."""
    return {
        str(entry.values[0]): tuple(
            change.after
            for change in entry.changes
            if change.what == what and change.about not in ("who2010", "status")
        )
        for entry in what_if.entries
        if entry.fact == fact
    }


def every(found: dict[str, tuple[str | None, ...]]) -> set[str | None]:
    """All that would be said, whatever the value."""
    return {after for said in found.values() for after in said}


def test_ki67_changes_grade_and_schedule() -> None:
    """After resection Ki-67 decides the grade and with it the interval; the limits are those of the bands."""
    found = ask(replace(PANCREAS, curative_resection=True))
    ranges = [entry.values[0] for entry in found.entries if entry.fact == "ki67_percent"]
    assert Range(at_least=3, at_most=20) in ranges
    assert Range(above=20) in ranges
    assert every(told(found, "ki67_percent", "grade")) == {"NET-G1", "NET-G2", "NET-G3"}
    assert every(told(found, "ki67_percent", "followup")) == {"FUP-01", "FUP-02"}


def test_a_device_blocks_the_ordered_study() -> None:
    """An unknown device could block an MRI, and an MRI that is only suggested for another study."""
    ordered, suggested = ask(PANCREAS, "mri-abd-pel-wwo"), ask(PANCREAS, "eus")
    assert "SAF-01" in every(told(ordered, "implant", "safety"))
    assert told(suggested, "implant", "suggestion")["non-mr-conditional"] == ("ct-abd-pel-w",)
    levels = {entry.level for found in (ordered, suggested) for entry in found.entries if entry.fact == "implant"}
    assert LEVELS[0] in levels


def test_written_defaults_are_assumptions_that_can_be_wrong() -> None:
    """Treatments, resection and residual disease that are not recorded would change the scenario of staging."""
    found = ask(PANCREAS)
    assert told(found, "curative_resection", "scenario") == {"True": ("pnet-post-resection-surveillance",)}
    assert every(told(found, "prior_treatments", "scenario")) == {"pnet-treated-followup-undetermined"}
    symptom_control = [
        e for e in found.entries if e.fact == "prior_treatments" and ("ssa-symptom-control",) in e.values
    ]
    assert symptom_control == []


@pytest.mark.parametrize(
    ("person", "is_asked"),
    [
        ({"sex": "female", "age_years": 30.0}, True),
        ({"sex": None, "age_years": 30.0}, True),
        ({"sex": "female", "age_years": 56.0}, False),
        ({"sex": "male", "age_years": 30.0}, False),
    ],
)
def test_pregnancy_is_asked_of_those_whom_the_prompt_names(person: dict[str, Any], is_asked: bool) -> None:
    """Whom SAF-14 would prompt for, and nobody else, is asked whether she is pregnant."""
    found = ask(replace(PANCREAS, **person), "ct-abd-pel-w")
    assert ("SAF-11" in every(told(found, "pregnant", "safety"))) is is_asked


def test_one_date_follows_from_the_two_others() -> None:
    """Resected 20 months ago: an imaging study at most 11 months ago was 9 months after it, which is another row."""
    facts = replace(PANCREAS, curative_resection=True, ki67_percent=1.0, mitoses=1.0, months_since_resection=20.0)
    rows = {}
    for entry in ask(facts).entries:
        if entry.fact == "months_since_last_imaging":
            row = next((c.after for c in entry.changes if c.about == "interval"), None)
            rows.update({(row, str(stated)): stated for stated in entry.values})
    later = [stated for (row, _), stated in rows.items() if row == "FUP-01.later"]
    first = [stated for (row, _), stated in rows.items() if row == "FUP-01.first-year"]
    assert any(stated.holds(11.0) for stated in later)
    assert not any(stated.holds(11.001) for stated in later)
    assert any(stated.holds(11.001) for stated in first)


# --- order, budget, determinism ---------------------------------------------------------------------------------------


def test_most_comes_first() -> None:
    """Facts are sorted by the most they change, those that rules ask for before assumptions; a fact stays together."""
    for case in CASES:
        given = asked(case.id)
        facts = list(dict.fromkeys(entry.fact for entry in given.what_if.entries))
        assert [entry.fact for entry in given.what_if.entries] == [
            entry.fact for fact in facts for entry in given.what_if.entries if entry.fact == fact
        ]
        leading = [next(entry for entry in given.what_if.entries if entry.fact == fact) for fact in facts]
        weights = [(LEVELS.index(entry.level), entry.fact not in given.now.missing) for entry in leading]
        assert weights == sorted(weights)


def test_the_work_is_bounded_and_what_was_left_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A smaller budget tries fewer values, the facts on which most hangs first, and names the rest."""
    full = ask(PANCREAS, "mri-abd-pel-wwo")
    monkeypatch.setattr(whatif, "MOST_EVALUATIONS", 6)
    short = ask(PANCREAS, "mri-abd-pel-wwo")
    assert short.evaluations <= 6 < full.evaluations
    assert short.unexamined
    assert all(entry in full.entries for entry in short.entries)
    assert {"implant", "gadolinium_allergy"} <= {entry.fact for entry in short.entries}
    assert {entry.fact for entry in full.entries} <= {entry.fact for entry in short.entries} | set(short.unexamined)


def test_nearly_every_case_fits_the_budget() -> None:
    """Not more than one case in twenty leaves a fact unexamined, and none of those that decide scenario or safety."""
    cut = [given.what_if.unexamined for given in map(asked, (case.id for case in CASES)) if given.what_if.unexamined]
    assert len(cut) * 20 <= len(CASES)
    deciding = {"implant", "gadolinium_allergy", "iodinated_allergy", "pregnant", "primary_site", "curative_resection"}
    assert deciding.isdisjoint(name for names in cut for name in names)


@pytest.mark.parametrize("scenario", sorted(IN_SCOPE))
def test_the_same_request_gets_the_same_answer(scenario: str) -> None:
    """Nothing depends on what was asked before, nor on what is remembered."""
    first = ask(PATIENTS[scenario], "ct-abd-pel-w")
    axes._axes.cache_clear()
    tables.forget()
    whatif.forget()
    assert ask(PATIENTS[scenario], "ct-abd-pel-w") == first
