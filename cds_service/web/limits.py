"""How often a client may call; counted by Flask-Limiter, in memory or in Redis."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from flask import Flask, Response, request
from flask_limiter import Limiter, RateLimitExceeded
from limits.errors import ConfigurationError

from cds_service.clients import Caller
from cds_service.errors import RateLimited, SettingsError
from cds_service.web.problems import refusal


def limit_calls(
    app: Flask,
    rate: str,
    storage: str,
    applies: Callable[[], bool],
    caller: Callable[[], Caller | None],
    now: Callable[[], datetime],
) -> None:
    """Count calls per client, and per address where the client is not known; more than agreed are answered with 429.

    When Redis does not answer, each process counts for itself until it does: one call waits a second for it, and then
    one after a second, two, four, up to half a minute.

    Raises:
        SettingsError: there is no such storage, or no driver for it.
    """

    def key() -> str:
        known = caller()
        return f"client:{known.client.id}" if known else f"address:{request.remote_addr or 'unknown'}"

    def agreed() -> str:
        known = caller()
        return known.client.rate_limit or rate if known else rate

    limiter = Limiter(
        key,
        application_limits=[agreed],
        storage_uri=storage,
        storage_options=_patience() if storage.startswith("redis") else {},
        request_identifier=lambda: "cds-services",
        in_memory_fallback_enabled=not storage.startswith("memory:"),
        headers_enabled=False,
    )
    limiter.request_filter(lambda: not applies())
    try:
        limiter.init_app(app)
    except ConfigurationError:
        raise SettingsError("PNET_CDS_RATE_LIMIT_STORAGE: expected memory://, or redis:// with its driver") from None

    def refuse(_error: RateLimitExceeded) -> Response:
        limit = limiter.current_limit
        wait = max(1, limit.reset_at - int(now().timestamp())) if limit else 1
        return refusal(RateLimited(f"More calls than agreed; try again in {wait} s.", wait))

    app.register_error_handler(RateLimitExceeded, refuse)


def _patience() -> dict[str, Any]:
    """How long a call waits for Redis: once, for a second."""
    try:
        from redis.backoff import NoBackoff  # noqa: PLC0415 - an extra
        from redis.retry import Retry  # noqa: PLC0415
    except ImportError:
        raise SettingsError("PNET_CDS_RATE_LIMIT_STORAGE: redis:// needs the extra pnet-cds[redis]") from None
    return {"socket_timeout": 1.0, "socket_connect_timeout": 1.0, "retry": Retry(NoBackoff(), 0)}
