"""What every answer of the service must satisfy, whatever was asked."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

from fhir.resources.R4B import get_fhir_model_class
from jsonschema import Draft202012Validator, FormatChecker
from pydantic import ValidationError
from referencing import Registry, Resource

from fhir_profiles.pama import OURS
from fhir_profiles.terminology import LOCAL_SYSTEM, load_terminology
from tests.calling import ASSESSMENT, Answer, drafts, proposed

SCHEMAS: Final = ("request", "response", "discovery", "assessment", "feedback", "rated-order", "outcome")
FORMATS: Final = FormatChecker(("uuid",))
"""Formats that are checked; patterns say the rest, and which others could be depends on what else is installed."""
_ERRORS: Final = "https://pnet-cds.example.org/fhir/CodeSystem/errors"
_LABELS: Final = ("loinc", "sct", "cpt", "local")
_EMPTY: Final[tuple[Any, ...]] = (None, "", [], {})
_UNSEEN: Final = ("Cc", "Cf", "Zl", "Zp")
"""Unicode categories of characters that change how text looks without being seen."""
_CLIENTS_OWN: Final = re.compile(r"(/extension)?/systemActions/\d+/resource/")
"""What an update gives back of an order is the client's, empty members included."""
_LINK: Final = re.compile(r"<(https?://[^<>\s]+)>")


@cache
def schema(name: str) -> dict[str, Any]:
    """One of the packaged JSON schemas."""
    text = (files("cds_service.protocol") / "schemas" / f"{name}.schema.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


@cache
def validator(name: str) -> Draft202012Validator:
    """A validator for one of the packaged schemas, which may refer to each other."""
    registry: Registry[Any] = Registry().with_resources(
        (schema(each)["$id"], Resource.from_contents(schema(each))) for each in SCHEMAS
    )
    return Draft202012Validator(schema(name), registry=registry, format_checker=FORMATS)


def schema_errors(name: str, value: object) -> list[str]:
    """Where and how a value breaks a schema."""
    found = validator(name).iter_errors(value)
    return [f"{'/'.join(map(str, error.absolute_path))}: {error.message}" for error in found]


def empty_members(value: object, path: str = "") -> Iterator[str]:
    """Places of null, empty strings, lists and objects, at any level (CH-005)."""
    if isinstance(value, dict):
        members: list[tuple[str, Any]] = list(value.items())
    elif isinstance(value, list):
        members = [(str(number), item) for number, item in enumerate(value)]
    else:
        return
    for name, item in members:
        here = f"{path}/{name}"
        if item in _EMPTY and item is not False and item != 0:
            yield here
        yield from empty_members(item, here)


def read_json(body: bytes) -> Any:
    """The body as JSON, refusing what RFC 8259 leaves open: repeated names, NaN and infinite numbers."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        assert len(names) == len(set(names)), f"repeated member among {names}"
        return dict(pairs)

    def no_constant(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    return json.loads(body.decode("utf-8"), object_pairs_hook=unique, parse_constant=no_constant)


def assert_valid_response(answer: Answer, request: Mapping[str, Any]) -> dict[str, Any]:
    """The answer is a correct CDS Hooks response to the request; returns its body."""
    assert answer.status == 200, (answer.status, answer.body)
    assert answer.headers["Content-Type"] == "application/json", answer.headers
    body: dict[str, Any] = read_json(answer.body)
    broken = schema_errors("response", body)
    assert not broken, broken
    empty = [path for path in empty_members(body) if path != "/cards" and not _CLIENTS_OWN.match(path)]
    assert not empty, empty
    identifiers = [card["uuid"] for card in body["cards"]]
    identifiers += [suggestion["uuid"] for card in body["cards"] for suggestion in card.get("suggestions", [])]
    assert len(identifiers) == len(set(identifiers)), "an identifier is used twice"
    if body["cards"]:
        assert ASSESSMENT in body["extension"], "a card comes with what it rests on"
    for card in body["cards"]:
        _check_card(card, request)
    for place in (body, body.get("extension", {})):
        _check_ratings(place.get("systemActions", []), request)
    return body


def assert_error(answer: Answer, status: int, slug: str) -> str:
    """The answer is an error of this status and slug, told in an OperationOutcome; returns its message."""
    assert (answer.status, answer.slug()) == (status, slug), answer.body
    assert answer.headers["Content-Type"] == "application/json", answer.headers
    outcome = read_json(answer.body)
    assert not schema_errors("outcome", outcome)
    get_fhir_model_class("OperationOutcome").model_validate(outcome)
    issue = outcome["issue"][0]
    assert (issue["severity"], issue["details"]["coding"][0]["system"]) == ("error", _ERRORS), issue
    message = str(issue["details"]["text"])
    assert re.fullmatch(r"\S+ .*\.", message), f"no sentence: {message}"
    return message


def assert_answered_or_refused(answer: Answer, request: Mapping[str, Any]) -> None:
    """Whatever was sent, the answer is a valid response or an OperationOutcome, and never a failure of ours."""
    if answer.status == 200:
        assert_valid_response(answer, request)
        return
    assert answer.status in (400, 412), (answer.status, answer.body)
    assert_error(answer, answer.status, answer.slug())


def _check_card(card: Mapping[str, Any], request: Mapping[str, Any]) -> None:
    assert len(card["summary"]) < 140, card["summary"]
    for line in (card["summary"], *card.get("detail", "").split("\n")):
        assert line.isprintable() or not _unseen(line), f"control and format characters: {_unseen(line)}"
    assert "topic" in card["source"], "a card can be filtered by topic (CH-089)"
    drafted = {_reference(draft) for draft in drafts(request)}
    about = drafted | _references(request["context"].get("dispatchedOrders"))
    about |= {_reference(appointment) for appointment in proposed(request, "appointments")}
    for reference in card.get("extension", {}).get("davinci-crd.associated-resource", []):
        assert reference["reference"] in about, f"{reference} is not what the call is about"
    suggestions = card.get("suggestions", [])
    if len(suggestions) > 1:
        assert card["selectionBehavior"] == "any", "suggestions of one card can all be taken"
    for suggestion in suggestions:
        if suggestion.get("isRecommended"):
            _check_actions(suggestion["actions"], drafted, request)
        else:
            _check_question(suggestion["actions"], request)


def _unseen(line: str) -> list[str]:
    return [ascii(sign) for sign in line if unicodedata.category(sign) in _UNSEEN]


def _check_ratings(actions: list[dict[str, Any]], request: Mapping[str, Any]) -> None:
    """Each draft at most once, as it came in but for the rating, and a valid resource where the draft is one."""
    rated = [action["resource"] for action in actions]
    sent = {str(draft.get("id")): draft for draft in drafts(request)}
    assert len({resource["id"] for resource in rated}) == len(rated), "two updates of one order"
    for resource in rated:
        draft = sent[resource["id"]]
        assert without_rating(resource) == without_rating(draft), "only the rating is added"
        if _is_r4(draft):
            get_fhir_model_class("ServiceRequest").model_validate(resource)


def without_rating(order: Mapping[str, Any]) -> dict[str, Any]:
    """An order without the extensions of a rating."""
    bare = {name: value for name, value in order.items() if name != "extension"}
    others = [item for item in order.get("extension") or [] if not (isinstance(item, dict) and item.get("url") in OURS)]
    return bare | ({"extension": others} if others else {})


def _reference(resource: Mapping[str, Any]) -> str:
    return f"{resource.get('resourceType')}/{str(resource.get('id')).strip()}"


def _references(given: object) -> set[str]:
    """References in a list, absolute ones as relative ones."""
    listed = given if isinstance(given, list) else []
    return {"/".join(item.strip().split("/")[-2:]) for item in listed if isinstance(item, str)}


def _check_actions(actions: list[dict[str, Any]], drafted: set[str], request: Mapping[str, Any]) -> None:
    """Deletes name drafts of the call; what is created is a valid order that says what the replaced one said."""
    deleted = [action["resourceId"] for action in actions if action["type"] == "delete"]
    if request["hook"] in ("order-select", "order-sign"):
        assert deleted, "the replaced draft is removed in the same suggestion"
    assert set(deleted) <= drafted, f"{deleted} are not all drafts of the call"
    replaced = [draft for draft in drafts(request) if _reference(draft) in deleted]
    for action in actions:
        if action["type"] == "create":
            _check_order(action["resource"], replaced, request)


def _check_question(actions: list[dict[str, Any]], request: Mapping[str, Any]) -> None:
    """One order more, which replaces nothing: a test that would tell a missing fact, or a study beside another one."""
    assert {action["type"] for action in actions} == {"create"}
    kinds = set()
    for action in actions:
        order = action["resource"]
        _check_order(order, [], request)
        codes = [(coding["system"], coding["code"]) for coding in order["code"]["coding"]]
        assert codes, "what is offered is ordered by a code"
        kinds |= {match.kind for code in codes if (match := load_terminology().match(*code))}
    assert kinds in ({"observation"}, {"procedure-imaging"})
    assert len(actions) == 1 or kinds == {"procedure-imaging"}


def _check_order(order: Mapping[str, Any], replaced: list[dict[str, Any]], request: Mapping[str, Any]) -> None:
    get_fhir_model_class("ServiceRequest").model_validate(order)
    if "extension" in order:
        broken = schema_errors("rated-order", {**order, "id": "placeholder"})
        assert not broken, broken
    assert order["status"] == "draft", order["status"]
    assert "id" not in order, "the client gives a created resource its id"
    patient = str(request["context"]["patientId"]).rpartition("/")[2]
    assert order["subject"] == {"reference": f"Patient/{patient}"}, order["subject"]
    for concept in (order["code"], *order.get("orderDetail", [])):
        _check_written_codes(concept)
    for original in filter(_is_r4, replaced[:1]):
        _check_carried_over(order, original)


def _check_carried_over(order: Mapping[str, Any], original: Mapping[str, Any]) -> None:
    for name in ("reasonCode", "reasonReference", "encounter", "requester", "priority"):
        assert order.get(name) == original.get(name), f"{name} of the replaced order is carried over"


def _check_written_codes(concept: Mapping[str, Any]) -> None:
    """Only codes the tables mark as fit to be written; a project-local one never without text."""
    for coding in concept.get("coding", []):
        key = (coding["system"], coding["code"])
        assert key in _written_codes(), f"{key} is not marked as fit to be written"
    if any(coding["system"] == LOCAL_SYSTEM for coding in concept.get("coding", [])):
        assert concept.get("text"), "a project-local code comes with text"


@cache
def _written_codes() -> frozenset[tuple[str, str]]:
    """System and code of every row marked for emission, and of every preferred or project-local code."""
    terminology = load_terminology()
    found: set[tuple[str, str]] = set()
    for concept in terminology.concepts.values():
        rows = [row for row in concept.codes if row.emit or row.status == "project-local"]
        found.update((terminology.uris[row.system], row.code) for row in rows)
        for label in _LABELS:
            codes: list[str] = getattr(concept.preferred, label) if concept.preferred else []
            found.update((terminology.uris[label], code) for code in codes)
    return frozenset(found)


def _is_r4(resource: Mapping[str, Any]) -> bool:
    try:
        get_fhir_model_class("ServiceRequest").model_validate(resource)
    except ValidationError:
        return False
    return not list(empty_members(resource))


def links_in(markdown: str) -> set[str]:
    """Addresses a detail offers to open."""
    return set(_LINK.findall(markdown))
