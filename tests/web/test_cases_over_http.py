"""The worked clinical cases once more, this time as FHIR charts over HTTP, in three ways of recording each."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.builders import STYLES, chart, hook_request
from tests.calling import ASSESSMENT, OverHttp, post
from tests.cases_loader import Case, clinical_cases, mismatches
from tests.validity import assert_valid_response

CASES = clinical_cases()
NO_EVIDENCE = ("none", "other-tumour")
"""Diagnoses with which nothing in the chart speaks for a neuroendocrine neoplasm."""
LISTS = ("orders", "warnings", "advice", "missing", "conflicts", "unusable", "unavailable", "rules")
LISTS_OF_ORDERS = ("blocked_by", "warnings", "advice")


def asked_by(case: Case, style: int, advertised: dict[str, dict[str, str]]) -> dict[str, Any]:
    """The call about a case: order-sign for its orders, patient-view when nothing is ordered."""
    resources = chart(case.facts, case.orders, style=style)
    hook = "order-sign" if case.orders else "patient-view"
    request = hook_request(resources, "order-sign", keys=advertised[hook])
    if not case.orders:
        request["hook"] = hook
        del request["context"]["draftOrders"]
    return request


def restored(found: dict[str, Any]) -> dict[str, Any]:
    """The assessment as the command line prints it: lists that were left out because they are empty are back."""
    full = {name: [] for name in LISTS} | copy.deepcopy(found)
    full["orders"] = [{name: [] for name in LISTS_OF_ORDERS} | order for order in full["orders"]]
    return full


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_a_chart_leads_to_what_its_facts_lead_to(
    case: Case, style: int, live: OverHttp, advertised: dict[str, dict[str, str]]
) -> None:
    """What the rules conclude from plain facts they conclude from any chart that records them."""
    request = asked_by(case, style, advertised)
    body = assert_valid_response(post(live, request["hook"], request), request)
    if case.facts.get("nen_status") in NO_EVIDENCE:
        assert case.expected["scenario"] == "out-of-scope"
        assert body == {"cards": []}
        return
    assert mismatches(case, restored(body["extension"][ASSESSMENT])) == []
