"""The chart behind a token, read as hooks read what prefetch lacks: the same queries, limits and meaning of gaps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

from cds_service.consult import Gaps
from cds_service.domain.terms import Lack
from cds_service.errors import ChartUnreadable, ScopesMissing
from cds_service.fhir.client import Read
from cds_service.fhir.fallback import complete
from cds_service.fhir.policy import ReadPolicy
from cds_service.fhir.prefetch import Received, State, receive
from cds_service.protocol.authorization import FhirAccess
from cds_service.protocol.request import HookRequest
from cds_service.service import Input
from cds_service.smart.launch import Opened
from cds_service.story.course import PATHOLOGY_REPORT
from fhir_profiles.inputs import INPUTS, quick_tests
from fhir_profiles.terminology import Terminology
from fhir_profiles.versions import refuse_older_versions

_PATHOLOGY: Final = f"DiagnosticReport?patient={{{{context.patientId}}}}&category={','.join(sorted(PATHOLOGY_REPORT))}"
READ: Final = (*INPUTS, Input("pathologyReports", _PATHOLOGY))
"""What hooks read, and what only the timeline tells."""
KINDS: Final = tuple(dict.fromkeys(asked.resource_type for asked in READ))
"""Resource types the story is told from, in the order they are asked for."""
_NEEDED: Final = ("patient", "conditions")
"""Inputs without which there is no story: whose it is, and whether there is a tumour."""


@dataclass(frozen=True, slots=True)
class ReadChart:
    """A chart as one Bundle, and what of it could not be had."""

    bundle: Mapping[str, Any]
    gaps: Gaps


def read_chart(issuer: str, opened: Opened, policy: ReadPolicy, read: Read, terminology: Terminology) -> ReadChart:
    """Read everything the story can use.

    Raises:
        ScopesMissing: access to something it needs was not granted.
        ChartUnreadable: something it needs cannot be read, or is about somebody else.
        UnsupportedFhirVersion: the resources are plainly not R4.
    """
    request = HookRequest(
        hook="patient-view",
        hook_instance=str(uuid4()),
        patient_id=opened.patient,
        encounter_id=opened.encounter,
        user_id=None,
        fhir=FhirAccess(issuer, opened.token, opened.scope, opened.patient),
    )
    wanted = quick_tests(terminology)
    received = complete(receive({}, READ, wanted), request, READ, wanted, policy, read)
    _require(received)
    refuse_older_versions(received.resources)
    _require_one_patient(received, opened.patient)
    entries = [{"resource": resource} for resource in received.resources]
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    lacks = {key: received.lacks.get(key, Lack.SERVER_ERROR) for key in received.unavailable}
    return ReadChart(bundle, Gaps(lacks, tuple(received.skipped)))


def _require(received: Received) -> None:
    lacking = [key for key in _NEEDED if received.states[key] in (State.ABSENT, State.ERROR)]
    if any(received.lacks.get(key) in (Lack.NOT_GRANTED, Lack.UNAUTHORISED) for key in lacking):
        raise ScopesMissing(f"The EHR gave no access to what the story needs: {', '.join(lacking)}.")
    if lacking:
        raise ChartUnreadable(f"The EHR's FHIR server did not answer with what the story needs: {', '.join(lacking)}.")


def _require_one_patient(received: Received, patient_id: str) -> None:
    patients = [resource for resource in received.resources if resource.get("resourceType") == "Patient"]
    if [patient.get("id") for patient in patients] != [patient_id]:
        raise ChartUnreadable("The EHR's FHIR server did not answer with the one patient the app was opened for.")
