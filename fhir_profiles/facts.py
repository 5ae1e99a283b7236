"""From resources to facts: reads each resource by its type, then joins what they say together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import date

import msgspec

from cds_service.domain.findings import PatientFacts, Skipped
from cds_service.domain.policy import Windows
from fhir_profiles import joins
from fhir_profiles.chart import Chart
from fhir_profiles.inputs import READERS
from fhir_profiles.reading import Resource, is_about, member, source, text
from fhir_profiles.terminology import Terminology

Reader = Callable[[Resource, Chart], None]


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
        if not _ours(resource, chart):
            complete = complete and kind != "Condition"  # what it hides is unknown, not absent
            continue
        if kind == "Encounter" and (not encounter_id or text(resource.get("id")) != encounter_id):
            continue
        _read_safely(reader, resource, chart)
    for indication in indications:
        _read_safely(READERS["Condition"], indication, chart)
    return _join(chart, complete=complete, unavailable=unavailable)


def _read_safely(reader: Reader, resource: Resource, chart: Chart) -> None:
    """A damaged resource never takes the call down; it is reported as unusable."""
    try:
        reader(resource, chart)
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError, RecursionError):
        chart.skip(resource, "the resource is damaged and cannot be read")


def _join(chart: Chart, *, complete: bool, unavailable: tuple[str, ...]) -> PatientFacts:
    nen = joins.diagnosis(chart, complete=complete)
    if not nen:
        return chart.settle(unavailable, nen_evidence=False)
    joins.spread(chart)
    joins.proliferation(chart)
    joins.devices(chart)
    joins.allergies(chart)
    joins.size(chart)
    joins.growth(chart)
    joins.symptoms(chart)
    joins.kidney(chart)
    joins.chromogranin(chart)
    joins.treatments(chart)
    joins.operations(chart)
    days_since = joins.imaging(chart)
    return replace(chart.settle(unavailable, nen_evidence=True), days_since=days_since)


def _ours(resource: Resource, chart: Chart) -> bool:
    """Whether the resource is about the patient of the call; another patient's data is set aside and said so."""
    if resource.get("resourceType") == "Patient":
        if text(resource.get("id")) == chart.patient_id:
            return True
        chart.skip({"resourceType": "Patient"}, "this is another patient than the one of the call")
        return False
    reference = resource.get("subject")
    if reference is None:
        reference = resource.get("patient")
    if not text(member(reference, "reference")):
        return True  # the query was for this patient; servers may leave the reference out or give an identifier
    if is_about(reference, chart.patient_id):
        return True
    chart.skip(resource, "the resource is about another patient")
    return False


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


def _version(resource: Resource) -> tuple[str, bytes]:
    return text(member(resource.get("meta"), "lastUpdated")), _canonical(resource)


def _canonical(resource: Resource) -> bytes:
    """The resource as bytes, whatever the order of its members; nesting beyond reason compares as nothing."""
    try:
        return msgspec.json.encode(resource, order="sorted")
    except (RecursionError, ValueError):
        return b""
