"""What arrived under each prefetch key, and what that means (CH-057).

Absence, an error and a truncated page are never read as "none found". Resources are taken one by one: a damaged entry
is set aside and reported, the others are used. Observations are looked at briefly and decoded in full only when their
code can mean something here, because a chart may hold thousands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any

import msgspec

from cds_service.domain.findings import Skipped
from cds_service.domain.terms import SUBSETTED, Lack
from cds_service.protocol.glance import GlancedBundle, Prefetch
from cds_service.protocol.surrogates import decode
from cds_service.service import Input, Need

_NOTHING = msgspec.Raw(b"")
_NULL = msgspec.Raw(b"null")
_CUT = SUBSETTED.encode()
_NEIGHBOURS = ("next", "previous", "prev")
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
_PASSING = frozenset({"transient", "timeout", "throttled", "lock-error", "incomplete"})
"""Codes of issues that say of themselves that another try may succeed; any other error is not asked again (CH-057)."""
Wanted = Callable[[bytes], int]
"""A :class:`Need`, or whether there is one."""


class State(StrEnum):
    """What a key's value says about the data it stands for."""

    ABSENT = "absent"
    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    ERROR = "error"


class _Entry(msgspec.Struct, gc=False):  # thousands per call, and none in a cycle
    resource: msgspec.Raw = _NOTHING


class _Bundle(msgspec.Struct):
    resourceType: Any = None  # noqa: N815 - spelled as on the wire
    entry: list[_Entry] | None = None
    link: Any = None
    total: Any = None
    meta: msgspec.Raw = _NOTHING


class _Link(msgspec.Struct):
    resourceType: str  # noqa: N815
    link: Any = None


class _Peek(msgspec.Struct, gc=False):
    resourceType: Any = None  # noqa: N815
    code: msgspec.Raw = _NOTHING
    meta: msgspec.Raw = _NOTHING


class _PeekedEntry(msgspec.Struct, gc=False):
    resource: _Peek | None = None


class _PeekedBundle(msgspec.Struct):
    entry: list[_PeekedEntry] | None = None


_BUNDLES = msgspec.json.Decoder(_Bundle)
_PEEKED = msgspec.json.Decoder(_PeekedBundle)
_LINKS = msgspec.json.Decoder(_Link)
_PEEKS = msgspec.json.Decoder(_Peek)


@dataclass(frozen=True, slots=True)
class Page:
    """What one value held: a prefetched one, or a page read from the FHIR server.

    Attributes:
        state: what it says about the data.
        next: address of the next page; empty when there is one without a usable address, None when there is none.
        damaged: entries could not be read.
        lack: why the state is not complete.
        passing: at a second try, all may come: it reports an error that passes, or holds only a summary.
    """

    state: State
    next: str | None = None
    damaged: bool = False
    lack: Lack | None = None
    passing: bool = False


_ALL = Page(State.COMPLETE)


@dataclass(frozen=True, slots=True)
class Gap:
    """Data that may still be had from the FHIR server.

    Attributes:
        next: address of the page to go on with; empty to start from the beginning.
        damaged: entries of the pages at hand could not be read.
    """

    next: str = ""
    damaged: bool = False


@dataclass(slots=True)
class Received:
    """Everything usable that arrived, and the state of every key that was asked for."""

    resources: list[dict[str, Any]] = field(default_factory=list)
    states: dict[str, State] = field(default_factory=dict)
    lacks: dict[str, Lack] = field(default_factory=dict)
    """Why, for every key that is not complete."""
    gaps: dict[str, Gap] = field(default_factory=dict)
    """Keys whose data may still be read from the FHIR server."""
    summaries: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Resources of which something was left out, by key; they stand among the others as well."""
    skipped: list[Skipped] = field(default_factory=list)
    known: frozenset[str] = _COMPANIONS
    """Resource types that may stand in an answer: those asked for, and what servers send along."""
    unread: int = 0
    """Observations that were left in place because their code means nothing here."""
    later: list[Callable[[], None]] = field(default_factory=list)
    """What reads the resources that are needed once there is something to say."""

    @property
    def unavailable(self) -> tuple[str, ...]:
        """Keys whose data could not be had in full."""
        return tuple(key for key, state in self.states.items() if state is not State.COMPLETE)

    def read_later(self) -> bool:
        """Read what was left for later; whether there was anything."""
        waiting, self.later = self.later, []
        for read in waiting:
            read()
        return bool(waiting)

    def replace_summaries(self, key: str) -> None:
        """Forget the summaries that came under a key, because all of it has come since."""
        replaced = {id(resource) for resource in self.summaries.pop(key, ())}
        self.resources = [resource for resource in self.resources if id(resource) not in replaced]


def receive(prefetch: Mapping[str, msgspec.Raw], inputs: Iterable[Input], wanted: Mapping[str, Wanted]) -> Received:
    """Read the values of the keys asked for; keys never asked for are ignored.

    Args:
        prefetch: raw JSON by key.
        inputs: what the service asked for.
        wanted: by resource type, a quick test of ``code`` as sent; types without one are always read.
    """
    inputs = tuple(inputs)
    received = Received(known=_COMPANIONS.union(asked.resource_type for asked in inputs))
    for asked in inputs:
        page = _page(asked, prefetch, wanted, received)
        received.states[asked.key] = page.state
        if page.lack is not None:
            received.lacks[asked.key] = page.lack
        if page.next is not None or page.state is State.ABSENT or page.passing:
            received.gaps[asked.key] = Gap(page.next or "", page.damaged and bool(page.next))
    return received


def _page(asked: Input, prefetch: Mapping[str, msgspec.Raw], wanted: Mapping[str, Wanted], received: Received) -> Page:
    """What was prefetched under a key; a Bundle that was glanced at is not read again unless it has to be."""
    if isinstance(prefetch, Prefetch) and asked.key in prefetch.glances and asked.resource_type in wanted:
        seen = _Value(asked, wanted, received).glanced(prefetch)
        if seen is not None:
            return seen
    raw = prefetch.get(asked.key)
    return Page(State.ABSENT, lack=Lack.NOT_SENT) if raw is None else take(asked, raw, wanted, received)


def take(asked: Input, raw: msgspec.Raw, wanted: Mapping[str, Wanted], received: Received) -> Page:
    """Add the resources of one value to what was received, and say what the value means for its key."""
    return _Value(asked, wanted, received).read(raw)


def opened(raw: bytes) -> tuple[bytes, str | None]:
    """A page in whole characters, and the address of the one after it as in :class:`Page`; entries are not looked at.

    Raises:
        ValueError: this is no FHIR JSON.
    """
    try:
        page, whole = decode(_LINKS.decode, raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError from None
    return whole, _next(page.link)


@dataclass(slots=True)
class _Value:
    """The value of one key while it is read."""

    asked: Input
    wanted: Mapping[str, Wanted]
    received: Received
    kinds: set[str] = field(default_factory=set)
    """Resource types met so far."""
    next: str | None = None
    damaged: bool = False
    cut: bool = False
    """Something was left out on purpose."""
    issues: set[str] = field(default_factory=set)
    """Codes of the errors reported in place of data."""

    def read(self, raw: msgspec.Raw) -> Page:
        return self._page(self._state(raw))

    def glanced(self, prefetch: Prefetch) -> Page | None:
        """The page a Bundle is whose entries were all seen; None if something was left out of one of them."""
        key, kind = self.asked.key, self.asked.resource_type
        bundle, wanted = prefetch.glances[key], self.wanted[kind]
        seen = [entry.resource for entry in bundle.entry or ()]
        tags = {bytes(resource.meta.tag) for resource in seen if resource.meta is not None}
        if any(_CUT in tag for tag in tags):
            return None
        codes = [bytes(resource.code) for resource in seen]
        need = {code: wanted(code) for code in set(codes)}
        needs = [need[code] for code in codes]
        if seen:
            self.kinds.add(kind)
            self.received.unread += needs.count(Need.NO)
        state = self._of_all(bundle, self._read_those(prefetch, needs, Need.YES))
        if Need.LATER in needs and state is State.COMPLETE:
            self.received.later.append(partial(self._read_later, prefetch, needs))
        elif Need.LATER in needs:
            state = self._of_all(bundle, {state} | self._read_those(prefetch, needs, Need.LATER))
        return self._page(state)

    def _read_later(self, prefetch: Prefetch, needs: list[int]) -> None:
        """What was left; the key is not complete if one of them cannot be read."""
        if State.INCOMPLETE in self._read_those(prefetch, needs, Need.LATER):
            self.received.states[self.asked.key] = State.INCOMPLETE
            self.received.lacks[self.asked.key] = Lack.UNREADABLE

    def _read_those(self, prefetch: Prefetch, needs: list[int], wanted: Need) -> set[State]:
        """Read the resources of one need, and say what states they leave."""
        kind, found = self.asked.resource_type, [number for number, need in enumerate(needs) if need == wanted]
        resources = prefetch.resources(self.asked.key) if found else []
        return {self._whole(kind, resources[number]) for number in found}

    def _page(self, state: State) -> Page:
        if state is State.COMPLETE and self._is_about_something_else():
            return Page(State.ERROR, lack=Lack.UNREADABLE, passing=True)
        if state is State.COMPLETE:
            return _ALL
        if state is State.INCOMPLETE and self.cut:
            return Page(state, None, self.damaged, Lack.SUMMARY_ONLY, passing=True)
        if state is State.INCOMPLETE:
            return Page(state, self.next, self.damaged, Lack.UNREADABLE if self.damaged else Lack.MORE_PAGES)
        if "OperationOutcome" not in self.kinds:
            return Page(state, None, self.damaged, Lack.UNREADABLE, passing=True)  # nobody said that it cannot be had
        passing = bool(self.issues) and self.issues <= _PASSING
        return Page(state, None, self.damaged, Lack.SENT_AS_ERROR, passing)

    def _state(self, raw: msgspec.Raw) -> State:
        if raw == _NULL:
            return State.COMPLETE
        try:
            bundle = _BUNDLES.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return self._read_odd(raw)
        if bundle.resourceType == "Bundle":
            return self._entries(raw, bundle)
        if not isinstance(bundle.resourceType, str):
            return self._read_odd(raw)
        state = self._resource(raw)
        return State.ERROR if "OperationOutcome" in self.kinds else state  # instead of data, whatever its severity

    def _entries(self, raw: msgspec.Raw, bundle: _Bundle) -> State:
        """All entries, and the worst of their states."""
        entries = bundle.entry or []
        of_interest = self._of_interest(raw, entries)
        return self._of_all(
            bundle, {self._resource(entry.resource) for entry in of_interest if entry.resource != _NOTHING}
        )

    def _of_all(self, bundle: _Bundle | GlancedBundle, states: set[State]) -> State:
        """The worst of the states of the entries, and of what the Bundle says of itself."""
        if _is_cut(bundle.meta) or _is_count(bundle):
            self.cut = True
            states.add(State.INCOMPLETE)
        self.next = self.next or _next(bundle.link)
        if State.ERROR in states:
            return State.ERROR
        return State.INCOMPLETE if State.INCOMPLETE in states or self.next is not None else State.COMPLETE

    def _of_interest(self, raw: msgspec.Raw, entries: list[_Entry]) -> list[_Entry]:
        """The entries to be taken one by one: a chart may hold thousands whose code means nothing here.

        All are looked at in one go; if that cannot be, because one is damaged, each is looked at by itself.
        """
        kind = self.asked.resource_type
        wanted = self.wanted.get(kind)
        if wanted is None:
            return entries
        try:
            peeked = _PEEKED.decode(raw).entry or ()
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return entries
        found = [
            entry
            for entry, peek in zip(entries, peeked, strict=True)
            if (resource := peek.resource) is None
            or resource.resourceType != kind
            or wanted(bytes(resource.code))
            or _is_cut(resource.meta)
        ]
        if len(found) < len(entries):
            self.kinds.add(kind)
            self.received.unread += len(entries) - len(found)
        return found

    def _is_about_something_else(self) -> bool:
        """Whether resources came, but none of the type asked for: then nothing was said about that type."""
        hits = self.kinds - {"OperationOutcome"}
        if not hits or self.asked.resource_type in hits:
            return False
        self._skip(f"the value holds no {self.asked.resource_type}")
        return True

    def _skip(self, reason: str) -> None:
        self.damaged = True
        self.received.skipped.append(Skipped(self.asked.key, reason))

    def _resource(self, raw: msgspec.Raw) -> State:
        """One resource; an OperationOutcome that reports an error makes the key unavailable."""
        try:
            peek = _PEEKS.decode(raw)
            kind = peek.resourceType
            cut = _is_cut(peek.meta)
            self.cut = self.cut or cut
            if not cut and isinstance(kind, str) and kind in self.wanted and not self.wanted[kind](bytes(peek.code)):
                self.kinds.add(kind)
                self.received.unread += 1
                return State.COMPLETE
            if kind == "Bundle":
                return self._entries(raw, _BUNDLES.decode(raw))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._skip("an entry is no readable resource")
            return State.INCOMPLETE
        return self._whole(kind, raw, cut=cut)

    def _whole(self, kind: object, raw: msgspec.Raw, *, cut: bool = False) -> State:
        """A resource that is read in full."""
        try:
            resource = msgspec.json.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._skip("an entry is no readable resource")
            return State.INCOMPLETE
        if not isinstance(kind, str):
            self._skip("an entry has no resourceType")
            return State.INCOMPLETE
        if cut:
            self.received.summaries.setdefault(self.asked.key, []).append(resource)
        state = self._keep(kind, resource)
        return State.INCOMPLETE if cut and state is State.COMPLETE else state

    def _keep(self, kind: str, resource: dict[str, Any]) -> State:
        """Take a resource of a type that was asked for; another one hides what it was meant to be."""
        self.kinds.add(kind)
        if kind == "OperationOutcome":
            self.issues |= _issue_codes(resource)
            return State.ERROR if _is_error(resource) else State.COMPLETE
        self.received.resources.append(resource)
        if kind in self.received.known:
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


def _is_cut(meta: msgspec.Raw) -> bool:
    """Whether a server says of a resource or Bundle that it left something out; most have no such meta, so bytes do."""
    return _CUT in bytes(meta)


def _is_count(bundle: _Bundle | GlancedBundle) -> bool:
    """Whether matches were counted and none of them sent; an empty page among others names its neighbours."""
    if bundle.entry or not isinstance(bundle.total, int) or bundle.total <= 0:
        return False
    links = bundle.link if isinstance(bundle.link, list) else ()
    return not any(isinstance(link, dict) and link.get("relation") in _NEIGHBOURS for link in links)


def _next(link: object) -> str | None:
    """Address of the next page; empty when it is not a string, None when there is no next page."""
    for item in link if isinstance(link, list) else ():
        if isinstance(item, dict) and item.get("relation") == "next":
            address = item.get("url")
            return address if isinstance(address, str) else ""
    return None


def _issue_codes(outcome: dict[str, Any]) -> set[str]:
    """Codes of the issues that are more than a remark."""
    issues = outcome.get("issue")
    return {
        str(issue.get("code"))
        for issue in (issues if isinstance(issues, list) else ())
        if isinstance(issue, dict) and issue.get("severity") not in _REMARKS
    }


def _is_error(outcome: dict[str, Any]) -> bool:
    """Whether an OperationOutcome reports a failure; one that cannot be read is taken as a failure."""
    issues = outcome.get("issue")
    if not isinstance(issues, list) or not issues:
        return True
    severities = [issue.get("severity") if isinstance(issue, dict) else None for issue in issues]
    return any(severity not in _REMARKS for severity in severities)
