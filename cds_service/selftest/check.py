"""What a check is, and its result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from cds_service.selftest.findings import Finding, Sights
from cds_service.selftest.subject import Subject

Look = Callable[[Subject], Sights]


class Level(StrEnum):
    """How binding what a check looks at is."""

    SHALL = "SHALL"
    SHOULD = "SHOULD"
    MAY = "MAY"


class Result(StrEnum):
    """What came of a check; only what the specification insists on can fail."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    WARN = "warn"
    NOT_APPLICABLE = "not-applicable"
    NOT_RUN = "not-run"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that is looked at.

    Attributes:
        requirements: numbers of the requirements it rests on (``requirements.toml``).
        says: what has to be so, in one sentence.
        look: looks at it.
    """

    id: str
    level: Level
    requirements: tuple[str, ...]
    says: str
    look: Look

    @property
    def topic(self) -> str:
        """What it is about: the first word of its id."""
        return self.id.partition("-")[0]


@dataclass(frozen=True, slots=True)
class Row:
    """A check with its result.

    Attributes:
        problems: what was not as it should be.
        notes: what could not be looked at, and why.
        hindered: something could not be looked at because of the service.
    """

    check: Check
    result: Result
    problems: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    hindered: bool = False
