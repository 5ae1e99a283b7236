"""Partial FHIR dates as intervals: a comparison the whole interval satisfies is known, any other is unknown."""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

DAYS_PER_MONTH = 30.4375
_DATE = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?(?:T.*)?$", re.ASCII)


@dataclass(frozen=True, slots=True)
class When:
    """A date as recorded: the first and last day it may mean."""

    first: date
    last: date
    text: str

    @property
    def exact(self) -> bool:
        """Whether the day is known."""
        return self.first == self.last


def parse(value: object) -> When | None:
    """A FHIR date, dateTime or instant; None for anything that is not one (``2020-13``, 30 February, a number)."""
    if not isinstance(value, str):
        return None
    if value[10:11] in ("", "T") and "\n" not in value:
        known = _remembered(value[:10])
        if known is not None and known.exact:
            return known
    return parse_slowly(value)


@lru_cache(maxsize=16384)
def _remembered(day: str) -> When | None:
    """All calls are about the same few thousand days."""
    return parse_slowly(day)


def parse_slowly(value: str) -> When | None:
    """The same without remembering days."""
    found = _DATE.match(value.strip())
    if not found:
        return None
    year = int(found.group(1))
    month, day = (int(part) if part else None for part in found.groups()[1:])
    try:
        first = date(year, 1 if month is None else month, 1 if day is None else day)
        end = 12 if month is None else month
        last = first if day is not None else date(year, end, monthrange(year, end)[1])
    except ValueError:
        return None
    return When(first, last, found.group(0)[:10] if day else found.group(0).split("T")[0])


def months(days: float) -> float:
    """Days as months of 30.4375 days, not rounded."""
    return days / DAYS_PER_MONTH


def age_years(birth: When, today: date) -> float | None:
    """Completed years, or None when a partial birth date allows two answers that differ."""
    oldest, youngest = _completed(birth.first, today), _completed(birth.last, today)
    return float(oldest) if oldest == youngest else None


def _completed(birth: date, today: date) -> int:
    return today.year - birth.year - ((today.month, today.day) < (birth.month, birth.day))


def days_before(when: When, today: date) -> tuple[int, int]:
    """Fewest and most days that may lie between the date and today; negative for the future."""
    return (today - when.last).days, (today - when.first).days


def within(when: When | None, today: date, days: float) -> bool:
    """Whether the whole interval lies at most ``days`` before today and not after it."""
    if when is None:
        return False
    fewest, most = days_before(when, today)
    return fewest >= 0 and most <= days
