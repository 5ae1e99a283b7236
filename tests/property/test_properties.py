"""What holds for any call: no failure of ours, one answer to one question, and no markup out of the record."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from cds_service.web.openapi_examples import feedback
from fhir_profiles.reading import normal_text
from tests.builders import CPT, LOCAL, LOINC, SNOMED
from tests.calling import InProcess, drafts, entries, post, synthetic_request, without_ids
from tests.property.strategies import (
    TEMPLATES,
    Path,
    authorizations,
    bundle_entries,
    calls,
    configurations,
    hostile_texts,
    json_values,
    places,
    prefetched,
    replaced,
    spoilt_calls,
    steady,
    whole_values,
)
from tests.validity import assert_answered_or_refused, assert_error, assert_valid_response, links_in

pytestmark = pytest.mark.property

Json = Any
ENVELOPE = ("hook", "hookInstance", "fhirServer", "fhirAuthorization", "extension", "prefetch", "context")
FEEDBACK = {"feedback": [*feedback()["feedback"], feedback()["feedback"][1] | {"extension": {"a": [1]}}]}
KEYS = sorted({key for templates in TEMPLATES.values() for key in templates})
MEMBERS = (
    "userId",
    "patientId",
    "encounterId",
    "draftOrders",
    "selections",
    "dispatchedOrders",
    "performer",
    "appointments",
)
MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])
WORDS = ("text", "text_special", "softbreak")
OWN_LINKS = re.compile(r"<https?://[^<>\s]+>|\[Why\? The rules behind this card\]\(https?://[^()\s]+\)")


# --- any input --------------------------------------------------------------------------------------------------------


@steady(120)
@given(
    call=calls,
    keys=st.lists(st.sampled_from(KEYS), min_size=1, max_size=3),
    values=st.lists(prefetched, min_size=3, max_size=3),
)
def test_any_json_may_stand_under_any_key(local: InProcess, call: Json, keys: list[str], values: list[Json]) -> None:
    """Whatever a client prefetches, it gets a valid response or is told what to send."""
    call["prefetch"] |= dict(zip(keys, values, strict=False))
    assert_answered_or_refused(post(local, call["hook"], call), call)


@steady(200)
@given(call=spoilt_calls())
def test_any_member_of_any_resource_may_be_wrong(local: InProcess, call: Json) -> None:
    """CH-048.500: a member that is missing or of another type is never a failure of ours, in the chart as in the
    drafts.
    """
    assert_answered_or_refused(post(local, call["hook"], call), call)


@steady(80)
@given(
    call=calls,
    name=st.sampled_from(MEMBERS),
    value=json_values,
)
def test_any_json_may_stand_in_the_context(local: InProcess, call: Json, name: str, value: Json) -> None:
    """A context of another shape is answered or refused."""
    call["context"][name] = value
    assert_answered_or_refused(post(local, call["hook"], call), call)


@steady(120)
@given(call=calls, name=st.sampled_from(ENVELOPE), value=json_values | authorizations | configurations)
def test_any_json_may_stand_around_it(local: InProcess, call: Json, name: str, value: Json) -> None:
    """Whatever the call says about itself, its FHIR server and its options, it is answered or refused."""
    spoilt = {"fhirServer": "http://127.0.0.1:9/fhir"} | call | {name: value}
    assert_answered_or_refused(post(local, call["hook"], spoilt), spoilt)


@steady(120)
@given(place=st.sampled_from(list(places(FEEDBACK))), value=st.just(...) | json_values)
def test_any_json_may_stand_in_feedback(local: InProcess, place: Path, value: Json) -> None:
    """Feedback with anything in any place is kept or refused, down to the store."""
    body = json.dumps(replaced(FEEDBACK, place, value)).encode()
    answer = local.request("POST", "/cds-services/pnet-order-sign/feedback", body)
    if answer.status == 200:
        assert answer.body == b"{}"
    else:
        assert_error(answer, 400, "request-invalid")


@steady(100)
@given(body=st.binary(max_size=60) | json_values.map(lambda value: str(value).encode(errors="replace")))
def test_any_bytes_are_refused(local: InProcess, body: bytes) -> None:
    """What is no call at all is told so."""
    assert_answered_or_refused(post(local, "order-sign", body), {})


# --- one question, one answer -----------------------------------------------------------------------------------------


@steady(60)
@given(call=spoilt_calls())
def test_the_same_call_gets_the_same_answer(local: InProcess, call: Json) -> None:
    """But for the identifiers of cards and suggestions, also when the chart is damaged."""
    first, second = (post(local, call["hook"], call) for _ in range(2))
    assert (first.status, without_ids(first.json())) == (second.status, without_ids(second.json()))


@steady(80)
@given(call=calls, seed=st.integers(0, 2**32))
def test_order_and_repetition_of_resources_change_nothing(local: InProcess, call: Json, seed: int) -> None:
    """The same chart in another order, with some resources twice, under one key or several, gives the same answer."""
    plain = assert_valid_response(post(local, call["hook"], call), call)
    random = Random(seed)  # noqa: S311 - not for secrets
    listed = list(bundle_entries(call))
    for found in listed:
        found.extend(copy.deepcopy(random.choices(found, k=random.randint(0, 3))))
    for found in listed:
        found.append(copy.deepcopy(random.choice(random.choice(listed))))
        random.shuffle(found)
    shuffled = assert_valid_response(post(local, call["hook"], call), call)
    assert without_ids(shuffled) == without_ids(plain)


@steady(40)
@given(call=calls, extra=whole_values)
def test_what_is_not_understood_changes_nothing(local: InProcess, call: Json, extra: Json) -> None:
    """CH-007, CH-099: members nobody has heard of are as good as absent, and stay on the orders given back."""
    plain = post(local, call["hook"], call)
    everywhere(call, "org.example.unheardOf", extra)
    found = without_ids(post(local, call["hook"], call).json())
    given_back = [action["resource"] for action in found.get("systemActions", ())]
    assert all(order["org.example.unheardOf"] == extra for order in given_back)
    assert nowhere(found, "org.example.unheardOf") == without_ids(plain.json())


def nowhere(value: Json, name: str) -> Json:
    """The value without a member in any object."""
    if isinstance(value, dict):
        return {key: nowhere(item, name) for key, item in value.items() if key != name}
    return [nowhere(item, name) for item in value] if isinstance(value, list) else value


def everywhere(value: Json, name: str, extra: Json) -> None:
    """Put a member into every object."""
    if isinstance(value, dict):
        for item in value.values():
            everywhere(item, name, extra)
        value[name] = extra
    elif isinstance(value, list):
        for item in value:
            everywhere(item, name, extra)


# --- text of the record -----------------------------------------------------------------------------------------------


def structure(markdown: str) -> list[tuple[str, str]]:
    """What a reader's program makes of Markdown apart from plain words: elements, and where they link to."""

    def flat(tokens: list[Token]) -> list[tuple[str, str]]:
        found = []
        for token in tokens:
            if token.children:
                found += flat(token.children)
            elif token.type not in (*WORDS, "inline"):
                found.append((token.type, str(token.attrs.get("href", ""))))
        return found

    return flat(MARKDOWN.parse(markdown))


def say_in_order(call: Json, text: str) -> None:
    drafts(call)[0]["code"] = {
        "coding": [{"system": LOINC, "code": "36952-0", "display": "CT"}, {"system": CPT, "code": "74176"}],
        "text": text,
    }


def say_in_display_of_order(call: Json, text: str) -> None:
    drafts(call)[0]["code"] = {"coding": [{"system": LOINC, "code": "36952-0", "display": text}]}


def say_in_order_without_code(call: Json, text: str) -> None:
    drafts(call)[0]["code"] = {"text": f"{text} CT abdomen without contrast {text}"}


def say_in_order_of_unknown_contrast(call: Json, text: str) -> None:
    drafts(call)[0]["code"] = {"text": f"{text} MRI pancreas {text}"}


def say_in_condition(call: Json, text: str) -> None:
    for entry in entries(call, "conditions"):
        entry["resource"]["code"]["text"] = text
        entry["resource"]["bodySite"] = [{"text": text}]


def say_in_condition_without_code(call: Json, text: str) -> None:
    entry = copy.deepcopy(entries(call, "conditions")[0])
    entry["resource"] |= {"id": "told", "code": {"text": f"{text} neuroendocrine tumour of the pancreas {text}"}}
    entries(call, "conditions").append(entry)


def say_in_list_of_sites(call: Json, text: str) -> None:
    entry = copy.deepcopy(entries(call, "laboratory")[0])
    subject = entry["resource"]["subject"]
    entry["resource"] = {
        "resourceType": "Observation",
        "id": "sites",
        "status": "final",
        "subject": subject,
        "effectiveDateTime": "2026-11-19",
        "code": {"coding": [{"system": LOCAL, "code": "metastases"}]},
        "valueCodeableConcept": {"text": f"spleen {text}"},
    }
    entries(call, "laboratory").append(entry)


def say_in_status(call: Json, text: str) -> None:
    entry = copy.deepcopy(entries(call, "conditions")[0])
    entry["resource"] |= {"id": "status", "verificationStatus": {"text": text}}
    entries(call, "conditions").append(entry)


def say_in_allergy(call: Json, text: str) -> None:
    subject = entries(call, "conditions")[0]["resource"]["subject"]
    resource = {
        "resourceType": "AllergyIntolerance",
        "id": "allergy",
        "patient": subject,
        "code": {"coding": [{"system": SNOMED, "code": "426722004", "display": text}], "text": text},
        "reaction": [{"severity": "severe", "manifestation": [{"text": text}], "description": text}],
    }
    call["prefetch"]["allergies"] = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": resource}]}


SPEAKERS: list[Callable[[Json, str], None]] = [
    say_in_order,
    say_in_display_of_order,
    say_in_order_without_code,
    say_in_order_of_unknown_contrast,
    say_in_condition,
    say_in_condition_without_code,
    say_in_list_of_sites,
    say_in_status,
    say_in_allergy,
]


def story() -> Json:
    """A call that is answered with a card full of the record's words."""
    return synthetic_request("non-contrast-ct-g2", "order-select", TEMPLATES)


@pytest.mark.parametrize("say", SPEAKERS)
@steady(40)
@given(text=hostile_texts)
def test_text_of_the_record_stays_text(local: InProcess, say: Callable[[Json, str], None], text: str) -> None:
    """CH-085: markup, HTML, links and control characters are shown as what they are: bare words would look the same."""
    details = []
    for words in (text, normal_text(text)):
        call = story()
        say(call, words)
        cards = assert_valid_response(post(local, "order-select", call), call)["cards"]
        # a word such as "biopsy" makes the order no imaging, so that there is no card; text that holds nothing readable
        # is damage, which is told in a section of its own
        details.append(re.sub(r"\*\*About the data\*\*\n(- .*\n)+", "", cards[0]["detail"]) if cards else "")
    hostile, harmless = details
    assert links_in(hostile) == links_in(harmless)
    own_links_removed = OWN_LINKS.sub("", hostile)
    for mark in (r"(?<!\\)<", r"(?<!\\)://", r"\bwww\.", r"(?<!\\)\]\(", r"(?<!\\)@"):
        assert not re.search(mark, own_links_removed), mark
    assert structure(hostile) == structure(harmless)


@steady(60)
@given(text=hostile_texts, hook=st.sampled_from(["order-select", "order-sign"]))
def test_no_order_is_named_so_that_the_summary_bursts(local: InProcess, text: str, hook: str) -> None:
    """CH-084: fewer than 140 signs on one line, however the order is called."""
    call = story() | {"hook": hook}
    say_in_order_of_unknown_contrast(call, text)
    for card in assert_valid_response(post(local, hook, call), call)["cards"]:
        assert 0 < len(card["summary"]) < 140
        assert card["summary"] == " ".join(card["summary"].split())


@steady(40)
@given(identifier=hostile_texts | st.text(min_size=1, max_size=80))
def test_identifiers_of_any_shape_are_survived(local: InProcess, identifier: str) -> None:
    """An id that is none is shown as text; nothing is deleted by it."""
    call = story()
    drafts(call)[0]["id"] = identifier
    call["context"]["selections"] = [f"ServiceRequest/{identifier}"]
    for entry in entries(call, "conditions"):
        entry["resource"]["id"] = identifier
    body = assert_valid_response(post(local, "order-select", call), call)
    for card in body["cards"]:
        own_links_removed = OWN_LINKS.sub("", card["detail"])
        assert not re.search(r"(?<!\\)<", own_links_removed)
