"""Facts that contradict other facts: told with the sources of both, and only where they cannot both be true."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cds_service.clinical.contradictions import assess_chart
from cds_service.domain.facts import Facts
from cds_service.domain.findings import Alternative, Conflict, Evidence, PatientFacts
from cds_service.knowledge import load_knowledge

KNOWLEDGE = load_knowledge()
PANCREAS = Facts(age_years=58, sex="female", nen_status="confirmed", primary_site="pancreas", differentiation="well")


def conflicts(alternatives: tuple[Alternative, ...] = (), **facts: Any) -> list[Conflict]:
    """The conflicts of a chart with these facts, each with a source of its own."""
    known = replace(PANCREAS, **facts)
    evidence = {name: (Evidence(f"Observation/{name}", "2026-01-01", "coded"),) for name in facts}
    found = assess_chart(PatientFacts(known, evidence, alternatives, nen_evidence=True), (), KNOWLEDGE)
    return list(found.assessment.conflicts)


@pytest.mark.parametrize(
    ("fact", "other", "facts"),
    [
        ("ki67_percent", "stated_grade", {"ki67_percent": 25.0, "stated_grade": "G1"}),
        ("ki67_percent", "stated_grade", {"ki67_percent": 2.0, "stated_grade": "G3"}),
        ("ki67_percent", "stated_grade", {"ki67_percent": 25.0, "mitoses": 1.0, "stated_grade": "G1"}),
        ("mitoses", "stated_grade", {"ki67_percent": 1.0, "mitoses": 12.0, "stated_grade": "G1"}),
        ("mitoses", "stated_grade", {"mitoses": 12.0, "stated_grade": "G1"}),
        ("differentiation", "stated_grade", {"differentiation": "poor", "ki67_percent": 60.0, "stated_grade": "G2"}),
        ("metastases", "recorded_stage", {"metastases": (), "recorded_stage": "IV"}),
        ("metastases", "liver_metastases_count", {"metastases": ("bone",), "liver_metastases_count": 3.0}),
        ("metastases", "largest_liver_met_mm", {"metastases": (), "largest_liver_met_mm": 12.0}),
        ("metastases", "sum_liver_mets_mm", {"metastases": (), "sum_liver_mets_mm": 30.0}),
        ("disease_dominance", "metastases", {"disease_dominance": "liver", "metastases": ("bone",)}),
        ("nodes", "nodes_positive_count", {"nodes": "negative", "nodes_positive_count": 2.0}),
        ("nodes", "nodes_positive_count", {"nodes": "positive", "nodes_positive_count": 0.0}),
        ("residual_disease", "curative_resection", {"residual_disease": True, "curative_resection": True}),
        ("pregnant", "sex", {"pregnant": True, "sex": "male"}),
        ("size_mm", "recorded_t", {"size_mm": 50.0, "extension": (), "recorded_t": "T1"}),
        ("size_mm", "recorded_t", {"size_mm": 20.0, "recorded_t": "T1", "recorded_edition": "ajcc8"}),
        ("depth", "recorded_t", {"primary_site": "stomach", "depth": "serosa", "recorded_t": "T1"}),
    ],
)
def test_what_cannot_both_be_true_is_told(fact: str, other: str, facts: dict[str, Any]) -> None:
    """The conflict names both facts, both values and both sources."""
    (found,) = conflicts(**facts)
    assert (found.fact, found.other_fact) == (fact, other)
    assert (found.value, found.other_value) == (facts[fact], facts[other])
    assert [item.source for item in found.chosen] == [f"Observation/{fact}"]
    assert found.other.source == f"Observation/{other}"
    assert found.changes


@pytest.mark.parametrize(
    "facts",
    [
        {"ki67_percent": 25.0, "stated_grade": "G3"},
        {"ki67_percent": 1.0, "mitoses": 12.0, "stated_grade": "G2"},
        {"stated_grade": "G1"},
        {"metastases": ("liver",), "recorded_stage": "IV"},
        {"metastases": ("liver",), "recorded_stage": "II"},
        {"metastases": ("site-not-stated",), "liver_metastases_count": 3.0},
        {"metastases": (), "liver_metastases_count": 0.0},
        {"liver_metastases_count": 3.0},
        {"disease_dominance": "liver"},
        {"disease_dominance": "liver", "metastases": ("liver", "bone")},
        {"nodes": "positive", "nodes_positive_count": 2.0},
        {"nodes": "negative", "nodes_positive_count": 0.0},
        {"residual_disease": True, "curative_resection": False},
        {"pregnant": False, "sex": "male"},
        {"pregnant": True, "sex": "female"},
        {"size_mm": 20.0, "recorded_t": "T1"},
        {"size_mm": 20.0, "recorded_t": "T2", "recorded_edition": "ajcc8"},
        {"size_mm": 20.0, "recorded_t": "TX"},
        {"recorded_t": "T1"},
        {"primary_site": "stomach", "size_mm": 5.0, "depth": "mucosa", "recorded_t": "T1a"},
    ],
)
def test_what_may_both_be_true_is_no_conflict(facts: dict[str, Any]) -> None:
    """A stage recorded before the metastases, an open site or a missing half of a pair contradict nothing."""
    assert conflicts(**facts) == []


def test_a_resection_that_reading_dropped_is_told() -> None:
    """Residual disease takes "complete" back; that a source calls the operation complete is told all the same."""
    dropped = Alternative("curative_resection", True, Evidence("Procedure/whipple", "2025-12-01", "coded"))
    (found,) = conflicts((dropped,), residual_disease=True, curative_resection=False)
    assert (found.fact, found.other_fact, found.other) == ("residual_disease", "curative_resection", dropped.evidence)


def test_a_contradiction_changes_no_answer() -> None:
    """What is told is told beside the answer."""
    facts = replace(PANCREAS, ki67_percent=25.0)
    plain = assess_chart(PatientFacts(facts, nen_evidence=True), (), KNOWLEDGE).assessment
    told = assess_chart(PatientFacts(replace(facts, stated_grade="G1"), nen_evidence=True), (), KNOWLEDGE).assessment
    assert (told.grade.who2019, told.scenario) == (plain.grade.who2019, plain.scenario)
    assert told.conflicts[0].chosen == (Evidence("given"),)
