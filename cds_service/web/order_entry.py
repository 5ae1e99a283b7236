"""The order-entry page of the demo: an ordinary CDS Hooks client that runs in the browser, and the studies it orders.

The page may load, call and frame what this service has, and nothing else; no script may turn text into markup.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from flask import Blueprint, Response, jsonify, make_response, render_template

from cds_service.ehr.orders import written_order
from cds_service.knowledge.model import Knowledge
from cds_service.web.demo_ehr import issuer
from cds_service.web.guideline import harden
from fhir_profiles.terminology import Terminology

FOLDER: Final = "static/order-entry"
FILES: Final = tuple(sorted(path.name for path in (Path(__file__).parent / FOLDER).iterdir()))
"""What the page is made of, besides its HTML."""

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; frame-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)


def page(knowledge: Knowledge, public_url: str) -> Callable[[], Response]:
    """Makes the page; its links begin with the path of the public URL, where a proxy adds one."""
    base = urlsplit(public_url).path.rstrip("/")

    def shown() -> Response:
        response = harden(
            make_response(
                render_template(
                    "order-entry.html",
                    base=base,
                    style=f"{base}/guideline/static/guideline.css",
                    files=f"{base}/demo/static",
                    fhir_server=issuer(public_url),
                    knowledge=knowledge,
                )
            )
        )
        response.headers["Content-Security-Policy"] = POLICY
        return response

    return shown


def blueprint(knowledge: Knowledge, terminology: Terminology) -> Blueprint:
    """``/demo/studies``, and what the page loads below ``/demo/static``."""
    routes = Blueprint("order-entry", __name__, url_prefix="/demo", static_folder=FOLDER, static_url_path="/static")

    @cache
    def catalogue() -> list[dict[str, Any]]:
        return [
            {"study": key, "label": study.label, "modality": study.modality, **written_order(key, terminology)}
            for key, study in knowledge.procedures.items()
        ]

    @routes.get("/studies")
    def studies() -> Response:
        return jsonify(catalogue())

    return routes
