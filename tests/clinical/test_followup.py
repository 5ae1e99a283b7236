"""The follow-up schedule: every boundary of FUP-20, every trigger, and durations that follow from others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.clinical.assess import assess
from cds_service.clinical.situation import with_defaults
from cds_service.domain.facts import Facts
from cds_service.domain.findings import Assessment, Followup, Order
from cds_service.knowledge import load_knowledge

KNOWLEDGE = load_knowledge()
PANCREAS = Facts(age_years=58, nen_status="confirmed", primary_site="pancreas", differentiation="well")
RESECTED = replace(PANCREAS, curative_resection=True, residual_disease=False, recurrence="none")
G1: dict[str, Any] = {"ki67_percent": 1.0, "mitoses": 0.0}
G2: dict[str, Any] = {"ki67_percent": 5.0, "mitoses": 3.0}
NON_LIVER = replace(PANCREAS, prior_treatments=("prrt",), disease_dominance="non-liver")
LIVER = replace(PANCREAS, prior_treatments=("tace",), disease_dominance="liver")


def assessed(base: Facts, *procedures: str, **facts: Any) -> Assessment:
    """The assessment of facts and orders."""
    orders = tuple(Order(str(n), key) for n, key in enumerate(procedures))
    return assess(replace(base, **facts), orders, KNOWLEDGE)


def followup(base: Facts, **facts: Any) -> Followup:
    """Where the patient stands on the schedule."""
    return assessed(base, **facts).followup


SCHEDULES: dict[str, tuple[Facts, dict[str, Any], str, tuple[float, float], float, float]] = {
    "3 months": (
        RESECTED,
        {**G2, "months_resection_to_last_imaging": 3.0},
        "FUP-02",
        (3, 3),
        2.25,
        3.75,
    ),
    "6 months": (RESECTED, {**G1, "months_resection_to_last_imaging": 6.0}, "FUP-01", (6, 6), 4.5, 7.5),
    "12 months": (RESECTED, {**G1, "months_resection_to_last_imaging": 12.0}, "FUP-01", (12, 12), 9, 15),
    "6-12 months": (NON_LIVER, {"last_imaging_result": "stable"}, "FUP-04", (6, 12), 4.5, 15),
    "3-4 months": (NON_LIVER, {"last_imaging_result": "indeterminate"}, "FUP-05", (3, 4), 2.25, 5),
    "under treatment": (LIVER, {"current_treatments": ("chemotherapy",)}, "FUP-03", (3, 3), 2.25, 3.75),
    "unknown grade": (RESECTED, {"months_resection_to_last_imaging": 8.99}, "FUP-06", (6, 6), 4.5, 7.5),
    "unknown grade, later": (RESECTED, {"months_resection_to_last_imaging": 9.0}, "FUP-06", (12, 12), 9, 15),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_boundary_of_the_tolerance(name: str) -> None:
    """FUP-20: too early below, due from and to, overdue above; the boundaries themselves are due."""
    base, facts, rule, interval, first, last = SCHEDULES[name]
    for elapsed, status in (
        (0.0, "too-early"),
        (first - 0.001, "too-early"),
        (first, "due"),
        (interval[0], "due"),
        (last, "due"),
        (last + 0.001, "overdue"),
        (200.0, "overdue"),
    ):
        found = followup(base, **facts, months_since_last_imaging=elapsed)
        assert (found.status, found.rule, found.interval_months, found.elapsed_months) == (
            status,
            rule,
            interval,
            elapsed,
        )


TRIGGERS: list[dict[str, Any]] = [
    {"new_symptoms": True},
    {"biochemical_rise": True},
    {"recurrence": "suspected"},
    {"recurrence": "known"},
    {"rapid_growth": True},
]


@pytest.mark.parametrize("trigger", TRIGGERS, ids=str)
def test_a_trigger_makes_the_early_study_due(trigger: dict[str, Any]) -> None:
    """FUP-22: each trigger turns too early into due, and silences SAF-16 and SAF-15."""
    facts: dict[str, Any] = {
        "last_imaging_result": "stable",
        "months_since_last_imaging": 0.5,
        "days_since_same_procedure": 15.0,
    }
    without = assessed(NON_LIVER, "mri-abd-pel-wwo", **facts)
    assert without.followup.status == "too-early"
    assert {"SAF-15", "SAF-16"} <= set(without.orders[0].warnings)
    with_it = assessed(NON_LIVER, "mri-abd-pel-wwo", **facts, **trigger)
    assert with_it.followup.status == "due"
    assert not {"SAF-15", "SAF-16"} & set(with_it.orders[0].warnings)


@pytest.mark.parametrize("trigger", TRIGGERS, ids=str)
def test_a_trigger_does_not_touch_what_is_due_or_overdue(trigger: dict[str, Any]) -> None:
    """FUP-22: due stays due, and overdue stays overdue."""
    for elapsed, status in ((8.0, "due"), (16.0, "overdue")):
        found = followup(NON_LIVER, last_imaging_result="stable", months_since_last_imaging=elapsed, **trigger)
        assert found.status == status


def test_progression_is_a_trigger_under_treatment() -> None:
    """FUP-22: progression at the last imaging makes the three-monthly study due at once."""
    treated: dict[str, Any] = {"current_treatments": ("targeted",), "months_since_last_imaging": 1.0}
    assert followup(LIVER, **treated, last_imaging_result="stable").status == "too-early"
    assert followup(LIVER, **treated, last_imaging_result="progression").status == "due"


@pytest.mark.parametrize("quiet", [{"new_symptoms": False}, {"biochemical_rise": False}, {"rapid_growth": False}, {}])
def test_what_is_absent_or_unknown_triggers_nothing(quiet: dict[str, Any]) -> None:
    """Neither a denied nor an unrecorded trigger makes an early study due."""
    assert (
        followup(NON_LIVER, last_imaging_result="stable", months_since_last_imaging=1.0, **quiet).status == "too-early"
    )


@pytest.mark.parametrize(
    ("base", "facts", "rule"),
    [
        (LIVER, {"current_treatments": ("chemotherapy",), "last_imaging_result": "progression"}, "FUP-03"),
        (NON_LIVER, {"current_treatments": ("targeted",), "last_imaging_result": "indeterminate"}, "FUP-03"),
        (RESECTED, {"current_treatments": ("chemotherapy",), **G1}, "FUP-03"),
        (replace(PANCREAS, primary_site="colon"), {"current_treatments": ("targeted",)}, "FUP-03"),
        (PANCREAS, {"current_treatments": ("chemotherapy",)}, "FUP-03"),
        (NON_LIVER, {"current_treatments": ("prrt",), "last_imaging_result": "stable"}, "FUP-04"),
        (NON_LIVER, {"last_imaging_result": "response"}, "FUP-04"),
        (RESECTED, {"ki67_percent": 30.0, "mitoses": 25.0}, "FUP-02"),
        (replace(RESECTED, differentiation="poor"), {"ki67_percent": 60.0}, "FUP-02"),
    ],
)
def test_the_priority_of_the_schedule(base: Facts, facts: dict[str, Any], rule: str) -> None:
    """FUP-12: treatment first, then the last result outside the liver, then the grade after resection."""
    found = followup(base, months_since_last_imaging=3.0, months_resection_to_last_imaging=3.0, **facts)
    assert found.rule == rule
    assert found.status != "not-evaluated"


@pytest.mark.parametrize(
    ("base", "facts"),
    [
        (NON_LIVER, {"last_imaging_result": "progression"}),
        (NON_LIVER, {"last_imaging_result": "none"}),
        (LIVER, {"last_imaging_result": "stable"}),
        (replace(PANCREAS, management_strategy="active-surveillance"), {"last_imaging_result": "stable"}),
        (PANCREAS, {"last_imaging_result": "stable"}),
        (replace(PANCREAS, primary_site="jejunum-ileum"), {"last_imaging_result": "stable"}),
        (replace(PANCREAS, prior_treatments=("prrt",)), {"last_imaging_result": "stable"}),
        (replace(RESECTED, recurrence="suspected"), {"last_imaging_result": "stable", **G1}),
    ],
)
def test_where_no_source_states_an_interval_nothing_is_evaluated(base: Facts, facts: dict[str, Any]) -> None:
    """FUP-07, FUP-08, FUP-12: no interval is made up, and no order is called early."""
    found = assessed(base, "ct-abd-pel-w", "mri-abd-pel-wwo", months_since_last_imaging=0.5, **facts)
    assert (found.followup.status, found.followup.interval_months) == ("not-evaluated", None)
    assert not any("SAF-16" in order.warnings for order in found.orders)


def test_outside_the_scope_there_is_no_schedule() -> None:
    """SCN-13: safety rules only; no follow-up rule is applied and no fact is asked for on its account."""
    found = assessed(replace(PANCREAS, age_years=17.0), last_imaging_result="progression")
    assert found.followup == Followup("not-evaluated")
    silent = assessed(replace(PANCREAS, age_years=17.0))
    assert "last_imaging_result" not in silent.missing


@pytest.mark.parametrize(("months", "status"), [(4.4, "too-early"), (4.5, "due"), (7.5, "due"), (7.6, "overdue")])
@pytest.mark.parametrize("grade", [G1, {}], ids=["G1", "unknown grade"])
def test_before_the_first_scan_time_counts_from_the_operation(
    grade: dict[str, Any], months: float, status: str
) -> None:
    """FUP-21: with no examination on record the elapsed time is that since the resection."""
    found = followup(RESECTED, **grade, months_since_resection=months)
    assert (found.status, found.elapsed_months, found.interval_months) == (status, months, (6, 6))


def test_time_since_an_old_operation_is_no_time_since_imaging() -> None:
    """FUP-21 is about surveillance after resection: treated disease with a last result has had an examination since."""
    found = assessed(NON_LIVER, last_imaging_result="stable", months_since_resection=60.0)
    assert found.followup.status == "not-evaluated"
    assert "months_since_last_imaging" in found.missing


def test_an_unknown_date_leaves_the_status_open() -> None:
    """FUP-23: without any date the status is not evaluated, and the date is asked for."""
    for base, facts in ((RESECTED, G1), (RESECTED, G2), (RESECTED, {}), (NON_LIVER, {"last_imaging_result": "stable"})):
        found = assessed(base, **facts)
        assert found.followup.status == "not-evaluated"
        assert "months_since_last_imaging" in found.missing


@pytest.mark.parametrize(
    ("grade", "interval", "elapsed", "status"),
    [
        (G1, (24, 24), 17.9, "too-early"),
        (G1, (24, 24), 18.0, "due"),
        (G1, (24, 24), 30.0, "due"),
        (G1, (24, 24), 30.1, "overdue"),
        (G2, (12, 12), 8.9, "too-early"),
        (G2, (12, 12), 9.0, "due"),
        (G2, (12, 12), 15.0, "due"),
        (G2, (12, 12), 15.1, "overdue"),
    ],
)
def test_the_sstr_column(grade: dict[str, Any], interval: tuple[float, float], elapsed: float, status: str) -> None:
    """FUP-01, FUP-02: 24 or 12 months since the last SSTR study; only an SSTR order is early by it."""
    found = assessed(
        RESECTED,
        "pet-ct-sstr",
        "srs-octreotide",
        "ct-abd-pel-w",
        **grade,
        months_since_last_imaging=40.0,
        months_resection_to_last_imaging=12.0,
        months_since_last_sstr_imaging=elapsed,
    )
    assert (found.followup.sstr_interval_months, found.followup.sstr_status) == (interval, status)
    early = ["SAF-16" in order.warnings for order in found.orders]
    assert early == [status == "too-early", status == "too-early", False]


def test_a_trigger_counts_for_the_sstr_column() -> None:
    """FUP-22: rapid growth makes the early SSTR study due as well."""
    facts: dict[str, Any] = {**G1, "months_resection_to_last_imaging": 12.0, "months_since_last_sstr_imaging": 1.0}
    assert followup(RESECTED, **facts).sstr_status == "too-early"
    assert followup(RESECTED, **facts, rapid_growth=True).sstr_status == "due"


def test_the_date_of_the_last_sstr_study_is_asked_for() -> None:
    """Section 0.2 with SAF-16: an ordered SSTR study might be early, so the date of the last one is missing."""
    found = assessed(
        RESECTED, "pet-ct-sstr", **G1, months_since_last_imaging=12.0, months_resection_to_last_imaging=12.0
    )
    assert found.followup.sstr_status == "not-evaluated"
    assert "months_since_last_sstr_imaging" in found.missing


def test_the_sstr_column_is_for_surveillance_only() -> None:
    """FUP-12: in other scenarios there is no SSTR interval, however long ago the last study was."""
    for base in (NON_LIVER, LIVER, PANCREAS, replace(RESECTED, recurrence="suspected")):
        found = followup(base, **G1, months_since_last_sstr_imaging=60.0)
        assert (found.sstr_interval_months, found.sstr_status) == (None, "not-evaluated")


ABDOMINAL = {
    "mri-abd-pel-wwo",
    "mri-abd-wwo",
    "mri-abd-pel-wo",
    "mri-abd-wo",
    "ct-abd-pel-w",
    "ct-abd-pel-wwo",
    "ct-abd-w",
    "ct-abd-pel-wo",
    "ct-abd-wo",
    "ct-cap-w",
}


@pytest.mark.parametrize("procedure", list(KNOWLEDGE.procedures))
def test_only_anatomical_studies_of_the_abdomen_are_early(procedure: str) -> None:
    """SAF-16 concerns abdominal MRI and CT, and CT of chest, abdomen and pelvis; nothing else."""
    found = assessed(NON_LIVER, procedure, last_imaging_result="stable", months_since_last_imaging=1.0)
    assert ("SAF-16" in found.orders[0].warnings) is (procedure in ABDOMINAL)


# --- durations that follow from others --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_facts", "derived"),
    [
        (
            {"months_since_resection": 18.0, "months_since_last_imaging": 6.0},
            ("months_resection_to_last_imaging", 12.0),
        ),
        (
            {"months_since_resection": 18.0, "months_resection_to_last_imaging": 12.0},
            ("months_since_last_imaging", 6.0),
        ),
        ({"months_since_resection": 6.0, "months_since_last_imaging": 6.0}, ("months_resection_to_last_imaging", 0.0)),
        ({"months_since_resection": 6.0, "months_since_last_imaging": 7.0}, ("months_resection_to_last_imaging", None)),
        ({"months_since_resection": 6.0, "months_resection_to_last_imaging": 7.0}, ("months_since_last_imaging", None)),
        ({"months_since_resection": 6.0}, ("months_since_last_imaging", None)),
    ],
)
def test_a_duration_follows_from_two_others(given_facts: dict[str, float], derived: tuple[str, float | None]) -> None:
    """Two of the three durations give the third; a scan before the operation gives none."""
    name, value = derived
    assert getattr(with_defaults(replace(RESECTED, **given_facts)), name) == value  # type: ignore[arg-type]


def test_the_status_is_the_same_from_either_pair_of_durations() -> None:
    """It makes no difference which two of the three durations are on record."""
    durations = {
        "months_since_resection": 18.0,
        "months_since_last_imaging": 6.0,
        "months_resection_to_last_imaging": 12.0,
    }
    every = followup(RESECTED, **G1, **durations)
    assert every.status == "too-early"
    for left_out in durations:
        kept = {name: value for name, value in durations.items() if name != left_out}
        assert followup(RESECTED, **G1, **kept) == every


months = st.floats(0, 240, allow_nan=False)
ORDER = ("too-early", "due", "overdue")


@pytest.mark.property
@given(st.sampled_from(sorted(SCHEDULES)), months, months)
def test_time_only_moves_forward(name: str, one: float, other: float) -> None:
    """The longer ago the last examination, the later the status, whatever the schedule."""
    base, facts, *_ = SCHEDULES[name]
    earlier, later = (
        followup(base, **facts, months_since_last_imaging=elapsed).status for elapsed in sorted((one, other))
    )
    assert ORDER.index(earlier) <= ORDER.index(later)
