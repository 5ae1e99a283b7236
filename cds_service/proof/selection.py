"""Scenario selection is total and deterministic (SEL rules).

Deterministic means, for a decision list: one answer for every state, the same whatever the facts are that the list does
not read on the way to it; an unrecorded fact with a written default (SEL-0) counts as that default and as nothing else;
and no row is dead, that is, every row decides some state and every scenario can be reached.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cds_service.clinical.assess import assess
from cds_service.clinical.imaging import Scenario, scenario
from cds_service.clinical.situation import NOT_TRUE_UNLESS_RECORDED
from cds_service.domain.facts import FACTS, Facts
from cds_service.domain.terms import SCENARIOS
from cds_service.knowledge.model import Knowledge
from cds_service.proof.axes import Axes, axes
from cds_service.proof.explore import Failed, Run, explore
from cds_service.proof.findings import Proof, Trial

DEFAULTS: Final[Mapping[str, Any]] = {
    **dict.fromkeys(NOT_TRUE_UNLESS_RECORDED, False),
    "recurrence": "none",
    "order_intent": "unspecified",
    "counted_treatment": False,
}
"""SEL-0: what a fact counts as, for the scenario, while it is not recorded."""


def selection(knowledge: Knowledge) -> Proof:
    """Every state gets exactly one scenario, and every row of the list is of use."""
    trial = Trial("scenario-selection", "scenario selection total and deterministic")
    asked = _axes(knowledge)
    decided: set[str] = set()
    reached: set[str] = set()
    for run in explore(lambda situation: scenario(situation, knowledge), asked):
        trial.covered(run.states)
        if isinstance(run.outcome, Failed):
            found = f"none ({run.outcome.reason})"
            trial.expect(False, run.facts, "one scenario", found, _read_by(knowledge, run.facts))
            continue
        decided.add(run.outcome.row)
        reached.add(run.outcome.name)
        _unread_facts_do_not_matter(trial, run, run.outcome, asked, knowledge)
        _defaults_hold(trial, run.facts, run.outcome, asked, knowledge)
    for rule in knowledge.selection:
        trial.expect(rule.row.id in decided, {}, "a state that the row decides", "none: the row is dead", [rule.row.id])
    for name in SCENARIOS:
        trial.expect(name in reached, {}, f"a state that leads to {name}", "none", ["SEL-01", "SEL-11"])
    return trial.proof()


def _axes(knowledge: Knowledge) -> Axes:
    missing = [name for rule in knowledge.selection for name in rule.row.missing]
    return axes((rule.condition for rule in knowledge.selection), missing)


def _read_by(knowledge: Knowledge, facts: Mapping[str, Any]) -> list[str]:
    """The rows that read the facts of a state, which is where a hole has to be looked for."""
    return [rule.row.id for rule in knowledge.selection if not rule.condition.names.isdisjoint(facts)]


def _unread_facts_do_not_matter(
    trial: Trial, run: Run[Any], outcome: Scenario, asked: Axes, knowledge: Knowledge
) -> None:
    """The same answer when all other facts are recorded, with their first values and with their last."""
    for place in (1, -1):
        full = {name: values[place] for name, values in asked.items()} | dict(run.facts)
        again = scenario(full, knowledge)
        same = (again.name, again.row) == (outcome.name, outcome.row)
        trial.expect(same, full, f"{outcome.name} as without the facts not read", again.name, [outcome.row, again.row])


def _defaults_hold(
    trial: Trial, facts: Mapping[str, Any], outcome: Scenario, asked: Axes, knowledge: Knowledge
) -> None:
    full: dict[str, Any] = dict.fromkeys(asked) | dict(facts)
    for name, default in DEFAULTS.items():
        if name in facts and facts[name] is None:
            counted = scenario(full | {name: default}, knowledge)
            trial.expect(
                counted.name == outcome.name,
                facts,
                f"{counted.name}, because {name} not recorded counts as {default} (SEL-0)",
                outcome.name,
                [outcome.row, counted.row],
            )


def patients(knowledge: Knowledge) -> Mapping[str, Facts]:
    """One patient for each scenario that the list can reach, found by exploring it."""
    found: dict[str, Facts] = {}
    for run in explore(lambda situation: scenario(situation, knowledge), _axes(knowledge)):
        if isinstance(run.outcome, Scenario) and run.outcome.name not in found:
            facts = _facts(run.facts, knowledge)
            if assess(facts, (), knowledge).scenario == run.outcome.name:
                found[run.outcome.name] = facts
    return {name: found[name] for name in SCENARIOS if name in found}


def _facts(situation: Mapping[str, Any], knowledge: Knowledge) -> Facts:
    """Facts that lead to a situation with signals."""
    facts = {name: value for name, value in situation.items() if name in FACTS}
    if situation.get("counted_treatment"):
        uncounted = knowledge.principles["SEL-T"].not_counted
        facts["prior_treatments"] = next((word,) for word in FACTS["prior_treatments"].words if word not in uncounted)
    return Facts(**facts | {"disease_dominance": situation.get("dominance")})
