"""What the service as a whole promises, over HTTP: bodies, time, hooks, one patient, cards with reasons."""

from __future__ import annotations

import copy
import json
import re
import statistics
import time
from typing import Any

import pytest

from cds_service.pipeline import Parts
from cds_service.web.services import discovery
from fhir_profiles.synthetic import synthetic_patients
from hooks import SERVICES
from tests.builders import chart, hook_request
from tests.calling import InProcess, MakeApp, OverHttp, drafts, post, synthetic_request, without_ids
from tests.validity import assert_error, assert_valid_response

Advertised = dict[str, dict[str, str]]
SLUG = "incidental-tail-lesion"
HOOKS = [service.hook for service in SERVICES]
OTHER_HOOKS = (
    "encounter-start",
    "problem-list-item-create",
    "medication-refill",
    "allergyintolerance-create",
    "medication-prescribe",
    "medication-verify",
    "order-review",
    "org.example.scanner-ready",
)
SECONDS = 0.5
NET: dict[str, Any] = {"nen_status": "confirmed", "primary_site": "pancreas", "age_years": 58, "sex": "male"}


def test_every_body_is_json_in_utf8(live: OverHttp, advertised: Advertised) -> None:
    """CH-001: discovery, an answer with cards, feedback and a refusal, each declared as what it is."""
    answers = [
        live.request("GET", "/cds-services"),
        post(live, "order-sign", synthetic_request(SLUG, "order-sign", advertised)),
        live.request("POST", "/cds-services/pnet-order-sign/feedback", b'{"feedback": []}'),
        post(live, "order-sign", b"{}"),
        live.request("GET", "/cds-services/pnet-order-sign"),
    ]
    assert [answer.status for answer in answers] == [200, 200, 200, 400, 405]
    for answer in answers:
        assert answer.headers["Content-Type"] == "application/json"
        assert isinstance(json.loads(answer.body.decode("utf-8")), dict)


def test_nothing_on_offer_is_an_empty_list(parts: Parts) -> None:
    """CH-012, CH-006: where there is no service, the list of services is there and empty."""
    assert discovery((), parts) == {"services": []}


@pytest.mark.parametrize("hook", HOOKS)
def test_what_is_advertised_is_there(hook: str, live: OverHttp) -> None:
    """CH-014, CH-024, CH-030, CH-120: each id of discovery is a path that takes calls of its hook, and feedback."""
    (entry,) = (each for each in live.request("GET", "/cds-services").json()["services"] if each["hook"] == hook)
    call = json.dumps({"hook": hook, "hookInstance": "x"}).encode()
    refused = live.request("POST", f"/cds-services/{entry['id']}", call)
    assert "context is missing" in assert_error(refused, 400, "request-invalid")
    assert live.request("POST", f"/cds-services/{entry['id']}/feedback", b'{"feedback": []}').status == 200


@pytest.mark.parametrize("hook", OTHER_HOOKS)
def test_a_hook_that_is_not_offered_is_refused(hook: str, live: OverHttp) -> None:
    """CH-041, CH-150, CH-160, CH-163 to CH-168: no hook is mandatory; there is no service for it and none takes it."""
    call = {"hook": hook, "hookInstance": "x", "context": {"patientId": "p1"}}
    assert_error(post(live, hook, call), 404, "service-unknown")
    for offered in HOOKS:
        assert_error(post(live, offered, call), 400, "hook-not-offered")


def test_a_call_is_answered_in_time(local: InProcess, advertised: Advertised) -> None:
    """CH-042: in the order of 500 ms; half of the calls about all bundled patients take a small part of that."""
    taken = []
    for patient in synthetic_patients():
        request = synthetic_request(patient.slug, "order-select", advertised)
        started = time.perf_counter()
        assert post(local, "order-select", request).status == 200
        taken.append(time.perf_counter() - started)
    assert statistics.median(taken) < SECONDS


def test_each_call_stands_alone(live: OverHttp, make_app: MakeApp, advertised: Advertised) -> None:
    """CH-044: a service that has never seen the patient before gives the answer of one that has."""
    request = synthetic_request(SLUG, "order-sign", advertised)
    for hook in ("patient-view", "order-select"):
        post(live, hook, synthetic_request(SLUG, hook, advertised))
    fresh = post(InProcess(make_app()), "order-sign", request)
    assert json.loads(_no_consult(fresh.body)) == json.loads(_no_consult(post(live, "order-sign", request).body))


def _no_consult(body: bytes) -> bytes:
    """An answer with the same digits in every UUID."""
    return re.sub(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", b"any", body)


OTHER_ORDERS: dict[str, dict[str, Any]] = {
    "MedicationRequest": {"medicationCodeableConcept": {"text": "Octreotide"}},
    "DeviceRequest": {"codeCodeableConcept": {"text": "MRI scanner"}},
    "NutritionOrder": {"dateTime": "2026-11-20", "oralDiet": {"type": [{"text": "Low fat"}]}},
    "VisionPrescription": {"created": "2026-11-20"},
    "CommunicationRequest": {"payload": [{"contentString": "CT abdomen"}]},
    "SupplyRequest": {"itemCodeableConcept": {"text": "Contrast agent"}},
}


@pytest.mark.parametrize("kind", OTHER_ORDERS)
@pytest.mark.parametrize("hook", ["order-select", "order-sign"])
def test_orders_of_other_kinds_are_left_alone(kind: str, hook: str, live: OverHttp, advertised: Advertised) -> None:
    """CH-169, PM-002: a drug, a device or a diet beside the study changes nothing, and alone there is
    nothing to say.
    """
    request = synthetic_request(SLUG, hook, advertised)
    clean = post(live, hook, request).body
    other = {"resourceType": kind, "id": "other-1", "status": "draft", "intent": "order", **OTHER_ORDERS[kind]}
    request["context"]["draftOrders"]["entry"].insert(0, {"resource": other})
    if hook == "order-select":
        request["context"]["selections"].append(f"{kind}/other-1")
    answer = post(live, hook, request)
    assert_valid_response(answer, request)
    assert json.loads(_no_consult(answer.body)) == json.loads(_no_consult(clean))
    del request["context"]["draftOrders"]["entry"][1:]
    assert post(live, hook, request).json() == {"cards": []}


def test_a_card_names_its_order(live: OverHttp, advertised: Advertised) -> None:
    """CH-109, CR-005: of several orders in one call each has its card, which says in words and by reference whose."""
    request = hook_request(chart(NET, ["eus", "ct-abd-pel-wo"]), "order-select", keys=advertised["order-select"])
    cards = assert_valid_response(post(live, "order-select", request), request)["cards"]
    assert len(cards) == len(drafts(request)) == 2
    for draft, card in zip(drafts(request), cards, strict=True):
        reference = f"ServiceRequest/{draft['id']}"
        assert card["detail"].startswith("**Order:** ")
        assert f"`{reference}`" in card["detail"].splitlines()[0]
        assert card["extension"]["davinci-crd.associated-resource"] == [{"reference": reference}]


def test_what_is_drafted_is_not_suggested_again(live: OverHttp, advertised: Advertised) -> None:
    """CR-009: where the better study is among the drafts, the suggestion only removes the other one."""
    request = hook_request(
        chart(NET, ["eus", "mri-abd-pel-wwo"]), "order-select", keys=advertised["order-select"], selections=None
    )
    cards = assert_valid_response(post(live, "order-select", request), request)["cards"]
    suggested = [s for card in cards for s in card.get("suggestions", []) if s.get("isRecommended")]
    assert suggested
    assert {action["type"] for suggestion in suggested for action in suggestion["actions"]} == {"delete"}


def test_advice_is_withdrawn_when_its_reason_is_gone(live: OverHttp, advertised: Advertised) -> None:
    """CH-170, CH-022: the same service, called again with the suggested order, has no card left to show."""
    request = synthetic_request(SLUG, "order-sign", advertised)
    (card,) = post(live, "order-sign", request).json()["cards"]
    (better,) = (s for s in card["suggestions"] if s.get("isRecommended"))
    created = [action["resource"] for action in better["actions"] if action["type"] == "create"]
    assert created
    request["context"]["draftOrders"]["entry"] = [
        {"resource": {**order, "id": f"created-{number}"}} for number, order in enumerate(created)
    ]
    assert post(live, "order-sign", request).json()["cards"] == []


@pytest.mark.parametrize("hook", ["patient-view", "order-select"])
def test_a_card_says_what_it_rests_on_and_when(hook: str, live: OverHttp, advertised: Advertised) -> None:
    """CH-171: shown late, a card still tells of which record and of which day its reasons are."""
    request = synthetic_request(SLUG, hook, advertised)
    (card,) = assert_valid_response(post(live, hook, request), request)["cards"]
    reasons = card["detail"].partition("**Why this scenario")[2].partition("\n\n")[0]
    assert re.search(r"\(`[A-Z][A-Za-z]+/itl-[a-z0-9-]+`, \d{4}-\d\d-\d\d", reasons), reasons


# --- one patient ------------------------------------------------------------------------------------------------------

RECORDS = {patient.slug: patient.bundle for patient in synthetic_patients()}


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("slug", RECORDS)
def test_no_answer_mentions_another_patients_record(
    slug: str, hook: str, live: OverHttp, advertised: Advertised
) -> None:
    """CH-034, CH-076: with another chart mixed into every key, cards and actions are as without it."""
    slugs = list(RECORDS)
    other = slugs[slugs.index(slug) - 1]
    request = synthetic_request(slug, hook, advertised)
    mixed = copy.deepcopy(request)
    foreign = [entry["resource"] for entry in copy.deepcopy(RECORDS[other])["entry"]]
    for number, resource in enumerate(foreign):
        resource["id"] = f"foreign-{resource['id']}"
        resource["identifier"] = "damaged" if number % 2 else resource.get("identifier", [])
    whose = next(f"foreign-{entry['resource']['id']}" for entry in RECORDS[other]["entry"] if _is_patient(entry))
    text = json.dumps(foreign).replace(f'"Patient/{whose.removeprefix("foreign-")}"', f'"Patient/{whose}"')
    for key, value in mixed["prefetch"].items():
        if advertised[hook][key].partition("?")[2]:
            bundle = value or {"resourceType": "Bundle", "type": "searchset"}
            mixed["prefetch"][key] = bundle
            bundle.setdefault("entry", []).extend({"resource": resource} for resource in json.loads(text))
    answer = post(live, hook, mixed)
    body = assert_valid_response(answer, mixed)
    assert "foreign-" not in json.dumps([body["cards"], body.get("systemActions"), _ratings(body)])
    expected = post(live, hook, request).json()
    assert _summaries(expected) <= _summaries(body), "advice is lost"


def _is_patient(entry: dict[str, Any]) -> bool:
    return bool(entry["resource"]["resourceType"] == "Patient")


def _ratings(body: dict[str, Any]) -> Any:
    return body.get("extension", {}).get("systemActions")


def _summaries(body: dict[str, Any]) -> set[str]:
    return {card["summary"] for card in body["cards"]}


def test_what_is_on_order_for_somebody_else_changes_nothing(live: OverHttp, advertised: Advertised) -> None:
    """CH-076: a creatinine on another patient's list is no reason not to offer one for this patient."""
    request = hook_request(chart(NET, ["ct-abd-pel-wo"]), "order-select", keys=advertised["order-select"])
    clean = post(live, "order-select", request).json()
    order: dict[str, Any] = {
        "resourceType": "ServiceRequest",
        "id": "creatinine",
        "status": "active",
        "intent": "order",
        "subject": {"reference": "Patient/p1"},
        "code": {"coding": [{"system": "http://loinc.org", "code": "2160-0"}]},
    }

    def offered(subject: str, place: str) -> list[Any]:
        """Codes of the tests offered when such an order is somewhere in the call."""
        changed = copy.deepcopy(request)
        placed = order | {"subject": {"reference": subject}, "status": "draft" if place == "draft" else "active"}
        if place == "draft":
            changed["context"]["draftOrders"]["entry"].append({"resource": placed})
        else:
            changed["prefetch"]["plannedServices"] = {"resourceType": "Bundle", "entry": [{"resource": placed}]}
        return _questions(post(live, "order-select", changed).json())

    assert _questions(clean)
    for place in ("draft", "chart"):
        assert offered("Patient/p1", place) != _questions(clean)
        assert offered("Patient/p2", place) == _questions(clean)


def _questions(body: dict[str, Any]) -> list[Any]:
    """Codes of the tests that are offered beside the better study."""
    suggestions = [s for card in without_ids(body)["cards"] for s in card.get("suggestions", [])]
    return [s["actions"][0]["resource"]["code"] for s in suggestions if not s.get("isRecommended")]
