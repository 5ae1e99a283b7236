"""Calls that cannot be answered, calls that deviate without harm, and charts with damaged or foreign data."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any

import pytest

from fhir_profiles.synthetic import synthetic_patients
from tests.builders import LOCAL, chart
from tests.calling import (
    ASSESSMENT,
    JSON,
    Answer,
    Body,
    InProcess,
    OverHttp,
    assessment,
    drafts,
    encoded,
    entries,
    post,
    synthetic_request,
    without_ids,
)
from tests.validity import assert_answered_or_refused, assert_error, assert_valid_response

SLUG = "incidental-tail-lesion"
PRIVATE = "itl-"
"""Every identifier in the chart of the story begins like this."""
FAMILY = "family name of the patient"
DEEP = 10_000
OTHER_PATIENT = "somebody-else"

Advertised = dict[str, dict[str, str]]
Request = dict[str, Any]
Change = Callable[[Request], Body | None]


@pytest.fixture
def request_body(advertised: Advertised) -> Request:
    """A correct order-select call, to be spoilt."""
    return synthetic_request(SLUG, "order-select", advertised)


def changed(request: Request, change: Change) -> Body:
    """The body after a change: what the change returns, else the request it changed."""
    spoilt = copy.deepcopy(request)
    replaced = change(spoilt)
    return spoilt if replaced is None else replaced


def without(*path: str) -> Change:
    """Leave a member out."""

    def change(request: Request) -> None:
        *way, last = path
        parent: Any = request
        for name in way:
            parent = parent[name]
        del parent[last]

    return change


def with_value(value: Any, *path: str | int) -> Change:
    """Give a member another value."""

    def change(request: Request) -> None:
        *way, last = path
        parent: Any = request
        for name in way:
            parent = parent[name]
        parent[last] = value

    return change


def says_nothing_private(answer: Answer, request: Request) -> None:
    """An error quotes nothing from the record."""
    family = request["prefetch"]["patient"]["name"][0]["family"]
    assert PRIVATE not in answer.body.decode()
    assert family not in answer.body.decode()


def nested(levels: int, opening: str, closing: str) -> bytes:
    """JSON inside JSON, many levels deep."""
    return (opening * levels + "1" + closing * levels).encode()


# --- refused ----------------------------------------------------------------------------------------------------------

REFUSED: dict[str, tuple[Change, int, str, str]] = {
    "empty body": (lambda _: b"", 400, "body-not-json", "JSON"),
    "plain text": (lambda _: b"order-select, please", 400, "body-not-json", "JSON"),
    "JSON cut short": (lambda request: encoded(request)[:-1], 400, "body-not-json", "JSON"),
    "two JSON values": (lambda request: encoded(request) * 2, 400, "body-not-json", "JSON"),
    "NaN": (lambda _: b'{"hook": NaN}', 400, "body-not-json", "JSON"),
    "JSON array": (lambda request: encoded(request).join((b"[", b"]")), 400, "body-not-json", "object"),
    "JSON null": (lambda _: b"null", 400, "body-not-json", "object"),
    "JSON number": (lambda _: b"5", 400, "body-not-json", "object"),
    "invalid UTF-8": (lambda _: b'{"hook": "order-select", "context": "\xff"}', 400, "body-not-json", "UTF-8"),
    "invalid UTF-8 in the name of a key": (
        lambda request: encoded(request).replace(b'"conditions"', b'"condition\xff"'),
        400,
        "body-not-json",
        "UTF-8",
    ),
    "UTF-16": (lambda request: json.dumps(request).encode("utf-16"), 400, "body-not-json", "UTF-8"),
    "no members": (lambda _: b"{}", 400, "request-invalid", "hook"),
    "hook missing": (without("hook"), 400, "request-invalid", "hook is missing"),
    "hook no string": (with_value(7, "hook"), 400, "request-invalid", "hook is missing or not a string"),
    "hook empty": (with_value("", "hook"), 400, "request-invalid", "hook is missing"),
    "hook of another service": (with_value("order-sign", "hook"), 400, "hook-not-offered", "order-select only"),
    "hook unknown": (with_value("order-dance", "hook"), 400, "hook-not-offered", "order-select only"),
    "hookInstance missing": (without("hookInstance"), 400, "request-invalid", "hookInstance.*UUID"),
    "hookInstance no string": (with_value({}, "hookInstance"), 400, "request-invalid", "hookInstance.*UUID"),
    "context missing": (without("context"), 400, "request-invalid", "context is missing"),
    "context null": (with_value(None, "context"), 400, "request-invalid", "context is missing"),
    "context a list": (with_value([], "context"), 400, "request-invalid", "context is missing or not an object"),
    "patientId missing": (without("context", "patientId"), 400, "request-invalid", r"context\.patientId"),
    "patientId empty": (with_value("", "context", "patientId"), 400, "request-invalid", r"context\.patientId"),
    "patientId no string": (with_value(7, "context", "patientId"), 400, "request-invalid", r"context\.patientId"),
    "patientId of another type": (
        with_value("Group/itl-patient", "context", "patientId"),
        400,
        "request-invalid",
        r"context\.patientId.*Patient",
    ),
    "draftOrders missing": (without("context", "draftOrders"), 400, "request-invalid", r"context\.draftOrders"),
    "draftOrders a string": (with_value("x", "context", "draftOrders"), 400, "request-invalid", "Bundle"),
    "draftOrders no Bundle": (
        with_value({"resourceType": "List"}, "context", "draftOrders"),
        400,
        "request-invalid",
        "Bundle",
    ),
    "selections missing": (without("context", "selections"), 400, "request-invalid", r"context\.selections"),
    "selections no list": (
        with_value("ServiceRequest/itl-sr-eus", "context", "selections"),
        400,
        "request-invalid",
        r"context\.selections",
    ),
    "token without server": (
        with_value({"access_token": "itl-secret", "token_type": "Bearer"}, "fhirAuthorization"),
        400,
        "request-invalid",
        "fhirServer",
    ),
    "order for another patient": (
        lambda request: drafts(request)[0].update(subject={"reference": "Patient/itl-other"}),
        400,
        "patient-mismatch",
        "one patient",
    ),
    "order for another patient, absolute": (
        lambda request: drafts(request)[0].update(
            subject={"reference": "https://ehr.example.org/fhir/Patient/itl-other/_history/2"}
        ),
        400,
        "patient-mismatch",
        "one patient",
    ),
    "order for a group": (
        lambda request: drafts(request)[0].update(subject={"reference": "Group/itl-patient"}),
        400,
        "patient-mismatch",
        "one patient",
    ),
    "order of STU3": (
        lambda request: drafts(request)[0].update(resourceType="ProcedureRequest"),
        400,
        "fhir-version-unsupported",
        "ProcedureRequest.*R4",
    ),
    "order of DSTU2": (
        lambda request: drafts(request)[0].update(resourceType="DiagnosticOrder"),
        400,
        "fhir-version-unsupported",
        "DiagnosticOrder.*R4",
    ),
    "chart with a resource of DSTU2": (
        lambda request: entries(request, "medicationRequests").append(
            {"resource": {"resourceType": "MedicationOrder", "id": "itl-mo"}}
        ),
        400,
        "fhir-version-unsupported",
        "MedicationOrder.*R4",
    ),
    "chart with a resource of STU3": (
        lambda request: entries(request, "plannedServices").append(
            {"resource": {"resourceType": "ProcedureRequest", "id": "itl-pr"}}
        ),
        400,
        "fhir-version-unsupported",
        "ProcedureRequest.*R4",
    ),
    "prefetch missing": (without("prefetch"), 412, "prefetch-missing", r"conditions.*Condition\?patient="),
    "prefetch null": (with_value(None, "prefetch"), 412, "prefetch-missing", "conditions"),
    "prefetch a list": (with_value([], "prefetch"), 412, "prefetch-missing", "conditions"),
    "required key missing": (without("prefetch", "conditions"), 412, "prefetch-missing", "conditions"),
    "required key a string": (with_value("itl-", "prefetch", "conditions"), 412, "prefetch-missing", "conditions"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_call_that_cannot_be_answered_is_refused_with_advice(
    case: str, live: OverHttp, request_body: Request
) -> None:
    """CH-046, CH-047, CH-008, CH-185: the status and slug of the rule broken, and a message that says what to send."""
    change, status, slug, advice = REFUSED[case]
    answer = post(live, "order-select", changed(request_body, change))
    message = assert_error(answer, status, slug)
    assert re.search(advice, message), message
    says_nothing_private(answer, request_body)


@pytest.mark.parametrize("name", ["clinicalStatus", "verificationStatus"])
def test_a_chart_of_an_older_fhir_version_is_refused(name: str, live: OverHttp, request_body: Request) -> None:
    """CH-150: Conditions whose status is a plain string are STU3 or DSTU2 and would be misread with confidence."""
    for entry in entries(request_body, "conditions"):
        entry["resource"][name] = "active"
    message = assert_error(post(live, "order-select", request_body), 400, "fhir-version-unsupported")
    assert "R4" in message


@pytest.mark.parametrize(
    "media_type",
    ["text/plain", "text/html", "application/xml", "application/fhir+xml", "application/x-www-form-urlencoded"],
)
def test_another_media_type_is_refused(media_type: str, live: OverHttp, request_body: Request) -> None:
    """CH-048.415: 415, with the one to use."""
    message = assert_error(post(live, "order-select", request_body, media_type), 415, "media-type-unsupported")
    assert JSON in message


@pytest.mark.parametrize(
    "media_type",
    [
        "application/json; charset=utf-8",
        "Application/JSON",
        "application/fhir+json",
        "application/fhir+json;fhirVersion=4.0",
        "text/json",
        None,
    ],
)
def test_json_under_another_name_is_accepted(media_type: str | None, live: OverHttp, request_body: Request) -> None:
    """CH-048.415: lenient about the label, since the content decides."""
    assert_valid_response(post(live, "order-select", request_body, media_type), request_body)


def test_a_body_above_the_limit_is_refused(live_with_small_limit: OverHttp, request_body: Request) -> None:
    """CH-048.413: 413, naming the setting that would allow it."""
    answer = post(live_with_small_limit, "order-select", request_body)
    message = assert_error(answer, 413, "body-too-large")
    assert "PNET_CDS_MAX_BODY_BYTES" in message
    says_nothing_private(answer, request_body)


def pieces(body: bytes) -> Iterator[bytes]:
    """The body in pieces, as a proxy may pass it on."""
    for start in range(0, len(body), 500):
        yield body[start : start + 500]


def test_a_body_in_chunks_counts_against_the_limit(live_with_small_limit: OverHttp, request_body: Request) -> None:
    """CH-048.413: leaving out the length is no way around the limit."""
    body = pieces(encoded(request_body))
    answer = live_with_small_limit.request("POST", "/cds-services/pnet-order-select", body)
    assert_error(answer, 413, "body-too-large")


def test_a_body_in_chunks_is_read(live: OverHttp, request_body: Request) -> None:
    """A call passed on without its length is answered like any other."""
    body = pieces(encoded(request_body))
    answer = live.request("POST", "/cds-services/pnet-order-select", body)
    assert_valid_response(answer, request_body)


@pytest.mark.parametrize("service", ["no-such-service", "pnet-order-select/", "PNET-ORDER-SELECT"])
def test_an_unknown_service_is_not_found(service: str, live: OverHttp, request_body: Request) -> None:
    """CH-048.404: 404, pointing to discovery."""
    answer = live.request("POST", f"/cds-services/{service}", encoded(request_body))
    assert answer.status == 404
    assert answer.json()["resourceType"] == "OperationOutcome"
    assert "/cds-services" in answer.message()
    assert "no-such-service" not in answer.body.decode()


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_a_service_is_called_by_post_only(method: str, live: OverHttp) -> None:
    """CH-030, CH-048.405: 405 with Allow, and a message that names the method to use."""
    answer = live.request(method, "/cds-services/pnet-order-select")
    message = assert_error(answer, 405, "http-405")
    assert "POST" in answer.headers["Allow"]
    assert "POST" in message


def test_discovery_is_read_by_get_only(live: OverHttp) -> None:
    """CH-048.405: 405 with Allow."""
    answer = live.request("POST", "/cds-services", b"{}")
    assert answer.status == 405
    assert "GET" in answer.headers["Allow"]
    assert "GET" in answer.message()


def test_errors_leave_the_service_answering(live: OverHttp, request_body: Request) -> None:
    """No call can end the process: after every refusal above a good call is answered."""
    for change, *_ in REFUSED.values():
        post(live, "order-select", changed(request_body, change))
    assert_valid_response(post(live, "order-select", request_body), request_body)
    assert live.request("GET", "/readyz").status == 200


# --- depth and size ---------------------------------------------------------------------------------------------------

DEEP_PLACES: dict[str, Change] = {
    "context": with_value("@", "context", "more"),
    "a draft": lambda request: drafts(request)[0].update(note="@"),
    "a prefetched resource": lambda request: entries(request, "conditions")[0]["resource"].update(note="@"),
    "a prefetched result": lambda request: entries(request, "laboratory")[0]["resource"].update(valueQuantity="@"),
    "a key of its own": with_value("@", "prefetch", "conditions"),
    "the links of a page": with_value("@", "prefetch", "procedures", "link"),
    "an unknown member": with_value("@", "more"),
}


@pytest.mark.parametrize("brackets", [("[", "]"), ('{"a":', "}")], ids=["lists", "objects"])
@pytest.mark.parametrize("place", DEEP_PLACES)
def test_json_nested_beyond_reason_is_refused(
    place: str, brackets: tuple[str, str], live: OverHttp, request_body: Request
) -> None:
    """Ten thousand levels are no request but an attack."""
    body = encoded(changed(request_body, DEEP_PLACES[place])).replace(b'"@"', nested(DEEP, *brackets))
    message = assert_error(post(live, "order-select", body), 400, "body-not-json")
    assert "nested too deeply" in message


@pytest.mark.parametrize("place", DEEP_PLACES)
def test_no_depth_makes_the_service_fail(place: str, local: InProcess, request_body: Request) -> None:
    """Around the limit of what can be decoded nothing else breaks either, also when resources are compared."""
    spoilt = changed(request_body, DEEP_PLACES[place])
    assert isinstance(spoilt, dict)
    for key in ("conditions", "laboratory"):
        bundle = spoilt["prefetch"][key]
        if isinstance(bundle, dict):
            copies = copy.deepcopy(bundle["entry"])
            nameless = copy.deepcopy(bundle["entry"])
            for entry in nameless:
                del entry["resource"]["id"]
            bundle["entry"] += copies + nameless
    body = encoded(spoilt)

    def at(levels: int) -> Answer:
        return post(local, "order-select", body.replace(b'"@"', nested(levels, "[", "]")))

    accepted, refused = 1, DEEP
    while refused - accepted > 1:
        middle = (accepted + refused) // 2
        if at(middle).status == 400:
            refused = middle
        else:
            accepted = middle
    for levels in range(accepted - 12, refused + 3):
        assert_answered_or_refused(at(levels), request_body)


# --- another patient's data -------------------------------------------------------------------------------------------

FOREIGN_FACTS: dict[str, Any] = {
    "age_years": 80,
    "sex": "female",
    "nen_status": "confirmed",
    "primary_site": "rectum",
    "differentiation": "poor",
    "ki67_percent": 80,
    "size_mm": 60,
    "metastases": ["liver", "bone"],
    "functional_syndrome": "carcinoid",
    "curative_resection": True,
    "months_since_resection": 3,
    "prior_treatments": ["tace", "chemotherapy"],
    "current_treatments": ["ssa-antiproliferative"],
    "egfr": 12,
    "pregnant": True,
    "gadolinium_allergy": "severe",
    "iodinated_allergy": "severe",
    "implant": "non-mr-conditional",
    "last_imaging_result": "progression",
}


def foreign_chart(reference: str) -> list[dict[str, Any]]:
    """Another patient's whole chart, full of facts that would change every answer."""
    found = []
    for style in (0, 1, 2):
        for resource in chart(FOREIGN_FACTS, [], style=style):
            other = copy.deepcopy(resource)
            if other["resourceType"] == "Patient":
                other |= {"id": OTHER_PATIENT, "deceasedBoolean": True}
            else:
                other["id"] = f"foreign-{style}-{other['id']}"
                other["patient" if "patient" in other else "subject"] = {"reference": reference}
            found.append(other)
    return found


@pytest.mark.parametrize(
    "reference",
    [
        f"Patient/{OTHER_PATIENT}",
        f"https://ehr.example.org/fhir/Patient/{OTHER_PATIENT}",
        f"Patient/{OTHER_PATIENT}/_history/4",
        f"urn:uuid:{'0' * 8}-0000-4000-8000-{'0' * 12}",
        f"Group/{OTHER_PATIENT}",
        "Patient/itl-patient2",
        "Patient/xitl-patient",
    ],
)
def test_another_patients_data_is_set_aside_and_reported(reference: str, live: OverHttp, request_body: Request) -> None:
    """CH-076, CH-060: it changes nothing in the answer but that no rating may be stored unseen; every piece of it is
    named.
    """
    clean = post(live, "order-select", request_body)
    foreign = foreign_chart(reference)
    for key in ("conditions", "laboratory", "allergies"):
        entries(request_body, key).extend({"resource": resource} for resource in foreign)
    answer = post(live, "order-select", request_body)
    assert_valid_response(answer, request_body)
    mixed, alone = assessment(answer), assessment(clean)
    reported = {item["source"] for item in mixed.pop("unusable")}
    alone.pop("unusable", None)
    recorded = [order.pop("pama") for order in (*alone["orders"], *mixed["orders"])]
    assert [pama["rule"] for pama in recorded] == ["PAM-04", "PAM-06"]
    assert mixed == alone
    expected = {f"{resource['resourceType']}/{resource['id']}" for resource in foreign}
    assert expected - reported <= {f"Patient/{OTHER_PATIENT}"}
    assert "Patient" in reported
    cards = answer.json()["cards"]
    assert [card["summary"] for card in cards] == [card["summary"] for card in clean.json()["cards"]]
    assert "foreign-" not in str(cards), "a card names kinds of resources only"


def test_another_patient_under_the_patient_key_is_set_aside(live: OverHttp, request_body: Request) -> None:
    """Age, sex and death of somebody else are not read."""
    request_body["prefetch"]["patient"] |= {"id": OTHER_PATIENT, "deceasedBoolean": True, "birthDate": "2015-01-01"}
    answer = post(live, "order-select", request_body)
    assert_valid_response(answer, request_body)
    found = assessment(answer)
    assert found["unusable"] == [{"source": "Patient", "reason": "this is another patient than the one of the call"}]
    assert not {"age_years", "sex"} & found["facts"].keys()


def test_an_unrelated_order_for_another_patient_is_left_alone(live: OverHttp, request_body: Request) -> None:
    """An order that is none of the service's business is neither read nor refused (CH-049)."""
    clean = post(live, "order-select", request_body)
    request_body["context"]["draftOrders"]["entry"].append(
        {
            "resource": {
                "resourceType": "MedicationRequest",
                "id": "foreign-drug",
                "status": "draft",
                "intent": "order",
                "subject": {"reference": f"Patient/{OTHER_PATIENT}"},
                "medicationCodeableConcept": {"text": "lanreotide"},
            }
        }
    )
    answer = post(live, "order-select", request_body)
    assert without_ids(answer.json()) == without_ids(clean.json())


# --- what a key may hold ----------------------------------------------------------------------------------------------

OUTCOME = {
    "resourceType": "OperationOutcome",
    "issue": [{"severity": "error", "code": "timeout", "diagnostics": "itl-server timed out"}],
}
OUTCOME_BUNDLE = {
    "resourceType": "Bundle",
    "type": "searchset",
    "entry": [{"resource": OUTCOME, "search": {"mode": "outcome"}}],
}
MERE_WARNING = {"resourceType": "OperationOutcome", "issue": [{"severity": "warning", "code": "incomplete"}]}
WRONG_TYPE = {"resourceType": "Organization", "id": "itl-clinic"}
each_failure = pytest.mark.parametrize(
    "failure",
    [OUTCOME, OUTCOME_BUNDLE, MERE_WARNING, WRONG_TYPE],
    ids=["outcome", "in a Bundle", "warning instead of data", "another type"],
)


@each_failure
def test_a_required_key_that_failed_is_a_reason_to_refuse(
    failure: dict[str, Any], live: OverHttp, request_body: Request
) -> None:
    """CH-057, CH-061: neither an error nor something else is an empty result, so no safe answer exists."""
    request_body["prefetch"]["conditions"] = failure
    answer = post(live, "order-select", request_body)
    assert "conditions" in assert_error(answer, 412, "prefetch-missing")
    says_nothing_private(answer, request_body)


@each_failure
@pytest.mark.parametrize("key", ["laboratory", "allergies", "devices", "procedures"])
def test_an_optional_key_that_failed_is_named(
    key: str, failure: dict[str, Any], live: OverHttp, request_body: Request
) -> None:
    """CH-058: the answer says which data could not be had, on the card and in the assessment."""
    request_body["prefetch"][key] = failure
    body = assert_valid_response(post(live, "order-select", request_body), request_body)
    assert body["extension"][ASSESSMENT]["unavailable"] == [key]
    assert key in body["cards"][0]["detail"]
    assert "timed out" not in json.dumps(body)


@pytest.mark.parametrize("key", ["laboratory", "allergies", "devices", "procedures"])
def test_an_optional_key_left_out_is_named(key: str, live: OverHttp, request_body: Request) -> None:
    """CH-049, CR-010: not asked is not the same as not there."""
    del request_body["prefetch"][key]
    body = assert_valid_response(post(live, "order-select", request_body), request_body)
    assert body["extension"][ASSESSMENT]["unavailable"] == [key]


@pytest.mark.parametrize("hook", ["patient-view", "order-select", "order-sign"])
def test_nulls_throughout_mean_that_there_is_nothing(hook: str, live: OverHttp, advertised: Advertised) -> None:
    """CH-057, CH-006: the client looked and found nothing, which is no reason to refuse and nothing to speak about."""
    request = synthetic_request(SLUG, hook, advertised)
    request["prefetch"] = dict.fromkeys(advertised[hook])
    for draft in drafts(request):
        del draft["reasonCode"]
    assert assert_valid_response(post(live, hook, request), request) == {"cards": []}


@pytest.mark.parametrize("empty", [{}, {"entry": []}, {"total": 0}], ids=["no entry", "entry []", "total 0"])
def test_a_search_without_hits_is_the_same_as_null(
    empty: dict[str, Any], live: OverHttp, request_body: Request
) -> None:
    """CH-057: both ways of saying that nothing was found give one answer."""
    answers = []
    for value in (None, {"resourceType": "Bundle", "type": "searchset", **empty}):
        request_body["prefetch"] |= {"procedures": value, "allergies": value}
        answers.append(without_ids(assert_valid_response(post(live, "order-select", request_body), request_body)))
    assert answers[0] == answers[1]
    assert "unavailable" not in answers[0]["extension"][ASSESSMENT]


def test_a_page_is_read_and_said_to_be_a_page(live: OverHttp, request_body: Request) -> None:
    """CH-059: what is on the page counts, and what lies behind it is not taken to be absent."""
    for key in ("conditions", "laboratory"):
        request_body["prefetch"][key]["link"] = [
            {"relation": "self", "url": "https://ehr.example.org/fhir/x"},
            {"relation": "next", "url": "https://ehr.example.org/fhir/x?page=2"},
        ]
    body = assert_valid_response(post(live, "order-select", request_body), request_body)
    found = body["extension"][ASSESSMENT]
    assert found["unavailable"] == ["conditions", "laboratory"]
    assert found["facts"]["nen_status"]["value"] == "confirmed"


def test_a_page_without_a_tumour_is_no_proof_that_there_is_none(live: OverHttp, request_body: Request) -> None:
    """CH-058: with more pages to come the service does not answer as for a healthy patient."""
    for key in ("laboratory", "examinations", "imagingResults"):
        request_body["prefetch"][key] = None
    request_body["prefetch"]["conditions"] |= {
        "entry": [],
        "link": [{"relation": "next", "url": "https://ehr.example.org/fhir/x?page=2"}],
    }
    drafts(request_body)[0].pop("reasonCode", None)
    answer = post(live, "order-select", request_body)
    if answer.status == 412:
        assert_error(answer, 412, "prefetch-missing")
        return
    found = assert_valid_response(answer, request_body)["extension"][ASSESSMENT]
    assert found["unavailable"] == ["conditions"]
    assert "nen_status" not in found["facts"]


# --- damaged values ---------------------------------------------------------------------------------------------------

DATE = re.compile(r"\d{4}(-\d{2}(-\d{2}(T.*)?)?)?")


def date_places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where a chart holds dates."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        if isinstance(item, str) and DATE.fullmatch(item):
            yield (*path, name)
        yield from date_places(item, (*path, name))


def answer_of(service: InProcess, request: Request) -> Any:
    """What matters of an answer, without what it says about data that could not be used."""
    body = assert_valid_response(post(service, "order-select", request), request)
    found = body.get("extension", {}).get(ASSESSMENT, {})
    found.pop("unusable", None)
    return [(card["summary"], card["indicator"]) for card in body["cards"]], found


@pytest.mark.parametrize("slug", [patient.slug for patient in synthetic_patients()])
def test_a_date_that_is_none_counts_as_no_date(slug: str, local: InProcess, advertised: Advertised) -> None:
    """Months and days that do not exist, in every date of the chart: the answer is as if the date were left out."""
    request = synthetic_request(slug, "order-select", advertised)
    places = list(date_places(request["prefetch"]))
    assert places
    for place, damaged in zip(places, cycle(("2020-13", "2026-02-30"))):
        left_out, spoilt = (answer_of(local, changed_at(request, place, value)) for value in (None, damaged))
        assert spoilt == left_out, (place, damaged)


def changed_at(request: Request, place: tuple[str | int, ...], value: str | None) -> Request:
    """The request with another value in one place of its prefetch; None takes the member away."""
    spoilt = copy.deepcopy(request)
    parent: Any = spoilt["prefetch"]
    for name in place[:-1]:
        parent = parent[name]
    if value is None:
        del parent[place[-1]]
    else:
        parent[place[-1]] = value
    return spoilt


def test_a_birth_date_that_is_none_is_reported(live: OverHttp, request_body: Request) -> None:
    """The age is unknown, and the card's reader can find out why."""
    request_body["prefetch"]["patient"]["birthDate"] = "1968-02-30"
    found = assessment(post(live, "order-select", request_body))
    assert found["unusable"] == [
        {"source": "Patient/itl-patient", "reason": "birthDate is not a date in the past", "fact": "age_years"}
    ]
    assert "age_years" in found["missing"]


NUMBERS = ["-1", "-0.5", "1e308", "1e300", "1" + "0" * 400, "123456789012345678901234567890.5", "1e-320", "0"]
NUMBER_FACTS = {
    "ki67-percent": "%",
    "size-mm": "cm",
    "mitoses": "1",
    "egfr": "mL/min/{1.73_m2}",
    "months-since-last-imaging": "a",
    "nodes-positive-count": "1",
}
"""Codes of numbers, each with a unit a sender may use."""


def odd_values(number: str, unit: str) -> dict[str, str]:
    """The ways of writing a number, as JSON text."""
    return {
        "valueQuantity": f'{{"value": {number}, "unit": "{unit}"}}',
        "valueString": f'"{number} {unit}"',
        "valueRange": f'{{"low": {{"value": {number}, "unit": "{unit}"}}, "high": {{"value": 1e308}}}}',
        "valueInteger": number,
    }


@pytest.mark.parametrize("number", NUMBERS, ids=[number[:9] for number in NUMBERS])
@pytest.mark.parametrize("code", NUMBER_FACTS)
def test_numbers_out_of_range_never_leave_the_service(
    code: str, number: str, local: InProcess, request_body: Request
) -> None:
    """Whatever number was recorded, the answer is valid JSON with finite numbers, and a negative one is not used."""
    fact = code.replace("-", "_")
    clean = assessment(post(local, "order-select", request_body))["facts"].get(fact)
    resource = {
        "resourceType": "Observation",
        "id": "odd",
        "status": "final",
        "code": {"coding": [{"system": LOCAL, "code": code}]},
        "subject": {"reference": "Patient/itl-patient"},
        "effectiveDateTime": "2026-11-20",
    }
    for unit in ("", NUMBER_FACTS[code]):
        for member, value in odd_values(number, unit).items():
            spoilt = copy.deepcopy(request_body)
            entries(spoilt, "examinations").append({"resource": resource | {member: "@"}})
            answer = post(local, "order-select", encoded(spoilt).replace(b'"@"', value.encode()))
            assert_valid_response(answer, spoilt)
            if number.startswith("-"):
                assert assessment(answer)["facts"].get(fact) == clean, (member, unit)


def test_a_number_too_large_for_json_is_reported(live: OverHttp, request_body: Request) -> None:
    """1e999 has no value: the result that holds it is set aside and its key is not complete."""
    resource = entries(request_body, "laboratory")[0]["resource"]
    resource["valueQuantity"] = {"value": "@"}
    body = encoded(request_body).replace(b'"@"', b"1e999")
    found = assessment(post(live, "order-select", body))
    assert found["unavailable"] == ["laboratory"]
    assert [item["source"] for item in found["unusable"]] == ["laboratory"]


HALF = b'"cut neuroendocrine tumour \\ud83d"'
"""Text whose last character is only half there, as a program leaves it that cuts texts to a length."""


def with_half(request: Request) -> bytes:
    """The body with half a character wherever the request says @."""
    return encoded(request).replace(b'"@"', HALF)


@pytest.mark.parametrize("key", ["conditions", "laboratory", "procedures", "imagingStudies"])
def test_half_a_character_takes_one_text_away(key: str, live: OverHttp, request_body: Request) -> None:
    """The call is answered as without that text, and the resource that holds it is named."""
    extra = copy.deepcopy(entries(request_body, "conditions")[0]["resource"]) | {"id": "cut", "note": [{"text": "@"}]}
    entries(request_body, key).append({"resource": extra})
    answer = post(live, "order-select", with_half(request_body))
    assert_valid_response(answer, request_body)
    assert {"source": "Condition/cut", "reason": "note.text cannot be read"} in assessment(answer)["unusable"]
    extra["note"] = [{"text": "whole"}]
    whole = post(live, "order-select", request_body)
    assert assessment(answer)["orders"] == assessment(whole)["orders"]
    assert assessment(answer)["facts"] == assessment(whole)["facts"]


def test_half_a_character_makes_a_diagnosis_unknown_and_not_absent(live: OverHttp, request_body: Request) -> None:
    """A diagnosis that is told in damaged text only is neither taken for one nor for none."""
    code = {"coding": [{"system": "urn:oid:1.2.3", "code": "77"}], "text": "@"}
    cut = {"resourceType": "Condition", "id": "cut", "code": code, "subject": {"reference": "Patient/itl-patient"}}
    request_body["prefetch"] = dict.fromkeys(request_body["prefetch"])
    request_body["prefetch"]["conditions"] = {"resourceType": "Bundle", "entry": [{"resource": cut}]}
    drafts(request_body)[0].pop("reasonCode", None)
    answer = post(live, "order-select", with_half(request_body))
    assert_valid_response(answer, request_body)
    found = assessment(answer)
    assert "nen_status" not in found["facts"]
    assert found["unusable"] == [{"source": "Condition/cut", "reason": "what it is about cannot be read"}]


def test_half_a_character_is_no_part_of_a_new_order(live: OverHttp, request_body: Request) -> None:
    """An order named by its code is understood; its damaged words are not carried over."""
    drafts(request_body)[0]["code"] = {"coding": [{"system": "http://loinc.org", "code": "36952-0"}], "text": "@"}
    answer = post(live, "order-select", with_half(request_body))
    assert_valid_response(answer, request_body)
    assert "\ufffd" not in answer.body.decode()
    assert answer.json()["cards"]


@pytest.mark.parametrize(("note", "given_back"), [(HALF, False), (b'"\\ufffd \\ud83d\\ude00"', True)])
def test_an_order_that_was_mended_is_not_given_back(
    note: bytes, given_back: bool, live: OverHttp, advertised: Advertised
) -> None:
    """PM-011: an update holds the order to the letter, so one with half a character gets none; its neighbours do."""
    request = synthetic_request("tail-lesion-contrast-mri", "order-sign", advertised)
    ours = drafts(request)
    cut = ours[0] | {"id": "cut", "note": [{"text": "@"}]}
    request["context"]["draftOrders"]["entry"].append({"resource": cut})
    answer = post(live, "order-sign", encoded(request).replace(b'"@"', note))
    updated = [action["resource"]["id"] for action in answer.json()["systemActions"]]
    assert updated == [*(draft["id"] for draft in ours), *(["cut"] if given_back else [])]


@pytest.mark.parametrize("name", ["patientId", "encounterId"])
def test_half_a_character_in_an_id(name: str, live: OverHttp, request_body: Request) -> None:
    """Two damaged ids may look the same: no patient is known by one, and an encounter counts as not given."""
    request_body["context"][name] = "@"
    answer = post(live, "order-select", with_half(request_body))
    if name == "patientId":
        assert "patientId" in assert_error(answer, 400, "request-invalid")
    else:
        assert_valid_response(answer, request_body)


def test_damaged_text_inside_the_chart_is_never_read_in_silence(live: OverHttp, request_body: Request) -> None:
    """Bytes that are no UTF-8 inside a resource: the call is refused, or that resource is reported as unusable."""
    entries(request_body, "laboratory")[0]["resource"]["code"]["text"] = "@"
    answer = post(live, "order-select", encoded(request_body).replace(b'"@"', b'"\xff\xfe"'))
    if answer.status == 400:
        assert_error(answer, 400, "body-not-json")
        return
    assert_valid_response(answer, request_body)
    assert assessment(answer)["unavailable"] == ["laboratory"]


# --- tolerated --------------------------------------------------------------------------------------------------------

LONG = "x" * 200
EHR = "https://ehr.example.org/fhir"


def everywhere(old: str, new: str) -> Change:
    """Another spelling of one string wherever it occurs."""
    return lambda request: json.dumps(request).replace(old, new).encode()


def each_resource(**members: Any) -> Change:
    """Members added to every resource of the call."""

    def change(request: Request) -> None:
        held = [entry["resource"] for key in request["prefetch"] for entry in _entries(request, key)]
        for resource in (*drafts(request), *held):
            resource.update(members)

    return change


def _entries(request: Request, key: str) -> list[dict[str, Any]]:
    value = request["prefetch"][key]
    found: list[dict[str, Any]] = value.get("entry", []) if isinstance(value, dict) else []
    return found


def _as_collections(request: Request) -> None:
    for value in request["prefetch"].values():
        if isinstance(value, dict) and value["resourceType"] == "Bundle":
            value["type"] = "collection"


TOLERATED: dict[str, Change] = {
    "userId missing": without("context", "userId"),
    "userId null": with_value(None, "context", "userId"),
    "userId a bare id": with_value("demo", "context", "userId"),
    "patientId a reference": with_value("Patient/itl-patient", "context", "patientId"),
    "patientId an address": with_value(f"{EHR}/Patient/itl-patient", "context", "patientId"),
    "encounterId a reference": with_value("Encounter/itl-enc", "context", "encounterId"),
    "encounterId an address": with_value(f"{EHR}/Encounter/itl-enc", "context", "encounterId"),
    "hookInstance no UUID": with_value("call 17", "hookInstance"),
    "hookInstance a URN": with_value("urn:uuid:6f2b1c1e-8a0f-4a52-9d2e-0c1f5a7b3d90", "hookInstance"),
    "fhirServer alone": with_value(EHR, "fhirServer"),
    "fhirServer null": with_value(None, "fhirServer"),
    "fhirServer empty": with_value("", "fhirServer"),
    "fhirAuthorization null": with_value(None, "fhirAuthorization"),
    "fhirAuthorization empty": with_value({}, "fhirAuthorization"),
    "fhirAuthorization a string": lambda request: request.update(fhirServer=EHR, fhirAuthorization="secret"),
    "extension null": with_value(None, "extension"),
    "extension empty": with_value({}, "extension"),
    "extension a list": with_value([], "extension"),
    "Bundle of drafts without type": without("context", "draftOrders", "type"),
    "drafts in a list": lambda request: request["context"].update(
        draftOrders=[entry["resource"] for entry in request["context"]["draftOrders"]["entry"]]
    ),
    "a draft sent twice": lambda request: request["context"]["draftOrders"]["entry"].extend(
        copy.deepcopy(request["context"]["draftOrders"]["entry"])
    ),
    "an entry of the drafts without resource": lambda request: request["context"]["draftOrders"]["entry"].append(
        {"fullUrl": "urn:uuid:0d1f5c9e-7a43-4d4e-9a55-6b1c2d3e4f50"}
    ),
    "coding without content": lambda request: drafts(request)[0]["code"].update(coding=[{}]),
    "reasonCode empty": lambda request: drafts(request)[0].update(reasonCode=[]),
    "selection a bare id": with_value(["itl-sr-eus"], "context", "selections"),
    "selection an address": with_value([f"{EHR}/ServiceRequest/itl-sr-eus"], "context", "selections"),
    "long patient id": everywhere("itl-patient", LONG),
    "long draft id": everywhere("itl-sr-eus", LONG),
    "absolute references": everywhere('"Patient/itl-patient"', f'"{EHR}/Patient/itl-patient"'),
    "versioned references": everywhere('"Patient/itl-patient"', '"Patient/itl-patient/_history/3"'),
    "collections for searches": _as_collections,
    "unknown members of the call": with_value({"a": [1]}, "org.example.new"),
    "unknown members of the context": with_value([{"b": None}], "context", "org.example.new"),
    "unknown members of resources": each_resource(madeUp={"c": [None, {}]}, _status={"id": "x"}),
    "members of another hook": with_value({"resourceType": "Bundle", "entry": []}, "context", "medications"),
    "a text for a resource": with_value("123", "prefetch", "user"),
    "a key of another service, null": with_value(None, "prefetch", "item3"),
    "unknown key": with_value(OUTCOME, "prefetch", "notAskedFor"),
    "key of another service": with_value({"resourceType": "Nonsense"}, "prefetch", "appointments"),
    "blanks around the body": lambda request: b" \r\n\t" + encoded(request) + b"\n ",
    "members in another order": lambda request: json.dumps(request, sort_keys=True).encode(),
}


@pytest.mark.parametrize("case", TOLERATED)
def test_a_deviation_without_harm_changes_nothing(case: str, live: OverHttp, request_body: Request) -> None:
    """CH-007, CH-034, CH-150, CH-153, CR-010: what many clients get wrong is answered, and with the answer a correct
    client gets.
    """
    drafts(request_body)[0].pop("reasonCode", None)
    clean = post(live, "order-select", request_body)
    assert clean.json()["cards"][0]["suggestions"]
    body = encoded(changed(request_body, TOLERATED[case]))
    answer = post(live, "order-select", body)
    assert_valid_response(answer, json.loads(body))
    spelt_alike = json.loads(answer.body.decode().replace(LONG, "itl-long"))
    expected = clean.body.decode()
    if case == "long patient id":
        expected = expected.replace("itl-patient", "itl-long")
    if case == "long draft id":
        expected = expected.replace("itl-sr-eus", "itl-long")
    assert without_ids(spelt_alike) == without_ids(json.loads(expected))


@pytest.mark.parametrize("given", [None, "", {}, [], "Patient/itl-patient"])
def test_an_encounter_that_is_none_counts_as_no_encounter(given: object, live: OverHttp, request_body: Request) -> None:
    """An optional member that says nothing is as good as left out (CH-034)."""
    del request_body["context"]["encounterId"]
    clean = post(live, "order-select", request_body)
    request_body["context"]["encounterId"] = given
    assert without_ids(post(live, "order-select", request_body).json()) == without_ids(clean.json())


def test_a_draft_without_code_or_text_is_none_of_our_business(live: OverHttp, request_body: Request) -> None:
    """CH-049, CH-157: an order that does not say what it orders is passed over."""
    unknown = {"coding": [{"code": "71046", "system": "http://x"}]}
    codes: list[Any] = [{"coding": [{}]}, {}, None, {"text": ""}, unknown]
    for code in codes:
        drafts(request_body)[0]["code"] = code
        assert post(live, "order-select", request_body).json() == {"cards": []}


def test_a_call_without_drafts_is_answered(live: OverHttp, request_body: Request) -> None:
    """CH-045, CH-081: nothing to say is no error."""
    request_body["context"]["draftOrders"] = {"resourceType": "Bundle", "type": "collection"}
    assert post(live, "order-select", request_body).json() == {"cards": []}


def test_only_the_selected_orders_are_spoken_about(live: OverHttp, request_body: Request) -> None:
    """CH-156, CR-009: the other drafts are background."""
    request_body["context"]["selections"] = ["MedicationRequest/other"]
    assert assert_valid_response(post(live, "order-select", request_body), request_body) == {"cards": []}


def test_an_order_signed_again_is_commented_on(live: OverHttp, advertised: Advertised) -> None:
    """CH-158: the status of a signed order may be other than draft."""
    request = synthetic_request(SLUG, "order-sign", advertised)
    drafts(request)[0]["status"] = "active"
    assert assert_valid_response(post(live, "order-sign", request), request)["cards"]


@pytest.mark.parametrize("kind", ["contentReference", 7, None, [], {}, "", "Bundle", "OperationOutcome"])
def test_drafts_of_any_type_are_survived(kind: object, live: OverHttp, request_body: Request) -> None:
    """A resource that says nothing sensible about its type is passed over."""
    drafts(request_body)[0]["resourceType"] = kind
    assert_answered_or_refused(post(live, "order-select", request_body), request_body)
