"""Tumour size over time, and the growth the assessment goes by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from cds_service.cards.markdown import plain
from cds_service.clinical.markers import change_percent
from cds_service.consult import Consulted
from cds_service.domain.findings import Measured
from cds_service.story.course import Resources
from cds_service.story.model import Growth, Lesion, Origin, Point
from cds_service.story.origins import origins
from fhir_profiles import dates
from fhir_profiles.reading import words

_UNNAMED = "Tumour"


def lesions(measured: tuple[Measured, ...], resources: Resources) -> tuple[Lesion, ...]:
    """Sizes by lesion. What is measured without saying which lesion is a series of its own."""
    points: dict[str, list[Point]] = {}
    sites: dict[str, str] = {}
    for found in measured:
        when = dates.parse(found.evidence.date)
        if when is not None:
            point = Point(when.last, found.evidence.date, found.size_mm, found.evidence.source)
            points.setdefault(found.lesion, []).append(point)
            site = resources.get(found.evidence.source, {}).get("bodySite")
            sites[found.lesion] = plain(words(site)) or sites.get(found.lesion, _UNNAMED)
    names = _numbered(sites)
    return tuple(Lesion(names[key], tuple(dict.fromkeys(found))) for key, found in points.items())


def _numbered(sites: Mapping[str, str]) -> dict[str, str]:
    """Lesions at the same site are told apart by number."""
    held = Counter(sites.values())
    seen: Counter[str] = Counter()
    names: dict[str, str] = {}
    for key, site in sites.items():
        seen[site] += 1
        names[key] = f"{site} ({seen[site]})" if held[site] > 1 else site
    return names


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
