"""What is typed becomes an order or a report, or is refused with words."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cds_service.domain.terms import LACK_WORDS, Lack
from cds_service.ehr.feedback import feedback_on
from cds_service.ehr.orders import Chart, draft_orders, written_order
from cds_service.ehr.remote import CdsService, FhirServer, advice, checked, told
from cds_service.ehr.request import choose, keep, kept, selected
from cds_service.errors import CallInvalid, RemoteError
from cds_service.knowledge import Knowledge
from cds_service.protocol.feedback import parse_feedback
from fhir_profiles.inputs.studies import study
from fhir_profiles.terminology import Terminology
from tests.calling import OverHttp
from tests.signing import key_server

CHART = Chart("p1", "e1", FhirServer("https://fhir.example.org"))
NOW = datetime(2026, 11, 25, 12, 30, 5, tzinfo=UTC)
CARDS: tuple[dict[str, Any], ...] = (
    {
        "uuid": "card-1",
        "suggestions": [{"uuid": "s-1"}, {"uuid": "s-2"}],
        "overrideReasons": [{"code": "why", "system": "https://x.example.org"}],
    },
    {"summary": "without identifier"},
)


def test_every_study_can_be_ordered(knowledge: Knowledge, terminology: Terminology) -> None:
    """A key of the tables becomes an order that is read as that very study."""
    for key in knowledge.procedures:
        read = study(written_order(key, terminology)["code"], terminology)
        assert read is not None
        assert read.procedure == key


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("mri-of-everything", "nor one of bone-scan"),
        ("nowhere|1", "one of ajcc, cpt"),
        ("no-such-file.json", "No such file"),
    ],
)
def test_an_order_that_is_none_is_said(given: str, said: str, terminology: Terminology) -> None:
    """The message says what an order may be."""
    with pytest.raises(CallInvalid, match=said):
        draft_orders([given], CHART, terminology)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"resourceType": "Bundle", "entry": [1, {"resource": 2}]}'])
def test_a_file_without_an_order_is_said(content: str, terminology: Terminology, tmp_path: Path) -> None:
    """Neither a ServiceRequest nor a Bundle with one."""
    file = tmp_path / "order.json"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(CallInvalid, match=r"order\.json"):
        draft_orders([str(file)], CHART, terminology)


def test_an_order_of_a_file_gets_what_a_draft_needs(terminology: Terminology, tmp_path: Path) -> None:
    """What the file says stays; ids are given where there are none, each once."""
    file = tmp_path / "order.json"
    file.write_text(json.dumps({"resourceType": "ServiceRequest", "intent": "plan", "code": {"text": "x"}}))
    first, second = draft_orders([str(file), "cpt|74183"], CHART, terminology)
    assert first["intent"] == "plan"
    assert [order["id"] for order in (first, second)] == ["draft-1", "draft-2"]
    for order in (first, second):
        assert (order["status"], order["subject"]) == ("draft", {"reference": "Patient/p1"})
        assert order["encounter"] == {"reference": "Encounter/e1"}
    assert second["code"] == {"coding": [{"system": "http://www.ama-assn.org/go/cpt", "code": "74183"}]}


def report(**given: Any) -> Any:
    """Feedback on the two cards."""
    usual: dict[str, Any] = {"accepted": (), "overridden": (), "reason": None, "comment": None, "now": NOW}
    return feedback_on(CARDS, **(usual | given))


def test_feedback_is_what_the_service_reads() -> None:
    """The body is one that our own reader takes, with suggestion, reason and words."""
    body = report(accepted=["1.2"], overridden=["1"], reason="why", comment="mine")
    accepted, overridden = parse_feedback(json.dumps(body).encode())
    assert (accepted.card, accepted.suggestions, accepted.at) == ("card-1", ("s-2",), NOW)
    assert overridden.reason is not None
    assert (overridden.reason.code, overridden.comment) == ("why", "mine")
    assert report(overridden=["1"])["feedback"][0].keys() == {"card", "outcome", "outcomeTimestamp"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"accepted": ["one"]}, "by number"),
        ({"accepted": ["0"]}, "by number"),
        ({"accepted": ["3"]}, "no card 3"),
        ({"accepted": ["1.3"]}, "has 2 suggestions"),
        ({"accepted": ["2"]}, "without an identifier"),
        ({"overridden": ["1"], "reason": "whim"}, "offers why"),
    ],
)
def test_feedback_on_what_is_not_there_is_said(given: dict[str, Any], said: str) -> None:
    """Nothing is sent."""
    with pytest.raises(CallInvalid, match=said):
        report(**given)


def test_the_service_of_a_hook_is_chosen() -> None:
    """One by the hook; of several, the one that is named."""
    offered = [{"id": "a", "hook": "h"}, {"id": "b", "hook": "h"}, {"id": "c", "hook": "other"}]
    assert choose(offered, "other", None)["id"] == "c"
    assert choose(offered, "h", "b")["id"] == "b"
    with pytest.raises(CallInvalid, match="--service: a, b"):
        choose(offered, "h", None)
    with pytest.raises(CallInvalid, match="On offer: nothing"):
        choose([], "h", None)


def test_selected_orders_are_some_of_those_there() -> None:
    """By id or reference."""
    orders = [{"id": "a"}, {"id": "b"}]
    assert selected(orders, []) is None
    assert selected(orders, ["a", "ServiceRequest/b"]) == ["ServiceRequest/a", "ServiceRequest/b"]
    with pytest.raises(CallInvalid, match="ServiceRequest/a, ServiceRequest/b"):
        selected(orders, ["c"])


def test_a_file_that_holds_no_call_is_said(tmp_path: Path) -> None:
    """Missing, unreadable, and something else; a token in a file is not sent."""
    file = tmp_path / "call.json"
    with pytest.raises(CallInvalid, match="No such file"):
        kept(file)
    for content in ("", "[]", "{}"):
        file.write_text(content, encoding="utf-8")
        with pytest.raises(CallInvalid, match=r"call\.json"):
            kept(file)
    file.write_text(json.dumps({"hook": "h", "fhirAuthorization": {"access_token": "t"}}), encoding="utf-8")
    assert kept(file) == {"hook": "h"}
    with pytest.raises(CallInvalid, match="--save"):
        keep({}, tmp_path / "none" / "call.json")


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/cds-services", b"[]", "list of services"),
        ("/cds-services", b"<html>", "list of services"),
        ("/elsewhere", b"{}", "status 404: no reason given"),
    ],
)
def test_a_service_that_is_none_is_said(path: str, body: bytes, said: str) -> None:
    """What answers is not discovery, or nothing."""
    with key_server() as server:
        server.put(path, body)
        with pytest.raises(RemoteError, match=said):
            CdsService(server.base).discover()


def test_an_error_is_shown_as_text(live: OverHttp) -> None:
    """The texts of an OperationOutcome, whoever wrote it how."""
    service = CdsService(live.base)
    with pytest.raises(RemoteError, match=r"status 404: There is no such service"):
        service.call("none", {})
    with pytest.raises(RemoteError, match=r"status 400: .*feedback is missing"):
        service.feedback("pnet-order-sign", {})
    assert (
        told({"issue": [{"diagnostics": "one"}, {"details": {"text": "two"}}, {"code": "three"}, 4]}) == "one two three"
    )
    assert told("nonsense") == ""


def test_every_reason_has_words() -> None:
    """Those about rights and addresses also say what to do."""
    assert {lack for lack in Lack if advice(lack) != LACK_WORDS[lack]} == {Lack.UNAUTHORISED, Lack.NOT_OFFERED}
    assert checked("--url", "https://x.example.org/base/") == "https://x.example.org/base"
