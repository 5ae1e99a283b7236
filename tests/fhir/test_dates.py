"""FHIR dates: what is one, and what merely looks like one."""

from __future__ import annotations

from datetime import date

import pytest

from fhir_profiles.dates import parse


@pytest.mark.parametrize(
    ("written", "first", "last"),
    [
        ("2024", date(2024, 1, 1), date(2024, 12, 31)),
        ("2024-02", date(2024, 2, 1), date(2024, 2, 29)),
        ("2024-02-29", date(2024, 2, 29), date(2024, 2, 29)),
        ("2024-02-29T23:59:59+02:00", date(2024, 2, 29), date(2024, 2, 29)),
        (" 2024-02-29 ", date(2024, 2, 29), date(2024, 2, 29)),
    ],
)
def test_a_partial_date_is_the_span_it_may_mean(written: str, first: date, last: date) -> None:
    """A year is any day of the year, a month any day of the month."""
    found = parse(written)
    assert found is not None
    assert (found.first, found.last) == (first, last)


@pytest.mark.parametrize(
    "written",
    [
        "2020-13",
        "2020-00",
        "2020-01-00",
        "2023-02-29",
        "2026-02-30",
        "2026-04-31",
        "0000-01-01",
        "2026-2-3",
        "20260203",
        "26-02-03",
        "2026/02/03",
        "03.02.2026",
        "٢٠٢٦-٠٢-٠٣",
        "2026-02-03 12:00",
        "yesterday",
        "",
        20260203,
        2026.0,
        True,
        None,
        ["2026-02-03"],
        {"value": "2026-02-03"},
    ],
)
def test_what_is_no_date_is_none(written: object) -> None:
    """Days that do not exist, other spellings and other types count as no date, never as a neighbouring one."""
    assert parse(written) is None
