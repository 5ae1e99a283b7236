"""The Argonaut PAMA rating on a ServiceRequest (PM-006 to PM-011).

An order that came in is taken apart at its top level only: every member, and every extension that is not one of ours,
goes back out as the bytes it came in as. Nothing else of it can change: no number, no member, no space.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from fhir_profiles.drafts import is_id
from fhir_profiles.reading import member, text
from fhir_profiles.terminology import LOCAL_SYSTEM, Terminology

RATING: Final = "http://fhir.org/argonaut/Extension/pama-rating"
QCDSM: Final = "http://fhir.org/argonaut/Extension/pama-rating-qcdsm-consulted"
CONSULT: Final = "http://fhir.org/argonaut/Extension/pama-rating-consult-id"
CRITERION: Final = "http://fhir.org/argonaut/Extension/pama-rating-auc-applied"
OURS: Final = frozenset({RATING, QCDSM, CONSULT, CRITERION})

NOT_QUALIFIED: Final = "none: pnet-cds is not a qualified mechanism"
"""What the extension for the mechanism says where the site names none: it is required, and must not claim anything."""

_NULL = msgspec.Raw(b"null")


class _Peek(msgspec.Struct):
    url: Any = None


_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])
_PEEKS = msgspec.json.Decoder(_Peek)


@dataclass(frozen=True, slots=True)
class Rating:
    """What is recorded on one order.

    Attributes:
        code: one of the three PAMA codes.
        category: category as the source reports it; a further coding where there is one.
        text: the category in words, who reports it, and with what limitation.
        criterion: URI of the guideline row applied; empty when no criterion applies.
        consult_id: UUID of the consultation.
        qcdsm: identifier of the mechanism that the site states; empty for none.
    """

    code: str
    category: str
    text: str
    criterion: str
    consult_id: str
    qcdsm: str = ""


def extensions(rating: Rating, terminology: Terminology) -> list[dict[str, Any]]:
    """The extensions that record a rating."""
    codings: list[dict[str, str]] = [{"system": terminology.uris["pama"], "code": rating.code}]
    match = terminology.match(LOCAL_SYSTEM, rating.category)
    if match is not None:
        codings.append({"system": LOCAL_SYSTEM, "code": rating.category, "display": match.display})
    found: list[dict[str, Any]] = [
        {"url": RATING, "valueCodeableConcept": {"coding": codings, "text": rating.text}},
        {"url": QCDSM, "valueString": rating.qcdsm or NOT_QUALIFIED},
        {"url": CONSULT, "valueUri": f"urn:uuid:{rating.consult_id}"},
    ]
    if rating.criterion:
        found.append({"url": CRITERION, "valueUri": rating.criterion})
    return found


def can_carry(order: Mapping[str, object]) -> bool:
    """Whether an order is complete enough to be sent back as an update: R4 requires these, and a rating its patient."""
    identified = isinstance(order.get("id"), str) and is_id(str(order["id"]))
    stated = all(text(order.get(name)) for name in ("status", "intent"))
    return identified and stated and bool(text(member(order.get("subject"), "reference")))


def with_rating(written: msgspec.Raw, added: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The order as it was written, with earlier ratings replaced by this one.

    None when its extensions are no list, so that nothing could be added without losing something, or when it is nested
    at the limit of what can be decoded.
    """
    try:
        members: dict[str, Any] = _MEMBERS.decode(written)
        extension = members.get("extension", _NULL)
        earlier = [] if extension == _NULL else _ITEMS.decode(extension)
        kept = [item for item in earlier if _url(item) not in OURS]
    except (msgspec.DecodeError, RecursionError):
        return None
    return members | {"extension": [*kept, *added]}


def _url(extension: msgspec.Raw) -> str:
    try:
        return text(_PEEKS.decode(extension).url)
    except msgspec.ValidationError:
        return ""
