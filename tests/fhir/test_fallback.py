"""What is asked for, what is not, and what becomes of each key, whatever reads it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from cds_service.domain.terms import Lack
from cds_service.fhir.client import Fetched, Read
from cds_service.fhir.fallback import complete
from cds_service.fhir.policy import Base, ReadPolicy, base_of
from cds_service.fhir.prefetch import Received, State, receive
from cds_service.protocol.authorization import FhirAccess
from cds_service.protocol.request import HookRequest
from cds_service.service import Input

EHR = "https://ehr.example.org/fhir"
CONDITIONS = Input("conditions", "Condition?patient={{context.patientId}}")
RESULTS = Input("laboratory", "Observation?patient={{context.patientId}}&category=laboratory")
VISIT = Input("encounter", "Encounter/{{context.encounterId}}")
INPUTS = (CONDITIONS, RESULTS, VISIT)
TUMOUR = {"resourceType": "Condition", "id": "c1"}


def page(*resources: Mapping[str, Any]) -> bytes:
    """A page without another behind it."""
    return json.dumps({"resourceType": "Bundle", "entry": [{"resource": item} for item in resources]}).encode()


class Reader:
    """Answers every query with an empty page, or as told; remembers what was asked."""

    def __init__(self, **told: Fetched) -> None:
        self.told = told
        self.asked: dict[str, str] = {}
        self.rounds: list[list[str]] = []

    def __call__(
        self, _access: FhirAccess, _base: Base, queries: Mapping[str, str], _policy: ReadPolicy
    ) -> Mapping[str, Fetched]:
        self.asked |= queries
        self.rounds.append(list(queries))
        return {key: self.told.get(key, Fetched([page()], None)) for key in queries}


def completed(
    prefetch: Mapping[str, Any],
    reader: Read,
    access: FhirAccess | None,
    policy: ReadPolicy | None = None,
    **more: Any,
) -> Received:
    """What is known after reading."""
    raw = {key: msgspec.Raw(json.dumps(value).encode()) for key, value in prefetch.items()}
    listed = base_of(EHR)
    assert listed is not None
    given: dict[str, Any] = {"hook": "order-sign", "hook_instance": "i", "patient_id": "p1", "encounter_id": None}
    request = HookRequest(**(given | {"user_id": None, "fhir": access} | more))
    allowed = policy or ReadPolicy(servers=frozenset({listed}))
    return complete(receive(raw, INPUTS, {}), request, INPUTS, {}, allowed, reader)


def test_what_is_lacking_is_asked_for_and_nothing_else() -> None:
    """CH-057, CH-075: what was prefetched, also as null, is not asked for again; an encounter the call does not name
    is no gap.
    """
    reader = Reader()
    found = completed({"laboratory": None}, reader, FhirAccess(EHR, "t"))
    assert reader.asked == {"conditions": "Condition?patient=p1&_count=1000"}
    assert set(found.states.values()) == {State.COMPLETE}
    assert found.lacks == {}


@pytest.mark.parametrize("access", [None, FhirAccess(EHR)])
def test_without_a_token_nothing_is_read(access: FhirAccess | None) -> None:
    """CH-070."""
    reader = Reader()
    found = completed({}, reader, access)
    assert reader.asked == {}
    assert set(found.lacks.values()) == {Lack.NOT_SENT}


def test_an_open_server_is_read_without_one() -> None:
    """When the configuration says so."""
    listed = base_of(EHR)
    assert listed is not None
    reader = Reader()
    completed({}, reader, FhirAccess(EHR), ReadPolicy(open_servers=frozenset({listed})))
    assert set(reader.asked) == {"conditions", "laboratory"}


def test_a_server_that_is_not_listed_is_not_read() -> None:
    """Every key says why; what was prefetched is used."""
    reader = Reader()
    found = completed({"conditions": TUMOUR}, reader, FhirAccess("https://other.example.org/fhir", "t"))
    assert reader.asked == {}
    assert found.resources == [TUMOUR]
    assert found.lacks == {"laboratory": Lack.SERVER_NOT_ALLOWED}
    assert found.states["laboratory"] is State.ABSENT


def test_what_is_granted_in_part_is_read_and_incomplete() -> None:
    """A scope narrowed to other results shows some of them; that is not all."""
    reader = Reader()
    access = FhirAccess(EHR, "t", "patient/Condition.rs patient/Observation.rs?code=2160-0")
    found = completed({}, reader, access)
    assert set(reader.asked) == {"conditions", "laboratory"}
    assert found.lacks == {"laboratory": Lack.NOT_GRANTED}
    assert found.states["laboratory"] is State.INCOMPLETE


@pytest.mark.parametrize(
    ("lack", "state"),
    [
        (Lack.TIMED_OUT, State.ERROR),
        (Lack.SERVER_ERROR, State.ERROR),
        (Lack.UNAUTHORISED, State.ABSENT),
        (Lack.NOT_OFFERED, State.ABSENT),
    ],
)
def test_a_failure_is_an_error_and_a_refusal_an_absence(lack: Lack, state: State) -> None:
    """CH-072: what a server never offers is no reason to speak at every signature; what failed just now is."""
    found = completed({}, Reader(laboratory=Fetched([], lack)), FhirAccess(EHR, "t"))
    assert (found.states["laboratory"], found.lacks["laboratory"]) == (state, lack)


def test_pages_before_a_failure_are_used() -> None:
    """They are data, and said not to be all."""
    found = completed({}, Reader(conditions=Fetched([page(TUMOUR)], Lack.TIMED_OUT)), FhirAccess(EHR, "t"))
    assert found.resources == [TUMOUR]
    assert (found.states["conditions"], found.lacks["conditions"]) == (State.INCOMPLETE, Lack.TIMED_OUT)


def test_a_damaged_first_page_stays_damaged() -> None:
    """Reading the pages behind it does not mend what could not be read."""
    link = [{"relation": "next", "url": f"{EHR}/Condition?page=2"}]
    first = {"resourceType": "Bundle", "entry": [{"resource": TUMOUR}, {"resource": {}}], "link": link}
    reader = Reader()
    found = completed({"conditions": first}, reader, FhirAccess(EHR, "t"))
    assert reader.asked["conditions"] == f"{EHR}/Condition?page=2"
    assert (found.states["conditions"], found.lacks["conditions"]) == (State.INCOMPLETE, Lack.UNREADABLE)


def test_a_search_that_the_server_forgot_starts_anew() -> None:
    """HAPI answers 410 once the results behind a link have expired; the search itself can still be made."""
    link = [{"relation": "next", "url": f"{EHR}?_getpages=1"}]
    first = {"resourceType": "Bundle", "entry": [{"resource": TUMOUR}], "link": link}
    asked: list[str] = []

    def forgetful(
        _access: FhirAccess, _base: Base, queries: Mapping[str, str], policy: ReadPolicy
    ) -> Mapping[str, Fetched]:
        asked.extend(queries.values())
        assert policy.seconds <= ReadPolicy().seconds
        return {
            key: Fetched([], Lack.GONE) if "_getpages" in query else Fetched([page(TUMOUR)], None)
            for key, query in queries.items()
        }

    found = completed({"conditions": first, "laboratory": None}, forgetful, FhirAccess(EHR, "t"))
    assert asked == [f"{EHR}?_getpages=1", "Condition?patient=p1&_count=1000"]
    assert (found.states["conditions"], found.lacks) == (State.COMPLETE, {})


def test_what_is_gone_for_good_is_asked_for_twice_at_most() -> None:
    """A search that the server forgets again stays incomplete; a resource that was deleted is not asked for again."""
    gone = Fetched([], Lack.GONE)
    reader = Reader(**{"laboratory": gone, "dispatchedOrders.0": gone})
    found = completed({"conditions": None}, reader, FhirAccess(EHR, "t"), dispatched=("ServiceRequest/s1",))
    assert found.lacks == {"laboratory": Lack.GONE, "dispatchedOrders.0": Lack.GONE}
    assert [sorted(keys) for keys in reader.rounds] == [["dispatchedOrders.0", "laboratory"], ["laboratory"]]


def test_a_summary_is_read_in_full() -> None:
    """With a token all of it is asked for; what is a summary then as well stays incomplete."""
    cut = TUMOUR | {"meta": {"tag": [{"code": "SUBSETTED"}]}}
    reader = Reader(conditions=Fetched([page(TUMOUR)], None), laboratory=Fetched([page(cut)], None))
    found = completed({"conditions": cut}, reader, FhirAccess(EHR, "t"))
    assert reader.asked["conditions"] == "Condition?patient=p1&_count=1000"
    assert found.states["conditions"] is State.COMPLETE
    assert found.lacks == {"laboratory": Lack.SUMMARY_ONLY}
    assert found.resources == [TUMOUR, cut], "the summary under the first key was replaced"


@pytest.mark.parametrize(
    ("reference", "query"),
    [
        ("ServiceRequest/s1", "ServiceRequest/s1"),
        (f"{EHR}/ServiceRequest/s1", "ServiceRequest/s1"),
        ("ServiceRequest/s1/_history/2", "ServiceRequest/s1"),
        ("ServiceRequest/a?b", "ServiceRequest/a%3Fb"),
        ("https://other.example.org/fhir/ServiceRequest/s1", None),
        ("CommunicationRequest/s1", None),
        ("ServiceRequest/", None),
    ],
)
def test_dispatched_orders_are_read_by_id(reference: str, query: str | None) -> None:
    """CH-159, CR-008: those on the server of the call; others cannot be read with its token."""
    reader = Reader()
    completed({"conditions": None, "laboratory": None}, reader, FhirAccess(EHR, "t"), dispatched=(reference,))
    assert set(reader.asked) <= {"dispatchedOrders.0"}, "keys are logged and hold no id"
    assert list(reader.asked.values()) == ([query] if query else [])


def test_a_dispatched_order_at_hand_is_not_read() -> None:
    """CH-075: it came with the call."""
    reader = Reader()
    order = {"resourceType": "ServiceRequest", "id": "s1"}
    prefetch = {"conditions": {"resourceType": "Bundle", "entry": [{"resource": order}, {"resource": TUMOUR}]}}
    completed(prefetch | {"laboratory": None}, reader, FhirAccess(EHR, "t"), dispatched=("ServiceRequest/s1",))
    assert reader.asked == {}
