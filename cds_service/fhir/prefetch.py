"""What arrived under each prefetch key, and what that means (CH-057).

Absence, an error and a truncated page are never read as "none found". Resources are taken one by one: a damaged entry
is set aside and reported, the others are used. Observations are looked at briefly and decoded in full only when their
code can mean something here, because a chart may hold thousands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec

from cds_service.domain.findings import Skipped
from cds_service.service import Input

_NOTHING = msgspec.Raw(b"")
_NULL = msgspec.Raw(b"null")
_COMPANIONS = frozenset(
    {
        "Medication",
        "Specimen",
        "Practitioner",
        "PractitionerRole",
        "Organization",
        "Location",
        "Provenance",
        "Substance",
    }
)
"""Types a server may send along with what was asked for."""
_REMARKS = ("information", "warning")
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
    inputs = tuple(inputs)
    known = _COMPANIONS.union(asked.resource_type for asked in inputs)
    for asked in inputs:
        raw = prefetch.get(asked.key)
        received.states[asked.key] = State.ABSENT if raw is None else _Value(asked, wanted, known, received).read(raw)
    return received


@dataclass(slots=True)
class _Value:
    """The value of one key while it is read."""

    asked: Input
    wanted: Mapping[str, Wanted]
    known: frozenset[str]
    received: Received
    kinds: set[str] = field(default_factory=set)
    """Resource types met so far."""

    def read(self, raw: msgspec.Raw) -> State:
        if raw == _NULL:
            return State.COMPLETE
        try:
            bundle = _BUNDLES.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return self._read_odd(raw)
        if bundle.resourceType == "Bundle":
            state = self._entries(bundle)
        else:
            state = self._resource(raw)
            if "OperationOutcome" in self.kinds:
                return State.ERROR  # instead of data, whatever its severity
        return State.ERROR if state is State.COMPLETE and self._is_about_something_else() else state

    def _entries(self, bundle: _Bundle) -> State:
        """All entries, and the worst of their states."""
        states = {self._resource(entry.resource) for entry in bundle.entry or () if entry.resource != _NOTHING}
        if State.ERROR in states:
            return State.ERROR
        return State.INCOMPLETE if State.INCOMPLETE in states or _has_next(bundle.link) else State.COMPLETE

    def _is_about_something_else(self) -> bool:
        """Whether resources came, but none of the type asked for: then nothing was said about that type."""
        hits = self.kinds - {"OperationOutcome"}
        if not hits or self.asked.resource_type in hits:
            return False
        self._skip(f"the value holds no {self.asked.resource_type}")
        return True

    def _skip(self, reason: str) -> None:
        self.received.skipped.append(Skipped(self.asked.key, reason))

    def _resource(self, raw: msgspec.Raw) -> State:
        """One resource; an OperationOutcome that reports an error makes the key unavailable."""
        try:
            peek = _PEEKS.decode(raw)
            kind = peek.resourceType
            if isinstance(kind, str) and kind in self.wanted and not self.wanted[kind](peek.code):
                self.kinds.add(kind)
                self.received.unread += 1
                return State.COMPLETE
            if kind == "Bundle":
                return self._entries(_BUNDLES.decode(raw))
            resource = msgspec.json.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._skip("an entry is no readable resource")
            return State.INCOMPLETE
        if not isinstance(kind, str):
            self._skip("an entry has no resourceType")
            return State.INCOMPLETE
        return self._keep(kind, resource)

    def _keep(self, kind: str, resource: dict[str, Any]) -> State:
        """Take a resource of a type that was asked for; another one hides what it was meant to be."""
        self.kinds.add(kind)
        if kind == "OperationOutcome":
            return State.ERROR if _is_error(resource) else State.COMPLETE
        self.received.resources.append(resource)
        if kind in self.known:
            return State.COMPLETE
        self._skip("an entry is of a type that was not asked for")
        return State.INCOMPLETE

    def _read_odd(self, raw: msgspec.Raw) -> State:
        """A value whose shape is not that of a Bundle or resource: take what objects it holds, call it incomplete."""
        try:
            value = msgspec.json.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._skip("the value cannot be read")
            return State.ERROR
        entries = value.get("entry") if isinstance(value, dict) else None
        if not isinstance(entries, list):
            entries = [entries] if isinstance(entries, dict) else []
        self._skip("the value is neither a Bundle nor a resource of R4 shape")
        for entry in entries:
            if isinstance(entry, dict) and isinstance(entry.get("resource"), dict):
                self._resource(msgspec.Raw(msgspec.json.encode(entry["resource"])))
        return State.INCOMPLETE if entries else State.ERROR


def _has_next(link: object) -> bool:
    """Whether the Bundle is a page with more behind it."""
    return isinstance(link, list) and any(isinstance(item, dict) and item.get("relation") == "next" for item in link)


def _is_error(outcome: dict[str, Any]) -> bool:
    """Whether an OperationOutcome reports a failure; one that cannot be read is taken as a failure."""
    issues = outcome.get("issue")
    if not isinstance(issues, list) or not issues:
        return True
    severities = [issue.get("severity") if isinstance(issue, dict) else None for issue in issues]
    return any(severity not in _REMARKS for severity in severities)
