"""What surrounds every call: its identifier, the headers of every answer, and whose forwarding headers are believed."""

from __future__ import annotations

import re
from typing import Final
from uuid import uuid4

from flask import Flask, Response, g, request
from werkzeug.middleware.proxy_fix import ProxyFix

from cds_service.observability import begin_call
from cds_service.settings import Settings

REQUEST_ID: Final = "X-Request-Id"
_SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{7,63}")
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
"""On every answer that does not set its own."""

_HSTS: Final = "max-age=31536000"


def register(app: Flask, settings: Settings) -> None:
    """Give every call an identifier and every answer its headers; must come before whatever refuses calls."""
    if settings.trusted_proxies:
        trusted = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=trusted, x_proto=trusted, x_host=trusted)  # type: ignore[method-assign]
    secure = (settings.public_url or "").startswith("https://")
    ours = _HEADERS | ({"Strict-Transport-Security": _HSTS} if secure else {})

    @app.before_request
    def identify() -> None:
        given = request.headers.get(REQUEST_ID, "")
        g.request_id = given if _SAFE_ID.fullmatch(given) else uuid4().hex
        begin_call(g.request_id)

    @app.after_request
    def complete(response: Response) -> Response:
        present = {name.lower() for name, _ in response.headers}
        response.headers[REQUEST_ID] = g.request_id
        response.headers.extend([(name, value) for name, value in ours.items() if name.lower() not in present])
        return response
