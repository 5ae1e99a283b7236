"""Tumour size over time, and the growth the assessment goes by."""

from __future__ import annotations

from cds_service.clinical.markers import change_percent
from cds_service.consult import Consulted
from cds_service.domain.findings import Measured
from cds_service.story.model import Growth, Lesion, Origin, Point
from cds_service.story.origins import origins
from fhir_profiles import dates

_ONLY = "Tumour"


def lesions(measured: tuple[Measured, ...]) -> tuple[Lesion, ...]:
    """Sizes by lesion. What is measured without saying which lesion is a series of its own."""
    points: dict[str, list[Point]] = {}
    for found in measured:
        when = dates.parse(found.evidence.date)
        if when is not None:
            point = Point(when.last, found.evidence.date, found.size_mm, found.evidence.source)
            points.setdefault(found.lesion, []).append(point)
    names = _names(list(points))
    return tuple(Lesion(names[key], tuple(dict.fromkeys(found))) for key, found in points.items())


def _names(keys: list[str]) -> dict[str, str]:
    """What tells lesions apart are codes and identifiers; people count them."""
    if not keys[1:]:
        return dict.fromkeys(keys, _ONLY)
    return {key: f"Lesion {number}" if key else "Lesion not named" for number, key in enumerate(keys, 1)}


def growth(consulted: Consulted) -> Growth | None:
    """Both sums of diameters with the change and the growth rate; None where they were not measured twice."""
    assessment = consulted.assessed.assessment
    found = assessment.facts.recist
    if found is None:
        return None
    rate = assessment.markers.get("tgr_percent_per_month")
    evidence: tuple[Origin, ...] = origins(consulted.assessed.chart.evidence.get("recist", ()))
    change = change_percent(assessment.facts)
    return Growth(found.d1_mm, found.d2_mm, found.months, change, rate if isinstance(rate, float) else None, evidence)
