"""What a client may switch: options in discovery, and their values in a request (CR-001, CR-002).

Kinds of cards go by the topic of their source. A call without values, with unknown ones, or with values of another type
is answered as if nothing had been set.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from cds_service.protocol.response import Card

OPTIONS: Final = "davinci-crd.configuration-options"
"""Member of a service's extension that lists its options."""
VALUES: Final = "davinci-crd.configuration"
"""Member of a request's extension that sets them."""
MOST: Final = "max-cards"
RECORD: Final = "record-ratings"

_GRAVEST_FIRST: Final = ("critical", "warning", "info")


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a service."""

    code: str
    type: Literal["boolean", "integer"]
    name: str
    description: str
    default: bool | None = None

    def as_object(self) -> dict[str, Any]:
        """The option as discovery shows it."""
        shown = {"code": self.code, "type": self.type, "name": self.name, "description": self.description}
        return shown | ({} if self.default is None else {"default": self.default})


KINDS: Final[Mapping[str, Option]] = {
    option.code: option
    for option in (
        Option("appropriate-use", "boolean", "Ratings", "Cards about how appropriate an imaging order is.", True),
        Option("contraindication", "boolean", "Safety", "Cards about an order that a safety rule blocks.", True),
        Option("duplicate-therapy", "boolean", "Duplicates", "Cards about an order that repeats a recent study.", True),
        Option("guideline", "boolean", "Guidelines", "Cards with staging, protocol and facts for the performer.", True),
        Option("clinical-reminder", "boolean", "Follow-up", "Cards about follow-up imaging and its time.", True),
    )
}
"""The kinds of cards there are, by topic."""

_MOST_CARDS: Final = Option(MOST, "integer", "Most cards", "Most cards in one answer; the gravest are kept.")


def options(kinds: Iterable[str], records: bool | None) -> list[dict[str, Any]]:
    """The options of a service.

    Args:
        kinds: the kinds of cards it returns.
        records: whether it records ratings without being asked; None when it never does.
    """
    offered = [*(KINDS[kind] for kind in kinds), _MOST_CARDS]
    if records is not None:
        text = "System actions that record the rating on an order."
        offered.append(Option(RECORD, "boolean", "Record ratings", text, records))
    return [option.as_object() for option in offered]


def read_configuration(extension: msgspec.Raw) -> Mapping[str, Any]:
    """The values that a request sets; none where its extension is anything else than expected."""
    try:
        values = msgspec.json.decode(extension, type=dict[str, Any]).get(VALUES)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def wanted_cards(cards: tuple[Card, ...], values: Mapping[str, Any]) -> tuple[Card, ...]:
    """The cards of the kinds that are wanted, the gravest as far as their number is limited, in the order they came."""
    kept = [card for card in cards if card.source.topic is None or values.get(card.source.topic.code) is not False]
    most = values.get(MOST)
    if isinstance(most, bool) or not isinstance(most, int) or most < 0:
        return tuple(kept)
    ranked = sorted(range(len(kept)), key=lambda number: _GRAVEST_FIRST.index(kept[number].indicator))
    return tuple(kept[number] for number in sorted(ranked[:most]))


def wants_records(values: Mapping[str, Any], default: bool) -> bool:
    """Whether the client wants ratings recorded; the default where it does not say."""
    said = values.get(RECORD)
    return said if isinstance(said, bool) else default
