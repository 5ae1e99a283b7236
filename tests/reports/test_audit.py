"""Consults as audit resources that any R4 receiver takes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from cds_service.reports.audit import CLIENTS, PATIENTS, audit_event, provenances
from cds_service.store.base import SuggestedOrder
from fhir_profiles.resources import problems
from tests.store.records import CARDS, CONSULT
from tests.validity import empty_members

VARIANTS = (
    CONSULT,
    replace(CONSULT, client="", patient="", unavailable=(), ratings={}, rules=(), cards=()),
    replace(CONSULT, cards=(replace(CARDS[0], orders=(SuggestedOrder("suggestion-1", (), ""),)),)),
)


@pytest.mark.parametrize("consult", VARIANTS)
def test_every_resource_is_valid_r4(consult: Any) -> None:
    """The models of R4B have no objection, and no member is empty, whatever a consult lacks."""
    for resource in (audit_event(consult), *provenances(consult)):
        assert problems(resource) == []
        assert list(empty_members(resource)) == []


def test_an_event_says_who_asked_what_about_whom() -> None:
    """Client, service, hashed patient, moment, hook, and what the answer rested on."""
    event = audit_event(CONSULT)
    asked, answered = event["agent"]
    assert (asked["requestor"], asked["who"]["identifier"]) == (True, {"system": CLIENTS, "value": CONSULT.client})
    assert (answered["requestor"], answered["name"]) == (False, CONSULT.service)
    patient, consult = event["entity"]
    assert patient["what"]["identifier"] == {"system": PATIENTS, "value": CONSULT.patient}
    told = {item["type"]: item["valueString"] for item in consult["detail"]}
    assert told["knowledge-version"] == CONSULT.knowledge_version
    assert told["knowledge-hash"] == CONSULT.knowledge_hash
    assert told["rules"].split() == list(CONSULT.rules)
    assert told["cards"].split() == [card.uuid for card in CONSULT.cards]
    assert event["recorded"] == "2026-11-20T09:30:15.123+00:00"
    assert event["subtype"][0]["code"] == CONSULT.hook
    assert event["outcome"] == "0"
    assert "implants" in event["outcomeDesc"]


def test_an_unknown_client_is_said_to_be_unknown() -> None:
    """Without client authentication nobody is named, and without a patient hash no patient."""
    event = audit_event(VARIANTS[1])
    assert event["agent"][0]["who"] == {"display": "unauthenticated client"}
    assert len(event["entity"]) == 1


def test_a_suggested_order_has_a_provenance() -> None:
    """It leads from the order, by the identifier of its suggestion, to card, consult and knowledge version."""
    (found,) = provenances(CONSULT)
    assert found["target"][0]["identifier"]["value"] == "urn:uuid:suggestion-1"
    assert "http://loinc.org|97392-5" in found["target"][0]["display"]
    sources = [entity["what"]["identifier"]["value"] for entity in found["entity"]]
    assert sources == ["urn:uuid:card-1", "urn:uuid:consult-1"]
    assert found["policy"][0].endswith(CONSULT.knowledge_version)


def test_two_orders_of_one_suggestion_have_ids_of_their_own() -> None:
    """No two resources of an export share an id."""
    (order,) = CARDS[0].orders
    both = replace(CONSULT, cards=(replace(CARDS[0], orders=(order, order)),))
    ids = [resource["id"] for resource in (audit_event(both), *provenances(both))]
    assert len(set(ids)) == len(ids) == 3
    assert json.dumps(ids)
