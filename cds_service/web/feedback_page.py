"""How the advice is received, as a page: demo mode only, as the statistics of a site are nobody else's business.

Outside the demo ``pnet-cds feedback report`` says the same to whoever may read the store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final
from urllib.parse import urlsplit

from flask import Blueprint, Response
from markupsafe import Markup

from cds_service.pipeline import Parts
from cds_service.reports.feedback import KEYS, FeedbackReport, feedback_report
from cds_service.store.base import ShownCard
from cds_service.web import charts
from cds_service.web.guideline import harden
from cds_service.web.story import rendered

_TITLES: Final = {
    "rule": "By rule",
    "reason": "By reason for overriding",
    "month": "By month",
    "service": "By service",
    "scenario": "By scenario",
}
_CHARTED: Final = 12
"""Most bars in a chart; the table has all."""


def blueprint(shown: Callable[[], Iterable[ShownCard]], parts: Parts) -> Blueprint:
    """``/demo/feedback``."""
    routes = Blueprint("feedback_page", __name__, url_prefix="/demo", template_folder="templates")
    root = urlsplit(parts.public_url).path.rstrip("/")

    @routes.get("/feedback")
    def page() -> Response:
        cards = tuple(shown())
        reports = [feedback_report(cards, by) for by in _TITLES if by in KEYS]
        drawn = {found.by: _bars(found) for found in reports if found.rows and found.by != "reason"}
        return rendered("story/feedback.html", parts.knowledge, root, reports=reports, titles=_TITLES, charts=drawn)

    routes.after_request(harden)
    return routes


def _bars(found: FeedbackReport) -> Markup:
    """What became of the cards, as one bar for each row."""
    rows = [
        (found.displays.get(row.key, row.key), (row.accepted, row.overridden, row.ignored))
        for row in found.rows[:_CHARTED]
    ]
    about = "Each bar is divided into cards accepted, overridden and without feedback, with the numbers of the table."
    return charts.bars(rows, ("accepted", "overridden", "no feedback"), f"Cards {_TITLES[found.by].lower()}", about)
