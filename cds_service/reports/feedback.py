"""Which advice is taken, overridden or ignored, and why: counts over shown cards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from cds_service.protocol.feedback import ACCEPTED, OVERRIDDEN
from cds_service.store.base import ShownCard

NO_REASON: Final = "(no reason given)"
REASON: Final = "reason"


def _reason(card: ShownCard) -> str:
    """The words of the reason, or its code; the code system tells apart reasons of the same code."""
    if card.reason_code is None:
        return NO_REASON
    return f"{card.reason_code} ({card.reason_system})"


KEYS: Final[Mapping[str, Callable[[ShownCard], tuple[str, ...]]]] = {
    "rule": lambda card: card.rules,
    "scenario": lambda card: (card.scenario,),
    "service": lambda card: (card.service,),
    REASON: lambda card: (_reason(card),) if card.outcome == OVERRIDDEN else (),
    "month": lambda card: (f"{card.answered_at:%Y-%m}",),
}
"""What to count by. A card rests on several rules and counts for each; only an overridden card has a reason."""


@dataclass(slots=True)
class Row:
    """Cards of one key. ``ignored`` are those shown on which no feedback came."""

    key: str
    shown: int = 0
    accepted: int = 0
    overridden: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def ignored(self) -> int:
        """Cards on which no feedback came."""
        return self.shown - self.accepted - self.overridden

    def share(self, part: int) -> float | None:
        """A part of the cards shown, from 0 to 1; None when none was shown."""
        return part / self.shown if self.shown else None

    def add(self, card: ShownCard) -> None:
        """Count a card."""
        self.shown += 1
        self.accepted += card.outcome == ACCEPTED
        self.overridden += card.outcome == OVERRIDDEN
        if card.outcome == OVERRIDDEN:
            self.reasons[_reason(card)] += 1


@dataclass(frozen=True, slots=True)
class FeedbackReport:
    """Rows by key, the whole, and the words clients gave for reasons."""

    by: str
    rows: tuple[Row, ...]
    total: Row
    displays: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class OverTime:
    """Rows by key and month, keys and months in the order of their reports; months without a card are left out."""

    by: str
    months: tuple[str, ...]
    lines: tuple[tuple[str, tuple[Row, ...]], ...]
    displays: Mapping[str, str]


def over_time(cards: Iterable[ShownCard], by: str) -> OverTime:
    """Count shown cards by one of :data:`KEYS` in each month in which a card was shown."""
    cards = tuple(cards)
    whole, months = feedback_report(cards, by), tuple(row.key for row in feedback_report(cards, "month").rows)
    cells = {(row.key, month): Row(month) for row in whole.rows for month in months}
    for card in cards:
        for key in KEYS[by](card):
            cells[key, KEYS["month"](card)[0]].add(card)
    lines = tuple((row.key, tuple(cells[row.key, month] for month in months)) for row in whole.rows)
    return OverTime(by, months, lines, whole.displays)


def feedback_report(cards: Iterable[ShownCard], by: str) -> FeedbackReport:
    """Count shown cards by one of :data:`KEYS`; most shown first, months in their order."""
    rows: dict[str, Row] = {}
    total, displays = Row("all cards"), {NO_REASON: NO_REASON}
    for card in cards:
        total.add(card)
        displays.setdefault(_reason(card), card.reason_display or _reason(card))
        for key in KEYS[by](card):
            rows.setdefault(key, Row(key)).add(card)
    ordered = sorted(rows.values(), key=lambda row: (0 if by == "month" else -row.shown, row.key))
    return FeedbackReport(by, tuple(ordered), total, displays)
