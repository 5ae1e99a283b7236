"""The paths of the OpenAPI document that anybody may read: operation, guideline pages and the demo."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from itertools import islice
from typing import Any, Final

from cds_service import errors
from cds_service.knowledge.model import Knowledge
from cds_service.metrics.counts import CONTENT_TYPE
from cds_service.service import HookService
from cds_service.web.openapi_answers import HTML, answer, body, page, problem, refusals
from cds_service.web.openapi_schemas import Schema, call_name, reference
from cds_service.web.order_entry import FILES
from fhir_profiles.synthetic import synthetic_patients

Paths = dict[str, dict[str, Any]]
"""Path items by path."""

_DAY: Final = {
    "name": "as-of",
    "in": "query",
    "description": "The day the page is about; today without it.",
    "schema": {"type": "string", "format": "date"},
}


_NAMED: Final = 3  # rules in the example of a link
_FILE_TYPES: Final = (
    "text/javascript; charset=utf-8",
    "text/css; charset=utf-8",
    "text/plain; charset=utf-8",
    "image/svg+xml; charset=utf-8",
)


def operation(tag: str, name: str, summary: str, answers: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """One operation; its name is unique in the document."""
    return {"tags": [tag], "operationId": name, "summary": summary, **more, "responses": dict(answers)}


def in_path(name: str, schema: Schema, example: str = "") -> dict[str, Any]:
    """A parameter of the path."""
    shown = {"example": example} if example else {}
    return {"name": name, "in": "path", "required": True, "schema": schema} | shown


def operations(*, demo: bool, metrics: bool) -> Paths:
    """For operators, and for those who connect a client."""
    state: Schema = {
        "type": "object",
        "required": ["status", "knowledge", "store"],
        "properties": {
            "status": {"enum": ["ready", "not ready"]},
            "knowledge": _strings("version", "hash"),
            "store": {"type": "string"},
        },
    }
    ready = {
        "200": answer("Yes, and by which knowledge.", body(state)),
        "503": answer("Not while calls cannot be answered and recorded.", body(state)),
    }
    about = _strings("name", "version", "about", "intendedUse", "discovery", "guideline", "openapi", "docs")
    first = body(about) | ({HTML: {"schema": {"type": "string"}}} if demo else {})
    said = "Where to go; as HTML the order-entry page." if demo else "Where to go."
    document: Schema = {"type": "object", "required": ["openapi", "info", "paths"]}
    numbers = {"200": answer("In the text format of Prometheus.", {CONTENT_TYPE: {"schema": {"type": "string"}}})}
    found = {
        "/": _get("Operation", "about", "What this is", {"200": answer(said, first)}),
        "/healthz": _get("Operation", "health", "Is it alive", {"200": answer("Yes.", body(_strings("status")))}),
        "/readyz": _get("Operation", "readiness", "Can it answer", ready),
        "/openapi.json": _get(
            "Operation", "openapi", "This document", {"200": answer("For programs.", body(document))}
        ),
        "/docs": _get("Operation", "docs", "This document as a page", {"200": page("For people.")}),
    }
    return found | ({"/metrics": _get("Operation", "metrics", "What is counted", numbers)} if metrics else {})


def guideline(knowledge: Knowledge) -> Paths:
    """Pages about the rules."""
    search = {"name": "q", "in": "query", "description": "Words to find rules by.", "schema": {"type": "string"}}
    named = {
        "name": "rules",
        "in": "query",
        "required": True,
        "description": "Ids of rules, separated by commas, as links of cards have them.",
        "schema": {"type": "string"},
        "example": ",".join(islice(knowledge.rows, _NAMED)),
    }
    scenario = in_path("scenario", {"enum": list(knowledge.scenarios)})
    rule = in_path("rule", {"type": "string"}, next(iter(knowledge.rows)))
    style = {
        "200": answer("The style sheet.", {"text/css; charset=utf-8": {"schema": {"type": "string"}}}),
        "404": page("There is no such file."),
    }
    return {
        "/guideline": _page("guideline", "Scenarios, and search", search),
        "/guideline/": _page("guideline-slash", "The same", search),
        "/guideline/rules": _page("rules", "Every rule"),
        "/guideline/rules/{rule}": _page("rule", "A rule", rule),
        "/guideline/scenarios/{scenario}": _page("scenario", "A scenario", scenario),
        "/guideline/why": _page("why", "The rules a card names", named),
        "/guideline/coverage": _page("coverage", "What of the specification is carried out"),
        "/guideline/matrix": _page("matrix", "Scenarios and studies"),
        "/guideline/sources": _page("sources", "Sources"),
        "/guideline/changes": _page("changes", "Changes of the clinical content"),
        "/guideline/static/{file}": _get(
            "Guideline", "style", "Style of the pages", style, in_path("file", {"enum": ["guideline.css"]})
        ),
    }


def app() -> Paths:
    """The SMART app: not called by programs, but by the browser that an EHR sends."""
    issuer = {"name": "iss", "in": "query", "description": "Base URL of the FHIR server.", "schema": {"type": "string"}}
    handle = {
        "name": "launch",
        "in": "query",
        "description": "The EHR's handle of its context; without it, the launch is standalone.",
        "schema": {"type": "string"},
    }
    code, state = ({"name": name, "in": "query", "schema": {"type": "string"}} for name in ("code", "state"))
    refused = {
        "403": page("The app is not set up for this FHIR server, or the EHR did not let it in."),
        "502": page("The EHR's servers did not do their part."),
        "503": page("The store cannot be reached."),
    }
    script = {
        "200": answer("The script.", {"text/javascript; charset=utf-8": {"schema": {"type": "string"}}}),
        "404": problem(HTTPStatus.NOT_FOUND, (("http-404", "There is nothing at this path."),)),
    }
    sent = {"302": page("To the authorization server of the EHR.")}
    back = {
        "200": page("The story."),
        "400": page("No launch that began in this browser a short time ago, or none with a patient."),
    }
    return {
        "/smart/launch": _get("App", "launch", "Opens the SMART app", sent | refused, issuer, handle),
        "/smart/callback": _get("App", "launched", "Where the EHR sends the browser back", back | refused, code, state),
        "/smart/static/{file}": _get(
            "App", "app-file", "Its script", script, in_path("file", {"enum": ["handback.js"]})
        ),
    }


def demo(services: tuple[HookService, ...], knowledge: Knowledge) -> Paths:
    """The synthetic patients, and what the order-entry page needs."""
    patient = in_path("patient", {"enum": [found.slug for found in synthetic_patients()]})
    hook = {
        "name": "hook",
        "in": "query",
        "description": "Without it, that of the story.",
        "schema": {"enum": [service.hook for service in services]},
    }
    listed: Schema = {"type": "array", "items": _strings("slug", "title", "story", "hook")}
    chart: Schema = {"required": ["resourceType", "entry"], "properties": {"resourceType": {"const": "Bundle"}}}
    call: Schema = {"anyOf": [reference(call_name(service)) for service in services]}
    unknown = {"404": problem(HTTPStatus.NOT_FOUND, (("http-404", "There is nothing at this path."),))}
    study: Schema = {
        "type": "object",
        "required": ["study", "label", "modality", "code"],
        "properties": {
            "study": {"enum": list(knowledge.procedures)},
            "label": {"type": "string"},
            "modality": {"type": "string"},
            "code": {"type": "object", "description": "CodeableConcept of an order."},
        },
    }
    files = {media_type: {"schema": {"type": "string"}} for media_type in _FILE_TYPES}
    return _demo_ehr(patient) | {
        "/demo/studies": _get(
            "Demo",
            "studies",
            "Studies that can be ordered",
            {"200": answer("With the code they are ordered by.", body({"type": "array", "items": study}))},
        ),
        "/demo/charts": {"post": _chart(chart)},
        "/demo/static/{file}": _get(
            "Demo",
            "order-entry-file",
            "What the order-entry page is made of",
            {"200": answer("The file.", files)} | unknown,
            in_path("file", {"enum": list(FILES)}),
        ),
        "/demo/patients": _get("Demo", "patients", "All stories", {"200": answer("By name.", body(listed))}),
        "/demo/patients/{patient}": _get(
            "Demo", "patient", "A chart", {"200": answer("Moved to today.", body(chart))} | unknown, patient
        ),
        "/demo/patients/{patient}/story": _get(
            "Demo",
            "story",
            "A patient's story as a page",
            {
                "200": page("The story, moved to the day."),
                "400": page("as-of is no day."),
                "404": page("There is no such patient, or nothing was in force on that day."),
            },
            patient,
            _DAY,
        ),
        "/demo/feedback": _get(
            "Demo", "feedback-page", "How the advice of this demo is received", {"200": page("For people.")}
        ),
        "/demo/requests/{patient}": _get(
            "Demo",
            "request",
            "The call an EHR would make about a patient",
            {"200": answer("To be posted to the service of its hook.", body(call))} | unknown,
            patient,
            hook,
        ),
    }


def _chart(chart: Schema) -> dict[str, Any]:
    """Reading a chart; what is asked for is in the body, because addresses are logged on their way."""
    asked: Schema = {
        "type": "object",
        "required": ["fhirServer", "patientId"],
        "properties": {
            "fhirServer": {"type": "string", "description": "Base URL."},
            "patientId": {"type": "string"},
            "token": {"type": "string", "description": "Bearer token for that server."},
        },
    }
    found: Schema = {
        "type": "object",
        "required": ["chart", "lacking"],
        "properties": {"chart": chart, "lacking": {"type": "object", "additionalProperties": {"type": "string"}}},
    }
    kinds = (errors.InvalidRequest, errors.UnsupportedMediaType, errors.FhirServerRefused, errors.RemoteError)
    return operation(
        "Demo",
        "chart",
        "A chart of a FHIR server",
        {"200": answer("All that calls may be made of, and what could not be read.", body(found)), **refusals(kinds)},
        requestBody={"required": True, "content": body(asked)},
    )


def _demo_ehr(patient: Mapping[str, Any]) -> Paths:
    """The other side of the SMART app's launch; a stranger's app has no use for it."""
    unknown = refusals((errors.InvalidRequest, errors.UnknownArtefact))
    kind = in_path("kind", {"type": "string"}, "Condition")
    identifier = in_path("id", {"type": "string"}, "itl-patient")
    resource: Schema = {"type": "object", "required": ["resourceType"]}
    form = {"content": {"application/x-www-form-urlencoded": {"schema": {"type": "object"}}}}
    told: Schema = {"type": "object", "required": ["iss", "launch", "messagingHandle"]}
    endpoints: Schema = {"type": "object", "required": ["authorization_endpoint", "token_endpoint"]}
    access: Schema = {"type": "object", "required": ["access_token", "token_type", "patient"]}
    refused: Schema = {"type": "object", "required": ["error"], "properties": {"error": {"const": "invalid_grant"}}}
    sent = {"200": page("Whose story? In a standalone launch."), "302": page("Back to the app.")}
    tokens = {"200": answer("A token.", body(access)), "400": answer("No such code.", body(refused))}
    return {
        "/demo/ehr/launch/{patient}": _get(
            "Demo", "ehr-launch", "A launch handle for the app", {"200": answer("It.", body(told))} | unknown, patient
        ),
        "/demo/ehr/authorize": _get("Demo", "ehr-authorize", "Lets the app in", sent | unknown),
        "/demo/ehr/token": {
            "post": operation("Demo", "ehr-token", "A token for a code", tokens | refusals(()), requestBody=form)
        },
        "/demo/ehr/fhir/.well-known/smart-configuration": _get(
            "Demo",
            "ehr-configuration",
            "Where access is given",
            {"200": answer("For the app.", body(endpoints))},
        ),
        "/demo/ehr/fhir/{kind}": _get(
            "Demo", "ehr-search", "A search in a chart", {"200": answer("A Bundle.", body(resource))} | unknown, kind
        ),
        "/demo/ehr/fhir/{kind}/{id}": _get(
            "Demo",
            "ehr-read",
            "A resource",
            {"200": answer("It.", body(resource))} | unknown,
            kind,
            identifier,
        ),
    }


def _get(
    tag: str, name: str, summary: str, answers: Mapping[str, Any], *parameters: Mapping[str, Any]
) -> dict[str, Any]:
    asked = {"parameters": list(parameters)} if parameters else {}
    return {"get": operation(tag, name, summary, {**answers, **refusals(())}, **asked)}


def _page(name: str, summary: str, *parameters: Mapping[str, Any]) -> dict[str, Any]:
    answers = {
        "200": page("The page."),
        "400": page("as-of is no day."),
        "404": page("There is no such thing, or nothing was in force on that day."),
    }
    return _get("Guideline", name, summary, answers, *parameters, _DAY)


def _strings(*names: str) -> Schema:
    """An object of texts, all of them there."""
    return {
        "type": "object",
        "required": list(names),
        "additionalProperties": False,
        "properties": {name: {"type": "string"} for name in names},
    }
