"""Answers in the OpenAPI document: bodies, headers, and which errors of ours come with which status."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final

from cds_service import errors
from cds_service.web.openapi_schemas import Schema, reference
from cds_service.web.problems import STATUS, outcome

Answers = dict[str, dict[str, Any]]
"""By status."""

JSON: Final = "application/json"
HTML: Final = "text/html; charset=utf-8"

HEADERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "X-Request-Id": {
        "description": "Identifier of the call: the caller's, if it sent a safe one, or a new one. Leads to the log.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{7,63}$"},
    },
    "Retry-After": {
        "description": "Seconds until the next call is answered.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    },
    "WWW-Authenticate": {
        "description": "The same whatever was wrong with the token.",
        "required": True,
        "schema": {"const": "Bearer"},
    },
    "Access-Control-Allow-Origin": {
        "description": "The page that may read the answer; absent where none may.",
        "schema": {"type": "string"},
    },
    "Access-Control-Allow-Methods": {"description": "Where the page may call.", "schema": {"type": "string"}},
    "Access-Control-Allow-Headers": {"description": "Where the page may call.", "schema": {"type": "string"}},
    "Access-Control-Max-Age": {"description": "In seconds.", "schema": {"type": "string", "pattern": "^[0-9]+$"}},
}
"""Headers that a client may go by; what hardens answers in browsers is not among them."""

_FAULT: Final = ("internal", "The service failed on this call; the failure was logged.")


def body(schema: Schema, examples: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Content of JSON."""
    return {JSON: {"schema": schema} | ({"examples": dict(examples)} if examples else {})}


def answer(description: str, content: Mapping[str, Any] | None = None, *headers: str) -> dict[str, Any]:
    """An answer with these headers, and with the identifier of the call that every one has."""
    named = {name: {"$ref": f"#/components/headers/{name}"} for name in ("X-Request-Id", *headers)}
    return {"description": description, "headers": named} | ({"content": dict(content)} if content else {})


def page(description: str) -> dict[str, Any]:
    """An answer for people."""
    return answer(description, {HTML: {"schema": {"type": "string"}}})


def refusals(kinds: Iterable[type[errors.PnetCdsError]], *headers: str) -> Answers:
    """The answers to errors of these kinds, and to a fault of the service's own."""
    slugs: dict[HTTPStatus, list[tuple[str, str]]] = {HTTPStatus.INTERNAL_SERVER_ERROR: [_FAULT]}
    found: Answers = {}
    for kind in kinds:
        if kind is errors.Unauthenticated:
            found[str(int(STATUS[kind]))] = answer(_meaning(kind), None, "WWW-Authenticate", *headers)
        else:
            slugs.setdefault(STATUS[kind], []).append((kind.slug, _meaning(kind)))
    found |= {str(int(status)): problem(status, meanings, *headers) for status, meanings in slugs.items()}
    return dict(sorted(found.items()))


def _meaning(kind: type[errors.PnetCdsError]) -> str:
    return (kind.__doc__ or "").split("\n", 1)[0]


def problem(status: HTTPStatus, meanings: Iterable[tuple[str, str]], *headers: str) -> dict[str, Any]:
    """An OperationOutcome with one of these slugs, given with their meanings."""
    meanings = list(meanings)
    slug: Schema = {"items": {"properties": {"code": {"enum": [name for name, _ in meanings]}}}}
    details: Schema = {"properties": {"details": {"properties": {"coding": slug}}}}
    schema: Schema = {"allOf": [reference("Outcome")], "properties": {"issue": {"items": details}}}
    examples = {name: {"value": outcome(status, name, meaning)} for name, meaning in meanings}
    if status is HTTPStatus.TOO_MANY_REQUESTS:
        headers = ("Retry-After", *headers)
    said = "\n".join(f"- `{name}`: {meaning}" for name, meaning in meanings)
    return answer(said, body(schema, examples), *headers)
