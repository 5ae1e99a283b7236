"""What became of cards, as a client reports it (CH-120 to CH-127)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from cds_service.errors import CallInvalid
from cds_service.protocol.feedback import ACCEPTED, OVERRIDDEN
from fhir_profiles.reading import objects

_CHOICE: Final = re.compile(r"([1-9]\d{0,3})(?:\.([1-9]\d{0,3}))?", re.ASCII)


def feedback_on(
    cards: Iterable[Mapping[str, Any]],
    *,
    accepted: Iterable[str],
    overridden: Iterable[str],
    reason: str | None,
    comment: str | None,
    now: datetime,
) -> dict[str, Any]:
    """The body of a feedback call.

    Args:
        cards: the cards as they came; the first is number 1.
        accepted: numbers of cards, with that of the suggestion if it is not the first: ``1`` or ``1.2``.
        overridden: numbers of cards.
        reason: code of a reason that the overridden cards offer.
        comment: the clinician's own words.
        now: when it was decided.

    Raises:
        CallInvalid: a number, suggestion or reason that is not on the cards.
    """
    shown = list(cards)
    at = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    entries = [_entry(shown, choice, ACCEPTED, at) | _accepted(shown, choice) for choice in accepted]
    entries += [
        _entry(shown, choice, OVERRIDDEN, at) | _reasons(shown, choice, reason, comment) for choice in overridden
    ]
    return {"feedback": entries}


def _chosen(cards: list[Mapping[str, Any]], choice: str) -> tuple[Mapping[str, Any], int]:
    """A card, and the place of a suggestion on it."""
    match = _CHOICE.fullmatch(choice)
    if match is None:
        raise CallInvalid(f"Cards are chosen by number, such as 1, or 1.2 for the second suggestion; not {choice!r}.")
    number, place = int(match[1]), int(match[2] or 1)
    if number > len(cards):
        raise CallInvalid(f"There is no card {number}; {len(cards)} came.")
    return cards[number - 1], place - 1


def _entry(cards: list[Mapping[str, Any]], choice: str, outcome: str, at: str) -> dict[str, Any]:
    card, _ = _chosen(cards, choice)
    if not card.get("uuid"):
        raise CallInvalid(f"Card {choice} came without an identifier, so there is nothing to report on.")
    return {"card": card["uuid"], "outcome": outcome, "outcomeTimestamp": at}


def _accepted(cards: list[Mapping[str, Any]], choice: str) -> dict[str, Any]:
    card, place = _chosen(cards, choice)
    offered = list(objects(card.get("suggestions")))
    if place >= len(offered) or not offered[place].get("uuid"):
        raise CallInvalid(f"Card {choice} has {len(offered)} suggestions; this one cannot be accepted.")
    return {"acceptedSuggestions": [{"id": offered[place]["uuid"]}]}


def _reasons(cards: list[Mapping[str, Any]], choice: str, reason: str | None, comment: str | None) -> dict[str, Any]:
    card, _ = _chosen(cards, choice)
    said: dict[str, Any] = {"userComment": comment} if comment else {}
    if reason:
        offered = {coding.get("code"): coding for coding in objects(card.get("overrideReasons"))}
        if reason not in offered:
            raise CallInvalid(f"--reason: card {choice} offers {', '.join(map(str, offered)) or 'none'}.")
        said["reason"] = offered[reason]
    return {"overrideReason": said} if said else {}
