"""Which row or function each clinical rule lives in, and which worked cases hit it: the page docs/coverage.md.

The numbers of cases go into the package as well, for the page ``/guideline/coverage``. Run it from the project's root
with ``PYTHONPATH=.``; a test compares both files with what it would write.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cds_service.cards import wording
from cds_service.knowledge import Knowledge, load_knowledge
from cds_service.knowledge.model import Row
from tests.knowledge.reach import seen

PAGE: Final = Path(__file__).with_suffix(".md")
NUMBERS: Final = Path(__file__).parents[1] / "cds_service" / "knowledge" / "cases.toml"
RULE_IDS: Final = Path(__file__).parents[1] / "tests" / "knowledge" / "rule_ids.txt"
OTHER_TESTS: Final = {"FUP-09": "tests/clinical/test_followup_profiles.py"}
"""Rules that the worked cases, which know no site settings, cannot reach, and the tests that try them."""

_MOST_CASES: Final = 3
_HEAD: Final = """\
# Coverage of the clinical rules

Written by `docs/coverage.py`; do not edit. Every rule id of the clinical specification, the rows it lives in (the table
is a file of `cds_service/knowledge/tables/`) and, where no table carries it out, the function that does; the worked
cases of `tests/cases/` that apply it or were written for it; and its sources. Rows of the table *context* decide
nothing: the guideline text shows them, so they need no case.
"""


@dataclass(frozen=True)
class Covered:
    """Where a rule lives and what tries it.

    Attributes:
        rows: its rows, in the order of the tables; none when it has no home.
        cases: ids of the worked cases that hit it, those written for it first.
    """

    rule: str
    rows: tuple[Row, ...]
    tables: tuple[str, ...]
    functions: tuple[str, ...]
    cases: tuple[str, ...]


def rule_ids() -> list[str]:
    """The ids of the specification, in the order of the list."""
    lines = RULE_IDS.read_text(encoding="utf-8").splitlines()
    parted = [line.split() for line in lines if not line.startswith("#")]
    return [f"{prefix}-{number}" for prefix, *numbers in parted for number in numbers]


def coverage(knowledge: Knowledge) -> list[Covered]:
    """One entry per rule id."""
    hits = _hits(knowledge)
    return [_covered(rule, knowledge, hits) for rule in rule_ids()]


def _covered(rule: str, knowledge: Knowledge, hits: dict[str, list[str]]) -> Covered:
    rows = tuple(row for row in knowledge.rows.values() if row.rule_id == rule)
    return Covered(
        rule=rule,
        rows=rows,
        tables=tuple(dict.fromkeys(knowledge.tables[row.id] for row in rows)),
        functions=tuple(dict.fromkeys(row.executed_by for row in rows if row.executed_by)),
        cases=tuple(hits.get(rule, ())),
    )


def _hits(knowledge: Knowledge) -> dict[str, list[str]]:
    """Ids of cases by rule: those whose list of rules names it, then those in which a row of it was applied."""
    found: dict[str, dict[str, None]] = {}
    applied = [(case.case.id, {*case.rows, knowledge.scenarios[case.assessment.scenario].id}) for case in seen()]
    for case_id, names in [*((case.case.id, case.case.rules) for case in seen()), *applied]:
        for name in names:
            rule = knowledge.rows[name].rule_id if name in knowledge.rows else name
            found.setdefault(rule, {})[case_id] = None
    return {rule: list(cases) for rule, cases in found.items()}


def page() -> str:
    """The page as Markdown."""
    knowledge = load_knowledge()
    entries = coverage(knowledge)
    counts = Counter(_kind(entry) for entry in entries)
    lines = [
        _HEAD,
        f"{len(entries)} rules in {len(knowledge.rows)} rows, {len(seen())} worked cases: "
        + ", ".join(f"{number} {kind}" for kind, number in sorted(counts.items()))
        + ".\n",
        "| rule | rows or function | cases | sources |",
        "|---|---|---|---|",
        *(f"| {entry.rule} | {_home(entry)} | {_cases(entry)} | {_sources(entry, knowledge)} |" for entry in entries),
    ]
    return "\n".join(lines) + "\n"


def _kind(entry: Covered) -> str:
    if "context" in entry.tables:
        return "shown in the guideline text"
    return "carried out by functions" if entry.functions else "carried out by rows"


def _home(entry: Covered) -> str:
    ids = [row.id for row in entry.rows]
    shown = ids[0] if len(ids) == 1 else f"{ids[0]} to {ids[-1]} ({len(ids)} rows)" if ids else "none"
    carried_by = f", by `{', '.join(entry.functions)}`" if entry.functions else ""
    see = dict.fromkeys(name for row in entry.rows for name in row.see)
    return f"{', '.join(entry.tables)}: {shown}{carried_by}" + (f"; see {', '.join(see)}" if see else "")


def _cases(entry: Covered) -> str:
    if entry.rule in OTHER_TESTS:
        return f"`{OTHER_TESTS[entry.rule]}`"
    rest = len(entry.cases) - _MOST_CASES
    return ", ".join(entry.cases[:_MOST_CASES]) + (f" and {rest} more" if rest > 0 else "") or "–"


def _sources(entry: Covered, knowledge: Knowledge) -> str:
    labels = dict.fromkeys(label for row in entry.rows for label in wording.citation(row, knowledge).split("; "))
    return "; ".join(labels)


def numbers() -> str:
    """How many cases hit each rule, as TOML."""
    lines = (f"{entry.rule} = {len(entry.cases)}" for entry in coverage(load_knowledge()))
    head = "# Worked cases that apply each rule or were written for it. Written by docs/coverage.py; do not edit."
    return "\n".join((head, f"total = {len(seen())}", "", "[rules]", *lines, ""))


if __name__ == "__main__":
    NUMBERS.write_text(numbers(), encoding="utf-8")
    PAGE.write_text(page(), encoding="utf-8")
