"""Every rule of the specification has a home, what is carried out has a case, and the page that says so is current."""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module

from cds_service.knowledge import Knowledge, load_knowledge
from docs.coverage import NUMBERS, OTHER_TESTS, PAGE, Covered, coverage, numbers, page, rule_ids
from tests.knowledge.test_coverage import CONTEXT


@cache
def entries() -> tuple[Covered, ...]:
    """The coverage of every rule."""
    return tuple(coverage(load_knowledge()))


def test_every_rule_has_a_home_and_every_row_a_rule(knowledge: Knowledge) -> None:
    """The ids of the specification are exactly those of the rows: none is left out, none is invented."""
    ids = rule_ids()
    assert len(ids) == len(set(ids))
    ours = (
        "procedures",
        "pama",
    )  # attributes of studies, and what is recorded on orders: no rules of the specification
    vocabulary = {row.rule_id for row in knowledge.rows.values() if knowledge.tables[row.id] in ours}
    assert {row.rule_id for row in knowledge.rows.values()} - vocabulary == set(ids)


def test_every_rule_that_is_carried_out_has_a_case() -> None:
    """A rule without a worked case is a context fact, or one of the listed rows that only explain."""
    untried = {entry.rule for entry in entries() if not entry.cases and "context" not in entry.tables}
    assert untried <= {*CONTEXT, *OTHER_TESTS}
    for rule, path in OTHER_TESTS.items():
        assert rule in (PAGE.parents[1] / path).read_text(encoding="utf-8")


def test_context_facts_decide_nothing() -> None:
    """No worked case names a context fact, since none can change an answer."""
    assert [entry.rule for entry in entries() if "context" in entry.tables and entry.cases] == []


def test_the_function_named_is_there(knowledge: Knowledge) -> None:
    """A row that says a function carries it out names one that can be called."""
    named = {row.executed_by for row in knowledge.rows.values() if row.executed_by}
    assert named
    for name in named:
        module, _, function = name.rpartition(".")
        assert callable(getattr(import_module(module), function)), name


def test_the_page_is_current() -> None:
    """The page in the documentation, and the numbers in the package, are what docs/coverage.py would write now."""
    assert NUMBERS.read_text(encoding="utf-8") == numbers(), "run PYTHONPATH=. python docs/coverage.py"
    assert PAGE.read_text(encoding="utf-8") == page(), "run PYTHONPATH=. python docs/coverage.py"


def test_the_page_is_complete() -> None:
    """Each rule has its line with home and source."""
    lines = re.findall(
        r"^\| ([A-Z0-9]+-\w+) \| (\S.*?) \| (\S.*?) \| (\S.*?) \|$", PAGE.read_text("utf-8"), re.MULTILINE
    )
    assert [line[0] for line in lines] == rule_ids()
    assert not [line for line in lines if line[1].startswith(": none")]
