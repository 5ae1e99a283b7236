"""What a prefetch key's value says about the data it stands for: the table of CH-057, row by row."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from cds_service.domain.terms import Lack
from cds_service.fhir.prefetch import Received, State, receive
from cds_service.service import Input

CONDITIONS = Input("conditions", "Condition?patient={{context.patientId}}")
PATIENT = Input("patient", "Patient/{{context.patientId}}")
DRUGS = Input("medicationRequests", "MedicationRequest?patient={{context.patientId}}")
RESULTS = Input("laboratory", "Observation?patient={{context.patientId}}&category=laboratory")

TUMOUR = {"resourceType": "Condition", "id": "c1", "code": {"text": "tumour"}}
SYNDROME = {"resourceType": "Condition", "id": "c2"}
PERSON = {"resourceType": "Patient", "id": "p1"}
FAILED = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "timeout"}]}


def outcome(severity: object) -> dict[str, Any]:
    """An OperationOutcome with one issue."""
    return {"resourceType": "OperationOutcome", "issue": [{"severity": severity, "code": "processing"}]}


def bundle(*resources: Any, **members: Any) -> dict[str, Any]:
    """A searchset with these resources."""
    entry = [{"resource": resource, "search": {"mode": "match"}} for resource in resources]
    return {"resourceType": "Bundle", "type": "searchset", "entry": entry, **members}


def received(value: Any, asked: Input = CONDITIONS) -> Received:
    """What is made of a value under the key asked for."""
    return receive({asked.key: msgspec.Raw(json.dumps(value).encode())}, [asked], {})


def expect(found: Received, state: State, *resources: Any, asked: Input = CONDITIONS) -> None:
    """State of the key, resources taken from it, and whether it is named as unavailable."""
    assert found.states == {asked.key: state}
    assert found.resources == list(resources)
    assert found.unavailable == (() if state is State.COMPLETE else (asked.key,))


def test_a_key_that_is_absent_is_unknown() -> None:
    """The client did not or could not serve it."""
    expect(receive({}, [CONDITIONS], {}), State.ABSENT)


def test_null_is_an_empty_result() -> None:
    """CH-057: the client looked, and there is nothing."""
    expect(received(None), State.COMPLETE)


@pytest.mark.parametrize(
    "value",
    [
        {"resourceType": "Bundle"},
        {"resourceType": "Bundle", "type": "searchset", "total": 0},
        {"resourceType": "Bundle", "type": "searchset", "entry": []},
        {"resourceType": "Bundle", "type": "searchset", "entry": None},
        {"resourceType": "Bundle", "entry": [], "link": [{"relation": "self", "url": "https://ehr.example.org"}]},
    ],
)
def test_a_bundle_without_entries_is_an_empty_result(value: dict[str, Any]) -> None:
    """CH-057: a search without hits says the same as null."""
    expect(received(value), State.COMPLETE)


def test_a_searchset_holds_the_hits() -> None:
    """CH-057: in the order sent."""
    expect(received(bundle(TUMOUR, SYNDROME)), State.COMPLETE, TUMOUR, SYNDROME)


def test_included_resources_are_taken_along() -> None:
    """A drug's Medication comes as an included resource and is needed to read it."""
    order = {"resourceType": "MedicationRequest", "id": "r1"}
    drug = {"resourceType": "Medication", "id": "m1"}
    value = bundle(order)
    value["entry"].append({"resource": drug, "search": {"mode": "include"}})
    expect(received(value, DRUGS), State.COMPLETE, order, drug, asked=DRUGS)


@pytest.mark.parametrize("severity", ["information", "warning"])
def test_a_remark_of_the_server_among_the_hits_is_no_failure(severity: str) -> None:
    """Servers add outcomes about parameters they ignored; the hits count."""
    expect(received(bundle(TUMOUR, outcome(severity))), State.COMPLETE, TUMOUR)


def test_a_collection_is_as_good_as_a_searchset() -> None:
    """CH-057: seen in the wild."""
    expect(received(bundle(TUMOUR, type="collection")), State.COMPLETE, TUMOUR)


@pytest.mark.parametrize("kind", ["batch-response", None, "", 7])
def test_the_type_of_a_bundle_does_not_matter(kind: object) -> None:
    """A Bundle without type, or with another one, still holds what it holds (CH-034)."""
    expect(received(bundle(TUMOUR, type=kind)), State.COMPLETE, TUMOUR)


def test_a_single_resource_where_a_search_was_asked_is_one_hit() -> None:
    """CH-057: a deviation without harm while the type fits."""
    expect(received(TUMOUR), State.COMPLETE, TUMOUR)


def test_a_bundle_where_a_resource_was_asked_is_read() -> None:
    """The reverse deviation."""
    expect(received(bundle(PERSON), PATIENT), State.COMPLETE, PERSON, asked=PATIENT)


@pytest.mark.parametrize("value", [PERSON, {"resourceType": "Observation", "id": "o1"}, {"resourceType": "Binary"}])
def test_a_single_resource_of_another_type_is_no_answer_to_the_search(value: dict[str, Any]) -> None:
    """Accepted only if the type fits: otherwise nothing was said about Conditions, least of all that there are none."""
    found = received(value)
    assert found.states["conditions"] is not State.COMPLETE
    assert found.unavailable == ("conditions",)


def test_a_bundle_of_other_types_only_is_no_answer_to_the_search() -> None:
    """CH-060: hits of a search for Conditions are Conditions: the result of another query says nothing about them."""
    found = received(bundle({"resourceType": "Observation", "id": "o1"}, PERSON))
    assert found.unavailable == ("conditions",)


@pytest.mark.parametrize("severity", ["fatal", "error"])
def test_an_outcome_that_reports_an_error_is_no_data(severity: str) -> None:
    """CH-057: the client met an error; what the data would be is unknown."""
    expect(received(outcome(severity)), State.ERROR)


@pytest.mark.parametrize("severity", ["information", "warning", None, "unheard-of"])
def test_an_outcome_instead_of_data_is_no_data(severity: object) -> None:
    """Whatever its tone, an outcome in place of the data is never read as none present."""
    found = received(outcome(severity))
    assert found.resources == []
    assert found.unavailable == ("conditions",)


@pytest.mark.parametrize("issues", [None, [], "x", [None], [{}], [{"severity": 5}]])
def test_an_outcome_that_cannot_be_read_counts_as_an_error(issues: object) -> None:
    """When in doubt, not available."""
    expect(received({"resourceType": "OperationOutcome", "issue": issues}), State.ERROR)


def test_an_error_among_the_hits_makes_the_key_unavailable() -> None:
    """The hits that came are used, and said not to be all."""
    expect(received(bundle(TUMOUR, FAILED, SYNDROME)), State.ERROR, TUMOUR, SYNDROME)


def test_a_key_never_asked_for_is_ignored() -> None:
    """CH-057: also when it holds an error or something damaged."""
    raw = {
        "other": msgspec.Raw(json.dumps(FAILED).encode()),
        "more": msgspec.Raw(b'"\xff'),
        "conditions": msgspec.Raw(b"null"),
    }
    expect(receive(raw, [CONDITIONS], {}), State.COMPLETE)


def test_a_page_with_more_behind_it_is_incomplete() -> None:
    """CH-059: what is on the page counts."""
    value = bundle(TUMOUR, link=[{"relation": "self", "url": "a"}, {"relation": "next", "url": "b"}])
    expect(received(value), State.INCOMPLETE, TUMOUR)


def test_an_empty_page_with_more_behind_it_is_incomplete() -> None:
    """CH-058: no hit so far is not no hit."""
    expect(received(bundle(link=[{"relation": "next", "url": "b"}])), State.INCOMPLETE)


@pytest.mark.parametrize(
    "link", [None, "next", {}, [], [None], [7], [{}], [{"relation": "prev"}], [{"relation": ["next"]}]]
)
def test_links_that_lead_nowhere_do_not_matter(link: object) -> None:
    """Only a next page says that something is missing."""
    expect(received(bundle(TUMOUR, link=link)), State.COMPLETE, TUMOUR)


CUT = {"meta": {"tag": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}]}}


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (bundle(TUMOUR, SYNDROME | CUT), [TUMOUR, SYNDROME | CUT]),
        (bundle(TUMOUR, **CUT), [TUMOUR]),
        (TUMOUR | CUT, [TUMOUR | CUT]),
        (bundle(total=12, **CUT), []),
        (bundle(total=12), []),
        (bundle(total=12, link=[{"relation": "self", "url": "https://ehr.example.org/fhir/Condition?_count=0"}]), []),
        (bundle(total=12, link=[{"relation": "first"}, 7, {"relation": ["next"]}]), []),
        ({"resourceType": "Bundle", "total": 1}, []),
    ],
)
def test_a_summary_or_a_count_is_not_all(value: dict[str, Any], kept: list[Any]) -> None:
    """What a server left something out of (``_summary``, ``_elements``, ``_count=0``) is used, and lacking the rest."""
    found = received(value)
    expect(found, State.INCOMPLETE, *kept)
    assert found.lacks == {"conditions": Lack.SUMMARY_ONLY}
    assert found.gaps["conditions"].next == "", "asked for again from its beginning"


def test_results_that_mean_nothing_are_still_a_summary() -> None:
    """Whether a result means anything cannot be told when its code may have been left out."""
    result = {"resourceType": "Observation", "id": "o1", **CUT}
    raw = msgspec.Raw(json.dumps(bundle(result)).encode())
    found = receive({"laboratory": raw}, [RESULTS], {"Observation": bool})
    assert (found.states["laboratory"], found.resources) == (State.INCOMPLETE, [result])


@pytest.mark.parametrize("total", [0, "many", None])
def test_an_empty_result_is_one_whatever_its_total(total: object) -> None:
    """Only a number above nothing says that there is more."""
    expect(received(bundle(total=total)), State.COMPLETE)


@pytest.mark.parametrize("relation", ["previous", "prev"])
def test_an_empty_last_page_is_no_count(relation: str) -> None:
    """Some servers link to a page behind the last match; it leads back."""
    link = [{"relation": "self", "url": "https://ehr.example.org/fhir?p=3"}, {"relation": relation, "url": "?p=2"}]
    expect(received(bundle(total=12, link=link)), State.COMPLETE)


@pytest.mark.parametrize("damaged", [7, "x", True, [], [TUMOUR], {}, {"id": "c9"}, {"resourceType": 5}])
def test_a_damaged_entry_costs_only_itself(damaged: object) -> None:
    """The others are used, and the damage is reported under the key."""
    found = received(bundle(TUMOUR, damaged, SYNDROME))
    expect(found, State.INCOMPLETE, TUMOUR, SYNDROME)
    assert {skipped.source for skipped in found.skipped} == {"conditions"}


def test_an_entry_without_resource_is_passed_over() -> None:
    """An entry may hold a link or a response alone."""
    value = bundle(TUMOUR)
    value["entry"].append({"fullUrl": "https://ehr.example.org/x"})
    expect(received(value), State.COMPLETE, TUMOUR)


@pytest.mark.parametrize("value", [7, 1.5, "", "x", True, [], [TUMOUR], {}, {"id": "c1"}, {"resourceType": None}])
def test_a_value_that_is_no_resource_is_never_an_empty_result(value: object) -> None:
    """CH-058, CH-039: it says nothing, so the data are unknown."""
    found = received(value)
    assert found.unavailable == ("conditions",)
    assert found.skipped


@pytest.mark.parametrize(
    "raw", [b'{"resourceType": "Bundle", "entry": [{"resource": {"a": "\xff"}}]}', b'"\xff"', b'{"\xff": 1}']
)
def test_bytes_that_are_no_text_are_reported(raw: bytes) -> None:
    """Never an exception, and never an empty result."""
    found = receive({"conditions": msgspec.Raw(raw)}, [CONDITIONS], {})
    assert found.unavailable == ("conditions",)
    assert found.skipped


def test_a_bundle_inside_a_bundle_is_opened() -> None:
    """A batch response holds one searchset per query."""
    expect(received(bundle(bundle(TUMOUR), bundle(SYNDROME))), State.COMPLETE, TUMOUR, SYNDROME)


def test_an_error_inside_an_inner_bundle_makes_the_key_unavailable() -> None:
    """However deep the client put it."""
    expect(received(bundle(bundle(TUMOUR, FAILED))), State.ERROR, TUMOUR)


def test_a_page_inside_a_bundle_is_incomplete() -> None:
    """The inner searchset may have a next page of its own."""
    inner = bundle(TUMOUR, link=[{"relation": "next", "url": "b"}])
    expect(received(bundle(inner)), State.INCOMPLETE, TUMOUR)


def test_results_that_mean_nothing_are_left_in_place() -> None:
    """A chart holds thousands; only those that may matter are decoded, and the key stays complete."""
    plain = {"resourceType": "Observation", "id": "o1", "code": {"text": "weight"}}
    wanted = {"resourceType": "Observation", "id": "o2", "code": {"text": "Ki-67"}}
    raw = {"laboratory": msgspec.Raw(json.dumps(bundle(plain, wanted)).encode())}
    found = receive(raw, [RESULTS], {"Observation": lambda code: json.loads(code) == {"text": "Ki-67"}})
    expect(found, State.COMPLETE, wanted, asked=RESULTS)
    assert found.unread == 1


def test_every_key_has_a_state_of_its_own() -> None:
    """One failure does not colour the others; the order is that of the question."""
    raw = {
        "medicationRequests": msgspec.Raw(json.dumps(FAILED).encode()),
        "conditions": msgspec.Raw(json.dumps(bundle(TUMOUR)).encode()),
        "patient": msgspec.Raw(b"null"),
    }
    found = receive(raw, [PATIENT, CONDITIONS, DRUGS, RESULTS], {})
    assert list(found.states.items()) == [
        ("patient", State.COMPLETE),
        ("conditions", State.COMPLETE),
        ("medicationRequests", State.ERROR),
        ("laboratory", State.ABSENT),
    ]
    assert found.unavailable == ("medicationRequests", "laboratory")
