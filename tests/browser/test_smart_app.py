"""The SMART app in a real browser: opened from a card, in the EHR's frame, and handing a draft order back."""

from __future__ import annotations

from typing import Final

import pytest
from playwright.sync_api import Browser, FrameLocator, Page, expect

from tests.browser.acting import answer_of, choose, is_sound, open_patient
from tests.browser.conftest import DESKTOP, HOSTILE_PATIENT, PHONE, Site, quiet_page
from tests.browser.test_order_entry import MRI

APP: Final = "The patient's story"


def open_app(page: Page, slug: str = "incidental-tail-lesion") -> FrameLocator:
    """From the chart to the app, by the link on the card about the draft of the story."""
    open_patient(page, slug)
    choose(page).get_by_role("button", name=APP).click()
    frame = page.frame_locator("#app-room iframe")
    frame.get_by_role("heading", name="Timeline").wait_for()
    return frame


def test_a_card_opens_the_app_and_the_app_changes_the_draft(page: Page) -> None:
    """The whole way in the demo: link, launch, story with the card, order handed back, hook fired again, app closed."""
    app = open_app(page)
    expect(page.locator("#app-title")).to_be_focused()
    expect(app.get_by_role("heading", level=1)).to_have_text("Anders Lindqvist-Moe")
    card = app.locator("section[aria-labelledby=card]")
    expect(card).to_contain_text("pnet-order-select")
    expect(card).to_contain_text("usually not appropriate")
    expect(app.get_by_label("Put it in the place of")).to_contain_text("Endoscopic ultrasound")
    app.get_by_role("button", name=MRI).click()
    expect(app.locator("#outcome")).to_contain_text(f"is replaced by {MRI}.")
    expect(page.locator("#drafts .study")).to_have_text([MRI])
    expect(answer_of(page, "order-select")).to_contain_text("usually appropriate")
    page.get_by_role("button", name="Close the app").click()
    expect(page.locator("#app")).to_be_hidden()


def test_another_patient_closes_the_app(page: Page) -> None:
    """No app stands beside the chart of somebody else."""
    open_app(page)
    page.get_by_role("button", name="Change patient").click()
    page.locator("[data-patient='pacemaker-mri']").click()
    answer_of(page, "patient-view").wait_for()
    expect(page.locator("#app")).to_be_hidden()
    expect(page.locator("iframe")).to_have_count(0)


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_way_of_an_app_on_its_own(size: tuple[int, int], chromium: Browser, site: Site) -> None:
    """A standalone launch: the EHR asks whose story, the story opens, and loading it again does not."""
    with quiet_page(chromium, site.base, size, expected=("Failed to load resource",)) as page:
        page.goto(f"/smart/launch?iss={site.base}/demo/ehr/fhir")
        is_sound(page)
        page.get_by_role("link", name="Anaphylaxis to gadobutrol").click()
        expect(page.get_by_role("heading", name="Timeline")).to_be_visible()
        is_sound(page)
        page.reload()
        expect(page.locator("#slug")).to_have_text("launch-unknown")


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_beside_the_chart_it_is_sound(size: tuple[int, int], chromium: Browser, site: Site) -> None:
    """The page with the app in it, at any width."""
    with quiet_page(chromium, site.base, size) as page:
        open_app(page)
        is_sound(page)


def test_a_hostile_record_stays_text(page: Page) -> None:
    """Markup in the record, on the page and in the frame."""
    app = open_app(page, HOSTILE_PATIENT)
    expect(app.get_by_role("heading", level=1)).to_contain_text("<script>")
    assert [frame.evaluate("window.stolen") for frame in page.frames] == [None, None]
