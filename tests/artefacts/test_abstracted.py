"""Facts written as abstracted-fact Observations, and read back by the service's own reader."""

from __future__ import annotations

from typing import Any, Final

import pytest

from cds_service.domain.facts import FACTS, Facts
from cds_service.interchange import read_facts
from fhir_profiles.abstracted import abstracted
from tests.cases_loader import Case, clinical_cases
from tests.profiles.charts import PATIENT, TODAY, patient, read

CASES: Final = clinical_cases()
CONTRADICTORY: Final = {"L-008": {"curative_resection"}}
"""Residual disease is stated beside a curative resection; the reader lets the residual disease win."""


def comparable(facts: Facts) -> dict[str, Any]:
    """The facts, lists without their order."""
    values = {name: getattr(facts, name) for name in FACTS}
    return {name: frozenset(value) if isinstance(value, tuple) else value for name, value in values.items()}


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_what_is_written_is_read(case: Case) -> None:
    """Every fact comes back with its value, and what is unknown stays unknown."""
    facts = read_facts(case.facts)
    person = patient(birthDate=None, gender=None)
    given, found = (
        comparable(facts),
        comparable(read(person, *abstracted(facts, f"Patient/{PATIENT}", TODAY)).facts),
    )
    assert {name for name in FACTS if given[name] != found[name]} == CONTRADICTORY.get(case.id, set())


def test_nearly_every_fact_is_tried() -> None:
    """The worked cases hold every fact but the recorded stage."""
    assert set(FACTS) - {name for case in CASES for name in case.facts} == {"recorded_stage"}
