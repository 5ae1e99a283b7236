"""What would change this answer: every unknown fact is set to each value that the rules can tell apart, one at a time.

The answer is assessed again with that one fact and compared. Nothing is read off the wording of a rule, so what is
said here is what the service would say. Two facts at a time are not tried: a rule that lacks two facts (inpatient and
eGFR; diagnosis and primary site when both are unknown) does not show here and stays among the missing facts. Facts
that do not change are not listed, nor are changes of advice.

The work is bounded by a number of assessments, not by time, so the same request always gets the same answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import compress
from typing import Any, Final, NamedTuple

from cds_service.clinical import axes, readings
from cds_service.clinical.assess import answer_with, with_fact
from cds_service.clinical.conditions import evaluate
from cds_service.clinical.kinds import alike
from cds_service.clinical.outcomes import differences, level
from cds_service.clinical.remembering import KINDS
from cds_service.clinical.situation import DEFAULTED, with_defaults, with_written_defaults
from cds_service.clinical.views import views_of
from cds_service.domain.alter import altered
from cds_service.domain.facts import FACTS, Facts
from cds_service.domain.findings import Assessment, Change, WhatIf, WouldChange
from cds_service.domain.same import Same
from cds_service.domain.terms import LEVELS
from cds_service.knowledge.model import Condition, Knowledge

MOST_EVALUATIONS: Final = 64
"""Most values tried in one call: some 20 ms at most. Nearly every chart needs fewer; beyond it the facts on which least
hangs are left unexamined, and named."""

_PLACE: Final = {name: place for place, name in enumerate(FACTS)}

Dates = tuple[float | None, ...]
"""The dates of a patient as recorded, in the order of ``readings.DATES``; empty where they do not matter."""

NOT_ASKED: Final = frozenset(
    {"days_since_same_procedure", "stated_grade", "recorded_t", "recorded_stage", "recorded_edition"}
)
"""No gaps in a record: no earlier study is the rule, and what others concluded follows from the findings themselves."""


def would_change(facts: Facts, now: Assessment, knowledge: Knowledge) -> WhatIf:
    """What knowing one more fact would change; orders are named by their number among those assessed.

    Args:
        facts: the facts as recorded, before written defaults.
        now: their assessment.
        knowledge: the knowledge it was made with.
    """
    told = now.alike or now
    known = vars(told.facts)
    assumed = tuple(name for name in DEFAULTED if getattr(facts, name) is None and known[name] is not None)
    case = _Case(Same(told), assumed, now.missing, Same(knowledge), MOST_EVALUATIONS)
    dates = tuple(getattr(facts, name) for name in readings.DATES)
    return _remembered(case, dates if _trials(case).hang_on_dates else ())


@dataclass(frozen=True, slots=True)
class _Case:
    """What decides the list but for dates: patients of the same kind have the same one.

    Attributes:
        told: what is said of them.
        assumed: facts that are among them by default or reckoning only, and so are open.
    """

    told: Same[Assessment]
    assumed: tuple[str, ...]
    missing: tuple[str, ...]
    same: Same[Knowledge]
    budget: int


@lru_cache(maxsize=KINDS)
def _remembered(case: _Case, dates: Dates) -> WhatIf:
    trials = _trials(case)
    found: list[tuple[WouldChange, ...]] = []
    unexamined: list[str] = []
    spent = 0
    for axis in trials.open:
        question = trials.question(axis, dates)
        if spent + len(question.groups) > case.budget:
            unexamined.append(axis.fact)
            continue
        spent += len(question.groups)
        entries = trials.entries(question, dates)
        if entries:
            found.append(entries)
    found.sort(key=lambda entries: _weight(entries, case.missing))
    return WhatIf(tuple(entry for entries in found for entry in entries), tuple(unexamined), spent)


@lru_cache(maxsize=KINDS)
def _trials(case: _Case) -> _Trials:
    return _Trials(case)


def is_open(name: str, facts: Facts, known: axes.Axes, patient: Mapping[str, Any]) -> bool:
    """Whether the fact is unknown and a question that can be asked of this patient.

    A row that prompts for an unknown fact says of whom it is asked (pregnancy: SAF-14); nobody else is asked.
    """
    if getattr(facts, name) is not None or name in NOT_ASKED:
        return False
    prompts = (rule.condition.when for rule in known.prompts.get(name, ()))
    of_patient = (tuple(test for test in when if test.name in FACTS and test.name != name) for when in prompts)
    return all(evaluate(Condition(tests), patient).value is not False for tests in of_patient)


class _Question(NamedTuple):
    """What to try for one fact: its values in groups of which one has to be tried, and whether orders are concerned.

    Attributes:
        live: which tests of the fact can make a difference.
        reckons: whether the values hang on another date of the patient.
    """

    axis: axes.Axis
    live: list[bool]
    groups: list[list[axes.Value]]
    touches_orders: bool
    reckons: bool = False


class _Trials:
    """What is tried on all patients of a kind; what does not hang on their exact dates is tried once.

    Attributes:
        open: the facts that are not on record and may be asked for.
        hang_on_dates: whether the values of an unknown date hang on another date of the patient.
    """

    def __init__(self, case: _Case) -> None:
        self._now, self._knowledge = case.told.value, case.same.value
        self._facts = self._now.facts
        self._recorded = altered(self._facts, dict.fromkeys(case.assumed))
        self._known = axes.axes(self._knowledge, self._facts.primary_site)
        self._views = views_of(self._facts, self._now, self._knowledge)
        self._questions: dict[str, _Question] = {}
        self._entries: dict[str, tuple[WouldChange, ...]] = {}
        patient = self._views.patient
        self.open = [axis for axis in self._known.axes if is_open(axis.fact, self._recorded, self._known, patient)]
        self.hang_on_dates = any(self.question(axis, ()).reckons for axis in self.open)

    def question(self, axis: axes.Axis, dates: Dates) -> _Question:
        """The axis with what is particular to these patients."""
        found = self._questions.get(axis.fact)
        if found is None:
            found = self._questions[axis.fact] = self._question(axis)
        return self._dated(found, dates) if found.reckons and dates else found

    def _question(self, axis: axes.Axis) -> _Question:
        """All tests of a fact that can lead to another scenario or grade count: other rows may read it then."""
        live = [self._views.show(column) for column in axis.columns]
        if any(column.rank in (readings.SCENARIO, readings.GRADE) for column in compress(axis.columns, live)):
            live = [True for _ in live]
        others = [name for name in readings.DATES if name != axis.fact and getattr(self._recorded, name) is not None]
        reckons = axis.fact in readings.DATES and any(live) and len(others) == 1
        return _Question(axis, live, axis.groups(live), axes.touches_orders(compress(axis.columns, live)), reckons)

    def _dated(self, question: _Question, dates: Dates) -> _Question:
        """The limits of a date that follow from limits of the others, when one of these is known."""
        axis = question.axis
        dated = [column for other in self._known.axes if other.fact in readings.DATES for column in other.columns]
        recorded = dict(zip(readings.DATES, dates, strict=True))
        moved = readings.through_other_dates(axis.fact, recorded, filter(self._views.show, dated))
        axis = axes.axis(FACTS[axis.fact], (*axis.columns, *moved), self._knowledge)
        groups = axis.groups([*question.live, *(True for _ in moved)])
        return question._replace(axis=axis, groups=groups, touches_orders=True)

    def entries(self, question: _Question, dates: Dates) -> tuple[WouldChange, ...]:
        """One entry for each answer that knowing the fact could lead to, those that change most first."""
        if question.reckons:
            return self._tried(question, altered(self._facts, dict(zip(readings.DATES, dates, strict=True))))
        fact = question.axis.fact
        if fact not in self._entries:
            self._entries[fact] = self._tried(question, self._facts)
        return self._entries[fact]

    def _tried(self, question: _Question, facts: Facts) -> tuple[WouldChange, ...]:
        axis = question.axis
        answers: dict[tuple[Change, ...], list[axes.Value]] = {}
        for alike_values in question.groups:
            changes = self._changes(question, with_fact(facts, axis.fact, alike_values[0].example))
            if changes:
                answers.setdefault(changes, []).extend(alike_values)
        entries = [
            WouldChange(axis.fact, axis.together(values), values[0].example, level(changes, self._knowledge), changes)
            for changes, values in answers.items()
        ]
        return tuple(sorted(entries, key=lambda entry: LEVELS.index(entry.level)))

    def _changes(self, question: _Question, facts: Facts) -> tuple[Change, ...]:
        """What would be said otherwise; that a prompt for the fact falls silent is no news."""
        known = with_defaults(facts) if question.reckons else with_written_defaults(facts)
        if question.reckons:
            known = alike(known, self._knowledge)
        then = answer_with(known, self._now, self._knowledge, orders=question.touches_orders)
        prompts = [rule.row.id for rule in self._known.prompts.get(question.axis.fact, ())]
        return tuple(change for change in differences(self._now, then) if change.before not in prompts)


def _weight(entries: tuple[WouldChange, ...], missing: tuple[str, ...]) -> tuple[int, bool, int, int]:
    """How much changes at most, whether a rule asks for the fact, by how many values, and the order of the record."""
    fact = entries[0].fact
    changing = sum(len(entry.values) for entry in entries)
    return LEVELS.index(entries[0].level), fact not in missing, -changing, _PLACE[fact]


def forget() -> None:
    """Throw away all lists that are remembered; for measurements."""
    _remembered.cache_clear()
    _trials.cache_clear()
