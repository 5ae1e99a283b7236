"""What tables remember is what the functions say: no fact that they read is missing from the names they are kept by."""

from __future__ import annotations

from cds_service.clinical.assess import with_fact
from cds_service.clinical.followup import timing, trigger
from cds_service.clinical.grading import grading
from cds_service.clinical.imaging import scenario
from cds_service.clinical.situation import patient_situation, with_defaults
from cds_service.clinical.staging import staging
from cds_service.clinical.tables import tables
from cds_service.domain.facts import FACTS
from cds_service.interchange import read_facts
from tests.cases_loader import clinical_cases
from tests.clinical.patients import KNOWLEDGE


def test_every_table_says_what_its_function_says() -> None:
    """For all cases, and for each with every recorded fact taken away, one at a time."""
    asked = tables(KNOWLEDGE)
    for case in clinical_cases():
        recorded = read_facts(case.facts)
        known = [name for name in FACTS if getattr(recorded, name) is not None]
        for facts in (recorded, *(with_fact(recorded, name, None) for name in known)):
            facts = with_defaults(facts)  # noqa: PLW2901 - as an assessment begins
            seen = patient_situation(facts, (), KNOWLEDGE)
            seen["followup_trigger"] = trigger(seen, KNOWLEDGE)
            assert asked.trigger(seen) == seen["followup_trigger"]
            assert asked.scenario(seen) == scenario(seen, KNOWLEDGE)
            seen["scenario"] = scenario(seen, KNOWLEDGE).name
            graded = grading(facts, KNOWLEDGE)
            assert asked.grading(seen) == graded
            seen["grade_2019"] = graded.grade.who2019
            assert asked.staging(seen) == staging(facts, seen, KNOWLEDGE)
            assert asked.timing(seen) == timing(seen, KNOWLEDGE)
