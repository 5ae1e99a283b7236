"""WHO grade of a neuroendocrine neoplasm, WHO 2010 and WHO 2019 side by side.

The bands come from ``knowledge/tables/grading.toml`` (GRD-10, GRD-11, GRD-20 to GRD-22); this module only knows in
which order the rules are asked.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from cds_service.domain.facts import Facts
from cds_service.domain.findings import Grade
from cds_service.knowledge.model import BandRow, ClassRow, Knowledge, LimitsRow, UnitRow

_ORDER = ("G1", "G2", "G3")
_HIGH = _ORDER[-1]
GRADED_BY = {"differentiation": "GRD-25", "ki67_percent": "GRD-06", "mitoses": "GRD-06"}
"""The rule that asks for each input of the grade."""
READS = frozenset({*GRADED_BY, "mitoses_unit", "ki67_specimen", "stated_grade"})
"""The facts that decide the grade."""


@dataclass(frozen=True, slots=True)
class Grading:
    """A grade with what led to it.

    Attributes:
        warnings: GRD-W ids.
        rules: rule ids that were applied.
        missing: facts without which the grade is incomplete.
        mitoses_per_2mm2: normalised mitotic count.
    """

    grade: Grade
    warnings: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    mitoses_per_2mm2: float | None = None


class _Trail:
    """Collects what was applied while the grade is worked out."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.rules: list[str] = []
        self.missing: list[str] = []


def grading(facts: Facts, knowledge: Knowledge) -> Grading:
    """Grade from Ki-67 (percent) and mitoses (per stated unit); unknown indices give no grade, never a low one."""
    trail = _Trail()
    ki67, mitoses = _indices(facts, knowledge, trail)
    stated = facts.stated_grade
    if facts.differentiation is None:
        trail.missing.append("differentiation")
    if ki67 is None:
        trail.missing.append("ki67_percent")
    if mitoses is None:
        trail.missing.append("mitoses")
    if facts.differentiation == "mixed":
        trail.rules += ["GRD-16", "GRD-24"]
        return _result(Grade("MANEC", "MiNEN", stated=stated), trail, mitoses)
    if ki67 is None and mitoses is None:
        trail.rules.append("GRD-07")
        return _result(replace(_without_index(facts, trail), stated=stated), trail, mitoses)
    _index_warnings(facts, ki67, mitoses, trail)
    by_class = _who2019_indices(ki67, mitoses, knowledge, trail)
    grade = Grade(
        _who2010(facts, ki67, mitoses, knowledge, trail),
        _who2019(facts, by_class, trail),
        provisional=ki67 is None,
        stated=stated,
    )
    if stated is not None and grade.who2019 is not None and not _agrees(stated, grade.who2019):
        trail.warnings.append("GRD-W7")
        trail.rules.append("GRD-08")
    return _result(grade, trail, mitoses)


def _result(grade: Grade, trail: _Trail, mitoses: float | None) -> Grading:
    return Grading(grade, tuple(trail.warnings), tuple(trail.rules), tuple(trail.missing), mitoses)


def _indices(facts: Facts, knowledge: Knowledge, trail: _Trail) -> tuple[float | None, float | None]:
    """Both indices within their physical limits (GRD-01), mitoses per 2 mm² (GRD-03)."""
    limits = next(row for row in knowledge.grading if isinstance(row, LimitsRow))
    unit = next(row for row in knowledge.grading if isinstance(row, UnitRow))
    ki67, mitoses = facts.ki67_percent, facts.mitoses
    if ki67 is not None and not limits.ki67_percent.holds(ki67):
        ki67 = None
        trail.warnings.append("GRD-W9")
    if mitoses is not None and not limits.mitoses.holds(mitoses):
        mitoses = None
        if "GRD-W9" not in trail.warnings:
            trail.warnings.append("GRD-W9")
    if mitoses is not None:
        mitoses *= unit.factors[facts.mitoses_unit or unit.default]
        trail.rules.append(unit.rule_id)
    return ki67, mitoses


def _index_warnings(facts: Facts, ki67: float | None, mitoses: float | None, trail: _Trail) -> None:
    if ki67 is None:
        trail.warnings.append("GRD-W5")
        trail.rules.append("GRD-06")
    elif mitoses is None:
        trail.warnings.append("GRD-W10")
        trail.rules.append("GRD-06")
    if ki67 is not None and facts.ki67_specimen == "metastasis":
        trail.warnings.append("GRD-W8")
        trail.rules.append("GRD-04")


def _band(value: float | None, edition: str, index: str, knowledge: Knowledge, trail: _Trail) -> str | None:
    """Grade of one index in WHO 2010; None for an unknown index or one in no band."""
    if value is None:
        return None
    row = next(
        row for row in knowledge.grading if isinstance(row, BandRow) and row.edition == edition and row.index == index
    )
    trail.rules.append(row.rule_id)
    return next((band.grade for band in row.bands if band.holds(value)), None)


def _who2010(
    facts: Facts, ki67: float | None, mitoses: float | None, knowledge: Knowledge, trail: _Trail
) -> str | None:
    by_ki67 = _band(ki67, "who2010", "ki67_percent", knowledge, trail)
    by_mitoses = _band(mitoses, "who2010", "mitoses", knowledge, trail)
    if ki67 is not None and by_ki67 is None:
        trail.rules.append("GRD-13")
        if by_mitoses in (None, _ORDER[0]):
            trail.warnings.append("GRD-W2")
            return "G1/G2-gap"
    grade = max((g for g in (by_ki67, by_mitoses) if g), key=_ORDER.index)
    if grade == _HIGH:
        trail.rules.append("GRD-15")
        if facts.differentiation == "well":
            trail.warnings.append("GRD-W3")
        return "G3-NEC"
    return grade


def _who2019_indices(ki67: float | None, mitoses: float | None, knowledge: Knowledge, trail: _Trail) -> ClassRow:
    """The class of the higher index (GRD-05)."""
    classes = [row for row in knowledge.grading if isinstance(row, ClassRow) and row.edition == "who2019"]
    by_ki67 = [row for row in classes if ki67 is not None and row.ki67_percent.holds(ki67)]
    by_mitoses = [row for row in classes if mitoses is not None and row.mitoses.holds(mitoses)]
    found = by_ki67 + by_mitoses
    if len({row.grade for row in found}) > 1:
        trail.warnings.append("GRD-W1")
        trail.rules.append("GRD-05")
    highest = max(found, key=lambda row: _ORDER.index(row.grade))
    trail.rules.append(highest.rule_id)
    return highest


def _who2019(facts: Facts, by_class: ClassRow, trail: _Trail) -> str:
    high = by_class.grade == _HIGH
    if facts.differentiation == "poor":
        trail.rules += ["GRD-23", "GRD-27"]
        if not high:
            trail.warnings.append("GRD-W4")
        return "NEC"
    if facts.differentiation is None:
        trail.rules.append("GRD-26" if high else "GRD-25")
        if high:
            trail.warnings.append("GRD-W6")
            return "high-grade-undetermined"
    return by_class.category


def _without_index(facts: Facts, trail: _Trail) -> Grade:
    """Poor differentiation is NEC by definition, even with no index at hand (GRD-23, GRD-27)."""
    if facts.differentiation == "poor":
        trail.rules += ["GRD-23", "GRD-27"]
        return Grade(None, "NEC")
    return Grade()


def _agrees(stated: str, who2019: str) -> bool:
    if stated == "NEC":
        return who2019 in ("NEC", "high-grade-undetermined")
    if stated == _HIGH:
        return who2019 in ("NET-G3", "NEC", "high-grade-undetermined")
    return who2019 == f"NET-{stated}"
