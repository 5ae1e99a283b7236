"""What ``explain`` prints can be read by a clinician: words instead of slugs, every id with its statement, dates."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from functools import cache
from io import StringIO

import pytest
from rich.console import Console

from cds_service.clinical.contradictions import assess_chart
from cds_service.consult import Consulted, from_bundle, from_facts
from cds_service.domain.facts import FACTS, Facts
from cds_service.domain.findings import Alternative, Evidence, PatientFacts, Skipped
from cds_service.domain.terms import SCENARIOS
from cds_service.explain import print_assessment
from cds_service.knowledge import Knowledge, load_knowledge
from docs.explained import PAGE, page
from fhir_profiles.synthetic import synthetic_patients
from fhir_profiles.terminology import Terminology
from tests.cases_loader import Case, clinical_cases

DAY = date(2026, 11, 20)
CASES = clinical_cases()
STORIES = [case for case in CASES if case.id.startswith("S-")]


def printed(consulted: Consulted, day: date = DAY) -> str:
    """The output on a terminal so wide that nothing is broken."""
    written = StringIO()
    print_assessment(Console(file=written, width=1000, color_system=None), consulted, day)
    return written.getvalue()


def explained(case: Case) -> str:
    """A worked case, explained."""
    given = {"id": case.id, "facts": case.facts, "orders": list(case.orders)}
    return printed(from_facts(given, load_knowledge()))


def slugs() -> Iterator[str]:
    """Names and words of the vocabulary that no clinician writes."""
    yield from (name for name in FACTS if "_" in name)
    yield from (name for name in SCENARIOS if name.startswith("pnet-"))
    yield from (key for key in load_knowledge().procedures if "-" in key)
    yield from ("ssa-", "NET-G", "G3-NEC", "-undetermined", "non-mr-", "not-evaluated", "too-early", "True", "False")


@cache
def slug_pattern() -> re.Pattern[str]:
    """Any of them, as a word of its own."""
    return re.compile("|".join(rf"(?<![\w-]){re.escape(slug)}" for slug in slugs()))


@pytest.mark.parametrize("case", STORIES, ids=[case.id for case in STORIES])
def test_a_case_is_explained_in_words(case: Case) -> None:
    """Whatever the story, no slug of the vocabulary and no Python value is printed."""
    text = explained(case)
    assert not (found := slug_pattern().search(text)), found
    assert "Scenario: " in text


def test_every_id_stands_beside_its_statement(knowledge: Knowledge) -> None:
    """Each rule that fired is printed with the statement of the row that applied, in the same line."""
    case = next(case for case in CASES if case.id == "L-419")
    consulted = from_facts({"facts": case.facts, "orders": list(case.orders)}, knowledge)
    assessment = consulted.assessed.assessment
    text = " ".join(printed(consulted).split())
    assert assessment.rules
    for rule in assessment.rules:
        for row_id in assessment.applied.get(rule, ()):
            assert knowledge.rows[row_id].statement in text, row_id
            assert f"[{row_id}]" in text
    assert "Ruled out for this patient: MRI abdomen and pelvis without and with IV contrast [SAF-01]" in text


def test_a_schedule_has_dates(knowledge: Knowledge) -> None:
    """Follow-up gives the interval's rule, the time passed, and the first and last day that are in time."""
    given = {
        "nen_status": "confirmed",
        "primary_site": "pancreas",
        "differentiation": "well",
        "ki67_percent": 1,
        "curative_resection": True,
        "months_since_resection": 6,
        "months_since_last_imaging": 6,
    }
    text = printed(from_facts({"facts": given}, knowledge))
    day = r"20\d\d-\d\d-\d\d"
    assert "Follow-up: the next study is due; 6.0 months have passed" in text
    assert re.search(rf"neither early nor late from {day} to {day}\.", text)
    assert "[FUP-01.first-year]" in text


def test_evidence_says_where_and_how(knowledge: Knowledge, terminology: Terminology) -> None:
    """A fact of a chart names its resource and date, and says when it was worked out rather than recorded."""
    patient = next(patient for patient in synthetic_patients() if patient.slug == "incidental-tail-lesion")
    text = printed(from_bundle(patient.bundle, (), date.fromisoformat(patient.as_of), knowledge, terminology))
    assert re.search(r"Ki-67 +1\.5 % +Observation/itl-ki67 2026-10-16 *\n", text)
    assert re.search(r"time since last imaging +1\.7 months +ImagingStudy/\S+ 2026-09-28, worked out", text)


def test_conflicts_and_losses_are_told_and_nothing_reaches_the_terminal(knowledge: Knowledge) -> None:
    """Both sides of a conflict are in words; control characters of a record are not passed on."""
    facts = Facts(nen_status="confirmed", primary_site="pancreas", differentiation="well", metastases=("a\x1b[31m",))
    chart = PatientFacts(
        facts,
        evidence={"differentiation": (Evidence("Observation/1", "2026-01-01", "coded"),)},
        alternatives=(Alternative("differentiation", "poor", Evidence("Observation/\x1b2", "2025-01-01", "coded")),),
        skipped=(Skipped("Observation/3\x07", "no value", "ki67_percent"),),
        nen_evidence=True,
    )
    text = printed(Consulted(None, assess_chart(chart, (), knowledge), knowledge))
    assert (
        "Conflict about differentiation: well (Observation/1 2026-01-01) was used, but Observation/ 2 2025-01-01"
        in text
    )
    assert "says poor" in text
    assert "Unusable: Observation/3: no value." in text
    assert "\x1b" not in text
    assert "\x07" not in text


def test_the_cases_in_the_documentation_are_current() -> None:
    """The page in the documentation is what docs/explained.py would write now."""
    assert PAGE.read_text(encoding="utf-8") == page(), "run PYTHONPATH=. python docs/explained.py"
