"""Calls that are wrong: refused with a status that says whose mistake it was, and forgotten afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Final
from uuid import uuid4

from cds_service.selftest.check import Check, Level, Look
from cds_service.selftest.findings import Sights, Skipped, must
from cds_service.selftest.subject import Request, Subject, answered_with, ok
from cds_service.selftest.wire import JSON, Got, Silence, path_of

_DEPTH: Final = 50_000
_REFUSED: Final = "a refusal of the 4xx kind, such as 400"
_OTHER_REASONS: Final = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.METHOD_NOT_ALLOWED,
)
"""Refusals that do not say that the body is wrong."""


def refused(got: Got | Silence) -> bool:
    """Whether a body was refused as wrong."""
    if not isinstance(got, Got) or got.status in _OTHER_REASONS:
        return False
    return HTTPStatus.BAD_REQUEST <= got.status < HTTPStatus.INTERNAL_SERVER_ERROR


def _wrong(spoil: Callable[[Request], bytes | Request | None], media: str = JSON) -> Look:
    """A look at how every service takes a call that was spoilt; None when there is nothing to spoil."""

    def look(subject: Subject) -> Sights:
        for item in subject.working():
            if isinstance(item, Skipped):
                yield item
                continue
            body = spoil(item[1])
            if body is not None:
                got = subject.call(item[0], body, media=media)
                yield answered_with(item[0].id, got, refused(got), _REFUSED)

    return look


def _without(name: str) -> Callable[[Request], Request]:
    return lambda request: {member: value for member, value in request.items() if member != name}


def _without_patient(request: Request) -> Request | None:
    if "patientId" not in request["context"]:
        return None
    context = {name: value for name, value in request["context"].items() if name != "patientId"}
    return request | {"context": context}


def _token_without_server(request: Request) -> Request:
    authorization = {
        "access_token": "none",
        "token_type": "Bearer",
        "expires_in": 300,
        "scope": "patient/Patient.read",
        "subject": "selftest",
    }
    return _without("fhirServer")(request) | {"fhirAuthorization": authorization}


def _wrong_hook(subject: Subject) -> Sights:
    for item in subject.working():
        if isinstance(item, Skipped):
            yield item
            continue
        service, request = item
        offered = {each.hook for each in subject.services() if each.id == service.id}
        other = next(hook for hook in ("order-sign", "patient-view", "org.example.none") if hook not in offered)
        got = subject.call(service, request | {"hook": other})
        yield answered_with(service.id, got, refused(got), f"{_REFUSED}: the service is not for {other}")


def _not_found(method: str, *path: str) -> Look:
    def look(subject: Subject) -> Sights:
        body = {"hook": "patient-view", "hookInstance": str(uuid4()), "context": {}} if method == "POST" else None
        where = path_of(*path)
        got = subject.wire.send(method, where, body)
        yield answered_with(where, got, isinstance(got, Got) and got.status == HTTPStatus.NOT_FOUND, "status 404")

    return look


def _method(subject: Subject) -> Sights:
    for service in subject.services():
        got = subject.wire.send("PUT", path_of(service.id), {})
        right = isinstance(got, Got) and got.status == HTTPStatus.METHOD_NOT_ALLOWED and bool(got.header("Allow"))
        yield answered_with(service.id, got, right, "status 405, with the header Allow")


def _outcome(subject: Subject) -> Sights:
    for item in subject.working():
        if isinstance(item, Skipped):
            yield item
        elif isinstance(got := subject.call(item[0], b"{"), Got) and refused(got):
            content = got.content()
            kind = content.get("resourceType") if isinstance(content, dict) else None
            yield must(item[0].id, kind == "OperationOutcome", kind, "an OperationOutcome in the body of a refusal")


def _recovers(subject: Subject) -> Sights:
    for item in subject.working():
        if isinstance(item, Skipped):
            yield item
            continue
        subject.call(item[0], b"{")
        got = subject.call(*item)
        yield answered_with(item[0].id, got, ok(got), "status 200 for a good call after a wrong one")


def _below(subject: Subject) -> Sights:
    for service in subject.services()[:1]:
        yield from _not_found("GET", service.id, "selftest-nothing", "here")(subject)


_CONTEXTS: Final = ["CH-155", "CH-156", "CH-158", "CH-159", "CH-160", "CH-161", "CH-162", "CH-163", "CH-167"]
_MARK: Final = "selftest-?"
"""An instance whose last sign is made into a byte that is no UTF-8; a member nobody reads might go unnoticed."""

_UNKNOWN: Final = "selftest-no-such-service"

CHECKS: Final = (
    Check("error-not-json", Level.SHOULD, ("CH-047",), "A body that is no JSON is refused.", _wrong(lambda _: b"{")),
    Check("error-no-body", Level.SHOULD, ("CH-047",), "A call without a body is refused.", _wrong(lambda _: b"")),
    Check(
        "error-not-an-object",
        Level.SHOULD,
        ("CH-030", "CH-047"),
        "JSON that is no object is refused.",
        _wrong(lambda request: json.dumps([request]).encode()),
    ),
    Check(
        "error-not-utf8",
        Level.SHOULD,
        ("CH-001", "CH-047"),
        "A body that is no UTF-8 is refused.",
        _wrong(lambda request: json.dumps(request | {"hookInstance": _MARK}).encode().replace(b"?", b"\xff")),
    ),
    Check(
        "error-nested",
        Level.SHOULD,
        ("CH-047",),
        "A body nested beyond reason is refused and does no harm.",
        _wrong(lambda _: b"[" * _DEPTH + b"]" * _DEPTH),
    ),
    Check(
        "error-hook-missing",
        Level.SHOULD,
        ("CH-031", "CH-047"),
        "A call without hook is refused.",
        _wrong(_without("hook")),
    ),
    Check(
        "error-instance-missing",
        Level.SHOULD,
        ("CH-032", "CH-047"),
        "A call without hookInstance is refused.",
        _wrong(_without("hookInstance")),
    ),
    Check(
        "error-context-missing",
        Level.SHOULD,
        ("CH-038", "CH-047"),
        "A call without context is refused.",
        _wrong(_without("context")),
    ),
    Check(
        "error-patient-missing",
        Level.SHOULD,
        ("CH-047", "CH-152", *_CONTEXTS),
        "A call whose context does not name the patient is refused.",
        _wrong(_without_patient),
    ),
    Check(
        "error-token-without-server",
        Level.SHOULD,
        ("CH-037", "CH-047"),
        "A call with a FHIR token but no FHIR server is refused.",
        _wrong(_token_without_server),
    ),
    Check("error-wrong-hook", Level.SHOULD, ("CH-041",), "A call for another hook is refused.", _wrong_hook),
    Check(
        "error-media-type",
        Level.MAY,
        ("CH-001", "CH-048.415"),
        "A body that is declared as plain text is refused.",
        _wrong(lambda request: request, media="text/plain"),
    ),
    Check(
        "error-unknown-service",
        Level.SHOULD,
        ("CH-048.404",),
        "A call of a service that is not there is answered with 404.",
        _not_found("POST", _UNKNOWN),
    ),
    Check("error-unknown-path", Level.SHOULD, ("CH-048.404",), "What is below a service is not there.", _below),
    Check("error-method", Level.SHOULD, ("CH-048.405",), "Another method is answered with 405 and Allow.", _method),
    Check("error-outcome", Level.SHOULD, ("CH-008",), "A refusal carries an OperationOutcome.", _outcome),
    Check(
        "error-recovers",
        Level.SHALL,
        ("CH-010", "CH-044", "CH-045"),
        "After a wrong call a good one is answered as before.",
        _recovers,
    ),
)
