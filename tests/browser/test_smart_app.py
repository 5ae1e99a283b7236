"""The SMART app in a real browser: opened from a card, in the EHR's frame, and handing a draft order back."""

from __future__ import annotations

from typing import Final

from playwright.sync_api import FrameLocator, Page, expect

from tests.browser.acting import answer_of, choose, open_patient
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
