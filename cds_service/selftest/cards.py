"""What good calls are answered with: cards, suggestions, actions, links, reasons and system actions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final
from urllib.parse import urlsplit

from cds_service.selftest.check import Check, Level, Look
from cds_service.selftest.empty import empty_members
from cds_service.selftest.findings import Finding, Sights, Skipped, must
from cds_service.selftest.subject import Request, Subject

_SUMMARY_BELOW: Final = 140
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_REFERENCE: Final = re.compile(r"[A-Z][A-Za-z]+/[A-Za-z0-9.-]+")
_TAG: Final = re.compile(r"</?[A-Za-z][^<>]*>")
_CODE: Final = re.compile(r"```.*?```|`[^`]*`|<https?://[^<>\s]*>", re.DOTALL)
_INDICATORS: Final = ("info", "warning", "critical")
_BEHAVIOURS: Final = ("at-most-one", "any")
_MEMBERS: Final = {
    "answer": {"cards", "systemActions", "extension"},
    "card": {
        *("uuid", "summary", "detail", "indicator", "source", "suggestions", "selectionBehavior"),
        *("overrideReasons", "links", "extension"),
    },
    "source": {"label", "url", "icon", "topic", "extension"},
    "suggestion": {"label", "uuid", "isRecommended", "actions", "actionSelectionBehavior", "extension"},
    "action": {"type", "description", "resource", "resourceId", "extension"},
    "link": {"label", "url", "type", "appContext", "autolaunchable", "extension"},
}
"""What the objects of an answer may hold."""

Object = dict[str, Any]
Placed = Iterator[tuple[str, Object]]


# --- from answers to the objects in them ------------------------------------------------------------------------------


def listed(place: str, holder: Object, name: str) -> Placed:
    """The objects in a list of an object, if it is one."""
    value = holder.get(name)
    for number, item in enumerate(value if isinstance(value, list) else []):
        if isinstance(item, dict):
            yield f"{place}.{name}[{number}]", item


def _answers(place: str, body: Object) -> Placed:
    yield place, body


def cards(place: str, body: Object) -> Placed:
    """The cards of an answer."""
    for where, card in listed(place, body, "cards"):
        yield where.replace(f"{place}.", f"{place} ", 1), card


def _sources(place: str, body: Object) -> Placed:
    for where, card in cards(place, body):
        if isinstance(card.get("source"), dict):
            yield f"{where}.source", card["source"]


def _in_cards(name: str) -> Callable[[str, Object], Placed]:
    def found(place: str, body: Object) -> Placed:
        for where, card in cards(place, body):
            yield from listed(where, card, name)

    return found


_suggestions = _in_cards("suggestions")
_links = _in_cards("links")


def _suggested(place: str, body: Object) -> Placed:
    for where, suggestion in _suggestions(place, body):
        yield from listed(where, suggestion, "actions")


def _system(place: str, body: Object) -> Placed:
    yield from listed(place, body, "systemActions")


def _actions(place: str, body: Object) -> Placed:
    yield from _suggested(place, body)
    yield from _system(place, body)


def _codings(place: str, body: Object) -> Placed:
    for where, source in _sources(place, body):
        if isinstance(source.get("topic"), dict):
            yield f"{where}.topic", source["topic"]


def _any_object(place: str, body: Object) -> Placed:
    for part in (_answers, cards, _sources, _suggestions, _actions, _links):
        yield from part(place, body)


def _each(part: Callable[[str, Object], Placed], test: Callable[[str, Object], Iterator[Finding]]) -> Look:
    """A look at every object of a kind in every answer."""

    def look(subject: Subject) -> Sights:
        for item in subject.bodies():
            if isinstance(item, Skipped):
                yield item
            else:
                for where, found in part(item[0].id, item[1]):
                    yield from test(where, found)

    return look


# --- tests of one object ----------------------------------------------------------------------------------------------


def is_text(value: Any) -> bool:
    """Whether a value is text with something in it."""
    return isinstance(value, str) and bool(value.strip())


def _absolute(value: Any) -> bool:
    try:
        parts = urlsplit(value) if isinstance(value, str) else None
    except ValueError:
        return False
    return parts is not None and bool(parts.scheme) and bool(parts.netloc)


def _text(name: str, *, required: bool = True) -> Callable[[str, Object], Iterator[Finding]]:
    def test(place: str, found: Object) -> Iterator[Finding]:
        if required or name in found:
            yield must(f"{place}.{name}", is_text(found.get(name)), found.get(name), "text")

    return test


def _one_of(name: str, words: tuple[str, ...]) -> Callable[[str, Object], Iterator[Finding]]:
    def test(place: str, found: Object) -> Iterator[Finding]:
        yield must(f"{place}.{name}", found.get(name) in words, found.get(name), " or ".join(words))

    return test


def _optional(name: str, kind: type, said: str) -> Callable[[str, Object], Iterator[Finding]]:
    def test(place: str, found: Object) -> Iterator[Finding]:
        if name in found:
            yield must(f"{place}.{name}", isinstance(found[name], kind), found[name], said)

    return test


def _url(name: str, *, required: bool = False) -> Callable[[str, Object], Iterator[Finding]]:
    def test(place: str, found: Object) -> Iterator[Finding]:
        if required or name in found:
            yield must(f"{place}.{name}", _absolute(found.get(name)), found.get(name), "an absolute address")

    return test


def _list_of_objects(*names: str) -> Callable[[str, Object], Iterator[Finding]]:
    """What is there has to be a list of objects; that it is not empty is looked at elsewhere."""

    def test(place: str, found: Object) -> Iterator[Finding]:
        for name in (name for name in names if name in found):
            value = found[name]
            fine = isinstance(value, list) and all(isinstance(item, dict) for item in value)
            yield must(f"{place}.{name}", fine, value, "a list of objects")

    return test


def _cards_there(place: str, body: Object) -> Iterator[Finding]:
    value = body.get("cards")
    fine = isinstance(value, list) and all(isinstance(item, dict) for item in value)
    yield must(f"{place}.cards", fine, value, "a list of cards, empty when there is nothing to say")


def _nothing_empty(place: str, body: Object) -> Iterator[Finding]:
    found = [where for where in empty_members(body) if where != "cards"]
    yield must(place, not found, found, "no member that is null or empty")


def _known_members(place: str, body: Object) -> Iterator[Finding]:
    kinds = {"answer": _answers, "card": cards, "source": _sources, "suggestion": _suggestions}
    for kind, part in {**kinds, "action": _actions, "link": _links}.items():
        for where, found in part(place, body):
            strange = sorted(found.keys() - _MEMBERS[kind])
            yield must(where, not strange, strange, "only members of the specification; others in `extension`")


def _summary(place: str, card: Object) -> Iterator[Finding]:
    value = card.get("summary")
    fine = isinstance(value, str) and bool(value.strip()) and len(value) < _SUMMARY_BELOW
    seen = f"{len(value)} characters" if isinstance(value, str) and value.strip() else value
    yield must(f"{place}.summary", fine, seen, f"text of fewer than {_SUMMARY_BELOW} characters")


def _markdown(place: str, card: Object) -> Iterator[Finding]:
    value = card.get("detail")
    if isinstance(value, str):
        tags = _TAG.findall(_CODE.sub("", value))
        yield must(f"{place}.detail", not tags, tags, "markdown that does without HTML")


def _source(place: str, card: Object) -> Iterator[Finding]:
    source = card.get("source")
    label = source.get("label") if isinstance(source, dict) else None
    yield must(f"{place}.source", is_text(label), source, "an object with a label")


def _uuid_there(place: str, card: Object) -> Iterator[Finding]:
    value = card.get("uuid")
    yield must(f"{place}.uuid", isinstance(value, str) and bool(_UUID.fullmatch(value)), value, "a UUID")


def _uuids_unique(place: str, body: Object) -> Iterator[Finding]:
    used = [str(found["uuid"]) for _, found in (*cards(place, body), *_suggestions(place, body)) if "uuid" in found]
    twice = sorted({uuid for uuid in used if used.count(uuid) > 1})
    yield must(place, not twice, twice, "no uuid twice in an answer")


def _selection(place: str, card: Object) -> Iterator[Finding]:
    if card.get("suggestions"):
        value = card.get("selectionBehavior")
        yield must(f"{place}.selectionBehavior", value in _BEHAVIOURS, value, "at-most-one or any, with suggestions")


def _recommended(place: str, card: Object) -> Iterator[Finding]:
    several = [found for _, found in listed(place, card, "suggestions") if found.get("isRecommended") is True]
    if several:
        fine = len(several) == 1 or card.get("selectionBehavior") == "any"
        yield must(place, fine, f"{len(several)} recommended", "one recommended suggestion, or selectionBehavior any")


def _created_or_updated(place: str, action: Object) -> Iterator[Finding]:
    if action.get("type") in ("create", "update"):
        resource = action.get("resource")
        kind = resource.get("resourceType") if isinstance(resource, dict) else None
        yield must(f"{place}.resource", is_text(kind), resource, "a whole FHIR resource as JSON")


def _updated(place: str, action: Object) -> Iterator[Finding]:
    resource = action.get("resource")
    if action.get("type") == "update" and isinstance(resource, dict):
        yield must(f"{place}.resource.id", is_text(resource.get("id")), resource.get("id"), "the id of what is updated")


def _deleted(place: str, action: Object) -> Iterator[Finding]:
    if action.get("type") == "delete":
        value = action.get("resourceId")
        fine = isinstance(value, str) and bool(_REFERENCE.fullmatch(value)) and "resource" not in action
        yield must(f"{place}.resourceId", fine, value, "one relative reference (Type/id), and no `resource`")


def _reason(place: str, reason: Object) -> Iterator[Finding]:
    fine = all(is_text(reason.get(name)) for name in ("code", "system", "display"))
    yield must(place, fine, reason, "code, system and display")


def _coding(place: str, coding: Object) -> Iterator[Finding]:
    fine = is_text(coding.get("code")) and is_text(coding.get("system"))
    yield must(place, fine, coding, "code and system")


def _app_context(place: str, link: Object) -> Iterator[Finding]:
    if "appContext" in link:
        fine = is_text(link["appContext"]) and link.get("type") == "smart"
        yield must(f"{place}.appContext", fine, link.get("type"), "text, on links of type smart only")


def _of_the_call(subject: Subject) -> Sights:
    """Whether what is updated or deleted is something the client sent."""
    for item in subject.bodies():
        if isinstance(item, Skipped):
            yield item
            continue
        service, body = item
        sent = _references(subject.request(service) or {})
        for where, action in _actions(service.id, body):
            touched = _touched(action)
            if touched:
                yield must(where, touched in sent, touched, "a resource of the call")


def _touched(action: Object) -> str:
    """The reference of what an action changes or removes; empty where it makes something new or says nothing."""
    resource = action.get("resource")
    if action.get("type") == "update" and isinstance(resource, dict) and is_text(resource.get("id")):
        return f"{resource.get('resourceType')}/{resource['id']}"
    value = action.get("resourceId")
    return value if action.get("type") == "delete" and isinstance(value, str) else ""


def _references(request: Request) -> set[str]:
    """The resources in a call, by reference."""
    found: set[str] = set()
    waiting: list[Any] = [request]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            found.add(f"{value.get('resourceType')}/{value.get('id')}")
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
    return found


_S, _R = Level.SHALL, Level.SHOULD

CHECKS: Final = (
    Check("card-list", _S, ("CH-081", "CH-006"), "An answer holds a list of cards.", _each(_answers, _cards_there)),
    Check("card-nothing-empty", _S, ("CH-005", "CH-118"), "Nothing is null or empty.", _each(_answers, _nothing_empty)),
    Check(
        "card-members",
        _R,
        ("CH-082", "CH-108"),
        "Objects hold members of the specification only.",
        _each(_answers, _known_members),
    ),
    Check("card-summary", _S, ("CH-084",), "The summary has fewer than 140 characters.", _each(cards, _summary)),
    Check("card-detail", _S, ("CH-085",), "The detail is text.", _each(cards, _optional("detail", str, "text"))),
    Check("card-markdown", _R, ("CH-085",), "The detail does without HTML.", _each(cards, _markdown)),
    Check(
        "card-indicator",
        _S,
        ("CH-086",),
        "The indicator is info, warning or critical.",
        _each(cards, _one_of("indicator", _INDICATORS)),
    ),
    Check("card-source", _S, ("CH-087", "CH-088"), "A card names its source.", _each(cards, _source)),
    Check("card-source-url", _S, ("CH-088",), "The address of a source is absolute.", _each(_sources, _url("url"))),
    Check("card-source-icon", _S, ("CH-088",), "The address of an icon is absolute.", _each(_sources, _url("icon"))),
    Check("card-topic", _S, ("CH-089", "CH-106"), "A topic has code and system.", _each(_codings, _coding)),
    Check("card-uuid", _R, ("CH-083",), "A card has a UUID, so that feedback can name it.", _each(cards, _uuid_there)),
    Check("card-uuids-unique", _S, ("CH-083", "CH-092"), "No uuid is used twice.", _each(_answers, _uuids_unique)),
    Check(
        "card-lists",
        _S,
        ("CH-090", "CH-101", "CH-107"),
        "Suggestions, override reasons and links are lists of objects.",
        _each(cards, _list_of_objects("suggestions", "overrideReasons", "links")),
    ),
    Check(
        "card-selection",
        _S,
        ("CH-091",),
        "With suggestions a card says how many may be taken.",
        _each(cards, _selection),
    ),
    Check(
        "card-recommended",
        _S,
        ("CH-094",),
        "Several suggestions are recommended only where any may be taken.",
        _each(cards, _recommended),
    ),
    Check("card-suggestion", _S, ("CH-092",), "A suggestion has a label.", _each(_suggestions, _text("label"))),
    Check(
        "card-suggestion-uuid",
        _R,
        ("CH-092",),
        "A suggestion has a uuid, so that feedback can name it.",
        _each(_suggestions, _text("uuid")),
    ),
    Check(
        "card-is-recommended",
        _S,
        ("CH-093",),
        "isRecommended is true or false.",
        _each(_suggestions, _optional("isRecommended", bool, "true or false")),
    ),
    Check(
        "card-actions",
        _S,
        ("CH-095",),
        "Actions are a list of objects.",
        _each(_suggestions, _list_of_objects("actions")),
    ),
    Check(
        "card-action-type",
        _S,
        ("CH-096",),
        "An action creates, updates or deletes.",
        _each(_actions, _one_of("type", ("create", "update", "delete"))),
    ),
    Check(
        "card-action-description",
        _S,
        ("CH-097",),
        "An action of a suggestion has a description.",
        _each(_suggested, _text("description")),
    ),
    Check(
        "card-action-resource",
        _S,
        ("CH-003", "CH-098", "CH-099"),
        "What is created or updated is there as a whole FHIR resource.",
        _each(_actions, _created_or_updated),
    ),
    Check("card-update-id", _S, ("CH-099",), "What is updated is named by its id.", _each(_actions, _updated)),
    Check(
        "card-delete",
        _R,
        ("CH-100",),
        "What is deleted is named by one relative reference.",
        _each(_actions, _deleted),
    ),
    Check(
        "card-action-target",
        _R,
        ("CH-099", "CH-100"),
        "What is updated or deleted came with the call.",
        _of_the_call,
    ),
    Check(
        "card-override-reason",
        _S,
        ("CH-102",),
        "A reason for not following has code, system and display.",
        _each(_in_cards("overrideReasons"), _reason),
    ),
    Check("card-link-label", _S, ("CH-103",), "A link has a label.", _each(_links, _text("label"))),
    Check("card-link-url", _S, ("CH-103",), "A link is absolute.", _each(_links, _url("url", required=True))),
    Check(
        "card-link-type",
        _S,
        ("CH-103",),
        "A link is of type absolute or smart.",
        _each(_links, _one_of("type", ("absolute", "smart"))),
    ),
    Check("card-app-context", _S, ("CH-104",), "appContext is for links of type smart.", _each(_links, _app_context)),
    Check(
        "card-autolaunchable",
        _S,
        ("CH-105",),
        "autolaunchable is true or false.",
        _each(_links, _optional("autolaunchable", bool, "true or false")),
    ),
    Check(
        "card-extension",
        _S,
        ("CH-110",),
        "An extension is an object, not the list that FHIR has.",
        _each(_any_object, _optional("extension", dict, "an object")),
    ),
    Check(
        "card-system-actions",
        _S,
        ("CH-115", "CH-082"),
        "System actions are a list of objects beside the cards.",
        _each(_answers, _list_of_objects("systemActions")),
    ),
    Check(
        "card-system-description",
        _R,
        ("CH-097", "CH-187"),
        "A system action has a description.",
        _each(_system, _text("description")),
    ),
)
