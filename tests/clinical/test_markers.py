"""Prognostic markers and eligibility facts at their limits."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.clinical.assess import assess
from cds_service.clinical.markers import (
    eligibility,
    growth_percent_per_month,
    markers,
    slope_percent_per_year,
)
from cds_service.domain.facts import Facts, TumourGrowth
from cds_service.knowledge import load_knowledge

KNOWLEDGE = load_knowledge()
PANCREAS = Facts(age_years=58, nen_status="confirmed", primary_site="pancreas", differentiation="well")


def marker(name: str, **facts: Any) -> object:
    """One marker."""
    return markers(replace(PANCREAS, **facts), KNOWLEDGE)[name]


def eligible(name: str, grade: str | None = "NET-G2", **facts: Any) -> object:
    """One eligibility fact."""
    return eligibility(replace(PANCREAS, **facts), grade, KNOWLEDGE)[name]


@pytest.mark.parametrize(
    ("size", "syndrome", "expected"),
    [
        (30.0, "none", False),
        (30.01, "none", True),
        (30.01, None, True),
        (5.0, None, False),
        (50.0, "insulinoma", None),
        (None, "none", None),
    ],
)
def test_size_of_a_non_functioning_tumour(size: float | None, syndrome: str | None, expected: bool | None) -> None:
    """PRG-01: above 30 mm; 30 mm is not above; a functioning tumour is not judged by it."""
    assert marker("size_gt_30", size_mm=size, functional_syndrome=syndrome) is expected


@pytest.mark.parametrize("site", ["colon", "rectum", "stomach", "jejunum-ileum"])
def test_the_size_marker_is_one_of_the_pancreas(site: str) -> None:
    """PRG-01 speaks of non-functioning pancreatic NET: another primary is not judged by it."""
    found = assess(replace(PANCREAS, primary_site=site, size_mm=50.0, functional_syndrome="none"), (), KNOWLEDGE)
    assert found.markers["size_gt_30"] is None


@pytest.mark.parametrize(
    "outside", [{"nen_status": "other-tumour"}, {"primary_site": "lung"}, {"age_years": 17.0}], ids=str
)
def test_outside_the_scope_nothing_is_judged(outside: dict[str, Any]) -> None:
    """SCN-13: safety rules only; neither markers nor eligibility are given for a tumour the rules are not about."""
    facts = replace(
        PANCREAS,
        size_mm=50.0,
        krenning=4.0,
        krenning_homogeneous=True,
        liver_involvement_percent=50.0,
        adc_mm2_per_s=0.0009,
        recist=TumourGrowth(50, 60, 3),
        **outside,
    )
    found = assess(facts, (), KNOWLEDGE)
    assert set(found.markers.values()) <= {None}
    assert set(found.eligibility.values()) <= {None, "unknown"}


@pytest.mark.parametrize(
    ("adc", "cystic", "expected"),
    [
        (0.001189, False, True),
        (0.00119, False, False),
        (0.001191, False, False),
        (0.001, None, True),
        (0.001, True, None),
        (0.1, False, False),
        (0.1001, False, None),
        (1.1, False, None),
        (1100.0, False, None),
        (-0.001, False, None),
        (None, False, None),
    ],
)
def test_diffusion(adc: float | None, cystic: bool | None, expected: bool | None) -> None:
    """PRG-03: below 1.19e-3 mm2/s; the cut-off does not fire; implausible values and cysts are not judged."""
    assert marker("adc_high_grade", adc_mm2_per_s=adc, cystic_lesion=cystic) is expected


@pytest.mark.parametrize(
    ("growth", "rate", "high"),
    [
        (TumourGrowth(50, 52, 3), 4.0, False),
        (TumourGrowth(50, 52.0001, 3), 4.0, True),
        (TumourGrowth(50, 53, 3), 6.0, True),
        (TumourGrowth(50, 50, 3), 0.0, False),
        (TumourGrowth(50, 40, 6), -10.56, False),
        (TumourGrowth(80, 95, 12), 4.39, True),
        (TumourGrowth(50, 52, 0), None, None),
        (TumourGrowth(50, 52, -3), None, None),
        (TumourGrowth(0, 52, 3), None, None),
        (TumourGrowth(50, 0, 3), None, None),
    ],
)
def test_growth_rate(growth: TumourGrowth, rate: float | None, high: bool | None) -> None:
    """PRG-04: percent of volume per month, rounded for show and not for judging; exactly 4.0 is not high."""
    assert marker("tgr_percent_per_month", recist=growth) == rate
    assert marker("tgr_high", recist=growth) is high


@given(st.floats(1, 300), st.floats(0.2, 5), st.floats(0.5, 60))
def test_the_growth_rate_compounds_to_the_growth_of_volume(size: float, ratio: float, months: float) -> None:
    """Growing at the rate for the time between the scans gives the cube of the ratio of the diameters."""
    rate = growth_percent_per_month(replace(PANCREAS, recist=TumourGrowth(size, size * ratio, months)))
    assert rate is not None
    assert math.log1p(rate / 100) * months == pytest.approx(3 * math.log(ratio), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(
    ("growth", "slope", "low"),
    [
        (TumourGrowth(80, 95, 12), 18.75, True),
        (TumourGrowth(80, 96, 12), 20.0, False),
        (TumourGrowth(80, 88, 6), 20.0, False),
        (TumourGrowth(80, 87.9, 6), 19.75, True),
        (TumourGrowth(80, 112, 24), 20.0, False),
        (TumourGrowth(80, 70, 12), -12.5, True),
        (TumourGrowth(80, 96, 0), None, None),
        (TumourGrowth(0, 96, 12), None, None),
    ],
)
def test_slope(growth: TumourGrowth, slope: float | None, low: bool | None) -> None:
    """PRG-05: below 20 % a year, other intervals scaled linearly; exactly 20 % is not low."""
    found = slope_percent_per_year(replace(PANCREAS, recist=growth))
    assert found == (None if slope is None else pytest.approx(slope))
    assert marker("slope_low", recist=growth) is low


@pytest.mark.parametrize(
    ("score", "homogeneous", "expected"),
    [
        (0.0, True, "does-not-meet"),
        (2.0, True, "does-not-meet"),
        (3.0, True, "meets"),
        (4.0, True, "meets"),
        (4.0, False, "does-not-meet"),
        (4.0, None, "unknown"),
        (2.0, None, "does-not-meet"),
        (None, True, "unknown"),
        (None, False, "does-not-meet"),
        (None, None, "unknown"),
    ],
)
def test_uptake_for_radionuclide_therapy(score: float | None, homogeneous: bool | None, expected: str) -> None:
    """TRT-01: a score of 3 or 4 and homogeneous; one failing input decides, one missing leaves it open."""
    assert eligible("prrt_uptake", krenning=score, krenning_homogeneous=homogeneous) == expected


@pytest.mark.parametrize("score", [-1.0, 5.0, 40.0])
def test_a_score_that_does_not_exist_is_no_finding(score: float) -> None:
    """The Krenning score runs from 0 to 4: another value is an error of the record and leaves the question open."""
    assert eligible("prrt_uptake", krenning=score, krenning_homogeneous=True) == "unknown"


SUITED: dict[str, Any] = {
    "liver_metastases_count": 4.0,
    "sum_liver_mets_mm": 79.9,
    "largest_liver_met_mm": 49.9,
    "extrahepatic_significant": False,
}


@pytest.mark.parametrize(
    ("name", "failing"),
    [
        ("liver_metastases_count", 5.0),
        ("sum_liver_mets_mm", 80.0),
        ("largest_liver_met_mm", 50.0),
        ("extrahepatic_significant", True),
    ],
)
def test_every_limit_of_the_best_indication_of_ablation(name: str, failing: Any) -> None:
    """TRT-03: all four kept, yes; one failed, no, whatever else is unknown; one unknown and none failed, unknown."""
    assert eligible("ablation_best_indication", **SUITED) == "yes"
    assert eligible("ablation_best_indication", **{**SUITED, name: failing}) == "no"
    assert eligible("ablation_best_indication", **{name: failing}) == "no"
    assert eligible("ablation_best_indication", **{**SUITED, name: None}) == "unknown"


@pytest.mark.parametrize(
    ("grade", "expected"),
    [
        ("NET-G1", True),
        ("NET-G2", True),
        ("NET-G3", False),
        ("NEC", False),
        ("MiNEN", False),
        ("high-grade-undetermined", False),
        (None, None),
    ],
)
def test_the_grade_for_liver_directed_treatment(grade: str | None, expected: bool | None) -> None:
    """TRT-05: G1 and G2 only; without a grade nothing is said."""
    assert eligible("liver_directed_grade_ok", grade) is expected


@pytest.mark.parametrize(("share", "expected"), [(30.0, False), (30.01, True), (None, None)])
def test_staged_chemo_embolisation(share: float | None, expected: bool | None) -> None:
    """TRT-06: above 30 % of the liver."""
    assert eligible("staged_tace", liver_involvement_percent=share) is expected


@pytest.mark.parametrize("joined", [True, False, None])
def test_a_bilioenteric_anastomosis(joined: bool | None) -> None:
    """TRT-04: the contraindication is the anastomosis itself; unknown stays unknown."""
    assert eligible("bilioenteric_contraindication", bilioenteric_anastomosis=joined) is joined
