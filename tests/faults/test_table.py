"""The table of docs/faults.md names tests that are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
ROWS: Final = [
    [cell.strip() for cell in line.strip("|\n").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("| ") and not line.startswith("| fault |")
]
NAMED: Final = sorted(set(re.findall(r"`(tests/[\w/.]+\.py)(?:::(\w+))?`", PAGE)))


def functions(file: Path) -> set[str]:
    """The tests of a file."""
    return {
        node.name
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:30])
def test_every_fault_has_a_promise_and_a_test(row: list[str]) -> None:
    """Four cells, and what is promised is shown somewhere."""
    fault, promise, tests, _observed = row
    assert fault
    assert promise
    assert "`tests/" in tests


@pytest.mark.parametrize(("file", "test"), NAMED)
def test_the_tests_named_are_there(file: str, test: str) -> None:
    """Each file, and each test in it."""
    there = functions(ROOT / file)
    assert test in there if test else there


def test_no_test_of_a_fault_is_left_out() -> None:
    """Every test in this folder that makes a fault is named."""
    made = {
        (path.relative_to(ROOT).as_posix(), name)
        for path in Path(__file__).parent.glob("test_*.py")
        if path != Path(__file__)
        for name in functions(path)
    }
    assert made <= set(NAMED)
