"""The limit on this stack: bare Flask that decodes the members an answer needs, and answers with a constant card."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import msgspec
from flask import Flask, Response, request


class _Coding(msgspec.Struct, gc=False):
    system: str = ""
    code: str = ""


class _Concept(msgspec.Struct, gc=False):
    coding: list[_Coding] = []


class _Quantity(msgspec.Struct, gc=False):
    value: float | None = None
    unit: str = ""


class _Reference(msgspec.Struct, gc=False):
    reference: str = ""


class _Resource(msgspec.Struct, gc=False):
    resourceType: str = ""  # noqa: N815 - spelled as on the wire
    id: str = ""
    status: str = ""
    code: _Concept | None = None
    subject: _Reference | None = None
    effectiveDateTime: str = ""  # noqa: N815
    valueQuantity: _Quantity | None = None  # noqa: N815


class _Entry(msgspec.Struct, gc=False):
    resource: _Resource


class _Bundle(msgspec.Struct, gc=False):
    resourceType: str = ""  # noqa: N815
    id: str = ""
    entry: list[_Entry] = []


class _Context(msgspec.Struct, gc=False):
    patientId: str  # noqa: N815
    draftOrders: _Bundle | None = None  # noqa: N815


class _Call(msgspec.Struct, gc=False):
    hook: str
    hookInstance: str  # noqa: N815
    context: _Context
    prefetch: dict[str, _Bundle | None] = {}


_CALLS = msgspec.json.Decoder(_Call)


def make_app() -> Flask:
    """The bare server."""
    app = Flask(__name__, static_folder=None)

    @app.post("/cds-services/<service>")
    def call(service: str) -> Response:  # noqa: ARG001 - the route of the service, whatever it is
        _CALLS.decode(request.get_data())
        card: dict[str, Any] = {
            "uuid": str(uuid4()),
            "summary": "A constant card",
            "indicator": "info",
            "source": {"label": "benchmark"},
        }
        return Response(msgspec.json.encode({"cards": [card]}), content_type="application/json")

    return app
