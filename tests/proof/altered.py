"""Knowledge with one thing wrong in it, for a proof to find."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

import msgspec

from cds_service.knowledge import Knowledge
from cds_service.knowledge.loader import parse_condition
from cds_service.knowledge.model import RatingRow, Row, Rule, rating_table

RowT = TypeVar("RowT", bound=Row)


def without(rules: tuple[Rule[RowT], ...], row: str) -> tuple[Rule[RowT], ...]:
    """The rules but one."""
    kept = tuple(rule for rule in rules if rule.row.id != row)
    assert len(kept) == len(rules) - 1
    return kept


def reworded(rules: tuple[Rule[RowT], ...], row: str, when: Mapping[str, Any]) -> tuple[Rule[RowT], ...]:
    """The rules, one of them with another condition."""
    assert row in {rule.row.id for rule in rules}
    condition = parse_condition(row, when)
    return tuple(replace(rule, condition=condition) if rule.row.id == row else rule for rule in rules)


def rerated(knowledge: Knowledge, *rows: RatingRow) -> Knowledge:
    """The knowledge with other rating rows."""
    return replace(knowledge, rating_rows=rows, ratings=rating_table(rows))


def rating_row(knowledge: Knowledge, row: str, **changes: Any) -> RatingRow:
    """A rating row with changes."""
    found = next(rating for rating in knowledge.rating_rows if rating.id == row)
    return msgspec.structs.replace(found, **changes)


def preferring(knowledge: Knowledge, scenario: str, *studies: str) -> Knowledge:
    """The knowledge with another preference list for a scenario."""
    row = msgspec.structs.replace(knowledge.preferences[scenario], preference=list(studies))
    return replace(knowledge, preferences={**knowledge.preferences, scenario: row})


def only_safety(knowledge: Knowledge, *rows: str) -> Knowledge:
    """The knowledge with a few safety rules, so that a proof about them is short."""
    return replace(knowledge, safety=tuple(rule for rule in knowledge.safety if rule.row.id in rows))


def only_studies(knowledge: Knowledge, *keys: str) -> Knowledge:
    """The knowledge with a few studies, so that a proof about orders is short."""
    return replace(knowledge, procedures={key: knowledge.procedures[key] for key in keys})
