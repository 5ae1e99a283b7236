"""The JSON schemas: what they take, what they refuse by requirement number, and that they keep up with the code."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from cds_service.consult import from_facts
from cds_service.domain import terms
from cds_service.domain.facts import FACTS, Kind
from cds_service.encoding import without_empty
from cds_service.knowledge.model import Knowledge
from tests.builders import AS_OF
from tests.cases_loader import Case, clinical_cases
from tests.validity import SCHEMAS, schema, schema_errors

Json = Any
CASES = clinical_cases()
BASE = "https://pnet-cds.example.org/schemas/"
UUID = "2f6a1c7e-5f2c-4e0b-9c3f-7a3f8d9e1b60"

DRAFTS: Json = {
    "resourceType": "Bundle",
    "entry": [{"resource": {"resourceType": "ServiceRequest", "id": "o1", "status": "draft"}}],
}
REQUEST: Json = {
    "hook": "order-select",
    "hookInstance": UUID,
    "fhirServer": "https://ehr.example.org/fhir",
    "fhirAuthorization": {
        "access_token": "t",
        "token_type": "Bearer",
        "expires_in": 30,
        "scope": "patient/*.read",
        "subject": "pnet-cds",
    },
    "context": {
        "userId": "Practitioner/1",
        "patientId": "p1",
        "encounterId": "e1",
        "selections": ["ServiceRequest/o1"],
        "draftOrders": DRAFTS,
    },
    "prefetch": {"patient": {"resourceType": "Patient"}, "encounter": None},
    "extension": {"org.example.thing": 1},
}
PAMA = "http://fhir.org/argonaut/Extension/pama-rating"
RATED: Json = {
    "resourceType": "ServiceRequest",
    "id": "o1",
    "status": "draft",
    "intent": "order",
    "code": {"text": "MRI"},
    "subject": {"reference": "Patient/p1"},
    "extension": [
        {
            "url": PAMA,
            "valueCodeableConcept": {
                "coding": [
                    {"system": "http://fhir.org/argonaut/CodeSystem/pama-rating", "code": "appropriate"},
                    {
                        "system": "https://pnet-cds.example.org/fhir/CodeSystem/pnet-cds-local",
                        "code": "may-be-appropriate",
                        "display": "May be appropriate",
                    },
                ],
                "text": "May be appropriate",
            },
        },
        {"url": f"{PAMA}-qcdsm-consulted", "valueString": "none"},
        {"url": f"{PAMA}-consult-id", "valueUri": f"urn:uuid:{UUID}"},
        {"url": f"{PAMA}-auc-applied", "valueUri": "https://example.org/criterion/1"},
        {"url": "https://example.org/room", "valueString": "CT1"},
    ],
    "org.example.unknown": None,
}
RESPONSE: Json = {
    "cards": [
        {
            "uuid": UUID,
            "summary": "s" * 139,
            "detail": "Why",
            "indicator": "warning",
            "source": {
                "label": "A source",
                "url": "https://example.org",
                "topic": {"system": "https://example.org/topics", "code": "guideline"},
            },
            "suggestions": [
                {
                    "uuid": UUID,
                    "label": "Replace",
                    "isRecommended": True,
                    "actions": [
                        {"type": "delete", "description": "Remove", "resourceId": "ServiceRequest/o1"},
                        {"type": "create", "description": "Order", "resource": {"resourceType": "ServiceRequest"}},
                    ],
                }
            ],
            "selectionBehavior": "at-most-one",
            "overrideReasons": [{"system": "https://example.org/reasons", "code": "a", "display": "A"}],
            "links": [{"label": "Read", "url": "https://example.org/a", "type": "absolute"}],
        }
    ],
    "systemActions": [{"type": "update", "description": "Rate", "resource": RATED}],
}
DISCOVERY: Json = {
    "services": [
        {
            "hook": "patient-view",
            "id": "a-service",
            "title": "A service",
            "description": "What it says",
            "usageRequirements": "R4",
            "prefetch": {
                "patient": "Patient/{{context.patientId}}",
                "user": "{{context.userId}}",
                "results": "Observation?patient={{context.patientId}}&_sort=-date",
            },
        }
    ]
}
FEEDBACK: Json = {
    "feedback": [
        {
            "card": UUID,
            "outcome": "accepted",
            "acceptedSuggestions": [{"id": UUID}],
            "outcomeTimestamp": "2026-11-20T09:30:15.123Z",
        },
        {
            "card": UUID,
            "outcome": "overridden",
            "overrideReason": {
                "reason": {"code": "a", "system": "https://example.org/reasons", "display": "A"},
                "userComment": "b",
            },
            "outcomeTimestamp": "2026-11-20T09:30:15+00:00",
        },
    ]
}
MESSAGES = {"request": REQUEST, "response": RESPONSE, "discovery": DISCOVERY, "feedback": FEEDBACK}

MISSING = object()
CARD = ("cards", 0)
SUGGESTION = (*CARD, "suggestions", 0)
SERVICE = ("services", 0)
RATING = ("systemActions", 0, "resource", "extension")
CODING = ("valueCodeableConcept", "coding")
DELETES: Json = {"type": "delete", "description": "Remove", "resourceId": "ServiceRequest/o1"}

REFUSED: list[tuple[str, str, tuple[str | int, ...], Any]] = [
    ("request", "CH-005 null encounter", ("context", "encounterId"), None),
    ("request", "CH-005 empty extension", ("extension",), {}),
    ("request", "CH-031 hook missing", ("hook",), MISSING),
    ("request", "CH-032 hookInstance missing", ("hookInstance",), MISSING),
    ("request", "CH-032 hookInstance no UUID", ("hookInstance",), "call-17"),
    ("request", "CH-032 hookInstance a URN", ("hookInstance",), f"urn:uuid:{UUID}"),
    ("request", "CH-033 fhirServer no address", ("fhirServer",), "ehr"),
    ("request", "CH-035 token missing", ("fhirAuthorization", "access_token"), MISSING),
    ("request", "CH-035 expiry a string", ("fhirAuthorization", "expires_in"), "30"),
    ("request", "CH-035 another token type", ("fhirAuthorization", "token_type"), "bearer"),
    ("request", "CH-037 token without server", ("fhirServer",), MISSING),
    ("request", "CH-038 context missing", ("context",), MISSING),
    ("request", "CH-039 value a list", ("prefetch", "patient"), [{"resourceType": "Patient"}]),
    ("request", "CH-039 value without type", ("prefetch", "patient"), {"id": "p1"}),
    ("request", "CH-110 extension a list", ("extension",), [{"url": "u"}]),
    ("request", "CH-151 user without type", ("context", "userId"), "1"),
    ("request", "CH-152 patient a reference", ("context", "patientId"), "Patient/p1"),
    ("request", "CH-156 selections bare", ("context", "selections"), ["o1"]),
    ("request", "CH-156 selections missing", ("context", "selections"), MISSING),
    ("request", "CH-157 order no draft", ("context", "draftOrders", "entry", 0, "resource", "status"), "active"),
    ("request", "CH-158 drafts a list", ("context", "draftOrders"), [{"resourceType": "ServiceRequest"}]),
    ("response", "CH-005 null detail", (*CARD, "detail"), None),
    ("response", "CH-005 empty links", (*CARD, "links"), []),
    ("response", "CH-005 empty system actions", ("systemActions",), []),
    ("response", "CH-005 empty extension", ("extension",), {}),
    ("response", "CH-081 cards missing", ("cards",), MISSING),
    ("response", "CH-082 another member at the top", ("card",), []),
    ("response", "CH-083 uuid none", (*CARD, "uuid"), "card-1"),
    ("response", "CH-084 summary of 140", (*CARD, "summary"), "s" * 140),
    ("response", "CH-084 summary of two lines", (*CARD, "summary"), "a\nb"),
    ("response", "CH-084 summary missing", (*CARD, "summary"), MISSING),
    ("response", "CH-086 hard-stop", (*CARD, "indicator"), "hard-stop"),
    ("response", "CH-086 indicator missing", (*CARD, "indicator"), MISSING),
    ("response", "CH-087 source missing", (*CARD, "source"), MISSING),
    ("response", "CH-088 label missing", (*CARD, "source", "label"), MISSING),
    ("response", "CH-088 url relative", (*CARD, "source", "url"), "/about"),
    ("response", "CH-089 topic without system", (*CARD, "source", "topic", "system"), MISSING),
    ("response", "CH-091 behaviour unknown", (*CARD, "selectionBehavior"), "all"),
    ("response", "CH-091 behaviour missing", (*CARD, "selectionBehavior"), MISSING),
    ("response", "CH-092 label missing", (*SUGGESTION, "label"), MISSING),
    ("response", "CH-093 recommended a string", (*SUGGESTION, "isRecommended"), "yes"),
    ("response", "CH-096 type unknown", (*SUGGESTION, "actions", 0, "type"), "replace"),
    ("response", "CH-097 description missing", (*SUGGESTION, "actions", 0, "description"), MISSING),
    ("response", "CH-097 description missing", ("systemActions", 0, "description"), MISSING),
    ("response", "CH-098 create without resource", (*SUGGESTION, "actions", 1, "resource"), MISSING),
    ("response", "CH-099 update without id", ("systemActions", 0, "resource", "id"), MISSING),
    ("response", "CH-116 system action that deletes", ("systemActions", 0), DELETES),
    ("response", "PM-006 rating missing", (*RATING, 0), MISSING),
    ("response", "PM-006 rating twice", (*RATING, 4), RATED["extension"][0]),
    ("response", "PM-006 code of an old draft", (*RATING, 0, *CODING, 0, "code"), "no-guidelines-apply"),
    ("response", "PM-006 two codes", (*RATING, 0, *CODING, 1), RATED["extension"][0][CODING[0]]["coding"][0]),
    ("response", "PM-006 finer code alone", (*RATING, 0, *CODING, 0), MISSING),
    ("response", "PM-008 mechanism missing", (*RATING, 1), MISSING),
    ("response", "PM-008 mechanism empty", (*RATING, 1, "valueString"), ""),
    ("response", "PM-009 consult id missing", (*RATING, 2), MISSING),
    ("response", "PM-009 consult id twice", (*RATING, 4), RATED["extension"][2]),
    ("response", "PM-009 consult id a string", (*RATING, 2), {"url": f"{PAMA}-consult-id", "valueString": UUID}),
    ("response", "PM-010 criterion twice", (*RATING, 4), RATED["extension"][3]),
    ("response", "PM-011 order without status", ("systemActions", 0, "resource", "status"), MISSING),
    ("response", "PM-012 in the other place", ("extension",), {"systemActions": [DELETES]}),
    ("response", "CH-100 delete without id", (*SUGGESTION, "actions", 0, "resourceId"), MISSING),
    ("response", "CH-100 delete by list", (*SUGGESTION, "actions", 0, "resourceId"), ["ServiceRequest/o1"]),
    ("response", "CH-100 delete by bare id", (*SUGGESTION, "actions", 0, "resourceId"), "o1"),
    ("response", "CH-100 delete by resource", (*SUGGESTION, "actions", 0, "resource"), "ServiceRequest/o1"),
    ("response", "CH-102 reason without display", (*CARD, "overrideReasons", 0, "display"), MISSING),
    ("response", "CH-103 link type unknown", (*CARD, "links", 0, "type"), "relative"),
    ("response", "CH-103 link url relative", (*CARD, "links", 0, "url"), "guide.html"),
    ("response", "CH-104 context of a plain link", (*CARD, "links", 0, "appContext"), "x"),
    ("response", "CH-106 coding with version", (*CARD, "source", "topic", "version"), "1"),
    ("response", "CH-108 another member", (*CARD, "title"), "Card"),
    ("response", "CH-110 extension a string", (*CARD, "extension"), "x"),
    ("response", "CH-184 member of a draft", (*SUGGESTION, "actionSelectionBehavior"), "any"),
    ("discovery", "CH-005 empty title", (*SERVICE, "title"), ""),
    ("discovery", "CH-005 empty prefetch", (*SERVICE, "prefetch"), {}),
    ("discovery", "CH-011 services missing", ("services",), MISSING),
    ("discovery", "CH-013 hook missing", (*SERVICE, "hook"), MISSING),
    ("discovery", "CH-014 id missing", (*SERVICE, "id"), MISSING),
    ("discovery", "CH-014 id of two segments", (*SERVICE, "id"), "a/b"),
    ("discovery", "CH-015 description missing", (*SERVICE, "description"), MISSING),
    ("discovery", "CH-017 template an object", (*SERVICE, "prefetch", "patient"), {"query": "Patient"}),
    ("discovery", "CH-019 member of a draft", (*SERVICE, "version"), "3.0.0"),
    (
        "discovery",
        "CH-050 absolute address",
        (*SERVICE, "prefetch", "patient"),
        "https://ehr/Patient/{{context.patientId}}",
    ),
    ("discovery", "CH-051 single braces", (*SERVICE, "prefetch", "patient"), "Patient/{context.patientId}"),
    ("discovery", "CH-051 token without prefix", (*SERVICE, "prefetch", "patient"), "Patient/{{patientId}}"),
    ("discovery", "CH-051 blank in token", (*SERVICE, "prefetch", "patient"), "Patient/{{ context.patientId }}"),
    *(
        ("feedback", rule, path, value)
        for rule, path, value in (
            ("CH-005 feedback empty", ("feedback",), []),
            ("CH-121 feedback missing", ("feedback",), MISSING),
            ("CH-121 feedback one entry", ("feedback",), {"card": UUID}),
            ("CH-122 card missing", ("feedback", 0, "card"), MISSING),
            ("CH-122 card empty", ("feedback", 0, "card"), ""),
            ("CH-123 ignored", ("feedback", 0, "outcome"), "ignored"),
            ("CH-124 accepted without suggestions", ("feedback", 0, "acceptedSuggestions"), MISSING),
            ("CH-124 suggestions are strings", ("feedback", 0, "acceptedSuggestions"), [UUID]),
            ("CH-125 neither reason nor comment", ("feedback", 1, "overrideReason"), {"extension": {"a": 1}}),
            ("CH-125 reason without system", ("feedback", 1, "overrideReason", "reason", "system"), MISSING),
            ("CH-125 reason without code", ("feedback", 1, "overrideReason", "reason", "code"), MISSING),
            ("CH-126 timestamp missing", ("feedback", 0, "outcomeTimestamp"), MISSING),
            ("CH-126 not in UTC", ("feedback", 0, "outcomeTimestamp"), "2026-11-20T09:30:15+01:00"),
            ("CH-126 a day", ("feedback", 0, "outcomeTimestamp"), "2026-11-20"),
            ("CH-126 no such hour", ("feedback", 0, "outcomeTimestamp"), "2026-11-20T24:30:15Z"),
        )
    ),
    ("discovery", "CH-052 below root level", (*SERVICE, "prefetch", "patient"), "Patient/{{context.draftOrders.id}}"),
]

ACCEPTED: list[tuple[str, str, tuple[str | int, ...], Any]] = [
    ("request", "CH-006 null for nothing found", ("prefetch", "patient"), None),
    ("request", "CH-007 unknown member", ("org.example.new",), 1),
    ("request", "CH-034 ids longer than 64", ("context", "patientId"), "x" * 80),
    ("request", "CH-153 type given", ("context", "draftOrders", "type"), "collection"),
    ("request", "CH-150 another hook", ("hook",), "org.example.hook"),
    ("response", "CH-006 nothing to say", ("cards",), []),
    ("response", "CH-118 no system actions", ("systemActions",), MISSING),
    ("response", "PM-010 no criterion", (*RATING, 3), MISSING),
    ("response", "PM-012 in the other place", ("extension",), {"systemActions": RESPONSE["systemActions"]}),
    (
        "response",
        "CH-103 app",
        (*CARD, "links", 0),
        {"label": "a", "url": "https://a.b", "type": "smart"},
    ),
    ("response", "CH-083 not recorded", (*CARD, "uuid"), MISSING),
    ("response", "CH-092 not recorded", (*SUGGESTION, "uuid"), MISSING),
    ("response", "CH-091 any", (*CARD, "selectionBehavior"), "any"),
    ("feedback", "CH-007 unknown member", ("feedback", 0, "org.example.new"), 1),
    ("feedback", "CH-125 no reason", ("feedback", 1, "overrideReason"), MISSING),
    ("feedback", "CH-125 comment only", ("feedback", 1, "overrideReason"), {"userComment": "b"}),
    ("feedback", "CH-125 reason without display", ("feedback", 1, "overrideReason", "reason", "display"), MISSING),
    ("feedback", "CH-126 leap second", ("feedback", 0, "outcomeTimestamp"), "2026-12-31t23:59:60z"),
    ("discovery", "CH-012 nothing on offer", ("services",), []),
    ("discovery", "CH-016 without title", (*SERVICE, "title"), MISSING),
]


def changed(message: Json, path: tuple[str | int, ...], value: Any) -> Json:
    """The message with another value in one place."""
    result = copy.deepcopy(message)
    parent = result
    for name in path[:-1]:
        parent = parent[name]
    if value is MISSING:
        del parent[path[-1]]
    else:
        parent[path[-1]] = value
    return result


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_a_schema_with_an_address_of_its_own(name: str) -> None:
    """Each is valid JSON Schema 2020-12 and can be found by its $id."""
    Draft202012Validator.check_schema(schema(name))
    assert schema(name)["$id"] == f"{BASE}{name}.schema.json"


@pytest.mark.parametrize("name", MESSAGES)
def test_a_full_message_is_taken(name: str) -> None:
    """The messages that the rows below spoil are correct."""
    assert schema_errors(name, MESSAGES[name]) == []


@pytest.mark.parametrize(("name", "rule", "path", "value"), REFUSED, ids=[f"{row[0]}: {row[1]}" for row in REFUSED])
def test_a_message_that_breaks_a_rule_is_refused(name: str, rule: str, path: tuple[str | int, ...], value: Any) -> None:
    """One deviation is enough."""
    assert schema_errors(name, changed(MESSAGES[name], path, value)), rule


@pytest.mark.parametrize(("name", "rule", "path", "value"), ACCEPTED, ids=[f"{row[0]}: {row[1]}" for row in ACCEPTED])
def test_what_the_texts_allow_is_taken(name: str, rule: str, path: tuple[str | int, ...], value: Any) -> None:
    """Strict is not narrow."""
    assert schema_errors(name, changed(MESSAGES[name], path, value)) == [], rule


def test_two_recommended_suggestions_need_a_free_choice() -> None:
    """CH-094."""
    both = changed(RESPONSE, (*CARD, "suggestions"), RESPONSE["cards"][0]["suggestions"] * 2)
    assert schema_errors("response", both)
    assert schema_errors("response", changed(both, (*CARD, "selectionBehavior"), "any")) == []


@pytest.mark.parametrize(
    ("hook", "context"),
    [
        ("patient-view", {"userId": "Patient/p1", "patientId": "p1"}),
        (
            "order-sign",
            {"userId": "Practitioner/1", "patientId": "p1", "draftOrders": DRAFTS},
        ),
        (
            "order-dispatch",
            {"patientId": "p1", "dispatchedOrders": ["ServiceRequest/1"], "performer": "Device/1"},
        ),
        (
            "appointment-book",
            {
                "userId": "Patient/p1",
                "patientId": "p1",
                "appointments": {
                    "resourceType": "Bundle",
                    "entry": [{"resource": {"resourceType": "Appointment", "status": "proposed"}}],
                },
            },
        ),
        ("encounter-discharge", {"userId": "Practitioner/1", "patientId": "p1", "encounterId": "e1"}),
    ],
)
def test_each_hook_has_its_own_context(hook: str, context: Json) -> None:
    """CH-155 to CH-162: every member the definition requires is required here."""
    call = {"hook": hook, "hookInstance": UUID, "context": context}
    assert schema_errors("request", call) == []
    for name in context:
        assert schema_errors("request", changed(call, ("context", name), MISSING)), name


# --- the assessment ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def assessed(knowledge: Knowledge) -> dict[str, Json]:
    """The assessment of every worked case, as the command line prints it."""
    on_the_day = knowledge.on(AS_OF)
    given = {case.id: {"facts": case.facts, "orders": list(case.orders)} for case in CASES}
    return {name: from_facts(facts, on_the_day).as_object() for name, facts in given.items()}


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_an_assessment_is_valid_in_both_forms(case: Case, assessed: dict[str, Json]) -> None:
    """With nulls as the command line prints it, and without empty members as it travels."""
    assert schema_errors("assessment", assessed[case.id]) == []
    assert schema_errors("assessment", without_empty(assessed[case.id])) == []


def objects(value: Json, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every object inside a value."""
    if isinstance(value, dict):
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        yield from objects(item, (*path, name))


def test_no_object_of_an_assessment_takes_an_unknown_member(assessed: dict[str, Json]) -> None:
    """Nothing is added to the shape without being added to the schema."""
    full = max(assessed.values(), key=lambda value: len(str(value)))
    places = list(objects(full))
    assert len(places) > 20
    for place in places:
        assert schema_errors("assessment", changed(full, (*place, "unheardOf"), 1)), place


def test_the_vocabularies_of_the_schema_are_those_of_the_service() -> None:
    """A word that is added to the rules is added to the schema."""
    definitions = schema("assessment")["$defs"]
    members = schema("assessment")["properties"]
    assert definitions["scenario"]["enum"] == list(terms.SCENARIOS)
    assert definitions["rating"]["enum"] == list(terms.RATINGS)
    assert definitions["followupStatus"]["enum"] == list(terms.FOLLOWUP_STATUS)
    assert definitions["system"]["enum"] == list(terms.STAGING_SYSTEMS)
    assert definitions["change"]["properties"]["what"]["enum"] == list(terms.CHANGES)
    assert definitions["wouldChange"]["properties"]["level"]["enum"] == list(terms.LEVELS)
    assert definitions["factName"]["enum"] == list(FACTS)
    assert members["grade"]["properties"]["who2010"]["enum"] == [*terms.WHO2010, None]
    assert members["grade"]["properties"]["who2019"]["enum"] == [*terms.WHO2019, None]


@pytest.mark.parametrize("name", FACTS)
def test_the_values_of_a_fact_are_those_of_its_vocabulary(name: str) -> None:
    """Words, numbers, truth values and lists as the fact has them."""
    spec = FACTS[name]
    value = schema("assessment")["properties"]["facts"]["properties"][name]["properties"]["value"]
    expected: dict[Kind, Json] = {
        Kind.FLAG: {"type": "boolean"},
        Kind.NUMBER: {"type": "number"},
        Kind.WORD: {"enum": list(spec.words)},
        Kind.GROWTH: {"$ref": "#/$defs/growth"},
    }
    if spec.kind is not Kind.WORDS:
        assert value == expected[spec.kind]
    elif spec.words:
        assert value["items"] == {"enum": list(spec.words)}
    else:
        assert value["items"]["type"] == "string"
