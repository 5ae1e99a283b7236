"""The calls an EHR would make: right by the schema of requests, with prefetch as asked for, whoever asks."""

from __future__ import annotations

from datetime import date
from typing import Any, Final

import pytest

from cds_service.selftest.example import HOOKS, example, filled
from fhir_profiles.synthetic import synthetic_patients
from tests.selftest.examining import PATIENT
from tests.validity import schema_errors

TODAY: Final = date(2027, 3, 1)
CHART: Final[list[dict[str, Any]]] = [
    {"resourceType": "Patient", "id": "p"},
    {"resourceType": "Condition", "id": "a", "clinicalStatus": {"coding": [{"system": "s", "code": "active"}]}},
    {"resourceType": "Condition", "id": "b", "code": {"coding": [{"system": "http://s", "code": "1"}]}},
    {"resourceType": "ServiceRequest", "id": "r1", "status": "active", "category": [{"coding": [{"code": "img"}]}]},
    {"resourceType": "ServiceRequest", "id": "r2", "status": "completed"},
]
CONTEXT: Final = {"patientId": "p", "userId": "Practitioner/u", "orders": ["r1", "r2"], "draft": {"id": "x"}}


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("slug", [patient.slug for patient in synthetic_patients()])
def test_every_call_is_right(hook: str, slug: str) -> None:
    """CH-031 to CH-039, CH-155 to CH-167: no call the self-test makes breaks a rule of requests."""
    patient = next(each for each in synthetic_patients() if each.slug == slug)
    templates = {"patient": "Patient/{{context.patientId}}", "user": "{{context.userId}}", "c": "Condition?x=y"}
    request = example(patient, hook, templates, TODAY)
    assert request is not None
    assert schema_errors("request", request) == []
    assert request["prefetch"]["patient"]["id"] == request["context"]["patientId"]
    assert request["prefetch"]["user"]["resourceType"] == "Practitioner"
    assert request["prefetch"]["c"]["entry"]


def test_a_call_without_templates_has_no_prefetch() -> None:
    """CH-005: nothing empty is sent."""
    request = example(PATIENT, "patient-view", {}, TODAY)
    assert request is not None
    assert "prefetch" not in request


def test_an_unknown_hook_has_no_call() -> None:
    """Nothing is made up where the context is not known."""
    assert example(PATIENT, "org.example.own", {}, TODAY) is None


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("Patient/{{context.patientId}}", "p"),
        ("Patient/other", None),
        ("Practitioner/{{userPractitionerId}}", None),
        ("Condition?patient={{context.patientId}}", ["a", "b"]),
        ("Condition?clinical-status=active,recurrence", ["a"]),
        ("Condition?clinical-status=s|active", ["a"]),
        ("Condition?code=http://s|1", ["b"]),
        ("Condition?code=http://s|2", []),
        ("ServiceRequest?status=active&category=img", ["r1"]),
        ("ServiceRequest?_id={{context.orders}}", ["r1", "r2"]),
        ("Device?patient={{context.patientId}}", []),
    ],
)
def test_prefetch_is_what_a_server_would_answer(template: str, expected: str | list[str] | None) -> None:
    """CH-050 to CH-060: reads, searches by the parameters that matter, and nothing where there is nothing."""
    value = filled({"key": template}, CHART, CONTEXT)["key"]
    if isinstance(expected, list):
        assert value["resourceType"] == "Bundle"
        assert [entry["resource"]["id"] for entry in value.get("entry", [])] == expected
    else:
        assert (value and value["id"]) == expected


@pytest.mark.parametrize(
    "template", ["Encounter/{{context.encounterId}}", "Patient/{{userPatientId}}", "T/{{context.draft}}", 7]
)
def test_a_key_whose_token_has_no_value_is_left_out(template: Any) -> None:
    """CH-053: what cannot be filled is not sent."""
    assert filled({"key": template}, CHART, CONTEXT) == {}
