"""CDS Hooks over HTTP: discovery and calls."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import msgspec
from flask import Blueprint, Response, request

from cds_service.clients import Caller
from cds_service.errors import BodyTooLarge, StoreError, UnknownService, UnsupportedMediaType
from cds_service.issuing import IssuedCard, Outcome, unrecorded
from cds_service.observability import logger
from cds_service.pipeline import Parts, answer, prefetch_templates
from cds_service.protocol.configuration import OPTIONS, options
from cds_service.protocol.response import Action
from cds_service.service import HookService, no_actions
from cds_service.stages import Stage
from cds_service.store.base import CardRecord, ConsultRecord, Store, SuggestedOrder
from cds_service.web.caller import client_id, current_caller
from cds_service.web.measuring import note_answer, stage_done
from cds_service.web.turns import Turns

_SPECIFICATION = "2.0.1"
"""The version of CDS Hooks that is implemented (CH-019)."""
_JSON = ("application/json", "application/fhir+json", "text/json")


Pseudonym = Callable[[str, str, str], str]
"""From client, FHIR server and patient id to the keyed hash that is kept."""


def blueprint(
    services: tuple[HookService, ...],
    parts_for: Callable[[Caller], Parts],
    store: Store,
    now: Callable[[], datetime],
    pseudonym: Pseudonym,
) -> Blueprint:
    """Discovery and one route for all services; what a call is answered with may depend on who calls."""
    routes = Blueprint("cds_services", __name__)
    by_id = {service.id: service for service in services}
    turns = Turns()

    @routes.get("/cds-services")
    def discover() -> Response:
        response = _json(msgspec.json.encode(discovery(services, parts_for(current_caller()))))
        response.headers["Cache-Control"] = "private, max-age=300"
        return response

    @routes.post("/cds-services/<service_id>")
    def call(service_id: str) -> Response:
        service = by_id.get(service_id)
        if service is None:
            raise UnknownService("There is no such service here; GET /cds-services lists them.")
        require_json(request.mimetype)
        started = time.perf_counter()
        caller = current_caller()
        parts, body, done = parts_for(caller), read_body(), stage_done()
        with turns.of(len(body)):
            done(Stage.RECEIVE)
            outcome = answer(service, body, parts, caller, done)
        elapsed = (time.perf_counter() - started) * 1000
        patient = pseudonym(client_id(), outcome.fhir_server, outcome.patient_id)
        kept = _keep(store, consult_record(service, outcome, parts, now(), elapsed, client_id(), patient))
        done(Stage.RECORD)
        encoded = msgspec.json.encode(outcome.body if kept else unrecorded(outcome.body))
        done(Stage.ENCODE)
        _log(service, outcome, elapsed)
        note_answer(service, outcome, kept=kept)
        return _json(encoded)

    return routes


def read_body() -> bytes:
    """The body, in one read if its length is known; one sent in chunks counts against the limit as any other."""
    length, limit = request.content_length, request.max_content_length
    if length is not None and (limit is None or length <= limit):
        return bytes(request.input_stream.read(length))
    data = request.get_data()
    if length is None and len(data) >= (limit or sys.maxsize):
        raise BodyTooLarge("The request body is larger than this service accepts; see PNET_CDS_MAX_BODY_BYTES.")
    return data


def discovery(services: tuple[HookService, ...], parts: Parts) -> dict[str, Any]:
    """The discovery document (CH-010 to CH-021)."""
    return {"services": [_entry(service, parts) for service in services]}


def _entry(service: HookService, parts: Parts) -> Mapping[str, Any]:
    records = None if service.act is no_actions else service.acts(parts.knowledge.site)
    entry = {
        "hook": service.hook,
        "id": service.id,
        "title": service.title,
        "description": service.description,
        "usageRequirements": service.usage_requirements,
        "prefetch": dict(prefetch_templates(service)),
        "extension": {OPTIONS: options(service.kinds, records)},
    }
    draft = {"version": _SPECIFICATION, "hookVersion": service.hook_version}
    return entry | (draft if parts.draft_members else {})


def _json(body: bytes) -> Response:
    return Response(body, content_type="application/json")


def require_json(mimetype: str) -> None:
    """JSON under any of its names, and a body without a type; anything else is refused."""
    if mimetype and mimetype not in _JSON and not mimetype.endswith("+json"):
        raise UnsupportedMediaType("Send the request as application/json.")


def consult_record(
    service: HookService, outcome: Outcome, parts: Parts, at: datetime, elapsed: float, client: str, patient: str
) -> ConsultRecord:
    """What is kept of a call; of the patient only a keyed hash."""
    assessment = outcome.assessment
    orders = assessment.orders if assessment else ()
    return ConsultRecord(
        id=outcome.consult_id,
        answered_at=at,
        service=service.id,
        hook=service.hook,
        scenario=outcome.scenario,
        ratings={order.order.procedure or "no-key": order.rating for order in orders},
        rules=assessment.rules if assessment else (),
        knowledge_version=parts.knowledge.version,
        knowledge_hash=parts.knowledge.hash,
        skipped=outcome.skipped,
        duration_ms=round(elapsed, 3),
        cards=tuple(map(_card_record, outcome.cards)),
        client=client,
        patient=patient,
        unavailable=tuple(outcome.unavailable),
    )


def _card_record(issued: IssuedCard) -> CardRecord:
    suggested = zip(issued.suggestions, issued.card.suggestions, strict=True)
    orders = tuple(_suggested(uuid, action) for uuid, made in suggested for action in made.actions if action.resource)
    return CardRecord(issued.uuid, issued.card.indicator, issued.card.rules, issued.suggestions, orders)


def _suggested(suggestion: str, action: Action) -> SuggestedOrder:
    """What is ordered, without the resource: its code is from our own tables and says nothing about the patient."""
    code = (action.resource or {}).get("code", {})
    codings = tuple((c["system"], c["code"], c.get("display", "")) for c in code.get("coding", ()))
    return SuggestedOrder(suggestion, codings, code.get("text", ""))


def _keep(store: Store, record: ConsultRecord) -> bool:
    """Record the consult before it is answered.

    A store that fails is logged and does not keep the advice from the clinician; the answer then goes out without
    identifiers, so that none is in the world that the store does not know.
    """
    try:
        store.record(record)
    except StoreError as error:
        logger().error("not recorded", slug=error.slug, consult=record.id)
        return False
    return True


def _log(service: HookService, outcome: Outcome, elapsed: float) -> None:
    logger().info(
        "answered",
        service=service.id,
        consult=outcome.consult_id,
        scenario=outcome.scenario,
        cards=len(outcome.cards),
        skipped=outcome.skipped,
        unavailable={key: str(why) for key, why in outcome.unavailable.items()},
        client_defects=list(outcome.defects),
        duration_ms=round(elapsed, 1),
    )
