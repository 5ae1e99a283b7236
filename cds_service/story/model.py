"""What a story consists of. Immutable values with text as it is in the record: whoever shows it has to escape it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

DIAGNOSIS, PATHOLOGY, PROCEDURE, THERAPY, IMAGING = "Diagnosis", "Pathology", "Procedures", "Therapies", "Imaging"
KINDS: Final = (DIAGNOSIS, PATHOLOGY, PROCEDURE, THERAPY, IMAGING)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where something comes from: the resource, its date as recorded, how it was read, and what was computed."""

    source: str
    when: str
    how: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened.

    Attributes:
        when: as recorded, possibly partial or a span; empty when undated.
        first, last: the days between which it is drawn; None when undated.
        lines: what it was.
    """

    kind: str
    when: str
    first: date | None
    last: date | None
    lines: tuple[str, ...]
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Point:
    """A size on a day."""

    day: date
    when: str
    size_mm: float
    source: str


@dataclass(frozen=True, slots=True)
class Lesion:
    """The sizes of one lesion, oldest first."""

    name: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Growth:
    """The change the assessment goes by; a share is of the first sum, a rate of the volume."""

    first_mm: float
    last_mm: float
    months: float
    change_percent: float | None
    rate_percent_per_month: float | None
    origins: tuple[Origin, ...]


@dataclass(frozen=True, slots=True)
class Window:
    """When the next study is neither early nor late."""

    first: date
    last: date
    status: str


@dataclass(frozen=True, slots=True)
class KnownFact:
    """A fact with everything it rests on."""

    name: str
    value: str
    origins: tuple[Origin, ...]


@dataclass(frozen=True, slots=True)
class Unknown:
    """A fact that is not on record, values it might have, and what would then be said."""

    name: str
    values: str
    then: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Study:
    """A study a source rates in the scenario, with every safety rule that fires for it and this patient."""

    name: str
    rating: str
    words: str
    radiation: str
    rule: str
    reported: str
    against: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Person:
    """The patient; ages are of the day of the story."""

    name: str
    about: str


@dataclass(frozen=True, slots=True)
class Story:
    """All there is to tell about a patient on a day.

    Attributes:
        silent: why there is nothing to advise; empty when there is.
        unknown: what missing facts would change; ``missing`` are the others by name.
        unread: what could not be read from the record at all, and why.
        lines: ``grade``, ``cautions``, ``followup``, ``markers``, ``conflicts``, ``unusable`` as the cards say them.
    """

    person: Person
    day: date
    headline: str
    silent: str
    events: tuple[Event, ...]
    window: Window | None
    lesions: tuple[Lesion, ...]
    growth: Growth | None
    grade: tuple[str, ...]
    stages: tuple[tuple[str, ...], ...]
    recorded_stage: str
    cautions: tuple[str, ...]
    followup: tuple[str, ...]
    followup_rule: str
    markers: tuple[str, ...]
    facts: tuple[KnownFact, ...]
    unknown: tuple[Unknown, ...]
    missing: tuple[str, ...]
    conflicts: tuple[str, ...]
    unread: tuple[str, ...]
    unusable: tuple[str, ...]
    scenario: str
    studies: tuple[Study, ...]
