"""Feedback over HTTP: from the card an EHR was shown to the row the advice came from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, select

from cds_service.errors import StoreError
from cds_service.store.archive import Archive
from cds_service.store.base import FeedbackRecord
from cds_service.store.connect import open_engine
from cds_service.store.pseudonym import patient_pseudonym
from cds_service.store.sql import SqlStore
from cds_service.store.tables import consult, feedback
from cds_service.web.feedback import MAX_BODY_BYTES
from hooks import SERVICES
from tests.calling import Answer, InProcess, MakeApp, OverHttp, post, synthetic_request
from tests.property.strategies import json_values, steady

Json = Any
SLUG = "incidental-tail-lesion"
PATH = "/cds-services/pnet-order-sign/feedback"
AT = "2026-11-20T09:30:15Z"
UNKNOWN = "c0a1f1de-3b62-4b7a-9f57-8f2a2f0f7a11"
HASH_KEY = "a key of the site's own"


@pytest.fixture
def database(tmp_path: Path) -> str:
    """A database of the test's own."""
    return f"sqlite:///{tmp_path}/feedback.sqlite"


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    """The same, to look into it."""
    opened = open_engine(database)
    yield opened
    opened.dispose()


@pytest.fixture
def service(make_app: MakeApp, database: str) -> InProcess:
    """A service that keeps no comments, as is the default, and whose database can be looked into at once."""
    return InProcess(make_app(database_url=database, hash_key=HASH_KEY, store_mode="strict"))


def report(service: InProcess | OverHttp, *entries: Json, path: str = PATH) -> Answer:
    """Send feedback."""
    return service.request("POST", path, json.dumps({"feedback": list(entries)}).encode())


def accepted(card: str, suggestion: str, at: str = AT) -> Json:
    """An entry: the suggestion was taken."""
    return {
        "card": card,
        "outcome": "accepted",
        "acceptedSuggestions": [{"id": suggestion}],
        "outcomeTimestamp": at,
    }


def overridden(card: str, reason: Json = None, at: str = AT, **more: Json) -> Json:
    """An entry: the card was dismissed."""
    override = ({"reason": reason} if reason else {}) | more
    return {"card": card, "outcome": "overridden", "overrideReason": override or None, "outcomeTimestamp": at}


def shown_card(service: InProcess, advertised: Any, **more: Json) -> Json:
    """A card with a suggestion, as an EHR gets it."""
    request = synthetic_request(SLUG, "order-sign", advertised) | more
    (card,) = post(service, "order-sign", request).json()["cards"]
    return card


def test_feedback_reaches_the_rows_of_the_card(service: InProcess, advertised: Any, engine: Engine) -> None:
    """CH-122: a reason the card itself offered comes back with rule rows, scenario and knowledge version of the
    advice.
    """
    card = shown_card(service, advertised)
    reason = card["overrideReasons"][0]
    answer = report(service, overridden(card["uuid"], reason, userComment="Mrs Smith said so"))
    assert (answer.status, answer.json()) == (200, {})
    (shown,) = Archive(engine).shown(None, None)
    assert (shown.uuid, shown.service, shown.outcome) == (card["uuid"], "pnet-order-sign", "overridden")
    assert "R01-06" in shown.rules
    assert shown.scenario == "pnet-initial-staging"
    assert shown.knowledge_version
    assert (shown.reason_system, shown.reason_code, shown.reason_display) == (
        reason["system"],
        reason["code"],
        reason["display"],
    )


def test_an_accepted_suggestion_is_kept(service: InProcess, advertised: Any, engine: Engine) -> None:
    """CH-124: which suggestion was taken is kept by its identifier, however the client spells it."""
    card = shown_card(service, advertised)
    suggestion = card["suggestions"][0]["uuid"]
    assert report(service, accepted(card["uuid"].upper(), suggestion.upper())).status == 200
    with engine.connect() as connection:
        row = connection.execute(select(feedback)).one()
    assert (row.card_uuid, row.outcome, row.suggestions) == (card["uuid"], "accepted", [suggestion])


@pytest.mark.parametrize("service_id", [service.id for service in SERVICES])
def test_every_service_takes_feedback(service_id: str, local: InProcess) -> None:
    """Each service has the endpoint, and no list is too short for it."""
    path = f"/cds-services/{service_id}/feedback"
    assert report(local, path=path).status == 200
    assert report(local, overridden(UNKNOWN), path=path).status == 200


def test_every_card_offers_reasons(service: InProcess, advertised: Any) -> None:
    """CH-101: code, system and display of every reason on every kind of card (CH-102)."""
    stories = {"order-sign": SLUG, "patient-view": SLUG, "order-select": SLUG, "order-dispatch": SLUG}
    for hook, slug in stories.items():
        for card in post(service, hook, synthetic_request(slug, hook, advertised)).json()["cards"]:
            codes = [reason["code"] for reason in card["overrideReasons"]]
            assert "record-incomplete" in codes
            assert "clinical-judgement" in codes
            assert all(set(reason) == {"code", "system", "display"} for reason in card["overrideReasons"])


def test_the_last_decision_counts(service: InProcess, advertised: Any, engine: Engine) -> None:
    """Of several decisions the latest by the client's clock counts, in whatever order they arrive."""
    card = shown_card(service, advertised)
    suggestion = card["suggestions"][0]["uuid"]
    later, earlier = "2026-11-20T09:40:00Z", "2026-11-20T09:30:00Z"
    report(service, accepted(card["uuid"], suggestion, later), overridden(card["uuid"], at=earlier))
    report(service, overridden(card["uuid"], at=earlier))
    (shown,) = Archive(engine).shown(None, None)
    assert shown.outcome == "accepted"


def test_known_and_unknown_cards_get_the_same_answer(service: InProcess, advertised: Any, engine: Engine) -> None:
    """CH-120: nobody can find out by feedback which cards exist; what concerns no card of ours is counted apart."""
    card = shown_card(service, advertised)
    answers = [report(service, overridden(uuid)) for uuid in (card["uuid"], UNKNOWN, "not one of ours", card["uuid"])]
    assert len({(answer.status, answer.body, tuple(sorted(answer.headers))) for answer in answers}) == 1
    assert Archive(engine).on_unknown_cards(None, None) == 2


@pytest.mark.parametrize("allowed", [False, True])
def test_comments_are_kept_only_where_the_site_allows(
    make_app: MakeApp, database: str, engine: Engine, *, allowed: bool
) -> None:
    """CH-127: a clinician's own words may be about the patient; by default they are nowhere in the database file."""
    service = InProcess(make_app(database_url=database, store_comments=allowed))
    assert report(service, overridden(UNKNOWN, userComment="Mrs Smith, room 7")).status == 200
    with engine.connect() as connection:
        assert connection.execute(select(feedback.c.comment)).scalar_one() == ("Mrs Smith, room 7" if allowed else None)


def test_identifiers_that_are_none_are_not_kept(service: InProcess, engine: Engine) -> None:
    """Text where an identifier belongs may be anything: a digest is kept, which knows it again."""
    for _ in range(2):
        report(service, accepted("Smith, Mary 1961-02-03", "take Mary's scan"))
    with engine.connect() as connection:
        row = connection.execute(select(feedback)).one()
    assert "Mary" not in str(row)
    assert len(row.card_uuid) == 64


def test_a_malformed_entry_keeps_its_whole_batch_out(service: InProcess, engine: Engine) -> None:
    """CH-120: 400 with an OperationOutcome that names the place; nothing is kept, so that all can be sent again."""
    answer = report(service, overridden(UNKNOWN), overridden(UNKNOWN) | {"outcome": "ignored"})
    assert (answer.status, answer.slug()) == (400, "request-invalid")
    assert "feedback[1].outcome" in answer.message()
    with engine.connect() as connection:
        assert connection.execute(select(feedback)).all() == []


def test_a_service_that_is_none_takes_no_feedback(live: OverHttp) -> None:
    """CH-048.404: 404 for an unknown service, 405 for reading, whatever the body."""
    assert report(live, path="/cds-services/none/feedback").status == 404
    assert live.request("GET", PATH).status == 405


def test_the_body_has_limits_of_its_own(live: OverHttp) -> None:
    """Feedback is small: more than a megabyte is refused, sent whole or in pieces, and so is another media type."""
    big = json.dumps({"feedback": [overridden(UNKNOWN, userComment="x" * MAX_BODY_BYTES)]}).encode()
    assert live.request("POST", PATH, big).status == 413
    assert live.request("POST", PATH, iter([big[:100], big[100:]])).status == 413
    assert live.request("POST", PATH, b"{}", "text/plain").status == 415
    assert live.request("POST", PATH, b'{"feedback": []}', "application/json; charset=utf-8").status == 200


class _FullStore(SqlStore):
    """A store that can keep no feedback."""

    def keep_feedback(self, _entries: tuple[FeedbackRecord, ...]) -> None:
        raise StoreError("The disk is full.")


def test_what_was_not_kept_is_not_acknowledged(make_app: MakeApp, engine: Engine) -> None:
    """CH-048.500: when the store fails the client is told so, and can send again."""
    service = InProcess(make_app(store=_FullStore(engine), hash_key=HASH_KEY))
    answer = report(service, overridden(UNKNOWN))
    assert (answer.status, answer.slug()) == (503, "store-unavailable")


def test_a_consult_knows_its_patient_by_hash_only(service: InProcess, advertised: Any, engine: Engine) -> None:
    """The site's key, the client's FHIR server and the patient make the hash; the id itself is nowhere."""
    shown_card(service, advertised, fhirServer="https://fhir.example.org/r4")
    patient_id = synthetic_request(SLUG, "order-sign", advertised)["context"]["patientId"]
    with engine.connect() as connection:
        row = connection.execute(select(consult)).one()
    assert row.patient == patient_pseudonym(HASH_KEY.encode(), "", "https://fhir.example.org/r4", patient_id)
    assert patient_id not in str(row)


def test_silence_is_recorded_with_its_patient(service: InProcess, advertised: Any, engine: Engine) -> None:
    """A call without anything to say is a consult as well."""
    request = synthetic_request(SLUG, "order-sign", advertised)
    request["context"]["draftOrders"] = {"resourceType": "Bundle"}
    assert post(service, "order-sign", request).json() == {"cards": []}
    with engine.connect() as connection:
        assert len(connection.execute(select(consult)).one().patient) == 64


def test_orders_that_were_suggested_are_known_by_their_codes(
    service: InProcess, advertised: Any, engine: Engine
) -> None:
    """Codes and words of our own tables, no reference to the patient or the draft."""
    card = shown_card(service, advertised)
    (found,) = Archive(engine).consults(None, None)
    (order,) = found.cards[0].orders
    created = next(a["resource"] for a in card["suggestions"][0]["actions"] if a["type"] == "create")
    assert order.suggestion == card["suggestions"][0]["uuid"]
    assert [code for _, code, _ in order.codings] == [coding["code"] for coding in created["code"]["coding"]]
    assert order.text == created["code"]["text"]


@pytest.mark.property
@steady(150)
@given(value=json_values, name=st.sampled_from(["card", "outcome", "acceptedSuggestions", "overrideReason", "new"]))
def test_no_feedback_is_a_failure_of_ours(local: InProcess, value: Json, name: str) -> None:
    """Whatever stands anywhere, the answer is 200 or a refusal with an OperationOutcome."""
    for body in (value, {"feedback": value}, {"feedback": [accepted(UNKNOWN, UNKNOWN) | {name: value}]}):
        answer = local.request("POST", PATH, json.dumps(body).encode())
        assert answer.status in (200, 400)
        assert answer.status == 200 or answer.json()["resourceType"] == "OperationOutcome"


@pytest.mark.property
@steady(60)
@given(body=st.binary(max_size=200))
def test_no_bytes_are_a_failure_of_ours(local: InProcess, body: bytes) -> None:
    """Bytes of any kind are refused at most."""
    assert local.request("POST", PATH, body).status in (200, 400)
