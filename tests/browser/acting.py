"""What a clinician does on the order-entry page, and what is looked at afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, Response

RULES: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def open_patient(page: Page, slug: str) -> None:
    """From the list of patients to the answer of patient-view."""
    page.goto("/")
    page.locator(f"[data-patient='{slug}']").click()
    answer_of(page, "patient-view").wait_for()


def choose(page: Page, study: str = "") -> Locator:
    """A study of the catalogue, or the order of the story; the answer of order-select."""
    if study:
        page.get_by_label("Imaging study").select_option(study)
        page.get_by_role("button", name="Add to drafts").click()
    else:
        page.locator("#story-order").click()
    found = answer_of(page, "order-select")
    found.wait_for()
    return found


def answer_of(page: Page, hook: str) -> Locator:
    """Where the latest answer of a hook stands."""
    return page.locator(f"#said-{hook}")


def told(page: Page, act: Callable[[], None]) -> dict[str, Any]:
    """The feedback that is sent by what is done."""

    def is_feedback(response: Response) -> bool:
        return response.url.endswith("/feedback")

    with page.expect_response(is_feedback) as sent:
        act()
    assert sent.value.status == 200
    entry: dict[str, Any] = json.loads(sent.value.request.post_data or "")["feedback"][0]
    return entry


def is_sound(page: Page) -> None:
    """Neither grave findings of axe-core, nor scrolling sideways."""
    found = Axe().run(page, options={"resultTypes": ["violations"], "runOnly": RULES}).response["violations"]
    grave = [(one["id"], one["impact"], one["nodes"][0]["html"]) for one in found]
    assert grave == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
