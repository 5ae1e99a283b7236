"""Discovery: the document, its entries, and the prefetch templates they advertise."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any, Final

from cds_service.selftest.check import Check, Level, Look
from cds_service.selftest.empty import empty_members
from cds_service.selftest.findings import Finding, Sights, must
from cds_service.selftest.subject import Subject, answered_with, place_of
from cds_service.selftest.wire import DISCOVERY, JSON, Got

_SEGMENT: Final = re.compile(r"[A-Za-z0-9._~-]+")
_KNOWN_HOOKS: Final = {
    "patient-view": ("userId", "patientId", "encounterId"),
    "order-select": ("userId", "patientId", "encounterId"),
    "order-sign": ("userId", "patientId", "encounterId"),
    "order-dispatch": ("patientId", "dispatchedOrders", "performer"),
    "encounter-start": ("userId", "patientId", "encounterId"),
    "encounter-discharge": ("userId", "patientId", "encounterId"),
    "appointment-book": ("userId", "patientId", "encounterId"),
    "problem-list-item-create": ("userId", "patientId", "encounterId"),
    "medication-refill": ("userId", "patientId", "encounterId"),
    "allergyintolerance-create": ("userId", "patientId", "encounterId"),
    "medication-prescribe": ("userId", "patientId", "encounterId"),
    "order-review": ("userId", "patientId", "encounterId"),
}
"""Published hooks, and the members of their context that may stand in templates (CH-155 to CH-167)."""

_USERS: Final = ("userPractitionerId", "userPractitionerRoleId", "userPatientId", "userRelatedPersonId")
_READ_OR_SEARCH: Final = re.compile(r"[A-Z][A-Za-z]+(/[^/?\s]+|\?\S*)|\{\{[^{}]+\}\}")
_TOKEN: Final = re.compile(r"\{\{(.*?)\}\}")
_PARAMETER: Final = re.compile(r"[A-Za-z_][A-Za-z-]*(:in|:[A-Z][A-Za-z]+)?")
_OUTSIDE: Final = ("_include", "_revinclude", "_has", "_query", "_filter")


def _status(subject: Subject) -> Sights:
    yield answered_with(DISCOVERY, subject.discovery, subject.discovery.status == HTTPStatus.OK, "status 200")


def _type(subject: Subject) -> Sights:
    yield is_json(DISCOVERY, subject.discovery)


def is_json(where: str, got: Got) -> Finding:
    """Whether an answer says that it is JSON, in UTF-8 if it names an encoding."""
    media, _, parameters = got.header("Content-Type").lower().partition(";")
    charset = re.search(r'charset="?([^";\s]+)', parameters)
    right = media.strip() == JSON and (charset is None or charset[1] in ("utf-8", "utf8"))
    return must(where, right, got.header("Content-Type"), f"Content-Type {JSON}, in UTF-8")


def _object(subject: Subject) -> Sights:
    content = subject.discovery.content()
    ok = isinstance(content, dict) and isinstance(content.get("services"), list)
    yield must(DISCOVERY, ok, type(content).__name__, "an object with a list `services`")


def _stable(subject: Subject) -> Sights:
    again = subject.wire.send("GET", DISCOVERY)
    same = isinstance(again, Got) and again.content() == subject.discovery.content()
    yield answered_with(DISCOVERY, again, same, "the same document when asked again")


def _without_token(subject: Subject) -> Sights:
    got = subject.wire.send("GET", DISCOVERY, token=None)
    right = isinstance(got, Got) and got.status in (subject.discovery.status, HTTPStatus.UNAUTHORIZED)
    yield answered_with(DISCOVERY, got, right, "the status it has with a token, or 401 where discovery is protected")


def _unique(subject: Subject) -> Sights:
    pairs = [(e.get("id"), e.get("hook")) for e in subject.entries() if isinstance(e, dict)]
    for number, pair in enumerate(pairs):
        first = pairs.index(pair) == number
        yield must(f"services[{number}]", first, pair, "a pair of id and hook that no earlier entry has")


def _nothing_empty(subject: Subject) -> Sights:
    content = subject.discovery.content()
    document = {"services": subject.entries()} if isinstance(content, list) else content
    found = [place for place in empty_members(document) if place != "services"]
    yield must(DISCOVERY, not found, found, "no member that is null or empty")


def _each(test: Callable[[str, dict[str, Any]], Iterator[Finding]]) -> Look:
    """A look at every entry that is an object."""

    def look(subject: Subject) -> Sights:
        for number, entry in enumerate(subject.entries()):
            if isinstance(entry, dict):
                yield from test(place_of(entry, number), entry)

    return look


def _is_object(subject: Subject) -> Sights:
    for number, entry in enumerate(subject.entries()):
        yield must(f"services[{number}]", isinstance(entry, dict), entry, "an object")


def _text(name: str, *, required: bool) -> Look:
    """A look at a member of each entry that has to be text."""

    def test(place: str, entry: dict[str, Any]) -> Iterator[Finding]:
        if required or name in entry:
            value = entry.get(name)
            yield must(f"{place}.{name}", isinstance(value, str) and bool(value.strip()), value, "text")

    return _each(test)


def _id(place: str, entry: dict[str, Any]) -> Iterator[Finding]:
    value = entry.get("id")
    if isinstance(value, str):
        yield must(f"{place}.id", bool(_SEGMENT.fullmatch(value)), value, "one segment of a path: A-Z a-z 0-9 . _ ~ -")


def _hook(place: str, entry: dict[str, Any]) -> Iterator[Finding]:
    value = entry.get("hook")
    if isinstance(value, str):
        fine = value in _KNOWN_HOOKS or "." in value
        yield must(f"{place}.hook", fine, value, "a published hook, or a name such as org.example.hook")


def _extension(place: str, entry: dict[str, Any]) -> Iterator[Finding]:
    if "extension" in entry:
        value = entry["extension"]
        yield must(f"{place}.extension", isinstance(value, dict), value, "an object")


def _prefetch(place: str, entry: dict[str, Any]) -> Iterator[Finding]:
    if "prefetch" in entry:
        value = entry["prefetch"]
        fine = isinstance(value, dict) and all(isinstance(template, str) for template in value.values())
        yield must(f"{place}.prefetch", fine, value, "an object of query templates")


def _templates(place: str, entry: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The templates of an entry that keeps to version 2 of the specification; later drafts allow much more."""
    version = entry.get("version")
    templates = entry.get("prefetch")
    if isinstance(templates, dict) and not (isinstance(version, str) and version.startswith(("3", "STU3"))):
        for key, template in templates.items():
            if isinstance(template, str):
                yield f"{place}.prefetch.{key}", template


def _relative(place: str, entry: dict[str, Any]) -> Iterator[Finding]:
    for where, template in _templates(place, entry):
        fine = bool(_READ_OR_SEARCH.fullmatch(_TOKEN.sub("{{token}}", template)))
        yield must(where, fine, template, "a relative read (Type/id) or search (Type?...)")


def _tokens(place: str, entry: dict[str, Any]) -> Iterator[Finding]:
    for where, template in _templates(place, entry):
        rest = _TOKEN.sub("", template)
        tokens = _TOKEN.findall(template)
        fine = not set("{}") & set(rest) and all(_is_token(token, entry.get("hook")) for token in tokens)
        yield must(where, fine, template, "only tokens the hook has: {{context.patientId}}, {{userPractitionerId}} …")


def _is_token(token: str, hook: Any) -> bool:
    area, dot, name = token.partition(".")
    if not dot:
        return token in _USERS
    known = _KNOWN_HOOKS.get(hook) if isinstance(hook, str) else None
    return area == "context" and bool(re.fullmatch(r"\w+", name)) and (known is None or name in known)


def _subset(place: str, entry: dict[str, Any]) -> Iterator[Finding]:
    for where, template in _templates(place, entry):
        names = [part.partition("=")[0] for part in template.partition("?")[2].split("&") if part]
        fine = all(_PARAMETER.fullmatch(name) and not name.startswith(_OUTSIDE) for name in names)
        yield must(where, fine, template, "reference, token and date parameters, _count, _sort")


CHECKS: Final = (
    Check("discovery-status", Level.SHALL, ("CH-010", "CH-011"), "Discovery answers 200.", _status),
    Check("discovery-type", Level.SHALL, ("CH-001",), "Discovery is declared as JSON in UTF-8.", _type),
    Check(
        "discovery-object", Level.SHALL, ("CH-011",), "Discovery is an object that holds a list `services`.", _object
    ),
    Check("discovery-stable", Level.SHOULD, ("CH-010", "CH-024"), "Discovery is the same when asked again.", _stable),
    Check(
        "discovery-without-token",
        Level.SHOULD,
        ("CH-023", "CH-131"),
        "Without a token discovery is answered all the same, or with 401 where it is protected.",
        _without_token,
    ),
    Check("discovery-nothing-empty", Level.SHALL, ("CH-005", "CH-006"), "Nothing is null or empty.", _nothing_empty),
    Check("discovery-entries", Level.SHALL, ("CH-011",), "Each entry of `services` is an object.", _is_object),
    Check("discovery-hook", Level.SHALL, ("CH-013",), "A service names its hook.", _text("hook", required=True)),
    Check(
        "discovery-hook-name",
        Level.SHOULD,
        ("CH-013", "CH-150"),
        "A hook is a published one, or named after its owner (org.example.hook).",
        _each(_hook),
    ),
    Check("discovery-id", Level.SHALL, ("CH-014",), "A service has an id.", _text("id", required=True)),
    Check("discovery-id-path", Level.SHOULD, ("CH-014",), "An id can stand in a path as it is.", _each(_id)),
    Check(
        "discovery-description",
        Level.SHALL,
        ("CH-015",),
        "A service has a description.",
        _text("description", required=True),
    ),
    Check("discovery-title", Level.SHOULD, ("CH-016",), "A service has a title.", _text("title", required=True)),
    Check("discovery-unique", Level.SHALL, ("CH-022",), "No two entries have the same id and hook.", _unique),
    Check("discovery-prefetch", Level.SHALL, ("CH-017",), "Prefetch is an object of templates.", _each(_prefetch)),
    Check(
        "discovery-templates", Level.SHALL, ("CH-050",), "A template is a relative read or search.", _each(_relative)
    ),
    Check(
        "discovery-tokens",
        Level.SHALL,
        ("CH-051", "CH-052", "CH-053", "CH-054"),
        "Tokens stand in double braces and name what the hook allows to be named.",
        _each(_tokens),
    ),
    Check(
        "discovery-subset",
        Level.SHOULD,
        ("CH-055",),
        "Templates keep to the queries every client can fill.",
        _each(_subset),
    ),
    Check(
        "discovery-requirements",
        Level.SHALL,
        ("CH-018",),
        "Usage requirements, if given, are text.",
        _text("usageRequirements", required=False),
    ),
    Check("discovery-extension", Level.SHALL, ("CH-021", "CH-110"), "An extension is an object.", _each(_extension)),
)
