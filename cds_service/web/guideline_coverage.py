"""What of the clinical specification is carried out, and by what: numbers and lines for the page about coverage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from cds_service.knowledge.cases import worked_cases
from cds_service.knowledge.model import Knowledge, Row, ScenarioRow

BY_ROWS: Final = "carried out by rows"
BY_FUNCTION: Final = "carried out by a function"
SHOWN: Final = "shown in the guideline text, decides nothing"


@dataclass(frozen=True, slots=True)
class Covered:
    """One rule of the specification.

    Attributes:
        tables: keys of the tables its rows are in.
        functions: what carries it out where no table does.
        cases: how many worked cases try it.
    """

    rule: str
    rows: tuple[Row, ...]
    tables: tuple[str, ...]
    functions: tuple[str, ...]
    cases: int

    @property
    def kind(self) -> str:
        """How the rule is carried out."""
        if "context" in self.tables:
            return SHOWN
        return BY_FUNCTION if self.functions else BY_ROWS


@dataclass(frozen=True, slots=True)
class Coverage:
    """The whole: every rule, counts, and what there is nothing for.

    Attributes:
        kinds: rules by how they are carried out.
        own: rows that rest on a choice of this project, because no source states it.
        unrated: scenarios in which no source rates a study.
    """

    rules: tuple[Covered, ...]
    rows: int
    cases: int
    kinds: Mapping[str, int]
    own: int
    unrated: tuple[ScenarioRow, ...]


def coverage(knowledge: Knowledge) -> Coverage:
    """Every rule of the specification, in its order."""
    rules = tuple(_covered(knowledge))
    rated = {scenario for scenario, _ in knowledge.ratings}
    return Coverage(
        rules=rules,
        rows=len(knowledge.rows),
        cases=worked_cases().total,
        kinds=Counter(entry.kind for entry in rules),
        own=sum(row.from_project for row in knowledge.rows.values()),
        unrated=tuple(
            row for name, row in knowledge.scenarios.items() if name not in rated and not rated & {*row.candidates}
        ),
    )


def _covered(knowledge: Knowledge) -> Iterator[Covered]:
    by_rule: dict[str, list[Row]] = {}
    for row in knowledge.rows.values():
        by_rule.setdefault(row.rule_id, []).append(row)
    for rule, cases in worked_cases().by_rule.items():
        rows = by_rule.get(rule, [])
        yield Covered(
            rule=rule,
            rows=tuple(rows),
            tables=tuple(dict.fromkeys(knowledge.tables[row.id] for row in rows)),
            functions=tuple(dict.fromkeys(row.executed_by for row in rows if row.executed_by)),
            cases=cases,
        )
