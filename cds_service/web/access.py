"""Who may call what lies under ``/cds-services`` and ``/fhir``: all that is there, and whatever comes there later.

Every call there passes three steps: who is it, how often do they call, may they. In demo mode everybody may.
"""

from __future__ import annotations

from typing import Final

from flask import Flask, g, request

from cds_service.auth.gate import Gate
from cds_service.clients import DEMO_CALLER
from cds_service.errors import NotPermitted, Unauthenticated
from cds_service.observability import note_client
from cds_service.web.caller import known_caller, note_caller
from cds_service.web.limits import limit_calls

PREFIX: Final = "/cds-services"
FHIR: Final = "/fhir"
LAUNCH: Final = "/smart"
OPEN: Final = f"{FHIR}/metadata"
"""Says what the FHIR endpoint can do and nothing else, so that FHIR clients can ask before they sign in."""
_PLACE_OF_SERVICE: Final = 2


def is_protected() -> bool:
    """Whether the call is for something only clients may have."""
    path = request.path
    return path != OPEN and any(path == prefix or path.startswith(f"{prefix}/") for prefix in (PREFIX, FHIR))


def is_launch() -> bool:
    """Whether the call opens the SMART app, which makes this service call an EHR."""
    return request.path.startswith(f"{LAUNCH}/")


def open_to_everybody(app: Flask) -> None:
    """Let every call through as that of the demo."""

    @app.before_request
    def admit() -> None:
        note_caller(DEMO_CALLER)


def protect(app: Flask, gate: Gate, public_url: str, rate: str, storage: str) -> None:
    """Let calls of registered clients through and nobody else's; preflights carry no token and bring no data."""

    @app.before_request
    def identify() -> None:
        if not is_protected() or request.method == "OPTIONS":
            return
        try:
            caller = gate.caller(request.headers.get("Authorization"), f"{public_url}{request.path}")
            note_caller(caller)
            note_client(caller.client.id)
        except Unauthenticated as refusal:
            g.refusal = refusal

    limit_calls(app, rate, storage, lambda: is_protected() or is_launch(), known_caller, gate.now)

    @app.before_request
    def admit() -> None:
        if "refusal" in g:
            raise g.refusal
        caller, parts = known_caller(), request.path.split("/")
        of_service = len(parts) > _PLACE_OF_SERVICE and request.path.startswith(PREFIX)
        if caller and of_service and not caller.client.may_call(parts[_PLACE_OF_SERVICE]):
            raise NotPermitted("This client is not registered for this service; the operator can add it.")
