"""Admission of a call: what is read from it, what is refused, and what is merely noted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cds_service.errors import HookMismatch, InvalidRequest, NotJson, RequestError
from cds_service.protocol.contexts import CONTEXTS
from cds_service.protocol.request import parse_request
from hooks import SERVICES
from tests.calling import HOOK_INSTANCE

ORDER: dict[str, Any] = {"resourceType": "ServiceRequest", "id": "o1", "status": "draft"}
DRUG: dict[str, Any] = {"resourceType": "MedicationRequest", "id": "m1", "status": "draft"}
BOTH: dict[str, Any] = {
    "resourceType": "Bundle",
    "type": "collection",
    "entry": [{"resource": ORDER}, {"resource": DRUG}],
}


def call(hook: str = "order-select", **members: Any) -> dict[str, Any]:
    """A correct call; members given replace those of its context, or of the call itself."""
    context = {
        "userId": "Practitioner/1",
        "patientId": "p1",
        "encounterId": "e1",
        "selections": ["ServiceRequest/o1"],
        "draftOrders": BOTH,
    }
    whole: dict[str, Any] = {
        "hook": hook,
        "hookInstance": HOOK_INSTANCE,
        "context": context,
        "prefetch": {"patient": {"resourceType": "Patient", "id": "p1"}, "encounter": None},
    }
    for name, value in members.items():
        (context if name in context else whole)[name] = value
    return whole


def parsed(body: dict[str, Any], hook: str = "order-select") -> Any:
    """The admitted call."""
    return parse_request(json.dumps(body).encode(), hook)


def test_a_correct_call_is_read_in_full() -> None:
    """Every member an answer depends on, in the order sent, and nothing to complain about."""
    request = parsed(call())
    assert (request.hook, request.hook_instance) == ("order-select", HOOK_INSTANCE)
    assert (request.patient_id, request.encounter_id, request.user_id) == ("p1", "e1", "Practitioner/1")
    assert request.drafts == (ORDER, DRUG)
    assert request.selections == ("ServiceRequest/o1",)
    assert {key: bytes(raw) for key, raw in request.prefetch.items()} == {
        "patient": b'{"resourceType": "Patient", "id": "p1"}',
        "encounter": b"null",
    }
    assert request.defects == ()


def test_every_offered_hook_has_a_context() -> None:
    """A service whose hook is not described here could not be called."""
    assert {service.hook for service in SERVICES} <= CONTEXTS.keys()


@pytest.mark.parametrize("hook", CONTEXTS)
def test_a_call_without_a_required_member_names_it(hook: str) -> None:
    """The message says which member of the context is missing and which hook wants it."""
    for name in CONTEXTS[hook].required:
        given = {other: ["x"] for other in CONTEXTS[hook].required if other not in (name, "patientId")}
        if name != "patientId":
            given["patientId"] = "p1"  # type: ignore[assignment]
        with pytest.raises(InvalidRequest, match=rf"context\.{name}.*{hook}"):
            parsed({"hook": hook, "hookInstance": HOOK_INSTANCE, "context": given}, hook)


@pytest.mark.parametrize("hook", CONTEXTS)
def test_members_that_are_merely_expected_are_noted(hook: str) -> None:
    """A missing userId is the client's defect and not the clinician's problem (CH-034)."""
    members: dict[str, Any] = {name: [] for name in CONTEXTS[hook].required} | {"patientId": "p1"}
    request = parsed({"hook": hook, "hookInstance": HOOK_INSTANCE, "context": members}, hook)
    for name in CONTEXTS[hook].expected:
        assert any(name in defect for defect in request.defects), request.defects


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", NotJson),
        (b"{", NotJson),
        (b"[]", NotJson),
        (b'"x"', NotJson),
        (b"null", NotJson),
        (b'{"hook": "\xff"}', NotJson),
        (b'{"hook": "\\ud800"}', HookMismatch),
        (b'{"context": {"a": 1e999}}', NotJson),
        (b'{"context": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", NotJson),
        (b'{"prefetch": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", NotJson),
        (b"{}", InvalidRequest),
        (b'{"hook": ["order-select"]}', InvalidRequest),
        (b'{"hook": "order-select"}', InvalidRequest),
        (b'{"hook": "order-select", "hookInstance": 1}', InvalidRequest),
        (b'{"hook": "order-sign", "hookInstance": "x", "context": {}}', HookMismatch),
    ],
    ids=lambda value: value[:24].decode("latin-1") if isinstance(value, bytes) else value.__name__,
)
def test_what_is_no_call_is_refused(body: bytes, error: type[RequestError]) -> None:
    """Each kind of fault has its own error, and none quotes the body."""
    with pytest.raises(error) as caught:
        parse_request(body, "order-select")
    assert type(caught.value) is error


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("p1", "p1"),
        (" p1 ", "p1"),
        ("Patient/p1", "p1"),
        ("https://ehr.example.org/fhir/Patient/p1", "p1"),
        ("x" * 300, "x" * 300),
    ],
)
def test_a_patient_is_named_by_id_or_reference(given: str, found: str) -> None:
    """CH-034, CH-152: references where a bare id belongs, and ids of any length."""
    assert parsed(call(patientId=given)).patient_id == found


@pytest.mark.parametrize("given", [None, "", " ", 7, True, [], {}, ["p1"], {"id": "p1"}, "Group/p1", "Patient/", "a/b"])
def test_a_patient_that_cannot_be_told_is_a_reason_to_refuse(given: object) -> None:
    """CH-152: never guess whom a call is about."""
    with pytest.raises(InvalidRequest, match=r"context\.patientId"):
        parsed(call(patientId=given))


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("e1", "e1"),
        ("Encounter/e1", "e1"),
        ("https://ehr.example.org/fhir/Encounter/e1", "e1"),
        (None, None),
        ("", None),
        ({}, None),
        (5, None),
        ("Patient/p1", None),
    ],
)
def test_an_encounter_is_read_when_it_is_one(given: object, found: str | None) -> None:
    """An optional member in a form that says nothing is as good as left out."""
    assert parsed(call(encounterId=given)).encounter_id == found


@pytest.mark.parametrize(
    ("given", "defect"),
    [
        ({"hookInstance": "7"}, "CH-032"),
        ({"userId": None}, "CH-151"),
        ({"userId": ""}, "CH-151"),
        ({"patientId": "Patient/p1"}, "CH-152"),
        ({"encounterId": "Encounter/e1"}, "CH-152"),
        ({"userId": "1"}, "CH-151"),
        ({"encounterId": None}, "CH-005"),
        ({"draftOrders": {"resourceType": "Bundle", "entry": [{"resource": ORDER}]}}, "CH-153"),
        ({"draftOrders": [ORDER]}, "CH-153"),
        ({"selections": ["o1"]}, "CH-156 selections hold a bare id"),
        ({"selections": ["ServiceRequest/o1", "ServiceRequest/o2"]}, "CH-156 a selection names no draft"),
        ({"draftOrders": BOTH | {"entry": [{"resource": ORDER | {"status": "active"}}]}}, "CH-157"),
        ({"prefetch": []}, "CH-039"),
        ({"prefetch": "x"}, "CH-039"),
        ({"prefetch": {"patient": [], "conditions": None}}, "CH-039"),
        ({"fhirServer": "the EHR"}, "CH-033"),
        ({"extension": {}}, "CH-005"),
        ({"extension": "x"}, "CH-110"),
    ],
)
def test_a_deviation_is_noted_by_its_number(given: dict[str, Any], defect: str) -> None:
    """CH-034, CH-153: so that a client's maker can be told what to mend."""
    defects = parsed(call(**given)).defects
    assert len(defects) == 1
    assert defects[0].startswith(defect)


def test_notes_hold_nothing_of_the_record() -> None:
    """They are logged."""
    request = parsed(
        call(patientId="Patient/secret-1", userId="", hookInstance="secret-2", encounterId="Encounter/secret-3")
    )
    assert len(request.defects) == 4
    assert "secret" not in " ".join(request.defects)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"resourceType": "Bundle", "entry": [{"resource": ORDER}]}, (ORDER,)),
        (BOTH, (ORDER, DRUG)),
        ({"resourceType": "Bundle", "entry": [None, 7, {}, {"resource": None}, {"resource": ORDER}]}, (ORDER,)),
        ({"resourceType": "Bundle"}, ()),
        ({"resourceType": "Bundle", "entry": None}, ()),
        ({"resourceType": "Bundle", "entry": "x"}, ()),
        ([ORDER, {"resource": DRUG}, None, 7], (ORDER, DRUG)),
    ],
)
def test_drafts_are_what_resources_there_are(given: object, found: tuple[dict[str, Any], ...]) -> None:
    """Empty and damaged entries are passed over, a plain list is read."""
    assert parsed(call(draftOrders=given)).drafts == found


@pytest.mark.parametrize("given", ["x", 7, True, {"resourceType": "List"}, {"resourceType": "ServiceRequest"}])
def test_drafts_that_are_no_bundle_are_refused(given: object) -> None:
    """CH-158: it cannot be told what is being ordered."""
    with pytest.raises(InvalidRequest, match=r"context\.draftOrders"):
        parsed(call(draftOrders=given))


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (["ServiceRequest/o1", " ServiceRequest/o2 "], ("ServiceRequest/o1", "ServiceRequest/o2")),
        (["ServiceRequest/o1", None, 7, "", {}], ("ServiceRequest/o1",)),
    ],
)
def test_selections_are_references(given: list[object], found: tuple[str, ...]) -> None:
    """CH-156: what is no text cannot name an order."""
    assert parsed(call(selections=given)).selections == found


def test_only_order_select_has_selections() -> None:
    """Another hook's call may carry them; they mean nothing there."""
    assert parsed(call("order-sign", selections="nonsense"), "order-sign").selections == ()


@pytest.mark.parametrize("given", [None, "absent"])
def test_a_call_without_prefetch_has_none(given: object) -> None:
    """Nothing supplied is not the same as nothing found; the pipeline decides what that means."""
    body = call()
    del body["prefetch"]
    if given is None:
        body["prefetch"] = None
    assert parsed(body).prefetch == {}


@pytest.mark.parametrize(
    ("members", "admitted"),
    [
        ({"fhirServer": "https://ehr.example.org"}, True),
        ({"fhirServer": "https://ehr.example.org", "fhirAuthorization": {"access_token": "t"}}, True),
        ({"fhirAuthorization": None}, True),
        ({"fhirAuthorization": {}}, True),
        ({"fhirAuthorization": {"access_token": "t"}}, False),
        ({"fhirAuthorization": {"access_token": "t"}, "fhirServer": None}, False),
    ],
)
def test_a_token_comes_with_its_server(members: dict[str, Any], admitted: bool) -> None:
    """CH-037; an empty object is no token (CH-034)."""
    body = call() | members
    if admitted:
        assert parsed(body).patient_id == "p1"
        return
    with pytest.raises(InvalidRequest, match="fhirServer"):
        parsed(body)


def test_members_nobody_knows_are_ignored() -> None:
    """CH-007: newer versions add some."""
    body = call() | {"org.example.new": {"deep": [{}]}, "extension": {"org.example.new": 1}}
    body["context"]["org.example.new"] = None
    assert parsed(body) == parsed(call())
