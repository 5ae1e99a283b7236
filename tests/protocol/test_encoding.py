"""What goes over the wire is the assessment object of the command line without its empty members."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from cds_service.clinical.contradictions import assess_chart
from cds_service.clinical.whatif import would_change
from cds_service.domain.findings import Evidence, Order, PatientFacts, WhatIf
from cds_service.encoding import without_empty, written_assessment
from cds_service.interchange import assessment_object, read_facts
from tests.cases_loader import Case, clinical_cases
from tests.clinical.patients import KNOWLEDGE

IDS = (("ServiceRequest/a", 'ServiceRequest/"1"', "ServiceRequest/ü"), ("1", "2", "3"), ("", "", ""))


@pytest.mark.parametrize("ids", IDS, ids=["references", "numbers", "none"])
def test_what_is_encoded_once_says_the_same(ids: tuple[str, ...]) -> None:
    """For all worked cases with up to three orders, whatever the ids of these are."""
    for case in clinical_cases():
        chart, orders = asked(case, ids)
        found = assess_chart(chart, orders, KNOWLEDGE)
        for what_if in (would_change(chart.facts, found.assessment, KNOWLEDGE), WhatIf()):
            written = written_assessment(found.assessment, found.chart, KNOWLEDGE, what_if)
            whole = assessment_object(found.assessment, found.chart, KNOWLEDGE, what_if)
            assert msgspec.json.encode(written) == msgspec.json.encode(without_empty(whole))


def asked(case: Case, ids: tuple[str, ...]) -> tuple[PatientFacts, tuple[Order, ...]]:
    """The facts of a case with evidence, and its orders under these ids."""
    facts = read_facts(case.facts)
    source = Evidence("Observation/1", "2026-01", "coded")
    evidence = {name: (source, replace(source, label="x")) for name in ("nen_status", "metastases") if case.facts}
    orders = tuple(Order(name, key, facts.order_intent) for name, key in zip(ids, case.orders, strict=False))
    return PatientFacts(facts, evidence, nen_evidence=True), orders
