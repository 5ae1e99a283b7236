"""WHO grade: the boundary table of the specification, monotonic in both indices, and independent of the unit."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.clinical.grading import Grading, grading
from cds_service.domain.facts import Facts
from cds_service.knowledge import load_knowledge

KNOWLEDGE = load_knowledge()
PER_2_MM2 = {"per-10-hpf": 1.0, "per-2-mm2": 1.0, "per-mm2": 2.0, "per-50-hpf": 0.2, "per-10-mm2": 0.2}
"""Factors of GRD-03."""
RANK_2010 = ("G1", "G1/G2-gap", "G2", "G3-NEC")
RANK_2019 = ("NET-G1", "NET-G2", "NET-G3")

percent = st.floats(0, 100, allow_nan=False)
counts = st.floats(0, 200, allow_nan=False)


def grade(**facts: Any) -> Grading:
    """The grade of facts."""
    return grading(Facts(**facts), KNOWLEDGE)


def both(found: Grading) -> tuple[str | None, str | None]:
    """Grade in both editions."""
    return found.grade.who2010, found.grade.who2019


@pytest.mark.parametrize(
    ("ki67", "who2010", "who2019", "warned"),
    [
        (0, "G1", "NET-G1", set()),
        (1.99, "G1", "NET-G1", set()),
        (2.0, "G1", "NET-G1", set()),
        (2.01, "G1/G2-gap", "NET-G1", {"GRD-W2"}),
        (2.1, "G1/G2-gap", "NET-G1", {"GRD-W2"}),
        (2.9, "G1/G2-gap", "NET-G1", {"GRD-W2"}),
        (2.99, "G1/G2-gap", "NET-G1", {"GRD-W2"}),
        (3.0, "G2", "NET-G2", set()),
        (20.0, "G2", "NET-G2", set()),
        (20.01, "G3-NEC", "NET-G3", {"GRD-W3"}),
        (20.1, "G3-NEC", "NET-G3", {"GRD-W3"}),
        (100, "G3-NEC", "NET-G3", {"GRD-W3"}),
    ],
)
def test_ki67_of_a_well_differentiated_tumour(ki67: float, who2010: str, who2019: str, warned: set[str]) -> None:
    """Section 2.3, Ki-67 alone: the grade stands, and only the missing mitoses and the edge itself are remarked."""
    found = grade(ki67_percent=ki67, differentiation="well")
    assert both(found) == (who2010, who2019)
    assert set(found.warnings) == warned | {"GRD-W10"}
    assert not found.grade.provisional
    assert found.missing == ("mitoses",)


@pytest.mark.parametrize(
    ("mitoses", "who2010", "who2019"),
    [
        (0, "G1", "NET-G1"),
        (1.9, "G1", "NET-G1"),
        (1.99, "G1", "NET-G1"),
        (2, "G2", "NET-G2"),
        (20, "G2", "NET-G2"),
        (20.1, "G3-NEC", "NET-G3"),
        (21, "G3-NEC", "NET-G3"),
    ],
)
def test_mitoses_of_a_well_differentiated_tumour(mitoses: float, who2010: str, who2019: str) -> None:
    """Section 2.3, mitoses alone: both editions agree, and the grade is provisional for want of Ki-67."""
    found = grade(mitoses=mitoses, differentiation="well")
    assert both(found) == (who2010, who2019)
    assert found.grade.provisional
    assert "GRD-W5" in found.warnings
    assert found.missing == ("ki67_percent",)


@pytest.mark.parametrize(
    ("mitoses", "who2010", "gap"),
    [
        (None, "G1/G2-gap", True),
        (0, "G1/G2-gap", True),
        (1.9, "G1/G2-gap", True),
        (2, "G2", False),
        (21, "G3-NEC", False),
    ],
)
def test_mitoses_settle_the_gap_or_not(mitoses: float | None, who2010: str, gap: bool) -> None:
    """GRD-13: in the gap of WHO 2010 two or more mitoses decide; otherwise the gap is said and never rounded away."""
    found = grade(ki67_percent=2.5, mitoses=mitoses, differentiation="well")
    assert found.grade.who2010 == who2010
    assert ("GRD-W2" in found.warnings) is gap


@pytest.mark.parametrize(
    ("differentiation", "ki67", "expected", "warned"),
    [
        ("well", 15, ("G2", "NET-G2"), set()),
        ("well", 30, ("G3-NEC", "NET-G3"), {"GRD-W3"}),
        ("poor", 15, ("G2", "NEC"), {"GRD-W4"}),
        ("poor", 20, ("G2", "NEC"), {"GRD-W4"}),
        ("poor", 20.1, ("G3-NEC", "NEC"), set()),
        ("poor", 1, ("G1", "NEC"), {"GRD-W4"}),
        ("mixed", 30, ("MANEC", "MiNEN"), set()),
        (None, 15, ("G2", "NET-G2"), set()),
        (None, 20, ("G2", "NET-G2"), set()),
        (None, 20.1, ("G3-NEC", "high-grade-undetermined"), {"GRD-W6"}),
    ],
)
def test_differentiation_decides_the_class(
    differentiation: str | None, ki67: float, expected: tuple[str, str], warned: set[str]
) -> None:
    """GRD-15, 23 to 27: poor is NEC at any index, mixed a class of its own, unknown is told apart up to 20 only."""
    found = grade(ki67_percent=ki67, mitoses=1, differentiation=differentiation)
    assert both(found) == expected
    assert set(found.warnings) - {"GRD-W1"} == warned
    assert ("differentiation" in found.missing) is (differentiation is None)


def test_poor_differentiation_without_an_index_is_still_a_carcinoma() -> None:
    """GRD-23, GRD-27: NEC is high grade by definition; WHO 2010 needs an index."""
    assert both(grade(differentiation="poor")) == (None, "NEC")


@pytest.mark.parametrize("stated", [None, "G1", "G2", "G3", "NEC"])
def test_without_an_index_nothing_is_computed(stated: str | None) -> None:
    """GRD-07: a stated grade is repeated as stated and never becomes a computed one."""
    found = grade(differentiation="well", stated_grade=stated)
    assert both(found) == (None, None)
    assert found.grade.stated == stated
    assert set(found.missing) == {"ki67_percent", "mitoses"}
    assert found.warnings == ()


@pytest.mark.parametrize(
    ("stated", "differentiation", "ki67", "differs"),
    [
        ("G1", "well", 1, False),
        ("G2", "well", 1, True),
        ("G1", "well", 5, True),
        ("G2", "well", 5, False),
        ("G3", "well", 30, False),
        ("G2", "well", 30, True),
        ("NEC", "well", 30, True),
        ("NEC", "poor", 30, False),
        ("G1", "poor", 30, True),
        ("NEC", None, 30, False),
        ("G3", None, 30, False),
        ("G2", None, 30, True),
    ],
)
def test_a_stated_grade_that_differs_is_remarked(
    stated: str, differentiation: str | None, ki67: float, differs: bool
) -> None:
    """GRD-08: the computed grade is used, and a stated one that differs gives GRD-W7."""
    found = grade(stated_grade=stated, differentiation=differentiation, ki67_percent=ki67, mitoses=1)
    assert ("GRD-W7" in found.warnings) is differs
    assert found.grade.stated == stated


@pytest.mark.parametrize(
    ("facts", "usable"),
    [
        ({"ki67_percent": -0.1, "mitoses": 1}, "mitoses"),
        ({"ki67_percent": 100.1, "mitoses": 1}, "mitoses"),
        ({"ki67_percent": 1, "mitoses": -1}, "ki67"),
        ({"ki67_percent": 101, "mitoses": -1}, None),
        ({"ki67_percent": 0, "mitoses": 0}, "both"),
        ({"ki67_percent": 100, "mitoses": 0}, "both"),
    ],
)
def test_an_impossible_index_is_ignored_and_said(facts: dict[str, float], usable: str | None) -> None:
    """GRD-01: outside 0 to 100 percent, or below zero, an index is as good as missing, with GRD-W9 once."""
    found = grade(differentiation="well", **facts)
    assert found.warnings.count("GRD-W9") == (usable != "both")
    assert (found.grade.who2019 is None) is (usable is None)
    assert found.grade.provisional is (usable == "mitoses")
    assert ("ki67_percent" in found.missing) is (usable in ("mitoses", None))


@pytest.mark.parametrize(("specimen", "warned"), [(None, False), ("primary", False), ("metastasis", True)])
def test_tissue_of_a_metastasis_is_used_with_a_warning(specimen: str | None, warned: bool) -> None:
    """GRD-04: Ki-67 of a metastasis grades the tumour when there is no other, with GRD-W8."""
    found = grade(ki67_percent=5, mitoses=3, differentiation="well", ki67_specimen=specimen)
    assert found.grade.who2019 == "NET-G2"
    assert ("GRD-W8" in found.warnings) is warned


@pytest.mark.parametrize("ki67", [1, 2.5, 5, 30])
@pytest.mark.parametrize("mitoses", [1, 5, 30])
def test_the_higher_index_wins(ki67: float, mitoses: float) -> None:
    """GRD-05: with both indices the higher grade counts, and discordance in WHO 2019 gives GRD-W1."""
    found = grade(ki67_percent=ki67, mitoses=mitoses, differentiation="well")
    alone = [
        str(grade(ki67_percent=ki67, differentiation="well").grade.who2019),
        str(grade(mitoses=mitoses, differentiation="well").grade.who2019),
    ]
    assert found.grade.who2019 == max(alone, key=RANK_2019.index)
    assert ("GRD-W1" in found.warnings) is (alone[0] != alone[1])


@given(percent, percent, st.none() | counts)
def test_a_higher_ki67_never_lowers_the_grade(one: float, other: float, mitoses: float | None) -> None:
    """Monotonic in Ki-67, in both editions; the gap of WHO 2010 stands between G1 and G2."""
    low, high = (
        grade(ki67_percent=ki67, mitoses=mitoses, differentiation="well").grade for ki67 in sorted((one, other))
    )
    assert RANK_2019.index(str(low.who2019)) <= RANK_2019.index(str(high.who2019))
    assert RANK_2010.index(str(low.who2010)) <= RANK_2010.index(str(high.who2010))


@given(counts, counts, st.none() | percent)
def test_more_mitoses_never_lower_the_grade(one: float, other: float, ki67: float | None) -> None:
    """Monotonic in mitoses, in both editions."""
    low, high = (
        grade(mitoses=mitoses, ki67_percent=ki67, differentiation="well").grade for mitoses in sorted((one, other))
    )
    assert RANK_2019.index(str(low.who2019)) <= RANK_2019.index(str(high.who2019))
    assert RANK_2010.index(str(low.who2010)) <= RANK_2010.index(str(high.who2010))


@given(st.integers(0, 500), st.sampled_from(sorted(PER_2_MM2)), st.sampled_from(["well", "poor", None]))
def test_the_unit_of_the_count_does_not_matter(tenths: int, unit: str, differentiation: str | None) -> None:
    """GRD-03: the same density of mitoses grades alike in every unit, and the default unit is per 2 mm2."""
    per_2_mm2 = tenths / 10
    counted = round(per_2_mm2 / PER_2_MM2[unit], 6)
    found = grade(mitoses=counted, mitoses_unit=unit, differentiation=differentiation)
    assert found.mitoses_per_2mm2 == pytest.approx(per_2_mm2)
    assert both(found) == both(grade(mitoses=per_2_mm2, differentiation=differentiation))


@pytest.mark.parametrize(
    ("count", "unit", "who2019"),
    [
        (10, "per-50-hpf", "NET-G2"),
        (9, "per-50-hpf", "NET-G1"),
        (100, "per-50-hpf", "NET-G2"),
        (101, "per-50-hpf", "NET-G3"),
        (10, "per-10-mm2", "NET-G2"),
        (1, "per-mm2", "NET-G2"),
        (0.9, "per-mm2", "NET-G1"),
        (10, "per-mm2", "NET-G2"),
        (10.5, "per-mm2", "NET-G3"),
        (2, "per-10-hpf", "NET-G2"),
        (2, None, "NET-G2"),
    ],
)
def test_counts_at_the_limit_in_every_unit(count: float, unit: str | None, who2019: str) -> None:
    """A count that is exactly at a limit after conversion falls on the side the table says."""
    assert grade(mitoses=count, mitoses_unit=unit, differentiation="well").grade.who2019 == who2019


@given(st.none() | percent, st.none() | counts, st.sampled_from(["well", "poor", "mixed", None]))
def test_every_rule_and_warning_given_exists(
    ki67: float | None, mitoses: float | None, differentiation: str | None
) -> None:
    """Whatever the indices, the result cites rules of the tables only and never lacks what it was given."""
    found = grade(ki67_percent=ki67, mitoses=mitoses, differentiation=differentiation)
    known = set(KNOWLEDGE.rows) | set(KNOWLEDGE.rule_rows)
    assert {*found.rules, *found.warnings} <= known
    given_names = {"ki67_percent": ki67, "mitoses": mitoses, "differentiation": differentiation}
    assert set(found.missing) == {name for name, value in given_names.items() if value is None}
