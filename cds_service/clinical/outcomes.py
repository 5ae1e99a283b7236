"""Compares two assessments of the same orders: what is said otherwise, part by part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from cds_service.domain.findings import Assessment, Change, Followup, Grade, Order, SafetyFinding, Stage
from cds_service.domain.terms import CRITICAL, INFO, LEVELS
from cds_service.knowledge.model import Knowledge

_LEVEL_OF = {
    "scenario": "scenario",
    "rating": "rating",
    "suggestion": "rating",
    "safety": "rating",
    "grade": "grade",
    "stage": "stage",
    "followup": "followup",
    "auc": "advice",
}


class OrderAnswer(Protocol):
    """What is compared of an order."""

    @property
    def order(self) -> Order: ...  # noqa: D102
    @property
    def scenario(self) -> str: ...  # noqa: D102
    @property
    def rating(self) -> str: ...  # noqa: D102
    @property
    def suggestion(self) -> str | None: ...  # noqa: D102
    @property
    def safety(self) -> tuple[SafetyFinding, ...]: ...  # noqa: D102
    @property
    def suggestion_safety(self) -> tuple[SafetyFinding, ...]: ...  # noqa: D102


class Answer(NamedTuple):
    """What is compared of an assessment, under the names it has there."""

    scenario: str
    orders: Sequence[OrderAnswer]
    grade: Grade
    tnm: Mapping[str, Stage]
    tnm_primary_system: str | None
    followup: Followup
    auc: str


def differences(now: Assessment | Answer, then: Assessment | Answer) -> tuple[Change, ...]:
    """What would be said otherwise, the parts of the patient first and then order by order."""
    return (
        *_plain("scenario", now.scenario, then.scenario),
        *_of_orders(now, then),
        *_grade(now, then),
        *_stage(now, then),
        *_schedule(now, then),
        *_plain("auc", now.auc, then.auc),
    )


def level(changes: tuple[Change, ...], knowledge: Knowledge) -> str:
    """The most that changes."""
    return min((_level(change, changes, knowledge) for change in changes), key=LEVELS.index)


def _level(change: Change, changes: tuple[Change, ...], knowledge: Knowledge) -> str:
    if change.what == "safety":
        severities = {rule.row.severity for rule in knowledge.safety if rule.row.id in (change.before, change.after)}
        if CRITICAL in severities:
            return LEVELS[0]
        return LEVELS[-1] if severities == {INFO} else _LEVEL_OF["safety"]
    if change.what == "suggestion":
        others = {other.what for other in changes if other.order in (change.order, "")}
        return _LEVEL_OF["suggestion"] if others.intersection(("scenario", "rating")) else LEVELS[0]
    return _LEVEL_OF[change.what]


def _plain(what: str, before: str | None, after: str | None, order: str = "", about: str = "") -> Iterator[Change]:
    if before != after:
        yield Change(what, before, after, order, about)


def _of_orders(now: Assessment | Answer, then: Assessment | Answer) -> Iterator[Change]:
    patient = (now.scenario, then.scenario)
    for before, after in zip(now.orders, then.orders, strict=True):
        order = before.order.id
        if (before.scenario, after.scenario) != patient:
            yield from _plain("scenario", before.scenario, after.scenario, order)
        yield from _plain("rating", before.rating, after.rating, order)
        yield from _plain("suggestion", before.suggestion, after.suggestion, order)
        yield from _safety(before.safety, after.safety, order)
        yield from _suggested(before, after)


def _suggested(before: OrderAnswer, after: OrderAnswer) -> Iterator[Change]:
    """Safety of the suggested study, as long as it is the same one."""
    if before.suggestion is not None and before.suggestion == after.suggestion:
        yield from _safety(before.suggestion_safety, after.suggestion_safety, before.order.id, before.suggestion)


def _safety(
    before: tuple[SafetyFinding, ...], after: tuple[SafetyFinding, ...], order: str, about: str = ""
) -> Iterator[Change]:
    was, will_be = {finding.rule for finding in before}, {finding.rule for finding in after}
    yield from (Change("safety", None, finding.rule, order, about) for finding in after if finding.rule not in was)
    yield from (Change("safety", finding.rule, None, order, about) for finding in before if finding.rule not in will_be)


def _grade(now: Assessment | Answer, then: Assessment | Answer) -> Iterator[Change]:
    yield from _plain("grade", now.grade.who2019, then.grade.who2019, about="who2019")
    yield from _plain("grade", now.grade.who2010, then.grade.who2010, about="who2010")


def _stage(now: Assessment | Answer, then: Assessment | Answer) -> Iterator[Change]:
    """The group in the system shown first; where it stays in the same system, the categories."""
    before, after = _primary(now), _primary(then)
    system = then.tnm_primary_system or now.tnm_primary_system or ""
    if group(before) != group(after):
        yield Change("stage", group(before), group(after), about=system)
    elif now.tnm_primary_system == then.tnm_primary_system:
        yield from _plain("stage", _categories(before), _categories(after), about=system)


def _primary(assessment: Assessment | Answer) -> Stage | None:
    system = assessment.tnm_primary_system
    return None if system is None else assessment.tnm[system]


def group(stage: Stage | None) -> str | None:
    """The stage group as it is spoken of; None while it is undetermined."""
    if stage is None:
        return None
    return stage.stage or (f"{stage.stage_if_m0} if M0" if stage.stage_if_m0 else None)


def _categories(stage: Stage | None) -> str | None:
    return None if stage is None else " ".join(filter(None, (stage.t, stage.n, stage.m)))


def _schedule(now: Assessment | Answer, then: Assessment | Answer) -> Iterator[Change]:
    """The row of the schedule, and where the patient stands on either column."""
    before, after = now.followup, then.followup
    yield from _plain("followup", before.row, after.row, about="interval")
    yield from _plain("followup", before.status, after.status, about="status")
    yield from _plain("followup", before.sstr_status, after.sstr_status, about="sstr-status")
