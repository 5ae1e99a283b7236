"""How the advice is received, as a page.

It is served in demo mode only, as the statistics of a site are nobody else's business. Elsewhere
``pnet-cds feedback report --html FILE`` writes the same page for whoever may read the store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib.resources import files
from typing import Any, Final
from urllib.parse import urlsplit

from flask import Blueprint, Flask, Response
from markupsafe import Markup

from cds_service.knowledge.model import Knowledge
from cds_service.pipeline import Parts
from cds_service.reports.feedback import KEYS, REASON, FeedbackReport, feedback_report, over_time
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
_TEMPLATE: Final = "story/feedback.html"
_CHARTED: Final = 12
"""Most bars in a chart; the table has all."""


def blueprint(shown: Callable[[], Iterable[ShownCard]], parts: Parts) -> Blueprint:
    """``/demo/feedback``."""
    routes = Blueprint("feedback_page", __name__, url_prefix="/demo", template_folder="templates")
    root = urlsplit(parts.public_url).path.rstrip("/")

    @routes.get("/feedback")
    def page() -> Response:
        return rendered(_TEMPLATE, parts.knowledge, root, **_values(shown()))

    routes.after_request(harden)
    return routes


def document(shown: Iterable[ShownCard], knowledge: Knowledge, public_url: str, about: str) -> str:
    """The page as a file of its own, with its style inside and no script.

    Rules are linked where the service has a public address; ``about`` says in words which cards are counted.
    """
    style = (files("cds_service.web") / "static" / "guideline" / "guideline.css").read_text(encoding="utf-8")
    with Flask(__name__, template_folder="templates").app_context():
        page = rendered(
            _TEMPLATE,
            knowledge,
            public_url,
            css=Markup(style),  # noqa: S704 (our own)
            linked=bool(public_url),
            about=about,
            **_values(shown),
        )
        return page.get_data(as_text=True)


def _values(shown: Iterable[ShownCard]) -> Mapping[str, Any]:
    """What the template shows."""
    cards = tuple(shown)
    reports = [feedback_report(cards, by) for by in _TITLES if by in KEYS]
    return {
        "reports": reports,
        "titles": _TITLES,
        "charts": {found.by: _bars(found) for found in reports if found.rows and found.by != REASON},
        "over_time": {by: over_time(cards, by) for by in ("rule", REASON)},
    }


def _bars(found: FeedbackReport) -> Markup:
    """What became of the cards, as one bar for each row."""
    rows = [
        (found.displays.get(row.key, row.key), (row.accepted, row.overridden, row.ignored))
        for row in found.rows[:_CHARTED]
    ]
    about = "Each bar is divided into cards accepted, overridden and without feedback, with the numbers of the table."
    return charts.bars(rows, ("accepted", "overridden", "no feedback"), f"Cards {_TITLES[found.by].lower()}", about)
