"""Against HAPI: the answer is the same however much of the chart came as prefetch, and HAPI has ways of its own."""

from __future__ import annotations

import copy
import io
import json
import re
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pytest
import requests
from click.testing import CliRunner

from cds_service.artefacts import artefacts
from cds_service.artefacts.guide import SERVED
from cds_service.cli import cli
from cds_service.domain.terms import FHIR_BASE, LACK_WORDS, Lack
from cds_service.knowledge import load_knowledge
from fhir_profiles.synthetic import resources, synthetic_patients
from fhir_profiles.terminology import load_terminology
from tests.calling import InProcess, assessment, post
from tests.fhir.hapi_server import HapiServer, referred_to, running
from tests.fhir.reading import DISPATCHED, HOOKS, LARGE, SLUGS, call, filled, first_pages, get, in_full, same, stories
from tests.fhir.real_server import renamed

PAGE: Final = 20
"""The most that HAPI gives in one page here, so that every chart needs several."""
OBSERVATIONS: Final = 400
TAIL: Final = "incidental-tail-lesion"
FRESH: Final = "fresh-"
FORGOTTEN: Final = "11111111-1111-4111-8111-111111111111"
"""Name of a search that HAPI does not know."""
Templates = dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package of our artefacts, as the command writes it."""
    folder = tmp_path_factory.mktemp("exported")
    assert CliRunner().invoke(cli, ["export-fhir", str(folder)]).exit_code == 0
    return folder / "package.tgz"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A FHIR package with one definition."""
    files = {
        "package.json": {
            "name": "org.example.tiny",
            "version": "1.0.0",
            "fhirVersions": ["4.0.1"],
            "type": "Conformance",
        },
        "CodeSystem-tiny.json": {
            "resourceType": "CodeSystem",
            "id": "tiny",
            "url": "https://example.org/fhir/CodeSystem/tiny",
            "version": "1.0.0",
            "status": "active",
            "content": "complete",
            "concept": [{"code": "one", "display": "The one code"}],
        },
    }
    path = tmp_path_factory.mktemp("package") / "tiny.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            data = json.dumps(content).encode()
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


@pytest.fixture(scope="module")
def hapi(tmp_path_factory: pytest.TempPathFactory, package: Path, exported: Path) -> Iterator[HapiServer]:
    """HAPI with every synthetic patient; once more with the orders sent, and once with a chart of many pages."""
    with running(tmp_path_factory.mktemp("hapi"), package, exported, page=PAGE) as server:
        held = [resources(story) for story in stories(OBSERVATIONS)]
        server.load(referred_to(resource for story in held for resource in story))
        for story in held:
            server.load(story)
        yield server


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("slug", SLUGS)
def test_without_prefetch_the_answer_is_the_same(
    slug: str, hook: str, reading: InProcess, advertised_here: Templates, hapi: HapiServer
) -> None:
    """CH-062: prefetch only, a mixture, and reading only give one answer, for every patient and service."""
    full = call(slug, hook, DISPATCHED if hook == "order-dispatch" else "", advertised_here, hapi.url)
    expected = post(reading, hook, full)
    keys = list(full["prefetch"])
    same(expected, post(reading, hook, full | {"prefetch": {key: full["prefetch"][key] for key in keys[::2]}}))
    same(expected, post(reading, hook, {name: value for name, value in full.items() if name != "prefetch"}))


@pytest.mark.parametrize("slug", SLUGS)
def test_first_pages_are_completed(slug: str, reading: InProcess, advertised_here: Templates, hapi: HapiServer) -> None:
    """CH-059, CH-188: HAPI's links lead to the base URL and on to what the search found (``?_getpages=…``)."""
    hook = "order-select"
    full = call(slug, hook, "", advertised_here, hapi.url)
    cut = copy.deepcopy(full)
    first_pages(cut, hapi.url, advertised_here[hook], 2)
    links = [item["url"] for page in cut["prefetch"].values() if page for item in page.get("link", ())]
    assert any(link.startswith(f"{hapi.url}?_getpages=") for link in links)
    same(post(reading, hook, full), post(reading, hook, cut))


def test_a_chart_of_many_pages_is_read_to_the_end(
    reading: InProcess, advertised_here: Templates, hapi: HapiServer
) -> None:
    """HAPI gives fewer matches than asked for; first page only, and nothing at all, lead to the whole chart."""
    hook = "order-sign"
    full = call(TAIL, hook, LARGE, advertised_here, hapi.url)
    assert len(full["prefetch"]["laboratory"]["entry"]) > 5 * PAGE
    expected = post(reading, hook, full)
    cut = copy.deepcopy(full)
    first_pages(cut, hapi.url, advertised_here[hook], 500)
    assert len(cut["prefetch"]["laboratory"]["entry"]) == PAGE
    same(expected, post(reading, hook, cut))
    same(expected, post(reading, hook, full | {"prefetch": {}}))


def test_a_search_that_hapi_forgot_starts_anew(
    reading: InProcess, advertised_here: Templates, hapi: HapiServer
) -> None:
    """HAPI keeps results for an hour; a link that came later is answered with 410, and the search is made again."""
    hook = "order-sign"
    full = call(TAIL, hook, LARGE, advertised_here, hapi.url)
    cut = copy.deepcopy(full)
    first_pages(cut, hapi.url, advertised_here[hook], PAGE)
    (link,) = (item for item in cut["prefetch"]["laboratory"]["link"] if item["relation"] == "next")
    link["url"] = re.sub(r"_getpages=[^&]+", f"_getpages={FORGOTTEN}", link["url"])
    assert hapi.request("GET", link["url"].removeprefix(hapi.url)).status_code == 410
    same(post(reading, hook, full), post(reading, hook, cut))


@pytest.mark.parametrize("narrowed", ["_summary=true", "_elements=status", "_summary=count", "_count=0"])
def test_a_summary_is_not_taken_for_all(
    narrowed: str, reading: InProcess, advertised_here: Templates, hapi: HapiServer
) -> None:
    """What HAPI left something out of is read in full with the token, and named without."""
    hook = "order-select"
    full = call(TAIL, hook, "", advertised_here, hapi.url)
    told = copy.deepcopy(full)
    for key in ("laboratory", "procedures", "imagingStudies"):
        query = filled(advertised_here[hook][key], full["context"])
        told["prefetch"][key] = get(hapi.url, f"{query}&{narrowed}")
    same(post(reading, hook, full), post(reading, hook, told))
    del told["fhirAuthorization"]
    found = assessment(post(reading, hook, told))["unavailable_reasons"]
    assert {"laboratory": Lack.SUMMARY_ONLY, "imagingStudies": Lack.SUMMARY_ONLY}.items() <= found.items()


def test_what_was_written_a_moment_ago_is_read(
    reading: InProcess, advertised_here: Templates, hapi: HapiServer
) -> None:
    """HAPI answers a repeated search from what it found within the last minute; a decision is not made on that."""
    hook = "order-sign"
    story = next(patient.bundle for patient in synthetic_patients() if patient.slug == "tail-lesion-contrast-mri")
    held = resources(renamed(story, FRESH))
    hapi.load(referred_to(held))
    hapi.load(held)
    full = call("tail-lesion-contrast-mri", hook, FRESH, advertised_here, hapi.url)
    bare = full | {"prefetch": {}}
    same(post(reading, hook, full), post(reading, hook, bare))
    reaction = {"resourceType": "AllergyIntolerance", "id": f"{FRESH}reaction"}
    gadolinium = {"coding": [{"system": "http://snomed.info/sct", "code": "418285008"}], "text": "gadolinium contrast"}
    patient = {"reference": f"Patient/{full['context']['patientId']}"}
    hapi.upload([reaction | {"code": gadolinium, "patient": patient}])
    assert post(reading, hook, bare).json() != post(reading, hook, full).json()
    assert f"{FRESH}reaction" in post(reading, hook, bare).body.decode()


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("Observation?patient=itl-patient&no-such-parameter=1", 400),
        ("Observation?patient=itl-patient&date=yesterday", 400),
        ("Encounter/no-such-encounter", 404),
        ("NoSuchType?patient=itl-patient", 404),
        (f"?_getpages={FORGOTTEN}&_getpagesoffset=20&_count=20", 410),
    ],
)
def test_errors_of_hapi_are_no_data(
    query: str, status: int, reading: InProcess, advertised_here: Templates, hapi: HapiServer
) -> None:
    """An EHR may pass on what HAPI said in place of data; HAPI calls every error "processing"."""
    answer = hapi.request("GET", query)
    assert answer.status_code == status
    hook = "order-select"
    made = call(TAIL, hook, "", advertised_here, hapi.url)
    made["prefetch"]["allergies"] = answer.json()
    assert assessment(post(reading, hook, made))["unavailable_reasons"] == {"allergies": Lack.SENT_AS_ERROR}


def test_a_token_that_hapi_refuses_is_said(reading: InProcess, advertised_here: Templates, hapi: HapiServer) -> None:
    """The token of the call is what HAPI is asked with, and nothing else opens it."""
    assert requests.get(f"{hapi.url}/Patient/itl-patient", timeout=60).status_code == 401
    hook = "order-select"
    made = call(TAIL, hook, "", advertised_here, hapi.url)
    del made["prefetch"]["allergies"]
    made["fhirAuthorization"]["access_token"] = "another"  # noqa: S105 - invented
    assert assessment(post(reading, hook, made))["unavailable_reasons"] == {"allergies": Lack.UNAUTHORISED}


def test_a_dispatched_order_that_was_deleted_is_refused(
    reading: InProcess, advertised_here: Templates, hapi: HapiServer
) -> None:
    """HAPI remembers that there was one and answers 410."""
    made = call(TAIL, "order-dispatch", DISPATCHED, advertised_here, hapi.url)
    order = {"resourceType": "ServiceRequest", "id": "soon-deleted", "status": "active", "intent": "order"}
    hapi.upload([order | {"subject": {"reference": f"Patient/{made['context']['patientId']}"}}])
    assert hapi.request("DELETE", "ServiceRequest/soon-deleted").ok
    made["context"]["dispatchedOrders"] = ["ServiceRequest/soon-deleted"]
    answer = post(reading, "order-dispatch", made)
    assert (answer.status, answer.slug()) == (412, "prefetch-missing")
    assert LACK_WORDS[Lack.GONE] in answer.message()


def test_a_reference_to_a_version_leads_to_the_order(
    reading: InProcess, advertised_here: Templates, hapi: HapiServer
) -> None:
    """HAPI names what it stored with its version (``ServiceRequest/…/_history/1``)."""
    full = call(TAIL, "order-dispatch", DISPATCHED, advertised_here, hapi.url)
    made = copy.deepcopy(full)
    made["prefetch"] = {}
    made["context"]["dispatchedOrders"] = [
        f"{hapi.url}/{reference}/_history/1" for reference in full["context"]["dispatchedOrders"]
    ]
    cards = [card["summary"] for card in post(reading, "order-dispatch", made).json()["cards"]]
    assert cards == [card["summary"] for card in post(reading, "order-dispatch", full).json()["cards"]]


def test_hapi_is_a_server_of_its_own_mind(hapi: HapiServer) -> None:
    """Ids it refuses, references it checks, versions it compares: what our data have to get along with."""
    lost = {"resourceType": "Condition", "id": "lost", "subject": {"reference": "Patient/nobody"}}
    assert hapi.request("PUT", "Condition/lost", lost).status_code == 400
    assert hapi.request("PUT", "Patient/123", {"resourceType": "Patient", "id": "123"}).status_code == 400
    read = hapi.request("GET", "Patient/itl-patient").json()
    assert set(read["meta"]) >= {"versionId", "lastUpdated"}


def test_a_package_is_installed(hapi: HapiServer) -> None:
    """As ``package.tgz``, when the server starts."""
    found = hapi.request("GET", "CodeSystem?url=https://example.org/fhir/CodeSystem/tiny").json()
    assert [entry["resource"]["concept"][0]["code"] for entry in found["entry"]] == ["one"]


def test_artefacts_are_taken_one_by_one(hapi: HapiServer) -> None:
    """Definitions of our own go in as resources, too."""
    system = {"resourceType": "CodeSystem", "id": "own", "url": "https://example.org/fhir/CodeSystem/own"}
    hapi.upload([system | {"status": "draft", "content": "complete", "concept": [{"code": "two"}]}])
    asked = "CodeSystem/$lookup?system=https://example.org/fhir/CodeSystem/own&code=two"
    assert hapi.request("GET", asked).status_code == 200


@pytest.mark.parametrize("kind", sorted(set(SERVED) - {"ImplementationGuide"}))
def test_our_package_is_installed(kind: str, hapi: HapiServer) -> None:
    """Every artefact of the exported package is on the server; but for the guide, see ``Server.java``."""
    made = [one for one in artefacts(load_knowledge(), load_terminology()) if one["resourceType"] == kind]
    lost = [one["id"] for one in made if not found(hapi, kind, one)]
    assert lost == []


def found(hapi: HapiServer, kind: str, one: Mapping[str, Any]) -> bool:
    """Whether the server finds an artefact by its canonical and version."""
    asked = hapi.request("GET", f"{kind}?url={quote(one['url'])}&version={quote(one['version'])}&_elements=url")
    return len(asked.json().get("entry", ())) == 1


def test_the_server_knows_our_codes(hapi: HapiServer) -> None:
    """Terminology operations of HAPI on what was installed: codes in and out of a ValueSet, and a translation."""
    for code, expected in (("29593-1", True), ("85330-9", False)):
        asked = f"ValueSet/$validate-code?url={FHIR_BASE}/ValueSet/ki67-index&system=http://loinc.org&code={code}"
        answered = hapi.request("GET", asked).json()
        assert parameter(answered, "result") is expected, answered
    asked = f"ConceptMap/$translate?url={FHIR_BASE}/ConceptMap/imaging-codes-study&system=http://loinc.org&code=24557-1"
    translated = hapi.request("GET", asked).json()
    assert parameter(translated, "result") is True
    assert "mri-abd-wwo" in json.dumps(translated)


def parameter(parameters: Mapping[str, Any], name: str) -> Any:
    """The boolean of a name in a Parameters resource."""
    return {one["name"]: one for one in parameters.get("parameter", [])}.get(name, {}).get("valueBoolean")


@pytest.mark.parametrize("slug", SLUGS)
def test_a_plan_is_applied_to_what_the_server_holds(slug: str, reading: InProcess, hapi: HapiServer) -> None:
    """$apply to all pages of HAPI's own $everything: the same options and notes as for the bundled chart.

    One page alone is refused, and HAPI takes what was answered.
    """
    story = next(patient.bundle for patient in synthetic_patients() if patient.slug == slug)
    patient = next(one["id"] for one in resources(story) if one["resourceType"] == "Patient")
    page = hapi.request("GET", f"Patient/{patient}/$everything").json()
    if any(link["relation"] == "next" for link in page["link"]):
        refused = reading.request("POST", APPLY, json.dumps(page).encode(), "application/fhir+json")
        assert (refused.status, "all pages into one Bundle" in refused.message()) == (400, True)
    everything = in_full(hapi.url, f"Patient/{patient}/$everything?_count={PAGE}")
    made = [applied(reading, bundle) for bundle in (everything, story)]
    assert {name: made[0].get(name) for name in COMPARED} == {name: made[1].get(name) for name in COMPARED}
    hapi.upload([made[0] | {"id": f"plan-{patient}"}])


APPLY: Final = "/fhir/PlanDefinition/$apply"
COMPARED: Final = ("instantiatesCanonical", "activity", "note", "contained")


def applied(service: InProcess, bundle: Mapping[str, Any]) -> dict[str, Any]:
    """What the plan comes to for the patient of a Bundle."""
    body = json.dumps(bundle).encode()
    answer = service.request("POST", APPLY, body, "application/fhir+json")
    assert answer.status == 200, answer.body
    plan: dict[str, Any] = answer.json()
    return plan
