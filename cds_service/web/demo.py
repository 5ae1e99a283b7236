"""Demo mode: the synthetic patients, and the calls an EHR would make about them. Calls only our public endpoints."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from http import HTTPStatus
from uuid import uuid4

from flask import Blueprint, Response, abort, jsonify, request

from cds_service.pipeline import prefetch_templates
from cds_service.service import HookService
from cds_service.store.base import Store, SyntheticPatient
from fhir_profiles.synthetic import hook_request, moved_to

_BOOKED_AHEAD_DAYS = 14


def blueprint(services: tuple[HookService, ...], store: Store, today: Callable[[], date]) -> Blueprint:
    """``/demo/patients``, ``/demo/patients/<slug>`` and ``/demo/requests/<slug>``."""
    routes = Blueprint("demo", __name__, url_prefix="/demo")

    def find(slug: str) -> SyntheticPatient:
        patient = next((p for p in store.synthetic() if p.slug == slug), None)
        return patient if patient is not None else abort(HTTPStatus.NOT_FOUND)

    @routes.get("/patients")
    def patients() -> Response:
        return jsonify(
            [{"slug": p.slug, "title": p.title, "story": p.story, "hook": p.hook} for p in store.synthetic()]
        )

    @routes.get("/patients/<slug>")
    def patient(slug: str) -> Response:
        found = find(slug)
        return jsonify(moved_to(found.bundle, date.fromisoformat(found.as_of), today()))

    @routes.get("/requests/<slug>")
    def call(slug: str) -> Response:
        found = find(slug)
        hook = request.args.get("hook", found.hook)
        service = next((s for s in services if s.hook == hook), None)
        if service is None:
            abort(HTTPStatus.NOT_FOUND)
        bundle = moved_to(found.bundle, date.fromisoformat(found.as_of), today())
        starts = (today() + timedelta(days=_BOOKED_AHEAD_DAYS)).isoformat()
        return jsonify(hook_request(bundle, hook, prefetch_templates(service), str(uuid4()), starts=starts))

    return routes
