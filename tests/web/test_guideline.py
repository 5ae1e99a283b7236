"""The guideline text over the real server: every page and link, what it says, and that nothing in it is a script."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date, timedelta
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from flask import Flask

from cds_service.cards.sentences import condition_in_words
from cds_service.domain.terms import NOT_RATED, SCENARIOS
from cds_service.errors import SettingsError
from cds_service.knowledge import Knowledge, load_knowledge
from cds_service.knowledge.cases import worked_cases
from cds_service.knowledge.model import ConditionalRow, Edition
from cds_service.settings import load_settings
from cds_service.web.guideline_coverage import SHOWN, coverage
from hooks import SERVICES
from tests.calling import Answer, InProcess, MakeApp, OverHttp, post, synthetic_request
from tests.validity import assert_valid_response

WHY = "/why?rules=SCN-01,R01-06,FUP-09,SAF-07"
KINDS = ("", "/rules", "/rules/SAF-07", WHY, "/matrix", "/coverage", "/sources", "/changes")
PAGES = (*KINDS, *(f"/scenarios/{name}" for name in SCENARIOS))
POLICY = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
each_page = pytest.mark.parametrize("page", PAGES)


class Page(HTMLParser):
    """A page taken apart: tags with their attributes, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the tag."""
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Keep the text."""
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """Attributes of every such tag."""
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def flat(self) -> str:
        """The text on one line."""
        return " ".join(self.text.split())


def read(answer: Answer, status: int = 200) -> Page:
    """The page in an answer."""
    assert answer.status == status
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    return Page(answer.body.decode())


def get(service: Any, path: str, status: int = 200) -> Page:
    """A page of the guideline text."""
    return read(service.request("GET", f"/guideline{path}"), status)


# --- pages ------------------------------------------------------------------------------------------------------------


@each_page
def test_a_page_answers_with_its_landmarks_and_its_standing(page: str, live: OverHttp, knowledge: Knowledge) -> None:
    """Every page has a title, one heading, landmarks, and says what it is not and whose publications prevail."""
    shown = get(live, page)
    for landmark in ("header", "nav", "main", "footer", "title", "h1"):
        assert shown.all(landmark), landmark
    assert len(shown.all("h1")) == 1
    assert shown.all("html") == [{"lang": "en"}]
    for words in (
        "owners' current publications prevail",
        "not the ACR",
        "not a qualified clinical decision support mechanism",
        "not a medical device",
        f"{knowledge.version}, content {knowledge.hash}",
    ):
        assert words in shown.flat


@each_page
def test_a_page_is_strict_and_holds_no_script(page: str, live: OverHttp) -> None:
    """The policy forbids everything but our style sheet and form; nothing in the page would need more."""
    answer = live.request("GET", f"/guideline{page}")
    assert answer.headers["Content-Security-Policy"] == POLICY
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    shown = read(answer)
    assert not shown.all("script")
    assert not shown.all("style")
    for _, attributes in shown.tags:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        assert not str(attributes.get("href", "")).startswith(("javascript:", "data:"))


@each_page
def test_headings_tables_and_labels_can_be_read_aloud(page: str, live: OverHttp) -> None:
    """Headings do not skip a level, tables have captions and scoped headers, ids are unique, fields have labels."""
    shown = get(live, page)
    levels = [int(tag[1]) for tag, _ in shown.tags if re.fullmatch(r"h[1-6]", tag)]
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert len(shown.all("table")) == len(shown.all("caption"))
    assert all(header.get("scope") in ("col", "row") for header in shown.all("th"))
    ids = [attributes["id"] for _, attributes in shown.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {label["for"] for label in shown.all("label")} == {
        field["id"] for field in shown.all("input") if field.get("type") != "hidden"
    }
    labelled = {attributes["aria-labelledby"] for _, attributes in shown.tags if "aria-labelledby" in attributes}
    assert labelled <= set(ids)


def test_every_link_leads_somewhere(live: OverHttp, local: InProcess) -> None:
    """From the index every page, rule and anchor is reached, and none of the links is dead."""
    waiting, pages = {"/guideline"}, dict[str, Page]()
    anchors: set[tuple[str, str]] = set()
    while waiting:
        path = waiting.pop()
        if path.endswith(".css"):
            assert live.request("GET", path).headers["Content-Type"] == "text/css; charset=utf-8"
            continue
        answer = local.request("GET", path)
        assert answer.status == 200, path
        pages[path] = read(answer)
        for link in (*pages[path].all("a"), *pages[path].all("link")):
            target = str(link["href"])
            if target.startswith(("http://", "https://")):
                continue
            target, _, anchor = target.partition("#")
            anchors.add((target or path, anchor))
            if target and target not in pages:
                waiting.add(target)
    for path, anchor in anchors:
        ids = {attributes.get("id") for _, attributes in pages[path].tags} if path in pages else set()
        assert not anchor or anchor in ids, (path, anchor)
    rules = {path.rpartition("/")[2] for path in pages if path.startswith("/guideline/rules/")}
    assert set(load_knowledge().rule_rows) <= rules


def test_every_row_has_its_page(local: InProcess, knowledge: Knowledge) -> None:
    """Under its own id each row is shown with statement, sources, basis, validity and review dates."""
    for row in knowledge.rows.values():
        shown = get(local, f"/rules/{row.id}").flat
        assert " ".join(row.statement.split()) in shown, row.id
        for source in knowledge.sources_of(row):
            assert " ".join(source.citation.split()) in shown, row.id
        assert row.checked in shown
        assert row.review_by in shown
        assert ("engineering default of this service" in shown) >= row.from_project


def test_a_rule_page_says_when_the_rule_holds(live: OverHttp) -> None:
    """Conditions are in words with units, alternatives apart, and what the rule refers to is linked."""
    shown = get(live, "/rules/SAF-07")
    assert "one of these is known" in shown.flat
    assert "eGFR: below 30 mL/min/1.73 m²" in shown.flat
    assert "dialysis: not known to be yes" in shown.flat
    assert "/guideline/rules/MOD-07" in {link["href"] for link in get(live, "/rules/RSP-10").all("a")}
    assert "cds_service.clinical.imaging.suggestion" in get(live, "/rules/SUG-06").flat


def test_every_condition_has_words(knowledge: Knowledge) -> None:
    """No fact, signal, word or test of any row comes out as a slug or a bare operator."""
    for row in knowledge.rows.values():
        if not isinstance(row, ConditionalRow):
            continue
        required, alternatives = condition_in_words(row, knowledge)
        assert len(required) == len(row.when)
        for line in (*required, *(line for part in alternatives for line in part)):
            assert not re.search(r"[a-z]_[a-z]|\bpnet-|\bnon-liver(?!-dominant)|[{}]", line), (row.id, line)


def test_a_scenario_page_gives_the_ratings_as_reported(live: OverHttp, knowledge: Knowledge) -> None:
    """Each rated study stands with its category, radiation level and source; a scenario without ratings says so."""
    for name in SCENARIOS:
        shown = get(live, f"/scenarios/{name}").flat
        assert knowledge.scenarios[name].statement in shown
        rows = [row for (scenario, _), row in knowledge.ratings.items() if scenario == name]
        for row in rows:
            assert row.statement in shown
            assert row.radiation in shown
        if not rows and not knowledge.scenarios[name].candidates:
            assert "No source available to this service rates a study in this scenario" in shown
    undetermined = get(live, "/scenarios/pnet-treated-followup-undetermined").flat
    assert "R05-01" in undetermined
    assert "R06-01" in undetermined
    assert "R06-02" not in undetermined


def test_every_context_fact_is_shown_where_it_belongs(local: InProcess, knowledge: Knowledge) -> None:
    """A context fact is on the page of each scenario it names and on no other, and on the list of all rules."""
    every = get(local, "/rules").flat
    pages = {name: get(local, f"/scenarios/{name}").flat for name in SCENARIOS}
    for fact in knowledge.context:
        assert fact.statement in every
        assert {name for name, shown in pages.items() if fact.statement in shown} == set(fact.scenarios), fact.id


def test_advice_of_other_scenarios_is_not_on_the_page(live: OverHttp) -> None:
    """A page lists what can fire there: no gut in a scenario of the pancreas, nothing outside the scope."""
    staging = get(live, "/scenarios/pnet-initial-staging").flat
    assert "PIT-01" in staging
    assert "MOD-19" not in staging
    assert "MOD-26" not in staging
    assert "MOD-19" in get(live, "/scenarios/gepnet-other-site").flat
    assert "Advice that can be given" not in get(live, "/scenarios/out-of-scope").flat


def test_the_matrix_says_what_the_tables_say(live: OverHttp, knowledge: Knowledge) -> None:
    """As many cells are filled as pairs are rated, and no number is shown for a rating."""
    shown = get(live, "/matrix")
    filled = [cell for cell in shown.all("td") if cell.get("class") != "empty"]
    agreed = 1  # the study both candidates of the undetermined scenario rate alike
    assert len(filled) == len(knowledge.ratings) + agreed
    for row in knowledge.ratings.values():
        assert f"Radiation level {row.radiation}" in shown.flat
    links = [str(link["href"]) for link in shown.all("a")]
    for name, scenario in knowledge.scenarios.items():
        assert f"/guideline/scenarios/{name}" in links, "a column, or among those without any rating"
        assert scenario.label.casefold() in shown.flat.casefold()
    for procedure in knowledge.procedures.values():
        assert shown.flat.count(procedure.label) >= 1, "a line, or among those without any rating"
    assert NOT_RATED not in shown.flat
    assert not re.search(r"\b[1-9]\s*(?:/|of|out of)\s*9\b", shown.flat)


def test_the_search_finds_and_escapes(live: OverHttp) -> None:
    """Every word must be there, in id, statement or source; what was typed comes back as text."""
    found = get(live, "?q=insulinoma+dual-energy").flat
    assert "MOD-17" in found
    assert "MOD-06b" not in found
    assert "No rule holds these words" in get(live, "?q=zebra").flat
    answer = live.request("GET", "/guideline?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E")
    assert b"<script" not in answer.body
    assert not read(answer).all("script")
    assert len(live.request("GET", "/guideline?q=" + "x" * 5000).body) < 10_000


@each_page
def test_every_page_can_be_searched_from(page: str, live: OverHttp) -> None:
    """The same form everywhere; it keeps the day."""
    (field,) = [field for field in get(live, page).all("input") if field.get("type") == "search"]
    assert field["name"] == "q"
    day = "2026-11-25"
    kept = get(live, f"{page}{'&' if '?' in page else '?'}as-of={day}").all("input")
    assert day in [field["value"] for field in kept if field.get("name") == "as-of" and field.get("type") == "hidden"]


def test_the_page_of_a_card_shows_what_it_names(live: OverHttp, knowledge: Knowledge) -> None:
    """A row by its id, all rows of a rule by the id of the rule; what is not known is said, as text."""
    shown = get(live, "/why?rules=R01-06,FUP-09,R01-06,NO-01,%3Cb%3E")
    ids = [attributes.get("id") for _, attributes in shown.tags]
    assert ids.count("R01-06") == ids.count("FUP-09") == 1
    assert knowledge.rows["R01-06"].statement in shown.flat
    for row in knowledge.rows.values():
        assert row.rule_id != "FUP-09" or row.statement in shown.flat
    assert "Not known here: NO-01, <b>." in shown.flat
    assert "None of these rules is known" in get(live, "/why?rules=NO-01", 404).flat
    assert get(live, "/why", 404).all("main")


def test_a_rule_says_in_which_edition_it_changed(live: OverHttp, knowledge: Knowledge) -> None:
    """Published changes that name it, with a link to the edition."""
    edition, change = next((e, c) for e in knowledge.editions for c in e.change if "MOD-30" in c.rows)
    shown = get(live, "/rules/MOD-30")
    assert change.text in shown.flat
    assert f"/guideline/changes#version-{edition.version}" in [link["href"] for link in shown.all("a")]


def test_the_coverage_is_that_of_the_rows(live: OverHttp, knowledge: Knowledge) -> None:
    """Every rule of the specification once, how it is carried out, and the scenarios without ratings."""
    shown = get(live, "/coverage")
    found = coverage(knowledge)
    assert sum(found.kinds.values()) == len(found.rules) == len(worked_cases().by_rule)
    assert all(entry.rows for entry in found.rules)
    assert f"{len(found.rules)} rules in {len(knowledge.rows)} rows, tried by {found.cases} worked cases" in shown.flat
    links = [str(link["href"]) for link in shown.all("a")]
    for entry in found.rules:
        assert f"/guideline/rules/{entry.rule}" in links
        assert entry.cases or entry.kind == SHOWN or not {row.executed_by for row in entry.rows} - {""}, entry.rule
    for row in found.unrated:
        assert f"/guideline/scenarios/{row.scenario}" in links
    rated = {scenario for scenario, _ in knowledge.ratings}
    assert rated.isdisjoint(row.scenario for row in found.unrated)


@pytest.mark.parametrize("path", ["/rules/NOT-01", "/scenarios/none", "/rules/%3Cscript%3E", "/static/other.css"])
def test_what_is_not_there_is_said_on_a_page(path: str, live: OverHttp) -> None:
    """An unknown rule or scenario is a 404 for people, under the same policy."""
    answer = live.request("GET", f"/guideline{path}")
    shown = read(answer, 404)
    assert answer.headers["Content-Security-Policy"] == POLICY
    assert not shown.all("script")
    assert shown.all("main")


def test_text_of_a_row_is_never_markup(make_app: MakeApp, knowledge: Knowledge) -> None:
    """A statement or a change with markup in it is shown as written."""
    hostile = "<img src=x onerror=alert(1)> & more"
    row = msgspec.structs.replace(knowledge.rows["FUN-03"], statement=hostile)
    change = msgspec.structs.replace(knowledge.editions[0].change[0], text=hostile)
    edition: Edition = msgspec.structs.replace(knowledge.editions[0], change=[change])
    damaged = replace(knowledge, rows={**knowledge.rows, "FUN-03": row}, editions=(edition,))
    with_it = InProcess(make_app(knowledge=damaged))
    for page in ("/rules/FUN-03", "/rules", "/changes"):
        shown = get(with_it, page)
        assert hostile in shown.flat
        assert not shown.all("img")


# --- days -------------------------------------------------------------------------------------------------------------


def test_a_page_shows_what_was_in_force_on_a_day(make_app: MakeApp, knowledge: Knowledge) -> None:
    """A fact or rating that was replaced is on the page of the day before, and on none from that day on."""
    end = date(2026, 11, 20)
    closed = {
        name: msgspec.structs.replace(knowledge.rows[name], valid_until=end.isoformat())
        for name in ("R01-06", "FUN-09")
    }
    dated = replace(
        knowledge,
        rows={**knowledge.rows, **closed},
        rating_rows=tuple(closed.get(row.id, row) for row in knowledge.rating_rows),  # type: ignore[misc]
        ratings={key: closed.get(row.id, row) for key, row in knowledge.ratings.items()},  # type: ignore[misc]
        context=tuple(closed.get(row.id, row) for row in knowledge.context),  # type: ignore[misc]
        first_end=end.isoformat(),
    )
    service = InProcess(make_app(knowledge=dated, today=end))
    page = "/scenarios/pnet-initial-staging"
    before = get(service, f"{page}?as-of={end - timedelta(days=1)}")
    after = get(service, page)
    for name in closed:
        assert name in before.flat
        assert name not in after.flat
        assert "Not in force on this day" in get(service, f"/rules/{name}").flat
    assert f"As it was in force on {end - timedelta(days=1)}" in before.flat
    inside = [str(link["href"]) for link in before.all("a") if str(link["href"]).startswith("/guideline")]
    assert all(target.partition("#")[0].endswith(f"?as-of={end - timedelta(days=1)}") for target in inside)


@pytest.mark.parametrize(("day", "status"), [("2001-01-01", 404), ("soon", 400), ("2026-02-30", 400)])
def test_a_day_that_cannot_be_shown_is_said(day: str, status: int, live: OverHttp) -> None:
    """No day before all rows, and nothing that is no day."""
    assert get(live, f"?as-of={day}", status).all("main")


# --- links on cards ---------------------------------------------------------------------------------------------------


def guideline_links(body: Mapping[str, Any]) -> Iterator[str]:
    """Addresses of the guideline text on the cards of an answer."""
    for card in body["cards"]:
        links = [link for link in card.get("links", []) if link["label"].startswith("Guideline: ")]
        assert len(links) <= 1
        for link in links:
            assert link["type"] == "absolute"
            assert card["links"][0] == link
            yield link["url"]


@pytest.mark.parametrize("hook", [service.hook for service in SERVICES])
def test_a_card_links_to_the_page_of_its_scenario(hook: str, make_app: MakeApp, advertised: Any) -> None:
    """CH-103, CH-107: with a public URL every card of every hook leads to its scenario, under that URL, and the page
    is there.
    """
    linked = InProcess(make_app(public_url="https://cds.example.org/pnet/"))
    slug = {"appointment-book": "early-mri-after-prrt"}.get(hook, "one-year-after-resection")
    request = synthetic_request(slug, hook, advertised)
    answer = post(linked, hook, request)
    assert_valid_response(answer, request)
    found = list(guideline_links(answer.json()))
    assert len(found) == len(answer.json()["cards"])
    for url in found:
        prefix = "https://cds.example.org/pnet"
        assert url.startswith(f"{prefix}/guideline/scenarios/")
        shown = read(linked.request("GET", url.removeprefix(prefix)))
        assert shown.all("a")[1]["href"] == "/pnet/guideline", "links begin with the path a proxy adds"


def test_the_demo_links_to_itself(live: OverHttp, app: Flask, advertised: Any) -> None:
    """Without a public URL the demo uses the address it listens on."""
    answer = post(live, "order-select", synthetic_request("incidental-tail-lesion", "order-select", advertised))
    (url,) = guideline_links(answer.json())
    assert url == "http://127.0.0.1:8080/guideline/scenarios/pnet-initial-staging"
    shown = read(InProcess(app).request("GET", url.removeprefix("http://127.0.0.1:8080")))
    assert "Initial staging" in shown.flat


@pytest.mark.parametrize(
    "url", ["cds.example.org", "ftp://cds.example.org", 'https://x"y', "https://x?a=b", "https://x y"]
)
def test_an_address_that_cannot_be_linked_is_refused(url: str) -> None:
    """A public URL is an absolute web address without query."""
    with pytest.raises(SettingsError, match="PNET_CDS_PUBLIC_URL"):
        load_settings(public_url=url)


def test_addresses_of_version_6_are_bracketed() -> None:
    """The demo on the loopback of IP version 6 links to an address that can be opened."""
    assert load_settings(demo=True, host="::1").public_base == "http://[::1]:8080"
