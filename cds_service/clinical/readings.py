"""Which tests decide an answer, fact by fact: those of rows, and those that functions of this room make in code.

A test that a function makes (the bands of a grade, the sites of nodes, the tolerance of the schedule) is written here
once more as a :class:`Test`, from the same row that the function reads. A test of code comes with a *gate*, the
situation in which the function looks at the fact at all; a test of a row comes with the rest of the row's condition.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from cds_service.domain import terms
from cds_service.domain.facts import FACTS
from cds_service.knowledge.model import BandRow, ClassRow, Condition, FollowupRow, Knowledge, Op, Rule, Test, UnitRow
from cds_service.knowledge.ranges import Range

ALWAYS, GRADED, COUNTED, STAGED, STATIONS, TIMED, EARLY, NO_OVERLAY = (
    "always",
    "graded",
    "mitoses counted",
    "staged",
    "node station named",
    "on a schedule",
    "too early",
    "no overlay",
)
"""Gates: when a function looks at the fact."""

DATES: Final = ("months_since_resection", "months_since_last_imaging", "months_resection_to_last_imaging")
"""Any two of these give the third, so that a limit of one is a limit of the others."""

_TRIGGER: Final = "followup_trigger"
_SIGNALS: Final = {
    "prior_treatments": ("counted_treatment",),
    "current_treatments": ("counted_treatment",),
    "disease_dominance": ("dominance",),
    "liver_tumour_share_percent": ("dominance",),
    "metastases": ("dominance",),
    "curative_resection": ("dominance",),
}
"""Signals that rows test instead of the facts behind them, as far as they decide a scenario."""


@dataclass(frozen=True, slots=True)
class Column:
    """One test of one fact.

    Attributes:
        rank: how much hangs on it, 0 is most (see :data:`RANKS`).
        gate: situation in which the fact is looked at.
        rest: the other tests of the row; the fact can make a difference only while they hold.
        per_order: the row is about an order.
        blocks: the row can block a study that might be suggested.
    """

    test: Test
    rank: int
    gate: str = ALWAYS
    rest: Condition | None = None
    per_order: bool = False
    blocks: bool = False


RANKS: Final = ("critical safety", "scenario", "safety", "grade", "stage", "follow-up", "overlay")
CRITICAL, SCENARIO, SAFETY, GRADE, STAGE, FOLLOWUP, OVERLAY = range(len(RANKS))


def columns(knowledge: Knowledge, site: str | None) -> Iterator[Column]:
    """Every test that can change an answer about a primary of this site."""
    yield from _of_scenario(knowledge)
    yield from _of_safety(knowledge)
    yield from _of_grade(knowledge)
    yield from _of_stage(knowledge, site)
    yield from _of_schedule(knowledge)
    for rule in knowledge.overlay:
        for column in _of_row(rule, OVERLAY, knowledge):
            yield replace(column, gate=NO_OVERLAY) if _only_adds(column.test, rule) else column


def gate_of_unit(factor: float) -> str:
    """Gate of the limits of a mitotic count that is multiplied by this factor."""
    return f"mitoses times {factor:g}"


def _only_adds(test: Test, rule: Rule[Any]) -> bool:
    """Whether knowing the fact can make the row true but not false: the row itself asks for a value."""
    asks = any(test in part for part in (rule.condition.when, *rule.condition.any))
    return asks and test.op not in (Op.UNLESS, Op.KNOWN)


def through_other_dates(name: str, dates: Mapping[str, float | None], columns: Iterable[Column]) -> list[Column]:
    """What tests of the other dates ask of this one, when the third date is known (``situation.with_defaults``).

    Time since resection is time since the last imaging plus the time between the two.
    """
    known = [number for other, number in dates.items() if other != name and number is not None]
    if len(known) != 1:
        return []
    third = known[0]
    limits = [Range(at_least=0)]  # with a date on the wrong side of the other nothing follows
    limits += [column.test.operand for column in columns if column.test.op is Op.RANGE]
    moved = [_moved(limit, third, mirrored=name != DATES[0]) for limit in limits]
    return [Column(Test(name, Op.RANGE, limit), FOLLOWUP, TIMED) for limit in dict.fromkeys(moved)]


def _moved(limit: Range, by: float, *, mirrored: bool) -> Range:
    """Where a number lies whose sum with (or difference from) another one is within the limits."""
    sides = {"above": "below", "at_least": "at_most", "below": "above", "at_most": "at_least"}
    given = {side: bound for side in sides if (bound := getattr(limit, side)) is not None}
    if mirrored:
        return Range(**{sides[side]: by - bound for side, bound in given.items()})
    return Range(**{side: by + bound for side, bound in given.items()})


def gate_of_system(system: str) -> str:
    """Gate of the tables of the staging system that is shown first."""
    return f"staged in {system}"


def gate_of_other_stage(system: str) -> str:
    """Gate of a staging system that gives another stage than the one shown first."""
    return f"another stage in {system}"


def _of_scenario(knowledge: Knowledge) -> Iterator[Column]:
    for rule in knowledge.selection:
        yield from _of_row(rule, SCENARIO, knowledge)
    for name in ("nen_status", "primary_site"):
        yield from (Column(test, SCENARIO) for test in _each_word(name))


def _of_safety(knowledge: Knowledge) -> Iterator[Column]:
    for rule in knowledge.safety:
        if rule.row.enabled:
            critical = rule.row.severity == terms.CRITICAL
            rank = CRITICAL if critical else SAFETY
            yield from _of_row(rule, rank, knowledge, per_order=True, blocks=critical)


def _of_row(
    rule: Rule[Any],
    rank: int,
    knowledge: Knowledge,
    gate: str = ALWAYS,
    *,
    per_order: bool = False,
    blocks: bool = False,
) -> Iterator[Column]:
    """The tests that a row makes of facts, itself or through a signal."""
    parts = (rule.condition.when, *rule.condition.any)
    tested = {test.name for part in parts for test in part}
    triggers = _trigger_tests(knowledge) if _TRIGGER in tested else ()
    through = {name for name, signals in _SIGNALS.items() if tested.intersection(signals)}
    facts = tested.intersection(FACTS) | through | {test.name for test in triggers}
    for name in sorted(facts):
        own = [test for part in parts for test in part if test.name == name]
        own += [test for test in triggers if test.name == name]
        if name in through:
            own += _signal_tests(name, knowledge)
        rest = _without(rule.condition, {name, *_SIGNALS.get(name, ()), _TRIGGER if triggers else name})
        yield from (Column(test, rank, gate, rest, per_order, blocks) for test in own)


def _without(condition: Condition, names: set[str]) -> Condition:
    """The condition without its tests of these names."""
    kept = tuple(tuple(test for test in part if test.name not in names) for part in (condition.when, *condition.any))
    return Condition(kept[0], kept[1:])


def _trigger_tests(knowledge: Knowledge) -> tuple[Test, ...]:
    if knowledge.triggers is None:
        return ()
    condition = knowledge.triggers.condition
    return tuple(test for part in (condition.when, *condition.any) for test in part)


def _signal_tests(name: str, knowledge: Knowledge) -> list[Test]:
    """What ``clinical/situation.py`` asks of the facts behind the signals of the scenario."""
    if name == "curative_resection":
        return [Test(name, Op.IN, frozenset({True}))]
    if name == "disease_dominance":
        return list(_each_word(name))
    if name == "metastases":
        liver, unstated = frozenset({"liver"}), frozenset({"site-not-stated"})
        return [_known(name), Test(name, Op.ONLY, liver), *(Test(name, Op.CONTAINS, w) for w in (liver, unstated))]
    if name == "liver_tumour_share_percent":
        half = knowledge.principles["SEL-D"].liver_tumour_share_percent
        return [Test(name, Op.RANGE, Range(above=half)), Test(name, Op.RANGE, Range(below=half))]
    counted = frozenset(FACTS[name].words).difference(knowledge.principles["SEL-T"].not_counted)
    return [Test(name, Op.CONTAINS, counted)]


def _known(name: str) -> Test:
    return Test(name, Op.KNOWN, True)


def _each_word(name: str) -> Iterator[Test]:
    """Every word for itself."""
    return (Test(name, Op.IN, frozenset({word})) for word in FACTS[name].words)


def _of_grade(knowledge: Knowledge) -> Iterator[Column]:
    """The bands of both editions (grading.py), of mitoses in every unit."""
    unit = next(row for row in knowledge.grading if isinstance(row, UnitRow))
    factors = sorted(set(unit.factors.values()))
    for name in ("ki67_percent", "mitoses"):
        yield Column(_known(name), GRADE, GRADED)
        for band in _bands(name, knowledge):
            if name == "mitoses":
                for factor in factors:
                    counted = Test(name, Op.RANGE, _divided(band, factor))
                    yield Column(counted, GRADE, gate_of_unit(factor))
            else:
                yield Column(Test(name, Op.RANGE, band), GRADE, GRADED)
    yield from (Column(test, GRADE, GRADED) for test in _each_word("differentiation"))
    usual = unit.factors[unit.default]
    for factor in factors:
        words = frozenset(word for word, of_word in unit.factors.items() if of_word == factor)
        if factor != usual:
            yield Column(Test("mitoses_unit", Op.IN, words), GRADE, COUNTED)


def _bands(index: str, knowledge: Knowledge) -> Iterator[Range]:
    for row in knowledge.grading:
        if isinstance(row, ClassRow):
            yield getattr(row, index)
        elif isinstance(row, BandRow) and row.index == index:
            yield from row.bands


def _divided(band: Range, factor: float) -> Range:
    limits = {name: getattr(band, name) for name in ("above", "at_least", "below", "at_most")}
    return Range(**{name: limit / factor for name, limit in limits.items() if limit is not None})


def _of_stage(knowledge: Knowledge, site: str | None) -> Iterator[Column]:
    """Rows of the staging tables of the site, and what staging.py asks beside them."""
    for (where, system, _), rules in knowledge.staging.items():
        if where == site:
            for rule in rules:
                yield from _of_row(rule, STAGE, knowledge, gate_of_system(system))
    yield Column(Test("nodes_positive_count", Op.RANGE, Range(above=0)), STAGE, STAGED)
    for band in knowledge.primary_system.years:
        yield Column(Test("diagnosis_year", Op.RANGE, band), STAGE, gate_of_other_stage(band.system))
    if site != "pancreas":  # elsewhere the named stations are not weighed
        return
    stations = {entry.site for entry in (*knowledge.nodes.distant, *knowledge.nodes.regional)}
    for station in sorted(stations):
        yield Column(Test("metastases", Op.CONTAINS, frozenset({station})), STAGE, STAGED)
    yield from (Column(test, STAGE, STATIONS) for test in _each_word("pancreas_subsite"))


def _of_schedule(knowledge: Knowledge) -> Iterator[Column]:
    """Rows of the schedule, and the limits that followup.py makes of their intervals."""
    for rule in knowledge.followup:
        yield from _of_row(rule, FOLLOWUP, knowledge)
        rest = _without(rule.condition, set(DATES))
        for name, limits in _timed(rule.row, knowledge):
            yield from (Column(Test(name, Op.RANGE, limit), FOLLOWUP, TIMED, rest) for limit in limits)
            yield Column(_known(name), FOLLOWUP, TIMED, rest)
    yield Column(_known("last_imaging_result"), FOLLOWUP, TIMED)
    yield from (Column(test, FOLLOWUP, EARLY) for test in _trigger_tests(knowledge))


def _timed(row: FollowupRow, knowledge: Knowledge) -> Iterator[tuple[str, Iterable[Range]]]:
    """Numbers of months at which a study is no longer early, and at which it is late."""
    if row.interval is not None:
        for name in DATES:
            yield name, _tolerated(row.interval, knowledge)
    if row.sstr is not None:
        yield "months_since_last_sstr_imaging", _tolerated(row.sstr.later, knowledge)


def _tolerated(interval: tuple[float, float], knowledge: Knowledge) -> tuple[Range, ...]:
    return (
        Range(below=knowledge.tolerance.early * interval[0]),
        Range(above=knowledge.tolerance.late * interval[-1]),
    )
