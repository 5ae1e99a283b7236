"""Orders that answer another question than the suggested studies are never taken away by a click."""

from __future__ import annotations

from typing import Any

import pytest

from cds_service.knowledge import load_knowledge
from tests.builders import chart, hook_request
from tests.calling import InProcess, post
from tests.validity import assert_valid_response

PATIENT = {
    "age_years": 58,
    "nen_status": "confirmed",
    "primary_site": "pancreas",
    "differentiation": "well",
    "ki67_percent": 1.5,
    "mitoses": 1,
}
COMPLEMENTS = sorted(key for key, study in load_knowledge().procedures.items() if "complement" in study.attributes)
CODED = [key for key in COMPLEMENTS if key != "glp1r-imaging"]  # which has no code


def answered(orders: list[str], hook: str, local: InProcess, advertised: dict[str, dict[str, str]]) -> dict[str, Any]:
    """The answer about these orders for a patient to be staged."""
    request = hook_request(chart(PATIENT, tuple(orders), style=0), hook, keys=advertised[hook])
    return assert_valid_response(post(local, hook, request), request)


def deleted(body: dict[str, Any]) -> list[str]:
    """What any suggestion of any card would delete."""
    suggestions = [suggestion for card in body["cards"] for suggestion in card.get("suggestions", [])]
    return [action["resourceId"] for s in suggestions for action in s["actions"] if action["type"] == "delete"]


@pytest.mark.parametrize("key", CODED)
def test_the_suggested_study_is_offered_beside_it(
    key: str, local: InProcess, advertised: dict[str, dict[str, str]]
) -> None:
    """A chest CT, a brain MRI or an MRCP stays when the staging study is suggested."""
    body = answered([key], "order-sign", local, advertised)
    card = body["cards"][0]
    assert deleted(body) == []
    assert "as well" in card["summary"]
    assert any(suggestion["label"].endswith("as well") for suggestion in card["suggestions"])
    assert body["extension"]["org.pnet-cds.assessment"]["orders"][0]["suggestion"] == "mri-abd-pel-wwo"


def test_beside_the_suggested_study_nothing_is_said(local: InProcess, advertised: dict[str, dict[str, str]]) -> None:
    """Baseline staging as the sources want it, MRI and a chest CT, passes at signing without a card."""
    body = answered(["mri-abd-pel-wwo", "ct-chest-wo"], "order-sign", local, advertised)
    assert body["cards"] == []
    while_choosing = answered(["mri-abd-pel-wwo", "ct-chest-wo"], "order-select", local, advertised)
    assert deleted(while_choosing) == []


def test_a_study_that_asks_the_same_question_is_replaced(
    local: InProcess, advertised: dict[str, dict[str, str]]
) -> None:
    """An unrated study of the abdomen is still replaced by the rated one."""
    assert deleted(answered(["us-abd"], "order-sign", local, advertised))


def test_complements_are_the_studies_that_advice_adds(local: InProcess, advertised: dict[str, dict[str, str]]) -> None:
    """None of them has a rating anywhere, so that none is a suggestion itself."""
    rated = {procedure for _, procedure in load_knowledge().ratings}
    assert not rated.intersection(COMPLEMENTS)
    assert answered(["mri-brain"], "order-select", local, advertised)["cards"]
