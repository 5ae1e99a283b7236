"""What prefetch lacks is read from the EHR's FHIR server, as far as the call grants it (CH-057 to CH-062, CH-070)."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import quote

import msgspec

from cds_service.domain.terms import Lack
from cds_service.fhir.client import Fetched, Read
from cds_service.fhir.policy import Base, ReadPolicy
from cds_service.fhir.prefetch import Gap, Received, State, Wanted, take
from cds_service.fhir.scopes import Grant, granted
from cds_service.fhir.search import fill, first_page
from cds_service.protocol.authorization import FhirAccess
from cds_service.protocol.request import HookRequest
from cds_service.service import Input

DISPATCHED: Final = "dispatchedOrders"
"""Beginning of the keys of orders read by id; no key holds an id, because keys are logged."""
_LASTING: Final = frozenset(
    {Lack.NOT_GRANTED, Lack.SERVER_NOT_ALLOWED, Lack.ADDRESS_REFUSED, Lack.UNAUTHORISED, Lack.NOT_OFFERED, Lack.GONE}
)
"""Lacks of every call of this client: the data were not to be had, which is not the same as a failure."""


def complete(
    received: Received,
    request: HookRequest,
    inputs: Iterable[Input],
    wanted: Mapping[str, Wanted],
    policy: ReadPolicy,
    read: Read,
) -> Received:
    """Read what is lacking, and note for the rest why it could not be had.

    Nothing is read when the call brings no access, or access to a server the policy does not allow. A key that is
    ``null`` or an error that will not pass is not asked again. Orders that are being dispatched and are not at hand are
    read by id; each counts as an input of its own, under its place in the call.
    """
    access = request.fhir
    if access is None or (access.token is None and not policy.open_servers):
        return received
    lacking = {asked.key: asked for asked in inputs if asked.key in received.gaps} | _dispatched(request, received)
    if not lacking:
        return received
    queries, partly = _queries(lacking, received, request, access)
    base = policy.admit(access)
    if isinstance(base, Lack):
        fetched: Mapping[str, Fetched] = {key: Fetched(lack=base) for key in queries}
    else:
        fetched = _read(queries, received, access, base, policy, read)
    for key, found in fetched.items():
        if found.lack is None and key in partly:
            found.lack = Lack.NOT_GRANTED
        _add(lacking[key], found, received, wanted)
    return received


def _dispatched(request: HookRequest, received: Received) -> dict[str, Input]:
    """Dispatched orders that are not at hand, each as a read by id."""
    here = {str(r.get("id")) for r in received.resources if r.get("resourceType") == "ServiceRequest"}
    server = request.fhir.server.rstrip("/") + "/" if request.fhir else ""
    found = {}
    for place, reference in enumerate(request.dispatched):
        relative = reference.removeprefix(server)
        kind, identifier = [*relative.split("/"), ""][:2]
        if kind == "ServiceRequest" and identifier and identifier not in here:
            key = f"{DISPATCHED}.{place}"
            found[key] = Input(key, f"ServiceRequest/{quote(identifier, safe='')}")
    return found


def _queries(
    lacking: Mapping[str, Input], received: Received, request: HookRequest, access: FhirAccess
) -> tuple[dict[str, str], set[str]]:
    """The queries the call grants, by key, and the keys of which it grants a part only; the others are noted."""
    values = {"context.patientId": request.patient_id, "context.encounterId": request.encounter_id}
    queries: dict[str, str] = {}
    partly: set[str] = set()
    for key, asked in lacking.items():
        query = fill(asked.query, values)
        if query is None:  # the call names no such thing, so there is nothing to be had
            received.states[key] = State.COMPLETE
            received.lacks.pop(key, None)
            continue
        grant = granted(access.scope, query)
        if access.patient not in (None, request.patient_id):
            grant = Grant.NONE  # the token is good for another patient (CH-036)
        if grant is Grant.NONE:
            received.lacks[key] = Lack.NOT_GRANTED
            received.states.setdefault(key, State.ABSENT)
            continue
        queries[key] = query
        if grant is Grant.PART:
            partly.add(key)
    return queries, partly


def _read(
    queries: Mapping[str, str], received: Received, access: FhirAccess, base: Base, policy: ReadPolicy, read: Read
) -> Mapping[str, Fetched]:
    """Read from where each query can go on; a search the server has forgotten between two pages starts anew, once."""
    ends = time.monotonic() + policy.seconds
    fetched = dict(read(access, base, _addresses(queries, received, base), policy))
    forgotten = {
        key: first_page(queries[key])
        for key, found in fetched.items()
        if found.lack is Lack.GONE and first_page(queries[key]) != queries[key]
    }
    left = ends - time.monotonic()
    if forgotten and left > 0:
        fetched |= read(access, base, forgotten, replace(policy, seconds=left))
    return fetched


def _addresses(queries: Mapping[str, str], received: Received, base: Base) -> dict[str, str]:
    """Where each query is asked: at the next page when the first is at hand and its link leads there."""
    found = {}
    for key, query in queries.items():
        link = received.gaps.get(key, Gap()).next
        found[key] = link if link and base.resolve(link) is not None else first_page(query)
    return found


def _add(asked: Input, found: Fetched, received: Received, wanted: Mapping[str, Wanted]) -> None:
    """Add the pages read under a key, and settle the key's state from all of its pages."""
    key = asked.key
    before = received.states.get(key, State.ABSENT)
    pages = [take(asked, msgspec.Raw(page), wanted, received) for page in found.pages]
    errors = [page.lack for page in pages if page.state is State.ERROR]
    damaged = received.gaps.get(key, Gap()).damaged or any(page.damaged for page in pages)
    cut = any(page.lack is Lack.SUMMARY_ONLY for page in pages)
    lack = found.lack or (Lack.UNREADABLE if damaged else Lack.SUMMARY_ONLY if cut else None)
    if errors:
        lack = Lack.SERVER_ERROR if Lack.SENT_AS_ERROR in errors else Lack.NOT_FHIR
    if lack is None:
        received.replace_summaries(key)
        received.states[key] = State.COMPLETE
        received.lacks.pop(key, None)
        return
    received.lacks[key] = lack
    if pages or before is State.INCOMPLETE:
        received.states[key] = State.ERROR if errors else State.INCOMPLETE
    else:
        received.states[key] = before if lack in _LASTING else State.ERROR
