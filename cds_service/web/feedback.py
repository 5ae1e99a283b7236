"""Feedback over HTTP (CH-120 to CH-127): acknowledged once it is on disk, and silent about which cards are known."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from datetime import datetime
from typing import Final

from flask import Blueprint, Response, request

from cds_service.errors import UnknownService
from cds_service.observability import logger
from cds_service.protocol.feedback import FeedbackEntry, parse_feedback
from cds_service.service import HookService
from cds_service.store.base import FeedbackRecord, Store
from cds_service.web.caller import client_id
from cds_service.web.measuring import note_feedback
from cds_service.web.services import read_body, require_json

MAX_BODY_BYTES: Final = 1024 * 1024
"""Largest body of feedback: some five thousand entries."""

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def blueprint(
    services: tuple[HookService, ...], store: Store, now: Callable[[], datetime], *, comments: bool
) -> Blueprint:
    """One route for all services; ``comments`` says whether the site allows clinicians' own words to be kept."""
    routes = Blueprint("feedback", __name__)
    offered = frozenset(service.id for service in services)

    @routes.post("/cds-services/<service_id>/feedback")
    def report(service_id: str) -> Response:
        if service_id not in offered:
            raise UnknownService("There is no such service here; GET /cds-services lists them.")
        require_json(request.mimetype)
        request.max_content_length = min(request.max_content_length or MAX_BODY_BYTES, MAX_BODY_BYTES)
        entries = parse_feedback(read_body())
        received = now()
        store.keep_feedback(tuple(_record(entry, service_id, received, comments) for entry in entries))
        logger().info("feedback", service=service_id, entries=len(entries))
        note_feedback(entry.outcome for entry in entries)
        return Response(b"{}", content_type="application/json")

    return routes


def _record(entry: FeedbackEntry, service_id: str, received: datetime, comments: bool) -> FeedbackRecord:
    reason = entry.reason
    return FeedbackRecord(
        client=client_id(),
        service=service_id,
        card=identifier(entry.card),
        outcome=entry.outcome,
        outcome_at=entry.at,
        received_at=received,
        suggestions=tuple(map(identifier, entry.suggestions)),
        reason_system=reason.system if reason else None,
        reason_code=reason.code if reason else None,
        reason_display=(reason.display or None) if reason else None,
        comment=(entry.comment or None) if comments else None,
    )


def identifier(given: str) -> str:
    """What is kept of an identifier a client sends back.

    Ours are UUIDs. Anything else is of no use but to be recognised when it is sent again, and might hold whatever a
    client puts there, so only a digest of it is kept.
    """
    lowered = given.lower()
    return lowered if _UUID.fullmatch(lowered) else hashlib.sha256(given.encode(errors="replace")).hexdigest()
