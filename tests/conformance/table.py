"""The table of requirements ``cds_hooks.csv``: what binds a service, how far it is met, and which tests show it."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
STATUSES: Final = {
    "tested": "met, and the tests named show it",
    "by design": "met by what the service does not do, or in a way of its own; the reason says how",
    "not applicable": "concerns clients, other hooks or other guides; the reason says which",
    "not yet": "open; the reason says what is missing",
}
"""What may stand in the table, and what it means."""


@dataclass(frozen=True)
class Requirement:
    """One row.

    Attributes:
        number: CH, PM or CR and three digits.
        level: how binding it is, in the words of RFC 2119; PROJ for a recommendation of this project.
        source: the text it comes from.
        wording: what it asks, in our words.
        status: one of :data:`STATUSES`.
        tests: ids of the tests that show it.
        reason: why there is no test, or what the tests leave out.
    """

    number: str
    level: str
    source: str
    wording: str
    status: str
    tests: tuple[str, ...]
    reason: str


def requirements() -> tuple[Requirement, ...]:
    """The rows, in the order of the file."""
    with (HERE / "cds_hooks.csv").open(encoding="utf-8", newline="") as file:
        return tuple(
            Requirement(**{**row, "tests": tuple(row["tests"].split())})  # type: ignore[arg-type]
            for row in csv.DictReader(file)
        )


def numbers() -> Iterator[str]:
    """The numbers that the table has to have, in their order."""
    for line in (HERE / "requirements.txt").read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        prefix, *parts = line.split()
        for part in parts:
            first, _, last = part.partition("..")
            if last:
                yield from (f"{prefix}-{number:03d}" for number in range(int(first), int(last) + 1))
            else:
                yield f"{prefix}-{first}"


_MENTION: Final = re.compile(r"\b(CH|PM|CR)-(\d{3}(?:\.\d{3})?)(?: to \1-(\d{3}))?")


def mentioned(text: str) -> set[str]:
    """Numbers that a text mentions, those within a span (``CH-010 to CH-018``) included."""
    found: set[str] = set()
    for prefix, first, last in _MENTION.findall(text):
        if last:
            found.update(f"{prefix}-{number:03d}" for number in range(int(first), int(last) + 1))
        else:
            found.add(f"{prefix}-{first}")
    return found
