"""States are read off the rows, and exploring covers each of them exactly once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from cds_service.clinical.conditions import evaluate
from cds_service.clinical.imaging import scenario
from cds_service.domain.terms import NAMES
from cds_service.knowledge import Knowledge
from cds_service.knowledge.loader import parse_condition
from cds_service.proof.axes import OTHER_WORD, axes, numbers, values
from cds_service.proof.explore import Failed, attempt, explore, grid, size


def axis(name: str, *conditions: Mapping[str, Any]) -> tuple[Any, ...]:
    """The values of one fact under conditions."""
    parsed = [parse_condition("test", condition) for condition in conditions]
    return axes(parsed)[name]


def test_numbers_are_bounds_and_bands() -> None:
    """Each bound, one value between two, one below and one above; unknown first."""
    found = axis("egfr", {"egfr": {"below": 30}}, {"egfr": {"at_least": 30, "below": 45}})
    assert found == (None, 15.0, 30.0, 37.5, 45.0, 46.0)
    assert numbers([0, 2]) == (-1.0, 0.0, 1.0, 2.0, 3.0)
    assert axis("size_mm", {"size_mm": 20}) == (None, 10.0, 20.0, 21.0)


def test_words_are_those_told_apart_and_another() -> None:
    """Words of one operand are one kind, words nobody names are another."""
    assert axis("primary_site", {"primary_site": ["colon", "rectum"]}) == (None, "pancreas", "colon")
    assert axis("primary_site", {"primary_site": ["colon", "rectum"]}, {"primary_site": "rectum"}) == (
        None,
        "pancreas",
        "colon",
        "rectum",
    )


def test_the_word_unknown_is_never_another_word() -> None:
    """A device without information is tried although no row names it."""
    assert axis("implant", {"implant": "non-mr-conditional"}) == (None, "none", "non-mr-conditional", "unknown")


def test_lists_are_every_set_of_kinds() -> None:
    """Unknown, none, and every combination; an open vocabulary has another word."""
    assert axis("metastases", {"metastases": {"contains": ["liver"]}}) == (
        None,
        (),
        ("liver",),
        (OTHER_WORD,),
        ("liver", OTHER_WORD),
    )


def test_words_asked_for_together_are_kept_apart() -> None:
    """A test that wants all of its words tells a list with one of them from a list with both."""
    found = axis("imaging_negative", {"imaging_negative": {"contains_all": ["ct", "mri"]}})
    assert ("ct",) in found
    assert ("ct", "mri") in found


def test_flags_and_facts_without_a_test() -> None:
    """A flag is unknown, true or false; a fact that is only named has one value besides unknown."""
    assert axes([], ("pregnant", "age_years")) == {"pregnant": (None, True, False), "age_years": (None, 1.0)}
    assert values(NAMES["sex"], ()) == (None, "male")


def test_exploring_agrees_with_trying_every_state() -> None:
    """The runs cover every state exactly once and with the answer that the state itself has."""
    condition = parse_condition("test", {"egfr": {"below": 30}}, [{"dialysis": True}, {"aki": True, "sex": "female"}])
    asked = axes([condition])
    runs = list(explore(lambda situation: evaluate(condition, situation), asked))
    assert sum(run.states for run in runs) == size(asked)
    assert len(runs) < size(asked)
    for state in grid(asked):
        fitting = [run for run in runs if run.facts.items() <= state.items()]
        assert [run.outcome for run in fitting] == [evaluate(condition, state)]


def test_exploring_asks_for_what_is_read_only(knowledge: Knowledge) -> None:
    """Nobody who is a child is asked for anything else."""
    also = [name for rule in knowledge.selection for name in rule.row.missing]
    asked = axes((rule.condition for rule in knowledge.selection), also)
    children = [run for run in explore(lambda s: scenario(s, knowledge).name, asked) if run.facts["age_years"] == 9]
    assert [(dict(run.facts), run.outcome) for run in children] == [({"age_years": 9.0}, "out-of-scope")]
    assert children[0].states == size(asked) / len(asked["age_years"])


def test_a_function_without_an_answer_is_an_outcome() -> None:
    """What a function stumbles over is told, and the other states are tried."""

    def half(situation: Mapping[str, Any]) -> str:
        return {True: "yes"}[situation["aki"]]

    outcomes = {run.facts["aki"]: run.outcome for run in explore(half, axes([], ("aki",)))}
    assert outcomes[True] == "yes"
    assert isinstance(outcomes[None], Failed)
    assert attempt(lambda: 1) == 1


def test_a_fact_without_an_axis_is_no_silent_unknown() -> None:
    """A function that reads a fact nobody thought of ends the exploration."""
    with pytest.raises(KeyError, match="dialysis"):
        list(explore(lambda situation: situation["dialysis"], axes([], ("aki",))))
