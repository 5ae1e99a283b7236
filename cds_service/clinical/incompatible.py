"""Facts that cannot both be true: pairs of different facts that contradict each other by their definitions.

Two sources of one fact are compared in :mod:`cds_service.clinical.contradictions`; here it is one fact against another
(a stated grade against the Ki-67, M0 against liver metastases that are counted). The rules go on as they are; what
contradicts them is told beside the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from cds_service.clinical.assess import with_fact
from cds_service.clinical.grading import grading
from cds_service.domain.facts import Facts
from cds_service.domain.findings import Alternative, Assessment, Conflict, Evidence, PatientFacts
from cds_service.knowledge.model import Knowledge

_GRADE_DIFFERS: Final = "GRD-W7"
_STAGE_OF_M1: Final = "IV"
_LIVER: Final = "liver"
_NOT_STATED: Final = "site-not-stated"
_LIVER_MEASURES: Final = ("liver_metastases_count", "largest_liver_met_mm", "sum_liver_mets_mm")
_GIVEN: Final = (Evidence("given"),)


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two facts that may contradict each other; the answer rests on the first.

    Attributes:
        yields: reading drops the other fact in favour of the first, so it is looked for among what was set aside.
    """

    fact: str
    other: str
    clash: Callable[[Facts], bool]
    changes: tuple[str, ...]
    yields: bool = False


def incompatible(chart: PatientFacts, assessment: Assessment, knowledge: Knowledge) -> Iterator[Conflict]:
    """Every pair of facts that contradict each other, with the sources of both."""
    facts = assessment.facts
    for fact, stated, changes in (*_stated_grade(assessment, knowledge), *_stated_t(assessment)):
        yield _conflict(chart, facts, fact, _as_known(chart, facts, stated), changes)
    for pair in _PAIRS:
        dropped = [item for item in chart.alternatives if pair.yields and item.fact == pair.other]
        for other in (_as_known(chart, facts, pair.other), *dropped):
            seen = with_fact(facts, pair.other, other.value)
            if getattr(facts, pair.fact) is not None and other.value is not None and pair.clash(seen):
                yield _conflict(chart, facts, pair.fact, other, pair.changes)
                break


def _as_known(chart: PatientFacts, facts: Facts, fact: str) -> Alternative:
    """A fact with the first of its sources."""
    return Alternative(fact, getattr(facts, fact), chart.evidence.get(fact, _GIVEN)[0])


def _conflict(chart: PatientFacts, facts: Facts, fact: str, other: Alternative, changes: tuple[str, ...]) -> Conflict:
    chosen = chart.evidence.get(fact, _GIVEN)
    return Conflict(fact, chosen, other.evidence, changes, getattr(facts, fact), other.value, other.fact)


def _stated_grade(assessment: Assessment, knowledge: Knowledge) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """A stated grade that the indices do not bear out, against the fact that decides the computed one."""
    if _GRADE_DIFFERS not in assessment.warnings:
        return
    facts, computed = assessment.facts, assessment.grade.who2019
    decisive = "mitoses"
    if computed == grading(replace(facts, mitoses=None), knowledge).grade.who2019:
        decisive = "ki67_percent"
    if facts.differentiation == "poor":
        decisive = "differentiation"
    yield decisive, "stated_grade", ("grade",)


def _stated_t(assessment: Assessment) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """A recorded T that no system computed for this patient gives, or not the one of its edition."""
    facts = assessment.facts
    recorded = facts.recorded_t
    if recorded is None or recorded == "TX":
        return
    stages = [
        stage
        for system, stage in assessment.tnm.items()
        if facts.recorded_edition in (None, system) and stage.t != "TX" and not stage.t_as_recorded
    ]
    if stages and not any(_same_t(recorded, stage.t) for stage in stages):
        decisive = next((name for name in ("size_mm", "depth", "extension") if getattr(facts, name)), None)
        if decisive:
            yield decisive, "recorded_t", ("stage",)


def _same_t(one: str, other: str) -> bool:
    """Equal, or one is the category and the other its sub-category."""
    return one.startswith(other) or other.startswith(one)


def _liver_spared(facts: Facts) -> bool:
    """Metastases are recorded, and none of them can be in the liver."""
    return facts.metastases is not None and not {_LIVER, _NOT_STATED}.intersection(facts.metastases)


def _measured(name: str) -> Callable[[Facts], bool]:
    return lambda facts: _liver_spared(facts) and getattr(facts, name) > 0


_PAIRS: Final = (
    _Pair(
        "metastases",
        "recorded_stage",
        lambda facts: not facts.metastases and facts.recorded_stage == _STAGE_OF_M1,
        ("stage",),
    ),
    *(_Pair("metastases", name, _measured(name), ("stage",)) for name in _LIVER_MEASURES),
    _Pair(
        "disease_dominance",
        "metastases",
        lambda facts: facts.disease_dominance == _LIVER and _liver_spared(facts),
        ("scenario",),
    ),
    _Pair(
        "nodes",
        "nodes_positive_count",
        lambda facts: (facts.nodes == "positive") != bool(facts.nodes_positive_count),
        ("stage",),
    ),
    _Pair(
        "residual_disease",
        "curative_resection",
        lambda facts: bool(facts.residual_disease and facts.curative_resection),
        ("scenario",),
        yields=True,
    ),
    _Pair("pregnant", "sex", lambda facts: bool(facts.pregnant) and facts.sex == "male", ("safety",)),
)
"""Pairs that contradict each other whatever else is known."""
