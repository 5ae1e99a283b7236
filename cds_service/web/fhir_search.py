"""Search of the artefacts: which fit, and the page of them as a Bundle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlencode

from werkzeug.datastructures import MultiDict

from cds_service.artefacts import Artefacts
from cds_service.artefacts.guide import SEARCHED
from cds_service.errors import InvalidRequest

FORMAT: Final = "_format"
_COUNT: Final = "_count"
_OFFSET: Final = "_offset"
_PAGE: Final = 50
_LARGEST_PAGE: Final = 200
_DIGITS: Final = 7
_PARTIAL: Final = ("name", "title")
"""Parameters that find what begins like them."""


def searchset(kind: str, held: Artefacts, base: str, args: MultiDict[str, str]) -> dict[str, Any]:
    """The artefacts of a type that fit every parameter, a page at a time.

    Raises:
        InvalidRequest: an unknown parameter, or a number that is none.
    """
    count, offset = _number(_COUNT, args, _PAGE), _number(_OFFSET, args, 0)
    count = min(count, _LARGEST_PAGE)
    asked = [(name, value) for name, value in args.items(multi=True) if name not in (_COUNT, _OFFSET, FORMAT)]
    for name, _ in asked:
        if name not in SEARCHED:
            raise InvalidRequest(f"Unknown search parameter; those of {kind} are {', '.join(SEARCHED)}.")
    found = [one for one in held if one["resourceType"] == kind and all(_fits(one, *each) for each in asked)]
    here = found[offset : offset + count]
    bundle: dict[str, Any] = {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": len(found),
        "link": list(_links(f"{base}/{kind}", asked, count, offset, len(found))),
    }
    if here:
        bundle["entry"] = [
            {"fullUrl": f"{base}/{kind}/{one['id']}", "resource": one, "search": {"mode": "match"}} for one in here
        ]
    return bundle


def _number(name: str, args: MultiDict[str, str], otherwise: int) -> int:
    given = args.get(name)
    if given is None:
        return otherwise
    if not (given.isascii() and given.isdigit()) or len(given) > _DIGITS:
        raise InvalidRequest(f"{name}: expected a whole number.")
    return int(given)


def _links(url: str, asked: list[tuple[str, str]], count: int, offset: int, total: int) -> Iterator[dict[str, str]]:
    def at(place: int) -> str:
        return f"{url}?{urlencode([*asked, (_COUNT, count), (_OFFSET, place)])}"

    yield {"relation": "self", "url": at(offset)}
    if count and offset + count < total:
        yield {"relation": "next", "url": at(offset + count)}
    if count and offset:
        yield {"relation": "previous", "url": at(max(0, offset - count))}


def _fits(resource: Mapping[str, Any], name: str, values: str) -> bool:
    """Whether a member is one of the values, parted by commas; names and titles need only begin like it."""
    held = str(resource.get(name.removeprefix("_"), ""))
    if name in _PARTIAL:
        return any(value and held.lower().startswith(value.lower()) for value in values.split(","))
    return held in (value.removeprefix("|") for value in values.split(","))
