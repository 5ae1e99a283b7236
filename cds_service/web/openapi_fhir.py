"""The paths of the OpenAPI document below ``/fhir``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from cds_service import errors
from cds_service.artefacts.guide import SEARCHED, SERVED
from cds_service.artefacts.plans import CHOICE
from cds_service.web.openapi_answers import answer, body, refusals
from cds_service.web.openapi_paths import Paths, in_path, operation
from cds_service.web.openapi_schemas import Schema

ForClients = Callable[..., dict[str, Any]]
"""Makes an operation that only clients may call: tag, name, summary, answers, kinds of errors, more."""

TAG: Final = "FHIR"
_JSON: Final = "application/json"
_FHIR: Final = "application/fhir+json"
_EXAMPLE: Final = "mri-abd-pel-wwo"
_PATIENT: Final[Schema] = {
    "type": "object",
    "required": ["resource"],
    "properties": {
        "resource": {
            "type": "object",
            "required": ["resourceType", "id"],
            "properties": {
                "resourceType": {"const": "Patient"},
                "id": {"type": "string", "pattern": "^[A-Za-z0-9.-]{1,64}$"},
            },
        }
    },
}
_CHART: Final[Schema] = {
    "type": "object",
    "description": "The chart of one patient.",
    "required": ["resourceType", "entry"],
    "properties": {
        "resourceType": {"const": "Bundle"},
        "entry": {"type": "array", "contains": _PATIENT, "minContains": 1, "maxContains": 1},
    },
}
_PARAMETERS: Final[Schema] = {
    "type": "object",
    "description": "The same as the parameter data; subject may name the patient.",
    "required": ["resourceType", "parameter"],
    "properties": {
        "resourceType": {"const": "Parameters"},
        "parameter": {
            "type": "array",
            "contains": {
                "type": "object",
                "required": ["name", "resource"],
                "properties": {"name": {"const": "data"}, "resource": _CHART},
            },
            "minContains": 1,
            "maxContains": 1,
        },
    },
}
_READ: Final = (errors.InvalidRequest, errors.UnknownArtefact, errors.KnowledgeError)
_SENT: Final = (*_READ, errors.PatientMismatch)
_POSTED: Final = (*_SENT, errors.NotJson, errors.BodyTooLarge, errors.UnsupportedMediaType)


def fhir(for_clients: ForClients) -> Paths:
    """Everything the FHIR endpoint answers."""
    kind = in_path("kind", {"enum": list(SERVED)})
    identifier = in_path("id", {"type": "string"}, _EXAMPLE)
    read = {"200": _found("The artefact.", *SERVED), "304": answer("Not changed since the ETag that was sent.")}
    searched = {"200": _found("A page of what fits.", "Bundle"), "304": read["304"]}
    open_answers = {"200": _found("What the endpoint can do.", "CapabilityStatement"), "304": read["304"]}
    format_only = refusals((errors.InvalidRequest,))
    paths: Paths = {
        "/fhir/metadata": {
            "get": operation(TAG, "fhir-metadata", "What can be asked", {**open_answers, **format_only})
        },
        "/fhir/{kind}": {
            "parameters": [kind],
            "get": for_clients(TAG, "fhir-search", "Artefacts of a type", searched, _READ, parameters=_search()),
        },
        "/fhir/{kind}/{id}": {
            "parameters": [kind, identifier],
            "get": for_clients(TAG, "fhir-read", "One artefact", read, _READ),
        },
        "/fhir/PlanDefinition/$apply": _apply("fhir-apply", "Which studies there are for a patient", for_clients),
        "/fhir/PlanDefinition/{id}/$apply": {
            "parameters": [in_path("id", {"type": "string"}, CHOICE)],
            **_apply("fhir-apply-one", "The same by one plan", for_clients),
        },
    }
    return {path: _as_fhir(item) for path, item in paths.items()}


def _apply(name: str, summary: str, for_clients: ForClients) -> dict[str, Any]:
    subject = {
        "name": "subject",
        "in": "query",
        "description": "The patient. Without data this is possible in demo mode only.",
        "schema": {"type": "string", "pattern": "^(Patient/)?[A-Za-z0-9.-]{1,64}$"},
    }
    answers = {"200": _found("The options, with ratings and the facts they rest on.", "CarePlan")}
    return {
        "get": for_clients(
            TAG, name, summary, answers | {"304": answer("The same as before.")}, _SENT, parameters=[subject]
        ),
        "post": for_clients(
            TAG,
            f"{name}-to-data",
            summary,
            answers,
            _POSTED,
            parameters=[subject],
            requestBody={"required": True, "content": body({"anyOf": [_CHART, _PARAMETERS]})},
        ),
    }


def _found(description: str, *kinds: str) -> dict[str, Any]:
    schema: Schema = {
        "type": "object",
        "required": ["resourceType"],
        "properties": {"resourceType": {"enum": list(kinds)}},
    }
    return answer(description, body(schema))


def _search() -> list[dict[str, Any]]:
    texts = [{"name": name, "in": "query", "schema": {"type": "string"}} for name in SEARCHED]
    whole = {"type": "integer", "minimum": 0, "maximum": 9999999}
    return [*texts, *({"name": name, "in": "query", "schema": whole} for name in ("_count", "_offset"))]


def _as_fhir(item: Any) -> Any:
    """Bodies under the name FHIR gives its JSON."""
    if isinstance(item, list):
        return [_as_fhir(each) for each in item]
    if not isinstance(item, dict):
        return item
    return {_FHIR if name == _JSON else name: _as_fhir(value) for name, value in item.items()}
