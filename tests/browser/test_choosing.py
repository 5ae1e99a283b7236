"""The service speaks while a study is being chosen: once for a choice that rests, and never about one that is gone."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from playwright.sync_api import Page, Request, expect

from tests.browser.acting import answer_of, open_patient, told
from tests.browser.conftest import Site

MRI: Final = "MRI abdomen and pelvis without and with IV contrast"
ORDER_SELECT: Final = "**/cds-services/pnet-order-select"


class Calls:
    """Calls of order-select as the page makes them."""

    def __init__(self, page: Page) -> None:
        self.bodies: list[dict[str, Any]] = []
        page.on("request", self._note)

    def _note(self, request: Request) -> None:
        if request.url.endswith("/pnet-order-select"):
            self.bodies.append(json.loads(request.post_data or ""))

    def studies(self) -> list[str]:
        """The studies that were asked about."""
        drafts = [body["context"]["draftOrders"]["entry"][-1]["resource"] for body in self.bodies]
        return [draft["code"]["text"] for draft in drafts]


@pytest.fixture
def calls(page: Page) -> Calls:
    """An open chart, and the calls made about it."""
    open_patient(page, "incidental-tail-lesion")
    return Calls(page)


def pick(page: Page, study: str) -> None:
    """Choose in the list, and no more."""
    page.get_by_label("Imaging study").select_option(study)


def test_a_choice_that_rests_is_asked_about(page: Page, calls: Calls) -> None:
    """The card is there before the study is among the drafts."""
    pick(page, "ct-abd-pel-wo")
    expect(answer_of(page, "order-select").locator(".card")).to_have_count(1)
    expect(page.locator("#drafts li")).to_have_count(0)
    (body,) = calls.bodies
    (entry,) = body["context"]["draftOrders"]["entry"]
    assert body["context"]["selections"] == [f"ServiceRequest/{entry['resource']['id']}"]
    assert entry["resource"]["status"] == "draft"


def test_going_through_the_list_asks_once(page: Page, calls: Calls) -> None:
    """The keyboard changes the choice at every step."""
    for study in ("ct-abd-pel-wo", "ct-abd-pel-w", "ct-cap-w", "mri-abd-pel-wwo"):
        pick(page, study)
    expect(answer_of(page, "order-select")).to_be_visible()
    page.get_by_label("Indication").select_option("")
    expect(answer_of(page, "order-select").locator(".card")).to_have_count(1)
    assert set(calls.studies()) == {MRI}
    assert len(calls.bodies) <= 2


def test_what_is_chosen_becomes_a_draft_and_is_not_asked_about_twice(page: Page, calls: Calls) -> None:
    """Whether the answer is there already or not yet."""
    pick(page, "ct-abd-pel-wo")
    expect(answer_of(page, "order-select").locator(".card")).to_have_count(1)
    page.get_by_role("button", name="Add to drafts").click()
    expect(page.locator("#drafts li")).to_have_count(1)
    expect(page.get_by_label("Imaging study")).to_have_value("")
    assert len(calls.bodies) == 1
    pick(page, "mri-abd-pel-wwo")
    page.get_by_role("button", name="Add to drafts").click()
    expect(page.locator("#drafts li")).to_have_count(2)
    expect(answer_of(page, "order-select")).to_contain_text(MRI)
    assert len(calls.bodies) == 2
    assert len(calls.bodies[1]["context"]["draftOrders"]["entry"]) == 2


@pytest.mark.usefixtures("calls")
def test_cards_are_replaced_and_not_piled_up(page: Page) -> None:
    """One place for the hook, and nothing there once nothing is chosen."""
    pick(page, "ct-abd-pel-wo")
    expect(answer_of(page, "order-select")).to_contain_text("CT abdomen/pelvis without contrast")
    pick(page, "eus")
    expect(answer_of(page, "order-select")).not_to_contain_text("CT abdomen/pelvis without contrast")
    expect(page.locator("#advice-body .answer")).to_have_count(2)
    pick(page, "")
    expect(answer_of(page, "order-select")).to_have_count(0)


def test_an_answer_that_comes_too_late_is_not_shown(page: Page, calls: Calls) -> None:
    """The earlier call is given up as soon as there is a newer one; the log of calls says so."""
    page.route(ORDER_SELECT, lambda _route: None, times=1)  # it is never answered
    with page.expect_request(ORDER_SELECT):
        pick(page, "ct-abd-pel-wo")
    with page.expect_event("requestfailed"):
        pick(page, "mri-abd-pel-wwo")
    expect(answer_of(page, "order-select").locator(".card")).to_have_count(1)
    expect(answer_of(page, "order-select")).to_contain_text("Information")
    page.get_by_text("All calls of this page").click()
    expect(page.locator("#log li").filter(has_text="order-select")).to_have_count(2)
    assert len(calls.bodies) == 2


def test_another_patient_is_not_asked_about(page: Page, calls: Calls) -> None:
    """A choice that has not rested yet goes with the chart."""
    pick(page, "ct-abd-pel-wo")
    page.get_by_role("button", name="Change patient").click()
    page.locator("[data-patient='pacemaker-mri']").click()
    answer_of(page, "patient-view").wait_for()
    expect(page.get_by_label("Imaging study")).to_have_value("")
    with page.expect_request(ORDER_SELECT):
        pick(page, "ct-abd-pel-w")
    assert [body["context"]["patientId"] for body in calls.bodies] == ["pmk-patient"]


@pytest.mark.usefixtures("calls")
def test_a_suggestion_replaces_what_is_merely_chosen(page: Page, site: Site) -> None:
    """The better study is drafted, nothing is chosen any more, and the feedback is stored."""
    pick(page, "ct-abd-pel-wo")
    button = answer_of(page, "order-select").get_by_role("button", name="Replace by")
    entry = told(page, button.click)
    expect(page.locator("#drafts .study")).to_have_text([MRI])
    expect(page.get_by_label("Imaging study")).to_have_value("")
    assert site.card(entry["card"]).outcome == "accepted"
