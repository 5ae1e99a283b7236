"""The order-entry page of the demo: an ordinary CDS Hooks client that runs in the browser, and what its EHR knows.

The page may load, call and frame what this service has, and nothing else; no script may turn text into markup.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from flask import Blueprint, Response, jsonify, make_response, render_template, request

from cds_service.ehr.chart import read_chart
from cds_service.ehr.orders import written_order
from cds_service.errors import InvalidRequest, UnsupportedMediaType
from cds_service.knowledge.model import Knowledge
from cds_service.pipeline import Parts
from cds_service.protocol.authorization import FhirAccess
from cds_service.web.demo_ehr import issuer
from cds_service.web.guideline import harden
from cds_service.web.services import read_body

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


class _Asked(msgspec.Struct):
    """Whose chart is asked for; the members of a call that say the same have these names."""

    fhirServer: str  # noqa: N815 - spelled as on the wire
    patientId: str  # noqa: N815
    token: str | None = None


_ASKED: Final = msgspec.json.Decoder(_Asked)


def blueprint(parts: Parts) -> Blueprint:
    """``/demo/studies``, ``/demo/charts``, and what the page loads below ``/demo/static``."""
    routes = Blueprint("order-entry", __name__, url_prefix="/demo", static_folder=FOLDER, static_url_path="/static")

    @cache
    def catalogue() -> list[dict[str, Any]]:
        return [
            {"study": key, "label": study.label, "modality": study.modality, **written_order(key, parts.terminology)}
            for key, study in parts.knowledge.procedures.items()
        ]

    @routes.get("/studies")
    def studies() -> Response:
        return jsonify(catalogue())

    @routes.post("/charts")
    def chart() -> Response:
        asked = _asked()
        access = FhirAccess(asked.fhirServer.strip(), (asked.token or "").strip() or None)
        found = read_chart(access, asked.patientId.strip(), parts.policy, parts.read)
        entries = [{"resource": resource} for resource in found.resources]
        return jsonify(
            {
                "chart": {"resourceType": "Bundle", "type": "collection", "entry": entries},
                "lacking": found.lacking,
            }
        )

    return routes


def _asked() -> _Asked:
    """What is asked for; a page of another origin cannot send JSON that is called so without asking a browser first."""
    if request.mimetype != "application/json":
        raise UnsupportedMediaType("Send the request as application/json.")
    try:
        return _ASKED.decode(read_body())
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise InvalidRequest("Expected an object with fhirServer, patientId and, if it is needed, token.") from None
