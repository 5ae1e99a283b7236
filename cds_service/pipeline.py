"""One call from start to end. Read this first.

    body ─► request ─► drafts ─► prefetch (what it lacks: FHIR server) ─► facts ─► assessment ─► cards ─► response

Each step is a function of another room; nothing is decided here but their order and when there is nothing to say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cache, partial

from cds_service.cards.why import with_why
from cds_service.clients import DEMO_CALLER, Caller, PamaPlacement
from cds_service.clinical.contradictions import assess_chart
from cds_service.clinical.pama import with_pama
from cds_service.clinical.whatif import would_change
from cds_service.domain.alter import altered
from cds_service.domain.findings import DraftOrder, PatientFacts
from cds_service.domain.terms import LACK_WORDS
from cds_service.errors import PrefetchMissing
from cds_service.fhir.client import Read, read
from cds_service.fhir.fallback import complete
from cds_service.fhir.policy import ReadPolicy
from cds_service.fhir.prefetch import Received, State, receive
from cds_service.issuing import Outcome, issue, nothing_to_say
from cds_service.knowledge.model import Knowledge
from cds_service.protocol.configuration import wanted_cards, wants_records
from cds_service.protocol.glance import Glances
from cds_service.protocol.request import HookRequest, parse_request
from cds_service.service import Booking, Consultation, HookService, Input, Subject
from cds_service.stages import Done, Stage, unwatched
from cds_service.subjects import Orders, held_in_chart, named_in_call
from fhir_profiles.facts import read_chart
from fhir_profiles.inputs import INPUTS, facts_held_in, names_tumour, quick_tests
from fhir_profiles.orders import indications, planned_studies, requested_concepts, with_history
from fhir_profiles.terminology import Terminology
from fhir_profiles.versions import refuse_older_versions


@dataclass(frozen=True, slots=True)
class Parts:
    """What a call is answered with; every part can be replaced.

    Attributes:
        public_url: base URL under which clients reach the service; empty when it is not known.
        policy: which FHIR servers may be read for the caller; nothing is read unless it says so.
        read: how they are read.
        placement: where in the answer the client looks for system actions.
        smart_client_id: id of the SMART app at the caller's authorization server; empty without one.
        draft_members: whether discovery has the members of the draft of CDS Hooks 3.0.
    """

    knowledge: Knowledge
    terminology: Terminology
    today: Callable[[], date]
    new_id: Callable[[], str]
    public_url: str = ""
    policy: ReadPolicy = field(default_factory=ReadPolicy)
    read: Read = read
    placement: PamaPlacement = PamaPlacement.STANDARD
    smart_client_id: str = ""
    draft_members: bool = False


def answer(
    service: HookService, body: bytes, parts: Parts, caller: Caller = DEMO_CALLER, done: Done = unwatched
) -> Outcome:
    """Answer one call of a client to one service; whoever measures is told which stages are done.

    Raises:
        RequestError: the call cannot be answered as it came in.
    """
    inputs, wanted = _inputs(service), quick_tests(parts.terminology)
    request, today = parse_request(body, service.hook, _glances(inputs)), parts.today()  # one call is about one day
    orders = named_in_call(service, request, parts.terminology)
    done(Stage.REQUEST)
    if service.subject is Subject.DRAFTS and not orders.subjects:
        return nothing_to_say(request, parts.new_id)
    received = receive(request.prefetch, inputs, wanted)
    done(Stage.PREFETCH)
    received = complete(received, request, inputs, wanted, parts.policy, parts.read)
    done(Stage.FHIR_READ)
    _require(service, received)
    refuse_older_versions(received.resources)
    orders, bookings = held_in_chart(service, request, received, orders, parts.terminology)
    if service.subject in (Subject.DISPATCHED, Subject.APPOINTMENTS) and not (orders.subjects or bookings):
        return nothing_to_say(request, parts.new_id)
    if names_tumour(received.resources, parts.terminology):
        received.read_later()
    chart = _chart(request, orders.all, received, service, parts, today)
    done(Stage.FACTS)
    if chart.deceased or (not chart.nen_evidence and chart.facts.nen_status is not None):
        return nothing_to_say(request, parts.new_id)
    if received.read_later():
        chart = _chart(request, orders.all, received, service, parts, today)
    consultation = _consult(request, orders, bookings, chart, received, parts, caller, today)
    done(Stage.ASSESS)
    cards = wanted_cards(service.respond(consultation), request.configuration) if chart.nen_evidence else ()
    cards = tuple(with_why(card, consultation) for card in cards)
    records = wants_records(request.configuration, service.acts(parts.knowledge.site))
    actions = service.act(consultation) if chart.nen_evidence and records else ()
    outcome = issue(cards, actions, consultation, request, parts.new_id, parts.placement)
    done(Stage.CARDS)
    return outcome


def _consult(
    request: HookRequest,
    orders: Orders,
    bookings: tuple[Booking, ...],
    chart: PatientFacts,
    received: Received,
    parts: Parts,
    caller: Caller,
    today: date,
) -> Consultation:
    """Assess the chart and put together what a hook may choose from."""
    ordered = with_history(orders.all, chart.days_since)
    knowledge = parts.knowledge.on(today)
    assessed = assess_chart(chart, tuple(draft.order for draft in ordered), knowledge)
    assessed = with_pama(assessed, knowledge, facts_held_in(chart.unavailable))
    return Consultation(
        patient_id=request.patient_id,
        encounter_id=request.encounter_id,
        today=today,
        assessment=assessed.assessment,
        chart=assessed.chart,
        knowledge=knowledge,
        drafts=ordered,
        subjects=len(orders.subjects),
        drafted=frozenset(draft.order.procedure for draft in ordered if draft.order.procedure),
        failed=tuple(key for key, state in received.states.items() if state is State.ERROR),
        planned=planned_studies(received.resources, request.patient_id, parts.terminology),
        bookings=bookings,
        caller=caller,
        public_url=parts.public_url,
        app_url=app_url(parts) if _opens_app(request.fhir_server, parts) else "",
        requested=requested_concepts((*received.resources, *request.drafts), request.patient_id, parts.terminology),
        what_if=cache(partial(would_change, assessed.chart.facts, assessed.assessment, knowledge)),
        consult_id=parts.new_id(),
        written=request.written,
    )


def app_url(parts: Parts) -> str:
    """Where the SMART app is opened."""
    return f"{parts.public_url}/smart/launch"


def _opens_app(fhir_server: str, parts: Parts) -> bool:
    """Whether the app can be opened from the EHR that calls: no card offers a launch that is bound to fail."""
    return bool(parts.smart_client_id and parts.public_url and parts.policy.launches(fhir_server))


def _inputs(service: HookService) -> tuple[Input, ...]:
    return _inputs_named(service.inputs)


@cache
def _inputs_named(keys: tuple[str, ...]) -> tuple[Input, ...]:
    """The inputs a service asks for; there are as many sets of them as services."""
    return tuple(asked for asked in INPUTS if asked.key in keys)


@cache
def _glances(inputs: tuple[Input, ...]) -> Glances:
    """Only Observations come in thousands."""
    return Glances(
        (asked.key for asked in inputs),
        {asked.key: kind for asked in inputs if (kind := asked.resource_type) == "Observation"},
    )


def prefetch_templates(service: HookService) -> Mapping[str, str]:
    """The prefetch a service advertises."""
    return {asked.key: asked.query for asked in _inputs(service)}


def _require(service: HookService, received: Received) -> None:
    """Refuse when data without which no safe answer exists was not supplied (CH-061)."""
    lacking = [key for key in service.required if received.states[key] in (State.ABSENT, State.ERROR)]
    if lacking:
        templates = prefetch_templates(service)
        named = ", ".join(f"{key} ({templates[key]}; {LACK_WORDS[received.lacks[key]]})" for key in lacking)
        raise PrefetchMissing(f"Needed to answer safely, but neither prefetched nor readable: {named}.")


def _chart(
    request: HookRequest,
    drafts: tuple[DraftOrder, ...],
    received: Received,
    service: HookService,
    parts: Parts,
    today: date,
) -> PatientFacts:
    chart = read_chart(
        received.resources,
        patient_id=request.patient_id,
        encounter_id=request.encounter_id,
        today=today,
        terminology=parts.terminology,
        attributes=parts.knowledge.attributes,
        windows=parts.knowledge.windows,
        complete=all(received.states[key] is State.COMPLETE for key in service.required),
        unavailable=received.unavailable,
        indications=indications(drafts, parts.terminology),
        damaged=tuple(received.skipped),
    )
    return altered(chart, {"lacks": received.lacks})
