"""Counts calls and feedback: views and errors note what became of the call, and it is counted here as it leaves."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final

from flask import Blueprint, Flask, Response, g, request

from cds_service.issuing import Outcome
from cds_service.metrics.counts import CONTENT_TYPE, OTHER, Metrics, harmless
from cds_service.service import HookService

CALL: Final = "cds_services.call"
REPORT: Final = "feedback.report"
"""Endpoints that are counted."""


def note_answer(service: HookService, outcome: Outcome, *, kept: bool) -> None:
    """The call is answered."""
    g.answer = (service, outcome, kept)


def note_feedback(outcomes: Iterable[str]) -> None:
    """The feedback is kept."""
    g.feedback = tuple(outcomes)


def note_refusal(slug: str) -> None:
    """The call is refused or failed, whatever was noted before."""
    g.slug = slug


def register(app: Flask, metrics: Metrics) -> None:
    """Count every call and feedback; must come before whatever refuses calls."""

    @app.before_request
    def start() -> None:
        g.started = time.perf_counter()

    @app.after_request
    def count(response: Response) -> Response:
        if request.method == "POST" and request.endpoint in (CALL, REPORT):
            with harmless():
                _count(metrics, (request.view_args or {})["service_id"])
        return response


def _count(metrics: Metrics, service_id: str) -> None:
    slug = g.get("slug")
    if slug is None and "answer" in g:
        service, outcome, kept = g.answer
        metrics.answered(service, outcome, time.perf_counter() - g.started, kept=kept)
    elif slug is None and "feedback" in g:
        metrics.reported(service_id, g.feedback)
    elif request.endpoint == CALL:
        metrics.refused(service_id, slug or OTHER)
    else:
        metrics.report_refused(service_id, slug or OTHER)


def blueprint(metrics: Metrics) -> Blueprint:
    """``/metrics``."""
    routes = Blueprint("metrics", __name__)

    @routes.get("/metrics")
    def numbers() -> Response:
        return Response(metrics.exposition(), content_type=CONTENT_TYPE)

    return routes
