"""The guideline text in a real browser: without JavaScript, on a phone, and for people who cannot see it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.acting import is_sound
from tests.browser.conftest import DESKTOP, PHONE, Site, quiet_page
from tests.web.test_guideline import KINDS

SCENARIO: Final = "/scenarios/pnet-initial-staging"
KINDS_OF_PAGES: Final = tuple(f"/guideline{page}" for page in (*KINDS, "?q=pregnancy", SCENARIO, "/rules/NO-01"))


@pytest.fixture
def bare(chromium: Browser, site: Site) -> Iterator[Page]:
    """A page in a browser with JavaScript switched off."""
    context = chromium.new_context(java_script_enabled=False, base_url=site.base)
    yield context.new_page()
    context.close()


def test_everything_is_reached_without_javascript(bare: Page) -> None:
    """Search, a rule, a scenario, the matrix, and the way back: links and a form are enough."""
    bare.goto("/guideline")
    bare.get_by_label("Search rules").fill("pregnancy gadolinium")
    bare.get_by_role("button", name="Search").click()
    bare.get_by_role("link", name="SAF-12").first.click()
    expect(bare.get_by_role("heading", name="SAF-12", level=1)).to_be_visible()
    bare.get_by_role("link", name="Scenarios and studies").click()
    bare.get_by_role("table").get_by_role("link", name="Initial staging").first.click()
    expect(bare.get_by_role("heading", name="Initial staging", level=1)).to_be_visible()
    bare.get_by_label("Search rules").fill("zebra")
    bare.keyboard.press("Enter")
    expect(bare.get_by_text("No rule holds these words.")).to_be_visible()


def test_a_day_is_chosen_without_javascript(bare: Page) -> None:
    """The form of the changes keeps the day on every page from there."""
    bare.goto("/guideline/changes")
    bare.get_by_label("Day").fill("2026-11-25")
    bare.get_by_role("button", name="Show that day").click()
    expect(bare.get_by_text("As it was in force on 2026-11-25.")).to_be_visible()
    bare.get_by_role("link", name="All rules").click()
    expect(bare.get_by_text("As it was in force on 2026-11-25.")).to_be_visible()


def test_why_leads_from_a_card_to_its_rules(chromium: Browser, site: Site) -> None:
    """From the order-entry page: the link of the card shows each rule at its place."""
    with quiet_page(chromium, site.base, DESKTOP) as page:
        page.goto("/?patient=pacemaker-mri")
        page.locator("#said-patient-view").wait_for()
        page.locator("#story-order").click()
        card = page.locator("#said-order-select")
        card.wait_for()
        address = card.get_by_role("link", name="Why? The rules behind this card").first.get_attribute("href")
        assert address
        path = "/guideline" + address.partition("/guideline")[2]
        page.goto(f"{path}#SAF-01")
        expect(page.locator("section:target").get_by_role("heading", name="SAF-01")).to_be_in_viewport()


@pytest.mark.parametrize("path", KINDS_OF_PAGES)
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["1366x768", "phone"])
def test_every_kind_of_page_is_sound(size: tuple[int, int], path: str, chromium: Browser, site: Site) -> None:
    """axe-core finds nothing, and nothing is wider than the screen."""
    with quiet_page(chromium, site.base, size, ("Failed to load resource",)) as page:
        page.goto(path)
        is_sound(page)


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["1366x768", "phone"])
def test_the_matrix_is_read_without_scrolling_sideways(size: tuple[int, int], chromium: Browser, site: Site) -> None:
    """All scenarios fit; on a phone each cell says which scenario it is about."""
    with quiet_page(chromium, site.base, size) as page:
        page.goto("/guideline/matrix")
        assert page.locator(".scroll").evaluate("(box) => box.scrollWidth <= box.clientWidth")
        cell = page.locator("td.usually-appropriate").first
        expect(cell).to_contain_text("Radiation level")
        expect(cell.locator(".where")).to_be_visible(visible=size == PHONE)
