"""The conditions of the plans, evaluated by an independent FHIRPath engine over facts written as Observations."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import cache
from typing import Any, Final

import pytest
from fhirpathpy import compile as fhirpath
from fhirpathpy.models import models

from cds_service.artefacts import artefacts
from cds_service.artefacts.plans import CHOICE
from cds_service.consult import from_facts
from cds_service.domain.facts import FACTS
from cds_service.domain.terms import CRITICAL
from cds_service.interchange import read_facts
from cds_service.knowledge import Knowledge, load_knowledge
from fhir_profiles.abstracted import abstracted
from fhir_profiles.terminology import load_terminology
from tests.cases_loader import Case, clinical_cases, plain_cases

CASES: Final = (*clinical_cases(), *plain_cases())
DAY: Final = date(2026, 11, 20)


@cache
def plans() -> Mapping[str, Mapping[str, Any]]:
    """The plans by id."""
    made = artefacts(load_knowledge(), load_terminology())
    return {one["id"]: one for one in made if one["resourceType"] == "PlanDefinition"}


@cache
def compiled(expression: str) -> Any:
    """An expression, ready to be evaluated."""
    return fhirpath(expression, models["r4"])


def holds(condition: Mapping[str, Any], bundle: Mapping[str, Any]) -> bool:
    """Whether a condition of a plan is true of the facts; every condition answers true or false, never nothing."""
    found = compiled(condition["expression"]["expression"])(bundle)
    assert found in ([True], [False]), (condition["expression"]["name"], found)
    return bool(found[0])


def bundle_of(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts as a Bundle of abstracted facts."""
    written = abstracted(read_facts(facts), "Patient/example", DAY)
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": item} for item in written]}


def scenario_of(case: Case) -> str:
    """The scenario the service itself chooses."""
    return str(from_facts({"facts": case.facts}, load_knowledge()).as_object()["scenario"])


@cache
def one_per_rule() -> tuple[Case, ...]:
    """For each way to a scenario one worked case."""
    found: dict[str, Case] = {}
    for case in CASES:
        fired = from_facts({"facts": case.facts}, load_knowledge()).assessed.assessment.rules
        found.setdefault(next(rule for rule in fired if rule.startswith("SEL-")), case)
    return tuple(found.values())


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_the_decision_list_comes_to_the_same_scenario(case: Case) -> None:
    """The first action whose condition is true is the scenario that the service chooses, and its plan applies."""
    bundle = bundle_of(case.facts)
    choices = plans()[CHOICE]["action"][0]["action"]
    first = next(choice for choice in choices if holds(choice["condition"][0], bundle))
    assert first["title"] == scenario_of(case)


@pytest.mark.parametrize("case", one_per_rule(), ids=[case.id for case in one_per_rule()])
def test_one_plan_applies(case: Case) -> None:
    """Of all scenario plans exactly the one of the chosen scenario applies."""
    bundle = bundle_of(case.facts)
    applying = [
        name for name, plan in plans().items() if name != CHOICE and holds(plan["action"][0]["condition"][0], bundle)
    ]
    assert applying == [scenario_of(case)]


def of_safety() -> tuple[Case, ...]:
    """The worked cases that hold a fact on which a study may be blocked, and one for each way to a scenario."""
    critical = [rule.condition.names for rule in load_knowledge().safety if rule.row.severity == CRITICAL]
    told = {name for names in critical for name in names}
    chosen = [case for case in CASES if told & set(case.facts)]
    assert {name for case in chosen for name in case.facts} >= told & set(FACTS)
    return tuple({case.id: case for case in (*chosen, *one_per_rule())}.values())


@pytest.mark.parametrize("case", of_safety(), ids=[case.id for case in of_safety()])
def test_the_plans_block_the_same_studies(case: Case, knowledge: Knowledge) -> None:
    """A study of a plan meets its conditions exactly where the service blocks it by no rule and it is recommended."""
    bundle = bundle_of(case.facts)
    studies = plans()[scenario_of(case)]["action"][0].get("action", [])
    if not studies:
        return
    ordered = {"facts": case.facts, "orders": [study["id"] for study in studies]}
    assessed = {order["procedure"]: order for order in from_facts(ordered, knowledge).as_object()["orders"]}
    for study in studies:
        order = assessed[study["id"]]
        named = {
            condition["expression"]["name"] for condition in study.get("condition", []) if not holds(condition, bundle)
        }
        blocked = set(order["blocked_by"])
        unrecommended = {"not-recommended"} if order["rating"] == "usually-not-appropriate" else set()
        assert named == blocked | unrecommended, study["id"]
