"""One call from start to end. Read this first.

    body ─► request ─► drafts ─► prefetch ─► facts ─► assessment ─► cards ─► response

Each step is a function of another room; nothing is decided here but their order and when there is nothing to say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from cds_service.clinical.contradictions import assess_chart
from cds_service.domain.findings import Assessment, DraftOrder, PatientFacts
from cds_service.errors import PrefetchMissing
from cds_service.fhir.prefetch import Received, State, receive
from cds_service.interchange import assessment_object
from cds_service.knowledge.model import Knowledge
from cds_service.protocol.request import HookRequest, parse_request
from cds_service.protocol.response import Card, card_object
from cds_service.service import Booking, Consultation, HookService, Input, Subject
from fhir_profiles.appointments import imaging_bookings
from fhir_profiles.facts import read_chart
from fhir_profiles.inputs import INPUTS, quick_tests
from fhir_profiles.orders import imaging_orders, indications, planned_studies, with_history
from fhir_profiles.terminology import Terminology
from fhir_profiles.versions import refuse_older_versions

ASSESSMENT = "org.pnet-cds.assessment"
NEW_ID = Callable[[], str]


@dataclass(frozen=True, slots=True)
class Parts:
    """What a call is answered with; every part can be replaced."""

    knowledge: Knowledge
    terminology: Terminology
    today: Callable[[], date]
    new_id: NEW_ID


@dataclass(frozen=True, slots=True)
class IssuedCard:
    """A card that leaves the service, with its identifiers and the rows it rests on."""

    uuid: str
    suggestions: tuple[str, ...]
    card: Card


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer to a call, and what is recorded about it."""

    consult_id: str
    body: dict[str, Any]
    cards: tuple[IssuedCard, ...] = ()
    assessment: Assessment | None = None
    skipped: int = 0
    unavailable: tuple[str, ...] = ()
    defects: tuple[str, ...] = ()


def answer(service: HookService, body: bytes, parts: Parts) -> Outcome:
    """Answer one call to one service.

    Raises:
        RequestError: the call cannot be answered as it came in.
    """
    request = parse_request(body, service.hook)
    drafts = _drafts(service, request, parts)
    if service.subject is Subject.DRAFTS and not drafts.subjects:
        return _nothing(request, parts)
    received = receive(request.prefetch, _inputs(service), quick_tests(parts.terminology))
    _require(service, received)
    refuse_older_versions(received.resources)
    drafts, bookings = _from_chart(service, request, received, drafts, parts)
    if service.subject in (Subject.DISPATCHED, Subject.APPOINTMENTS) and not (drafts.subjects or bookings):
        return _nothing(request, parts)
    chart = _chart(request, drafts.all, received, service, parts)
    if chart.deceased or (not chart.nen_evidence and chart.facts.nen_status is not None):
        return _nothing(request, parts)
    consultation = _consult(request, drafts, bookings, chart, received, parts)
    cards = service.respond(consultation) if chart.nen_evidence else ()
    return _issue(cards, consultation, request, parts)


def _nothing(request: HookRequest, parts: Parts) -> Outcome:
    """There is nothing to say about this call."""
    return Outcome(parts.new_id(), {"cards": []}, defects=request.defects)


@dataclass(frozen=True, slots=True)
class _Drafts:
    subjects: tuple[DraftOrder, ...] = ()
    background: tuple[DraftOrder, ...] = ()

    @property
    def all(self) -> tuple[DraftOrder, ...]:
        return self.subjects + self.background


def _drafts(service: HookService, request: HookRequest, parts: Parts) -> _Drafts:
    """Imaging drafts to speak about, and the others; order-select speaks about the selected ones only."""
    if service.subject is not Subject.DRAFTS:
        return _Drafts()
    found = imaging_orders(request.drafts, request.patient_id, parts.terminology)
    if service.hook != "order-select":
        return _Drafts(found)
    chosen = {selection.rpartition("/")[2] for selection in request.selections}
    selected = [any(ref.rpartition("/")[2] in chosen for ref in draft.group) for draft in found]
    return _Drafts(
        tuple(draft for draft, yes in zip(found, selected, strict=True) if yes),
        tuple(draft for draft, yes in zip(found, selected, strict=True) if not yes),
    )


def _from_chart(
    service: HookService, request: HookRequest, received: Received, drafts: _Drafts, parts: Parts
) -> tuple[_Drafts, tuple[Booking, ...]]:
    """Dispatched orders and booked studies, which the call names and the chart holds."""
    if service.subject is Subject.DISPATCHED:
        orders = {reference.rpartition("/")[2]: reference for reference in request.dispatched}
        held = [resource for resource in received.resources if str(resource.get("id")) in orders]
        if not held:
            raise PrefetchMissing(
                "None of context.dispatchedOrders is among the prefetched plannedServices; "
                "prefetch the dispatched ServiceRequests."
            )
        return _Drafts(imaging_orders(held, request.patient_id, parts.terminology)), ()
    if service.subject is Subject.APPOINTMENTS:
        ordered = {
            str(resource.get("id")): resource
            for resource in received.resources
            if resource.get("resourceType") == "ServiceRequest"
        }
        return drafts, imaging_bookings(request.appointments, ordered, parts.terminology)
    return drafts, ()


def _consult(
    request: HookRequest,
    drafts: _Drafts,
    bookings: tuple[Booking, ...],
    chart: PatientFacts,
    received: Received,
    parts: Parts,
) -> Consultation:
    """Assess the chart and put together what a hook may choose from."""
    ordered = with_history(drafts.all, chart.days_since)
    knowledge = parts.knowledge.on(parts.today())
    assessed = assess_chart(chart, tuple(draft.order for draft in ordered), knowledge)
    return Consultation(
        patient_id=request.patient_id,
        encounter_id=request.encounter_id,
        today=parts.today(),
        assessment=assessed.assessment,
        chart=assessed.chart,
        knowledge=knowledge,
        drafts=ordered,
        subjects=len(drafts.subjects),
        drafted=frozenset(draft.order.procedure for draft in ordered if draft.order.procedure),
        failed=tuple(key for key, state in received.states.items() if state is State.ERROR),
        planned=planned_studies(received.resources, parts.terminology),
        bookings=bookings,
    )


def _inputs(service: HookService) -> tuple[Input, ...]:
    return tuple(asked for asked in INPUTS if asked.key in service.inputs)


def prefetch_templates(service: HookService) -> Mapping[str, str]:
    """The prefetch a service advertises."""
    return {asked.key: asked.query for asked in _inputs(service)}


def _require(service: HookService, received: Received) -> None:
    """Refuse when data without which no safe answer exists was not supplied (CH-061)."""
    templates = prefetch_templates(service)
    lacking = [key for key in service.required if received.states[key] in (State.ABSENT, State.ERROR)]
    if lacking:
        named = ", ".join(f"{key} ({templates[key]})" for key in lacking)
        raise PrefetchMissing(f"Needed to answer safely, but neither prefetched nor readable: {named}.")


def _chart(
    request: HookRequest,
    drafts: tuple[DraftOrder, ...],
    received: Received,
    service: HookService,
    parts: Parts,
) -> PatientFacts:
    attributes = {key: procedure.attributes for key, procedure in parts.knowledge.procedures.items()}
    return read_chart(
        received.resources,
        patient_id=request.patient_id,
        encounter_id=request.encounter_id,
        today=parts.today(),
        terminology=parts.terminology,
        attributes=attributes,
        complete=all(received.states[key] is State.COMPLETE for key in service.required),
        unavailable=received.unavailable,
        indications=indications(drafts, parts.terminology),
        damaged=tuple(received.skipped),
    )


def _issue(cards: tuple[Card, ...], consultation: Consultation, request: HookRequest, parts: Parts) -> Outcome:
    """Give cards and suggestions their identifiers and put the response together."""
    issued = tuple(IssuedCard(parts.new_id(), tuple(parts.new_id() for _ in card.suggestions), card) for card in cards)
    assessment = assessment_object(consultation.assessment, consultation.chart, consultation.knowledge)
    body = {
        "cards": [card_object(item.card, item.uuid, item.suggestions) for item in issued],
        "extension": {ASSESSMENT: without_empty(assessment)},
    }
    return Outcome(
        consult_id=parts.new_id(),
        body=body,
        cards=issued,
        assessment=consultation.assessment,
        skipped=len(consultation.chart.skipped),
        unavailable=consultation.chart.unavailable,
        defects=request.defects,
    )


def without_empty(value: Any) -> Any:
    """The same JSON without null, empty strings, lists and objects, at any level (CH-005)."""
    if isinstance(value, dict):
        pruned = {name: without_empty(item) for name, item in value.items()}
        return {name: item for name, item in pruned.items() if item not in (None, "", [], {})}
    if isinstance(value, list):
        return [item for item in map(without_empty, value) if item not in (None, "", [], {})]
    return value
