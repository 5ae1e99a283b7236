"""Grading is total, speaks the vocabulary, and never gives a lower grade for a higher index (GRD rules)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cds_service.clinical import grading as grades
from cds_service.domain.facts import FACTS, Facts
from cds_service.domain.terms import WHO2010, WHO2019
from cds_service.knowledge.model import BandRow, ClassRow, Knowledge, LimitsRow, UnitRow
from cds_service.proof.axes import Axes, limits, numbers
from cds_service.proof.explore import Failed, attempt, grid
from cds_service.proof.findings import Proof, Trial

RANKS: Final = {
    "who2010": {None: 0, "G1": 1, "G1/G2-gap": 2, "G2": 3, "G3-NEC": 4, "MANEC": 5},
    "who2019": {None: 0, "NET-G1": 1, "NET-G2": 2, "NET-G3": 3, "high-grade-undetermined": 3, "NEC": 4, "MiNEN": 4},
}
"""What is lower and what is higher; the gap of WHO 2010 lies between G1 and G2 (GRD-13)."""
VOCABULARY: Final = {"who2010": WHO2010, "who2019": WHO2019}
RULES: Final = ("GRD-05", "GRD-10", "GRD-11", "GRD-20", "GRD-21", "GRD-22")


def grading(knowledge: Knowledge) -> Proof:
    """Every combination of indices, unit, differentiation, specimen and stated grade."""
    trial = Trial("grading", "grading total and monotone in Ki-67 and mitoses")
    for unit in (None, *FACTS["mitoses_unit"].words):
        axes = _axes(unit, knowledge)
        found = {}
        for state in grid(axes):
            trial.covered()
            found[tuple(state.values())] = _graded(trial, state | {"mitoses_unit": unit}, knowledge)
        _monotone(trial, axes, {"mitoses_unit": unit}, found, knowledge)
    return trial.proof()


def _axes(unit: str | None, knowledge: Knowledge) -> Axes:
    bounds = {"ki67_percent": set[float](), "mitoses": set[float]()}
    for row in knowledge.grading:
        if isinstance(row, LimitsRow | ClassRow):
            bounds["ki67_percent"] |= limits([row.ki67_percent])
            bounds["mitoses"] |= limits([row.mitoses])
        elif isinstance(row, BandRow):
            bounds[row.index] |= limits(row.bands)
    units = next(row for row in knowledge.grading if isinstance(row, UnitRow))
    factor = units.factors[unit or units.default]
    return {
        "ki67_percent": (None, *numbers(bounds["ki67_percent"])),
        "mitoses": (None, *(value / factor for value in numbers(bounds["mitoses"]))),
        "differentiation": (None, *FACTS["differentiation"].words),
        "ki67_specimen": (None, *FACTS["ki67_specimen"].words),
        "stated_grade": (None, *FACTS["stated_grade"].words),
    }


def _graded(trial: Trial, state: Mapping[str, Any], knowledge: Knowledge) -> Mapping[str, str | None] | None:
    """The grades of a state, after what must hold for every single state."""
    answer = attempt(lambda: grades.grading(Facts(**state), knowledge))
    if isinstance(answer, Failed):
        trial.expect(False, state, "a grade, or none for lack of an index", f"no answer ({answer.reason})", RULES)
        return None
    given = {"who2010": answer.grade.who2010, "who2019": answer.grade.who2019}
    indexed = usable(state, "ki67_percent", knowledge) or usable(state, "mitoses", knowledge)
    for edition, grade in given.items():
        words = VOCABULARY[edition]
        trial.expect(grade in (*words, None), state, f"{edition}: one of {', '.join(words)}", grade, answer.rules)
        if indexed:
            trial.expect(grade is not None, state, f"{edition}: a grade, for an index is usable", "none", answer.rules)
    if not indexed and state["differentiation"] not in ("poor", "mixed"):
        trial.expect(given == dict.fromkeys(given), state, "no grade without an index", given, ("GRD-07",))
    return given


def usable(state: Mapping[str, Any], index: str, knowledge: Knowledge) -> bool:
    """Whether an index is recorded and physically possible (GRD-01)."""
    row = next(row for row in knowledge.grading if isinstance(row, LimitsRow))
    return state[index] is not None and bool(getattr(row, index).holds(state[index]))


def _monotone(
    trial: Trial,
    axes: Axes,
    unit: Mapping[str, Any],
    found: Mapping[tuple[Any, ...], Mapping[str, str | None] | None],
    knowledge: Knowledge,
) -> None:
    """The next higher value of one index, all else equal, gives no lower grade; so does a value instead of none."""
    names = tuple(axes)
    for values, given in found.items():
        state = dict(zip(names, values, strict=True))
        for index in ("ki67_percent", "mitoses"):
            higher = _next(state, index, axes, knowledge)
            more = found[tuple((state | {index: higher}).values())] if higher is not None else None
            for edition, rank in RANKS.items():
                if given and more and given[edition] in rank and more[edition] in rank:
                    trial.expect(
                        rank[more[edition]] >= rank[given[edition]],
                        {**state, **unit},
                        f"{edition}: no lower grade than {given[edition]} with {index} = {higher:g}",
                        more[edition],
                        RULES,
                    )


def _next(state: Mapping[str, Any], index: str, axes: Axes, knowledge: Knowledge) -> float | None:
    """The next usable value above the one given; the lowest when none is known; none when it is not usable itself."""
    if state[index] is not None and not usable(state, index, knowledge):
        return None
    above = [value for value in axes[index][1:] if state[index] is None or value > state[index]]
    return next((value for value in above if usable({index: value}, index, knowledge)), None)
