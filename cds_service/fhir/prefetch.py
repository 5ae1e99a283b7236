"""What arrived under each prefetch key, and what that means (CH-057).

Absence, an error and a truncated page are never read as "none found". Resources are taken one by one: a damaged entry
is set aside and reported, the others are used. Observations are looked at briefly and decoded in full only when their
code can mean something here, because a chart may hold thousands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec

from cds_service.domain.findings import Skipped
from cds_service.service import Input

_NOTHING = msgspec.Raw(b"")
_NULL = msgspec.Raw(b"null")
_ERROR_SEVERITIES = frozenset({"fatal", "error"})
Wanted = Callable[[object], bool]


class State(StrEnum):
    """What a key's value says about the data it stands for."""

    ABSENT = "absent"
    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    ERROR = "error"


class _Entry(msgspec.Struct):
    resource: msgspec.Raw = _NOTHING


class _Bundle(msgspec.Struct):
    resourceType: Any = None  # noqa: N815 - spelled as on the wire
    entry: list[_Entry] | None = None
    link: Any = None


class _Peek(msgspec.Struct):
    resourceType: Any = None  # noqa: N815
    code: Any = None


_BUNDLES = msgspec.json.Decoder(_Bundle)
_PEEKS = msgspec.json.Decoder(_Peek)


@dataclass(slots=True)
class Received:
    """Everything usable that arrived, and the state of every key that was asked for."""

    resources: list[dict[str, Any]] = field(default_factory=list)
    states: dict[str, State] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)
    unread: int = 0
    """Observations that were left in place because their code means nothing here."""

    @property
    def unavailable(self) -> tuple[str, ...]:
        """Keys whose data could not be had in full."""
        return tuple(key for key, state in self.states.items() if state is not State.COMPLETE)


def receive(prefetch: Mapping[str, msgspec.Raw], inputs: Iterable[Input], wanted: Mapping[str, Wanted]) -> Received:
    """Read the values of the keys asked for; keys never asked for are ignored.

    Args:
        prefetch: raw JSON by key.
        inputs: what the service asked for.
        wanted: by resource type, a quick test of ``code``; types without one are always read.
    """
    received = Received()
    for asked in inputs:
        raw = prefetch.get(asked.key)
        received.states[asked.key] = State.ABSENT if raw is None else _read(asked, raw, wanted, received)
    return received


def _read(asked: Input, raw: msgspec.Raw, wanted: Mapping[str, Wanted], received: Received) -> State:
    if raw == _NULL:
        return State.COMPLETE
    try:
        bundle = _BUNDLES.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _read_odd(asked, raw, wanted, received)
    if bundle.resourceType == "Bundle":
        state = _combined(
            _take(asked, entry.resource, wanted, received) for entry in bundle.entry or () if entry.resource != _NOTHING
        )
        return State.INCOMPLETE if state is State.COMPLETE and _has_next(bundle.link) else state
    return _take(asked, raw, wanted, received)


def _has_next(link: object) -> bool:
    """Whether the Bundle is a page with more behind it."""
    return isinstance(link, list) and any(isinstance(item, dict) and item.get("relation") == "next" for item in link)


def _combined(states: Iterable[State]) -> State:
    """The worst state of the entries; all of them are read."""
    worst = State.COMPLETE
    for state in states:
        if state is State.ERROR or (state is State.INCOMPLETE and worst is State.COMPLETE):
            worst = state
    return worst


def _take(asked: Input, raw: msgspec.Raw | bytes, wanted: Mapping[str, Wanted], received: Received) -> State:
    """One resource; an OperationOutcome that reports an error makes the key unavailable."""
    try:
        peek = _PEEKS.decode(raw)
        kind = peek.resourceType
        if isinstance(kind, str) and kind in wanted and not wanted[kind](peek.code):
            received.unread += 1
            return State.COMPLETE
        resource = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        received.skipped.append(Skipped(asked.key, "an entry is no readable resource"))
        return State.INCOMPLETE
    if kind == "OperationOutcome":
        return State.ERROR if _is_error(resource) else State.COMPLETE
    if not isinstance(kind, str):
        received.skipped.append(Skipped(asked.key, "an entry has no resourceType"))
        return State.INCOMPLETE
    if kind == "Bundle":
        return _combined(_take(asked, entry, wanted, received) for entry in _inner(resource))
    received.resources.append(resource)
    return State.COMPLETE


def _inner(bundle: dict[str, Any]) -> Iterator[bytes]:
    """Entries of a Bundle that came inside a Bundle; one level down is enough."""
    for entry in bundle.get("entry") or ():
        if isinstance(entry, dict) and isinstance(entry.get("resource"), dict):
            inner = entry["resource"]
            if inner.get("resourceType") != "Bundle":
                yield msgspec.json.encode(inner)


def _is_error(outcome: dict[str, Any]) -> bool:
    """Whether an OperationOutcome reports a failure; one without readable issues is taken as a failure."""
    issues = outcome.get("issue")
    if not isinstance(issues, list) or not issues:
        return True
    return any(not isinstance(i, dict) or i.get("severity", "error") in _ERROR_SEVERITIES for i in issues)


def _read_odd(asked: Input, raw: msgspec.Raw, wanted: Mapping[str, Wanted], received: Received) -> State:
    """A value whose shape is not that of a Bundle or resource: take what objects it holds, call it incomplete."""
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        received.skipped.append(Skipped(asked.key, "the value cannot be read"))
        return State.ERROR
    entries = value.get("entry") if isinstance(value, dict) else None
    if not isinstance(entries, list):
        entries = [entries] if isinstance(entries, dict) else []
    received.skipped.append(Skipped(asked.key, "the value is neither a Bundle nor a resource of R4 shape"))
    for entry in entries:
        if isinstance(entry, dict) and isinstance(entry.get("resource"), dict):
            _take(asked, msgspec.json.encode(entry["resource"]), wanted, received)
    return State.INCOMPLETE if entries else State.ERROR
