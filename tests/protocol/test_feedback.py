"""Reading feedback: what is taken as what, what is refused with its place, and that nothing else comes out."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.errors import InvalidRequest, NotJson
from cds_service.protocol.feedback import FeedbackEntry, parse_feedback
from cds_service.protocol.response import Coding
from tests.property.strategies import json_values, steady
from tests.validity import schema_errors

Json = Any
CARD = "c0a1f1de-3b62-4b7a-9f57-8f2a2f0f7a11"
SUGGESTION = "7b8f2f55-9d0e-4a41-8c62-1f0d62a6bb02"
AT = "2026-03-02T14:05:09Z"
ACCEPTED: Json = {
    "card": CARD,
    "outcome": "accepted",
    "acceptedSuggestions": [{"id": SUGGESTION}],
    "outcomeTimestamp": AT,
}
OVERRIDDEN: Json = {
    "card": CARD,
    "outcome": "overridden",
    "overrideReason": {"reason": {"code": "a", "system": "https://r.example.org", "display": "A"}, "userComment": "b"},
    "outcomeTimestamp": AT,
}


def parse(*entries: Json) -> tuple[FeedbackEntry, ...]:
    """Read a body with these entries."""
    return parse_feedback(json.dumps({"feedback": list(entries)}).encode())


def test_what_is_said_is_read() -> None:
    """Card, outcome, moment, accepted suggestions, reason and comment of every entry, in their order."""
    at = datetime(2026, 3, 2, 14, 5, 9, tzinfo=UTC)
    assert parse(ACCEPTED, OVERRIDDEN) == (
        FeedbackEntry(CARD, "accepted", at, (SUGGESTION,)),
        FeedbackEntry(CARD, "overridden", at, (), Coding("https://r.example.org", "a", "A"), "b"),
    )


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("2026-03-02T14:05:09.250Z", datetime(2026, 3, 2, 14, 5, 9, 250_000, tzinfo=UTC)),
        ("2026-03-02t14:05:09.123456789z", datetime(2026, 3, 2, 14, 5, 9, 123_456, tzinfo=UTC)),
        ("2026-03-02T14:06:00+00:00", datetime(2026, 3, 2, 14, 6, tzinfo=UTC)),
        ("2026-12-31T23:59:60Z", datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_every_spelling_of_a_moment_in_utc_is_read(given: str, read: datetime) -> None:
    """CH-126: RFC 3339 in UTC, with or without fractions, small letters and leap seconds."""
    (entry,) = parse(OVERRIDDEN | {"outcomeTimestamp": given})
    assert entry.at == read


@pytest.mark.parametrize(
    "change",
    [
        {"overrideReason": None},
        {"overrideReason": {"userComment": "b", "reason": None}},
        {"overrideReason": {"reason": {"code": "a", "system": "s", "display": ""}, "userComment": None}},
        {"acceptedSuggestions": None},
        {"acceptedSuggestions": []},
        {"org.example.new": {"deep": [None]}},
    ],
)
def test_what_does_no_harm_is_taken(change: Json) -> None:
    """Nulls and empty values in optional places and members nobody knows do not cost the feedback."""
    (entry,) = parse(OVERRIDDEN | change)
    assert entry.outcome == "overridden"


def test_an_empty_list_is_taken() -> None:
    """Nothing to report is no fault."""
    assert parse() == ()


MISSING = object()
REFUSED: list[tuple[Json, str, Any, str]] = [
    (ACCEPTED, "card", MISSING, "feedback[1].card "),
    (ACCEPTED, "card", " ", "feedback[1].card "),
    (ACCEPTED, "card", 7, "feedback[1].card "),
    (ACCEPTED, "outcome", "ignored", "feedback[1].outcome "),
    (ACCEPTED, "outcome", ["accepted"], "feedback[1].outcome "),
    (ACCEPTED, "outcome", MISSING, "feedback[1].outcome "),
    (ACCEPTED, "acceptedSuggestions", MISSING, "feedback[1].acceptedSuggestions "),
    (ACCEPTED, "acceptedSuggestions", [], "feedback[1].acceptedSuggestions "),
    (ACCEPTED, "acceptedSuggestions", {"id": SUGGESTION}, "feedback[1].acceptedSuggestions "),
    (ACCEPTED, "acceptedSuggestions", [SUGGESTION], "feedback[1].acceptedSuggestions[0] "),
    (ACCEPTED, "acceptedSuggestions", [{"id": SUGGESTION}, {}], "feedback[1].acceptedSuggestions[1].id "),
    (OVERRIDDEN, "overrideReason", {}, "feedback[1].overrideReason "),
    (OVERRIDDEN, "overrideReason", "because", "feedback[1].overrideReason "),
    (OVERRIDDEN, "overrideReason", {"userComment": 7}, "feedback[1].overrideReason.userComment "),
    (OVERRIDDEN, "overrideReason", {"reason": {"code": "a"}}, "feedback[1].overrideReason.reason.system "),
    (OVERRIDDEN, "overrideReason", {"reason": {"system": "s"}}, "feedback[1].overrideReason.reason.code "),
    (OVERRIDDEN, "outcomeTimestamp", MISSING, "feedback[1].outcomeTimestamp "),
    (OVERRIDDEN, "outcomeTimestamp", "2026-03-02", "feedback[1].outcomeTimestamp "),
    (OVERRIDDEN, "outcomeTimestamp", "2026-03-02T09:05:09-05:00", "feedback[1].outcomeTimestamp "),
    (OVERRIDDEN, "outcomeTimestamp", "2026-02-30T09:05:09Z", "feedback[1].outcomeTimestamp "),
    (OVERRIDDEN, "outcomeTimestamp", "2026-03-02T25:05:09Z", "feedback[1].outcomeTimestamp "),
    (OVERRIDDEN, "outcomeTimestamp", "0000-03-02T05:05:09Z", "feedback[1].outcomeTimestamp "),
    (OVERRIDDEN, "outcomeTimestamp", 1772460309, "feedback[1].outcomeTimestamp "),
]


@pytest.mark.parametrize(("entry", "name", "value", "place"), REFUSED)
def test_a_malformed_entry_is_named_by_its_place(entry: Json, name: str, value: Any, place: str) -> None:
    """The message says where, and not what stands there; a good entry beside it does not help."""
    broken = {k: v for k, v in entry.items() if k != name} | ({} if value is MISSING else {name: value})
    with pytest.raises(InvalidRequest) as raised:
        parse(OVERRIDDEN, broken)
    assert str(raised.value).startswith(place)
    assert "because" not in str(raised.value)


def test_several_malformed_entries_are_named() -> None:
    """The first few by their places, the rest by their number."""
    with pytest.raises(InvalidRequest, match=r"feedback\[0\].*feedback\[4\].*and 15 more entries"):
        parse(*[{}] * 20)


@pytest.mark.parametrize("body", [b"", b"{", b'{"feedback": [}', b"[]", b"7", b'"\xff"', b"[" * 100_000, b'"\\ud800"'])
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    """Other JSON, broken JSON and deep nesting are one kind of refusal."""
    with pytest.raises(NotJson):
        parse_feedback(body)


@pytest.mark.parametrize("body", [{}, {"feedback": None}, {"feedback": ACCEPTED}, ACCEPTED])
def test_a_body_without_a_list_is_refused(body: Json) -> None:
    """An entry by itself is no body (CH-121)."""
    with pytest.raises(InvalidRequest, match=r"^feedback is missing or not an array"):
        parse_feedback(json.dumps(body).encode())


_PLACES = [(name,) for name in ("card", "outcome", "acceptedSuggestions", "overrideReason", "outcomeTimestamp")] + [
    ("overrideReason", "reason"),
    ("overrideReason", "userComment"),
    ("acceptedSuggestions", 0),
]


@pytest.mark.property
@steady(400)
@given(entry=st.sampled_from([ACCEPTED, OVERRIDDEN]), place=st.sampled_from(_PLACES), value=json_values)
def test_any_json_in_any_place_is_read_or_refused(entry: Json, place: tuple[str | int, ...], value: Json) -> None:
    """Nothing but our own refusals comes out; what the schema takes is read, whatever else is taken beside it."""
    changed = copy.deepcopy(entry | {"overrideReason": copy.deepcopy(OVERRIDDEN["overrideReason"])})
    changed.setdefault("acceptedSuggestions", [{"id": SUGGESTION}])
    parent: Any = changed
    for name in place[:-1]:
        parent = parent[name]
    parent[place[-1]] = value
    body = {"feedback": [changed]}
    try:
        (read,) = parse_feedback(json.dumps(body).encode())
    except (InvalidRequest, NotJson):
        assert schema_errors("feedback", body), body
    else:
        assert read.card
        assert read.at.tzinfo is UTC


@pytest.mark.property
@steady(200)
@given(value=json_values)
def test_any_json_as_body_is_read_or_refused(value: Json) -> None:
    """So it is with the body as a whole and with the list."""
    for body in (value, {"feedback": value}, {"feedback": [value]}):
        try:
            parse_feedback(json.dumps(body).encode())
        except (InvalidRequest, NotJson):
            continue
