"""A suggestion is never blocked, never rated below usually appropriate, never the order itself (SUG rules).

Every scenario with every study ordered, over all states of the facts that critical safety rules read, through
:func:`assess`. All studies are ordered in one call: what is said about the suggested study as an order of its own is
what the suggestion is held against.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from cds_service.clinical.assess import assess
from cds_service.domain.facts import FACTS
from cds_service.domain.findings import Order, OrderAssessment
from cds_service.domain.terms import (
    CRITICAL,
    MAY_BE_APPROPRIATE,
    MAY_BE_APPROPRIATE_DISAGREEMENT,
    USUALLY_APPROPRIATE,
)
from cds_service.knowledge.model import Knowledge
from cds_service.proof.axes import Axes, axes
from cds_service.proof.explore import Failed, attempt, grid
from cds_service.proof.findings import Proof, Trial
from cds_service.proof.selection import patients

_ACCEPTABLE = (USUALLY_APPROPRIATE, MAY_BE_APPROPRIATE, MAY_BE_APPROPRIATE_DISAGREEMENT)
_LATER, _SOONER = "ct-cap-w", "ct-abd-pel-w"
"""SUG-04: the former is never suggested where the latter could be."""


def suggestions(knowledge: Knowledge) -> Proof:
    """Every scenario, every study, every state of the facts that block studies."""
    trial = Trial("suggestions", "suggestions safe, usually appropriate and never the order")
    studies = (Order(key, key, agent=knowledge.site.studies.sstr_agent) for key in knowledge.procedures)
    orders = (*studies, Order("another study", None))
    for scenario, patient in patients(knowledge).items():
        for state in grid(blocking_facts(knowledge)):
            trial.covered(len(orders))
            facts = replace(patient, **state)
            answer = attempt(lambda facts=facts: assess(facts, orders, knowledge))  # type: ignore[misc]
            told = {"scenario": scenario, **state}
            if isinstance(answer, Failed):
                trial.expect(False, told, "an assessment", answer.reason)
                continue
            by_study = {order.order.procedure: order for order in answer.orders if order.order.procedure}
            for order in answer.orders:
                _Order(trial, told, order, by_study, knowledge).judge()
    return trial.proof()


def blocking_facts(knowledge: Knowledge) -> Axes:
    """The facts that critical safety rules read."""
    read = axes(rule.condition for rule in knowledge.safety if rule.row.severity == CRITICAL)
    return {name: values for name, values in read.items() if name in FACTS}


class _Order:
    """What must hold for one order in one state."""

    def __init__(
        self,
        trial: Trial,
        told: Mapping[str, Any],
        order: OrderAssessment,
        by_study: Mapping[str, OrderAssessment],
        knowledge: Knowledge,
    ) -> None:
        self.trial = trial
        self.told = told
        self.order = order
        self.by_study = by_study
        preference = knowledge.preferences.get(order.scenario)
        self.preferred = preference.preference if preference else []
        self.absent = knowledge.unavailable
        self.row = preference.id if preference else "SUG-05"

    def judge(self) -> None:
        """SUG-01 to SUG-06."""
        suggested = self.order.suggestion
        if suggested is None:
            self._nothing_suggested()
        else:
            self._suggested(self.by_study[suggested], suggested)
        good = self.order.rating in _ACCEPTABLE and not self.order.blocked_by
        self._expect(not good or suggested is None, "no suggestion for an acceptable order", suggested, "SUG-06")

    def _suggested(self, better: OrderAssessment, study: str) -> None:
        self._expect(not better.blocked_by, f"{study} not blocked", f"blocked by {better.blocked_by}", "SUG-02")
        critical = [finding.rule for finding in self.order.suggestion_safety if finding.severity == CRITICAL]
        self._expect(not critical, f"no critical finding about {study}", critical, "SUG-02")
        appropriate = better.rating == USUALLY_APPROPRIATE
        self._expect(appropriate, f"{study} {USUALLY_APPROPRIATE}", better.rating, better.rating_rule)
        self._expect(study != self.order.order.procedure, "another study than the one ordered", study, "SUG-06")
        sooner = self.by_study.get(_SOONER)
        passed = sooner is None or sooner.blocked_by or sooner is self.order or _SOONER in self.absent
        self._expect(study != _LATER or passed, f"{_SOONER} before {_LATER}", study, "SUG-04")
        first = next((key for key in self._left() if not self.by_study[key].blocked_by), None)
        self._expect(study == first, f"{first}, the first of the list that is not blocked", study, "SUG-02")

    def _nothing_suggested(self) -> None:
        """Right where the order is acceptable or nothing is rated better; exhausted only if all is blocked."""
        better = [
            key
            for key, other in self.by_study.items()
            if other.rating == USUALLY_APPROPRIATE and other is not self.order and key not in self.absent
        ]
        due = better and not (self.order.rating in _ACCEPTABLE and not self.order.blocked_by)
        self._expect(
            not due or self.order.no_alternative, f"a suggestion, for a source rates {better}", "none", "SUG-01"
        )
        free = [key for key in self._left() if not self.by_study[key].blocked_by]
        self._expect(not self.order.no_alternative or not free, f"one of {free} suggested", "no alternative", "SUG-03")

    def _left(self) -> list[str]:
        return [key for key in self.preferred if key != self.order.order.procedure and key not in self.absent]

    def _expect(self, holds: object, expected: str, found: object, rule: str) -> None:
        name = self.order.order.procedure or self.order.order.id
        self.trial.expect(holds, self.told, expected, found, (rule, self.row), name)
