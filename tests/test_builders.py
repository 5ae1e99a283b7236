"""The test material itself: cases load and compare as documented, charts are valid FHIR and say what they should."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class

from cds_service.domain.facts import FACTS, Kind
from tests.builders import AS_OF, LOCAL, STUDIES, STYLES, Resource, chart, hook_request
from tests.cases_loader import Case, clinical_cases, mismatches

CASES = clinical_cases()
PANCREATIC = {"nen_status": "confirmed", "primary_site": "pancreas"}
SITES = ("liver", "bone", "brain", "lung", "peritoneum", "nodes-distant", "spleen")

each_style = pytest.mark.parametrize("style", STYLES)
each_case = pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])


def check(resources: list[Resource]) -> None:
    """Every resource is valid, is about the patient, has an id of its own; every Observation has a category."""
    for resource in resources:
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)
        if resource["resourceType"] != "Patient":
            assert resource.get("subject", resource.get("patient")) == {"reference": "Patient/p1"}
        if resource["resourceType"] == "Observation":
            assert resource["category"][0]["coding"][0]["code"] in {"laboratory", "imaging", "exam", "social-history"}
    assert [key for key, count in Counter(resource["id"] for resource in resources).items() if count > 1] == []
    assert (resources[0]["resourceType"], resources[0]["id"]) == ("Patient", "p1")


def values_of(name: str) -> list[Any]:
    """Some values of a fact: every word, both truth values, a number."""
    spec = FACTS[name]
    match spec.kind:
        case Kind.FLAG:
            return [True, False]
        case Kind.NUMBER:
            return [3, 2.5]
        case Kind.WORD:
            return list(spec.words)
        case Kind.WORDS:
            return [[], *([word] for word in spec.words or SITES)]
        case Kind.GROWTH:
            return [{"d1_mm": 50, "d2_mm": 52.5, "months": 3}]


@each_style
@each_case
def test_charts_of_the_cases_are_valid(case: Case, style: int) -> None:
    resources = chart(case.facts, case.orders, style=style)
    check(resources)
    firsts = [r for r in resources if r["id"] in {f"order-{n}" for n in range(1, len(case.orders) + 1)}]
    assert len(firsts) == len(case.orders)


@each_style
@pytest.mark.parametrize("around", [{}, PANCREATIC, {**PANCREATIC, "nen_status": "highly-suspected"}])
@pytest.mark.parametrize("name", list(FACTS))
def test_every_word_of_every_fact_can_be_written(name: str, around: dict[str, Any], style: int) -> None:
    silent = chart({k: v for k, v in around.items() if k != name}, [], style=style)
    for value in values_of(name):
        resources = chart({**around, name: value}, [], style=style)
        check(resources)
        assert resources != silent, value


@each_style
@pytest.mark.parametrize("site", FACTS["primary_site"].words)
@pytest.mark.parametrize("differentiation", FACTS["differentiation"].words)
@pytest.mark.parametrize("status", FACTS["nen_status"].words)
def test_tumours_of_every_site_are_valid(status: str, differentiation: str, site: str, style: int) -> None:
    for hormone in FACTS["functional_syndrome"].words:
        facts = {
            "nen_status": status,
            "primary_site": site,
            "differentiation": differentiation,
            "functional_syndrome": hormone,
        }
        check(chart(facts, [], style=style))


@each_style
@pytest.mark.parametrize("key", list(STUDIES))
def test_every_study_can_be_ordered(key: str, style: int) -> None:
    resources = chart({"inpatient": True, "order_intent": "follow-up"}, ["ct-chest-wo", key], style=style)
    check(resources)
    orders = [r for r in resources if r["resourceType"] == "ServiceRequest"]
    assert [r["id"] for r in orders][:2] == ["order-1", "order-2"]
    assert {r["status"] for r in orders} == {"draft"}
    assert all(r["encounter"] == {"reference": "Encounter/enc1"} for r in orders)
    assert {r["reasonCode"][0]["coding"][0]["code"] for r in orders} == {"follow-up"}
    assert len({r["requisition"]["value"] for r in orders[1:] if len(orders) > 2}) == (len(orders) > 2)


@each_style
@pytest.mark.parametrize("age", [17, 18, 58])
def test_the_birthday_gives_the_completed_years(age: int, style: int) -> None:
    born = dt.date.fromisoformat(chart({"age_years": age}, [], style=style)[0]["birthDate"])
    assert AS_OF.year - born.year - ((AS_OF.month, AS_OF.day) < (born.month, born.day)) == age


@each_style
def test_what_is_unknown_leaves_no_trace(style: int) -> None:
    assert chart({"age_years": None, "sex": None}, [], style=style) == [
        {"resourceType": "Patient", "id": "p1", "active": True}
    ]


@pytest.mark.parametrize(
    ("facts", "orders", "style", "complaint"),
    [
        ({"size": 3}, [], 0, "unknown facts: size"),
        ({}, ["mri-knee"], 0, "unknown procedure keys: mri-knee"),
        ({}, [], 3, "unknown style: 3"),
    ],
)
def test_what_cannot_be_written_is_refused(
    facts: dict[str, Any], orders: list[str], style: int, complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        chart(facts, orders, style=style)


KEYS = {
    "patient": "Patient/{{context.patientId}}",
    "encounter": "Encounter/{{context.encounterId}}",
    "conditions": "Condition?patient={{context.patientId}}",
    "laboratory": "Observation?patient={{context.patientId}}&category=laboratory&_count=50",
    "exam": "Observation?category=http://terminology.hl7.org/CodeSystem/observation-category|exam,imaging",
    "requests": "ServiceRequest?patient={{context.patientId}}",
    "devices": "Device?patient={{context.patientId}}",
}


def found(bundle: dict[str, Any]) -> set[str]:
    return {entry["resource"]["id"] for entry in bundle.get("entry", [])}


def test_a_hook_request_carries_drafts_and_prefetch() -> None:
    facts = {**PANCREATIC, "ki67_percent": 2, "size_mm": 12, "krenning": 3, "inpatient": True}
    resources = chart(facts, ["ct-abd-pel-w", "eus"], style=0)
    request = hook_request(resources, "order-select", keys=KEYS)
    context, prefetch = request["context"], request["prefetch"]
    assert (context["userId"], context["patientId"], context["encounterId"]) == ("Practitioner/dr-1", "p1", "enc1")
    assert context["selections"] == ["ServiceRequest/order-1", "ServiceRequest/order-2"]
    assert found(context["draftOrders"]) == {"order-1", "order-2"}
    assert prefetch["patient"] == resources[0]
    assert prefetch["encounter"]["class"]["code"] == "IMP"
    assert found(prefetch["conditions"]) == {"tumour"}
    assert found(prefetch["laboratory"]) == {"ki67"}
    assert found(prefetch["exam"]) == {"tumour-size", "fact-krenning"}
    assert prefetch["requests"] == {"resourceType": "Bundle", "type": "searchset", "total": 0}
    assert prefetch["devices"]["total"] == 0


def test_selections_belong_to_order_select() -> None:
    resources = chart({}, ["ct-abd-pel-w", "eus"])
    chosen = hook_request(resources, "order-select", selections=["ServiceRequest/order-2"], keys=KEYS)
    assert chosen["context"]["selections"] == ["ServiceRequest/order-2"]
    signed = hook_request(resources, "order-sign", keys=KEYS)
    assert "selections" not in signed["context"]
    assert "encounterId" not in signed["context"]
    assert signed["prefetch"]["encounter"] is None
    with pytest.raises(ValueError, match="no selections"):
        hook_request(resources, "order-sign", selections=["ServiceRequest/order-2"], keys=KEYS)
    with pytest.raises(ValueError, match="draft orders"):
        hook_request(resources, "patient-view", keys=KEYS)
    with pytest.raises(ValueError, match="neither a read nor a search"):
        hook_request(resources, "order-sign", keys={"all": "$everything"})


# --- the loader -------------------------------------------------------------------------------------------------------


def assessment_of(case: Case) -> dict[str, Any]:
    """The barest assessment that satisfies a case."""
    expected = case.expected
    ratings = expected.get("ratings", {})
    orders = [{"procedure": key, "rating": ratings.get(key), "suggestion": None} for key in case.orders]
    if "suggest_first" in expected:
        orders[0]["suggestion"] = expected["suggest_first"]
    plain = ("scenario", "grade", "tnm", "tnm_primary_system", "auc", "followup", "markers", "eligibility")
    return {
        **{key: expected[key] for key in plain if key in expected},
        "orders": orders,
        "warnings": expected.get("warnings_include", []),
        "advice": expected.get("advice_include", []),
        "missing": expected.get("missing_include", []),
    }


def test_the_cases_are_complete() -> None:
    for series in ("L", "S"):
        ids = [case.id for case in CASES if case.id.startswith(f"{series}-")]
        assert ids == [f"{series}-{number:03d}" for number in range(1, len(ids) + 1)]
    assert {case.id[0] for case in CASES} == {"L", "S"}
    assert all(case.name and case.why.endswith(".") and case.rules for case in CASES)


@each_case
def test_a_case_accepts_what_it_expects_and_nothing_less(case: Case) -> None:
    assert mismatches(case, assessment_of(case)) == []
    nothing = mismatches(case, {})
    wanted = {
        key
        for key, value in case.expected.items()
        if not key.endswith(("_exclude", "_absent")) and not only_null(value)
    }
    assert len(nothing) >= len(wanted)


def only_null(value: Any) -> bool:
    """Whether the expectation is that nothing is there, which an empty assessment meets."""
    return isinstance(value, dict) and all(inner is None for inner in value.values())


def example(**expected: Any) -> Case:
    return Case("S-000", "made up", "For this test.", (), (), {}, expected)


@pytest.mark.parametrize(
    ("expected", "assessment", "message"),
    [
        ({"scenario": "a"}, {"scenario": "b"}, "scenario: expected a, got b"),
        ({"grade": {"who2019": None}}, {"grade": {"who2019": "NEC"}}, "grade.who2019: expected null, got NEC"),
        ({"grade": {"provisional": False}}, {"grade": {}}, "grade.provisional: expected False, got null"),
        ({"tnm": {"enets": {"T": "T1"}}}, {"tnm": {"enets": {"T": "T2"}}}, "tnm.enets.T: expected T1, got T2"),
        (
            {"tnm": {"enets": {"T": "T1"}}},
            {"tnm": {"ajcc8": {}}},
            "tnm.enets: expected a result, got none; computed: ajcc8",
        ),
        ({"tnm_absent": ["ajcc8"]}, {"tnm": {"ajcc8": {}}}, "tnm_absent: ajcc8 must not be computed, got {}"),
        (
            {"ratings": {"eus": "not-rated"}},
            {"orders": [{"procedure": "mrcp"}]},
            "ratings.eus: expected not-rated, but no such order is assessed; orders: mrcp",
        ),
        (
            {"ratings": {"eus": "not-rated"}},
            {"orders": [{"procedure": "eus", "rating": None}]},
            "ratings.eus: expected not-rated, got null",
        ),
        ({"suggest_first": None}, {"orders": []}, "suggest_first: expected null, but no order is assessed"),
        ({"suggest_first": None}, {"orders": [{"suggestion": "eus"}]}, "suggest_first: expected null, got eus"),
        ({"warnings_include": ["A"]}, {"warnings": ["B"]}, "warnings: A is expected, got: B"),
        ({"advice_exclude": ["A"]}, {"advice": ["A"]}, "advice: A must not be there"),
        (
            {"followup": {"interval_months": [6, 12]}},
            {"followup": {"interval_months": (6, 6)}},
            "followup.interval_months: expected [6, 12], got (6, 6)",
        ),
        (
            {"markers": {"tgr_percent_per_month": 4.39}},
            {"markers": {"tgr_percent_per_month": 4.3951}},
            "markers.tgr_percent_per_month: expected 4.39, got 4.3951",
        ),
        ({"markers": {"tgr_high": True}}, {"markers": {"tgr_high": 1}}, "markers.tgr_high: expected True, got 1"),
    ],
)
def test_contradictions_are_told_readably(expected: dict[str, Any], assessment: dict[str, Any], message: str) -> None:
    assert mismatches(example(**expected), assessment) == [message]


def test_equal_numbers_and_sequences_are_no_contradiction() -> None:
    expected = {"followup": {"interval_months": [6, 12]}, "markers": {"tgr_percent_per_month": 4.39}}
    given = {"followup": {"interval_months": (6.0, 12)}, "markers": {"tgr_percent_per_month": 4.3876}}
    assert mismatches(example(**expected), given) == []


def test_local_codes_are_the_names_of_facts() -> None:
    observation = chart({"liver_involvement_percent": 30}, [])[1]
    assert observation["code"]["coding"][0]["system"] == LOCAL
    assert observation["code"]["coding"][0]["code"] == FACTS["liver_involvement_percent"].code
    assert observation["valueQuantity"]["code"] == "%"
