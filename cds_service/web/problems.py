"""Errors to HTTP: the only table from error class to status, and their OperationOutcome bodies (CH-008)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from flask import Flask, Response, jsonify
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from cds_service import errors
from cds_service.domain.terms import FHIR_BASE
from cds_service.observability import logger
from cds_service.web.measuring import note_refusal

STATUS: Final[dict[type[errors.PnetCdsError], HTTPStatus]] = {
    errors.PnetCdsError: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.KnowledgeError: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.TerminologyError: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.SettingsError: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.SiteError: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.InstallationError: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.StoreError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.RecordRefused: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.RemoteError: HTTPStatus.BAD_GATEWAY,
    errors.ClientInvalid: HTTPStatus.BAD_REQUEST,
    errors.CallInvalid: HTTPStatus.BAD_REQUEST,
    errors.Unauthenticated: HTTPStatus.UNAUTHORIZED,
    errors.NotPermitted: HTTPStatus.FORBIDDEN,
    errors.RateLimited: HTTPStatus.TOO_MANY_REQUESTS,
    errors.FactsError: HTTPStatus.BAD_REQUEST,
    errors.RequestError: HTTPStatus.BAD_REQUEST,
    errors.NotJson: HTTPStatus.BAD_REQUEST,
    errors.UnsupportedMediaType: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    errors.BodyTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.InvalidRequest: HTTPStatus.BAD_REQUEST,
    errors.UnknownService: HTTPStatus.NOT_FOUND,
    errors.UnknownArtefact: HTTPStatus.NOT_FOUND,
    errors.HookMismatch: HTTPStatus.BAD_REQUEST,
    errors.PatientMismatch: HTTPStatus.BAD_REQUEST,
    errors.UnsupportedFhirVersion: HTTPStatus.BAD_REQUEST,
    errors.FhirServerRefused: HTTPStatus.FORBIDDEN,
    errors.PrefetchMissing: HTTPStatus.PRECONDITION_FAILED,
    errors.LaunchError: HTTPStatus.BAD_GATEWAY,
    errors.UnknownIssuer: HTTPStatus.FORBIDDEN,
    errors.LaunchUnknown: HTTPStatus.BAD_REQUEST,
    errors.LaunchDenied: HTTPStatus.FORBIDDEN,
    errors.LaunchWithoutPatient: HTTPStatus.BAD_REQUEST,
    errors.ScopesMissing: HTTPStatus.FORBIDDEN,
    errors.ChartUnreadable: HTTPStatus.BAD_GATEWAY,
}

_ISSUE_CODES: Final = {
    HTTPStatus.BAD_REQUEST: "invalid",
    HTTPStatus.FORBIDDEN: "forbidden",
    HTTPStatus.NOT_FOUND: "not-found",
    HTTPStatus.METHOD_NOT_ALLOWED: "not-supported",
    HTTPStatus.PRECONDITION_FAILED: "required",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "too-long",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "not-supported",
    HTTPStatus.TOO_MANY_REQUESTS: "throttled",
    HTTPStatus.SERVICE_UNAVAILABLE: "transient",
}
_SLUGS: Final = f"{FHIR_BASE}/CodeSystem/errors"


def outcome(status: HTTPStatus, slug: str, message: str) -> dict[str, Any]:
    """An OperationOutcome with one issue; the slug is stable, the text may change."""
    return {
        "resourceType": "OperationOutcome",
        "issue": [
            {
                "severity": "error",
                "code": _ISSUE_CODES.get(status, "exception"),
                "details": {"coding": [{"system": _SLUGS, "code": slug}], "text": message},
            }
        ],
    }


def _answer(status: HTTPStatus, slug: str, message: str) -> Response:
    note_refusal(slug)
    response = jsonify(outcome(status, slug, message))
    response.status_code = status
    return response


def register(app: Flask) -> None:
    """Answer every error with an OperationOutcome, and never with a stack trace or patient data."""
    app.register_error_handler(errors.Unauthenticated, _unauthenticated)
    app.register_error_handler(errors.PnetCdsError, refusal)
    app.register_error_handler(RequestEntityTooLarge, _too_large)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unexpected)


def refusal(error: errors.PnetCdsError) -> Response:
    """The answer to one of our own errors."""
    status = STATUS[type(error)]
    logger().warning("refused", slug=error.slug, status=int(status))
    response = _answer(status, error.slug, str(error))
    if isinstance(error, errors.RateLimited):
        response.headers["Retry-After"] = str(error.retry_after)
    return response


def _unauthenticated(error: errors.Unauthenticated) -> Response:
    """The same for every reason, without a body (CH-137); the reason is in the log."""
    logger().warning("refused", slug=error.slug, status=int(HTTPStatus.UNAUTHORIZED), reason=error.reason)
    note_refusal(error.slug)
    response = Response(status=HTTPStatus.UNAUTHORIZED, headers={"WWW-Authenticate": "Bearer"})
    del response.headers["Content-Type"]
    return response


def _too_large(_error: RequestEntityTooLarge) -> Response:
    return refusal(
        errors.BodyTooLarge("The request body is larger than this service accepts; see PNET_CDS_MAX_BODY_BYTES.")
    )


def _http(error: HTTPException) -> Response:
    status = HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR)
    allowed = ", ".join(value for name, value in error.get_headers() if name == "Allow")
    message = f"{status.phrase}: {status.description}." if status.description else f"{status.phrase}."
    if status is HTTPStatus.NOT_FOUND:
        message = "There is nothing at this path; GET /cds-services lists what is offered."
    elif allowed:
        message = f"This path answers to {allowed} only."
    response = _answer(status, f"http-{int(status)}", message)
    if allowed:
        response.headers["Allow"] = allowed
    return response


def _unexpected(error: Exception) -> Response:
    """Our own fault: logged by kind and place, without the message, which might quote the record."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f"{place.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]}:{place.tb_lineno}" if place else ""
    logger().error("failed", error=type(error).__name__, where=where)
    return _answer(
        HTTPStatus.INTERNAL_SERVER_ERROR, "internal", "The service failed on this call; the failure was logged."
    )
