"""The OpenAPI document and its page: valid, complete, the same rules as the schemas, and true of what is answered."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest
from flask import Flask
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012
from structlog.testing import capture_logs
from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.test import TestResponse

from cds_service.store.clients import open_clients
from fhir_profiles.synthetic import synthetic_patients
from hooks import SERVICES
from tests.calling import Answer, InProcess, MakeApp, OverHttp
from tests.protocol.test_schemas import ACCEPTED, MESSAGES, REFUSED, REQUEST, changed
from tests.signing import claims, sign
from tests.validity import FORMATS, assert_valid_response, schema_errors
from tests.web.test_edge import PAGE, PUBLIC, Protected
from tests.web.test_guideline import POLICY, Page

Json = Any

_METHODS: Final = {"get", "post", "options"}
_ADDRESS: Final = "urn:document"
_COMPONENT: Final = {"response": "Response", "discovery": "Discovery", "feedback": "Feedback"}


@pytest.fixture(scope="module")
def document(local: InProcess) -> Json:
    """The document of the demo."""
    return local.request("GET", "/openapi.json").json()


@pytest.fixture
def protected(tmp_path: Path) -> Iterator[Protected]:
    """A protected service with a client."""
    url = f"sqlite:///{tmp_path}/store.sqlite"
    made = Protected(url, open_clients(url))
    made.register("ehr", cors_origins=(PAGE,), services=("pnet-order-sign",))
    yield made
    made.clients.release()


def operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    """Path, method and operation."""
    for path, item in document["paths"].items():
        for method in _METHODS & set(item):
            yield path, method.upper(), item[method]


def errors(document: Json, schema: Json, value: Json) -> list[str]:
    """How a value breaks a schema of the document."""
    resource = Resource.from_contents(document, default_specification=DRAFT202012)
    registry: Registry[Any] = Registry().with_resource(_ADDRESS, resource)
    anchored = json.loads(json.dumps(schema).replace('"#/', f'"{_ADDRESS}#/'))
    validator = Draft202012Validator(anchored, registry=registry, format_checker=FORMATS)
    return [error.message for error in validator.iter_errors(value)]


# --- the document -----------------------------------------------------------------------------------------------------


def test_the_document_is_valid_and_the_same_every_time(document: Json, make_app: MakeApp) -> None:
    """OpenAPI 3.1 in JSON; another process answers with the same bytes."""
    assert document["openapi"].startswith("3.1.")
    assert [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()] == []
    first, second = (make_app().test_client().get("/openapi.json") for _ in range(2))
    assert first.content_type == "application/json"
    assert first.data == second.data


def test_the_document_of_a_protected_service_says_who_may_call(protected: Protected) -> None:
    """Clients need a token under /cds-services and /fhir, but for preflights and metadata; no demo paths."""
    found = json.loads(protected.app().test_client().get("/openapi.json").data)
    assert [error.message for error in OpenAPIV31SpecValidator(found).iter_errors()] == []
    assert found["components"]["securitySchemes"]["client"]["scheme"] == "bearer"
    assert found["servers"] == [{"url": PUBLIC}]
    for path, method, operation in operations(found):
        guarded = path.startswith(("/cds-services", "/fhir")) and path != "/fhir/metadata"
        expected = guarded and method != "OPTIONS"
        assert (operation.get("security") == [{"client": []}]) is expected, (path, method)
        assert ("401" in operation["responses"]) is expected, (path, method)
    assert not [path for path in found["paths"] if path.startswith("/demo")]


def test_the_demo_asks_for_no_token(document: Json) -> None:
    """Nothing in the document of the open demo speaks of tokens."""
    assert "securitySchemes" not in document["components"]
    assert not [path for path, _, operation in operations(document) if "security" in operation]


def concrete(path: str, operation: Json, item: Json) -> str:
    """The path with an allowed value for every parameter."""
    parameters = (*item.get("parameters", ()), *operation.get("parameters", ()))
    for parameter in (each for each in parameters if each["in"] == "path"):
        value = parameter.get("example") or parameter["schema"]["enum"][0]
        path = path.replace(f"{{{parameter['name']}}}", value)
    return path


@pytest.mark.parametrize("demo", [True, False])
def test_documented_and_routed_are_the_same(demo: bool, app: Flask, protected: Protected) -> None:
    """Every operation has a route, and every route that is offered has an operation."""
    there = app if demo else protected.app()
    found = json.loads(there.test_client().get("/openapi.json").data)
    urls = there.url_map.bind("localhost")
    reached = set()
    for path, method, operation in operations(found):
        of_service = path.startswith("/cds-services/")
        asked = method if method != "OPTIONS" else "POST" if of_service else "GET"
        try:
            rule, _ = urls.match(concrete(path, operation, found["paths"][path]), asked, return_rule=True)
        except (NotFound, MethodNotAllowed):
            pytest.fail(f"{method} {path} is documented and not there")
        reached.add((rule.rule, method))
    routed = {
        (rule.rule, method)
        for rule in there.url_map.iter_rules()
        for method in set(rule.methods or ()) - {"HEAD", "OPTIONS"}
    }
    guarded = {rule for rule, _ in routed if rule.startswith(("/cds-services", "/fhir")) and rule != "/fhir/metadata"}
    preflights = {(rule, "OPTIONS") for rule in guarded}
    assert reached == routed | preflights


def test_names_of_operations_are_unique(document: Json) -> None:
    """Programs are made from them."""
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(names) == len(set(names))


# --- schemas ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [
        *((name, (), None) for name in MESSAGES),
        *((name, path, value) for name, _, path, value in (*REFUSED, *ACCEPTED)),
    ],
)
def test_the_components_are_the_schemas(document: Json, name: str, path: tuple[str | int, ...], value: Json) -> None:
    """What the packaged schema takes and refuses, the component takes and refuses."""
    message = changed(MESSAGES[name], path, value) if path else MESSAGES[name]
    if name == "request" and message.get("hook") != REQUEST["hook"]:
        return  # each hook has a component of its own, compared below
    component = f"Call.{REQUEST['hook']}" if name == "request" else _COMPONENT.get(name, "RatedOrder")
    schema = {"$ref": f"#/components/schemas/{component}"}
    assert bool(errors(document, schema, message)) == bool(schema_errors(name, message))


@pytest.mark.parametrize("hook", [service.hook for service in SERVICES])
@pytest.mark.parametrize("patient", [patient.slug for patient in synthetic_patients()])
def test_each_hook_has_its_own_component(document: Json, local: InProcess, hook: str, patient: str) -> None:
    """A call is right for its own hook alone, and no longer when something its context needs is gone."""
    call = local.request("GET", f"/demo/requests/{patient}?hook={hook}").json()
    schema = {"$ref": f"#/components/schemas/Call.{hook}"}
    assert errors(document, schema, call) == []
    for other in (service.hook for service in SERVICES if service.hook != hook):
        assert errors(document, {"$ref": f"#/components/schemas/Call.{other}"}, call)
    for name in call["context"]:
        less = call | {"context": {key: value for key, value in call["context"].items() if key != name}}
        assert bool(errors(document, schema, less)) == bool(schema_errors("request", less)), name


# --- what is answered -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.id)
def test_the_examples_are_right_and_answered(service: Any, document: Json, live: OverHttp) -> None:
    """The call shown is right and gets a card; the answer shown is right as well."""
    operation = document["paths"][f"/cds-services/{service.id}"]["post"]
    ((name, asked),) = operation["requestBody"]["content"]["application/json"]["examples"].items()
    answered = operation["responses"]["200"]["content"]["application/json"]["examples"][name]["value"]
    assert schema_errors("request", asked["value"]) == []
    got = live.request("POST", f"/cds-services/{service.id}", json.dumps(asked["value"]).encode())
    body = assert_valid_response(got, asked["value"])
    shown = Answer(200, {"Content-Type": "application/json"}, json.dumps(answered).encode())
    assert assert_valid_response(shown, asked["value"])["cards"]
    assert [card["summary"] for card in body["cards"]] == [card["summary"] for card in answered["cards"]]


def test_the_feedback_shown_is_right_and_taken(document: Json, live: OverHttp) -> None:
    """Both entries of the example are understood."""
    content = document["paths"]["/cds-services/{service}/feedback"]["post"]["requestBody"]["content"]
    said = content["application/json"]["examples"]["two-cards"]["value"]
    assert schema_errors("feedback", said) == []
    assert live.request("POST", "/cds-services/pnet-order-sign/feedback", json.dumps(said).encode()).status == 200


def test_errors_shown_are_right(document: Json) -> None:
    """Every example of an error is one that its own schema and that of errors take."""
    shown = 0
    for _, _, operation in operations(document):
        for answer in operation["responses"].values():
            content = answer.get("content", {}).get("application/json", {})
            for name, example in content.get("examples", {}).items():
                if example["value"].get("resourceType") == "OperationOutcome":
                    shown += 1
                    assert errors(document, content["schema"], example["value"]) == [], name
                    assert schema_errors("outcome", example["value"]) == []
    assert shown > 50


def is_documented(document: Json, path: str, method: str, answer: TestResponse) -> None:
    """Status, headers and body of an answer are those of the document."""
    told = document["paths"][path][method.lower()]["responses"].get(str(answer.status_code))
    assert told is not None, (path, method, answer.status_code)
    for name in told["headers"]:
        header = document["components"]["headers"][name]
        given = answer.headers.get(name)
        assert given is not None or not header.get("required"), name
        if given is not None:
            value = int(given) if header["schema"].get("type") == "integer" else given
            assert errors(document, header["schema"], value) == [], name
    assert bool(answer.data) == bool(told.get("content"))
    if "content" in told:
        assert errors(document, told["content"][answer.content_type]["schema"], answer.get_json()) == []


def test_refusals_of_clients_are_documented(protected: Protected) -> None:
    """Without a token, for another service, too often, and when all is well."""
    app = protected.app(rate_limit="4/hour")
    client = app.test_client()
    found = json.loads(client.get("/openapi.json").data)

    def ask(path: str, *, token: bool = True) -> TestResponse:
        headers = {"Origin": PAGE, "Content-Type": "application/json"}
        if token:
            signed = sign(claims("https://ehr.example.org", PUBLIC + path), "ehr")
            headers["Authorization"] = f"Bearer {signed}"
        method = "GET" if path == "/cds-services" else "POST"
        with capture_logs():
            answer = client.open(path, method=method, data=b"{}" if method == "POST" else None, headers=headers)
        is_documented(found, path.replace("/pnet-order-sign/feedback", "/{service}/feedback"), method, answer)
        return answer

    sign_order, feedback = "/cds-services/pnet-order-sign", "/cds-services/pnet-order-sign/feedback"
    asked = [
        ask("/cds-services"),
        ask(sign_order),
        ask("/cds-services/pnet-patient-view"),
        ask(feedback),
        ask(feedback),
        ask(sign_order, token=False),
    ]
    assert [answer.status_code for answer in asked] == [200, 400, 403, 400, 429, 401]


@pytest.mark.parametrize("draft_members", [True, False])
def test_discovery_is_as_documented(draft_members: bool, make_app: MakeApp) -> None:
    """With the members of the draft of CDS Hooks 3.0 as without."""
    client = make_app(draft_members=draft_members).test_client()
    found = json.loads(client.get("/openapi.json").data)
    is_documented(found, "/cds-services", "GET", client.get("/cds-services"))


def test_the_document_is_found_from_the_start(live: OverHttp) -> None:
    """The first page names both."""
    about = live.request("GET", "/").json()
    assert live.request("GET", about["openapi"]).json()["info"]["title"] == "pnet-cds"
    assert live.request("GET", about["docs"]).headers["Content-Type"] == "text/html; charset=utf-8"


# --- the page ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shown(live: OverHttp) -> Page:
    """The page."""
    return Page(live.request("GET", "/docs").body.decode())


def test_the_page_shows_everything(shown: Page, document: Json) -> None:
    """Every operation, status, slug and schema of the document, and that the demo is open."""
    for path, method, operation in operations(document):
        assert f"{method} {path}" in shown.flat
        for status in operation["responses"]:
            assert status in shown.flat
    slugs = set(re.findall(r"`([a-z0-9-]+)`: ", json.dumps(document)))
    assert {"prefetch-missing", "internal"} <= slugs
    assert all(slug in shown.flat for slug in slugs)
    anchors = {attributes.get("id") for _, attributes in shown.tags}
    assert {f"schema-{name}" for name in document["components"]["schemas"]} <= anchors
    assert "open demo" in shown.flat


def test_the_page_of_a_protected_service_says_who_may_call(protected: Protected) -> None:
    """Registered clients, and how they prove it; links keep the path a proxy adds."""
    app = protected.app(public_url="https://cds.example.org/imaging")
    page = Page(app.test_client().get("/docs").data.decode())
    assert "signed token of a registered client" in page.flat
    assert "open demo" not in page.flat
    local = [str(link["href"]) for link in (*page.all("a"), *page.all("link"))]
    assert all(link.startswith(("#", "/imaging/")) for link in local)


def test_the_page_is_strict_and_holds_no_script(live: OverHttp, shown: Page) -> None:
    """Our own style sheet, nothing from anywhere else, and a policy that would refuse it."""
    answer = live.request("GET", "/docs")
    assert answer.headers["Content-Security-Policy"] == POLICY
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert not shown.all("script")
    assert not shown.all("img")
    (style,) = shown.all("link")
    assert live.request("GET", str(style["href"])).status == 200
    for _, attributes in shown.tags:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]


def test_the_page_can_be_read_aloud(shown: Page) -> None:
    """Headings do not skip a level, tables have captions and scoped headers, ids are unique and every link arrives."""
    levels = [int(tag[1]) for tag, _ in shown.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert len(shown.all("table")) == len(shown.all("caption"))
    assert all(header.get("scope") in ("col", "row") for header in shown.all("th"))
    ids = [attributes["id"] for _, attributes in shown.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    inner = {str(link["href"])[1:] for link in shown.all("a") if str(link["href"]).startswith("#")}
    assert inner <= set(ids)
    labelled = {attributes["aria-labelledby"] for _, attributes in shown.tags if "aria-labelledby" in attributes}
    assert labelled <= set(ids)
