"""Where the patient stands on the follow-up schedule (FUP rules). All durations are months of 30.4375 days."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cds_service.clinical.conditions import evaluate
from cds_service.domain.alter import altered
from cds_service.domain.facts import Facts
from cds_service.domain.findings import Followup
from cds_service.knowledge.model import FollowupRow, Knowledge, Row

NOT_EVALUATED = "not-evaluated"
READS = frozenset(
    {
        "months_since_last_imaging",
        "months_resection_to_last_imaging",
        "months_since_resection",
        "months_since_last_sstr_imaging",
        "last_imaging_result",
        "followup_trigger",
    }
)
"""What the schedule is compared with, beside what its rows test."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Status on the schedule with the rows applied and what was missing."""

    followup: Followup
    rows: tuple[Row, ...] = ()
    missing: tuple[str, ...] = ()


def trigger(situation: Mapping[str, Any], knowledge: Knowledge) -> bool:
    """Whether anything on record asks for imaging before its time (FUP-22). Not recorded is no trigger on record."""
    return knowledge.triggers is not None and evaluate(knowledge.triggers.condition, situation).value is True


def timing(situation: Mapping[str, Any], knowledge: Knowledge) -> Timing:
    """Interval and status; not evaluated where no source states an interval or a date is missing."""
    missing: list[str] = []
    row = _row(situation, knowledge, missing)
    if row is None:
        return Timing(Followup(NOT_EVALUATED), (), tuple(missing))
    missing += [name for name in row.missing if situation.get(name) is None]
    elapsed = _elapsed(situation)
    status = NOT_EVALUATED
    if row.interval is not None:
        if elapsed is None:
            missing.append("months_since_last_imaging")
        else:
            status = _status(elapsed, row.interval, situation, knowledge)
    sstr_interval, sstr_status = _sstr(row, situation, knowledge)
    followup = Followup(
        status, row.rule_id, row.id, row.interval, sstr_status=sstr_status, sstr_interval_months=sstr_interval
    )
    return Timing(followup, (row, knowledge.tolerance), tuple(dict.fromkeys(missing)))


def measured(followup: Followup, facts: Facts, knowledge: Knowledge) -> Followup:
    """The place on the schedule with the months of this patient: how many have passed, and how many are left."""
    if followup.row is None:
        return followup
    elapsed = _elapsed(vars(facts))
    sstr = facts.months_since_last_sstr_imaging
    return altered(
        followup,
        {
            "elapsed_months": elapsed,
            "window_months": _window(elapsed, followup.interval_months, knowledge),
            "sstr_window_months": _window(sstr, followup.sstr_interval_months, knowledge),
        },
    )


def _row(situation: Mapping[str, Any], knowledge: Knowledge, missing: list[str]) -> FollowupRow | None:
    lacking: list[str] = []
    for rule in knowledge.followup:
        outcome = evaluate(rule.condition, situation)
        if outcome.value:
            missing += lacking
            return rule.row
        lacking += outcome.lacking
    missing += lacking
    return None


def _elapsed(situation: Mapping[str, Any]) -> float | None:
    """Months since the last comparable examination, or since the operation when there was none (FUP-21)."""
    since: float | None = situation.get("months_since_last_imaging")
    examined = any(
        situation.get(name) is not None for name in ("months_resection_to_last_imaging", "last_imaging_result")
    )
    if since is None and not examined:
        return situation.get("months_since_resection")
    return since


def _status(elapsed: float, interval: tuple[float, float], situation: Mapping[str, Any], knowledge: Knowledge) -> str:
    if elapsed < knowledge.tolerance.early * interval[0]:
        return "due" if situation.get("followup_trigger") else "too-early"
    return "overdue" if elapsed > knowledge.tolerance.late * interval[1] else "due"


def _window(
    elapsed: float | None, interval: tuple[float, float] | None, knowledge: Knowledge
) -> tuple[float, float] | None:
    """Months from now until the study is no longer early, and until it is late."""
    if elapsed is None or interval is None:
        return None
    return knowledge.tolerance.early * interval[0] - elapsed, knowledge.tolerance.late * interval[1] - elapsed


def _sstr(
    row: FollowupRow, situation: Mapping[str, Any], knowledge: Knowledge
) -> tuple[tuple[float, float] | None, str]:
    """The SSTR column of the schedule, compared with the last SSTR study."""
    if row.sstr is None:
        return None, NOT_EVALUATED
    elapsed = situation.get("months_since_last_sstr_imaging")
    if elapsed is None:
        return row.sstr.first or row.sstr.later, NOT_EVALUATED
    return row.sstr.later, _status(elapsed, row.sstr.later, situation, knowledge)
