"""Prognostic markers and treatment-eligibility facts. Every limit comes from ``knowledge/tables/markers.toml``."""

from __future__ import annotations

import math
from collections.abc import Mapping

from cds_service.domain.facts import Facts
from cds_service.knowledge.model import Knowledge, MarkerRow, Range

_MONTHS_PER_YEAR = 12
_DIMENSIONS = 3  # growth of volume from growth of diameter


def _holds(limit: Range | None, value: float | None) -> bool | None:
    return None if limit is None or value is None else limit.holds(value)


def markers(facts: Facts, knowledge: Knowledge) -> Mapping[str, object]:
    """Size, ADC, growth rate (percent of volume per month) and slope; None where an input is missing or implausible."""
    rows = knowledge.markers
    adc_row = rows["adc_high_grade"]
    adc = facts.adc_mm2_per_s
    usable = adc is not None and bool(_holds(adc_row.plausible, adc)) and facts.cystic_lesion is not True
    functioning = facts.functional_syndrome not in (None, "none")
    sized = facts.primary_site == "pancreas" and not functioning
    growth = growth_percent_per_month(facts)
    slope = slope_percent_per_year(facts)
    return {
        "size_gt_30": _holds(rows["size_gt_30"].size_mm, facts.size_mm) if sized else None,
        "adc_high_grade": _holds(adc_row.adc_mm2_per_s, adc) if usable else None,
        "tgr_percent_per_month": None if growth is None else round(growth, 2),
        "tgr_high": _holds(rows["tgr_high"].tgr_percent_per_month, None if growth is None else round(growth, 6)),
        "slope_low": _holds(rows["slope_low"].slope_percent_per_year, None if slope is None else round(slope, 6)),
    }


def growth_percent_per_month(facts: Facts) -> float | None:
    """Tumour growth rate: 100·(e^g - 1) with g = 3·ln(D2/D1)/months (PRG-04)."""
    recist = facts.recist
    if recist is None or recist.months <= 0 or recist.d1_mm <= 0 or recist.d2_mm <= 0:
        return None
    return 100 * math.expm1(_DIMENSIONS * math.log(recist.d2_mm / recist.d1_mm) / recist.months)


def slope_percent_per_year(facts: Facts) -> float | None:
    """Change of the sum of diameters, scaled linearly to a year (PRG-05)."""
    recist = facts.recist
    if recist is None or recist.months <= 0 or recist.d1_mm <= 0:
        return None
    return 100 * (recist.d2_mm / recist.d1_mm - 1) * _MONTHS_PER_YEAR / recist.months


def eligibility(facts: Facts, grade_2019: str | None, knowledge: Knowledge) -> Mapping[str, object]:
    """Imaging facts that bear on treatment; information for the tumour board, no recommendation."""
    rows = knowledge.markers
    return {
        "prrt_uptake": _prrt(facts, rows["prrt_uptake"]),
        "ablation_best_indication": _ablation(facts, knowledge),
        "liver_directed_grade_ok": None if grade_2019 is None else grade_2019 in rows["liver_directed_grade_ok"].grades,
        "bilioenteric_contraindication": facts.bilioenteric_anastomosis,
        "staged_tace": _holds(rows["staged_tace"].liver_involvement_percent, facts.liver_involvement_percent),
    }


def _prrt(facts: Facts, row: MarkerRow) -> str:
    """TRT-01: score and homogeneity; one failing input is enough to fail, one missing to leave it open."""
    usable = facts.krenning if _holds(row.plausible, facts.krenning) else None  # the score runs from 0 to 4
    score = _holds(row.krenning, usable)
    if score is False or facts.krenning_homogeneous is False:
        return "does-not-meet"
    return "meets" if score and facts.krenning_homogeneous else "unknown"


def _ablation(facts: Facts, knowledge: Knowledge) -> str:
    """TRT-03: all four limits; one failing input is enough to fail, one missing to leave it open."""
    row = knowledge.markers["ablation_best_indication"]
    tests = (
        _holds(row.liver_metastases_count, facts.liver_metastases_count),
        _holds(row.sum_liver_mets_mm, facts.sum_liver_mets_mm),
        _holds(row.largest_liver_met_mm, facts.largest_liver_met_mm),
        None if facts.extrahepatic_significant is None else not facts.extrahepatic_significant,
    )
    if False in tests:
        return "no"
    return "unknown" if None in tests else "yes"
