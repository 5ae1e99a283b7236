"""Every worked case, through the rules and through the real command line."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from cds_service.consult import from_facts
from cds_service.knowledge import Knowledge
from tests.cases_loader import Case, clinical_cases, mismatches, plain_cases

CASES = (*clinical_cases(), *plain_cases())
AS_OF = "2026-11-20"


def given(case: Case) -> dict[str, Any]:
    """A case as ``pnet-cds assess --facts`` takes it."""
    return {"id": case.id, "facts": case.facts, "orders": list(case.orders)}


def run(items: object) -> subprocess.CompletedProcess[str]:
    """The real command with the items on standard input."""
    return subprocess.run(
        [sys.executable, "-m", "cds_service", "assess", "--facts", "-", "--as-of", AS_OF],
        input=json.dumps(items),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_the_case_is_answered_as_it_says(case: Case, knowledge: Knowledge) -> None:
    """What the case expects is what the rules conclude from its plain facts."""
    assert mismatches(case, from_facts(given(case), knowledge).as_object()) == []


def test_the_command_answers_every_case_in_order(knowledge: Knowledge) -> None:
    """The command prints one line per case in the order given, exactly the assessment object, and ends with 0."""
    done = run([given(case) for case in CASES])
    assert (done.returncode, done.stderr) == (0, "")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["id"] for answer in answers] == [case.id for case in CASES]
    assert [line for case, answer in zip(CASES, answers, strict=True) for line in mismatches(case, answer)] == []
    expected = [json.loads(json.dumps(from_facts(given(case), knowledge).as_object())) for case in CASES]
    assert answers == expected


def test_invalid_items_are_said_and_the_others_are_answered() -> None:
    """Among good cases each item that does not fit gets a line with its error; the exit status is 1."""
    invalid = [{"id": "unknown-fact", "facts": {"size": 3}}, {"id": "no-facts"}, "text"]
    done = run([given(CASES[0]), *invalid, given(CASES[1])])
    assert (done.returncode, done.stderr) == (1, "")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line.get("id") for line in lines] == [CASES[0].id, "unknown-fact", "no-facts", None, CASES[1].id]
    assert [line.get("error") for line in lines] == [None, *["facts-invalid"] * len(invalid), None]
    assert mismatches(CASES[0], lines[0]) == mismatches(CASES[1], lines[-1]) == []
