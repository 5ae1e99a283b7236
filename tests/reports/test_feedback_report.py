"""What a site reads off its feedback: counts, shares and reasons."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from cds_service.reports.feedback import KEYS, NO_REASON, feedback_report
from cds_service.store.base import ShownCard

CARD = ShownCard(
    uuid="1",
    answered_at=datetime(2026, 10, 31, 23, 59, tzinfo=UTC),
    service="pnet-order-sign",
    scenario="pnet-initial-staging",
    knowledge_version="2026.11",
    rules=("R01-06", "SEL-10"),
    outcome=None,
    reason_system=None,
    reason_code=None,
    reason_display=None,
)
OVERRIDDEN = replace(
    CARD,
    outcome="overridden",
    reason_system="https://r.example.org",
    reason_code="board",
    reason_display="At the board",
)
CARDS = (
    CARD,
    replace(CARD, outcome="accepted"),
    OVERRIDDEN,
    replace(OVERRIDDEN, reason_system=None, reason_code=None, reason_display=None, rules=("R01-06",)),
    replace(OVERRIDDEN, reason_display="spelled otherwise", scenario="gepnet-other-site"),
    replace(CARD, answered_at=datetime(2026, 11, 1, tzinfo=UTC), service="pnet-patient-view", rules=()),
)
BOARD = "board (https://r.example.org)"


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("rule", [("R01-06", 5, 1, 3, 1), ("SEL-10", 4, 1, 2, 1)]),
        ("scenario", [("pnet-initial-staging", 5, 1, 2, 2), ("gepnet-other-site", 1, 0, 1, 0)]),
        ("service", [("pnet-order-sign", 5, 1, 3, 1), ("pnet-patient-view", 1, 0, 0, 1)]),
        ("reason", [(BOARD, 2, 0, 2, 0), (NO_REASON, 1, 0, 1, 0)]),
        ("month", [("2026-10", 5, 1, 3, 1), ("2026-11", 1, 0, 0, 1)]),
    ],
)
def test_cards_are_counted(by: str, expected: list[tuple[str, int, int, int, int]]) -> None:
    """Shown, accepted, overridden and ignored per key; a card counts for each of its rules, but once in the total."""
    report = feedback_report(CARDS, by)
    assert [(r.key, r.shown, r.accepted, r.overridden, r.ignored) for r in report.rows] == expected
    assert (report.total.shown, report.total.accepted, report.total.overridden, report.total.ignored) == (6, 1, 3, 2)


def test_reasons_are_counted_under_the_first_words_given_for_them() -> None:
    """A reason is its code in its system; what clients call it may differ."""
    report = feedback_report(CARDS, "rule")
    assert dict(report.rows[0].reasons) == {BOARD: 2, NO_REASON: 1}
    assert report.displays[BOARD] == "At the board"


def test_shares_are_of_the_cards_shown() -> None:
    """Accepted, overridden and ignored add up to what was shown; nothing shown has no share."""
    report = feedback_report(CARDS, "rule")
    for row in (*report.rows, report.total):
        shares = [row.share(part) for part in (row.accepted, row.overridden, row.ignored)]
        assert sum(share or 0 for share in shares) == pytest.approx(1)
    empty = feedback_report((), "rule")
    assert empty.rows == ()
    assert empty.total.share(0) is None


@pytest.mark.parametrize("by", KEYS)
def test_an_empty_period_is_empty(by: str) -> None:
    """No cards, no rows."""
    assert feedback_report((), by).rows == ()
