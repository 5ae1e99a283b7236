"""Knowledge in which every row is a rule of its own, so that an answer names the row and not the rule it belongs to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

import msgspec

from cds_service.knowledge.model import Knowledge, Row, Rule

RowT = TypeVar("RowT", bound=Row)


def own_rule(row: RowT) -> RowT:
    """The row as a rule of its own."""
    return msgspec.structs.replace(row, rule="")


def _own_rules(rules: tuple[Rule[Any], ...]) -> tuple[Rule[Any], ...]:
    return tuple(replace(rule, row=own_rule(rule.row)) for rule in rules)


def unfolded(knowledge: Knowledge) -> Knowledge:
    """The same knowledge with every row a rule of its own."""
    return replace(
        knowledge,
        rating_rows=tuple(own_rule(row) for row in knowledge.rating_rows),
        ratings={key: own_rule(row) for key, row in knowledge.ratings.items()},
        preferences={key: own_rule(row) for key, row in knowledge.preferences.items()},
        staging={key: _own_rules(rules) for key, rules in knowledge.staging.items()},
        selection=_own_rules(knowledge.selection),
        advice=_own_rules(knowledge.advice),
        followup=_own_rules(knowledge.followup),
    )
