"""Browser pages of other origins (CH-140, CH-141): which may call. Calls carry no cookies, so nothing to allow."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Final

from flask import Flask, Response, request

from cds_service.errors import StoreError
from cds_service.web.access import is_protected
from cds_service.web.caller import known_caller

_PREFLIGHT: Final = {
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Accept, X-Request-Id",
    "Access-Control-Max-Age": "600",
}
_EXPOSED: Final = "X-Request-Id, Retry-After"


def allow_everybody(app: Flask) -> None:
    """Any page may call the open demo, also one that a browser loaded from the public network."""
    _register(app, lambda _origin: "*")

    @app.after_request
    def local_network(response: Response) -> Response:
        if is_protected() and request.headers.get("Access-Control-Request-Private-Network") == "true":
            response.headers["Access-Control-Allow-Private-Network"] = "true"
        return response


def allow_clients(app: Flask, all_origins: Callable[[], Iterable[str]]) -> None:
    """A page may call if the client is registered with its origin; before the client is known, if any client is."""

    def permitted(origin: str) -> str | None:
        caller = known_caller()
        try:
            return origin if origin in (caller.client.cors_origins if caller else all_origins()) else None
        except StoreError:
            return None

    _register(app, permitted)

    @app.after_request
    def vary(response: Response) -> Response:
        if is_protected():
            response.vary.add("Origin")
        return response


def _register(app: Flask, permitted: Callable[[str], str | None]) -> None:
    @app.before_request
    def preflight() -> Response | None:
        if not is_protected() or request.method != "OPTIONS":
            return None
        return Response(status=HTTPStatus.NO_CONTENT, headers={"Allow": "GET, HEAD, OPTIONS, POST"})

    @app.after_request
    def allow(response: Response) -> Response:
        origin = request.headers.get("Origin")
        allowed = permitted(origin) if origin and is_protected() else None
        if allowed:
            response.headers["Access-Control-Allow-Origin"] = allowed
            response.headers["Access-Control-Expose-Headers"] = _EXPOSED
            if request.method == "OPTIONS":
                response.headers.update(_PREFLIGHT)
        return response
