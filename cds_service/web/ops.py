"""For operators: is the service alive, is it ready, what is it."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from flask import Blueprint, Response, jsonify, request

from cds_service import __version__
from cds_service.knowledge.model import Knowledge
from cds_service.store.base import Store

_JSON: Final = "application/json"
_HTML: Final = "text/html"
_AWAY: Final = "unreachable or not migrated"
_SPOOLING: Final = "unreachable or not migrated; records wait in the spool"


def blueprint(
    knowledge: Knowledge, store: Store, page: Callable[[], Response] | None = None, *, without_store: bool = False
) -> Blueprint:
    """``/healthz``, ``/readyz`` and ``/``; with a page, ``/`` shows it to whoever prefers pages.

    ``without_store`` says whether calls are answered while the database is away, as long as they can be recorded.
    """
    routes = Blueprint("ops", __name__)

    @routes.get("/healthz")
    def alive() -> Response:
        return jsonify({"status": "alive"})

    @routes.get("/readyz")
    def ready() -> Response:
        reachable = store.ready()
        spooling = not reachable and store.takes_records()
        is_ready = reachable or (without_store and spooling)
        response = jsonify(
            {
                "status": "ready" if is_ready else "not ready",
                "knowledge": {"version": knowledge.version, "hash": knowledge.hash},
                "store": "reachable" if reachable else _SPOOLING if spooling else _AWAY,
            }
        )
        response.status_code = HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE
        return response

    @routes.get("/")
    def about() -> Response:
        wanted = request.accept_mimetypes.best_match([_JSON, _HTML])
        response = page() if page and wanted == _HTML else described()
        response.vary.add("Accept")
        return response

    def described() -> Response:
        return jsonify(
            {
                "name": "pnet-cds",
                "version": __version__,
                "about": "Decision support for imaging of neuroendocrine tumours (CDS Hooks 2.0, FHIR R4).",
                "intendedUse": "Supports a clinician's decision; not the ACR, not a qualified mechanism or device.",
                "discovery": "/cds-services",
                "guideline": "/guideline",
                "openapi": "/openapi.json",
                "docs": "/docs",
            }
        )

    return routes
