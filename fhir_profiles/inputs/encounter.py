"""Encounter of the call: whether the patient is an inpatient."""

from __future__ import annotations

from fhir_profiles.chart import Chart
from fhir_profiles.reading import Resource, member, status, text

_INPATIENT = frozenset({"IMP", "ACUTE", "NONAC"})
_OUTPATIENT = frozenset({"AMB", "EMER", "FLD", "HH", "OBSENC", "PRENC", "SS", "VR"})
_ENDED = frozenset({"finished", "cancelled", "entered-in-error", "planned"})


def read(resource: Resource, chart: Chart) -> None:
    """``inpatient`` from the v3 ActEncounterCode in Encounter.class; an ended encounter says nothing."""
    if status(resource) in _ENDED:
        if status(resource) == "entered-in-error":
            chart.skip(resource, "status is entered-in-error", "inpatient")
        return
    code = text(member(resource.get("class"), "code")).upper()
    if code in _INPATIENT or code in _OUTPATIENT:
        chart.claim("inpatient", code in _INPATIENT, resource, label="encounter class")
    else:
        chart.skip(resource, "its class is none of the vocabulary", "inpatient")
