"""From FHIR R4 to facts: what each resource says, what is refused, and how sources are settled."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any, Final

import msgspec
import pytest
from fhir.resources.R4B import get_fhir_model_class

from cds_service.domain.facts import FACTS, FactSpec, Kind, TumourGrowth
from cds_service.domain.findings import PatientFacts, Skipped, ValueRange
from cds_service.errors import UnsupportedFhirVersion
from cds_service.knowledge import load_knowledge
from fhir_profiles.derived import ckd_epi_2021
from fhir_profiles.facts import read_chart
from fhir_profiles.inputs import quick_tests
from fhir_profiles.inputs.observations import relevant
from fhir_profiles.reading import labels
from fhir_profiles.terminology import load_terminology
from fhir_profiles.versions import refuse_older_versions
from tests.profiles.charts import (
    HOSTILE,
    MONTH,
    PATIENT,
    TODAY,
    Case,
    Resource,
    cases,
    coding,
    concept,
    day,
    local,
    local_word,
    observation,
    others,
    patient,
    pnet,
    quantity,
    read,
    read_pnet,
    resource,
    skips,
    sources,
)

CASES: Final = cases("standard", "diagnosis", "course", "safety")
EACH_FACT: Final = pytest.mark.parametrize("name", list(FACTS))
DURATIONS: Final = frozenset(
    {
        "months_since_resection",
        "months_since_last_imaging",
        "months_since_last_sstr_imaging",
        "days_since_same_procedure",
    }
)
"""Facts that grow older by themselves."""
NOBODY: Final = patient(birthDate=None, gender=None)
"""A Patient of whom only the id is known."""


def _value(value: Any) -> Any:
    return TumourGrowth(**value) if isinstance(value, dict) else value


def _same(actual: Any, expected: Any) -> bool:
    if isinstance(expected, float) and isinstance(actual, float):
        return actual == pytest.approx(expected, rel=1e-9)
    return type(actual) is type(expected) and bool(actual == expected)


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


# --- the cases --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_reads_what_the_case_says(case: Case) -> None:
    """Facts, what was set aside and why, and the sources that lost are as the case tells."""
    chart = case.read()
    found = {name: getattr(chart.facts, name) for name in case.facts}
    wrong = {name: found[name] for name, value in case.facts.items() if not _same(found[name], _value(value))}
    assert not wrong, f"expected {case.facts}; skipped: {chart.skipped}"
    for source, word in case.skipped.items():
        assert any(word in entry.reason for entry in skips(chart, source)), chart.skipped
    for fact, values in case.others.items():
        assert others(chart, fact) == [_tuple(value) for value in values]
    for fact, how in case.how.items():
        assert {item.how for item in chart.evidence[fact]} == {how}
    for fact, limits in case.ranges.items():
        assert [_range(chart, fact).low, _range(chart, fact).high] == pytest.approx(limits)


def _range(chart: PatientFacts, fact: str) -> ValueRange:
    return next(item for item in chart.ranges if item.fact == fact)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_every_fact_has_evidence_and_every_report_a_stable_reason(case: Case) -> None:
    """Known facts, and only those, cite resource, way and name; reports name a resource and quote no data."""
    chart = case.read()
    known = {name for name in FACTS if getattr(chart.facts, name) is not None}
    assert set(chart.evidence) == known
    told = {f"{item['resourceType']}/{item['id']}" for item in case.resources} | {"Patient/p1", "Condition/pnet"}
    for name, items in chart.evidence.items():
        for item in items:
            assert item.source in told or (name, item.source) == ("nen_status", "Condition")
            assert item.how in ("coded", "local-code", "text", "derived")
            assert item.label
    for entry in chart.skipped:
        assert entry.source in told
        assert entry.reason
        assert not any(character.isdigit() for character in re.sub(r"d[12]-mm", "", entry.reason))
        assert entry.fact in ("", *FACTS)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_cases_are_r4(case: Case) -> None:
    """A case that does not say it is damaged holds valid R4 resources."""
    for told in case.told:
        get_fhir_model_class(told["resourceType"]).model_validate(told)


# --- every fact by its own code ---------------------------------------------------------------------------------------


def said(spec: FactSpec, value: Any) -> Resource:
    """The members with which an Observation says a value of a fact."""
    if spec.kind is Kind.FLAG:
        return {"valueBoolean": value}
    if spec.kind is Kind.NUMBER:
        return {"valueQuantity": quantity(value, spec.unit)}
    if spec.kind is Kind.WORD:
        return {"valueCodeableConcept": local_word(value)}
    if spec.kind is Kind.GROWTH:
        parts = {"d1-mm": (value.d1_mm, "mm"), "d2-mm": (value.d2_mm, "mm"), "months": (value.months, "mo")}
        return {"component": [_part(name, *part) for name, part in parts.items()]}
    if not value:
        return {"valueCodeableConcept": local_word("none")}
    code = concept(f"@local|{spec.code}")
    return {"component": [{"code": code, "valueCodeableConcept": local_word(word)} for word in value]}


def _part(name: str, value: float, unit: str) -> Resource:
    return {"code": concept(f"@local|{name}"), "valueQuantity": quantity(value, unit)}


def values(spec: FactSpec) -> list[Any]:
    """Every word, both truths, two numbers, the empty list and others: at least two values."""
    if spec.kind is Kind.FLAG:
        return [True, False]
    if spec.kind is Kind.WORD:
        return list(spec.words)
    if spec.kind is Kind.NUMBER:
        return [2.0, 3.0]
    if spec.kind is Kind.GROWTH:
        return [TumourGrowth(40.0, 46.5, 6.0), TumourGrowth(50.0, 40.0, 3.5)]
    words = sorted(spec.words) or ["liver", "retroperitoneum"]
    return [(), (words[0],), tuple(words)]


def aged(spec: FactSpec, value: Any, days: int) -> Any:
    """What a value stated so many days ago means today."""
    if spec.name not in DURATIONS:
        return value
    return value + (days if spec.unit == "d" else days / MONTH)


VALUES: Final = [(spec.name, value) for spec in FACTS.values() for value in values(spec)]


@pytest.mark.parametrize(("name", "value"), VALUES, ids=[f"{name}={value}" for name, value in VALUES])
def test_every_fact_can_be_said_with_its_own_code(name: str, value: Any) -> None:
    """An Observation with the fact's local code gives every value of its vocabulary, with its evidence."""
    spec = FACTS[name]
    given = local(spec.code, id="said", **said(spec, value))
    chart = read_pnet(given, person=NOBODY)
    assert _same(getattr(chart.facts, name), aged(spec, value, 10))
    assert "Observation/said" in sources(chart, name)
    assert {item.how for item in chart.evidence[name] if item.source == "Observation/said"} == {"local-code"}
    assert not chart.skipped
    get_fhir_model_class("Observation").model_validate(given)


@EACH_FACT
def test_newest_wins_and_the_loser_is_told(name: str) -> None:
    """Of two dated statements the newer is the fact; the older stays as an alternative unless values are a series."""
    spec = FACTS[name]
    old, new = values(spec)[:2]
    older = local(spec.code, id="older", effectiveDateTime=day(-20), **said(spec, old))
    newer = local(spec.code, id="newer", effectiveDateTime=day(-5), **said(spec, new))
    for order in ((older, newer), (newer, older)):
        chart = read_pnet(*order, person=NOBODY)
        assert _same(getattr(chart.facts, name), aged(spec, new, 5))
        assert "Observation/newer" in sources(chart, name)
        assert "Observation/older" not in sources(chart, name)
        told = [item.evidence.source for item in chart.alternatives if item.fact == name]
        assert ("Observation/older" in told) is not spec.series


@EACH_FACT
def test_undated_loses_to_dated(name: str) -> None:
    """A statement without a date never beats a dated one, however old that is allowed to be."""
    spec = FACTS[name]
    one, other = values(spec)[:2]
    undated = local(spec.code, id="undated", effectiveDateTime=None, **said(spec, one))
    dated = local(spec.code, id="dated", effectiveDateTime=day(-50), **said(spec, other))
    for order in ((undated, dated), (dated, undated)):
        chart = read_pnet(*order, person=NOBODY)
        assert _same(getattr(chart.facts, name), aged(spec, other, 50))


@pytest.mark.parametrize("name", sorted(FACTS.keys() - DURATIONS))
def test_agreeing_sources_are_all_evidence(name: str) -> None:
    """Two sources of one value are both cited and make no alternative."""
    spec = FACTS[name]
    value = values(spec)[-1]
    one = local(spec.code, id="one", **said(spec, value))
    two = local(spec.code, id="two", effectiveDateTime=day(-3), **said(spec, value))
    chart = read_pnet(one, two, person=NOBODY)
    cited = sources(chart, name)
    assert "Observation/two" in cited
    assert spec.series or "Observation/one" in cited
    assert value not in others(chart, name)


# --- what cannot be used ----------------------------------------------------------------------------------------------

Damage = Callable[[Resource], Resource]
_VALUES: Final = (
    "valueQuantity",
    "valueCodeableConcept",
    "valueBoolean",
    "valueString",
    "valueRange",
    "valueInteger",
    "component",
    "referenceRange",
    "interpretation",
)


def _without_value(given: Resource) -> Resource:
    return {key: item for key, item in given.items() if key not in _VALUES}


def _with(**members: Any) -> Damage:
    return lambda given: given | members


def _instead(**members: Any) -> Damage:
    return lambda given: _without_value(given) | members


VOID: Final[dict[str, tuple[Damage, str]]] = {
    "entered in error": (_with(status="entered-in-error"), "entered-in-error"),
    "cancelled": (_with(status="cancelled"), "cancelled"),
    "value absent": (_instead(dataAbsentReason=concept("@absent|unknown")), "absent"),
    "value absent although there": (_with(dataAbsentReason=concept("@absent|error")), "absent"),
    "in the future": (_with(effectiveDateTime=day(1)), "future"),
}
EMPTY: Final[dict[str, Damage]] = {
    "no value": _instead(),
    "quantity of the wrong type": _instead(valueQuantity="4 %"),
    "quantity in a list": _instead(valueQuantity=[quantity(4, "%")]),
    "concept of the wrong type": _instead(valueCodeableConcept="purple"),
    "concept of numbers": _instead(valueCodeableConcept={"coding": [7], "text": 7}),
    "components of the wrong type": _instead(component="none"),
    "words of no vocabulary": _instead(valueString="purple"),
    "a concept of no vocabulary": _instead(valueCodeableConcept=local_word("purple")),
}
NO_NUMBER: Final[dict[str, Damage]] = {
    "unit of something else": _instead(valueQuantity=quantity(4, "kg")),
    "negative": _instead(valueQuantity=quantity(-4, "%")),
    "number in words": _instead(valueString="four"),
    "value is no number": _instead(valueQuantity={"value": "four", "unit": "%", "code": "%"}),
    "value is true": _instead(valueQuantity={"value": True, "unit": "%", "code": "%"}),
    "value is infinite": _instead(valueQuantity=quantity(math.inf, "%")),
    "value is not a number": _instead(valueQuantity=quantity(math.nan, "%")),
    "comparator unheard of": _instead(valueQuantity=quantity(4, "%", comparator="~")),
    "range upside down": _instead(valueRange={"low": quantity(9, "%"), "high": quantity(2, "%")}),
    "range without limits": _instead(valueRange={}),
}

_UPPER: Final = {"referenceRange": [{"high": quantity(120, "U/L")}]}
STANDARD: Final[dict[str, tuple[str, Resource]]] = {
    "Ki-67": ("ki67_percent", observation("@loinc|29593-1", valueQuantity=quantity(4, "%"))),
    "size": ("size_mm", observation("@loinc|33728-7", valueQuantity=quantity(23, "mm"))),
    "mitoses": ("mitoses", observation("@local|mitotic-rate", valueQuantity=quantity(3, "/mm2"))),
    "grade": ("stated_grade", observation("@loinc|33732-9", valueString="G2")),
    "T": ("recorded_t", observation("@loinc|21905-5", valueString="cT2")),
    "N": ("nodes", observation("@sct|371494008", valueString="pN1")),
    "M": ("metastases", observation("@loinc|21907-1", valueString="cM0")),
    "stage": ("recorded_stage", observation("@loinc|21908-9", valueString="Stage IV")),
    "disease status": ("last_imaging_result", observation("@loinc|97509-4", valueString="Stable disease")),
    "alkaline phosphatase": (
        "alp_elevated",
        observation("@loinc|6768-6", valueQuantity=quantity(212, "U/L"), **_UPPER),
    ),
    "creatinine": ("egfr", observation("@loinc|2160-0", valueQuantity=quantity(1.2, "mg/dL"))),
    "eGFR": ("egfr", observation("@loinc|98979-8", valueQuantity=quantity(48, "mL/min/{1.73_m2}"))),
    "pregnancy status": (
        "pregnant",
        observation("@loinc|82810-3", valueCodeableConcept=concept("@sct|77386006")),
    ),
    "diffusion": ("adc_mm2_per_s", observation("@dcm|113041", valueQuantity=quantity(0.0009, "mm2/s"))),
    "Krenning score": ("krenning", observation("@local|krenning-score", valueQuantity=quantity(3, "{score}"))),
    "liver-dominant": ("disease_dominance", observation("@local|liver-dominant-disease", valueBoolean=True)),
}
_MEASURED: Final = ("Ki-67", "size", "mitoses", "creatinine", "eGFR", "diffusion", "Krenning score")


@pytest.mark.parametrize("study", list(STANDARD))
def test_the_undamaged_observation_is_read(study: str) -> None:
    """Each Observation that the following tests damage gives its fact as long as it is whole."""
    fact, given = STANDARD[study]
    chart = read_pnet(given)
    assert getattr(chart.facts, fact) is not None
    assert not chart.skipped


def _unusable(fact: str, given: Resource, damage: Damage, word: str) -> None:
    chart = read_pnet(damage(given | {"id": "damaged"}))
    assert getattr(chart.facts, fact) is None
    assert fact not in chart.evidence
    reasons = [entry.reason for entry in skips(chart, "Observation/damaged")]
    assert reasons
    assert any(word in reason for reason in reasons)


@pytest.mark.parametrize("kind", list(VOID))
@pytest.mark.parametrize("study", list(STANDARD))
def test_void_observations_are_unknown_and_told(study: str, kind: str) -> None:
    """CH-060: an Observation taken back, without a value or from the future gives no fact, and the
    reason is reported.
    """
    _unusable(*STANDARD[study], *VOID[kind])


@pytest.mark.parametrize("kind", list(EMPTY))
@pytest.mark.parametrize("study", list(STANDARD))
def test_unreadable_values_are_unknown_and_told(study: str, kind: str) -> None:
    """A value missing, of a wrong type or outside the vocabulary gives no fact, and the Observation is reported."""
    _unusable(*STANDARD[study], EMPTY[kind], "")


@pytest.mark.parametrize("study", _MEASURED)
def test_negative_numbers_are_unknown_and_told(study: str) -> None:
    """A measurement below zero gives no fact although its unit is right."""
    unit = STANDARD[study][1]["valueQuantity"]["code"]
    _unusable(*STANDARD[study], _instead(valueQuantity=quantity(-4, unit)), "")


@pytest.mark.parametrize("kind", list(NO_NUMBER))
@pytest.mark.parametrize("study", _MEASURED)
def test_impossible_numbers_are_unknown_and_told(study: str, kind: str) -> None:
    """A measurement with a wrong unit, sign or no number gives no fact, and the Observation is reported."""
    _unusable(*STANDARD[study], NO_NUMBER[kind], "")


@pytest.mark.parametrize("kind", list(VOID))
@EACH_FACT
def test_void_statements_are_unknown_and_told(name: str, kind: str) -> None:
    """The same for every fact said with its own code; the report names the fact."""
    spec = FACTS[name]
    damage, word = VOID[kind]
    chart = read(pnet(), damage(local(spec.code, id="damaged", **said(spec, values(spec)[-1]))))
    assert "Observation/damaged" not in sources(chart, name)
    assert [entry.fact for entry in skips(chart, "Observation/damaged")] == [name]
    assert word in skips(chart, "Observation/damaged")[0].reason


UNREADABLE: Final = [
    (spec.name, kind)
    for spec in FACTS.values()
    for kind in EMPTY
    if spec.kind is not Kind.WORDS or spec.words or kind != "a concept of no vocabulary"
]
"""An open list takes any word."""


@pytest.mark.parametrize(("name", "kind"), UNREADABLE)
def test_unreadable_statements_are_unknown_and_told(name: str, kind: str) -> None:
    """A statement without a value of the fact's kind is reported with the fact it would have given."""
    spec = FACTS[name]
    chart = read(pnet(), EMPTY[kind](local(spec.code, id="damaged", **said(spec, values(spec)[-1]))))
    assert "Observation/damaged" not in sources(chart, name)
    assert name in [entry.fact for entry in skips(chart, "Observation/damaged")]


@pytest.mark.parametrize("kind", list(NO_NUMBER))
@pytest.mark.parametrize("name", [spec.name for spec in FACTS.values() if spec.kind is Kind.NUMBER])
def test_impossible_statements_of_numbers_are_unknown_and_told(name: str, kind: str) -> None:
    """A stated number with a wrong unit or sign is reported with the fact it would have given."""
    spec = FACTS[name]
    chart = read(pnet(), NO_NUMBER[kind](local(spec.code, id="damaged", **said(spec, 3.0))))
    assert "Observation/damaged" not in sources(chart, name)
    assert name in [entry.fact for entry in skips(chart, "Observation/damaged")]


@pytest.mark.parametrize(
    ("name", "value"), [("liver_involvement_percent", 140.0), ("liver_tumour_share_percent", 101.0), ("krenning", 9.0)]
)
def test_numbers_outside_physical_limits_are_told(name: str, value: float) -> None:
    """More than all of the liver, or a score the scale does not have, is not used."""
    chart = read_pnet(local(FACTS[name].code, id="damaged", **said(FACTS[name], value)))
    assert getattr(chart.facts, name) is None
    assert name in [entry.fact for entry in skips(chart, "Observation/damaged")]


def test_none_beside_other_words_is_no_list() -> None:
    """A list that holds "none" and something else contradicts itself."""
    parts = [
        {"code": concept("@local|metastases"), "valueCodeableConcept": local_word(word)} for word in ("none", "liver")
    ]
    chart = read_pnet(local("metastases", id="damaged", component=parts))
    assert chart.facts.metastases is None
    assert [entry.fact for entry in skips(chart, "Observation/damaged")] == ["metastases"]


def test_one_word_makes_a_list_too() -> None:
    """A list of one element may stand as a plain value."""
    chart = read_pnet(local("current-treatments", valueCodeableConcept=local_word("prrt")))
    assert chart.facts.current_treatments == ("prrt",)


def test_codings_of_one_observation_that_disagree_are_not_used() -> None:
    """An Observation coded as two different measurements is reported and gives neither."""
    code = {"coding": [coding("@loinc|29593-1"), coding("@loinc|98979-8")]}
    chart = read_pnet(resource("Observation", id="odd", code=code, valueQuantity=quantity(30, "%"), issued=day(-3)))
    assert chart.facts.ki67_percent is None
    assert chart.facts.egfr is None
    assert skips(chart, "Observation/odd")


def test_a_breast_index_does_not_grade_this_tumour() -> None:
    """Ki-67 coded for breast and taken from a breast is another tumour's."""
    given = observation(
        "@loinc|85330-9", id="breast", specimen={"display": "Left breast, core biopsy"}, valueQuantity=quantity(45, "%")
    )
    chart = read_pnet(given)
    assert chart.facts.ki67_percent is None
    assert skips(chart, "Observation/breast")


@pytest.mark.parametrize("status", ["final", "amended", "corrected", "preliminary", "registered", "unknown", "Final "])
def test_other_statuses_are_usable(status: str) -> None:
    """Only what was taken back is ignored; a preliminary value is a value."""
    chart = read_pnet(observation("@loinc|29593-1", status=status, valueQuantity=quantity(7, "%")))
    assert chart.facts.ki67_percent == 7.0


def test_a_final_result_goes_before_a_preliminary_one_of_its_day() -> None:
    """The preliminary report of the same day was provisional."""
    early = observation("@loinc|33732-9", id="early", status="preliminary", valueString="NET G3")
    final = observation("@loinc|33732-9", id="final", status="final", valueString="NET G1")
    chart = read_pnet(early, final)
    assert chart.facts.stated_grade == "G1"
    assert others(chart, "stated_grade") == ["G3"]


# --- numbers ----------------------------------------------------------------------------------------------------------

READINGS: Final[list[tuple[str, Resource, float | None, tuple[float, float] | None]]] = [
    # Ki-67: percent, fraction, range, comparator, text
    ("ki67", {"valueQuantity": quantity(12, "%")}, 12.0, None),
    ("ki67", {"valueQuantity": {"value": 12, "unit": "%"}}, 12.0, None),
    ("ki67", {"valueQuantity": {"value": 12, "unit": "percent"}}, 12.0, None),
    ("ki67", {"valueQuantity": quantity(0.12, "1")}, 12.0, None),
    ("ki67", {"valueQuantity": quantity(1, "1")}, 100.0, None),
    ("ki67", {"valueQuantity": quantity(0.02, "1")}, 2.0, None),
    ("ki67", {"valueQuantity": quantity(3, "1")}, None, None),
    ("ki67", {"valueQuantity": {"value": 12}}, 12.0, None),
    ("ki67", {"valueQuantity": {"value": 1}}, None, None),
    ("ki67", {"valueQuantity": {"value": 0.5}}, None, None),
    ("ki67", {"valueQuantity": {"value": 0}}, 0.0, None),
    ("ki67", {"valueInteger": 12}, 12.0, None),
    ("ki67", {"valueString": "12 %"}, 12.0, None),
    ("ki67", {"valueString": "12,5%"}, 12.5, None),
    ("ki67", {"valueString": "12"}, 12.0, None),
    ("ki67", {"valueString": "3-20 %"}, 3.0, (3.0, 20.0)),
    ("ki67", {"valueString": "3 – 20 %"}, 3.0, (3.0, 20.0)),
    ("ki67", {"valueString": "3 to 20 %"}, 3.0, (3.0, 20.0)),
    ("ki67", {"valueString": "15-20"}, 15.0, (15.0, 20.0)),
    ("ki67", {"valueString": "<3 %"}, 0.0, (0.0, math.nextafter(3, 0))),
    ("ki67", {"valueString": "< 3%"}, 0.0, (0.0, math.nextafter(3, 0))),
    ("ki67", {"valueString": "<3"}, 0.0, (0.0, math.nextafter(3, 0))),
    ("ki67", {"valueString": "<1"}, None, None),
    ("ki67", {"valueString": "≤2 %"}, 0.0, (0.0, 2.0)),
    ("ki67", {"valueString": ">20 %"}, math.nextafter(20, 21), (math.nextafter(20, 21), 100.0)),
    ("ki67", {"valueString": "≥ 55 %"}, 55.0, (55.0, 100.0)),
    ("ki67", {"valueString": "20-3 %"}, None, None),
    ("ki67", {"valueString": "about 12 %"}, None, None),
    ("ki67", {"valueCodeableConcept": {"text": "12 %"}}, 12.0, None),
    ("ki67", {"valueQuantity": quantity(3, "%", comparator="<")}, 0.0, (0.0, math.nextafter(3, 0))),
    ("ki67", {"valueQuantity": quantity(2, "%", comparator="<=")}, 0.0, (0.0, 2.0)),
    ("ki67", {"valueQuantity": quantity(20, "%", comparator=">=")}, 20.0, (20.0, 100.0)),
    ("ki67", {"valueRange": {"low": quantity(3, "%"), "high": quantity(20, "%")}}, 3.0, (3.0, 20.0)),
    ("ki67", {"valueRange": {"high": quantity(2, "%")}}, 0.0, (0.0, 2.0)),
    ("ki67", {"valueRange": {"low": quantity(20, "%")}}, 20.0, (20.0, 100.0)),
    ("ki67", {"valueRange": {"low": quantity(0.03, "1"), "high": quantity(0.2, "1")}}, 3.0, (3.0, 20.0)),
    # size
    ("size", {"valueQuantity": quantity(23, "mm")}, 23.0, None),
    ("size", {"valueQuantity": quantity(2.3, "cm")}, 23.0, None),
    ("size", {"valueQuantity": quantity(2.9, "cm")}, 29.0, None),
    ("size", {"valueQuantity": {"value": 2, "unit": "centimeter"}}, 20.0, None),
    ("size", {"valueQuantity": {"value": 23}}, None, None),
    ("size", {"valueQuantity": {"value": 0}}, 0.0, None),
    ("size", {"valueQuantity": quantity(1, "[in_i]")}, None, None),
    ("size", {"valueString": "2.3 cm"}, 23.0, None),
    ("size", {"valueString": "20-24 mm"}, 20.0, (20.0, 24.0)),
    ("size", {"valueQuantity": quantity(1, "cm", comparator="<")}, 0.0, (0.0, math.nextafter(1, 0) * 10)),
    ("size", {"valueInteger": 23}, None, None),
    # diffusion
    ("adc", {"valueQuantity": quantity(0.00095, "mm2/s")}, 0.00095, None),
    ("adc", {"valueQuantity": quantity(0.95, "10*-3.mm2/s")}, 0.00095, None),
    ("adc", {"valueQuantity": quantity(950, "um2/s")}, 0.00095, None),
    ("adc", {"valueQuantity": quantity(950, "10*-6.mm2/s")}, 0.00095, None),
    ("adc", {"valueQuantity": {"value": 0.95, "unit": "x10-3 mm2/s"}}, 0.00095, None),
    ("adc", {"valueQuantity": {"value": 0.95}}, None, None),
    # eGFR
    ("egfr", {"valueQuantity": quantity(48, "mL/min/{1.73_m2}")}, 48.0, None),
    ("egfr", {"valueQuantity": {"value": 48, "unit": "mL/min/1.73m2"}}, 48.0, None),
    ("egfr", {"valueQuantity": {"value": 48, "unit": "mL/min/1.73 m2"}}, 48.0, None),
    ("egfr", {"valueQuantity": quantity(48, "mL/min")}, 48.0, None),
    ("egfr", {"valueQuantity": quantity(60, "mL/min", comparator=">")}, math.nextafter(60, 61), None),
    ("egfr", {"valueString": ">60 mL/min/1.73 m2"}, math.nextafter(60, 61), (math.nextafter(60, 61), math.inf)),
    ("egfr", {"valueQuantity": {"value": 48}}, None, None),
    ("egfr", {"valueQuantity": quantity(48, "mL/h")}, None, None),
    # facts with their own code
    ("share", {"valueQuantity": quantity(60, "%")}, 60.0, None),
    ("share", {"valueQuantity": quantity(0.6, "1")}, 60.0, None),
    ("share", {"valueString": ">50 %"}, math.nextafter(50, 51), None),
    ("count", {"valueQuantity": quantity(3, "1")}, 3.0, None),
    ("count", {"valueInteger": 3}, 3.0, None),
    ("count", {"valueQuantity": quantity(3, "{lesions}")}, 3.0, None),
    ("count", {"valueQuantity": quantity(10, "1", comparator=">")}, math.nextafter(10, 11), None),
    ("count", {"valueQuantity": quantity(3, "mm")}, None, None),
    ("sum", {"valueQuantity": quantity(6.5, "cm")}, 65.0, None),
    ("sum", {"valueInteger": 65}, 65.0, None),
    ("interval", {"valueQuantity": quantity(6, "mo")}, 6.0, None),
    ("interval", {"valueQuantity": quantity(2, "a")}, 24.0, None),
    ("interval", {"valueQuantity": quantity(61, "d")}, 61 / MONTH, None),
    ("interval", {"valueQuantity": quantity(10, "wk")}, 70 / MONTH, None),
]
_CODES: Final = {
    "ki67": ("@loinc|29593-1", "ki67_percent"),
    "size": ("@loinc|21889-1", "size_mm"),
    "adc": ("@dcm|113041", "adc_mm2_per_s"),
    "egfr": ("@loinc|98979-8", "egfr"),
    "share": ("@local|liver-tumour-share-percent", "liver_tumour_share_percent"),
    "count": ("@local|liver-metastases-count", "liver_metastases_count"),
    "sum": ("@local|sum-liver-mets-mm", "sum_liver_mets_mm"),
    "interval": ("@local|months-resection-to-last-imaging", "months_resection_to_last_imaging"),
}


@pytest.mark.parametrize(("code", "value", "expected", "limits"), READINGS, ids=[f"{r[0]} {r[1]}" for r in READINGS])
def test_reads_units_comparators_and_ranges(
    code: str, value: Resource, expected: float | None, limits: tuple[float, float] | None
) -> None:
    """A number keeps its meaning through units, ranges and comparators; what leaves doubt is refused and told."""
    token, fact = _CODES[code]
    chart = read_pnet(observation(token, id="number", **value))
    actual = getattr(chart.facts, fact)
    if expected is None:
        assert actual is None
        assert [entry.fact or fact for entry in skips(chart, "Observation/number")] == [fact]
        return
    assert actual == pytest.approx(expected, rel=1e-12)
    ranges = [item for item in chart.ranges if item.fact == fact]
    if limits:
        assert (ranges[0].low, ranges[0].high) == pytest.approx(limits, rel=1e-12)


@pytest.mark.parametrize("below", [3.0, 20.0])
def test_strictly_below_excludes_the_limit(below: float) -> None:
    """``<3 %`` lies wholly below the limit of 3, so that it falls into one band."""
    chart = read_pnet(observation("@loinc|29593-1", valueQuantity=quantity(below, "%", comparator="<")))
    assert _range(chart, "ki67_percent").high < below
    above = read_pnet(observation("@loinc|29593-1", valueQuantity=quantity(below, "%", comparator=">")))
    assert _range(above, "ki67_percent").low > below


# --- dates ------------------------------------------------------------------------------------------------------------

_OLD: Final = observation("@loinc|29593-1", id="old", effectiveDateTime=day(-100), valueQuantity=quantity(1, "%"))


@pytest.mark.parametrize(
    "dated",
    [
        {"effectiveDateTime": day(-9)},
        {"effectiveDateTime": day(-9) + "T23:10:00+02:00"},
        {"effectivePeriod": {"start": day(-500), "end": day(-9)}},
        {"effectivePeriod": {"start": day(-9)}},
        {"effectiveInstant": day(-9) + "T08:00:00Z"},
        {"issued": day(-9) + "T08:00:00Z"},
        {"meta": {"lastUpdated": day(-9) + "T08:00:00Z"}},
        {"effectiveDateTime": "soon", "issued": day(-9) + "T08:00:00Z"},
        {"effectiveDateTime": "2026-02-30", "issued": day(-9) + "T08:00:00Z"},
        {"effectiveDateTime": 20261101, "issued": day(-9) + "T08:00:00Z"},
    ],
    ids=str,
)
def test_every_kind_of_date_counts(dated: Resource) -> None:
    """The effective date is the date, the end of the period, the instant, then issued, then the record's own."""
    given = observation(
        "@loinc|29593-1", id="new", valueQuantity=quantity(7, "%"), **({"effectiveDateTime": None} | dated)
    )
    chart = read_pnet(_OLD, given)
    assert chart.facts.ki67_percent == 7.0
    assert chart.evidence["ki67_percent"][0].date == day(-9)


def test_effective_date_goes_before_issued() -> None:
    """A late report of an old specimen is old."""
    late = observation(
        "@loinc|29593-1", effectiveDateTime=day(-900), issued=day(-1) + "T08:00:00Z", valueQuantity=quantity(7, "%")
    )
    assert read_pnet(_OLD, late).facts.ki67_percent == 1.0


@pytest.mark.parametrize("when", ["2026-11-21", "2026-12", "2027"])
def test_dates_wholly_in_the_future_are_refused(when: str) -> None:
    """What is yet to come says nothing about today."""
    chart = read_pnet(observation("@loinc|29593-1", id="new", effectiveDateTime=when, valueQuantity=quantity(7, "%")))
    assert chart.facts.ki67_percent is None
    assert "future" in skips(chart, "Observation/new")[0].reason


@pytest.mark.parametrize("when", ["2026-11-20", "2026-11", "2026", "2025"])
def test_partial_dates_that_may_be_past_are_used(when: str) -> None:
    """A year or month that has begun is a usable date, and is shown as recorded."""
    chart = read_pnet(observation("@loinc|29593-1", effectiveDateTime=when, valueQuantity=quantity(7, "%")))
    assert chart.facts.ki67_percent == 7.0
    assert chart.evidence["ki67_percent"][0].date == when


@pytest.mark.parametrize(("when", "status"), [("2026-09-22", False), ("2026-10", False), ("2026", None)])
def test_a_window_holds_only_what_lies_in_it_wholly(when: str, status: bool | None) -> None:
    """A pregnancy status counts when every day its date may mean lies within the window."""
    value = {"valueCodeableConcept": concept("@sct|60001007")}
    chart = read_pnet(observation("@loinc|82810-3", effectiveDateTime=when, **value))
    assert chart.facts.pregnant is status


@pytest.mark.parametrize("name", sorted(DURATIONS))
def test_a_stated_duration_counts_from_its_date(name: str) -> None:
    """Three months, said a hundred days ago, are three months and a hundred days."""
    spec = FACTS[name]
    chart = read_pnet(local(spec.code, effectiveDateTime=day(-100), **said(spec, 3.0)))
    assert getattr(chart.facts, name) == pytest.approx(aged(spec, 3.0, 100))


def test_a_duration_stated_on_a_vague_date_is_a_range() -> None:
    """Three months, said at some day of September, leave a range of a month."""
    chart = read_pnet(local("months-since-resection", effectiveDateTime="2026-09", valueQuantity=quantity(3, "mo")))
    limits = _range(chart, "months_since_resection")
    assert limits.low == pytest.approx(3 + 51 / MONTH)
    assert limits.high == pytest.approx(3 + 80 / MONTH)


def test_an_interval_between_events_does_not_age() -> None:
    """The time from operation to last imaging stays what it was."""
    chart = read_pnet(
        local("months-resection-to-last-imaging", effectiveDateTime=day(-100), valueQuantity=quantity(3, "mo"))
    )
    assert chart.facts.months_resection_to_last_imaging == 3.0


def test_the_birth_date_goes_before_a_stated_age() -> None:
    """An age that was noted is older than one reckoned today."""
    chart = read_pnet(local("age-years", valueQuantity=quantity(40, "a")))
    assert chart.facts.age_years == 66.0


@pytest.mark.parametrize(
    ("born", "today", "age"),
    [
        ("1960-11-20", date(2026, 11, 20), 66.0),
        ("1960-11-21", date(2026, 11, 20), 65.0),
        ("2000-02-29", date(2026, 2, 28), 25.0),
        ("2000-02-29", date(2026, 3, 1), 26.0),
        ("1960-11", date(2026, 11, 20), None),
        ("1960-12", date(2026, 11, 20), 65.0),
        ("2026-11-20", date(2026, 11, 20), 0.0),
    ],
)
def test_age_is_in_completed_years(born: str, today: date, age: float | None) -> None:
    """A birthday counts on its day; a partial birth date only where every day it may mean gives one age."""
    assert read(patient(birthDate=born), pnet(), today=today).facts.age_years == age


# --- kidney -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("creatinine", "age", "female", "published"),
    [
        # rounded as calculators of the National Kidney Foundation and others show them
        (1.2, 55, False, 71.0),
        (1.8, 55, False, 43.9),
        (1.8, 55, True, 32.9),
        (1.14, 34, False, 86.5),
        (0.8, 60, True, 84.3),
        (0.9, 40, False, 110.7),
        (0.7, 55, True, 102.1),
    ],
)
def test_creatinine_equation_gives_published_values(
    creatinine: float, age: int, female: bool, published: float
) -> None:
    """CKD-EPI 2021 without race agrees with published values, from mg/dL and from µmol/L."""
    digits = 0 if published == round(published) else 1
    assert round(ckd_epi_2021(creatinine, age, female=female), digits) == published
    born = patient(gender="female" if female else "male", birthDate=f"{TODAY.year - age}-01-01")
    for value, unit, code in ((creatinine, "mg/dL", "2160-0"), (creatinine * 88.42, "umol/L", "14682-9")):
        given = observation(f"@loinc|{code}", valueQuantity=quantity(value, unit))
        chart = read(born, pnet(), given)
        assert chart.facts.egfr == pytest.approx(published, abs=0.6 if digits == 0 else 0.06)
        assert chart.evidence["egfr"][0].how == "derived"


@pytest.mark.parametrize("female", [False, True])
@pytest.mark.parametrize("age", [18, 50, 90])
@pytest.mark.parametrize("creatinine", [0.3, 0.699, 0.7, 0.9, 0.901, 4.0])
def test_creatinine_equation_agrees_with_its_logarithm(creatinine: float, age: int, female: bool) -> None:
    """The equation, worked out independently in logarithms on both sides of its knee."""
    knee, flat = (0.7, -0.241) if female else (0.9, -0.302)
    slope = flat if creatinine <= knee else -1.2
    logarithm = math.log10(142) + slope * (math.log10(creatinine) - math.log10(knee)) + age * math.log10(0.9938)
    expected = 10 ** (logarithm + (math.log10(1.012) if female else 0))
    assert ckd_epi_2021(creatinine, age, female=female) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("unit", ["umol/L", "\u00b5mol/L", "umol/l"])
def test_the_signs_for_micro_are_understood(unit: str) -> None:
    """Micro sign and plain u mean the same unit."""
    given = observation("@loinc|14682-9", valueQuantity={"value": 106.104, "unit": unit})
    assert read_pnet(given).facts.egfr == pytest.approx(ckd_epi_2021(1.2, 66, female=False), rel=1e-3)


def test_creatinine_with_a_comparator_is_not_derived_from() -> None:
    """An equation needs a number, not a limit."""
    given = observation("@loinc|2160-0", valueQuantity=quantity(0.2, "mg/dL", comparator="<"))
    assert read_pnet(given).facts.egfr is None


def test_the_highest_creatinine_of_the_day_is_used() -> None:
    """Two values of one day: the safer, lower clearance."""
    one, two = (
        observation("@loinc|2160-0", id=f"c{value}", valueQuantity=quantity(value, "mg/dL")) for value in (1.0, 1.4)
    )
    assert read_pnet(one, two).facts.egfr == pytest.approx(ckd_epi_2021(1.4, 66, female=False))


# --- whose data, which version ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "subject",
    [
        {"reference": "Patient/p1"},
        {"reference": "https://ehr.example.org/fhir/Patient/p1"},
        {"reference": "https://ehr.example.org/fhir/Patient/p1/_history/4"},
        {"reference": "Patient/p1/_history/4"},
        {"reference": "urn:uuid:p1"},
        {"identifier": {"system": "https://ehr.example.org/mrn", "value": "1"}},
        None,
    ],
    ids=str,
)
def test_every_spelling_of_the_patient_is_understood(subject: Resource | None) -> None:
    """Relative, absolute and versioned references to the patient of the call, and none at all."""
    given = observation("@loinc|29593-1", subject=subject, valueQuantity=quantity(7, "%"))
    chart = read_pnet(given)
    assert chart.facts.ki67_percent == 7.0
    assert not chart.skipped


@pytest.mark.parametrize(
    "subject",
    ["Patient/p2", "https://ehr.example.org/fhir/Patient/p11", "Group/p1", "Patient/P1", "XPatient/p1", "p1"],
)
def test_another_patients_data_is_an_error(subject: str) -> None:
    """A resource about anyone else is never used and is reported."""
    given = observation("@loinc|29593-1", id="foreign", subject={"reference": subject}, valueQuantity=quantity(7, "%"))
    chart = read_pnet(given)
    assert chart.facts.ki67_percent is None
    assert "another patient" in skips(chart, "Observation/foreign")[0].reason


@pytest.mark.parametrize("kind", ["AllergyIntolerance", "Device"])
def test_another_patients_allergy_or_device_is_an_error(kind: str) -> None:
    """The same where the element is called ``patient``."""
    given = resource(kind, id="foreign", patient={"reference": "Patient/p2"}, code="@sct|426722004")
    chart = read_pnet(given)
    assert (chart.facts.iodinated_allergy, chart.facts.implant) == (None, None)
    assert "another patient" in skips(chart, f"{kind}/foreign")[0].reason


def test_another_patient_is_not_the_patient() -> None:
    """Age and sex come from the patient of the call only; the report does not name the other one."""
    ours, other = (
        patient(gender="female"),
        patient(id="p2", gender="male", birthDate="1930-01-01", deceasedBoolean=True),
    )
    chart = read(ours, other, pnet())
    assert (chart.facts.age_years, chart.facts.sex, chart.deceased) == (66.0, "female", False)
    assert [entry.source for entry in chart.skipped] == ["Patient"]


@pytest.mark.parametrize("dead", [{"deceasedBoolean": True}, {"deceasedDateTime": "2026-10-01"}])
def test_a_death_is_seen(dead: Resource) -> None:
    """A patient who has died is marked, so that no card is shown."""
    assert read(patient(**dead), pnet()).deceased
    assert not read(patient(deceasedBoolean=False), pnet()).deceased


def test_of_two_versions_the_newer_counts() -> None:
    """A resource that arrives twice is read once, in its later version."""
    old, new = (
        observation(
            "@loinc|29593-1", id="same", meta={"lastUpdated": f"2026-0{n}-01T00:00:00Z"}, valueQuantity=quantity(n, "%")
        )
        for n in (4, 8)
    )
    for order in ((old, new), (new, old)):
        chart = read_pnet(*order)
        assert chart.facts.ki67_percent == 8.0
        assert not others(chart, "ki67_percent")


def test_a_whole_resource_counts_before_a_summary() -> None:
    """Also where the summary was made later: what was left out of it says nothing."""
    tag = {"tag": [{"code": "SUBSETTED"}]}
    whole = observation("@loinc|29593-1", id="same", valueQuantity=quantity(4, "%"))
    summary = observation("@loinc|29593-1", id="same", meta=tag | {"lastUpdated": "2026-08-01T00:00:00Z"})
    for order in ((whole, summary), (summary, whole)):
        assert read_pnet(*order).facts.ki67_percent == 4.0


def test_order_and_repetition_change_nothing() -> None:
    """The same resources in another order, or twice, give the same answer."""
    case = next(case for case in CASES if case.name == "standard: metastases by site")
    given = [patient(), pnet(), *case.resources, local("krenning", valueQuantity=quantity(3, "1"))]
    assert read(*given) == read(*reversed(given)) == read(*given, *copy.deepcopy(given))


# --- not known and none -----------------------------------------------------------------------------------------------


def test_without_a_sign_the_status_is_none_only_when_all_was_received() -> None:
    """No tumour in a complete chart is "none"; in an incomplete one it is unknown."""
    harmless = resource("Condition", code={"text": "Essential hypertension"})
    assert read(patient(), harmless).facts.nen_status == "none"
    assert not read(patient(), harmless).nen_evidence
    assert read(patient(), harmless, complete=False).facts.nen_status is None


def test_an_incomplete_chart_still_shows_what_it_holds() -> None:
    """A tumour on record counts although other inputs are missing."""
    chart = read(patient(), pnet(), complete=False)
    assert chart.facts.nen_status == "confirmed"
    assert chart.nen_evidence


def test_a_condition_of_someone_else_leaves_the_status_open() -> None:
    """What a foreign Condition stands in for is unknown; other foreign resources hide no tumour."""
    elsewhere = {"reference": "Patient/p2"}
    assert read(patient(), pnet(subject=elsewhere)).facts.nen_status is None
    other = observation("@loinc|29593-1", subject=elsewhere, valueQuantity=quantity(7, "%"))
    assert read(patient(), other).facts.nen_status == "none"


def test_other_tumours_are_no_evidence_of_this_one() -> None:
    """An adenocarcinoma is out of scope like any other disease."""
    chart = read(patient(), resource("Condition", code="@sct|1651000119109"))
    assert chart.facts.nen_status == "other-tumour"
    assert not chart.nen_evidence


def test_an_empty_chart_is_all_unknown() -> None:
    """Beside the derived "none", nothing is known of nobody."""
    chart = read()
    assert {name for name in FACTS if getattr(chart.facts, name) is not None} == {"nen_status"}


def test_days_since_are_counted_per_study() -> None:
    """Exactly dated studies are remembered by procedure key, the latest of each; vague dates are not."""
    chart = read_pnet(
        resource("DiagnosticReport", id="a", code="@loinc|36813-4", effectiveDateTime=day(-61)),
        resource("Procedure", id="b", code="@cpt|74177", performedDateTime=day(-12)),
        resource("ImagingStudy", id="c", procedureCode=["@loinc|97392-5"], started=day(-30)),
        resource("DiagnosticReport", id="d", code="@loinc|29252-4", effectiveDateTime="2026-10"),
    )
    assert chart.days_since == {"ct-abd-pel-w": 12.0, "mri-abd-pel-wwo": 30.0}


def test_ki67_is_read_although_the_specimen_resource_is_elsewhere() -> None:
    """A specimen that was not supplied leaves the primary tumour as the assumption."""
    given = observation("@loinc|29593-1", specimen={"reference": "Specimen/s"}, valueQuantity=quantity(7, "%"))
    chart = read_pnet(given)
    assert (chart.facts.ki67_percent, chart.facts.ki67_specimen) == (7.0, None)


# --- reviewed texts ---------------------------------------------------------------------------------------------------

CONDITIONS: Final = [(phrase, label.facts) for label in labels().condition for phrase in label.phrases]
MEDICINES: Final = [(phrase, label.concept) for label in labels().medication for phrase in label.phrases]
ALLERGENS: Final = [(text, label.allergens) for label in labels().allergen for text in (*label.phrases, *label.names)]
TUMOURS: Final = [(phrase, label.facts) for label in labels().tumour for phrase in label.phrases]
SITES: Final = [(phrase, label.value) for label in labels().site for phrase in label.phrases]
MEASUREMENTS: Final = [(name, label.concept) for label in labels().observation for name in label.names]


@pytest.mark.parametrize(("phrase", "facts"), CONDITIONS, ids=[phrase for phrase, _ in CONDITIONS])
def test_every_reviewed_condition_is_understood(phrase: str, facts: Resource) -> None:
    """A Condition called so gives its fact; denied, doubted, past or of another person it does not."""
    for written, expected in (
        (phrase, True),
        (phrase.upper(), True),
        (f"Patient with {phrase}, under control", True),
        (f"No {phrase}", False),
        (f"Rule out {phrase}", False),
        (f"Possible {phrase}", False),
        (f"History of {phrase}", False),
        (f"Family history: {phrase}", False),
        (f"Mother: {phrase}", False),
        (f"x{phrase}x", False),
    ):
        chart = read_pnet(resource("Condition", code={"text": written}, clinicalStatus="@clin|active"))
        for name, value in facts.items():
            assert getattr(chart.facts, name) == (value if expected else None), written


@pytest.mark.parametrize(("phrase", "key"), MEDICINES, ids=[phrase for phrase, _ in MEDICINES])
def test_every_reviewed_medicine_is_understood(phrase: str, key: str) -> None:
    """A medicine called so is the one of its concept, in any case and among other words."""
    row = load_terminology().concepts[key]
    for written in (phrase, f"{phrase.title()} 30 mg injection"):
        chart = read_pnet(resource("MedicationStatement", medicationCodeableConcept={"text": written}))
        assert chart.facts.current_treatments == ((row.treatment,) if row.treatment else None)
        assert chart.facts.metformin == (True if row.facts else None)
    nothing = read_pnet(resource("MedicationStatement", medicationCodeableConcept={"text": f"x{phrase}x"}))
    assert (nothing.facts.current_treatments, nothing.facts.metformin) == (None, None)


@pytest.mark.parametrize(("written", "allergens"), ALLERGENS, ids=[text for text, _ in ALLERGENS])
def test_every_reviewed_allergen_is_understood(written: str, allergens: list[str]) -> None:
    """An allergy called so is one to its class of contrast media; denied it is none."""
    for text, value in ((written, "mild"), (f"{written.upper()}.", "mild"), (f"No {written} allergy", None)):
        facts = read_pnet(resource("AllergyIntolerance", code={"text": text})).facts
        for name in ("iodinated_allergy", "gadolinium_allergy"):
            assert getattr(facts, name) == (value if name in allergens else None), text


SUBSTANCES: Final = [
    (row.display.partition(" (")[0], tuple(row.allergens or entry.allergens))
    for entry in load_terminology().concepts.values()
    for row in entry.codes
    if row.system in ("sct", "rxnorm") and (row.allergens or entry.allergens)
]


@pytest.mark.parametrize(("name", "allergens"), SUBSTANCES, ids=[name for name, _ in SUBSTANCES])
def test_substances_known_by_code_are_known_by_name(name: str, allergens: tuple[str, ...]) -> None:
    """An allergy to a medium that has a code here is also understood when only its name is written."""
    facts = read_pnet(resource("AllergyIntolerance", code={"text": name}, clinicalStatus="@aclin|active")).facts
    assert {fact for fact in ("iodinated_allergy", "gadolinium_allergy") if getattr(facts, fact)} == set(allergens)


@pytest.mark.parametrize(("phrase", "facts"), TUMOURS, ids=[phrase for phrase, _ in TUMOURS])
def test_every_reviewed_tumour_is_understood(phrase: str, facts: Resource) -> None:
    """A tumour called so counts as known with an organ, as suspected in doubt, and not at all when denied."""
    for written, status in (
        (f"{phrase} of the pancreas", "confirmed"),
        (f"Suspected {phrase} of the pancreas", "highly-suspected"),
        (f"Pancreas: no {phrase}", "none"),
        (f"Family history of {phrase}, pancreas", "none"),
    ):
        chart = read(patient(), resource("Condition", code={"text": written}))
        assert chart.facts.nen_status == status, written
        if status == "confirmed":
            assert chart.facts.primary_site == facts.get("primary_site", "pancreas")
            assert chart.facts.functional_syndrome == facts.get("functional_syndrome")


@pytest.mark.parametrize(
    "written",
    [
        "Pancreatic neuroendocrine tumor without metastases",
        "Neuroendocrine tumour of the pancreas, no lymph node involvement",
        "History of pancreatic NET, no evidence of disease",
        "Insulinoma, not resectable",
    ],
)
def test_a_denial_of_something_else_does_not_hide_the_tumour(written: str) -> None:
    """Words that deny metastases or recurrence behind the tumour's name do not make the patient free of it."""
    chart = read(patient(), resource("Condition", code={"text": written}, clinicalStatus="@clin|active"))
    assert chart.facts.nen_status in ("confirmed", "highly-suspected")


@pytest.mark.parametrize(
    "written",
    [
        "No pancreatic neuroendocrine tumor",
        "No evidence of insulinoma",
        "Patient without pancreatic NET",
        "Pancreatic NET excluded",
        "Insulinoma was ruled out",
        "Negative for neuroendocrine neoplasm of pancreas",
    ],
)
def test_a_denial_of_the_tumour_is_heeded(written: str) -> None:
    """Before or behind the name, a tumour that is denied is none."""
    chart = read(patient(), resource("Condition", code={"text": written}, clinicalStatus="@clin|active"))
    assert chart.facts.nen_status == "none"


@pytest.mark.parametrize(("phrase", "site"), SITES, ids=[phrase for phrase, _ in SITES])
def test_every_reviewed_site_is_understood(phrase: str, site: str) -> None:
    """An organ called so is the primary site of a tumour whose code leaves it open."""
    for given in ({"bodySite": [{"text": phrase.title()}]}, {"code": {"text": f"Neuroendocrine tumour, {phrase}"}}):
        chart = read(patient(), resource("Condition", **({"code": "@icd|C7A.8"} | given)))
        assert (chart.facts.nen_status, chart.facts.primary_site) == ("confirmed", site)


_EXAMPLES: Final[dict[str, tuple[str, Resource]]] = {
    "ki67-index": ("ki67_percent", quantity(4, "%")),
    "mitotic-count": ("mitoses", quantity(3, "/mm2")),
    "tumour-size": ("size_mm", quantity(23, "mm")),
    "egfr": ("egfr", quantity(48, "mL/min/{1.73_m2}")),
    "creatinine": ("egfr", quantity(1.2, "mg/dL")),
}


@pytest.mark.parametrize(("name", "key"), MEASUREMENTS, ids=[name for name, _ in MEASUREMENTS])
def test_every_reviewed_measurement_is_understood(name: str, key: str) -> None:
    """An Observation called exactly so is the measurement, by text or display; a longer name is another one."""
    fact, value = _EXAMPLES[key]
    for code in ({"text": name.upper()}, concept(f"@house|x|{name}"), concept("@house|x|Result 4711", text=name)):
        chart = read_pnet(observation(code, valueQuantity=value))
        assert getattr(chart.facts, fact) is not None
    other = read_pnet(observation({"text": f"{name} ratio in urine"}, valueQuantity=value))
    assert getattr(other.facts, fact) is None


# --- the quick look ---------------------------------------------------------------------------------------------------

OBSERVED: Final = [
    *(item for case in CASES for item in case.resources if item["resourceType"] == "Observation"),
    *(given for _, given in STANDARD.values()),
    *(local(spec.code, **said(spec, values(spec)[-1])) for spec in FACTS.values()),
    *(observation({"text": name}, valueQuantity=quantity(4, "%")) for name, _ in MEASUREMENTS),
]


@pytest.mark.parametrize("number", range(len(OBSERVED)))
def test_the_quick_look_loses_nothing(number: int) -> None:
    """An Observation that says or spoils anything is never taken for an irrelevant one."""
    given = OBSERVED[number]
    without, chart = read(pnet()), read(pnet(), given)
    if (chart.facts, chart.skipped) != (without.facts, without.skipped):
        assert relevant(given["code"], load_terminology())
    quick = quick_tests(load_terminology())["Observation"]
    assert bool(quick(msgspec.json.encode(given["code"]))) is relevant(given["code"], load_terminology())


def test_the_quick_look_takes_codes_of_any_length_and_kind() -> None:
    """An absent code, one that is no JSON and one of a megabyte are answered as the slow look answers."""
    quick = quick_tests(load_terminology())["Observation"]
    long = concept(text="x" * 1_000_000)
    assert quick(b"")
    assert quick(b"{")
    assert bool(quick(msgspec.json.encode(long))) is relevant(long, load_terminology())


@pytest.mark.parametrize(
    "code", [concept("@loinc|718-7|Haemoglobin"), concept("@house|HB"), concept(text="Haemoglobin")], ids=str
)
def test_the_quick_look_passes_over_the_rest(code: object) -> None:
    """A code that is readable and means nothing here costs no further reading."""
    assert not relevant(code, load_terminology())


@pytest.mark.parametrize(
    "code",
    [{}, None, "Haemoglobin", 7, [], {"coding": [7]}, concept("@loinc|no-such-code"), concept("@nowhere|1")],
    ids=str,
)
def test_the_quick_look_keeps_what_cannot_be_read(code: object) -> None:
    """A code that cannot be read might have meant something: it is read in full, and reported."""
    assert relevant(code, load_terminology())


# --- damage -----------------------------------------------------------------------------------------------------------

_SAMPLES: Final = [
    patient(deceasedBoolean=False),
    pnet(id="sample", bodySite=[{"text": "Tail of pancreas"}], onsetPeriod={"start": "2024"}),
    observation("@loinc|29593-1", valueQuantity=quantity(4, "%"), specimen={"display": "biopsy"}, issued=day(-2)),
    observation("@loinc|21889-1", component=[{"code": concept("@loinc|33728-7"), "valueQuantity": quantity(4, "mm")}]),
    observation("@loinc|6768-6", valueQuantity=quantity(4, "U/L"), interpretation=["@flag|H"], **_UPPER),
    observation("@loinc|21905-5", valueCodeableConcept=concept("@sct|1228938002"), method="@sct|897275008"),
    observation("@loinc|31206-6", valueCodeableConcept=concept("@icdo|8240/3")),
    local("recist", **said(FACTS["recist"], TumourGrowth(40.0, 46.0, 6.0))),
    resource("Procedure", code="@sct|116241004", performedPeriod={"start": day(-50), "end": day(-49)}),
    resource("ImagingStudy", procedureCode=["@loinc|97392-5"], started=day(-30)),
    resource("DiagnosticReport", code="@loinc|36813-4", effectiveDateTime=day(-30)),
    resource("MedicationRequest", intent="order", medicationCodeableConcept="@rxnorm|68092", authoredOn=day(-5)),
    resource("MedicationStatement", medicationReference={"reference": "#m"}, contained=[{"id": "m"}]),
    resource("MedicationAdministration", medicationCodeableConcept="@hcpcs|A9513", effectiveDateTime=day(-20)),
    resource("AllergyIntolerance", code="@sct|426722004", criticality="low", reaction=[{"severity": "mild"}]),
    resource("Device", type="@sct|14106009", safety=["@ncit|C106046"], deviceName=[{"name": "x"}]),
    resource("DeviceUseStatement", device={"reference": "Device/device"}),
    resource("ServiceRequest", intent="order", code="@sct|401004"),
    resource("CarePlan", intent="plan", category=[{"text": "Active surveillance"}], title="plan"),
    resource("Encounter", id="e", **{"class": "@act|IMP"}),
    resource("Medication", id="m", code="@rxnorm|68092"),
]
_MEMBERS: Final = [
    (number, name) for number, sample in enumerate(_SAMPLES) for name in sample if name != "resourceType"
]


@pytest.mark.parametrize(
    ("number", "name"), _MEMBERS, ids=[f"{_SAMPLES[n]['resourceType']}{n}.{name}" for n, name in _MEMBERS]
)
def test_a_wrong_type_in_any_member_is_an_absent_value(number: int, name: str) -> None:
    """Whatever stands in one member of one resource, nothing is raised and the rest of the chart is still read."""
    for hostile in HOSTILE:
        damaged = _SAMPLES[number] | {name: hostile}
        chart = read(pnet(), damaged, local("krenning", id="k", valueQuantity=quantity(3, "1")), encounter="e")
        assert chart.nen_evidence
        assert chart.facts.krenning == 3.0


@pytest.mark.parametrize("number", range(len(_SAMPLES)), ids=[sample["resourceType"] for sample in _SAMPLES])
def test_wrong_types_deep_inside_are_survived(number: int) -> None:
    """The same for every value at any depth."""
    for path in _paths(_SAMPLES[number]):
        for hostile in HOSTILE:
            damaged = copy.deepcopy(_SAMPLES[number])
            _put(damaged, path, hostile)
            if damaged.get("resourceType") == _SAMPLES[number]["resourceType"]:
                assert read(pnet(), damaged, encounter="e").nen_evidence


def _paths(value: Any, before: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path for key, item in inner for path in ((*before, key), *_paths(item, (*before, key)))]


def _put(value: Any, path: tuple[Any, ...], item: Any) -> None:
    for key in path[:-1]:
        value = value[key]
    value[path[-1]] = item


def test_nesting_beyond_reason_is_survived() -> None:
    """A resource nested a hundred thousand levels deep neither ends the process nor hides the others."""
    deep: Resource = {}
    for _ in range(100_000):
        deep = {"extension": [deep]}
    chart = read_pnet(observation("@loinc|29593-1", valueQuantity=quantity(7, "%")) | deep)
    assert chart.nen_evidence
    again = read_pnet({"resourceType": "Condition", **deep}, local("krenning", valueQuantity=quantity(3, "1")))
    assert again.facts.krenning == 3.0


def test_what_could_not_be_taken_apart_is_reported() -> None:
    """Entries that were damaged before reading travel on with the rest."""
    entry = Skipped("conditions", "an entry is no readable resource")
    chart = read_chart(
        [patient(), pnet()],
        patient_id=PATIENT,
        encounter_id=None,
        today=TODAY,
        terminology=load_terminology(),
        attributes={},
        windows=load_knowledge().windows,
        damaged=(entry,),
        unavailable=("laboratory",),
    )
    assert chart.skipped == (entry,)
    assert chart.unavailable == ("laboratory",)


def test_growth_cites_what_was_measured() -> None:
    """Growth between two measurements rests on those, not on a later size of something else."""
    site = {"text": "Segment VII of liver"}
    first, second = (
        observation(
            "@loinc|21889-1", id=name, effectiveDateTime=day(when), bodySite=site, valueQuantity=quantity(40, "mm")
        )
        for name, when in (("first", -200), ("second", -20))
    )
    other = observation("@loinc|21889-1", id="other", effectiveDateTime=day(-2), valueQuantity=quantity(5, "mm"))
    chart = read_pnet(first, second, other)
    assert chart.facts.recist is not None
    assert sources(chart, "recist") <= {"Observation/first", "Observation/second"}


def test_a_large_jump_in_dates_is_survived() -> None:
    """The first and last years there are do not overflow."""
    for year in ("0001", "9999", "0000", "1000-01-01"):
        read_pnet(
            resource("Procedure", code="@sct|401004", performedDateTime=year),
            local("months-since-resection", effectiveDateTime=year, valueQuantity=quantity(3, "mo")),
            today=TODAY + timedelta(days=1),
        )


# --- other versions of FHIR -------------------------------------------------------------------------------------------

_STU3: Final = {"resourceType": "Condition", "clinicalStatus": "active", "verificationStatus": "confirmed"}


@pytest.mark.parametrize(
    "kind", ["MedicationOrder", "ProcedureRequest", "DiagnosticOrder", "ReferralRequest", "BodySite"]
)
def test_types_of_older_versions_are_refused(kind: str) -> None:
    """One resource of a type R4 does not have is enough."""
    with pytest.raises(UnsupportedFhirVersion, match=kind):
        refuse_older_versions([patient(), pnet(), {"resourceType": kind}])


def test_a_chart_of_older_shape_is_refused() -> None:
    """A chart whose every Condition has its status as a plain string is of another version."""
    with pytest.raises(UnsupportedFhirVersion, match="STU3"):
        refuse_older_versions([patient(), _STU3, {"resourceType": "Condition", "verificationStatus": "refuted"}])


@pytest.mark.parametrize("resources", [[], [patient()], [pnet()], [pnet(), _STU3], [{"resourceType": 7}, {}]], ids=str)
def test_r4_charts_pass(resources: list[Resource]) -> None:
    """A slip in one Condition among others, no Condition, or damage is no other version."""
    refuse_older_versions(resources)


def test_a_condition_of_older_shape_among_others_is_read() -> None:
    """Its plain status is understood, so that a refuted tumour stays refuted."""
    tumour = _STU3 | {"id": "old", "code": concept("@icd|C25.4"), "subject": {"reference": f"Patient/{PATIENT}"}}
    harmless = resource("Condition", code={"text": "Essential hypertension"})
    assert read(patient(), harmless, tumour).facts.nen_status == "confirmed"
    assert read(patient(), harmless, tumour | {"verificationStatus": "refuted"}).facts.nen_status == "none"
