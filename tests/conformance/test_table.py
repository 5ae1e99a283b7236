"""The table of requirements is complete and in order, and what it says of tests is true."""

from __future__ import annotations

import ast
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from docs.conformance import PAGE, page
from tests.conformance.examples import examples
from tests.conformance.table import STATUSES, Requirement, mentioned, numbers, requirements

ROOT = Path(__file__).parents[2]
TABLE = requirements()
NAMED = sorted({test for row in TABLE for test in row.tests})
TEXTS = ("cds_service", "docs", "fhir_profiles", "hooks", "tests")
ENDINGS = {".py", ".md", ".toml", ".json"}


def test_every_requirement_is_there_once_and_in_order() -> None:
    """CH-001 to CH-190, PM-001 to PM-015 and those of CRD that help: none is left out, none doubled."""
    listed = list(numbers())
    assert [row.number for row in TABLE] == listed
    assert len(set(listed)) == len(listed)


@pytest.mark.parametrize("row", TABLE, ids=[row.number for row in TABLE])
def test_a_row_is_consistent(row: Requirement) -> None:
    """What is met by a test names one, everything else says why; the wording is one line of ours."""
    assert row.status in STATUSES
    assert bool(row.tests) if row.status == "tested" else bool(row.reason)
    assert row.level in {"SHALL", "SHALL NOT", "SHOULD", "SHOULD NOT", "MAY", "PROJ", "-"}
    for text in (row.wording, row.reason):
        assert text == " ".join(text.split())
        assert not text.endswith(".")
    assert row.wording
    assert row.source
    assert len(set(row.tests)) == len(row.tests)


@cache
def docstrings(path: str) -> dict[str, str]:
    """Docstrings of the tests of a file, by name."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    found = (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"))
    return {node.name: ast.get_docstring(node) or "" for node in found}


@pytest.mark.parametrize("test", NAMED)
def test_a_test_that_is_named_is_there_and_says_so(test: str) -> None:
    """The test exists, and its docstring names the requirement; an example has it in its name, or is a correct one."""
    path, _, name = test.partition("::")
    function, _, case = name.removesuffix("]").partition("[")
    assert function in docstrings(path)
    rows = {row.number for row in TABLE if test in row.tests}
    if not case:
        assert rows <= mentioned(docstrings(path)[function])
        return
    (example,) = (each for each in examples() if each.example == case and applies(function, each.message))
    assert example.valid or rows <= {example.requirement} | mentioned(example.why)


def applies(function: str, message: str) -> bool:
    """Whether a test tries examples of a message: the schemas all, the services what is sent to them."""
    over_http = {"test_a_call_is_answered_or_refused_as_told": "request"}
    over_http["test_feedback_is_taken_or_refused_as_told"] = "feedback"
    return over_http.get(function, message) == message and (message not in over_http.values() or function in over_http)


def test_every_broken_requirement_of_an_example_is_in_its_row() -> None:
    """What an example breaks is a requirement of the table, and not one that is said to be none of ours."""
    status = {row.number: row.status for row in TABLE}
    broken = {example.requirement for example in examples() if example.requirement}
    assert broken <= status.keys()
    assert {number for number in broken if status[number] == "not applicable"} == set()


def test_no_text_mentions_a_requirement_that_is_none() -> None:
    """Code, tests and documents use numbers of the list only."""
    known = set(numbers())
    strangers: Counter[str] = Counter()
    for folder in TEXTS:
        for file in (ROOT / folder).rglob("*"):
            if file.suffix in ENDINGS and "__pycache__" not in file.parts:
                # Sub-numbers begin with the number they belong to; a span may run over a gap.
                text = file.read_text(encoding="utf-8").replace(" to ", " and ")
                strangers.update(mentioned(text) - known)
    assert not strangers


def test_the_page_is_what_the_table_says() -> None:
    """CH-190: docs/conformance.md is what docs/conformance.py would write now."""
    assert PAGE.read_text(encoding="utf-8") == page()
