"""Feedback on cards, admitted: what it must say, wherever a client says it (CH-120 to CH-127).

The whole body is taken or refused: an entry that cannot be understood is named by its place, and nothing is kept, so
that the client can mend it and send everything again. Unknown members and nulls in optional places are ignored
(CH-007).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from cds_service.errors import InvalidRequest, NotJson
from cds_service.protocol.response import Coding
from cds_service.protocol.surrogates import decode

ACCEPTED: Final = "accepted"
OVERRIDDEN: Final = "overridden"

_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d):(\d\d)(?:\.(\d{1,6})\d*)?(?:[Zz]|[+-]00:00)", re.ASCII)
_LEAP_SECOND = "60"
_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class FeedbackEntry:
    """What became of one card.

    Attributes:
        suggestions: identifiers of the accepted suggestions.
        reason: why the card was overridden; it need not be a reason this service offered.
        comment: the clinician's own words; they may be about the patient.
    """

    card: str
    outcome: str
    at: datetime
    suggestions: tuple[str, ...] = ()
    reason: Coding | None = None
    comment: str = ""


class _Misfit(ValueError):
    """What is wrong, with its place; never a value."""


def parse_feedback(body: bytes) -> tuple[FeedbackEntry, ...]:
    """Read the body of a feedback call.

    Raises:
        NotJson: the body is no JSON object, or nested beyond reason.
        InvalidRequest: one or more entries cannot be understood; the first of them are named by place.
    """
    given = _decode(body).get("feedback")
    if not isinstance(given, list):
        raise InvalidRequest("feedback is missing or not an array; put every entry into it (CH-121).")
    entries: list[FeedbackEntry] = []
    wrong: list[str] = []
    for number, item in enumerate(given):
        try:
            entries.append(_entry(item, f"feedback[{number}]"))
        except _Misfit as misfit:
            wrong.append(str(misfit))
    if wrong:
        more = f"; and {len(wrong) - _MOST_NAMED} more entries" if len(wrong) > _MOST_NAMED else ""
        raise InvalidRequest("; ".join(wrong[:_MOST_NAMED]) + more + ". Nothing of this body was kept.")
    return tuple(entries)


def _decode(body: bytes) -> dict[str, Any]:
    try:
        decoded = decode(msgspec.json.decode, body)[0]
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise NotJson("The body is not valid JSON in UTF-8.") from None
    except RecursionError:
        raise NotJson("The body is nested too deeply to be feedback.") from None
    if not isinstance(decoded, dict):
        raise NotJson("The body is JSON but not an object.")
    return decoded


def _entry(given: object, place: str) -> FeedbackEntry:
    entry = _object(given, place, "CH-121")
    card = _string(entry.get("card"), f"{place}.card", "CH-122")
    outcome = entry.get("outcome")
    if outcome not in (ACCEPTED, OVERRIDDEN):
        raise _Misfit(f"{place}.outcome is neither accepted nor overridden (CH-123)")
    at = _moment(entry.get("outcomeTimestamp"), f"{place}.outcomeTimestamp")
    suggestions = tuple(_suggestions(entry.get("acceptedSuggestions"), f"{place}.acceptedSuggestions"))
    reason, comment = _override(entry.get("overrideReason"), f"{place}.overrideReason")
    if outcome == OVERRIDDEN:
        return FeedbackEntry(card, outcome, at, (), reason, comment)
    if not suggestions:
        raise _Misfit(f"{place}.acceptedSuggestions is missing; accepted requires it (CH-124)")
    return FeedbackEntry(card, outcome, at, suggestions)


def _object(value: object, place: str, requirement: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _Misfit(f"{place} is not an object ({requirement})")
    return value


def _string(value: object, place: str, requirement: str) -> str:
    """Text with something in it; characters no database keeps are left out."""
    text = value.replace("\0", "").strip() if isinstance(value, str) else ""
    if not text:
        raise _Misfit(f"{place} is missing or not a string ({requirement})")
    return text


def _optional(value: object, place: str, requirement: str) -> str:
    return "" if value in (None, "") else _string(value, place, requirement)


def _suggestions(value: object, place: str) -> Iterator[str]:
    if value is None:
        return
    if not isinstance(value, list):
        raise _Misfit(f"{place} is not an array (CH-124)")
    for number, item in enumerate(value):
        here = f"{place}[{number}]"
        yield _string(_object(item, here, "CH-124").get("id"), f"{here}.id", "CH-124")


def _override(value: object, place: str) -> tuple[Coding | None, str]:
    """Reason and comment; an override reason that is given has at least one of them."""
    if value is None:
        return None, ""
    override = _object(value, place, "CH-125")
    comment = _optional(override.get("userComment"), f"{place}.userComment", "CH-125")
    given = override.get("reason")
    if given is None and not comment:
        raise _Misfit(f"{place} has neither reason nor userComment (CH-125)")
    return (None if given is None else _reason(given, f"{place}.reason")), comment


def _reason(value: object, place: str) -> Coding:
    coding = _object(value, place, "CH-125")
    return Coding(
        system=_string(coding.get("system"), f"{place}.system", "CH-125"),
        code=_string(coding.get("code"), f"{place}.code", "CH-125"),
        display=_optional(coding.get("display"), f"{place}.display", "CH-125"),
    )


def _moment(value: object, place: str) -> datetime:
    """An RFC 3339 date-time in UTC; a leap second is the second before it, what is finer than a microsecond is cut."""
    match = _MOMENT.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise _Misfit(f"{place} is missing or not a date-time in UTC such as 2026-03-02T14:05:09Z (CH-126)")
    day, minute, second, fraction = match.groups()
    second = "59" if second == _LEAP_SECOND else second
    try:
        return datetime.fromisoformat(f"{day}T{minute}:{second}.{(fraction or '0'):0<6}").replace(tzinfo=UTC)
    except ValueError:
        raise _Misfit(f"{place} is not a date and time that exist (CH-126)") from None
