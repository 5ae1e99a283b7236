"""``/openapi.json`` for programs, and ``/docs``, the same as a page for people: made on the server, without scripts."""

from __future__ import annotations

from functools import cache
from typing import Final
from urllib.parse import urlsplit

import msgspec
from flask import Blueprint, Response, make_response, render_template

from cds_service.pipeline import Parts
from cds_service.service import HookService
from cds_service.web.docs_page import page
from cds_service.web.guideline import harden
from cds_service.web.openapi import document

_KEPT: Final = "max-age=300"


def blueprint(services: tuple[HookService, ...], parts: Parts, *, demo: bool, metrics: bool) -> Blueprint:
    """Both routes; what they answer is made when it is first asked for, and kept."""
    routes = Blueprint("docs", __name__, template_folder="templates")
    base = urlsplit(parts.public_url).path.rstrip("/")

    @cache
    def made() -> bytes:
        return msgspec.json.encode(document(services, parts, demo=demo, metrics=metrics))

    @cache
    def rendered() -> str:
        shown = page(msgspec.json.decode(made()))
        return render_template(
            "docs.html",
            base=base,
            style=f"{base}/guideline/static/guideline.css",
            knowledge=parts.knowledge,
            page=shown,
        )

    @routes.get("/openapi.json")
    def for_programs() -> Response:
        return _kept(Response(made(), content_type="application/json"))

    @routes.get("/docs")
    def for_people() -> Response:
        return _kept(harden(make_response(rendered())))

    return routes


def _kept(response: Response) -> Response:
    response.headers["Cache-Control"] = _KEPT
    return response
