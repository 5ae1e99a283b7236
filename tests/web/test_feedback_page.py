"""The feedback view: in demo mode only, the same numbers as the report, and nothing clients said becomes markup."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cds_service.app import shown_cards
from cds_service.knowledge import Knowledge
from cds_service.reports.feedback import feedback_report, over_time
from cds_service.settings import load_settings
from cds_service.store.base import ShownCard
from cds_service.web.feedback_page import document
from tests.calling import InProcess, MakeApp, post, synthetic_request
from tests.web.test_feedback import accepted, overridden, report
from tests.web.test_guideline import POLICY, Page, read
from tests.web.test_story import charts, rows

PAGE = "/demo/feedback"
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def database(tmp_path: Path) -> str:
    """A database of the test's own."""
    return f"sqlite:///{tmp_path}/feedback.sqlite"


@pytest.fixture
def service(make_app: MakeApp, database: str, advertised: Any) -> InProcess:
    """A demo in which one card was accepted, one overridden in hostile words, and one left alone."""
    made = InProcess(make_app(database_url=database))
    for slug in ("incidental-tail-lesion", "pacemaker-mri", "pregnancy-ct"):
        request = synthetic_request(slug, "order-sign", advertised)
        (card,) = post(made, "order-sign", request).json()["cards"]
        if slug == "incidental-tail-lesion":
            report(made, accepted(card["uuid"], card["suggestions"][0]["uuid"]))
        elif slug == "pacemaker-mri":
            reason = {"code": "x", "system": "https://x.example.org", "display": HOSTILE}
            report(made, overridden(card["uuid"], reason))
    return made


def test_it_says_what_the_report_says(service: InProcess, database: str) -> None:
    """By rule, reason, month, service and scenario: every row with its counts, and the same numbers in the charts."""
    html = service.request("GET", PAGE).body.decode()
    cards = shown_cards(load_settings(demo=True, database_url=database))
    assert len(cards) == 3
    titles = {"rule": "rule", "reason": "reason for overriding", "month": "month", "service": "service"}
    for by, title in titles.items():
        found = rows(html, f"Cards by {title}.")
        expected = feedback_report(cards, by)
        assert len(found) == len(expected.rows) + 1  # and the total
        for cells, row in zip(found, (*expected.rows, expected.total), strict=True):
            counts = (row.shown, row.accepted, row.overridden, row.ignored)
            assert tuple(int(re.match(r"\d+", cell)[0]) for cell in cells[1:5]) == counts  # type: ignore[index]
    drawn = {chart.text.split("Each bar")[0].strip(): chart for chart in charts(html)}
    assert set(drawn) == {f"Cards by {name}" for name in ("rule", "month", "service", "scenario")}
    assert all(number in drawn["Cards by service"].flat for number in ("1", "pnet-order-sign"))


def test_what_clients_said_is_text(service: InProcess) -> None:
    """The words of a reason come back as written."""
    answer = service.request("GET", PAGE)
    page = read(answer)
    assert HOSTILE in page.flat
    assert not page.all("script")
    assert answer.headers["Content-Security-Policy"] == POLICY


def test_it_can_be_read_aloud(service: InProcess) -> None:
    """Captions, scopes, unique ids, charts with names."""
    html = service.request("GET", PAGE).body.decode()
    page = Page(html)
    assert len(page.all("h1")) == 1
    assert len(page.all("table")) == len(page.all("caption"))
    assert all(header.get("scope") in ("col", "row") for header in page.all("th"))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert all(chart.all("svg")[0]["role"] == "img" for chart in charts(html))


def test_an_empty_store_is_said(make_app: MakeApp) -> None:
    """Nothing shown yet."""
    assert "No card was shown yet" in read(InProcess(make_app()).request("GET", PAGE)).flat


def test_rules_and_reasons_over_time(service: InProcess, database: str) -> None:
    """Each rule and each reason by month, with the numbers of the report of that month."""
    html = service.request("GET", PAGE).body.decode()
    cards = shown_cards(load_settings(demo=True, database_url=database))
    (month,) = [row.key for row in feedback_report(cards, "month").rows]
    for row in feedback_report(cards, "rule").rows:
        (line,) = [cells for cells in rows(html, "Cards accepted and overridden") if cells[0] == row.key]
        assert line[1] == f"{row.accepted} accepted, {row.overridden} overridden of {row.shown}", month
    assert rows(html, "Cards overridden for each reason") == [[HOSTILE, "1"]]


def test_the_months_are_kept_apart() -> None:
    """A card counts in the month in which it was shown and in no other."""
    cards = [shown_card(month, outcome) for month in (9, 11) for outcome in ("accepted", "overridden", None)]
    found = over_time(cards, "rule")
    assert found.months == ("2026-09", "2026-11")
    assert [(key, [(cell.shown, cell.accepted, cell.overridden) for cell in cells]) for key, cells in found.lines] == [
        ("SAF-01", [(3, 1, 1), (3, 1, 1)])
    ]
    assert [(cell.key, cell.overridden) for cell in over_time(cards[:3], "reason").lines[0][1]] == [("2026-09", 1)]


def test_the_file_is_the_page_by_itself(service: InProcess, database: str, knowledge: Knowledge) -> None:
    """``feedback report --html``: style inside, no script, nothing loaded, the words of clients are text; links to
    rules only where the service has an address.
    """
    assert service.request("GET", PAGE).status == 200
    cards = shown_cards(load_settings(demo=True, database_url=database))
    for public, linked in (("https://cds.example.org", True), ("", False)):
        html = document(cards, knowledge, public, "Cards of a test.")
        page = Page(html)
        assert not page.all("script") + page.all("link") + page.all("img")
        assert HOSTILE in page.flat
        assert "Cards of a test." in page.flat
        assert ".chart" in html
        (policy,) = [meta["content"] for meta in page.all("meta") if "http-equiv" in meta]
        assert policy == "default-src 'none'; style-src 'unsafe-inline'"
        outside = [str(link["href"]) for link in page.all("a") if not str(link["href"]).startswith("#")]
        assert bool(outside) == linked
        assert all(address.startswith("https://cds.example.org/guideline") for address in outside)


def shown_card(month: int, outcome: str | None) -> ShownCard:
    """A card about one rule."""
    reason = ("patient-preference", "https://x.example.org", "patient preference") if outcome == "overridden" else ()
    code, system, display = reason or (None, None, None)
    at = datetime(2026, month, 3, tzinfo=UTC)
    rules = ("SAF-01",)
    return ShownCard("", at, "pnet-order-sign", "pnet-initial-staging", "1", rules, outcome, system, code, display)
