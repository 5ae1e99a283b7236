"""Charts that contradict themselves, over HTTP: the card names both values and both sources, on every service."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from tests.builders import chart, hook_request
from tests.calling import ASSESSMENT, OverHttp, post
from tests.profiles.charts import PATIENT, Resource, concept, day, local_word, quantity, resource
from tests.validity import assert_valid_response

MRI: Final = "mri-abd-pel-wwo"
CT: Final = "ct-abd-pel-w"


def tumour(number: str, code: str | Resource, when: int = -100, **members: Any) -> Resource:
    """A confirmed, active tumour Condition."""
    given: Resource = {"code": code, "recordedDate": day(when)}
    state = {"clinicalStatus": "@clin|active", "verificationStatus": "@ver|confirmed"}
    return resource("Condition", **(given | state | {"id": number} | members))


def seen(number: str, code: str, when: int, category: str = "laboratory", **members: Any) -> Resource:
    """An Observation with a category under which it is prefetched."""
    filed = [concept(f"@http://terminology.hl7.org/CodeSystem/observation-category|{category}")]
    return resource("Observation", id=number, code=code, effectiveDateTime=day(when), category=filed, **members)


def said(number: str, fact: str, when: int, **members: Any) -> Resource:
    """A fact said with its project-local code."""
    return seen(number, f"@local|{fact}", when, "exam", **members)


def size(number: str, millimetres: float, when: int, **members: Any) -> Resource:
    """A tumour size."""
    return seen(number, "@loinc|33728-7", when, "imaging", valueQuantity=quantity(millimetres, "mm"), **members)


def ki67(number: str, percent: float, when: int, **members: Any) -> Resource:
    """A Ki-67 index."""
    return seen(number, "@loinc|29593-1", when, valueQuantity=quantity(percent, "%"), **members)


def device(number: str, *safety: str) -> Resource:
    """A device with what is known of its MR safety."""
    return resource("Device", id=number, type={"text": "Implanted device"}, safety=[{"text": item} for item in safety])


PANCREAS: Final = tumour("net", "@icd|C25.4")
M0: Final = seen("m0", "@loinc|21907-1", -20, valueCodeableConcept={"text": "cM0"})
LIVER: Final = tumour("liver-mets", "@icd|C7B.02", -60)
WHIPPLE: Final = resource("Procedure", id="whipple", code="@sct|116241004", performedDateTime=day(-60))
WELL: Final = said("well", "differentiation", -100, valueCodeableConcept=local_word("well"))


def pregnancy(number: str, code: str, when: int) -> Resource:
    """A pregnancy status."""
    return seen(number, "@loinc|82810-3", when, "social-history", valueCodeableConcept=concept(code))


PREGNANT: Final = "@sct|77386006"
NOT_PREGNANT: Final = "@sct|60001007"
RESIDUAL: Final = {"valueBoolean": True}


@dataclass(frozen=True)
class Contradiction:
    """A chart that contradicts itself.

    Attributes:
        fact: what the conflict is about.
        resources: the chart besides the patient.
        sources: every reference the card must name, with its date when it has one.
        values: how the card words both values.
        other: the fact of the other source, if it is not the same one.
        study: the study ordered.
    """

    name: str
    fact: str
    resources: tuple[Resource, ...]
    sources: tuple[str, ...]
    values: tuple[str, str]
    other: str = ""
    study: str = MRI
    facts: dict[str, Any] = field(default_factory=lambda: {"age_years": 40, "sex": "female"})


CASES: Final = (
    Contradiction(
        "two primaries",
        "primary_site",
        (PANCREAS, tumour("ileum", "@icd|C7A.012", -50)),
        ("Condition/net", day(-100), "Condition/ileum", day(-50)),
        ("pancreas", "jejunum ileum"),
    ),
    Contradiction(
        "two primaries of one day",
        "primary_site",
        (PANCREAS, tumour("rectum", "@icd|C7A.026")),
        ("Condition/net", "Condition/rectum", day(-100)),
        ("pancreas", "rectum"),
    ),
    Contradiction(
        "two primaries, one from text",
        "primary_site",
        (PANCREAS, tumour("text", {"text": "Carcinoid tumour of the ileum"})),
        ("Condition/net", "Condition/text", "from text"),
        ("pancreas", "jejunum ileum"),
    ),
    Contradiction(
        "a newer primary outside the scope",
        "primary_site",
        (PANCREAS, tumour("lung", "@icd|C7A.090", -50)),
        ("Condition/net", "Condition/lung"),
        ("lung", "pancreas"),
    ),
    Contradiction(
        "a former primary elsewhere",
        "primary_site",
        (PANCREAS, tumour("former", "@icd|Z85.020", -50, clinicalStatus="@clin|resolved")),
        ("Condition/net", "Condition/former"),
        ("pancreas", "stomach"),
    ),
    Contradiction(
        "a tumour and an adenocarcinoma of the pancreas",
        "nen_status",
        (PANCREAS, tumour("adeno", "@sct|700423003", -50)),
        ("Condition/net", "Condition/adeno", day(-50)),
        ("confirmed", "other tumour"),
    ),
    Contradiction(
        "M0 and liver metastases",
        "metastases",
        (PANCREAS, M0, LIVER),
        ("Observation/m0", day(-20), "Condition/liver-mets", day(-60)),
        ("none", "liver"),
    ),
    Contradiction(
        "M0 before liver metastases",
        "metastases",
        (PANCREAS, M0, tumour("liver-mets", "@icd|C7B.02", -5)),
        ("Observation/m0", day(-20), "Condition/liver-mets", day(-5)),
        ("liver", "none"),
    ),
    Contradiction(
        "M0 and counted liver metastases",
        "metastases",
        (PANCREAS, M0, said("count", "liver-metastases-count", -30, valueQuantity=quantity(4, "1"))),
        ("Observation/m0", day(-20), "Observation/count", day(-30)),
        ("none", "4"),
        other="liver_metastases_count",
    ),
    Contradiction(
        "stage IV and M0",
        "metastases",
        (PANCREAS, M0, seen("stage", "@loinc|21908-9", -10, valueCodeableConcept={"text": "IV"})),
        ("Observation/m0", "Observation/stage", day(-10)),
        ("none", "IV"),
        other="recorded_stage",
    ),
    Contradiction(
        "liver-dominant disease and M0",
        "disease_dominance",
        (PANCREAS, M0, said("dominance", "disease-dominance", -15, valueCodeableConcept=local_word("liver"))),
        ("Observation/m0", "Observation/dominance", day(-15)),
        ("liver", "none"),
        other="metastases",
    ),
    Contradiction(
        "G1 as stated and Ki-67 25 %",
        "ki67_percent",
        (PANCREAS, WELL, said("g1", "stated-grade", -90, valueString="G1"), ki67("ki", 25, -95)),
        ("Observation/ki", day(-95), "Observation/g1", day(-90)),
        ("25 %", "G1"),
        other="stated_grade",
    ),
    Contradiction(
        "G1 as text of a later report and Ki-67 25 %",
        "ki67_percent",
        (
            PANCREAS,
            WELL,
            ki67("ki", 25, -95),
            seen("g1", "@loinc|33732-9", -10, valueCodeableConcept={"text": "NET, grade 1"}),
        ),
        ("Observation/ki", day(-95), "Observation/g1", day(-10)),
        ("25 %", "G1"),
        other="stated_grade",
    ),
    Contradiction(
        "G1 as stated and 15 mitoses with Ki-67 2 %",
        "mitoses",
        (
            PANCREAS,
            WELL,
            said("g1", "stated-grade", -90, valueString="G1"),
            ki67("ki", 2, -95),
            said("mitoses", "mitoses", -95, valueQuantity=quantity(15, "1")),
        ),
        ("Observation/mitoses", day(-95), "Observation/g1", day(-90)),
        ("15", "G1"),
        other="stated_grade",
    ),
    Contradiction(
        "G1 as stated and poorly differentiated",
        "differentiation",
        (
            PANCREAS,
            said("poor", "differentiation", -90, valueCodeableConcept=local_word("poor")),
            said("g1", "stated-grade", -90, valueString="G1"),
            ki67("ki", 60, -95),
        ),
        ("Observation/poor", "Observation/g1"),
        ("poor", "G1"),
        other="stated_grade",
    ),
    Contradiction(
        "T1 as recorded and 45 mm",
        "size_mm",
        (PANCREAS, size("size", 45, -30), seen("t1", "@loinc|21905-5", -25, valueCodeableConcept={"text": "cT1"})),
        ("Observation/size", day(-30), "Observation/t1", day(-25)),
        ("45 mm", "T1"),
        other="recorded_t",
    ),
    Contradiction(
        "residual disease seen before the operation",
        "residual_disease",
        (PANCREAS, WHIPPLE, said("residual", "residual-disease", -70, **RESIDUAL)),
        ("Observation/residual", day(-70)),
        ("which was set aside", "yes"),
    ),
    Contradiction(
        "residual disease seen after the operation",
        "residual_disease",
        (PANCREAS, WHIPPLE, said("residual", "residual-disease", -30, **RESIDUAL)),
        ("Procedure/whipple", day(-60), "Observation/residual", day(-30)),
        ("residual disease", "complete resection yes"),
        other="curative_resection",
    ),
    Contradiction(
        "pregnant and not, of one day",
        "pregnant",
        (PANCREAS, pregnancy("yes", PREGNANT, -10), pregnancy("no", NOT_PREGNANT, -10)),
        ("Observation/yes", "Observation/no", day(-10)),
        ("yes", "no"),
        study=CT,
    ),
    Contradiction(
        "pregnant, then not",
        "pregnant",
        (PANCREAS, pregnancy("yes", PREGNANT, -40), pregnancy("no", NOT_PREGNANT, -10)),
        ("Observation/yes", day(-40), "Observation/no", day(-10)),
        ("no", "yes"),
        study=CT,
    ),
    Contradiction(
        "not pregnant, and a Condition that says so",
        "pregnant",
        (PANCREAS, tumour("pregnancy", "@sct|77386006", -30), pregnancy("no", NOT_PREGNANT, -10)),
        ("Condition/pregnancy", day(-30), "Observation/no", day(-10)),
        ("no", "yes"),
        study=CT,
    ),
    Contradiction(
        "a pregnant man",
        "pregnant",
        (PANCREAS, pregnancy("yes", PREGNANT, -10)),
        ("Observation/yes", day(-10), f"Patient/{PATIENT}"),
        ("yes", "male"),
        other="sex",
        study=CT,
        facts={"age_years": 40, "sex": "male"},
    ),
    Contradiction(
        "two sizes of one day",
        "size_mm",
        (PANCREAS, size("ct", 18, -30), size("eus", 22, -30)),
        ("Observation/ct", "Observation/eus", day(-30)),
        ("22 mm", "18 mm"),
    ),
    Contradiction(
        "well differentiated, and the morphology of a carcinoma",
        "differentiation",
        (
            PANCREAS,
            said("well", "differentiation", -10, valueCodeableConcept=local_word("well")),
            seen("nec", "@loinc|31206-6", -30, valueCodeableConcept=concept("@icdo|8246/3")),
            ki67("ki", 40, -30),
        ),
        ("Observation/well", day(-10), "Observation/nec", day(-30)),
        ("well", "poor"),
    ),
    Contradiction(
        "Ki-67 of the primary and of a metastasis",
        "ki67_percent",
        (
            PANCREAS,
            WELL,
            ki67("primary", 2, -90),
            ki67("metastasis", 30, -10, specimen={"display": "Liver metastasis, biopsy"}),
        ),
        ("Observation/primary", day(-90), "Observation/metastasis", day(-10)),
        ("2 %", "30 %"),
    ),
    Contradiction(
        "nodes negative, and three of them positive",
        "nodes",
        (
            PANCREAS,
            seen("n0", "@loinc|21906-3", -20, valueCodeableConcept={"text": "cN0"}),
            said("count", "nodes-positive-count", -20, valueQuantity=quantity(3, "1")),
        ),
        ("Observation/n0", "Observation/count", day(-20)),
        ("negative", "3"),
        other="nodes_positive_count",
    ),
    Contradiction(
        "a device, and a statement that there is none",
        "implant",
        (
            PANCREAS,
            device("pacer", "MR unsafe"),
            said("none", "implant", -10, valueCodeableConcept=local_word("none")),
        ),
        ("Device/pacer", "Observation/none", day(-10)),
        ("none", "non mr conditional"),
    ),
    Contradiction(
        "an allergy that is active and resolved",
        "gadolinium_allergy",
        (
            PANCREAS,
            resource(
                "AllergyIntolerance",
                id="active",
                code={"text": "Gadolinium"},
                clinicalStatus="@aclin|active",
                criticality="high",
                recordedDate=day(-300),
            ),
            resource(
                "AllergyIntolerance",
                id="over",
                code={"text": "Gadolinium"},
                clinicalStatus="@aclin|resolved",
                recordedDate=day(-30),
            ),
        ),
        ("AllergyIntolerance/active", day(-300), "AllergyIntolerance/over", day(-30)),
        ("severe", "none"),
    ),
    Contradiction(
        "two kidney functions of one day",
        "egfr",
        (
            PANCREAS,
            seen("low", "@loinc|62238-1", -10, valueQuantity=quantity(25, "mL/min/{1.73_m2}")),
            seen("high", "@loinc|62238-1", -10, valueQuantity=quantity(80, "mL/min/{1.73_m2}")),
        ),
        ("Observation/low", "Observation/high", day(-10)),
        ("25 mL/min", "80 mL/min"),
        study=CT,
    ),
)
ONLY_WITH_ITS_ORDER: Final = frozenset({"two kidney functions of one day"})
"""What matters for one study only, and none that could be suggested."""


@pytest.mark.parametrize("hook", ["patient-view", "order-select", "order-sign"])
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_contradiction_is_named_with_both_sources(
    case: Contradiction, hook: str, live: OverHttp, advertised: dict[str, dict[str, str]]
) -> None:
    """Whatever was picked, the card says what it was picked against; the assessment holds the conflict."""
    base = chart(case.facts, [case.study], style=0)
    asked = hook if hook != "patient-view" else "order-sign"
    request = hook_request([base[0], *case.resources, *base[1:]], asked, keys=advertised[hook])
    if hook == "patient-view":
        request["hook"] = hook
        del request["context"]["draftOrders"]
    body = assert_valid_response(post(live, hook, request), request)
    if hook == "patient-view" and case.name in ONLY_WITH_ITS_ORDER:
        return
    found = [
        conflict
        for conflict in body["extension"][ASSESSMENT].get("conflicts", [])
        if (conflict["fact"], conflict.get("other_fact", "")) == (case.fact, case.other)
    ]
    assert found, body["extension"][ASSESSMENT].get("conflicts")
    assert body["cards"], "the contradiction is on a card"
    for card in body["cards"]:
        (line,) = [line for line in card["detail"].splitlines() if line.startswith("- Conflict") and named(line, case)]
        for value in case.values:
            assert value in line
        for source in case.sources:
            assert source in line


def named(line: str, case: Contradiction) -> bool:
    """Whether a line is the one about the case: it names the first source."""
    return case.sources[0] in line and all(value in line for value in case.values)


@pytest.mark.parametrize("hook", ["patient-view", "order-select", "order-sign"])
@pytest.mark.parametrize(
    "foreign",
    [
        tumour("foreign", "@icd|C7A.012", subject={"reference": "Patient/someone-else"}),
        ki67("foreign", 80, -5, subject={"reference": "Patient/someone-else"}),
    ],
    ids=["Condition", "Observation"],
)
def test_data_of_two_patients_is_told(
    foreign: Resource, hook: str, live: OverHttp, advertised: dict[str, dict[str, str]]
) -> None:
    """A chart that holds another patient's data may be mixed up: even a good order gets a card that says so."""
    base = chart({"age_years": 40, "sex": "male", "metastases": []}, [MRI], style=0)
    asked = hook if hook != "patient-view" else "order-sign"
    request = hook_request([base[0], PANCREAS, foreign, *base[1:]], asked, keys=advertised[hook])
    if hook == "patient-view":
        request["hook"] = hook
        del request["context"]["draftOrders"]
    body = assert_valid_response(post(live, hook, request), request)
    assert body["cards"]
    for card in body["cards"]:
        told = f"Set aside as another patient's, and not read: 1 of the resources received ({foreign['resourceType']})."
        assert told in card["detail"]
        assert "foreign" not in str(card), "nobody else's record is named on a card"


def test_repeated_measurements_are_history_and_no_contradiction(
    live: OverHttp, advertised: dict[str, dict[str, str]]
) -> None:
    """Sizes of different days and of different lesions do not contradict each other."""
    sizes = (
        size("old", 15, -300),
        size("one", 25, -30, bodySite={"text": "pancreatic tail"}),
        size("two", 12, -30, bodySite={"text": "pancreatic head"}),
    )
    base = chart({"age_years": 40, "sex": "male"}, [MRI], style=0)
    request = hook_request([base[0], PANCREAS, *sizes, *base[1:]], "order-select", keys=advertised["order-select"])
    body = assert_valid_response(post(live, "order-select", request), request)
    assert body["extension"][ASSESSMENT].get("conflicts", []) == []
