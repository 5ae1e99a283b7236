"""Imaging that was done: ImagingStudy, DiagnosticReport and Procedure, by the same codes as orders."""

from __future__ import annotations

from fhir_profiles import dates
from fhir_profiles.chart import Chart, Event
from fhir_profiles.dates import When
from fhir_profiles.inputs.studies import Study, study
from fhir_profiles.reading import Resource, member, objects, observed, status

_REPORT_DONE = frozenset({"final", "amended", "corrected", "appended", "preliminary", "partial"})
_VOID = frozenset({"entered-in-error", "cancelled"})


def read_study(resource: Resource, chart: Chart) -> None:
    """A study in the archive."""
    when = dates.parse(resource.get("started"))
    for concept in objects(resource.get("procedureCode")):
        read_done(resource, chart, concept, when, status(resource) == "available")


def read_report(resource: Resource, chart: Chart) -> None:
    """A report of a study."""
    read_done(resource, chart, resource.get("code"), observed(resource), status(resource) in _REPORT_DONE)


def read_done(resource: Resource, chart: Chart, concept: object, when: When | None, done: bool) -> None:
    """Record an imaging study that took place; a study without a date cannot be placed on the schedule."""
    found = study(concept, chart.terminology, extra=member(resource, "note"))
    if found is None or not (found.procedure or found.attributes):
        return
    if not done:
        if status(resource) in _VOID:
            chart.skip(resource, f"status is {status(resource)}")
        return
    if when is None or when.first > chart.today:
        chart.skip(resource, "imaging study has no date in the past", "months_since_last_imaging")
        return
    _remember(resource, chart, found, when)


def _remember(resource: Resource, chart: Chart, found: Study, when: When) -> None:
    evidence = chart.evidence(resource, when, found.how, found.label)
    chart.events.append(Event("imaging", when, evidence, found.procedure or "", found.attributes))
