"""The page about where facts come from is complete, and what computed facts were computed from is shown."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path
from typing import Final

from rich.console import Console

from cds_service.cards.wording import evidence_lines
from cds_service.clinical.contradictions import assess_chart
from cds_service.consult import Consulted
from cds_service.domain.facts import FACTS
from cds_service.domain.findings import PatientFacts, WhatIf
from cds_service.explain import print_assessment
from cds_service.interchange import assessment_object
from cds_service.knowledge import load_knowledge
from fhir_profiles.terminology import LOCAL_SYSTEM, load_terminology
from tests.profiles.charts import TODAY, Resource, cases, concept, day, observation, quantity, read_pnet, resource

ROOT: Final = Path(__file__).parents[2]
ROWS: Final = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "docs" / "fact-mapping.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| `")
]
KNOWLEDGE: Final = load_knowledge()


def test_every_fact_has_a_row() -> None:
    """The page lists each fact once, in the order of the record, with its own local code."""
    assert [(row[0].strip("`"), row[2].strip("`")) for row in ROWS] == [
        (spec.name, spec.code) for spec in FACTS.values()
    ]


def test_older_local_codes_exist() -> None:
    """A further local code that a note names is known to the reader."""
    named = [code for row in ROWS for code in re.findall(r"also `([a-z-]+)`", row[3])]
    assert named
    for code in named:
        assert load_terminology().match(LOCAL_SYSTEM, code) is not None, code


def test_what_shows_a_row_exists() -> None:
    """The last column names a case or a test module, and a case that gives the fact."""
    known = {case.name: case for case in cases("diagnosis", "standard", "course", "safety")}
    for row in ROWS:
        if row[4].endswith(".py"):
            assert (ROOT / "tests" / "profiles" / row[4]).is_file()
        else:
            assert row[0].strip("`") in known[row[4]].facts, row


def shown(chart: PatientFacts) -> tuple[str, str]:
    """The assessment as JSON text and as explained to people."""
    assessed = assess_chart(chart, (), KNOWLEDGE)
    out = StringIO()
    print_assessment(Console(file=out, width=400), Consulted("x", assessed, KNOWLEDGE), TODAY)
    return str(assessment_object(assessed.assessment, assessed.chart, KNOWLEDGE, WhatIf())), out.getvalue()


def sized(number: str, millimetres: float, when: int, site: str) -> Resource:
    """A lesion measured."""
    return observation(
        "@loinc|33728-7|Tumour size",
        id=number,
        effectiveDateTime=day(when),
        valueQuantity=quantity(millimetres, "mm"),
        bodySite=concept(text=site),
    )


COMPUTED: Final[dict[str, tuple[list[Resource], list[str]]]] = {
    "egfr": (
        [observation("@loinc|2160-0", id="crea", valueQuantity=quantity(1.2, "mg/dL"))],
        ["Observation/crea", "creatinine 1.2 mg/dL, age 66, male; CKD-EPI 2021", "Patient/p1"],
    ),
    "age_years": ([], ["Patient/p1", "birth date 1960-05-04"]),
    "diagnosis_year": ([], ["Condition/pnet", "date of the diagnosis 2025-01-10"]),
    "recist": (
        [
            sized(f"{lesion}{number}", size_mm, when, site)
            for lesion, site, sizes in (("a", "liver", (20, 26)), ("b", "pancreas", (10, 11)))
            for number, size_mm, when in zip((1, 2), sizes, (-200, -20), strict=True)
        ],
        ["Observation/a1", "20 mm", "Observation/b1", "10 mm", "Observation/a2", "26 mm", "Observation/b2", "11 mm"],
    ),
    "months_since_resection": (
        [resource("Procedure", id="op", code="@sct|116241004", performedDateTime=day(-304))],
        ["Procedure/op", "10.0 months to 2026-11-20"],
    ),
    "months_since_last_imaging": (
        [resource("DiagnosticReport", id="ct", code="@cpt|74177", effectiveDateTime=day(-61))],
        ["DiagnosticReport/ct", "2.0 months to 2026-11-20"],
    ),
    "months_resection_to_last_imaging": (
        [
            resource("Procedure", id="op", code="@sct|116241004", performedDateTime=day(-304)),
            resource("DiagnosticReport", id="ct", code="@cpt|74177", effectiveDateTime=day(-61)),
        ],
        ["DiagnosticReport/ct", "Procedure/op", "8.0 months to"],
    ),
    "baseline_staging_done": (
        [resource("DiagnosticReport", id="ct", code="@cpt|74177", effectiveDateTime=day(-61))],
        ["DiagnosticReport/ct", "after the diagnosis of 2025-01-10"],
    ),
    "biochemical_rise": (
        [
            observation(
                "@loinc|9811-1",
                id=number,
                effectiveDateTime=day(when),
                valueQuantity=quantity(value, "ng/mL"),
                referenceRange=[{"high": quantity(100, "ng/mL")}],
            )
            for number, value, when in (("before", 90, -200), ("now", 250, -10))
        ],
        ["Observation/now", "250 ng/mL", "Observation/before", "90 ng/mL before"],
    ),
    "new_symptoms": (
        [
            resource("DiagnosticReport", id="ct", code="@cpt|74177", effectiveDateTime=day(-61)),
            resource("Condition", id="pain", code={"text": "Abdominal pain"}, onsetDateTime=day(-20)),
        ],
        ["Condition/pain", f"since {day(-20)}", "DiagnosticReport/ct"],
    ),
}


def test_computed_facts_show_their_inputs() -> None:
    """Resources and values a fact was computed from stand in the evidence, on cards, and where it is explained."""
    for fact, (resources, inputs) in COMPUTED.items():
        chart = read_pnet(*resources)
        assert {item.how for item in chart.evidence[fact]} == {"derived"}, fact
        card = evidence_lines(chart.evidence[fact]).replace("\\", "").replace("`", "")
        assessed, explained = shown(chart)
        for told in inputs:
            assert told in card, (fact, told)
            assert told in assessed, (fact, told)
            assert told in explained, (fact, told)


def test_measured_facts_name_one_source_on_cards() -> None:
    """A value that was measured is cited once; the assessment holds every source that agrees."""
    chart = read_pnet(
        *(observation("@loinc|29593-1", id=number, valueQuantity=quantity(5, "%")) for number in ("one", "two"))
    )
    assert evidence_lines(chart.evidence["ki67_percent"]).count("Observation") == 1
    assert len(chart.evidence["ki67_percent"]) == 2
