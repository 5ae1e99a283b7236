"""The worked cases reach every row, just miss it on every axis it names, and leave every axis open once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Final, NamedTuple

import pytest

from cds_service.clinical.conditions import evaluate
from cds_service.clinical.grading import grading
from cds_service.clinical.situation import NOT_TRUE_UNLESS_RECORDED, SIGNAL_NEEDS
from cds_service.domain.facts import FACTS
from cds_service.domain.terms import FOLLOWUP_STATUS
from cds_service.knowledge import Knowledge
from cds_service.knowledge.model import BandRow, Condition, Op, Test
from tests.knowledge.reach import INDEPENDENT, LISTS, Asked, Unit, asked, seen, truth_by_name, units

SWITCHED_OFF: Final = {
    "SAF-17": "no source states the interval between an analogue and SSTR imaging",
    "SAF-18": "metformin never has a card",
}
"""Safety rows that are off by default."""

CONTEXT: Final = {
    "GRD-01": "limits: a value outside is GRD-W9",
    "GRD-02": "what pathology must report",
    "GRD-14": "how the bands of GRD-11 were read",
    "GRD-28": "how pathology counts",
    "GRD-29": "a misprint in a public table",
    "GRD-30": "what is usual",
    "procedures.pet-contrast": "an attribute of studies, off unless the site says so",
    "procedures.pet-chest": "an attribute of studies",
    "procedures.complement": "an attribute of studies",
    "RAT-01": "no number is ever shown",
    "RAT-03": "no rating is transferred",
    "RAT-07.named": "said only where a site does without class equivalence",
    "RAT-08": "the overlay is separate",
    "SUG-05": "a scenario without a list of preferences",
    "SEL-D": "the limit of the signal dominance",
    "SEL-T": "the exception of the signal counted_treatment",
    "TNM-13": "what the size of several tumours is",
    "TNM-14": "what a recorded extension is",
    "TNM-21.provisional": "said by the member provisional",
    "TNM-62": "said by the absence of a stage",
    "TNM-W6": "a footnote of every version 9 stage",
}
"""Rows that explain and are never reported as applied."""

CARRIED_OUT_ELSEWHERE: Final = {
    "AUC-10": "MOD-05 replaces scintigraphy",
    "AUC-11": "the overlay without a true row",
    "FUP-11": "FUP-02 names the grades",
    "FUP-21": "which date elapsed time counts from",
    "FUP-23": "an unknown date leaves the status open",
    "GRD-12": "names of the bands",
    "SEL-0": "applied before any rule is asked",
    "SUG-04": "the order of SUG-02 and the text of PIT-04",
    "SUG-06": "each order has its own suggestion",
    "TNM-06": "peripancreatic fat is in no T row but that of AJCC 7",
    "TNM-11": "TX is what no T row gives",
    "TNM-12": "T0 as recorded",
    "TNM-36": "the size limits of the T rows at 20 mm",
    "TNM-37": "the size limits of the T rows at 40 mm",
}
"""Rules that functions or other rows carry out; their own row is never reported as applied."""

_DATES_FOLLOW: Final = "two of the three dates give the third"
NO_NEAR_MISS: Final = {
    ("SAF-15", "order"): "on plain facts every order has a key",
    ("SAF-18", "order"): "on plain facts every order has a key",
    ("MOD-04", "primary_site"): "the search for a primary is a scenario of the pancreas",
    ("MOD-23", "primary_site"): "the scenario is that of an unknown primary or of a tumour in the liver",
    ("MOD-07", "scenario"): "outside the scope nothing is graded",
    ("TNM-W4", "gep_site"): "outside pancreas and gut nothing is staged",
    ("TNM-W5", "gep_site"): "outside pancreas and gut nothing is staged",
    ("TNM-W8", "gep_site"): "outside pancreas and gut nothing is staged",
    ("FUP-01.none-yet", "months_resection_to_last_imaging"): _DATES_FOLLOW,
    ("FUP-01.none-yet", "months_since_last_imaging"): _DATES_FOLLOW,
    ("FUP-06.none-yet", "months_resection_to_last_imaging"): _DATES_FOLLOW,
    ("FUP-06.none-yet", "months_since_last_imaging"): _DATES_FOLLOW,
}
"""Axes on which a row cannot be missed alone."""

NEVER_OPEN: Final = {
    ("TNM-W4", "gep_site"): "without the site nothing is staged",
    ("TNM-W5", "gep_site"): "without the site nothing is staged",
    ("TNM-W8", "gep_site"): "without the site nothing is staged",
}
"""Axes that cannot be the only thing unknown."""

_DEFAULTED: Final = frozenset({"prior_treatments", "current_treatments", "recurrence", "order_intent"})
"""Facts with a written default (SEL-0): never unknown to a row."""

_TABLES: Final = (*INDEPENDENT, *LISTS)
each_table = pytest.mark.parametrize("table", _TABLES)


class Axis(NamedTuple):
    """One fact or signal of one conjunction of a row."""

    unit: Unit
    name: str

    @property
    def excused(self) -> tuple[str, str]:
        """How the lists of exceptions name it."""
        return self.unit.row, self.name


@cache
def _asked(table: str) -> tuple[Asked, ...]:
    return tuple(asked(table))


@cache
def _units(table: str) -> tuple[Unit, ...]:
    return tuple(dict.fromkeys(unit for item in _asked(table) for unit in units(item.rule)))


@cache
def _tried(table: str) -> tuple[frozenset[Axis], frozenset[Axis], frozenset[Unit]]:
    """Axes just missed, axes left open, and conjunctions met by at least one case.

    A row of a decision list that an earlier one shadows can still be missed, but it neither answers nor asks.
    """
    missed: set[Axis] = set()
    left_open: set[Axis] = set()
    met: set[Unit] = set()
    for item in _asked(table):
        for unit in units(item.rule):
            truths = truth_by_name(unit, item.situation)
            wanting = {name: value for name, value in truths.items() if value is not True}
            if not wanting and not item.shadowed:
                met.add(unit)
            if len(wanting) != 1 or item.value:
                continue
            ((name, value),) = wanting.items()
            if value is False:
                missed.add(Axis(unit, name))
            elif not item.shadowed:
                left_open.add(Axis(unit, name))
    return frozenset(missed), frozenset(left_open), frozenset(met)


def _axes(table: str) -> Iterator[Axis]:
    for unit in _units(table):
        for name in dict.fromkeys(test.name for test in unit.tests):
            yield Axis(unit, name)


def _can_be_open(table: str, axis: Axis) -> bool:
    """Whether a chart can leave this axis, and nothing else of the conjunction, unknown."""
    tests = [test for test in axis.unit.tests if test.name == axis.name]
    if all(test.op in (Op.UNLESS, Op.KNOWN) for test in tests):
        return False  # unknown is one of the answers
    if axis.name not in SIGNAL_NEEDS and (axis.name not in FACTS or axis.name in _DEFAULTED):
        return False  # a signal always has a value
    if table == "selection" and axis.name in NOT_TRUE_UNLESS_RECORDED:
        return False  # a written default
    identifying = {"nen_status", "primary_site"}.intersection(SIGNAL_NEEDS.get(axis.name, (axis.name,)))
    return not identifying or (
        _asked_without_diagnosis(axis.unit.tests) and not _after_insufficient(table, axis.unit.row)
    )


def _asked_without_diagnosis(tests: tuple[Test, ...]) -> bool:
    """Without site or diagnosis the scenario is insufficient-data; a row that names another one is not asked then."""
    scenario = Condition(tuple(test for test in tests if test.name == "scenario"))
    return evaluate(scenario, {"scenario": "insufficient-data"}).value is not False


def _after_insufficient(table: str, row: str) -> bool:
    """The rows behind SEL-11 are asked only when site and diagnosis are known."""
    ids = list(dict.fromkeys(item.rule.row.id for item in _asked("selection"))) if table == "selection" else []
    return row in ids and ids.index(row) > ids.index("SEL-11")


def _listed(axes: Iterable[Axis]) -> list[str]:
    return sorted(f"{axis.unit}: {axis.name}" for axis in axes)


# --- the two ways of looking ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", INDEPENDENT)
def test_the_situations_are_those_the_rules_were_asked_about(table: str) -> None:
    """A row of an independent table is reported exactly when its condition holds in the reconstructed situation."""
    expected: dict[str, set[str]] = defaultdict(set)
    ids: dict[str, set[str]] = defaultdict(set)
    for item in _asked(table):
        ids[item.case.case.id].add(item.rule.row.id)
        if item.value and (table == "safety" or item.case.in_scope) and item.rule.row.id not in SWITCHED_OFF:
            expected[item.case.case.id].add(item.rule.row.id)
    for case in seen():
        assert case.rows & ids[case.case.id] == expected[case.case.id], case.case.id


@pytest.mark.parametrize("table", LISTS)
def test_the_first_true_row_of_a_list_is_the_one_applied(table: str) -> None:
    """In a decision list the first row that holds in the reconstructed situation is among those reported."""
    for item in _asked(table):
        if item.value and not item.shadowed:
            assert item.rule.row.id in item.case.rows, (item.case.case.id, item.rule.row.id)


# --- rows -------------------------------------------------------------------------------------------------------------


def _reached() -> frozenset[str]:
    return frozenset().union(*(case.rows for case in seen()))


def test_every_row_is_reached(knowledge: Knowledge) -> None:
    """Every row that can be applied is applied in at least one worked case; the others are listed with a reason."""
    scenarios = {knowledge.scenarios[case.assessment.scenario].id for case in seen()}
    assert knowledge.triggers is not None
    shown_otherwise = {row.id for row in knowledge.markers.values()} | {
        knowledge.nodes.id,
        knowledge.primary_system.id,
        "FUP-22",
    }
    # the other follow-up profiles have cases of their own: tests/clinical/test_followup_profiles.py
    shown_otherwise |= {row.id for row in knowledge.rows.values() if row.rule_id == "FUP-09"}
    # what is recorded on orders: tests/clinical/test_pama.py
    shown_otherwise |= {row.id for row in knowledge.pama.values()}
    explaining = set(CONTEXT) | set(CARRIED_OUT_ELSEWHERE) | {row.id for row in knowledge.context}
    unreached = set(knowledge.rows) - _reached() - scenarios - shown_otherwise - set(SWITCHED_OFF) - explaining
    assert not unreached


def test_rows_that_are_never_reported_are_not_reported(knowledge: Knowledge) -> None:
    """The lists of rows that only explain, or are switched off, hold existing rows and are not stale."""
    explaining = {*CONTEXT, *CARRIED_OUT_ELSEWHERE, *(row.id for row in knowledge.context)}
    assert not _reached().intersection(explaining)
    assert explaining <= set(knowledge.rows)
    assert not _reached().intersection(SWITCHED_OFF)
    assert {rule.row.id for rule in knowledge.safety if not rule.row.enabled} == set(SWITCHED_OFF)


@each_table
def test_every_alternative_is_met(table: str) -> None:
    """Each conjunction of each row is true in at least one case, not only one of its alternatives."""
    met = _tried(table)[2]
    assert not [str(unit) for unit in _units(table) if unit not in met]


@each_table
def test_every_axis_has_a_near_miss(table: str) -> None:
    """For each axis a row names, a case meets everything else and fails on that axis, and the row does not fire."""
    missed = _tried(table)[0]
    assert not _listed(axis for axis in _axes(table) if axis not in missed and axis.excused not in NO_NEAR_MISS)


@each_table
def test_every_axis_is_left_open_by_a_case(table: str) -> None:
    """For each axis that can be unknown, a case meets everything else and leaves it open, and the row does not fire."""
    left_open = _tried(table)[1]
    assert not _listed(
        axis
        for axis in _axes(table)
        if axis not in left_open and axis.excused not in NEVER_OPEN and _can_be_open(table, axis)
    )


@each_table
def test_what_leaves_a_rule_open_is_reported_missing(table: str) -> None:
    """Whenever a rule is neither true nor false, every fact it lacks is among the missing ones."""
    for item in _asked(table):
        if item.shadowed or item.value is not None or item.rule.row.id in SWITCHED_OFF:
            continue
        if table not in ("selection", "safety") and not item.case.in_scope:
            continue  # outside the scope nothing else is asked
        needed = {need for name in item.lacking for need in SIGNAL_NEEDS.get(name, (name,)) if need in FACTS}
        unknown = {need for need in needed if getattr(item.case.facts, need) is None}
        unsaid = unknown.difference(item.case.assessment.missing)
        assert not unsaid, (item.case.case.id, item.rule.row.id)


def test_exceptions_are_not_stale() -> None:
    """An axis excused from a near miss or from being left open is still named by its row, and still untried."""
    every = [(axis, table) for table in _TABLES for axis in _axes(table)]
    for excused in NO_NEAR_MISS:
        assert any(axis not in _tried(table)[0] for axis, table in every if axis.excused == excused), excused
    for excused in NEVER_OPEN:
        axes = [(axis, table) for axis, table in every if axis.excused == excused]
        assert axes, excused
        assert not any(axis in _tried(table)[1] for axis, table in axes), excused


# --- tables that a function reads -------------------------------------------------------------------------------------


def test_every_band_of_who_2010_is_met(knowledge: Knowledge) -> None:
    """Each grade of each index in WHO 2010 has a case whose index lies in its band, and one lies in no band."""
    found: dict[tuple[str, str | None], int] = defaultdict(int)
    for case in (case for case in seen() if case.in_scope):
        ki67, mitoses = case.facts.ki67_percent, grading(case.facts, knowledge).mitoses_per_2mm2
        for row in (row for row in knowledge.grading if isinstance(row, BandRow)):
            value = ki67 if row.index == "ki67_percent" else mitoses
            if value is not None:
                found[row.index, next((band.grade for band in row.bands if band.holds(value)), None)] += 1
    grades = ("G1", "G2", "G3")
    assert set(found) == {(index, grade) for index in ("ki67_percent", "mitoses") for grade in grades} | {
        ("ki67_percent", None)
    }


def test_every_marker_is_seen_both_ways_and_open() -> None:
    """Each marker and eligibility fact is true in a case, false in another, and unknown in a third."""
    found: dict[str, set[object]] = defaultdict(set)
    for case in seen():
        for name, value in (*case.assessment.markers.items(), *case.assessment.eligibility.items()):
            found[name].add(value)
    assert found.pop("tgr_percent_per_month") > {None}
    assert found.pop("prrt_uptake") == {"meets", "does-not-meet", "unknown"}
    assert found.pop("ablation_best_indication") == {"yes", "no", "unknown"}
    assert {name: values for name, values in found.items() if values != {True, False, None}} == {}


def test_every_primary_system_is_chosen(knowledge: Knowledge) -> None:
    """Each band of years, the default and the carcinoma table lead in a case."""
    row = knowledge.primary_system
    led = {
        (case.facts.diagnosis_year is None, case.assessment.tnm_primary_system)
        for case in seen()
        if case.assessment.tnm
    }
    assert {(False, band.system) for band in row.years} <= led
    assert {(True, row.default), (True, row.carcinoma)} <= led


def test_every_list_of_systems_is_used(knowledge: Knowledge) -> None:
    """NET, carcinoma and undetermined tumours of the pancreas each have a case with just their systems."""
    row = knowledge.applicability
    used = {tuple(case.assessment.tnm) for case in seen() if case.facts.primary_site == "pancreas"}
    assert {tuple(row.net), tuple(row.carcinoma), tuple(row.undetermined)} <= used


def test_every_node_station_is_tried(knowledge: Knowledge) -> None:
    """Each entry of TNM-22 has a case with that node in a tumour of one of the parts it names."""
    tried = {(site, case.facts.pancreas_subsite) for case in seen() for site in case.facts.metastases or ()}
    for entry in (*knowledge.nodes.distant, *knowledge.nodes.regional):
        assert any((entry.site, subsite) in tried for subsite in entry.subsites), entry


def test_every_trigger_and_every_status_occurs(knowledge: Knowledge) -> None:
    """Each trigger of FUP-22 turns some early study into a due one, and each status of FUP-20 occurs."""
    assert knowledge.triggers
    assert knowledge.triggers is not None
    for number, part in enumerate(knowledge.triggers.condition.any):
        alone = Condition(part)
        others = [Condition(p) for n, p in enumerate(knowledge.triggers.condition.any) if n != number]
        assert any(
            case.assessment.followup.status == "due"
            and evaluate(alone, case.patient).value
            and not any(evaluate(other, case.patient).value for other in others)
            for case in seen()
        ), part
    assert {case.assessment.followup.status for case in seen()} == set(FOLLOWUP_STATUS)


# --- citations --------------------------------------------------------------------------------------------------------


def test_cases_cite_rules_that_exist(knowledge: Knowledge) -> None:
    """A case cites rules of the tables."""
    known = set(knowledge.rows) | set(knowledge.rule_rows)
    cited = {rule: case.case.id for case in seen() for rule in case.case.rules}
    assert {rule: case for rule, case in cited.items() if rule not in known} == {}


@pytest.mark.parametrize("kind", ["warnings", "advice"])
def test_cases_expect_ids_that_exist(kind: str, knowledge: Knowledge) -> None:
    """What a case says must, or must not, be shown is the id of a row that could be shown there."""
    tables = {
        "warnings": {rule.row.id for rule in (*knowledge.safety, *knowledge.staging_warnings)}
        | {row.id for row in knowledge.grading if row.id.startswith("GRD-W")}
        | {rule.row.id for rule in knowledge.advice if rule.row.id.startswith("PIT-")},
        "advice": {rule.row.id for rule in knowledge.advice if not rule.row.id.startswith("PIT-")},
    }
    for case in seen():
        for key in (f"{kind}_include", f"{kind}_exclude"):
            assert set(case.case.expected.get(key, ())) <= tables[kind], case.case.id
