"""What would change the answer, as an EHR receives it: lines, the whole list, and a test to order."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_profiles.synthetic import synthetic_patients
from tests.builders import chart, hook_request
from tests.calling import ASSESSMENT, OverHttp, post, synthetic_request
from tests.validity import assert_valid_response

Advertised = dict[str, dict[str, str]]
TITLE = "**What would change this answer**\n"
WOMAN: dict[str, Any] = {
    "age_years": 40,
    "sex": "female",
    "nen_status": "confirmed",
    "primary_site": "pancreas",
    "differentiation": "well",
    "ki67_percent": 1,
    "mitoses": 1,
    "implant": "none",
    "iodinated_allergy": "none",
    "gadolinium_allergy": "none",
}
SLUGS = [patient.slug for patient in synthetic_patients()]


def lines(card: dict[str, Any]) -> list[str]:
    """The lines under the title."""
    parts = [part for part in card["detail"].split("\n\n") if part.startswith(TITLE)]
    assert len(parts) < 2
    return parts[0].removeprefix(TITLE).split("\n") if parts else []


def called(facts: dict[str, Any], live: OverHttp, advertised: Advertised, *orders: str, **more: Any) -> dict[str, Any]:
    """The answer of order-select about a chart with these facts; ``extra`` are resources beside them."""
    resources = [*chart(facts, orders), *more.get("extra", ())]
    request = hook_request(resources, "order-select", keys=advertised["order-select"])
    return assert_valid_response(post(live, "order-select", request), request)


def asked(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Suggestions that are no replacement."""
    return [s for card in body["cards"] for s in card.get("suggestions", []) if not s.get("isRecommended")]


@pytest.mark.parametrize("hook", ["patient-view", "order-select", "order-sign"])
@pytest.mark.parametrize("slug", SLUGS)
def test_a_card_has_three_lines_and_the_extension_has_all(
    slug: str, hook: str, live: OverHttp, advertised: Advertised
) -> None:
    """At most three lines, each about an unknown fact; with a card the whole list is there, without one it is not."""
    request = synthetic_request(slug, hook, advertised)
    body = assert_valid_response(post(live, hook, request), request)
    found = body.get("extension", {}).get(ASSESSMENT, {})
    assert bool(found.get("would_change")) is bool(body["cards"])
    for card in body["cards"]:
        assert 0 < len(lines(card)) <= 3
        assert all(line.startswith("- Record ") and " → " in line for line in lines(card))
    known = {name for name, fact in found.get("facts", {}).items() if fact.get("evidence")}
    assert known.isdisjoint(entry["fact"] for entry in found.get("would_change", []))


def test_a_test_is_offered_beside_the_better_study(live: OverHttp, advertised: Advertised) -> None:
    """An order that is replaced and a question that a test answers: both can be taken, one of them is recommended."""
    body = called(WOMAN, live, advertised, "ct-abd-pel-w")
    (offered,) = asked(body)
    (action,) = offered["actions"]
    assert action["resource"]["code"]["coding"][0]["code"] == "2118-8"
    body = called(WOMAN | {"pregnant": False}, live, advertised, "ct-abd-pel-wo")
    (card,) = body["cards"]
    assert [suggestion.get("isRecommended", False) for suggestion in card["suggestions"]] == [True, False]
    assert card["selectionBehavior"] == "any"
    assert card["suggestions"][1]["actions"][0]["resource"]["code"]["coding"][0]["code"] == "98979-8"


def test_what_is_on_order_is_not_asked_for_again(live: OverHttp, advertised: Advertised) -> None:
    """A creatinine that is on order tells the eGFR; neither is offered a second time."""
    facts = WOMAN | {"pregnant": False}
    coding = {"system": "http://loinc.org", "code": "2160-0"}
    planned = {
        "resourceType": "ServiceRequest",
        "id": "creatinine",
        "status": "active",
        "intent": "order",
        "subject": {"reference": "Patient/p1"},
        "code": {"coding": [coding]},
    }
    assert len(asked(called(facts, live, advertised, "ct-abd-pel-w"))) == 1
    assert asked(called(facts, live, advertised, "ct-abd-pel-w", extra=[planned])) == []


def test_ki67_is_asked_for_but_not_ordered(live: OverHttp, advertised: Advertised) -> None:
    """No code is known with which Ki-67 may be ordered, so the line says what to record and nothing is offered."""
    facts = {name: value for name, value in WOMAN.items() if name not in ("ki67_percent", "mitoses")}
    facts |= {"pregnant": False, "egfr": 80, "dialysis": False, "aki": False}
    body = called(facts, live, advertised, "ct-abd-pel-wo")
    assert asked(body) == []
    ki67 = [entry for entry in body["extension"][ASSESSMENT]["would_change"] if entry["fact"] == "ki67_percent"]
    assert {"above": 20} in [value for entry in ki67 for value in entry["values"]]
    assert any("Record Ki-67" in line for card in body["cards"] for line in lines(card))
