"""Draft orders as they were written, for answers that must give them back to the letter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import msgspec

NOTHING = msgspec.Raw(b"")


class _Context(msgspec.Struct):
    draftOrders: msgspec.Raw = NOTHING  # noqa: N815 - spelled as on the wire


class _Bundle(msgspec.Struct):
    entry: list[msgspec.Raw] | None = None


class _Entry(msgspec.Struct):
    resource: msgspec.Raw = NOTHING


class _Resource(msgspec.Struct):
    resourceType: Any = None  # noqa: N815
    id: Any = None


_Decoded = TypeVar("_Decoded")


def drafts_as_written(context: msgspec.Raw) -> Mapping[str, msgspec.Raw]:
    """The draft orders of a context by reference, each as the bytes it came in as.

    A reference that two drafts share names neither.
    """
    found: list[tuple[str, msgspec.Raw]] = []
    for raw in _resources(context):
        resource = _as(raw, _Resource)
        if resource is not None and isinstance(resource.resourceType, str) and isinstance(resource.id, str):
            found.append((f"{resource.resourceType}/{resource.id}", raw))
    times = Counter(reference for reference, _ in found)
    return {reference: raw for reference, raw in found if times[reference] == 1}


def _resources(context: msgspec.Raw) -> Iterator[msgspec.Raw]:
    """Resources of the Bundle, or of the list that some clients send in its place."""
    given = _as(context, _Context)
    drafts = NOTHING if given is None else given.draftOrders
    bundle = _as(drafts, _Bundle)
    listed = _as(drafts, list[msgspec.Raw]) if bundle is None else bundle.entry
    for item in listed or ():
        entry = _as(item, _Entry)
        if entry is not None and entry.resource != NOTHING:
            yield entry.resource
        elif entry is not None and bundle is None:
            yield item


def _as(raw: msgspec.Raw, kind: type[_Decoded]) -> _Decoded | None:
    """The value as a type; None when it is no such thing, or nested at the limit of what can be decoded."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, RecursionError):
        return None
