"""The assessment as a whole: which scenario rates what, what holds outside the scope, and what is reported missing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.clinical.assess import assess
from cds_service.domain.facts import FACTS, Facts
from cds_service.domain.findings import Assessment, Grade, Order
from cds_service.domain.terms import NOT_RATED, SCENARIOS, USUALLY_APPROPRIATE
from cds_service.interchange import read_facts, read_orders
from tests.cases_loader import Case, clinical_cases, plain_cases
from tests.clinical.patients import KNOWLEDGE, PANCREAS, PATIENTS, assessed

CASES = (*clinical_cases(), *plain_cases())
MRI, CT, PET = "mri-abd-pel-wwo", "ct-abd-pel-w", "pet-ct-sstr"


def of_case(case: Case) -> Assessment:
    """The assessment of a case."""
    facts = read_facts(case.facts)
    return assess(facts, read_orders(list(case.orders), facts, KNOWLEDGE), KNOWLEDGE)


def test_there_is_a_patient_for_every_scenario() -> None:
    """The patients of this file are in the scenarios they are meant for."""
    assert {name: assessed(facts).scenario for name, facts in PATIENTS.items()} == {name: name for name in SCENARIOS}


# --- ratings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_scenario_rates_what_its_sources_rate_and_nothing_else(scenario: str) -> None:
    """RAT-02, RAT-03, RAT-05: every study in every scenario has the rating of its own row, or none at all."""
    found = assessed(PATIENTS[scenario], *KNOWLEDGE.procedures)
    for order in found.orders:
        key = str(order.order.procedure)
        row = KNOWLEDGE.ratings.get((scenario, key))
        if scenario == "pnet-treated-followup-undetermined":
            assert order.rating == (USUALLY_APPROPRIATE if key == MRI else NOT_RATED), key
        else:
            assert order.rating == (row.rating if row else NOT_RATED), key
        assert order.rating_rule in KNOWLEDGE.rule_rows


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_suggestion_is_made_only_where_something_is_rated(scenario: str) -> None:
    """SUG-05: without a rated study there is no suggestion, whatever is ordered."""
    suggested = {order.suggestion for order in assessed(PATIENTS[scenario], *KNOWLEDGE.procedures).orders}
    assert (suggested != {None}) is (scenario in KNOWLEDGE.preferences)


@pytest.mark.parametrize("differentiation", ["well", "poor", "mixed", None])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_rating_does_not_depend_on_differentiation(scenario: str, differentiation: str | None) -> None:
    """RAT-06: a carcinoma of the pancreas is matched normally, and flagged as of limited applicability."""
    found = assessed(replace(PATIENTS[scenario], differentiation=differentiation), MRI, CT, PET)
    usual = assessed(PATIENTS[scenario], MRI, CT, PET)
    assert [order.rating for order in found.orders] == [order.rating for order in usual.orders]
    pancreatic = scenario.startswith("pnet-")
    assert found.limited_applicability is (differentiation in ("poor", "mixed") and pancreatic)
    assert ("RAT-06" in found.rules) is found.limited_applicability


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_class_of_tracers_is_mentioned_where_it_matters(scenario: str) -> None:
    """RAT-07: applying the rating to all SSTR tracers is said exactly where SSTR PET is ordered and rated."""
    rated = (scenario, PET) in KNOWLEDGE.ratings
    assert ("RAT-07" in assessed(PATIENTS[scenario], PET).rules) is rated
    assert "RAT-07" not in assessed(PATIENTS[scenario], MRI).rules


def test_each_order_is_seen_by_its_own_purpose() -> None:
    """Two orders with different purposes are in different scenarios, and each has its own rating."""
    orders = (Order("1", MRI, "distant-staging"), Order("2", MRI, "local-staging"), Order("3", MRI))
    found = assess(PANCREAS, orders, KNOWLEDGE)
    assert [order.scenario for order in found.orders] == [
        "pnet-initial-staging",
        "pnet-local-staging",
        "pnet-initial-staging",
    ]
    assert [order.rating for order in found.orders] == [USUALLY_APPROPRIATE, NOT_RATED, USUALLY_APPROPRIATE]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_overlay_never_touches_the_rating(scenario: str) -> None:
    """RAT-08: a situation in which SSTR PET is appropriate changes no category of any study."""
    without = replace(PATIENTS[scenario], resection_planned=False)
    with_it = replace(PATIENTS[scenario], resection_planned=True)
    before, after = (assessed(facts, *KNOWLEDGE.procedures) for facts in (without, with_it))
    assert [order.rating for order in before.orders] == [order.rating for order in after.orders]
    assert after.auc == ("appropriate" if scenario not in ("insufficient-data", "out-of-scope") else NOT_RATED)


# --- advice and scope -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("orders", [(), (MRI,), (MRI, CT)], ids=len)
def test_a_negative_sstr_study_is_remarked_whatever_is_ordered(orders: tuple[str, ...]) -> None:
    """PIT-03 holds for a negative result on record even when nothing is ordered, as when a chart is opened."""
    assert "PIT-03" in assessed(replace(PANCREAS, sstr_imaging_result="negative"), *orders).warnings
    assert "PIT-03" not in assessed(replace(PANCREAS, sstr_imaging_result="positive"), *orders).warnings


def test_the_result_of_sstr_imaging_is_asked_for() -> None:
    """Section 0.2 with PIT-03: an unknown result could make the pitfall true, so it is missing."""
    assert "sstr_imaging_result" in assessed(PANCREAS).missing


OUTSIDE = [
    {"age_years": 17.0},
    {"nen_status": "none"},
    {"nen_status": "other-tumour"},
    {"primary_site": "lung"},
    {"primary_site": "thymus"},
    {"primary_site": "adrenal"},
    {"primary_site": "other"},
]


@pytest.mark.parametrize("outside", OUTSIDE, ids=str)
def test_outside_the_scope_only_safety_speaks(outside: dict[str, Any]) -> None:
    """SCN-13: no grade, no stage, no overlay, no advice and no suggestion; safety rules as for everybody."""
    facts = replace(
        PANCREAS,
        ki67_percent=30.0,
        mitoses=25.0,
        size_mm=20.0,
        nodes="positive",
        metastases=("liver",),
        resection_planned=True,
        functional_syndrome="insulinoma",
        hereditary_syndrome="men1",
        implant="non-mr-conditional",
        iodinated_allergy="mild",
    )
    facts = replace(facts, **outside)
    found = assessed(facts, MRI, CT, PET, "eus")
    assert found.scenario == "out-of-scope"
    assert (found.grade, found.tnm, found.tnm_primary_system) == (Grade(), {}, None)
    assert (found.auc, found.advice, found.limited_applicability) == (NOT_RATED, (), False)
    assert set(found.warnings) == {"SAF-01", "SAF-10"}
    assert {order.rating for order in found.orders} == {NOT_RATED}
    assert {order.suggestion for order in found.orders} == {None}
    assert [order.blocked_by for order in found.orders] == [("SAF-01",), (), (), ()]


@pytest.mark.parametrize("outside", OUTSIDE, ids=str)
def test_outside_the_scope_only_safety_asks(outside: dict[str, Any]) -> None:
    """SCN-13: nothing is reported missing for the sake of a rule that is not asked."""
    found = assessed(replace(PANCREAS, **outside))
    assert set(found.missing) <= {"age_years", "nen_status", "primary_site"}


def test_what_is_reported_missing_is_not_on_record() -> None:
    """A fact is asked for only when it is unknown, or when its value had to be ignored (GRD-W9)."""
    asked_again: dict[str, list[str]] = {}
    for case in CASES:
        facts, found = read_facts(case.facts), of_case(case)
        unusable = {"ki67_percent", "mitoses"} if "GRD-W9" in found.warnings else set()
        for name in found.missing:
            if getattr(facts, name) is not None and name not in unusable:
                asked_again.setdefault(name, []).append(case.id)
    assert asked_again == {}


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_everything_said_rests_on_a_row(case: Case) -> None:
    """Every id in the answer is that of a rule with a citation, and every id shown is among the rules applied."""
    found = of_case(case)
    for rule in (*found.rules, *found.warnings, *found.advice, *found.nearly):
        assert rule in KNOWLEDGE.rows or rule in KNOWLEDGE.rule_rows, rule
    assert set(found.warnings) | set(found.advice) <= set(found.rules)
    for order in found.orders:
        assert {order.rating_rule, *order.blocked_by, *order.warnings, *order.advice} <= set(found.rules)
        assert set(order.warnings) <= set(found.warnings)


@pytest.mark.parametrize("case", [case for case in CASES if len(case.orders) > 1], ids=lambda case: case.id)
def test_orders_do_not_change_each_other(case: Case) -> None:
    """In another sequence each order has the same rating, suggestion, safety and advice."""
    facts = read_facts(case.facts)
    orders = read_orders(list(case.orders), facts, KNOWLEDGE)
    forwards = assess(facts, orders, KNOWLEDGE)
    backwards = assess(facts, tuple(reversed(orders)), KNOWLEDGE)
    assert {order.order.id: order for order in forwards.orders} == {order.order.id: order for order in backwards.orders}
    assert set(forwards.warnings) == set(backwards.warnings)


# --- any chart --------------------------------------------------------------------------------------------------------


def values(name: str) -> st.SearchStrategy[Any]:
    """Unknown, or some value of the fact."""
    spec = FACTS[name]
    kinds: dict[str, st.SearchStrategy[Any]] = {
        "flag": st.booleans(),
        "word": st.sampled_from(spec.words or ("x",)),
        "number": st.sampled_from([0.0, 1.0, 2.0, 3.0, 10.0, 20.0, 30.0, 58.0, 100.0, 2020.0]),
        "words": st.lists(st.sampled_from(spec.words or ("liver", "bone", "ct", "mri", "celiac-node")), max_size=3).map(
            lambda words: tuple(dict.fromkeys(words))
        ),
    }
    return st.none() | kinds.get(spec.kind.value, st.none())


charts = st.fixed_dictionaries({name: values(name) for name in FACTS}).map(lambda facts: Facts(**facts))
studies = st.lists(st.sampled_from(sorted(KNOWLEDGE.procedures)), max_size=3)


@pytest.mark.property
@given(charts, studies)
def test_any_chart_has_an_answer(facts: Facts, procedures: list[str]) -> None:
    """Whatever the facts, there is one scenario, a known rating for each order, and the overlay only for NET."""
    found = assessed(facts, *procedures)
    assert found.scenario in SCENARIOS
    assert len(found.orders) == len(procedures)
    assert {rule for rule in found.rules if rule not in KNOWLEDGE.rows and rule not in KNOWLEDGE.rule_rows} == set()
    if facts.differentiation in ("poor", "mixed"):
        assert found.auc == NOT_RATED
    if facts.primary_site is None or facts.nen_status is None:
        assert found.scenario in ("insufficient-data", "out-of-scope")


@pytest.mark.property
@given(charts, st.sampled_from(sorted(FACTS)))
def test_forgetting_a_fact_never_makes_up_a_rating(facts: Facts, name: str) -> None:
    """With less on record an order is never rated in a scenario its source is not about."""
    for known in (facts, replace(facts, **{name: None})):
        for order in assessed(known, MRI, CT, PET).orders:
            if order.rating != NOT_RATED:
                assert known.primary_site == "pancreas"
                assert known.nen_status in ("confirmed", "highly-suspected")


@pytest.mark.property
@given(charts, studies)
def test_the_same_chart_has_the_same_answer(facts: Facts, procedures: list[str]) -> None:
    """Nothing but facts, orders and rows goes into an answer."""
    assert assessed(facts, *procedures) == assessed(facts, *procedures)
