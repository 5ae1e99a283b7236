"""``/fhir`` over HTTP: reading, searching and applying, in the demo and for registered clients."""

from __future__ import annotations

import copy
import json
import re
import subprocess
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

import pytest
from flask import Flask

from cds_service.app import create_app
from cds_service.artefacts import artefacts
from cds_service.artefacts.guide import SEARCHED, SERVED
from cds_service.artefacts.plans import CHOICE
from cds_service.auth.keys import read_key_set
from cds_service.clients import Client
from cds_service.consult import from_bundle
from cds_service.knowledge import load_knowledge
from cds_service.settings import Settings
from cds_service.store.clients import GIVEN, open_clients
from fhir_profiles.definitions import structure_definitions
from fhir_profiles.orders import imaging_orders
from fhir_profiles.resources import problems
from fhir_profiles.synthetic import moved_to, synthetic_patients
from fhir_profiles.terminology import load_terminology
from tests.builders import AS_OF
from tests.calling import Answer, InProcess, MakeApp, OverHttp
from tests.requirement import need
from tests.signing import claims, key_set, public_jwk, sign
from tests.validity import assert_error

PUBLIC: Final = "https://cds.example.org"
FHIR_JSON: Final = "application/fhir+json"
MADE: Final = artefacts(load_knowledge(), load_terminology())
PATIENTS: Final = {patient.slug: patient for patient in synthetic_patients()}
APPLY: Final = "/fhir/PlanDefinition/$apply"


def story(slug: str) -> dict[str, Any]:
    """The chart of a synthetic patient on the day of the tests."""
    patient = PATIENTS[slug]
    return copy.deepcopy(moved_to(patient.bundle, date.fromisoformat(patient.as_of), AS_OF))


def patient_id(bundle: Mapping[str, Any]) -> str:
    """The id of the patient of a chart."""
    return next(str(e["resource"]["id"]) for e in bundle["entry"] if e["resource"]["resourceType"] == "Patient")


def apply(service: InProcess, body: Any, plan: str = "", query: str = "") -> Answer:
    """A plan applied to what is sent."""
    path = f"/fhir/PlanDefinition/{plan}/$apply" if plan else APPLY
    return service.request("POST", path + query, json.dumps(body).encode(), FHIR_JSON)


def contained(plan: Mapping[str, Any], kind: str) -> list[dict[str, Any]]:
    """The contained resources of a type."""
    return [one for one in plan.get("contained", []) if one["resourceType"] == kind]


def fhir_error(answer: Answer, status: int, slug: str) -> str:
    """The answer is an error told as FHIR; returns its message."""
    assert answer.headers["Content-Type"] == FHIR_JSON
    plain = Answer(answer.status, {**answer.headers, "Content-Type": "application/json"}, answer.body)
    return assert_error(plain, status, slug)


# --- read and search --------------------------------------------------------------------------------------------------


def test_the_endpoint_says_what_it_can(live: OverHttp) -> None:
    """The statement of this instance: types, search parameters, the operation."""
    answer = live.request("GET", "/fhir/metadata")
    assert (answer.status, answer.headers["Content-Type"]) == (200, FHIR_JSON)
    statement = answer.json()
    assert problems(statement) == []
    (rest,) = statement["rest"]
    assert {resource["type"] for resource in rest["resource"]} == set(SERVED)
    for resource in rest["resource"]:
        assert {parameter["name"] for parameter in resource["searchParam"]} == set(SEARCHED)
    assert urlsplit(statement["implementation"]["url"]).path == "/fhir"


@pytest.mark.parametrize("kind", SERVED)
def test_every_artefact_can_be_read_and_found(kind: str, local: InProcess) -> None:
    """By its id, by its canonical and in the list; each time the same as in the package."""
    for one in (one for one in MADE if one["resourceType"] == kind):
        assert local.request("GET", f"/fhir/{kind}/{one['id']}").json() == one
        found = local.request("GET", f"/fhir/{kind}?url={quote(one['url'])}").json()
        assert [entry["resource"] for entry in found["entry"]] == [one]


def test_pages_lead_through_everything(live: OverHttp) -> None:
    """Following next from a small page gives each artefact once; previous leads back; links are addresses of ours."""
    path, seen = "/fhir/ValueSet?_count=60&status=active", []
    while path:
        page = live.request("GET", path).json()
        assert problems(page) == []
        seen += [entry["resource"]["id"] for entry in page["entry"]]
        links = {link["relation"]: link["url"] for link in page["link"]}
        assert links["self"].startswith(("http://", "https://"))
        following = urlsplit(links.get("next", ""))
        path = f"{following.path}?{following.query}" if following.path else ""
    assert seen == [one["id"] for one in MADE if one["resourceType"] == "ValueSet"]
    assert page["total"] == len(seen)
    assert "previous" in links


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("name=ki67", ["ki67-index"]),
        ("title=Ki-67", ["ki67-index"]),
        ("_id=ki67-index,krenning-score", ["ki67-index", "krenning-score"]),
        ("_id=ki67-index&status=retired", []),
        ("_id=ki67-index&_id=krenning-score", []),
        ("url=https://example.org/other", []),
        ("name=index", []),
        ("_count=0", []),
        ("_offset=5000", []),
    ],
)
def test_searches(query: str, expected: list[str], local: InProcess) -> None:
    """Names and titles by their beginning, the rest as a whole; commas mean or, repetition means and."""
    found = local.request("GET", f"/fhir/StructureDefinition?{query}").json()
    assert [entry["resource"]["id"] for entry in found.get("entry", [])] == expected
    assert "entry" not in found or found["entry"]


@pytest.mark.parametrize("query", ["code=1", "_count=many", "_count=-1", "_offset=1.5", "_format=xml"])
def test_a_search_that_is_not_understood_is_refused(query: str, local: InProcess) -> None:
    """Never answered as if it had not been asked."""
    fhir_error(local.request("GET", f"/fhir/ValueSet?{query}"), 400, "request-invalid")


@pytest.mark.parametrize(
    "path", ["ValueSet/none", "Patient", "Patient/itl-patient", "PlanDefinition/none/$apply?subject=x"]
)
def test_what_is_not_there(path: str, local: InProcess) -> None:
    """Unknown ids and types that are not served."""
    fhir_error(local.request("GET", f"/fhir/{path}"), 404, "artefact-unknown")


def test_an_artefact_that_did_not_change_is_not_sent_again(app: Flask) -> None:
    """With the ETag of the first answer."""
    client = app.test_client()
    first = client.get("/fhir/CodeSystem/pnet-cds-local")
    again = client.get("/fhir/CodeSystem/pnet-cds-local", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
def test_nothing_is_written(method: str, local: InProcess) -> None:
    """The endpoint is read-only."""
    assert local.request(method, "/fhir/ValueSet/ki67-index", b"{}").status == 405


# --- $apply -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slug", PATIENTS)
def test_a_plan_is_applied_to_every_story(slug: str, local: InProcess) -> None:
    """With GET about a patient held here and with POST of the chart: one answer, of the scenario that is assessed."""
    chart = story(slug)
    subject = f"Patient/{patient_id(chart)}"
    answer = local.request("GET", f"{APPLY}?subject={subject}")
    plan = answer.json()
    assert problems(plan) == []
    parameters = {
        "resourceType": "Parameters",
        "parameter": [{"name": "subject", "valueString": subject}, {"name": "data", "resource": chart}],
    }
    for body in (chart, parameters):
        assert apply(local, body).json() == plan
    assessed = from_bundle(chart, (), AS_OF, load_knowledge(), load_terminology()).as_object()
    assert plan["instantiatesCanonical"][1].partition("|")[0].endswith(f"/{assessed['scenario']}")
    assert plan["subject"] == {"reference": subject}
    facts = {one["code"]["coding"][0]["code"] for one in contained(plan, "Observation")}
    assert {name.replace("_", "-") for name in assessed["facts"]} <= facts
    alone = local.request("GET", f"/fhir/PlanDefinition/{assessed['scenario']}/$apply?subject={subject}").json()
    assert alone.get("activity") == plan.get("activity")


def test_an_option_is_read_back_as_itself(local: InProcess) -> None:
    """Each proposal, sent as a draft order, is the study it is offered as; the tracer stands on it."""
    terminology = load_terminology()
    for slug in PATIENTS:
        for option in contained(apply(local, story(slug)).json(), "ServiceRequest"):
            (read,) = imaging_orders([option], option["subject"]["reference"].partition("/")[2], terminology)
            assert read.order.procedure == option["id"], slug


@pytest.mark.parametrize(
    ("slug", "offered", "not_offered"),
    [
        ("incidental-tail-lesion", ["mri-abd-pel-wwo", "ct-abd-pel-w"], []),
        ("pacemaker-mri", ["ct-abd-pel-w"], ["mri-abd-pel-wwo"]),
        ("pregnancy-ct", ["mri-abd-pel-wwo"], ["ct-abd-pel-w", "pet-ct-sstr", "ct-cap-w"]),
        ("gadolinium-reaction", ["ct-abd-pel-w"], ["mri-abd-pel-wwo"]),
        ("pancreatic-adenocarcinoma", [], []),
        ("ileal-net-liver-metastases", [], []),
    ],
)
def test_options_leave_out_what_is_dangerous(
    slug: str, offered: list[str], not_offered: list[str], local: InProcess
) -> None:
    """Preferred studies come first; what is blocked is left out and named; nothing is offered that nobody rates."""
    plan = apply(local, story(slug)).json()
    options = [one["id"] for one in contained(plan, "ServiceRequest")]
    assert options[: len(offered)] == offered
    assert not set(options) & set(not_offered)
    notes = " ".join(note["text"] for note in plan["note"])
    for key in not_offered:
        assert load_knowledge().procedures[key].label in notes
    assert bool(options) == bool(offered) == ("activity" in plan)


def test_warnings_stand_beside_the_option(local: InProcess) -> None:
    """What argues against an option without blocking it is said on it."""
    (group,) = contained(apply(local, story("pregnancy-ct")).json(), "RequestGroup")
    (option,) = group["action"][0]["action"]
    assert "SAF-12: Gadolinium crosses the placenta" in option["textEquivalent"]


def test_limits_of_the_ratings_are_said(local: InProcess) -> None:
    """For a carcinoma the scenarios were not written (RAT-06)."""
    assert any("RAT-06" in note["text"] for note in apply(local, story("pancreatic-nec")).json()["note"])


def test_a_plan_that_does_not_apply_says_so(local: InProcess) -> None:
    """No activity, and the scenario that does apply."""
    plan = apply(local, story("one-year-after-resection"), "pnet-initial-staging").json()
    assert "activity" not in plan
    assert plan["note"][0]["text"].startswith("This plan does not apply: the scenario is pnet-post-resection")
    assert contained(plan, "ServiceRequest") == []


def test_a_fact_carries_its_sources(local: InProcess) -> None:
    """Which resource, of which day."""
    facts = contained(apply(local, story("incidental-tail-lesion")).json(), "Observation")
    noted = {one["id"]: " ".join(note["text"] for note in one.get("note", ())) for one in facts}
    assert "Condition/" in noted["fact-primary-site"]
    assert re.search(r"Observation/\S+.*\d{4}-\d{2}-\d{2}", noted["fact-size-mm"])


def test_contradictions_are_told(local: InProcess) -> None:
    """Both sides, as on cards."""
    chart = story("incidental-tail-lesion")
    subject = {"reference": f"Patient/{patient_id(chart)}"}
    code = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "C7A.012"}]}
    other = {"resourceType": "Condition", "id": "other", "code": code, "subject": subject, "recordedDate": "2026-10-01"}
    chart["entry"].append({"resource": other})
    notes = [note["text"] for note in apply(local, chart).json()["note"]]
    assert any(text.startswith("Conflict about") and "Condition/other" in text for text in notes)


def test_nothing_is_offered_to_the_dead(local: InProcess) -> None:
    """As no card is shown about them."""
    chart = story("incidental-tail-lesion")
    next(e["resource"] for e in chart["entry"] if e["resource"]["resourceType"] == "Patient")["deceasedBoolean"] = True
    plan = apply(local, chart).json()
    assert contained(plan, "ServiceRequest") == []
    assert plan["note"][0]["text"] == "The patient is recorded as deceased."


def test_damage_is_told(local: InProcess) -> None:
    """A resource that cannot be used takes nothing down and is named."""
    chart = story("incidental-tail-lesion")
    subject = {"reference": f"Patient/{patient_id(chart)}"}
    ki67 = {"coding": [{"system": "http://loinc.org", "code": "29593-1"}]}
    broken = {"resourceType": "Observation", "id": "broken", "status": "final", "code": ki67, "subject": subject}
    chart["entry"] += [{"resource": broken | {"valueString": "many"}}, {"resource": "damage"}, 7]
    plan = apply(local, chart).json()
    assert any(note["text"].startswith("Observation/broken was not used") for note in plan["note"])


def test_one_page_of_a_chart_is_no_chart(local: InProcess) -> None:
    """What stands on the next page would be taken for not on record."""
    link = [
        {"relation": "self", "url": "https://ehr.example.org/a"},
        {"relation": "next", "url": "https://ehr.example.org/b"},
    ]
    whole = story("incidental-tail-lesion")
    assert apply(local, whole | {"link": link[:1]}).status == 200
    message = fhir_error(apply(local, whole | {"link": link}), 400, "request-invalid")
    assert "put all pages into one Bundle" in message


def test_the_command_of_the_page_works(live: OverHttp) -> None:
    """docs/fhir.md, as written but for the address."""
    need("curl")
    page = (Path(__file__).parents[2] / "docs" / "fhir.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    command = block.replace("http://127.0.0.1:8080", live.base)
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", command], capture_output=True, check=True, timeout=60)
    options = [one["id"] for one in contained(json.loads(done.stdout), "ServiceRequest")]
    assert options[0] == "ct-abd-pel-w"


def test_the_page_names_every_profile() -> None:
    """docs/fhir.md lists the profiles and extensions of our own, and no other."""
    page = (Path(__file__).parents[2] / "docs" / "fhir.md").read_text(encoding="utf-8")
    (listed,) = re.findall(r"\* \*\*Profiles\*\*.*?(?=\n\* \*\*)", page, re.DOTALL)
    named = set(re.findall(r"`([a-z0-9-]+)`", listed)) - {"purpose"}
    ours = {one["id"] for one in structure_definitions() if not one["id"].startswith("argonaut-")}
    assert named == ours - {"nen-observation"}


OTHER: Final = {"resourceType": "Patient", "id": "other"}


def chart_of(*held: Mapping[str, Any]) -> bytes:
    """A Bundle with these resources."""
    return json.dumps({"resourceType": "Bundle", "entry": [{"resource": one} for one in held]}).encode()


@pytest.mark.parametrize(
    ("body", "query", "status", "slug"),
    [
        (b"{", "", 400, "body-not-json"),
        (b"[" * 100_000, "", 400, "body-not-json"),
        (b'{"resourceType": "Patient"}', "", 400, "request-invalid"),
        (b"[]", "", 400, "request-invalid"),
        (b'{"resourceType": "Bundle", "entry": []}', "", 400, "request-invalid"),
        (b'{"resourceType": "Bundle", "entry": 5}', "", 400, "request-invalid"),
        (b'{"resourceType": "Parameters"}', "", 400, "request-invalid"),
        (b'{"resourceType": "Parameters", "parameter": [{"name": "data"}, 5]}', "", 400, "request-invalid"),
        (b'{"resourceType": "Parameters", "parameter": 5}', "", 400, "request-invalid"),
        (b'{"resourceType": "Parameters"}', "?subject=Patient/nobody", 404, "artefact-unknown"),
        (chart_of(OTHER), "?subject=Group/g", 400, "request-invalid"),
        (chart_of(OTHER), "?subject=Patient/one", 400, "patient-mismatch"),
        (chart_of(OTHER, OTHER), "", 400, "request-invalid"),
    ],
)
def test_bad_data_is_refused(body: bytes, query: str, status: int, slug: str, local: InProcess) -> None:
    """With a clear error, and never with the data in it."""
    message = fhir_error(local.request("POST", APPLY + query, body, FHIR_JSON), status, slug)
    assert "other" not in message.split()


@pytest.mark.parametrize(
    "subject", ["Patient/nobody", "nobody", "itl-patient,other", "https://ehr.example.org/Patient/x"]
)
def test_without_a_chart_there_is_no_plan(subject: str, local: InProcess) -> None:
    """A subject that is not known here."""
    fhir_error(local.request("GET", f"{APPLY}?subject={quote(subject)}"), 404, "artefact-unknown")


@pytest.mark.parametrize("subject", ["", "Group/one", "Patient/../secrets"])
def test_a_subject_that_is_no_patient_is_refused(subject: str, local: InProcess) -> None:
    """Or none at all."""
    fhir_error(local.request("GET", f"{APPLY}?subject={quote(subject)}"), 400, "request-invalid")


# --- clients ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def registered(tmp_path: Path) -> Flask:
    """A protected service with one client, who may call one of the services and has a page."""
    url = f"sqlite:///{tmp_path}/store.sqlite"
    clients = open_clients(url)
    pages = ("https://pages.example.org",)
    clients.add(Client("ehr", "https://ehr.example.org", services=("pnet-order-sign",), cors_origins=pages))
    clients.give_keys("ehr", read_key_set(key_set(public_jwk("ehr")), GIVEN).keys)
    clients.release()
    given: dict[str, Any] = {"demo": False, "public_url": PUBLIC, "database_url": url}
    return create_app(Settings(**given), today=lambda: AS_OF)


def bearer(path: str) -> dict[str, str]:
    """A good token for a call of this path."""
    return {"Authorization": f"Bearer {sign(claims('https://ehr.example.org', PUBLIC + path), 'ehr')}"}


@pytest.mark.parametrize(
    "path", ["/fhir/ValueSet", "/fhir/ValueSet/ki67-index", APPLY, f"/fhir/PlanDefinition/{CHOICE}/$apply"]
)
def test_only_clients_may_read(path: str, registered: Flask) -> None:
    """The bare 401 without a token; with one for exactly this address the answer, whatever services it may call."""
    client = registered.test_client()
    refused = client.get(path)
    assert (refused.status_code, refused.data) == (401, b"")
    wrong = client.get(path, headers=bearer("/cds-services"))
    assert (wrong.status_code, wrong.data) == (401, b"")
    answer = client.get(path, headers=bearer(path) | {"Origin": "https://pages.example.org"})
    assert answer.status_code == (400 if "$apply" in path else 200)
    assert answer.headers["Access-Control-Allow-Origin"] == "https://pages.example.org"


def test_the_statement_is_open(registered: Flask) -> None:
    """FHIR clients read it before they sign in; it holds the address of the service."""
    statement = registered.test_client().get("/fhir/metadata").get_json()
    assert statement["implementation"]["url"] == f"{PUBLIC}/fhir"


def test_a_client_holds_no_charts(registered: Flask) -> None:
    """Synthetic patients belong to the demo; a chart that is sent is assessed."""
    chart = story("incidental-tail-lesion")
    client = registered.test_client()
    path = f"{APPLY}?subject=Patient/{patient_id(chart)}"
    assert client.get(path, headers=bearer(APPLY)).status_code == 404
    sent = client.post(path, data=json.dumps(chart), content_type=FHIR_JSON, headers=bearer(APPLY))
    assert sent.get_json()["resourceType"] == "CarePlan"


def test_a_site_is_served_its_own_knowledge(make_app: MakeApp, tmp_path: Path) -> None:
    """A study that the site does not have is no option; the version says that the rows are others."""
    site = tmp_path / "site.toml"
    site.write_text('[studies]\nunavailable = ["mri-abd-pel-wwo"]\n', encoding="utf-8")
    service = InProcess(make_app(site_file=str(site)))
    plan = apply(service, story("incidental-tail-lesion")).json()
    assert "mri-abd-pel-wwo" not in [one["id"] for one in contained(plan, "ServiceRequest")]
    assert any("not available here (site setting)" in note["text"] for note in plan["note"])
    assert plan["instantiatesCanonical"][0].partition("|")[2] != MADE.stamp.version
