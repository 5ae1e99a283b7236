"""Scenario, rating and suggestion: which imaging scenario applies, what it says of a study, and what is better."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cds_service.clinical.conditions import evaluate
from cds_service.domain.findings import OrderAssessment
from cds_service.domain.terms import (
    MAY_BE_APPROPRIATE,
    MAY_BE_APPROPRIATE_DISAGREEMENT,
    NOT_RATED,
    USUALLY_APPROPRIATE,
)
from cds_service.knowledge.model import Knowledge, Row

OUT_OF_SCOPE = "out-of-scope"
SSTR_PET = "pet-ct-sstr"
ACCEPTABLE = (USUALLY_APPROPRIATE, MAY_BE_APPROPRIATE, MAY_BE_APPROPRIATE_DISAGREEMENT)
"""Categories of studies that may be chosen."""
_NO_PANCREATIC_PRIMARY = ("gepnet-other-site", "nen-unknown-primary")
_ABDOMEN_ONLY = ("mri-abd-wwo", "ct-abd-w")


@dataclass(frozen=True, slots=True)
class Scenario:
    """The scenario, the rule and row that chose it, and by row the facts that could have led elsewhere."""

    name: str
    rule: str
    row: str
    missing: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    reason: str = ""


def scenario(situation: Mapping[str, Any], knowledge: Knowledge) -> Scenario:
    """First row of the selection list known to be true (SEL rules)."""
    missing: dict[str, tuple[str, ...]] = {}
    for rule in knowledge.selection:
        outcome = evaluate(rule.condition, situation)
        if outcome.value:
            asked = tuple(name for name in rule.row.missing if situation.get(name) is None)
            return Scenario(
                rule.row.scenario,
                rule.row.rule_id,
                rule.row.id,
                missing | ({rule.row.id: asked} if asked else {}),
                rule.row.reason,
            )
        if outcome.lacking:
            missing[rule.row.id] = outcome.lacking
    raise AssertionError("the selection list ends with a row for every pancreatic primary")  # pragma: no cover


def rating(
    scenario_name: str, procedure: str | None, knowledge: Knowledge, agent: str | None = None
) -> tuple[str, Row]:
    """The reported category of a study in a scenario, and the row or principle behind it.

    Without class equivalence an SSTR PET is rated only with a ligand that the sources name (RAT-07).
    """
    equivalence = knowledge.principles["RAT-07"]
    if procedure == SSTR_PET and not equivalence.class_equivalence and agent not in equivalence.agents:
        return NOT_RATED, knowledge.rows["RAT-07.named"]
    return _rating(scenario_name, procedure, knowledge)


def needs_agent(procedure: str | None, agent: str | None, knowledge: Knowledge) -> bool:
    """Whether the rating of a study hangs on the ligand of its tracer, which is not stated (RAT-07)."""
    return procedure == SSTR_PET and agent is None and not knowledge.principles["RAT-07"].class_equivalence


def candidates_differ(scenario_name: str, procedure: str | None, knowledge: Knowledge) -> bool:
    """Whether the scenarios that the record cannot tell apart rate a study differently (RAT-04)."""
    candidates = knowledge.scenarios[scenario_name].candidates
    return len({_rating(name, procedure, knowledge)[0] for name in candidates}) > 1


def _rating(scenario_name: str, procedure: str | None, knowledge: Knowledge) -> tuple[str, Row]:
    candidates = knowledge.scenarios[scenario_name].candidates
    if candidates:
        return _agreed_rating(candidates, procedure, knowledge)
    row = knowledge.ratings.get((scenario_name, procedure or ""))
    if row is not None:
        return row.rating, row
    if scenario_name in _NO_PANCREATIC_PRIMARY:
        return NOT_RATED, knowledge.principles["RAT-05"]
    return NOT_RATED, knowledge.principles["RAT-09" if procedure in _ABDOMEN_ONLY else "RAT-02"]


def _agreed_rating(candidates: list[str], procedure: str | None, knowledge: Knowledge) -> tuple[str, Row]:
    """RAT-04: a rating only where every candidate scenario gives the same one."""
    found = {_rating(name, procedure, knowledge)[0] for name in candidates}
    return (found.pop() if len(found) == 1 else NOT_RATED), knowledge.principles["RAT-04"]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """The better study, or the fact that none is left.

    Attributes:
        procedure: procedure key to suggest, or None.
        row: what ranks the studies; None when no suggestion is due.
        exhausted: a suggestion is due, but every rated study is blocked or does not exist at the site.
    """

    procedure: str | None
    row: Row | None = None
    exhausted: bool = False


def suggestion(
    scenario_name: str,
    procedure: str | None,
    rated: str,
    blocked: bool,
    is_blocked: Callable[[str], bool],
    knowledge: Knowledge,
) -> Suggestion:
    """SUG-01 to SUG-06: the first preferred study of the site that no critical rule blocks and that is not ordered."""
    preference = knowledge.preferences.get(scenario_name)
    if preference is None or (rated in ACCEPTABLE and not blocked):
        return Suggestion(None)
    for candidate in preference.preference:
        if candidate != procedure and candidate not in knowledge.unavailable and not is_blocked(candidate):
            return Suggestion(candidate, preference)
    return Suggestion(None, knowledge.principles["SUG-03"], exhausted=True)


def may_be_chosen(order: OrderAssessment, knowledge: Knowledge) -> bool:
    """Whether a study is an option for the patient: rated acceptable, done at this site, and not blocked by safety."""
    here = (order.order.procedure or "") not in knowledge.unavailable
    return here and order.rating in ACCEPTABLE and not order.blocked_by
