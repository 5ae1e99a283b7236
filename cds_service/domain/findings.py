"""What the clinical functions answer with. Immutable values; no verbs.

Those without slots are altered (:mod:`cds_service.domain.alter`) once or more per call.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cds_service.domain.facts import Facts
from cds_service.domain.terms import Lack


@dataclass(frozen=True)
class Order:
    """One study under consideration.

    Attributes:
        id: handle of the order: its reference over HTTP, a number on the command line.
        procedure: procedure key, or None for an imaging study that has no key here.
        intent: what the order asks for, when it says so (fact ``order_intent``).
        days_since_same_procedure: days since the same study was last completed, when known.
        attributes: attributes of a study without a key, as far as its code tells them.
        modality: modality of a study without a key, when its code tells it.
        agent: the SSTR ligand of the tracer (dotatate, dotatoc, dotanoc), when the order names it.
        open_question: what the order must state before the study can be rated.
    """

    id: str
    procedure: str | None
    intent: str | None = None
    days_since_same_procedure: float | None = None
    attributes: frozenset[str] = frozenset()
    modality: str | None = None
    agent: str | None = None
    open_question: str = ""


@dataclass(frozen=True)
class DraftOrder:
    """A draft imaging order of the call.

    Attributes:
        reference: ``ServiceRequest/<id>``; empty when the draft has no id.
        name: what the order calls itself.
        order: the study it asks for.
        resource: the draft as sent.
        group: references of all drafts that make up one study, this one included.
    """

    reference: str
    name: str
    order: Order
    resource: Mapping[str, object]
    group: tuple[str, ...] = ()

    @property
    def open_question(self) -> str:
        """What must be settled before the study can be rated."""
        return self.order.open_question


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where a fact comes from.

    Attributes:
        source: relative reference of the resource (``Observation/123``), or ``"given"`` for plain facts.
        date: effective date as recorded, ISO, possibly partial; empty when undated.
        how: coded, local-code, text, derived, or given.
        label: the code's or text's own name, for people.
    """

    source: str
    date: str = ""
    how: str = "given"
    label: str = ""


@dataclass(frozen=True, slots=True)
class Alternative:
    """A usable source that lost against a newer one, with the value it would have given."""

    fact: str
    value: object
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class ValueRange:
    """A number that was recorded as a range or with a comparator; the fact holds its lower end.

    Attributes:
        shown: the value as recorded (``3-20``, ``<3``).
    """

    fact: str
    low: float
    high: float
    shown: str


ANOTHER_PATIENT: Final = "this is another patient than the one of the call"
ABOUT_ANOTHER: Final = "the resource is about another patient"
"""Reasons for which something is unusable that put the whole chart in doubt."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something present but unusable.

    Attributes:
        source: relative reference of the resource, or the prefetch key.
        reason: stable phrase without patient data.
        fact: the fact it would have given, if that much is known.
    """

    source: str
    reason: str
    fact: str = ""


@dataclass(frozen=True, slots=True)
class CourseEvent:
    """Something that was done to the patient, as the chart was read.

    Attributes:
        kind: resection, liver-surgery, treatment or imaging.
        what: procedure key of a study, word of a treatment; empty where there is none.
        started: when a course began, if it is not a single day.
        current: whether a treatment goes on.
    """

    kind: str
    what: str
    evidence: Evidence
    started: str = ""
    current: bool = False


@dataclass(frozen=True, slots=True)
class Measured:
    """A measured size; ``lesion`` is what tells the lesion from others, empty when nothing does."""

    size_mm: float
    evidence: Evidence
    lesion: str = ""


@dataclass(frozen=True)
class PatientFacts:
    """The chart as facts, with where each comes from and what could not be used."""

    facts: Facts
    evidence: Mapping[str, tuple[Evidence, ...]] = field(default_factory=dict)
    alternatives: tuple[Alternative, ...] = ()
    ranges: tuple[ValueRange, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    unavailable: tuple[str, ...] = ()
    """Inputs that could not be had (prefetch keys); what they would have held is unknown."""
    lacks: Mapping[str, Lack] = field(default_factory=dict)
    """Why, by input."""
    days_since: Mapping[str, float] = field(default_factory=dict)
    """Days since a study was last completed, by procedure key."""
    priors: tuple[Evidence, ...] = ()
    """Imaging done before, newest first."""
    course: tuple[CourseEvent, ...] = ()
    """What was done, oldest first; no rule reads it."""
    measured: tuple[Measured, ...] = ()
    """Every size that could be read, oldest first; no rule reads it."""
    indication: Mapping[str, Any] | None = None
    """The tumour as the chart codes it, for the reason of a suggested order."""
    nen_evidence: bool = False
    """Whether anything at all speaks for a neuroendocrine neoplasm."""
    deceased: bool = False


@dataclass(frozen=True, slots=True)
class Grade:
    """WHO grade in both editions; None where no grade can be computed."""

    who2010: str | None = None
    who2019: str | None = None
    provisional: bool = False
    stated: str | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """T, N, M and stage group in one system.

    Attributes:
        stage_if_m0: the group that would follow from M0, given only while M is unknown.
        t_as_recorded: the T category was taken from the record because its inputs are missing.
        provisional: a sub-category rests on a missing count.
    """

    t: str
    n: str
    m: str | None
    stage: str | None
    stage_if_m0: str | None = None
    t_as_recorded: bool = False
    provisional: bool = False


@dataclass(frozen=True, slots=True)
class SafetyFinding:
    """A safety rule that fired for an order."""

    rule: str
    severity: str


@dataclass(frozen=True, slots=True)
class RatedStudy:
    """A study a source rates in the scenario, and what speaks against it for this patient."""

    procedure: str
    rating: str
    radiation: str
    rule: str
    blocked_by: tuple[str, ...] = ()
    available: bool = True
    """Whether the study can be done at the site."""


@dataclass(frozen=True, slots=True)
class PamaRating:
    """What may be recorded on an order without anybody looking, or what must be settled first (PM-004, PM-005).

    Attributes:
        code: code of the Argonaut PAMA rating; None while none may be recorded.
        rule: row that says so.
        category: category behind the code, as a source reports it, or ``not-rated``.
        criterion: row that gives the category; empty when no criterion covers the study.
        lacking: facts that must be settled first.
        question: what the order must state first.
    """

    code: str | None
    rule: str
    category: str = ""
    criterion: str = ""
    lacking: tuple[str, ...] = ()
    question: str = ""


@dataclass(frozen=True)
class OrderAssessment:
    """What there is to say about one order.

    Attributes:
        rating: ACR-style category as a source reports it, or ``not-rated``.
        rating_rule: rule that gives the rating, or the principle under which there is none.
        rating_row: the row of that rule.
        suggestion: procedure key of the better study, or None.
        blocked_by: critical safety rules against the ordered study.
        safety: all safety rules that fired, critical first.
        suggestion_safety: safety rules that fire for the suggested study, none of them critical.
        alternatives: every study a source rates in this scenario.
        no_alternative: a suggestion was due, but every rated study is blocked.
        pama: what may be recorded on the order; None outside the scope of the service.
        suggestion_pama: the same for the suggested study.
    """

    order: Order
    scenario: str
    rating: str
    rating_rule: str
    suggestion: str | None
    blocked_by: tuple[str, ...]
    safety: tuple[SafetyFinding, ...]
    warnings: tuple[str, ...]
    advice: tuple[str, ...]
    suggestion_safety: tuple[SafetyFinding, ...] = ()
    alternatives: tuple[RatedStudy, ...] = ()
    no_alternative: bool = False
    rating_row: str = ""
    pama: PamaRating | None = None
    suggestion_pama: PamaRating | None = None


@dataclass(frozen=True)
class Followup:
    """Where the patient stands on the follow-up schedule. Months are of 30.4375 days.

    Attributes:
        row: the row of the rule that applied.
        window_months: months from today between which the next study is neither early nor late; negative is past.
        sstr_window_months: the same for the SSTR column of the schedule.
    """

    status: str
    rule: str | None = None
    row: str | None = None
    interval_months: tuple[float, float] | None = None
    elapsed_months: float | None = None
    window_months: tuple[float, float] | None = None
    sstr_status: str = "not-evaluated"
    sstr_interval_months: tuple[float, float] | None = None
    sstr_window_months: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two usable sources that lead to different answers.

    Attributes:
        fact: what the answer rests on, with its value and sources.
        other_fact: the fact that the other source speaks about, when it is not the same one.
    """

    fact: str
    chosen: tuple[Evidence, ...]
    other: Evidence
    changes: tuple[str, ...]
    value: object = None
    other_value: object = None
    other_fact: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """One part of an answer that would be another.

    Attributes:
        what: one of :data:`cds_service.domain.terms.CHANGES`.
        before: what is said now; None for nothing.
        after: what would be said.
        order: number of the order concerned among those assessed, from 1; empty for the patient.
        about: the edition, staging system or study that is spoken of, where there is more than one.
    """

    what: str
    before: str | None
    after: str | None
    order: str = ""
    about: str = ""


@dataclass(frozen=True, slots=True)
class WouldChange:
    """What an unknown fact would change, were it one of these values.

    Attributes:
        values: truth values, words, lists of words, or ranges of numbers, that all lead to the same answer.
        example: the value that was assessed.
        level: the most that changes, one of :data:`cds_service.domain.terms.LEVELS`.
    """

    fact: str
    values: tuple[Any, ...]
    example: Any
    level: str
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class WhatIf:
    """What the unknown facts would change, most first, and the facts that were not looked at for lack of budget."""

    entries: tuple[WouldChange, ...] = ()
    unexamined: tuple[str, ...] = ()
    evaluations: int = 0


@dataclass(frozen=True)
class Assessment:
    """The answer to one call: everything the service has to say, before anyone chooses what deserves a card."""

    facts: Facts
    scenario: str
    scenario_rule: str
    limited_applicability: bool
    grade: Grade
    tnm: Mapping[str, Stage]
    tnm_primary_system: str | None
    orders: tuple[OrderAssessment, ...]
    auc: str
    warnings: tuple[str, ...]
    advice: tuple[str, ...]
    missing: tuple[str, ...]
    followup: Followup
    markers: Mapping[str, object]
    eligibility: Mapping[str, object]
    rules: tuple[str, ...]
    conflicts: tuple[Conflict, ...] = ()
    blocked_studies: frozenset[str] = frozenset()
    """Studies preferred in the scenario that a critical safety rule speaks against, or that the site does not have."""
    nearly: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Rules that would have fired or not had these facts been known."""
    applied: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Ids of the rows behind a rule that fired, for rules that have several."""
    alike: Assessment | None = field(default=None, compare=False, repr=False)
    """What is said of all patients of the same kind, the same object for all of them; itself it has none."""

    def order_id(self, number: str) -> str:
        """The id of the order that a change names by its number; empty for the patient."""
        return self.orders[int(number) - 1].order.id if number else ""
