"""The packaged tables hold together, and the documentation says over how many states that was shown."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from cds_service.proof import Proof

ROOT: Final = Path(__file__).parents[2]
DOCS: Final = (ROOT / "docs" / "proof.md").read_text(encoding="utf-8")
PROPERTIES: Final = (
    "scenario-selection",
    "ratings",
    "staging",
    "suggestions",
    "safety-stays",
    "safety-unknown",
    "grading",
)


def test_every_property_holds(proofs: tuple[Proof, ...]) -> None:
    """No state of the packaged knowledge speaks against any property."""
    against = {proof.name: [example.lines() for example in proof.counter_examples] for proof in proofs}
    assert against == {name: [] for name in PROPERTIES}


def test_states_and_runs_are_counted(proofs: tuple[Proof, ...]) -> None:
    """Every property was tried over states, with no more runs than states."""
    for proof in proofs:
        assert proof.states >= proof.runs > 100, proof.name


def test_the_documented_counts_are_those_of_the_run(proofs: tuple[Proof, ...]) -> None:
    """The table of the documentation has every property with its states and runs, in order, and no other."""
    rows = re.findall(r"^\| `([\w-]+)` \| ([\d,]+) \| ([\d,]+) \|$", DOCS, re.MULTILINE)
    assert rows == [(proof.name, f"{proof.states:,}", f"{proof.runs:,}") for proof in proofs]


def test_a_proof_is_said_in_one_line(proofs: tuple[Proof, ...]) -> None:
    """Words and number of states on one line; as JSON with the counter-examples, of which there are none."""
    for proof in proofs:
        assert str(proof) == f"{proof.title}: {proof.states:,} states"
        assert "\n" not in str(proof)
        assert proof.as_object() == {
            "property": proof.name,
            "states": proof.states,
            "runs": proof.runs,
            "counter_examples": [],
        }
