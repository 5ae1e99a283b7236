"""Allergies to contrast media. Iodine, povidone-iodine and shellfish are not contrast media."""

from __future__ import annotations

from fhir_profiles import dates
from fhir_profiles.chart import CODED, TEXT, Chart
from fhir_profiles.dates import When
from fhir_profiles.negation import affirmed
from fhir_profiles.reading import (
    Resource,
    code_of_status,
    label_in,
    labels,
    matches,
    objects,
    text,
    words,
)

_DROPPED = frozenset({"entered-in-error", "refuted"})
_OVER = frozenset({"inactive", "resolved"})


def read(resource: Resource, chart: Chart) -> None:
    """``iodinated_allergy`` and ``gadolinium_allergy``: severe by reaction severity or high criticality, else mild."""
    substances = [resource.get("code")]
    reactions = list(objects(resource.get("reaction")))
    substances += [reaction.get("substance") for reaction in reactions]
    allergens, how, label = _allergens(substances, chart)
    if not allergens:
        return
    verification = code_of_status(resource, "verificationStatus")
    clinical = code_of_status(resource, "clinicalStatus")
    if verification in _DROPPED or clinical in _OVER:
        chart.skip(resource, f"allergy is {verification if verification in _DROPPED else clinical}")
        if verification != "entered-in-error":
            evidence = chart.evidence(resource, _recorded(resource), how, label)
            chart.allergies_over += [(fact, evidence) for fact in allergens]
        return
    severe = any(text(reaction.get("severity")).lower() == "severe" for reaction in reactions)
    severe = severe or text(resource.get("criticality")).lower() == "high"
    when = _recorded(resource)
    for fact in allergens:
        value = "severe" if severe else "mild"
        # An allergy stays on record: a later, milder entry about the same class does not undo a severe one.
        chart.allergies.append((fact, value, resource, when, how, label))


def _recorded(resource: Resource) -> When | None:
    return dates.parse(resource.get("recordedDate")) or dates.parse(resource.get("onsetDateTime"))


def _allergens(substances: list[object], chart: Chart) -> tuple[tuple[str, ...], str, str]:
    for concept in substances:
        known = matches(concept, chart.terminology)
        for match in known:
            if match.allergens and match.certain:
                return match.allergens, CODED, match.display
        if known:
            continue
        written = words(concept)
        label = label_in(affirmed(written), labels().allergen)
        if label:
            return tuple(label.allergens), TEXT, written
    return (), CODED, ""
