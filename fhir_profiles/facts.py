"""From resources to facts: reads each resource by its type, then joins what they say together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import date
from typing import Final

import msgspec

from cds_service.domain.findings import ABOUT_ANOTHER, ANOTHER_PATIENT, PatientFacts, Skipped
from cds_service.domain.policy import Windows
from cds_service.domain.terms import SUBSETTED
from fhir_profiles import derived, joins
from fhir_profiles.chart import Chart
from fhir_profiles.inputs import READERS
from fhir_profiles.reading import Resource, is_about, label_in, labels, matches, member, objects, source, text, words
from fhir_profiles.shape import damaged_members, readable_code
from fhir_profiles.sound import is_sound
from fhir_profiles.terminology import Terminology

Reader = Callable[[Resource, Chart], None]
LOOKED_INTO: Final = frozenset(READERS) | {"Medication", "Specimen"}
"""Resource types whose damage matters, also where they are contained in another one."""


def read_chart(
    resources: Iterable[Resource],
    *,
    patient_id: str,
    encounter_id: str | None,
    today: date,
    terminology: Terminology,
    attributes: Mapping[str, frozenset[str]],
    windows: Windows,
    complete: bool = True,
    unavailable: tuple[str, ...] = (),
    indications: Iterable[Resource] = (),
    damaged: tuple[Skipped, ...] = (),
) -> PatientFacts:
    """The chart of one patient as facts with evidence.

    Args:
        resources: R4 resources as plain objects, in any order; damaged or repeated ones are survived.
        patient_id: the one patient; anything about another one is set aside and reported.
        encounter_id: the encounter of the call; other encounters say nothing about today.
        today: the day on which ages and elapsed times are reckoned.
        terminology: what codes mean.
        attributes: attributes of studies by procedure key.
        windows: how long a record speaks for today.
        complete: whether every required input was received in full.
        unavailable: inputs that could not be had.
        indications: Conditions made from the reasons of the draft orders.
        damaged: entries that could not even be taken apart, to be reported with the rest.
    """
    chart = Chart(terminology, today, patient_id, windows, attributes)
    for item in damaged:
        chart.skipped[item.source, item.reason, item.fact] = item
    distinct = _distinct(resources)
    chart.medications = {text(r.get("id")): r for r in distinct if r.get("resourceType") == "Medication"}
    for resource in distinct:
        kind = resource.get("resourceType")
        reader = READERS.get(kind) if isinstance(kind, str) else None
        if reader is None:
            continue
        if not _is_ours(resource, chart):
            chart.skip(*_anothers(resource))
            complete = complete and kind != "Condition"  # what it hides is unknown, not absent
            continue
        if not _readable(resource, chart):
            complete = complete and kind not in ("Condition", "Observation")  # what it says is unknown, not absent
        if kind == "Encounter" and (not encounter_id or text(resource.get("id")) != encounter_id):
            continue
        _read_safely(reader, resource, chart)
    for indication in indications:
        _read_safely(READERS["Condition"], indication, chart)
    complete = complete and not any(skipped.fact == "nen_status" for skipped in chart.skipped.values())
    return _join(chart, distinct, complete=complete, unavailable=unavailable)


def _read_safely(reader: Reader, resource: Resource, chart: Chart) -> None:
    """A damaged resource never takes the call down; it is reported as unusable."""
    try:
        reader(resource, chart)
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError, RecursionError):
        chart.skip(resource, "the resource is damaged and cannot be read")


_CODED_BY = {
    "Condition": ("code",),
    "Observation": ("code",),
    "Procedure": ("code",),
    "DiagnosticReport": ("code",),
    "AllergyIntolerance": ("code",),
    "MedicationRequest": ("medicationCodeableConcept", "medicationReference"),
    "MedicationStatement": ("medicationCodeableConcept", "medicationReference"),
    "MedicationAdministration": ("medicationCodeableConcept", "medicationReference"),
}
"""Members that say what a resource is about."""


def _readable(resource: Resource, chart: Chart) -> bool:
    """Whether what the resource is about can be read; otherwise it is reported."""
    names = _CODED_BY.get(text(resource.get("resourceType")))
    if names is None:
        return True
    told = [resource.get(name) for name in names if resource.get(name) is not None]
    if told and ((names[0] != "code" and isinstance(told[0], dict)) or readable_code(told[0], chart.terminology)):
        return True
    reactions = objects(resource.get("reaction"))
    if any(readable_code(reaction.get("substance"), chart.terminology) for reaction in reactions):
        return True
    chart.skip(resource, "what it is about cannot be read")
    return False


def _damage(chart: Chart, resources: Iterable[Resource]) -> None:
    """Report members of resources of interest that cannot be read, once it is known that the chart matters."""
    told = {skipped.source for skipped in chart.skipped.values()}
    for resource in resources:
        if is_sound(resource) or source(resource) in told or text(resource.get("resourceType")) not in READERS:
            continue
        if not _is_ours(resource, chart) or not _of_interest(resource, chart):
            continue
        for path in damaged_members(resource, LOOKED_INTO):
            chart.skip(resource, f"{path} cannot be read")
            break


def _of_interest(resource: Resource, chart: Chart) -> bool:
    """Whether the resource is one of the few that are read whatever their code, or its code is one that is read."""
    names = _CODED_BY.get(text(resource.get("resourceType")))
    if names is None or names[0] != "code":
        return True
    concept = resource.get("code")
    return bool(matches(concept, chart.terminology)) or any(
        label_in(words(concept), group) for group in (labels().tumour, labels().observation, labels().allergen)
    )


def _join(chart: Chart, resources: list[Resource], *, complete: bool, unavailable: tuple[str, ...]) -> PatientFacts:
    nen = joins.diagnosis(chart, complete=complete)
    if not nen:
        return chart.settle(unavailable, nen_evidence=False)
    _damage(chart, resources)
    joins.spread(chart)
    joins.proliferation(chart)
    joins.devices(chart)
    joins.allergies(chart)
    joins.size(chart)
    derived.growth(chart)
    derived.symptoms(chart)
    derived.kidney(chart)
    derived.chromogranin(chart)
    joins.treatments(chart)
    joins.operations(chart)
    days_since = joins.imaging(chart)
    return replace(chart.settle(unavailable, nen_evidence=True), days_since=days_since)


def _is_ours(resource: Resource, chart: Chart) -> bool:
    """Whether the resource is about the patient of the call."""
    if resource.get("resourceType") == "Patient":
        return text(resource.get("id")) == chart.patient_id
    reference = resource.get("subject")
    if reference is None:
        reference = resource.get("patient")
    # The query was for this patient; servers may leave the reference out or give an identifier.
    return not text(member(reference, "reference")) or is_about(reference, chart.patient_id)


def _anothers(resource: Resource) -> tuple[Resource, str]:
    """How another patient's data is set aside and said so."""
    if resource.get("resourceType") == "Patient":
        return {"resourceType": "Patient"}, ANOTHER_PATIENT
    return resource, ABOUT_ANOTHER


def _distinct(resources: Iterable[Resource]) -> list[Resource]:
    """Each resource once, in an order of our own, so that neither order nor repetition changes an answer."""
    seen: dict[str, Resource] = {}
    for number, resource in enumerate(resources):
        key = source(resource) if text(resource.get("id")) else f"{number:09d}"
        known = seen.get(key)
        if known is None or _version(resource) > _version(known):
            seen[key] = resource
    if any(key.isdigit() for key in seen):
        return sorted(seen.values(), key=lambda r: (source(r), _canonical(r)))
    return [seen[key] for key in sorted(seen)]


def _version(resource: Resource) -> tuple[bool, str, bytes]:
    """Orders copies of a resource: a whole one comes after one that was cut, a later one after an earlier one."""
    meta = resource.get("meta")
    whole = not any(tag.get("code") == SUBSETTED for tag in objects(member(meta, "tag")))
    return whole, text(member(meta, "lastUpdated")), _canonical(resource)


def _canonical(resource: Resource) -> bytes:
    """The resource as bytes, whatever the order of its members; nesting beyond reason compares as nothing."""
    try:
        return msgspec.json.encode(resource, order="sorted")
    except (RecursionError, ValueError):
        return b""
