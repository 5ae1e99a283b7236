"""Charts that contradict themselves or hold ranges: told only where the answer depends on it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.clinical.contradictions import Assessed, assess_chart
from cds_service.domain.facts import FACTS, Facts
from cds_service.domain.findings import Alternative, Evidence, Order, PatientFacts, Skipped, ValueRange
from cds_service.knowledge import load_knowledge

KNOWLEDGE = load_knowledge()
PANCREAS = Facts(
    age_years=58,
    nen_status="confirmed",
    primary_site="pancreas",
    differentiation="well",
    mitoses=1.0,
    ki67_percent=5.0,
    size_mm=30.0,
    extension=(),
    nodes="negative",
    metastases=(),
)
NEW = Evidence("Observation/new", "2026-11-01", "coded")
OLD = Evidence("Observation/old", "2026-01-01", "coded")


def orders(*procedures: str) -> tuple[Order, ...]:
    """Orders of these studies."""
    return tuple(Order(str(n), key) for n, key in enumerate(procedures, start=1))


def conflicting(fact: str, value: object, other: object, *procedures: str, **facts: Any) -> Assessed:
    """A chart whose newer source gives one value of a fact and whose older source another."""
    known = replace(PANCREAS, **{fact: value, **facts})
    chart = PatientFacts(known, {fact: (NEW,)}, (Alternative(fact, other, OLD),), nen_evidence=True)
    return assess_chart(chart, orders(*procedures), KNOWLEDGE)


@pytest.mark.parametrize(
    ("fact", "value", "other", "study", "changes"),
    [
        ("ki67_percent", 5.0, 25.0, "eus", {"grade"}),
        ("size_mm", 30.0, 45.0, "eus", {"stage"}),
        ("nodes", "negative", "positive", "eus", {"stage"}),
        ("differentiation", "well", "poor", "eus", {"grade", "stage"}),
        ("primary_site", "pancreas", "colon", "eus", {"scenario", "stage", "rating", "suggestion"}),
        ("age_years", 58.0, 17.0, "eus", {"scenario", "grade", "stage", "rating", "suggestion"}),
        ("implant", "none", "non-mr-conditional", "mri-abd-pel-wwo", {"suggestion", "safety"}),
        ("egfr", 60.0, 25.0, "ct-abd-pel-w", {"safety"}),
        ("curative_resection", None, True, "ct-chest-wo", {"scenario", "suggestion", "safety"}),
    ],
)
def test_a_conflict_that_changes_the_answer_is_named(
    fact: str, value: object, other: object, study: str, changes: set[str]
) -> None:
    """The conflict names the fact, both values, both sources, and everything that would be different."""
    found = conflicting(fact, value, other, study).assessment
    (conflict,) = found.conflicts
    assert (conflict.fact, conflict.value, conflict.other_value) == (fact, value, other)
    assert (conflict.chosen, conflict.other) == ((NEW,), OLD)
    assert set(conflict.changes) == changes


@pytest.mark.parametrize(
    ("fact", "value", "other"),
    [
        ("ki67_percent", 5.0, 12.0),
        ("ki67_percent", 5.0, 5.0),
        ("size_mm", 30.0, 35.0),
        ("metformin", True, False),
        ("egfr", 90.0, 60.0),
        ("sex", "male", "female"),
        ("nec_cell_type", "small", "large"),
    ],
)
def test_a_conflict_that_changes_nothing_is_not_worth_a_word(fact: str, value: object, other: object) -> None:
    """Sources that differ without a difference in scenario, grade, stage, rating, suggestion or safety are left out."""
    assert conflicting(fact, value, other, "mri-abd-pel-wwo", "ct-abd-pel-w", pregnant=False).assessment.conflicts == ()


def test_the_same_conflict_matters_for_one_order_and_not_for_another() -> None:
    """A device that may be unsafe matters to MRI and not to CT."""
    facts = ("implant", "none", "non-mr-conditional")
    assert conflicting(*facts, "ct-abd-pel-w").assessment.conflicts == ()
    assert len(conflicting(*facts, "ct-abd-pel-w", "mri-abd-pel-wwo").assessment.conflicts) == 1


def test_the_answer_is_that_of_the_newest_source() -> None:
    """A conflict is told beside the answer and never changes it."""
    alone = assess_chart(PatientFacts(PANCREAS, nen_evidence=True), orders("eus"), KNOWLEDGE).assessment
    told = conflicting("size_mm", 30.0, 45.0, "eus").assessment
    assert replace(told, conflicts=()) == alone


def test_every_conflict_is_judged_on_its_own() -> None:
    """Of several losing sources only those that would change the answer are named, in the order given."""
    chart = PatientFacts(
        PANCREAS,
        {},
        (
            Alternative("ki67_percent", 12.0, OLD),
            Alternative("ki67_percent", 25.0, OLD),
            Alternative("nodes", "positive", OLD),
        ),
        nen_evidence=True,
    )
    found = assess_chart(chart, (), KNOWLEDGE).assessment
    assert [(conflict.fact, conflict.other_value) for conflict in found.conflicts] == [
        ("ki67_percent", 25.0),
        ("nodes", "positive"),
    ]


# --- ranges -----------------------------------------------------------------------------------------------------------

SPANS = "recorded as a range that spans a decision limit"


def ranged(fact: str, low: float, high: float, *procedures: str, **facts: Any) -> Assessed:
    """A chart that holds a range; as everywhere the fact holds its lower end."""
    known = replace(PANCREAS, **{fact: low, **facts})
    limits = ValueRange(fact, low, high, f"{low:g}-{high:g}")
    chart = PatientFacts(known, {fact: (NEW,)}, (), (limits,), nen_evidence=True)
    return assess_chart(chart, orders(*procedures), KNOWLEDGE)


@pytest.mark.parametrize(
    ("low", "high", "who2019"),
    [
        (3.0, 20.0, "NET-G2"),
        (0.0, 2.0, "NET-G1"),
        (21.0, 100.0, "NET-G3"),
        (5.0, 5.0, "NET-G2"),
        (11.0, 20.0, "NET-G2"),
    ],
)
def test_a_range_within_one_band_is_used(low: float, high: float, who2019: str) -> None:
    """A Ki-67 of 3-20 % is G2 whatever it is, so it grades the tumour."""
    found = ranged("ki67_percent", low, high)
    assert found.assessment.grade.who2019 == who2019
    assert not found.assessment.grade.provisional
    assert found.chart.skipped == ()
    assert found.chart.ranges != ()


@pytest.mark.parametrize(
    ("low", "high"), [(15.0, 25.0), (2.0, 3.0), (1.0, 2.5), (2.5, 3.0), (0.0, 100.0), (20.0, 20.1), (2.0, 2.1)]
)
def test_a_range_over_a_limit_is_unknown_with_the_reason(low: float, high: float) -> None:
    """A Ki-67 of 15-25 % is G2 or G3, so it grades nothing; the source is unusable, and the fact missing."""
    found = ranged("ki67_percent", low, high)
    assert found.chart.facts.ki67_percent is None
    assert found.assessment.facts.ki67_percent is None
    assert found.assessment.grade.provisional  # by mitoses alone
    assert found.chart.skipped == (Skipped("Observation/new", SPANS, "ki67_percent"),)
    assert "ki67_percent" not in found.chart.evidence
    assert "ki67_percent" in found.assessment.missing


@pytest.mark.parametrize(
    ("fact", "within", "across", "study"),
    [
        ("size_mm", (21.0, 40.0), (19.0, 21.0), "eus"),
        ("egfr", (45.0, 90.0), (25.0, 35.0), "ct-abd-pel-w"),
        ("egfr", (30.0, 44.0), (44.0, 46.0), "ct-abd-pel-w"),
        ("age_years", (56.0, 80.0), (17.0, 19.0), "eus"),
        ("mitoses", (2.0, 20.0), (19.0, 21.0), "eus"),
        ("days_since_same_procedure", (29.0, 60.0), (20.0, 40.0), "ct-abd-pel-w"),
    ],
)
def test_ranges_of_other_numbers(
    fact: str, within: tuple[float, float], across: tuple[float, float], study: str
) -> None:
    """Sizes, kidney function, ages and counts: used within a band, unknown across a limit."""
    kept = ranged(fact, *within, study)
    assert getattr(kept.chart.facts, fact) == within[0]
    dropped = ranged(fact, *across, study)
    assert getattr(dropped.chart.facts, fact) is None
    assert [item.reason for item in dropped.chart.skipped] == [SPANS]


def test_a_range_of_months_is_judged_by_the_schedule() -> None:
    """Four to five months is too early or due: the range says nothing about the schedule."""
    treated: dict[str, Any] = {
        "prior_treatments": ("prrt",),
        "disease_dominance": "non-liver",
        "last_imaging_result": "stable",
    }
    assert ranged("months_since_last_imaging", 5.0, 14.0, **treated).assessment.followup.status == "due"
    found = ranged("months_since_last_imaging", 4.0, 5.0, **treated)
    assert found.assessment.followup.status == "not-evaluated"
    assert "months_since_last_imaging" in found.assessment.missing


def test_a_range_that_settles_a_block_is_not_used() -> None:
    """What may be safe or not is never taken for safe."""
    found = ranged("egfr", 29.0, 60.0, "mri-abd-pel-wwo")
    assert found.chart.facts.egfr is None
    assert "egfr" in found.assessment.missing


def test_two_ranges_are_judged_each() -> None:
    """One range may be usable while another is not."""
    known = replace(PANCREAS, ki67_percent=3.0, size_mm=19.0)
    chart = PatientFacts(
        known,
        {"ki67_percent": (NEW,), "size_mm": (OLD,)},
        (),
        (ValueRange("ki67_percent", 3, 20, "3-20"), ValueRange("size_mm", 19, 21, "19-21")),
        nen_evidence=True,
    )
    found = assess_chart(chart, (), KNOWLEDGE)
    assert (found.chart.facts.ki67_percent, found.chart.facts.size_mm) == (3.0, None)
    assert [limits.fact for limits in found.chart.ranges] == ["ki67_percent"]
    assert [item.source for item in found.chart.skipped] == ["Observation/old"]


@pytest.mark.property
@given(st.floats(0, 100), st.floats(0, 100), st.floats(0, 1))
def test_a_range_is_used_only_if_every_value_in_it_says_the_same(one: float, other: float, inside: float) -> None:
    """Any number within a range that was used leads to the very grade that was given."""
    low, high = sorted((one, other))
    found = ranged("ki67_percent", low, high)
    if found.chart.facts.ki67_percent is None:
        return
    exact = replace(PANCREAS, ki67_percent=low + (high - low) * inside)
    alone = assess_chart(PatientFacts(exact, nen_evidence=True), (), KNOWLEDGE).assessment
    assert alone.grade == found.assessment.grade


@pytest.mark.parametrize("name", [name for name, spec in FACTS.items() if spec.kind == "number"])
def test_a_range_of_one_value_is_that_value(name: str) -> None:
    """A range whose ends are equal is as good as the number."""
    found = ranged(name, 3.0, 3.0, "mri-abd-pel-wwo")
    assert getattr(found.chart.facts, name) == 3.0
    assert found.chart.skipped == ()
