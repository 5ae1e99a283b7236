"""Discovery and calls over HTTP: what an EHR sees of the bundled patients."""

from __future__ import annotations

import re
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from importlib.resources import files
from typing import Any

import pytest
from structlog.testing import capture_logs

from cds_service.errors import StoreError
from cds_service.issuing import unrecorded
from cds_service.pipeline import Parts, answer
from cds_service.store.base import ConsultRecord, Waiting
from fhir_profiles.drafts import CONCEPT_OF
from fhir_profiles.large_chart import large_chart
from fhir_profiles.synthetic import hook_request, synthetic_patients
from fhir_profiles.terminology import Terminology
from hooks import SERVICES
from tests.builders import AS_OF
from tests.calling import (
    ASSESSMENT,
    HOOK_INSTANCE,
    InProcess,
    MakeApp,
    OverHttp,
    drafts,
    encoded,
    post,
    synthetic_request,
    without_ids,
)
from tests.validity import (
    assert_valid_response,
    empty_members,
    links_in,
    schema_errors,
)

SLUG = "incidental-tail-lesion"
HOOKS = ("patient-view", "order-select", "order-sign")
PATIENTS: list[dict[str, Any]] = tomllib.loads(
    (files("fhir_profiles") / "examples" / "index.toml").read_text(encoding="utf-8")
)["patient"]
OUT_OF_SCOPE = "out-of-scope"
IDS = {"userId", "patientId", "encounterId"}
TOKENS = {
    "patient-view": IDS,
    "order-select": IDS,
    "order-sign": IDS,
    "order-dispatch": {"patientId", "performer"},
    "appointment-book": IDS,
    "encounter-discharge": IDS,
}
USER_TOKENS = {"userPractitionerId", "userPractitionerRoleId", "userPatientId", "userRelatedPersonId"}
REFERENCES = {"patient", "subject", "encounter"}
CODES = {"category", "status", "code", "intent", "clinical-status", "verification-status", "_id"}
DATES = re.compile(r"(date|started|authored|onset-date|recorded-date|_lastUpdated)=(eq|lt|gt|ge|le)?\{?[0-9{]")
MARKED = re.compile(r"\{\{(.*?)\}\}")

Advertised = dict[str, dict[str, str]]
each_hook = pytest.mark.parametrize("hook", HOOKS)
each_service = pytest.mark.parametrize("hook", [service.hook for service in SERVICES])
each_patient = pytest.mark.parametrize("patient", PATIENTS, ids=[patient["slug"] for patient in PATIENTS])


# --- discovery --------------------------------------------------------------------------------------------------------


def test_discovery_is_valid_and_says_nothing_empty(live: OverHttp) -> None:
    """CH-005, CH-010 to CH-018: an object with services, every member with a value."""
    answer = live.request("GET", "/cds-services")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    assert schema_errors("discovery", answer.json()) == []
    assert list(empty_members(answer.json())) == []


def test_each_service_has_its_own_id_title_and_hook(live: OverHttp) -> None:
    """CH-022: one id per hook, so that a client keyed by URL loses none; CH-016: a title for people."""
    services = live.request("GET", "/cds-services").json()["services"]
    assert [service["hook"] for service in services] == [service.hook for service in SERVICES]
    assert set(HOOKS) <= {service["hook"] for service in services}
    for name in ("id", "title", "hook"):
        assert len({service[name] for service in services}) == len(services)


def test_discovery_is_the_same_each_time_and_may_be_kept(live: OverHttp) -> None:
    """CH-024: cheap and cacheable."""
    first, second = (live.request("GET", "/cds-services") for _ in range(2))
    assert first.body == second.body
    assert "max-age" in first.headers["Cache-Control"]


@each_service
def test_templates_use_only_what_every_client_can_fill(hook: str, advertised: Advertised) -> None:
    """CH-050 to CH-055: a read or a search by reference, code, date, _count or _sort; tokens of the hook only."""
    for template in advertised[hook].values():
        for token in MARKED.findall(template):
            assert token in USER_TOKENS or token.removeprefix("context.") in TOKENS[hook], template
            assert token in USER_TOKENS or token.startswith("context."), template
        path, _, query = template.partition("?")
        if not query:
            assert re.fullmatch(r"[A-Z][A-Za-z]+/\{\{[A-Za-z.]+\}\}|\{\{context\.userId\}\}", path), template
            continue
        assert re.fullmatch(r"[A-Z][A-Za-z]+", path), template
        for parameter in query.split("&"):
            name, _, value = parameter.partition("=")
            assert value, template
            assert (
                name in REFERENCES | {"_count"}
                or name.removesuffix(":in") in CODES
                or (name == "_sort" and re.fullmatch(r"-?[a-z-]+", value))
                or DATES.match(parameter)
            ), template


@each_service
def test_every_search_is_for_the_patient_of_the_call(hook: str, advertised: Advertised) -> None:
    """CH-076: nothing is asked for that could be another patient's."""
    searches = [template for template in advertised[hook].values() if "?" in template]
    assert searches
    assert all(re.search(r"[?&](patient|subject)=\{\{context\.patientId\}\}(&|$)", search) for search in searches)


@each_hook
def test_an_indispensable_key_rests_on_the_patient_alone(hook: str, live: OverHttp, advertised: Advertised) -> None:
    """CH-053: a key that a client may be unable to fill, such as the encounter's, is never the reason for a refusal."""
    request = synthetic_request(SLUG, hook, advertised)
    for key, template in advertised[hook].items():
        if MARKED.findall(template) != ["context.patientId"]:
            request["prefetch"].pop(key)
    assert_valid_response(post(live, hook, request), request)


# --- the bundled patients ---------------------------------------------------------------------------------------------


@each_service
def test_the_demo_asks_as_the_specification_wants(hook: str, live: OverHttp, advertised: Advertised) -> None:
    """A demo request is what a correct EHR sends: valid, and null only where nothing was found (CH-005, CH-006)."""
    for patient in PATIENTS:
        request = live.request("GET", f"/demo/requests/{patient['slug']}?hook={hook}").json()
        assert schema_errors("request", request) == []
        assert request["prefetch"].keys() == advertised[hook].keys()
        nulls = {f"/prefetch/{key}" for key, value in request["prefetch"].items() if value is None}
        assert set(empty_members(request)) == nulls


@each_service
@each_patient
def test_every_service_answers_about_every_patient(
    patient: dict[str, Any], hook: str, live: OverHttp, advertised: Advertised
) -> None:
    """CH-003, CH-004, CH-005, CH-080, CH-082, CH-083, CH-089, CH-092, CH-098, CH-108, CR-004: a valid response to each
    hook about each story, and nothing at all about a patient who is not ours.
    """
    request = synthetic_request(patient["slug"], hook, advertised)
    body = assert_valid_response(post(live, hook, request), request)
    if patient["expected"]["scenario"] == OUT_OF_SCOPE:
        assert body == {"cards": []}
    else:
        assert body["extension"][ASSESSMENT]["facts"]["nen_status"]["value"] != "none"


@each_patient
def test_order_sign_finds_what_the_story_says(patient: dict[str, Any], live: OverHttp, advertised: Advertised) -> None:
    """CH-109: scenario, ratings, suggestion and warnings as worked out by hand; a card only where one is due."""
    request = synthetic_request(patient["slug"], "order-sign", advertised)
    body = assert_valid_response(post(live, "order-sign", request), request)
    expect_story(patient, body)
    assert bool(body["cards"]) is patient["expected"]["cards"]


@each_patient
def test_order_select_speaks_about_every_order_in_scope(
    patient: dict[str, Any], live: OverHttp, advertised: Advertised
) -> None:
    """CR-005: the clinician is still choosing: one card for each study, and none for a patient who is not ours."""
    request = synthetic_request(patient["slug"], "order-select", advertised)
    body = assert_valid_response(post(live, "order-select", request), request)
    expect_story(patient, body)
    about = [reference["reference"] for card in body["cards"] for reference in associated(card)]
    expected = [] if patient["expected"]["scenario"] == OUT_OF_SCOPE else patient["orders"]
    assert sorted(about) == sorted(expected)


@each_patient
def test_patient_view_sums_up_patients_in_scope_only(
    patient: dict[str, Any], live: OverHttp, advertised: Advertised
) -> None:
    """One card with grade and stage, and the warnings about both; nothing at all for anyone else."""
    request = synthetic_request(patient["slug"], "patient-view", advertised)
    body = assert_valid_response(post(live, "patient-view", request), request)
    expected = patient["expected"]
    if expected["scenario"] == OUT_OF_SCOPE:
        assert body == {"cards": []}
        return
    found = body["extension"][ASSESSMENT]
    of_patient = {rule for rule in expected["warnings_include"] if rule.startswith(("GRD-", "TNM-"))}
    assert len(body["cards"]) == 1
    assert found["scenario"] == expected["scenario"]
    assert of_patient <= set(found.get("warnings", []))
    assert "orders" not in found


def test_a_dispatched_order_may_be_named_with_its_version(local: InProcess, advertised: Advertised) -> None:
    """Servers that count versions name what they stored as ``ServiceRequest/…/_history/1``."""
    call = synthetic_request(SLUG, "order-dispatch", advertised)
    cards = [post(local, "order-dispatch", call).json()["cards"]]
    call["context"]["dispatchedOrders"] = [f"{named}/_history/1" for named in call["context"]["dispatchedOrders"]]
    cards.append(post(local, "order-dispatch", call).json()["cards"])
    assert cards[0]
    assert without_ids(cards[0]) == without_ids(cards[1])


@each_hook
def test_links_in_the_text_are_also_links_of_the_card(hook: str, local: InProcess, advertised: Advertised) -> None:
    """CH-109, CH-107: a client that does not render the text still offers its links."""
    for patient in PATIENTS:
        request = synthetic_request(patient["slug"], hook, advertised)
        for card in post(local, hook, request).json()["cards"]:
            assert links_in(card["detail"]) <= {link["url"] for link in card.get("links", [])}


@each_patient
def test_a_suggestion_is_the_study_it_names(
    patient: dict[str, Any], local: InProcess, advertised: Advertised, terminology: Terminology
) -> None:
    """CH-090, CH-095, CH-100, CR-007: the order created by one click carries the preferred codes of the suggested
    study, and every draft goes.
    """
    request = synthetic_request(patient["slug"], "order-sign", advertised)
    body = post(local, "order-sign", request).json()
    offered = [s for card in body["cards"] for s in card.get("suggestions", []) if s.get("isRecommended")]
    actions = [action for s in offered for action in s["actions"]]
    created = [action["resource"] for action in actions if action["type"] == "create"]
    expected = patient["expected"]["suggestion"]
    assert len(created) == bool(expected)
    for order in created:
        preferred = terminology.concepts[CONCEPT_OF[expected]].preferred
        assert preferred is not None
        written = {coding["code"] for coding in order["code"]["coding"]}
        assert written <= {*preferred.loinc, *preferred.sct, *preferred.cpt, *preferred.local}
        deleted = {action["resourceId"] for action in actions if action["type"] == "delete"}
        assert deleted == {f"ServiceRequest/{draft['id']}" for draft in drafts(request)}


@each_patient
def test_the_demo_answers_its_own_requests_like_any_other(
    patient: dict[str, Any], live: OverHttp, advertised: Advertised
) -> None:
    """The first thing an integrator tries, a demo request posted back, gives the answer of the story."""
    asked = live.request("GET", f"/demo/requests/{patient['slug']}?hook=order-sign")
    request = synthetic_request(patient["slug"], "order-sign", advertised)
    posted = assert_valid_response(post(live, "order-sign", asked.body), request)
    assert without_ids(posted) == without_ids(post(live, "order-sign", request).json())


def test_the_index_lists_each_bundled_patient_once() -> None:
    """Stories and charts belong together."""
    assert sorted(patient["slug"] for patient in PATIENTS) == [patient.slug for patient in synthetic_patients()]


# --- every call -------------------------------------------------------------------------------------------------------


def test_thousands_of_normal_results_change_no_answer(live: OverHttp, advertised: Advertised) -> None:
    """A real chart is megabytes large; the answer is the one the relevant part alone would give."""
    small = synthetic_request(SLUG, "order-sign", advertised)
    large = hook_request(large_chart(), "order-sign", advertised["order-sign"], HOOK_INSTANCE)
    assert len(large["prefetch"]["laboratory"]["entry"]) > 3000
    answers = [assert_valid_response(post(live, "order-sign", request), request) for request in (small, large)]
    one, other = (
        {name: body["extension"][ASSESSMENT][name] for name in ("scenario", "grade", "tnm", "orders", "followup")}
        for body in answers
    )
    assert one == other
    cards = [[(card["summary"], card["indicator"]) for card in body["cards"]] for body in answers]
    assert cards[0] == cards[1]


def test_nothing_of_the_record_is_logged(local: InProcess, advertised: Advertised) -> None:
    """A log line says which service answered and how, never whom it was about."""
    for patient in synthetic_patients():
        request = synthetic_request(patient.slug, "order-sign", advertised)
        with capture_logs() as lines:
            post(local, "order-sign", request)
        record = str(lines)
        assert [line["event"] for line in lines] == ["answered"]
        private = {request["context"]["patientId"], *(draft["id"] for draft in drafts(request))}
        private |= {name["family"] for name in request["prefetch"]["patient"]["name"]}
        assert [word for word in private if word in record] == []


def test_two_calls_get_different_identifiers(local: InProcess, advertised: Advertised) -> None:
    """CH-083: a card is told from the same card of another call, although hookInstance is the same (CH-043)."""
    request = synthetic_request(SLUG, "order-sign", advertised)
    first, second = (post(local, "order-sign", request).json() for _ in range(2))
    assert first["cards"][0]["uuid"] != second["cards"][0]["uuid"]
    assert without_ids(first) == without_ids(second)


def test_a_call_is_about_one_day(parts: Parts, advertised: Advertised) -> None:
    """Midnight may pass while a call is answered: ages, windows, rules and dates all go by the day it began."""
    days = iter([AS_OF, *(AS_OF + timedelta(days=400) for _ in range(9))])
    service = next(service for service in SERVICES if service.hook == "patient-view")
    body = encoded(synthetic_request("one-year-after-resection", "patient-view", advertised))
    asked = replace(parts, today=lambda: next(days), new_id=lambda: "id")
    assert answer(service, body, asked).body == answer(service, body, replace(parts, new_id=lambda: "id")).body


def test_calls_at_the_same_time_do_not_mix(local: InProcess, advertised: Advertised) -> None:
    """Each of many concurrent calls gets the answer it would get alone."""
    requests = [synthetic_request(patient["slug"], hook, advertised) for patient in PATIENTS for hook in HOOKS]

    def ask(request: dict[str, Any]) -> Any:
        return without_ids(post(local, request["hook"], request).json())

    alone = [ask(request) for request in requests]
    with ThreadPoolExecutor(max_workers=8) as pool:
        together = list(pool.map(ask, requests))
    assert together == alone


class _FullStore:
    """A store that can keep nothing."""

    def record(self, _consult: ConsultRecord) -> None:
        raise StoreError("The disk is full.")

    def pseudonym_key(self) -> bytes:
        return b"key"

    def waiting(self) -> Waiting:
        return Waiting(0, 0)

    def release(self) -> None:
        """Hold nothing."""


def test_a_store_that_fails_does_not_keep_the_answer_back(
    live: OverHttp, advertised: Advertised, make_app: MakeApp
) -> None:
    """The clinician is answered, without an identifier the store does not know; the operator finds it in the log."""
    request = synthetic_request(SLUG, "order-sign", advertised)
    expected = without_ids(unrecorded(post(live, "order-sign", request).json()))
    service = InProcess(make_app(store=_FullStore()))
    with capture_logs() as lines:
        answer = post(service, "order-sign", request)
    assert answer.status == 200
    assert answer.json() == expected
    assert schema_errors("response", answer.json()) == []
    assert [line["log_level"] for line in lines] == ["error", "info"]


def expect_story(patient: dict[str, Any], body: dict[str, Any]) -> None:
    """The assessment is the one of the story; a patient who is not ours gets no assessment at all."""
    expected = patient["expected"]
    if expected["scenario"] == OUT_OF_SCOPE:
        assert body == {"cards": []}
        return
    found = body["extension"][ASSESSMENT]
    assert found["scenario"] == expected["scenario"]
    assert {order["id"].removeprefix("ServiceRequest/"): order["rating"] for order in found["orders"]} == expected[
        "ratings"
    ]
    assert {order.get("suggestion", "") for order in found["orders"]} == {expected["suggestion"]}
    assert set(expected["warnings_include"]) <= set(found.get("warnings", []))


def associated(card: dict[str, Any]) -> list[dict[str, str]]:
    """Orders a card says it is about."""
    found: list[dict[str, str]] = card["extension"]["davinci-crd.associated-resource"]
    return found
