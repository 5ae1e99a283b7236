"""The OpenAPI 3.1 document: every path, every status that can occur, and what each body holds.

It is made from the schemas that validate, the errors that are raised and the services that are offered; a test compares
it with the routes, and generated calls compare it with the answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from cds_service import __version__, errors
from cds_service.pipeline import Parts
from cds_service.service import HookService
from cds_service.web import openapi_fhir, openapi_paths
from cds_service.web.access import FHIR, OPEN
from cds_service.web.openapi_answers import HEADERS, answer, body, refusals
from cds_service.web.openapi_examples import example, feedback
from cds_service.web.openapi_paths import Paths, in_path, operation
from cds_service.web.openapi_schemas import Schema, call_name, reference, schemas

_DESCRIPTION: Final = """\
Decision support for imaging of neuroendocrine tumours: CDS Hooks 2.0 over FHIR R4.

An EHR reads `GET /cds-services` once, and calls the service of a hook when that hook fires. Schemas say what a client
should send; the service admits more where it does no harm, and logs the deviation. A body may be declared as
`application/json`, `application/fhir+json`, `text/json` or not at all.

Errors are OperationOutcomes with a stable slug in `details.coding`; messages never quote the record. On any path, what
does not exist is answered with 404 (`http-404`) and another method than those below with 405 (`http-405`, and `Allow`).
Paths that answer to GET answer to HEAD.

pnet-cds supports a clinician's decision and never replaces it. It is not the ACR, not a qualified clinical decision
support mechanism and not a medical device."""
_AUTHENTICATION: Final = """\
A signed token of a registered client (ES384 or RS384): `iss` as registered, `aud` exactly the address that is called,
`exp`, `iat`, and a `jti` that is used once."""
_HOOKS: Final = "CDS Hooks"
_TAGS: Final = (
    (_HOOKS, "What an EHR calls."),
    (openapi_fhir.TAG, "The guideline and the profiles as FHIR artefacts."),
    ("Operation", "For operators and for those who connect a client."),
    ("Guideline", "Pages about the rules, for people; cards link to them."),
    ("App", "The patient's story as a SMART app, opened by an EHR."),
    ("Demo", "The synthetic patients, in demo mode only."),
)
_CALL: Final = (
    errors.NotJson,
    errors.InvalidRequest,
    errors.HookMismatch,
    errors.PatientMismatch,
    errors.UnsupportedFhirVersion,
    errors.PrefetchMissing,
    errors.BodyTooLarge,
    errors.UnsupportedMediaType,
    errors.KnowledgeError,
)
_FEEDBACK: Final = (
    errors.NotJson,
    errors.InvalidRequest,
    errors.UnknownService,
    errors.BodyTooLarge,
    errors.UnsupportedMediaType,
)
_CLIENTS: Final = (
    errors.Unauthenticated,
    errors.RateLimited,
    errors.SiteError,
    errors.StoreError,
)
"""What can be wrong where only clients may call."""

_CORS: Final = "Access-Control-Allow-Origin"
_GRANTED: Final = (_CORS, "Access-Control-Allow-Methods", "Access-Control-Allow-Headers", "Access-Control-Max-Age")


def document(services: tuple[HookService, ...], parts: Parts, *, demo: bool, metrics: bool = False) -> dict[str, Any]:
    """The document as this process answers: with client authentication, or with the demo and without."""
    components: dict[str, Any] = {
        "schemas": _schemas(services, parts),
        "headers": {name: dict(header) for name, header in HEADERS.items()},
    }
    if not demo:
        token = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": _AUTHENTICATION}
        components["securitySchemes"] = {"client": token}
    paths = _cds_hooks(services, parts, demo=demo) | openapi_paths.operations(demo=demo, metrics=metrics)
    paths |= openapi_paths.guideline(parts.knowledge) | openapi_paths.app()
    return {
        "openapi": "3.1.0",
        "info": {"title": "pnet-cds", "version": __version__, "description": _DESCRIPTION},
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "servers": [{"url": parts.public_url or "/"}],
        "tags": [{"name": name, "description": said} for name, said in _TAGS if demo or name != "Demo"],
        "paths": paths | (openapi_paths.demo(services, parts.knowledge) if demo else {}),
        "components": components,
    }


def _schemas(services: tuple[HookService, ...], parts: Parts) -> dict[str, Schema]:
    found = schemas(services)
    if parts.draft_members:
        text = reference("Discovery.nonEmptyString")
        found["Discovery.service"]["properties"] |= {"version": text, "hookVersion": text}
    return found


def _cds_hooks(services: tuple[HookService, ...], parts: Parts, *, demo: bool) -> Paths:
    """Discovery, every service, feedback and the FHIR endpoint, each with its preflight."""
    offered = answer("What is offered.", body(reference("Discovery")), _CORS)
    paths: Paths = {
        "/cds-services": {"get": _for_clients(_HOOKS, "discover", "Services on offer", {"200": offered}, (), demo=demo)}
    }
    paths |= {f"/cds-services/{service.id}": {"post": _call(service, parts, demo=demo)} for service in services}
    paths["/cds-services/{service}/feedback"] = {
        "parameters": [in_path("service", {"enum": [service.id for service in services]})],
        "post": _feedback(demo=demo),
    }
    paths |= openapi_fhir.fhir(partial(_for_clients, demo=demo))
    for path, item in paths.items():
        if path != OPEN:
            item["options"] = _preflight(path)
    return paths


def _call(service: HookService, parts: Parts, *, demo: bool) -> dict[str, Any]:
    shown = example(service, parts)
    asked = {shown.name: {"summary": shown.title, "value": shown.call}}
    answered = {shown.name: {"summary": shown.title, "value": shown.answer}}
    return _for_clients(
        _HOOKS,
        service.id,
        service.title,
        {"200": answer("Cards; none where there is nothing to say.", body(reference("Response"), answered), _CORS)},
        _CALL,
        demo=demo,
        description=f"{service.description}\n\n{service.usage_requirements}",
        requestBody={"required": True, "content": body(reference(call_name(service)), asked)},
    )


def _feedback(*, demo: bool) -> dict[str, Any]:
    said = body(reference("Feedback"), {"two-cards": {"summary": "Two cards", "value": feedback()}})
    return _for_clients(
        _HOOKS,
        "feedback",
        "What became of cards",
        {"200": answer("It is on disk.", body({"type": "object", "maxProperties": 0}), _CORS)},
        (*_FEEDBACK, errors.StoreError),
        demo=demo,
        description="What is said twice is kept once, and of several decisions on a card the latest counts. "
        "A body is kept as a whole or not at all.",
        requestBody={"required": True, "content": said},
    )


def _for_clients(
    tag: str,
    name: str,
    summary: str,
    answers: Mapping[str, Any],
    kinds: tuple[type[errors.PnetCdsError], ...],
    *,
    demo: bool,
    **more: Any,
) -> dict[str, Any]:
    """An operation for registered clients or, in demo mode, for everybody."""
    if demo:
        return operation(tag, name, summary, {**answers, **refusals(kinds, _CORS)}, **more)
    permitted = (errors.NotPermitted,) if kinds and tag == _HOOKS else ()  # the rest is for every client
    needed = dict.fromkeys((*kinds, *_CLIENTS, *permitted))
    answers = {**answers, **refusals(needed, _CORS)}
    return operation(tag, name, summary, answers, **more, security=[{"client": []}])


def _preflight(path: str) -> dict[str, Any]:
    tag = openapi_fhir.TAG if path.startswith(FHIR) else _HOOKS
    name = path.strip("/").replace("/", "-").replace("{service}-", "").replace("$", "")
    asked = [
        {
            "name": "Origin",
            "in": "header",
            "required": True,
            "schema": {"type": "string", "pattern": "^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?$"},
        },
        {
            "name": "Access-Control-Request-Method",
            "in": "header",
            "required": True,
            "schema": {"enum": ["GET", "POST"]},
        },
    ]
    answers = {
        "204": answer("Whether a page of that origin may call; without the headers it may not.", None, *_GRANTED)
    }
    summary = "Preflight of a browser"
    return operation(tag, f"preflight-{name}", summary, {**answers, **refusals(())}, parameters=asked)
