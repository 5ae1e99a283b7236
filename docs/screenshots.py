"""Makes the pictures of README and docs from a running demo: ``python docs/screenshots.py [http://127.0.0.1:8080]``.

Needs Chromium and the extra ``dev``. Run it with the demo just started, after every change of how the page looks.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, Page, sync_playwright

FOLDER: Final = Path(__file__).parent / "screenshots"
PROGRAMS: Final = ("chromium", "chromium-browser", "google-chrome")
DESKTOP: Final = (1366, 768)
PHONE: Final = (360, 740)


def opened(browser: Browser, base: str, size: tuple[int, int], patient: str) -> Page:
    """A chart, with the order of its story drafted and looked at."""
    page = browser.new_page(viewport={"width": size[0], "height": size[1]})
    page.goto(f"{base}/?patient={patient}")
    page.locator("#said-patient-view").wait_for()
    page.locator("#story-order").click()
    page.locator("#said-order-select").wait_for()
    return page


def main(base: str) -> None:
    """Make every picture."""
    FOLDER.mkdir(exist_ok=True)
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        page = opened(browser, base, DESKTOP, "incidental-tail-lesion")
        page.screenshot(path=FOLDER / "card.png")
        page.locator("#said-order-select .suggestion").click()
        page.get_by_text("Feedback is stored.").wait_for()
        page.locator("#sign").click()
        page.get_by_role("button", name="Dispatch").click()
        page.locator("#said-order-dispatch").wait_for()
        page.evaluate("window.scrollTo(0, 0)")
        page.screenshot(path=FOLDER / "signed.png")
        page = opened(browser, base, DESKTOP, "early-mri-after-prrt")
        page.locator("#said-order-select").get_by_role("button", name="(SMART app)").click()
        page.frame_locator("#app iframe").get_by_role("heading", name="Timeline").wait_for()
        page.locator("#app").evaluate("(app) => app.scrollIntoView()")
        page.screenshot(path=FOLDER / "app.png")
        page = opened(browser, base, PHONE, "pacemaker-mri")
        page.locator("#said-order-select").evaluate("(answer) => answer.scrollIntoView()")
        page.evaluate("window.scrollBy(0, -60)")
        page.screenshot(path=FOLDER / "phone.png")
        browser.close()


if __name__ == "__main__":
    main((sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080").rstrip("/"))
