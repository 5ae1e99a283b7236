"""The SMART app in the frame of an EHR of another site: cookies, frames, and messages as browsers allow them."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import pytest
import trustme
from playwright.sync_api import Browser, BrowserContext, FrameLocator, Page, expect

from tests.browser.acting import is_sound
from tests.browser.conftest import DESKTOP, HOSTILE, PHONE
from tests.browser.test_order_entry import MRI
from tests.smart.ehr import Ehr, running
from tests.smart.world import SLUG, World, a_world, chart_of

HANDLE: Final = "aGFuZGxl"
DRAFT: Final = "itl-sr-eus"
OTHER: Final = {
    "resourceType": "ServiceRequest",
    "id": "other",
    "status": "draft",
    "subject": {"reference": "Patient/other"},
}
"""A draft about somebody else, which a page about one patient must not touch."""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """The service over https under one name, the EHR under another: two sites."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(tls)
    with running(Ehr(chart_of(SLUG))) as ehr, a_world(ehr, tmp_path, tls) as made:
        yield made


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    """A browser that trusts the certificate of the test."""
    width, height = DESKTOP
    made = chromium.new_context(ignore_https_errors=True, viewport={"width": width, "height": height})
    yield made
    made.close()


def address(world: World, told: dict[str, Any], **more: str) -> str:
    """Of the EHR's page, which opens the app."""
    drafts = [one for one in world.ehr.chart if one.get("status") == "draft"]
    asked = {
        "app": world.ehr.start(world.app, **told),
        "origin": world.app,
        "handle": HANDLE,
        "scratchpad": json.dumps([*drafts, OTHER]),
    }
    return f"{world.ehr.base}/page?{urlencode(asked | more)}"


def messaging(world: World) -> dict[str, Any]:
    """What the EHR says with the token when it takes messages."""
    return {"smart_web_messaging_handle": HANDLE, "smart_web_messaging_origin": world.ehr.base}


def embedded(context: BrowserContext, world: World, told: dict[str, Any] | None = None, **more: str) -> Page:
    """The EHR's page with the app in its frame."""
    page = context.new_page()
    page.goto(address(world, messaging(world) if told is None else told, **more))
    return page


def app_in(page: Page) -> FrameLocator:
    """The app, once it shows the story."""
    frame = page.frame_locator("#app")
    frame.get_by_role("heading", name="Timeline").wait_for()
    return frame


def test_the_draft_of_the_ehr_is_replaced(context: BrowserContext, world: World) -> None:
    """PM-014: the launch passes in a frame of another site; what was said on the draft stays, the rest is new."""
    (draft,) = (one for one in world.ehr.chart if one.get("status") == "draft")
    draft |= {"priority": "urgent", "extension": [{"url": "http://old.example/rating", "valueString": "x"}]}
    page = embedded(context, world)
    app = app_in(page)
    choice = app.get_by_label("Put it in the place of")
    expect(choice.locator("option")).to_have_text(
        ["nothing: as a new draft order", "Endoscopic ultrasound of the pancreas"]
    )
    app.get_by_role("button", name=MRI).click()
    expect(app.locator("#outcome")).to_contain_text("is replaced by")
    changed, other = page.evaluate("window.scratchpad")
    assert other == OTHER
    assert (changed["id"], changed["code"]["text"], changed["priority"]) == (DRAFT, MRI, "urgent")
    assert "extension" not in changed, "the rating of the old study is not one of the new"
    assert {message["messagingHandle"] for message in page.evaluate("window.heard")} == {HANDLE}
    assert world.ehr.problems == []
    app.get_by_role("button", name=MRI).click()
    expect(app.locator("#outcome")).to_have_text(f"{MRI} is drafted already.")
    assert page.evaluate("window.scratchpad") == [changed, other]


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_in_a_window_of_its_own_it_is_for_everybody(
    size: tuple[int, int], context: BrowserContext, world: World
) -> None:
    """Messages reach the window that opened it; axe-core finds nothing serious on the page with everything on it."""
    (card,) = world.order_select()["cards"]
    page = context.new_page()
    with page.expect_popup() as opened:
        page.goto(address(world, messaging(world) | {"appContext": card["uuid"]}, window="yes"))
    app = opened.value
    app.set_viewport_size({"width": size[0], "height": size[1]})
    expect(app.get_by_role("heading", name="The card this was opened from")).to_be_visible()
    expect(app.get_by_text("as the card offered")).to_be_visible()
    is_sound(app)
    app.get_by_role("button", name=MRI).click()
    expect(app.locator("#outcome")).to_contain_text("is replaced by")
    assert page.evaluate("window.scratchpad[0].code.text") == MRI


def test_a_new_draft_is_created(context: BrowserContext, world: World) -> None:
    """Nothing is replaced when the clinician says so."""
    page = embedded(context, world)
    app = app_in(page)
    app.get_by_label("Put it in the place of").select_option("")
    app.get_by_role("button", name=MRI).click()
    expect(app.locator("#outcome")).to_have_text(f"{MRI} is drafted.")
    drafts = page.evaluate("window.scratchpad")
    assert [draft["id"] for draft in drafts] == [DRAFT, "other", "made-2"]
    assert drafts[2]["subject"] == {"reference": f"Patient/{world.ehr.patient}"}


def test_what_the_ehr_refuses_is_told(context: BrowserContext, world: World) -> None:
    """In its own words, which are text."""
    app = app_in(embedded(context, world, refuse="update"))
    app.get_by_role("button", name=MRI).click()
    expect(app.locator("#outcome")).to_have_text("Nothing is certain to have changed: not <b>now</b>.")


def test_another_origin_hears_nothing(context: BrowserContext, world: World) -> None:
    """The browser delivers messages to the origin of the token response only; the page shows no buttons meanwhile."""
    told = {"smart_web_messaging_handle": HANDLE, "smart_web_messaging_origin": "https://elsewhere.example.org"}
    page = embedded(context, world, told)
    app = app_in(page)
    expect(app.locator("#drafts")).to_be_hidden()
    assert page.evaluate("window.heard") == []


def test_without_messaging_the_story_is_all(context: BrowserContext, world: World) -> None:
    """No buttons, no script."""
    app = app_in(embedded(context, world, {}))
    expect(app.locator("#drafts")).to_have_count(0)
    expect(app.locator("script")).to_have_count(0)


def test_other_pages_may_not_frame_it(context: BrowserContext, world: World) -> None:
    """A page whose origin is not registered gets an empty frame."""
    world.change(frame_origins=("https://pages.example.org",))
    said: list[str] = []
    context.on("console", lambda message: said.append(message.text))
    page = embedded(context, world)
    assert any("frame-ancestors" in text for text in said), said
    assert page.frame_locator("#app").get_by_role("heading", name="Timeline").count() == 0


def test_hostile_text_stays_text(context: BrowserContext, world: World) -> None:
    """In the record, in drafts of the EHR, and in what it answers."""
    for found in world.ehr.chart:
        if isinstance(found.get("code"), dict):
            found["code"]["text"] = HOSTILE
        if found["resourceType"] == "Patient":
            found["name"] = [{"family": HOSTILE}]
    page = embedded(context, world)
    app = app_in(page)
    expect(app.get_by_role("heading", level=1)).to_have_text(HOSTILE)
    app.get_by_role("button", name=MRI).click()
    expect(app.locator("#outcome")).to_contain_text(HOSTILE)
    for frame in page.frames:
        assert frame.evaluate("window.stolen") is None


def test_the_page_is_for_everybody(context: BrowserContext, world: World) -> None:
    """axe-core finds nothing serious on the story in a tab of its own, nor on a refusal."""
    page = context.new_page()
    page.goto(world.ehr.start(world.app))
    page.get_by_role("heading", name="Timeline").wait_for()
    is_sound(page)
    page.reload()
    expect(page.locator("#slug")).to_have_text("launch-unknown")
    is_sound(page)
