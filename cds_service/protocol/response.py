"""Cards, suggestions and actions as values, and their JSON form (CH-080 to CH-110).

Values carry no identifiers: the pipeline assigns them and records which card came from which rows. Members without a
value are left out of the JSON, never sent empty (CH-005).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SUMMARY_LIMIT = 139
"""Longest summary: strictly fewer than 140 characters (CH-084)."""

AT_MOST_ONE = "at-most-one"
ANY = "any"
"""How many suggestions of a card may be taken (CH-091): one at most, or each for itself."""


@dataclass(frozen=True, slots=True)
class Coding:
    """A CDS Hooks coding: less than a FHIR one (CH-106)."""

    system: str
    code: str
    display: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """Primary source of the advice on a card."""

    label: str
    url: str = ""
    topic: Coding | None = None


@dataclass(frozen=True, slots=True)
class Action:
    """One step of a suggestion, or one that the client may take by itself."""

    type: str
    description: str
    resource: Mapping[str, Any] | None = None
    resource_id: str = ""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A button; its actions are taken together."""

    label: str
    actions: tuple[Action, ...]
    recommended: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """A link to a page about the advice, or to an app that is handed the card's uuid as its context (CH-104)."""

    label: str
    url: str
    app: bool = False


@dataclass(frozen=True, slots=True)
class Card:
    """What the clinician sees.

    Attributes:
        selection: how many of the suggestions may be taken.
        rules: rows the card rests on; recorded with the card, not sent.
        associated: references of the orders the card speaks about.
    """

    summary: str
    indicator: str
    source: Source
    detail: str = ""
    suggestions: tuple[Suggestion, ...] = ()
    selection: str = AT_MOST_ONE
    override_reasons: tuple[Coding, ...] = ()
    links: tuple[Link, ...] = ()
    rules: tuple[str, ...] = ()
    associated: tuple[str, ...] = ()
    extension: Mapping[str, Any] = field(default_factory=dict)


def filled(members: Mapping[str, Any]) -> dict[str, Any]:
    """The members that have a value."""
    return {name: value for name, value in members.items() if value not in (None, "", [], {}, ())}


def card_object(card: Card, uuid: str, suggestion_uuids: tuple[str, ...]) -> dict[str, Any]:
    """A card as JSON, with its identifiers."""
    extension = dict(card.extension)
    if card.associated:
        extension["davinci-crd.associated-resource"] = [{"reference": ref} for ref in card.associated]
    return filled(
        {
            "uuid": uuid,
            "summary": card.summary,
            "detail": card.detail,
            "indicator": card.indicator,
            "source": filled(
                {
                    "label": card.source.label,
                    "url": card.source.url,
                    "topic": coding_object(card.source.topic) if card.source.topic else None,
                }
            ),
            "suggestions": [
                _suggestion(suggestion, identifier)
                for suggestion, identifier in zip(card.suggestions, suggestion_uuids, strict=True)
            ],
            "selectionBehavior": card.selection if card.suggestions else None,
            "overrideReasons": [coding_object(reason) for reason in card.override_reasons],
            "links": [_link(link, uuid) for link in card.links],
            "extension": extension,
        }
    )


def _link(link: Link, uuid: str) -> dict[str, Any]:
    plain = {"label": link.label, "url": link.url, "type": "smart" if link.app else "absolute"}
    return plain | ({"appContext": uuid} if link.app else {})


def coding_object(coding: Coding) -> dict[str, Any]:
    """A coding as JSON."""
    return filled({"code": coding.code, "system": coding.system, "display": coding.display})


def _suggestion(suggestion: Suggestion, uuid: str) -> dict[str, Any]:
    members: dict[str, Any] = {
        "label": suggestion.label,
        "uuid": uuid,
        "actions": [action_object(action) for action in suggestion.actions],
    }
    if suggestion.recommended:
        members["isRecommended"] = True
    return filled(members)


def action_object(action: Action) -> dict[str, Any]:
    """An action of a suggestion or of the system, as JSON."""
    return filled(
        {
            "type": action.type,
            "description": action.description,
            "resource": dict(action.resource) if action.resource else None,
            "resourceId": action.resource_id,
        }
    )
