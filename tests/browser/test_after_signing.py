"""What becomes of signed orders, and the end of the stay: ordinary calls, whose advice is seen before it is ignored."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.acting import answer_of, choose, is_sound, open_patient, told
from tests.browser.conftest import DESKTOP, PHONE, Site, quiet_page

MRI: Final = "MRI abdomen and pelvis without and with IV contrast"
TOO_EARLY: Final = "2026-12-05"


def sign(page: Page, slug: str, study: str) -> None:
    """One order of the catalogue, signed, whatever is said about it."""
    open_patient(page, slug)
    choose(page, study)
    page.get_by_role("button", name="Sign orders").click()
    answer_of(page, "order-sign").wait_for()
    anyway = page.get_by_role("button", name="Sign anyway")
    if anyway.is_visible():
        anyway.click()
    expect(page.locator("#signed li")).to_have_count(1)


def test_whoever_performs_the_study_is_told(page: Page) -> None:
    """order-dispatch names the signed order, which goes along as one that is active."""
    sign(page, "renal-impairment-ct", "ct-abd-pel-w")
    with page.expect_request("**/pnet-order-dispatch") as sent:
        page.get_by_role("button", name="Dispatch").click()
    call: dict[str, Any] = json.loads(sent.value.post_data or "")
    (reference,) = call["context"]["dispatchedOrders"]
    planned = [entry["resource"] for entry in call["prefetch"]["plannedServices"]["entry"]]
    assert (reference, "active") in [(f"ServiceRequest/{one['id']}", one["status"]) for one in planned]
    expect(answer_of(page, "order-dispatch").locator(".card")).to_contain_text("Check before")
    expect(page.locator("#signed")).to_contain_text("Sent to the imaging department.")
    expect(page.get_by_role("button", name="Dispatch")).to_have_count(0)
    expect(page.locator("#signed-title")).to_be_focused()


def test_a_day_outside_the_window_is_looked_at_before_it_is_booked(page: Page) -> None:
    """The card says which days would do; one of them is booked in silence, the other only anyway."""
    sign(page, "early-mri-after-prrt", "mri-abd-pel-wwo")
    page.get_by_label("Day of appointments").fill(TOO_EARLY)
    page.get_by_role("button", name="Book").click()
    card = answer_of(page, "appointment-book").locator(".card")
    expect(card).to_contain_text("Move this imaging appointment")
    expect(page.locator("#signed")).not_to_contain_text("Booked")
    expect(page.get_by_role("button", name="Book anyway")).to_be_visible()
    window = card.locator("h4").inner_text().split(" into ")[1][:10]
    page.get_by_label("Day of appointments").fill(window)
    page.get_by_role("button", name=f"Book {MRI}").click()
    expect(page.locator("#signed")).to_contain_text(f"Booked for {window}.")
    expect(answer_of(page, "appointment-book")).to_contain_text("No card")


def test_a_day_is_booked_all_the_same(page: Page) -> None:
    """The clinician decides, and nothing is asked a second time."""
    sign(page, "early-mri-after-prrt", "mri-abd-pel-wwo")
    page.get_by_label("Day of appointments").fill(TOO_EARLY)
    page.get_by_role("button", name="Book").click()
    page.get_by_role("button", name="Book anyway").click()
    expect(page.locator("#signed")).to_contain_text(f"Booked for {TOO_EARLY}.")
    page.get_by_text("All calls of this page").click()
    expect(page.locator("#log .call").filter(has_text="appointment-book")).to_have_count(1)


def test_follow_up_is_ordered_before_the_patient_leaves(page: Page, site: Site) -> None:
    """The suggestion becomes a draft; who leaves all the same is discharged without another call."""
    open_patient(page, "early-mri-after-prrt")
    page.get_by_role("button", name="Discharge").click()
    answer = answer_of(page, "encounter-discharge")
    expect(answer.locator(".card")).to_contain_text("Order follow-up before discharge")
    entry = told(page, answer.get_by_role("button", name="Order MRI").click)
    assert site.card(entry["card"]).service == "pnet-encounter-discharge"
    expect(page.locator("#drafts .study")).to_have_text([MRI])
    page.get_by_role("button", name="Discharge anyway").click()
    expect(page.locator("#discharged")).to_be_focused()


def test_where_nothing_is_due_the_patient_just_leaves(page: Page) -> None:
    """Silence, and the patient is discharged."""
    open_patient(page, "pancreatic-adenocarcinoma")
    page.get_by_role("button", name="Discharge").click()
    expect(answer_of(page, "encounter-discharge")).to_contain_text("No card")
    expect(page.locator("#discharged")).to_be_visible()


def test_a_service_that_fails_keeps_nobody_from_anything(chromium: Browser, site: Site) -> None:
    """The failure is seen, and the order is dispatched, the day booked, the patient discharged."""
    with quiet_page(chromium, site.base, DESKTOP, ("Failed to load resource",)) as page:
        sign(page, "renal-impairment-ct", "ct-abd-pel-w")
        page.route("**/cds-services/pnet-*", lambda route: route.fulfill(status=503, json={"resourceType": "x"}))
        page.get_by_role("button", name="Dispatch").click()
        expect(page.locator("#signed")).to_contain_text("Sent to the imaging department.")
        page.get_by_role("button", name="Book").click()
        page.get_by_role("button", name="Book anyway").click()
        expect(page.locator("#signed")).to_contain_text("Booked for")
        page.get_by_role("button", name="Discharge").click()
        page.get_by_role("button", name="Discharge anyway").click()
        expect(page.locator("#discharged")).to_be_visible()


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_everybody_can_use_it_at_any_width(size: tuple[int, int], chromium: Browser, site: Site) -> None:
    """axe-core finds nothing serious, and nothing runs wide, with an order in every state."""
    with quiet_page(chromium, site.base, size) as page:
        sign(page, "renal-impairment-ct", "ct-abd-pel-w")
        page.get_by_role("button", name="Dispatch").click()
        expect(page.locator("#signed")).to_contain_text("Sent")
        page.get_by_role("button", name="Discharge").click()
        answer_of(page, "encounter-discharge").wait_for()
        is_sound(page)
