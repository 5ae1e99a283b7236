"""For operators: is the service alive, is it ready, what is it."""

from __future__ import annotations

from http import HTTPStatus

from flask import Blueprint, Response, jsonify

from cds_service import __version__
from cds_service.knowledge.model import Knowledge
from cds_service.store.base import Store


def blueprint(knowledge: Knowledge, store: Store) -> Blueprint:
    """``/healthz``, ``/readyz`` and ``/``."""
    routes = Blueprint("ops", __name__)

    @routes.get("/healthz")
    def alive() -> Response:
        return jsonify({"status": "alive"})

    @routes.get("/readyz")
    def ready() -> Response:
        store_ready = store.ready()
        response = jsonify(
            {
                "status": "ready" if store_ready else "not ready",
                "knowledge": {"version": knowledge.version, "hash": knowledge.hash},
                "store": "reachable" if store_ready else "unreachable or not migrated",
            }
        )
        response.status_code = HTTPStatus.OK if store_ready else HTTPStatus.SERVICE_UNAVAILABLE
        return response

    @routes.get("/")
    def about() -> Response:
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
