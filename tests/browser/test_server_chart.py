"""A chart of a real FHIR server on the order-entry page: shown by it, and read by the service for its calls."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page, expect

from cds_service.app import create_app
from cds_service.settings import load_settings
from fhir_profiles.synthetic import synthetic_patients
from tests.browser.acting import answer_of, choose, is_sound, told
from tests.browser.conftest import DESKTOP, PHONE, quiet_page
from tests.builders import AS_OF
from tests.conftest import served
from tests.fhir.real_server import TOKEN, running

MRI: Final = "MRI abdomen and pelvis without and with IV contrast"
SMALL_PAGES: Final = 5
BUSY_MACHINE_SECONDS: Final = 20.0


@pytest.fixture(scope="module")
def fhir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A FHIR server with a token, which holds two stories."""
    folder = tmp_path_factory.mktemp("charts")
    files = []
    for patient in synthetic_patients():
        if patient.slug in ("incidental-tail-lesion", "early-mri-after-prrt"):
            files.append(folder / f"{patient.slug}.json")
            files[-1].write_text(json.dumps(patient.bundle), encoding="utf-8")
    with running(*files, page=SMALL_PAGES) as url:
        yield url


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The demo as it starts without any setting about FHIR servers."""
    database = f"sqlite:///{tmp_path_factory.mktemp('demo')}/store.sqlite"
    settings = load_settings(demo=True, database_url=database, fhir_seconds=BUSY_MACHINE_SECONDS)
    for here in served(create_app(settings, today=lambda: AS_OF)):
        yield here.base


@pytest.fixture
def page(chromium: Browser, base: str) -> Iterator[Page]:
    """The page of that demo."""
    with quiet_page(chromium, base, DESKTOP) as opened:
        yield opened


def open_server_chart(page: Page, fhir: str, patient: str = "itl-patient", token: str = TOKEN) -> None:
    """Type in whose chart it is, and wait for nothing."""
    page.goto("/")
    page.get_by_text("Or open a chart of a FHIR server").click()
    page.get_by_label("FHIR server").fill(fhir)
    page.get_by_label("Patient id").fill(patient)
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Open chart").click()


def test_the_chart_is_shown_and_the_calls_are_answered_from_the_server(page: Page, fhir: str) -> None:
    """The browser calls this service only; the calls name the server and prefetch what the page itself may change."""
    asked: set[str] = set()
    page.on("request", lambda request: asked.add("/".join(request.url.split("/")[:3])))
    with page.expect_request("**/pnet-patient-view") as sent:
        open_server_chart(page, fhir)
    call: dict[str, Any] = json.loads(sent.value.post_data or "")
    assert (call["fhirServer"], call["fhirAuthorization"]["access_token"]) == (fhir, TOKEN)
    assert set(call["prefetch"]) == {"plannedServices"}
    expect(answer_of(page, "patient-view").locator(".card")).to_contain_text("NET G1")
    expect(page.locator("#chart-body")).to_contain_text("Ki-67")
    expect(page.locator("#banner")).to_contain_text(fhir)
    assert asked == {page.url.rstrip("/")}


def test_the_whole_story_with_a_chart_of_a_server(page: Page, fhir: str) -> None:
    """Draft of the server, suggestion, signing, dispatch: the signed order is on no server, and goes along."""
    open_server_chart(page, fhir)
    answered = choose(page)
    told(page, answered.get_by_role("button", name=f"Replace by {MRI}").click)
    page.get_by_role("button", name="Sign orders").click()
    expect(page.locator("#signed .rating")).to_contain_text("Usually appropriate")
    page.get_by_role("button", name="Dispatch").click()
    expect(answer_of(page, "order-dispatch").locator(".card")).to_contain_text("MRI")
    expect(page.locator("#signed")).to_contain_text("Sent")


def test_a_discharge_from_a_server(page: Page, fhir: str) -> None:
    """The encounter of the server is the one that ends."""
    open_server_chart(page, fhir, "emp-patient")
    page.get_by_role("button", name="Discharge").click()
    expect(answer_of(page, "encounter-discharge").locator(".card")).to_contain_text("before discharge")


def test_the_token_is_in_nothing_that_is_shown_or_kept(chromium: Browser, base: str, fhir: str) -> None:
    """Neither in the JSON and the command beside the cards, nor in the address, nor in the history of the window."""
    with quiet_page(chromium, base, DESKTOP) as page:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        open_server_chart(page, fhir)
        answer = answer_of(page, "patient-view")
        answer.get_by_text("Request and response").click()
        expect(answer.get_by_role("group", name="Request", exact=True)).to_contain_text("(left out)")
        answer.get_by_role("button", name="Copy as curl").click()
        expect(answer.get_by_text("Copied.")).to_be_visible()
        seen = page.evaluate(
            """async () => [document.body.innerText, location.href, JSON.stringify(history.state),
              JSON.stringify(localStorage), JSON.stringify(sessionStorage), await navigator.clipboard.readText()]"""
        )
        assert "itl-patient" not in page.url
    assert [text for text in seen if TOKEN in text] == []


@pytest.mark.parametrize(
    ("server", "patient", "token", "said"),
    [
        ("https://fhir.example.org/r4", "itl-patient", "", "This FHIR server may not be read."),
        ("{here}", "itl-patient", "", "This FHIR server may not be read."),
        ("{here}", "nobody", TOKEN, "does not give this Patient"),
        ("{here}", "itl-patient", "wrong", "does not give this Patient"),
    ],
    ids=["elsewhere", "without-token", "nobody", "wrong-token"],
)
def test_what_cannot_be_read_is_said(
    server: str, patient: str, token: str, said: str, chromium: Browser, base: str, fhir: str
) -> None:
    """No empty chart, and what was typed is still there to be mended."""
    with quiet_page(chromium, base, DESKTOP, ("Failed to load resource",)) as page:
        open_server_chart(page, server.format(here=fhir), patient, token)
        expect(page.locator("#failure")).to_contain_text(said)
        expect(page.locator("#workspace")).to_be_hidden()
        expect(page.get_by_label("Patient id")).to_have_value(patient)
        page.get_by_label("FHIR server").fill(fhir)
        page.get_by_label("Patient id").fill("itl-patient")
        page.get_by_label("Token").fill(TOKEN)
        page.get_by_role("button", name="Open chart").click()
        expect(answer_of(page, "patient-view")).to_be_visible()
        expect(page.locator("#failure")).to_be_hidden()


def test_the_browser_goes_back_and_comes_again(page: Page, fhir: str) -> None:
    """The chart of a server is one step in the history, as those of the stories are."""
    open_server_chart(page, fhir)
    answer_of(page, "patient-view").wait_for()
    page.get_by_role("button", name="Change patient").click()
    expect(page.get_by_role("heading", name="Choose a patient")).to_be_visible()
    page.go_back()
    expect(page.locator("#banner")).to_contain_text(fhir)


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_everybody_can_use_it_at_any_width(size: tuple[int, int], chromium: Browser, base: str, fhir: str) -> None:
    """The form and the chart."""
    with quiet_page(chromium, base, size) as page:
        page.goto("/")
        page.get_by_text("Or open a chart of a FHIR server").click()
        is_sound(page)
        open_server_chart(page, fhir)
        answer_of(page, "patient-view").wait_for()
        is_sound(page)


def test_the_app_is_for_the_ehr_of_the_chart(page: Page, fhir: str) -> None:
    """The app is not set up for that server, so no card about its charts offers it."""
    open_server_chart(page, fhir)
    links = choose(page).get_by_role("list", name="Links")
    expect(links).to_contain_text("Guideline")
    expect(links).not_to_contain_text("SMART")


def test_an_open_server_is_read_when_the_demo_was_started_for_it(
    chromium: Browser, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No token is asked for or sent, neither by the page nor by the service."""
    folder = tmp_path_factory.mktemp("open")
    file = folder / "story.json"
    story = next(patient for patient in synthetic_patients() if patient.slug == "incidental-tail-lesion")
    file.write_text(json.dumps(story.bundle), encoding="utf-8")
    with running(file, page=SMALL_PAGES, token="") as fhir:
        settings = load_settings(
            demo=True,
            database_url=f"sqlite:///{folder}/store.sqlite",
            fhir_open_servers=fhir,
            fhir_seconds=BUSY_MACHINE_SECONDS,
        )
        for here in served(create_app(settings, today=lambda: AS_OF)):
            with quiet_page(chromium, here.base, DESKTOP) as page:
                with page.expect_request("**/pnet-patient-view") as sent:
                    open_server_chart(page, fhir, token="")
                assert "fhirAuthorization" not in json.loads(sent.value.post_data or "")
                expect(answer_of(page, "patient-view").locator(".card")).to_contain_text("NET G1")
