"""The situation as rows see it, put together from an assessment: of the patient, of each order, of each better study.

It tells whether knowing one more fact can make a difference to a row at all, so that nothing is tried in vain.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cds_service.clinical import readings
from cds_service.clinical.conditions import evaluate
from cds_service.clinical.followup import trigger
from cds_service.clinical.imaging import OUT_OF_SCOPE
from cds_service.clinical.outcomes import group
from cds_service.clinical.situation import NOT_TRUE_UNLESS_RECORDED, order_situation, patient_situation
from cds_service.domain.facts import Facts
from cds_service.domain.findings import Assessment, Order
from cds_service.domain.terms import NOT_RATED
from cds_service.knowledge.model import Knowledge, UnitRow


class Views:
    """The situation as rows see it.

    Attributes:
        patient: apart from any order.
        orders: of each order, and of each suggested study.
        studies: of each study that might be suggested.
        gates: which functions look at facts at all.
    """

    def __init__(
        self,
        patient: Mapping[str, Any],
        orders: Iterable[Mapping[str, Any]],
        studies: Iterable[Mapping[str, Any]],
        gates: Iterable[str],
    ) -> None:
        self.patient = patient
        self.gates = frozenset(gates)
        self._about_patient = (patient, *orders)
        self._about_orders = self._about_patient[1:]
        self._blocking = (*self._about_orders, *studies)
        self._held: dict[tuple[int, bool, bool], bool] = {}

    def show(self, column: readings.Column) -> bool:
        """Whether knowing the fact can make a difference to this test: all else that its row asks must hold."""
        if column.gate not in self.gates:
            return False
        if column.rest is None:
            return True
        key = (id(column.rest), column.per_order, column.blocks)
        if key not in self._held:
            about_orders = self._blocking if column.blocks else self._about_orders
            views = about_orders if column.per_order else self._about_patient
            self._held[key] = any(evaluate(column.rest, view).value for view in views)
        return self._held[key]


def views_of(facts: Facts, now: Assessment, knowledge: Knowledge) -> Views:
    """The situations in which the rows were asked, put together from the assessment."""
    orders = tuple(order.order for order in now.orders)
    patient = patient_situation(facts, orders, knowledge)
    patient["followup_trigger"] = trigger(patient, knowledge)
    patient |= {"scenario": now.scenario, "grade_2010": now.grade.who2010, "grade_2019": now.grade.who2019}
    patient |= {name: False for name in NOT_TRUE_UNLESS_RECORDED if patient[name] is None}
    ordered = []
    for order in now.orders:
        seen = order_situation(patient, order.order, knowledge)
        ordered.append(seen | {"scenario": order.scenario, "order_too_early": "SAF-16" in order.warnings})
        if order.suggestion:
            ordered.append(order_situation(patient, Order("candidate", order.suggestion), knowledge))
    scenarios = {now.scenario, *(order.scenario for order in now.orders)}
    preferred = [knowledge.preferences[name].preference for name in sorted(scenarios) if name in knowledge.preferences]
    keys = dict.fromkeys(key for keys in preferred for key in keys) if now.orders else {}
    studies = [order_situation(patient, Order("candidate", key), knowledge) for key in keys]
    return Views(patient, ordered, studies, _gates(facts, now, knowledge))


def _gates(facts: Facts, now: Assessment, knowledge: Knowledge) -> Iterator[str]:
    """Which functions look at facts at all."""
    yield readings.ALWAYS
    if now.scenario != OUT_OF_SCOPE:
        unit = next(row for row in knowledge.grading if isinstance(row, UnitRow))
        yield readings.GRADED
        yield readings.gate_of_unit(unit.factors[facts.mitoses_unit or unit.default])
        if facts.mitoses is not None:
            yield readings.COUNTED
    if now.tnm:
        stations = {entry.site for entry in (*knowledge.nodes.distant, *knowledge.nodes.regional)}
        yield readings.STAGED
        shown = now.tnm_primary_system
        yield readings.gate_of_system(shown or "")
        others = (name for name in now.tnm if shown is None or group(now.tnm[name]) != group(now.tnm[shown]))
        yield from map(readings.gate_of_other_stage, others)
        if not stations.isdisjoint(facts.metastases or ()):
            yield readings.STATIONS
    if now.auc == NOT_RATED:
        yield readings.NO_OVERLAY
    if now.followup.row is not None or any(order.scenario != now.scenario for order in now.orders):
        yield readings.TIMED
    if "too-early" in (now.followup.status, now.followup.sstr_status) or any(
        "SAF-16" in order.warnings for order in now.orders
    ):
        yield readings.EARLY
