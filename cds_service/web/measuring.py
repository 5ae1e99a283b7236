"""Measures calls and feedback: views and errors note what became of the call; it is counted and traced as it leaves."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from flask import Blueprint, Flask, Response, g, request

from cds_service.issuing import Outcome
from cds_service.metrics.counts import ANSWERED, CONTENT_TYPE, OTHER, Metrics, harmless
from cds_service.observability import note_trace
from cds_service.service import HookService
from cds_service.stages import Done, Laps, unwatched

if TYPE_CHECKING:
    from cds_service.tracing import Trace, Traces

CALL: Final = "cds_services.call"
REPORT: Final = "feedback.report"
"""Endpoints that are measured."""


def note_answer(service: HookService, outcome: Outcome, *, kept: bool) -> None:
    """The call is answered."""
    g.answer = (service, outcome, kept)


def note_feedback(outcomes: Iterable[str]) -> None:
    """The feedback is kept."""
    g.feedback = tuple(outcomes)


def note_refusal(slug: str) -> None:
    """The call is refused or failed, whatever was noted before."""
    g.slug = slug


def stage_done() -> Done:
    """Whom to tell of the stages of this call."""
    laps: Laps | None = g.get("laps")
    return laps.done if laps else unwatched


def register(app: Flask, metrics: Metrics | None, traces: Traces | None) -> None:
    """Count and trace every call and feedback; must come before whatever refuses calls."""

    @app.before_request
    def start() -> None:
        if _is_watched():
            if traces:
                g.trace = traces.begin(_route(), request.headers.get("traceparent"))
                note_trace(g.trace.id)
            g.laps = Laps()

    @app.after_request
    def finish(response: Response) -> Response:
        if _is_watched() and "laps" in g:
            with harmless():
                if metrics:
                    _count(metrics, _service_id())
            with harmless():
                if "trace" in g:
                    _end(g.trace, response.status_code)
        return response


def _is_watched() -> bool:
    return request.method == "POST" and request.endpoint in (CALL, REPORT)


def _service_id() -> str:
    named: str = (request.view_args or {})["service_id"]
    return named


def _route() -> str:
    return f"{request.method} {request.url_rule}"


def _count(metrics: Metrics, service_id: str) -> None:
    slug = g.get("slug")
    if slug is None and "answer" in g:
        service, outcome, kept = g.answer
        metrics.answered(service, outcome, g.laps, kept=kept)
    elif slug is None and "feedback" in g:
        metrics.reported(service_id, g.feedback)
    elif request.endpoint == CALL:
        metrics.refused(service_id, slug or OTHER)
    else:
        metrics.report_refused(service_id, slug or OTHER)


def _end(trace: Trace, status: int) -> None:
    said: dict[str, str | int] = {
        "http.request.method": request.method,
        "http.route": str(request.url_rule),
        "http.response.status_code": status,
        "pnet_cds.request_id": g.request_id,
        "pnet_cds.outcome": g.get("slug") or ANSWERED,
    }
    if "answer" in g:
        service, outcome, kept = g.answer
        said |= {"pnet_cds.service": service.id, "pnet_cds.consult": outcome.consult_id, "pnet_cds.kept": str(kept)}
        said |= {"pnet_cds.scenario": outcome.scenario, "pnet_cds.cards": len(outcome.cards)}
    trace.end(said, g.laps, failed=status >= HTTPStatus.INTERNAL_SERVER_ERROR)


def blueprint(metrics: Metrics) -> Blueprint:
    """``/metrics``."""
    routes = Blueprint("metrics", __name__)

    @routes.get("/metrics")
    def numbers() -> Response:
        return Response(metrics.exposition(), content_type=CONTENT_TYPE)

    return routes
