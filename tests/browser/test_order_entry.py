"""The order-entry page, clicked through in a real browser against the real service."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from typing import Final

import pytest
from click.testing import CliRunner
from playwright.sync_api import Browser, Locator, Page, Route, expect

from cds_service.cli import cli
from fhir_profiles.synthetic import synthetic_patients
from tests.browser.acting import answer_of, choose, is_sound, open_patient, told
from tests.browser.conftest import DESKTOP, HOSTILE, HOSTILE_PATIENT, PHONE, Site, quiet_page
from tests.requirement import need

SLUGS: Final = [patient.slug for patient in synthetic_patients()]
HOOKS: Final = (
    "patient-view",
    "order-select",
    "order-sign",
    "order-dispatch",
    "appointment-book",
    "encounter-discharge",
)


@dataclass(frozen=True)
class Story:
    """What is clicked, and what must come of it.

    Attributes:
        study: key of a study of the catalogue; empty for the order of the story.
        word: how grave the card on the choice is, in words; empty for no card.
        take: part of the label of the suggestion that is taken; empty for none.
        drafts: names of the drafts when everything is chosen.
        silent: whether signing passes without a card.
        rating: part of the rating on the signed order; empty for none.
    """

    slug: str
    study: str
    word: str
    take: str
    drafts: tuple[str, ...]
    silent: bool
    rating: str


MRI: Final = "MRI abdomen and pelvis without and with IV contrast"
CT: Final = "CT abdomen and pelvis with IV contrast"
CT_ENTEROGRAPHY: Final = "CT enterography with IV contrast"
CT_TRUNK: Final = "CT chest, abdomen and pelvis with IV contrast"
STORIES: Final = (
    Story("incidental-tail-lesion", "", "Warning", f"Replace by {MRI}", (MRI,), True, "Usually appropriate"),
    Story("incidental-tail-lesion", "mri-abd-pel-wwo", "Information", "", (MRI,), True, "Usually appropriate"),
    Story("active-surveillance", "", "Warning", f"Replace by {MRI}", (MRI,), True, "Usually appropriate"),
    Story("gadolinium-reaction", "", "Critical", f"Replace by {CT}", (CT,), True, "Usually appropriate"),
    Story("pacemaker-mri", "mri-abd-pel-wwo", "Critical", f"Replace by {CT}", (CT,), True, "Usually appropriate"),
    Story("pregnancy-ct", "ct-abd-pel-w", "Critical", f"Replace by {MRI}", (MRI,), False, "Usually appropriate"),
    Story("renal-impairment-ct", "", "Warning", "", (CT,), False, "Usually appropriate"),
    Story(
        "suspected-insulinoma",
        "",
        "Information",
        "Also order a pregnancy test",
        ("SSTR PET/CT skull base to mid-thigh (Ga-68 DOTATATE)", "a pregnancy test"),
        False,
        "Appropriate by the criteria for SSTR PET",
    ),
    Story("ileal-net-liver-metastases", "", "Information", "", (CT_ENTEROGRAPHY,), True, "Not rated"),
    Story("pancreatic-adenocarcinoma", "", "", "", (CT_TRUNK,), True, ""),
)


# --- the whole story --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("story", STORIES, ids=lambda story: f"{story.slug}-{story.study or 'as-told'}")
def test_the_whole_story(story: Story, page: Page, site: Site) -> None:
    """Open, choose, take the suggestion, sign: drafts change, the rating is shown, the feedback is in the store."""
    open_patient(page, story.slug)
    has_summary = story.word != ""
    assert answer_of(page, "patient-view").locator(".card").count() == has_summary
    answered = choose(page, story.study)
    assert [word.split("\n")[-1] for word in answered.locator(".gravity").all_inner_texts()] == [
        story.word
    ] * has_summary
    if story.take:
        button = answered.get_by_role("button", name=story.take)
        entry = told(page, button.click)
        expect(answered.locator(".outcome")).to_contain_text("Feedback is stored.")
        kept = site.card(entry["card"])
        assert (kept.outcome, kept.service) == ("accepted", "pnet-order-select")
    expect(page.locator("#drafts .study")).to_have_text(list(story.drafts))
    page.get_by_role("button", name="Sign orders").click()
    signing = answer_of(page, "order-sign")
    if story.silent:
        expect(signing).to_contain_text("No card")
    else:
        expect(signing.locator(".card")).to_have_count(1)
        page.get_by_role("button", name="Sign anyway").click()
    expect(page.locator("#drafts li")).to_have_count(0)
    expect(page.locator("#signed .study")).to_have_text(list(story.drafts))
    ratings = page.locator("#signed .rating")
    assert [story.rating in text for text in ratings.all_inner_texts()] == [True] * bool(story.rating)


def test_overriding_with_a_reason_is_stored_and_reported(page: Page, site: Site) -> None:
    """The order stays as it is; reason and outcome are in the store and in the report of the command line."""
    open_patient(page, "non-contrast-ct-g2")
    answered = choose(page)
    answered.get_by_text("Override with a reason").click()
    answered.get_by_label("Reason").select_option(label="Decided at the tumour board")
    entry = told(page, answered.get_by_role("button", name="Override this advice").click)
    assert entry["overrideReason"]["reason"]["code"] == "discussed-at-board"
    expect(answered.locator(".outcome")).to_contain_text("Overridden: Decided at the tumour board. Feedback is stored.")
    expect(page.locator("#drafts .study")).to_have_count(1)
    kept = site.card(entry["card"])
    assert (kept.outcome, kept.reason_code) == ("overridden", "discussed-at-board")
    ran = CliRunner().invoke(
        cli, ["feedback", "report", "--by", "service", "--json"], env={"PNET_CDS_DATABASE_URL": site.database}
    )
    assert ran.exit_code == 0
    row = next(row for row in json.loads(ran.output)["rows"] if row["key"] == "pnet-order-select")
    assert "Decided at the tumour board" in [reason["display"] for reason in row["reasons"]]


def test_a_draft_that_is_changed_after_the_card_is_looked_at_again(page: Page) -> None:
    """A suggestion taken at signing changes the draft, so that it is signed by a call of its own."""
    open_patient(page, "incidental-tail-lesion")
    choose(page)
    page.get_by_role("button", name="Sign orders").click()
    expect(page.get_by_role("button", name="Sign anyway")).to_be_visible()
    expect(page.locator("#drafts .rating")).to_contain_text("Usually not appropriate")
    answer_of(page, "order-sign").get_by_role("button", name="Replace by").click()
    page.get_by_role("button", name="Sign orders").click()
    expect(page.locator("#signed .study")).to_have_text([MRI])


def test_what_was_signed_is_on_the_chart(page: Page) -> None:
    """The next call is sent with the signed order among those that are active."""
    open_patient(page, "one-year-after-resection")
    choose(page)
    page.get_by_role("button", name="Sign orders").click()
    expect(page.locator("#signed li")).to_have_count(1)
    with page.expect_request("**/pnet-order-select") as sent:
        choose(page, "ct-abd-pel-w")
    request = json.loads(sent.value.post_data or "")
    planned = request["prefetch"]["plannedServices"]["entry"]
    assert [entry["resource"]["id"] for entry in planned] == ["yar-sr-ct"]
    page.get_by_role("button", name=f"Remove {CT}").click()
    expect(page.locator("#drafts li")).to_have_count(0)


def test_ratings_are_read_where_older_services_put_them(page: Page) -> None:
    """``PNET_CDS_PAMA_PLACEMENT=argonaut`` answers with the system actions inside the extension."""

    def moved(route: Route) -> None:
        answer = route.fetch()
        body = answer.json()
        body["extension"] = {"systemActions": body.pop("systemActions")}
        route.fulfill(response=answer, json=body)

    open_patient(page, "one-year-after-resection")
    choose(page)
    page.route("**/cds-services/pnet-order-sign", moved)
    page.get_by_role("button", name="Sign orders").click()
    expect(page.locator("#signed .rating")).to_contain_text("Usually appropriate")


def test_the_browser_goes_back_and_comes_again(page: Page) -> None:
    """A chart has an address; the list of patients is one step back."""
    page.goto("/?patient=pacemaker-mri")
    expect(page.get_by_role("heading", name="Haidinger, Josef")).to_be_visible()
    page.get_by_role("button", name="Change patient").click()
    expect(page.get_by_role("heading", name="Choose a patient")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", name="Haidinger, Josef")).to_be_visible()


# --- over the wire ----------------------------------------------------------------------------------------------------


def test_calls_are_those_of_the_reference(page: Page) -> None:
    """For every patient and hook, context and prefetch are what the reference EHR of this project sends."""
    page.goto("/")
    compare = """async ([slugs, hooks]) => {
      const { appointmentFor, contextOf, isDraft, prefetch, resources } = await import("/demo/static/ehr.js");
      const json = async (path) => (await fetch(path)).json();
      const isObject = (value) => value && typeof value === "object" && !Array.isArray(value);
      const sorted = (value) => (isObject(value)
        ? Object.fromEntries(Object.entries(value).sort().map(([name, held]) => [name, sorted(held)])) : value);
      const byId = (one, other) => one.id.localeCompare(other.id);
      const plain = (value) => JSON.stringify(value?.entry
        ? value.entry.map(({ resource }) => resource).sort(byId).map(sorted) : sorted(value));
      const { services } = await json("/cds-services");
      const differences = [];
      for (const slug of slugs) {
        const all = resources(await json(`/demo/patients/${slug}`));
        const drafts = all.filter(isDraft);
        const open = { patient: all.find((r) => r.resourceType === "Patient"), drafts };
        open.encounter = all.find((r) => r.resourceType === "Encounter");
        for (const hook of hooks) {
          const expected = await json(`/demo/requests/${slug}?hook=${hook}`);
          const sent = hook === "order-dispatch" ? drafts.map((draft) => ({ ...draft, status: "active" })) : [];
          const chart = [...all.filter((r) => !isDraft(r)), ...sent];
          const start = expected.context.appointments?.entry[0]?.resource.start.slice(0, 10);
          const about = hook === "appointment-book"
            ? drafts.map((order) => appointmentFor(order, open.patient, start))
                .map(({ basedOn, ...booked }) => booked) // which order it is for is said by this page only
            : drafts;
          const made = { context: contextOf(hook, open, about) };
          made.prefetch = prefetch(services.find((s) => s.hook === hook).prefetch, made.context, chart);
          for (const part of ["context", "prefetch"]) {
            for (const key of new Set([...Object.keys(made[part]), ...Object.keys(expected[part])])) {
              const same = plain(made[part][key]) === plain(expected[part][key]);
              if (!same) differences.push([slug, hook, part, key]);
            }
          }
        }
      }
      return differences;
    }"""
    assert page.evaluate(compare, [SLUGS, list(HOOKS)]) == []


def test_a_template_that_cannot_be_answered_is_left_out(page: Page) -> None:
    """A parameter the page does not know is not ignored: then the answer would be to another question."""
    page.goto("/")
    filled = page.evaluate(
        """async () => (await import("/demo/static/ehr.js")).prefetch(
          { known: "Condition?patient={{context.patientId}}", other: "Condition?code=1",
            none: "Encounter/{{context.encounterId}}" },
          { patientId: "p" }, [{ resourceType: "Condition", id: "c", subject: { reference: "Patient/p" } }])"""
    )
    assert filled["known"]["total"] == 1
    assert filled["none"] is None
    assert "other" not in filled


def test_a_call_is_shown_and_can_be_sent_again_by_curl(chromium: Browser, site: Site) -> None:
    """What is copied is a command that gets the same cards."""
    need("curl")
    with quiet_page(chromium, site.base, DESKTOP) as page:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        open_patient(page, "pacemaker-mri")
        answered = choose(page)
        answered.get_by_text("Request and response").click()
        response = json.loads(answered.get_by_role("group", name="Response", exact=True).inner_text())
        request = json.loads(answered.get_by_role("group", name="Request", exact=True).inner_text())
        assert request["hook"] == "order-select"
        answered.get_by_role("button", name="Copy as curl").click()
        expect(answered.get_by_text("Copied.")).to_be_visible()
        command = page.evaluate("navigator.clipboard.readText()")
    ran = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True, timeout=30)
    again = json.loads(ran.stdout)
    assert [card["summary"] for card in again["cards"]] == [card["summary"] for card in response["cards"]]


def test_a_service_that_fails_is_said_and_stops_nobody(chromium: Browser, site: Site) -> None:
    """An error is no silence: it is shown, and the clinician may sign all the same."""
    refusal = {"resourceType": "OperationOutcome", "issue": [{"details": {"text": "The store is away."}}]}
    with quiet_page(chromium, site.base, DESKTOP, ("Failed to load resource",)) as page:
        open_patient(page, "incidental-tail-lesion")
        choose(page)
        page.route("**/cds-services/pnet-order-sign", lambda route: route.fulfill(status=503, json=refusal))
        page.get_by_role("button", name="Sign orders").click()
        expect(page.get_by_role("alert").filter(visible=True)).to_contain_text("The store is away.")
        expect(answer_of(page, "order-sign")).not_to_contain_text("No card")
        page.get_by_role("button", name="Sign anyway").click()
        expect(page.locator("#signed li")).to_have_count(1)
        expect(page.locator("#signed .rating")).to_have_count(0)


# --- hostile records --------------------------------------------------------------------------------------------------


def test_text_of_a_record_is_never_markup(page: Page) -> None:
    """Name, problems, findings, orders, cards and JSON show it as it is written, and no script of it runs."""
    open_patient(page, HOSTILE_PATIENT)
    answered = choose(page)
    answered.get_by_text("Reasons, evidence and sources").click()
    answered.get_by_text("Request and response").click()
    page.get_by_text("All calls of this page").click()
    for place in (
        "#patient-name",
        "#banner .story",
        "#chart-body",
        "#drafts .study >> nth=0",
        ".card .detail >> nth=0",
    ):
        expect(page.locator(place)).to_contain_text("<img src=x")
    page.locator("#drafts").get_by_role("button").click()
    assert HOSTILE in page.locator("#patient-name").inner_text()
    assert page.locator("main img, main script").count() == 0
    assert page.evaluate("window.stolen") is None


def test_markdown_makes_no_markup_of_its_own(page: Page) -> None:
    """HTML in Markdown stays text, images and odd schemes of links go, and tables and lists are real ones."""
    page.goto("/")
    shown = page.evaluate(
        """async (text) => {
          const { blocks } = await import("/demo/static/markdown.js");
          const room = document.createElement("div");
          room.append(...blocks(text));
          return [room.innerHTML, room.textContent];
        }""",
        f"# Head\n\n- one\n- **two**\n\n{HOSTILE}\n\n[bad](javascript:alert(1)) ![x](http://a/b.png) [good](https://a.b)\n\n"
        "| a | b |\n|---|:-:|\n| 1 | 2 |\n",
    )
    html, text = shown
    assert HOSTILE in text
    for tag in ("<img", "<script", "<h1", 'javascript:"', "style="):
        assert tag not in html
    for tag in ("<ul><li><span>one</span></li>", "<strong>two</strong>", "<table", 'href="https://a.b"'):
        assert tag in html


# --- for everybody ----------------------------------------------------------------------------------------------------


def test_the_whole_story_by_keyboard(page: Page) -> None:
    """No click: open, choose, take the suggestion, sign, dispatch, book, discharge."""

    def tab_to(name: str, role: str = "button") -> Locator:
        wanted = page.get_by_role(role, name=name).first  # type: ignore[arg-type]
        for _ in range(120):
            page.keyboard.press("Tab")
            if wanted.count() and wanted.evaluate("(element) => element === document.activeElement"):
                outline = wanted.evaluate("(element) => getComputedStyle(element).outlineStyle")
                assert outline == "solid", "where the keyboard is can be seen"
                return wanted
        raise AssertionError(f"the keyboard does not reach {name}")

    page.goto("/")
    page.locator("[data-patient]").first.wait_for()
    tab_to("New pNET G1 in the tail, EUS")
    page.keyboard.press("Enter")
    answer_of(page, "patient-view").wait_for()
    expect(page.locator("#patient-name")).to_be_focused()
    tab_to("Imaging study", "combobox")
    page.keyboard.type("Endoscopic ultra")
    tab_to("Add to drafts")
    page.keyboard.press("Enter")
    answered = answer_of(page, "order-select")
    answered.wait_for()
    expect(page.locator("#announcer")).to_contain_text("order-select: Order MRI")
    tab_to("Replace by MRI")
    page.keyboard.press("Enter")
    expect(answered.locator(".outcome")).to_be_focused()
    expect(answered.locator(".outcome")).to_contain_text("Feedback is stored.")
    page.locator("#orders").focus()
    tab_to("Sign orders")
    page.keyboard.press("Enter")
    expect(page.locator("#signed-title")).to_be_focused()
    expect(page.locator("#announcer")).to_contain_text("Signed.")
    tab_to("Dispatch MRI")
    page.keyboard.press("Enter")
    expect(page.locator("#announcer")).to_contain_text("order-dispatch: Protocol and safety facts")
    expect(page.locator("#signed-title")).to_be_focused()
    tab_to("Book MRI")
    page.keyboard.press("Enter")
    expect(page.locator("#signed")).to_contain_text("Booked for")
    page.locator("#patient-name").focus()
    tab_to("Discharge")
    page.keyboard.press("Enter")
    expect(page.locator("#discharged")).to_be_focused()


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_everybody_can_use_it_at_any_width(size: tuple[int, int], chromium: Browser, site: Site) -> None:
    """axe-core finds nothing serious on the list, the chart and the cards with everything open; nothing runs wide."""
    with quiet_page(chromium, site.base, size) as page:
        page.goto("/")
        page.locator("[data-patient]").first.wait_for()
        is_sound(page)
        open_patient(page, "pacemaker-mri")
        choose(page)
        page.get_by_role("button", name="Sign orders").click()
        answer_of(page, "order-sign").wait_for()
        page.locator("main details").evaluate_all("(all) => all.forEach((details) => { details.open = true; })")
        expect(page.locator("main pre").first).to_be_visible()
        is_sound(page)


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_story_and_the_feedback_are_reached_and_sound(size: tuple[int, int], chromium: Browser, site: Site) -> None:
    """From the chart to the patient's story, and to how advice is received."""
    with quiet_page(chromium, site.base, size) as page:
        open_patient(page, "early-mri-after-prrt")
        page.get_by_role("link", name="Timeline, staging and evidence").click()
        expect(page.get_by_role("heading", name="Timeline")).to_be_visible()
        is_sound(page)
        page.goto("/")
        page.get_by_role("link", name="Feedback").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("How the advice is received")
        is_sound(page)
