"""What a service asks the EHR for, one module per group of inputs.

An :class:`Input` ties a prefetch key to the query that fills it. Queries go by resource type and category, never by
code, so that a new code changes no advertised prefetch. Which reader understands a resource depends on the
resource's type alone, whatever key it came under.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache

import msgspec

from cds_service.service import Input, Need
from fhir_profiles.chart import Chart
from fhir_profiles.inputs import (
    allergies,
    conditions,
    devices,
    encounter,
    imaging,
    medications,
    observations,
    patient,
    plans,
    procedures,
)
from fhir_profiles.reading import Resource, matches
from fhir_profiles.terminology import Terminology

_PATIENT = "{{context.patientId}}"
_LONGEST_KEPT = 1024
"""Longest code, in bytes, that is remembered: what a client sends must not fill the memory."""

INPUTS: tuple[Input, ...] = (
    Input("patient", f"Patient/{_PATIENT}"),
    Input("encounter", "Encounter/{{context.encounterId}}"),
    Input("conditions", f"Condition?patient={_PATIENT}"),
    Input("laboratory", f"Observation?patient={_PATIENT}&category=laboratory&_sort=-date"),
    Input("imagingResults", f"Observation?patient={_PATIENT}&category=imaging&_sort=-date"),
    Input("examinations", f"Observation?patient={_PATIENT}&category=exam&_sort=-date"),
    Input("socialHistory", f"Observation?patient={_PATIENT}&category=social-history&_sort=-date"),
    Input("procedures", f"Procedure?patient={_PATIENT}"),
    Input("imagingStudies", f"ImagingStudy?patient={_PATIENT}"),
    Input("reports", f"DiagnosticReport?patient={_PATIENT}&category=RAD"),
    Input("medicationRequests", f"MedicationRequest?patient={_PATIENT}"),
    Input("medicationStatements", f"MedicationStatement?patient={_PATIENT}"),
    Input("medicationAdministrations", f"MedicationAdministration?patient={_PATIENT}"),
    Input("allergies", f"AllergyIntolerance?patient={_PATIENT}"),
    Input("devices", f"Device?patient={_PATIENT}"),
    Input("deviceUse", f"DeviceUseStatement?patient={_PATIENT}"),
    Input("plannedServices", f"ServiceRequest?patient={_PATIENT}&status=active"),
    Input("carePlans", f"CarePlan?patient={_PATIENT}&status=active"),
)

READERS: Mapping[str, Callable[[Resource, Chart], None]] = {
    "Patient": patient.read,
    "Encounter": encounter.read,
    "Condition": conditions.read,
    "Observation": observations.read,
    "Procedure": procedures.read,
    "ImagingStudy": imaging.read_study,
    "DiagnosticReport": imaging.read_report,
    "MedicationRequest": medications.read_request,
    "MedicationStatement": medications.read_statement,
    "MedicationAdministration": medications.read_administration,
    "AllergyIntolerance": allergies.read,
    "Device": devices.read_device,
    "DeviceUseStatement": devices.read_use,
    "ServiceRequest": plans.read_request,
    "CarePlan": plans.read_care_plan,
}


_MEDICATION_FACTS = ("prior_treatments", "current_treatments")
_HOLDS: Mapping[str, tuple[str, ...]] = {
    "conditions": ("recurrence", "new_symptoms"),
    "procedures": ("curative_resection", "prior_treatments", "current_treatments"),
    "medicationRequests": _MEDICATION_FACTS,
    "medicationStatements": _MEDICATION_FACTS,
    "medicationAdministrations": _MEDICATION_FACTS,
    "laboratory": ("biochemical_rise",),
}
"""Facts that count as absent when they are not on record (SEL-0), by the input where they would be."""


def facts_held_in(inputs: Iterable[str]) -> frozenset[str]:
    """Facts that a written default takes as absent and that these inputs could have held."""
    return frozenset(fact for key in inputs for fact in _HOLDS.get(key, ()))


def names_tumour(resources: Iterable[Resource], terminology: Terminology) -> bool:
    """A quick look: does the code of a Condition name a tumour or syndrome? If none does, the chart may still do so."""
    found = (resource.get("code") for resource in resources if resource.get("resourceType") == "Condition")
    return any(match.role in conditions.TUMOUR_ROLES for code in found for match in matches(code, terminology))


def quick_tests(terminology: Terminology) -> Mapping[str, Callable[[bytes], Need]]:
    """Quick tests of ``code`` as sent, by resource type: only Observations come in thousands."""
    return {
        "Observation": lambda code: (
            _remembered(code, terminology) if len(code) <= _LONGEST_KEPT else _need(code, terminology)
        )
    }


@lru_cache(maxsize=8192)
def _remembered(code: bytes, terminology: Terminology) -> Need:
    """Codes repeat to the byte, so the answer is kept."""
    return _need(code, terminology)


def _need(code: bytes, terminology: Terminology) -> Need:
    """Whether an Observation of this code is to be read."""
    try:
        concept = msgspec.json.decode(code) if code else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Need.YES  # to be reported
    if not observations.relevant(concept, terminology):
        return Need.NO
    return Need.LATER if observations.is_measurement(concept, terminology) else Need.YES
