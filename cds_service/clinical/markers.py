"""Prognostic markers and treatment-eligibility facts. Every limit comes from ``knowledge/tables/markers.toml``."""

from __future__ import annotations

import math
from collections.abc import Mapping

from cds_service.domain.facts import Facts
from cds_service.knowledge.model import Knowledge, MarkerRow
from cds_service.knowledge.ranges import Range

_MONTHS_PER_YEAR = 12
_DIMENSIONS = 3  # growth of volume from growth of diameter


def _holds(limit: Range | None, value: float | None) -> bool | None:
    return None if limit is None or value is None else limit.holds(value)


def markers(facts: Facts, knowledge: Knowledge) -> Mapping[str, object]:
    """Size, ADC, growth rate (percent of volume per month) and slope; None where an input is missing or implausible."""
    rows = knowledge.markers
    functioning = facts.functional_syndrome not in (None, "none")
    sized = facts.primary_site == "pancreas" and not functioning
    growth = growth_percent_per_month(facts)
    slope = slope_percent_per_year(facts)
    return {
        "size_gt_30": _marker(rows.get("size_gt_30"), "size_mm", facts.size_mm) if sized else None,
        "adc_high_grade": _adc(facts, rows.get("adc_high_grade")),
        "tgr_percent_per_month": None if growth is None else round(growth, 2),
        "tgr_high": _marker(rows.get("tgr_high"), "tgr_percent_per_month", _clean(growth)),
        "slope_low": _marker(rows.get("slope_low"), "slope_percent_per_year", _clean(slope)),
    }


def _marker(row: MarkerRow | None, limit: str, value: float | None) -> bool | None:
    """Whether the value lies in the band of a row that is in force."""
    return None if row is None else _holds(getattr(row, limit), value)


def _clean(value: float | None) -> float | None:
    """A computed value without the dust of binary arithmetic, so that exactly 4 % is exactly 4 %."""
    return None if value is None else round(value, 6)


def _adc(facts: Facts, row: MarkerRow | None) -> bool | None:
    """PRG-03: not for cystic lesions, and not from a value that another unit would explain."""
    if row is None or facts.cystic_lesion is True or not _holds(row.plausible, facts.adc_mm2_per_s):
        return None
    return _holds(row.adc_mm2_per_s, facts.adc_mm2_per_s)


def growth_percent_per_month(facts: Facts) -> float | None:
    """Tumour growth rate: 100·(e^g - 1) with g = 3·ln(D2/D1)/months (PRG-04)."""
    recist = facts.recist
    if recist is None or recist.months <= 0 or recist.d1_mm <= 0 or recist.d2_mm <= 0:
        return None
    return 100 * math.expm1(_DIMENSIONS * math.log(recist.d2_mm / recist.d1_mm) / recist.months)


def change_percent(facts: Facts) -> float | None:
    """Change of the sum of diameters between the two measurements, percent of the first."""
    recist = facts.recist
    return None if recist is None or recist.d1_mm <= 0 else 100 * (recist.d2_mm / recist.d1_mm - 1)


def slope_percent_per_year(facts: Facts) -> float | None:
    """Change of the sum of diameters, scaled linearly to a year (PRG-05)."""
    recist, change = facts.recist, change_percent(facts)
    if recist is None or change is None or recist.months <= 0:
        return None
    return change * _MONTHS_PER_YEAR / recist.months


def eligibility(facts: Facts, grade_2019: str | None, knowledge: Knowledge) -> Mapping[str, object]:
    """Imaging facts that bear on treatment; information for the tumour board, no recommendation."""
    rows = knowledge.markers
    grades = rows.get("liver_directed_grade_ok")
    return {
        "prrt_uptake": _prrt(facts, rows.get("prrt_uptake")),
        "ablation_best_indication": _ablation(facts, rows.get("ablation_best_indication")),
        "liver_directed_grade_ok": None if grade_2019 is None or grades is None else grade_2019 in grades.grades,
        "bilioenteric_contraindication": (
            facts.bilioenteric_anastomosis if "bilioenteric_contraindication" in rows else None
        ),
        "staged_tace": _marker(rows.get("staged_tace"), "liver_involvement_percent", facts.liver_involvement_percent),
    }


def _prrt(facts: Facts, row: MarkerRow | None) -> str:
    """TRT-01: score and homogeneity; one failing input is enough to fail, one missing to leave it open."""
    if row is None:
        return "unknown"
    usable = facts.krenning if _holds(row.plausible, facts.krenning) else None  # the score runs from 0 to 4
    score = _holds(row.krenning, usable)
    if score is False or facts.krenning_homogeneous is False:
        return "does-not-meet"
    return "meets" if score and facts.krenning_homogeneous else "unknown"


def _ablation(facts: Facts, row: MarkerRow | None) -> str:
    """TRT-03: all four limits; one failing input is enough to fail, one missing to leave it open."""
    if row is None:
        return "unknown"
    tests = (
        _holds(row.liver_metastases_count, facts.liver_metastases_count),
        _holds(row.sum_liver_mets_mm, facts.sum_liver_mets_mm),
        _holds(row.largest_liver_met_mm, facts.largest_liver_met_mm),
        None if facts.extrahepatic_significant is None else not facts.extrahepatic_significant,
    )
    if False in tests:
        return "no"
    return "unknown" if None in tests else "yes"
