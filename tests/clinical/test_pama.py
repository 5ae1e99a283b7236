"""What may be recorded on an order: the three codes, and no code while a reading of the record would change it."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pytest

from cds_service.clinical.assess import assess, readings
from cds_service.clinical.contradictions import Assessed, assess_chart
from cds_service.clinical.pama import with_pama
from cds_service.domain.facts import Facts
from cds_service.domain.findings import (
    ABOUT_ANOTHER,
    ANOTHER_PATIENT,
    Alternative,
    Evidence,
    Order,
    PamaRating,
    PatientFacts,
    Skipped,
    ValueRange,
)
from cds_service.domain.terms import APPROPRIATE_USE, NOT_RATED, RATINGS
from cds_service.interchange import read_facts
from cds_service.knowledge import Knowledge, knowledge_at
from cds_service.knowledge.site import Site
from tests.cases_loader import Case, clinical_cases
from tests.clinical.patients import (
    GUT,
    IN_SCOPE,
    INSUFFICIENT,
    KNOWLEDGE,
    LIVER,
    NON_LIVER,
    OUTSIDE,
    PANCREAS,
    PATIENTS,
    RESECTED,
    STAGING,
    UNDETERMINED,
)

MRI: Final = "mri-abd-pel-wwo"
CODES: Final = {
    "usually-appropriate": "appropriate",
    "may-be-appropriate": "appropriate",
    "may-be-appropriate-disagreement": "appropriate",
    "usually-not-appropriate": "not-appropriate",
    NOT_RATED: "no-criteria-apply",
}
RATED: Final = sorted({(row.scenario, key) for row in KNOWLEDGE.rating_rows for key in row.procedures})


def judged(
    chart: PatientFacts | Facts, *orders: Order, unseen: tuple[str, ...] = (), at: Knowledge = KNOWLEDGE
) -> Assessed:
    """The assessment of a chart with what may be recorded."""
    held = chart if isinstance(chart, PatientFacts) else PatientFacts(chart, nen_evidence=True)
    return with_pama(assess_chart(held, orders, at), at, unseen)


def recorded(chart: PatientFacts | Facts, order: str | Order, *, unseen: tuple[str, ...] = ()) -> PamaRating | None:
    """What may be recorded on one order."""
    asked = order if isinstance(order, Order) else Order("1", order, _purpose(chart))
    return judged(chart, asked, unseen=unseen).assessment.orders[0].pama


def _purpose(chart: PatientFacts | Facts) -> str | None:
    return (chart.facts if isinstance(chart, PatientFacts) else chart).order_intent


def code(chart: PatientFacts | Facts, order: str | Order, *, unseen: tuple[str, ...] = ()) -> str | None:
    """The code that may be recorded; the order is in scope."""
    found = recorded(chart, order, unseen=unseen)
    assert found is not None
    return found.code


# --- the mapping ------------------------------------------------------------------------------------------------------


def test_every_category_has_its_code() -> None:
    """PM-004: the mapping is what the documentation says, and complete."""
    codes = {category: row.code for category, row in KNOWLEDGE.pama.items() if category}
    assert codes == CODES | {APPROPRIATE_USE: "appropriate"}
    assert set(CODES) == set(RATINGS)
    assert KNOWLEDGE.pama[""].code is None


@pytest.mark.parametrize(("scenario", "procedure"), RATED)
def test_a_reported_category_is_recorded_with_its_row(scenario: str, procedure: str) -> None:
    """PM-010: each rating of each table: its code, its category, and the row as the criterion that was applied."""
    found = recorded(PATIENTS[scenario], procedure)
    row = KNOWLEDGE.ratings[scenario, procedure]
    assert found == PamaRating(CODES[row.rating], KNOWLEDGE.pama[row.rating].id, row.rating, row.id)


@pytest.mark.parametrize("scenario", sorted(IN_SCOPE - {INSUFFICIENT, UNDETERMINED}))
def test_a_study_that_no_source_rates_has_no_criteria(scenario: str) -> None:
    """A study without a key in any scenario: none covers it, and no criterion is named."""
    found = recorded(PATIENTS[scenario], Order("1", None, PATIENTS[scenario].order_intent))
    assert found == PamaRating("no-criteria-apply", "PAM-05", NOT_RATED)


def test_criteria_for_sstr_pet_are_criteria() -> None:
    """RAT-08: where no source rates SSTR PET but its own criteria support it, "no criteria apply" would be untrue."""
    found = recorded(PATIENTS[GUT], "pet-ct-sstr")
    assert found == PamaRating("appropriate", "PAM-07", APPROPRIATE_USE, "AUC-01b")
    assert code(replace(PATIENTS[GUT], differentiation="poor"), "pet-ct-sstr") == "no-criteria-apply"
    assert code(PATIENTS[GUT], MRI) == "no-criteria-apply"


def test_a_reported_category_goes_before_the_criteria_for_sstr_pet() -> None:
    """RAT-08: the two are never merged; where a source rates the study, its category is recorded."""
    found = recorded(PANCREAS, "pet-ct-sstr")
    assert found is not None
    assert found.category == "usually-appropriate"


def test_criteria_for_sstr_pet_must_hold_in_every_reading() -> None:
    """In the gut they are for untreated tumours: with treatment unreadable, nothing is recorded."""
    found = recorded(PATIENTS[GUT], "pet-ct-sstr", unseen=("prior_treatments",))
    assert found == PamaRating(None, "PAM-06", lacking=("prior_treatments",))


@pytest.mark.parametrize("procedure", sorted(KNOWLEDGE.procedures))
def test_outside_the_scope_nothing_is_said(procedure: str) -> None:
    """PM-003: no rating, and no reason for a card either."""
    assert recorded(PATIENTS[OUTSIDE], procedure) is None


def test_an_order_blocked_for_safety_keeps_its_rating() -> None:
    """SAF-20: the rating stays visible beside the safety finding."""
    found = judged(replace(PANCREAS, implant="non-mr-conditional"), Order("1", MRI)).assessment.orders[0]
    assert found.blocked_by
    assert found.pama is not None
    assert found.pama.code == "appropriate"


@pytest.mark.parametrize("case", clinical_cases(), ids=lambda case: case.id)
def test_other_readings_are_read_as_the_assessment_is(case: Case) -> None:
    """Scenario and appropriate use, worked out without the rest of the assessment, are those that are assessed."""
    facts = read_facts(case.facts)
    orders = tuple(Order(str(n), key, facts.order_intent) for n, key in enumerate(case.orders))
    found = assess(facts, orders, KNOWLEDGE)
    read = readings(facts, orders, KNOWLEDGE)
    assert [each.scenario for each in read] == [order.scenario for order in found.orders]
    for each in read:
        if each.scenario == found.scenario:
            assert bool(each.overlay) is (found.auc == "appropriate" and each.scenario != OUTSIDE)


# --- information that does not suffice --------------------------------------------------------------------------------


@pytest.mark.parametrize("procedure", sorted(KNOWLEDGE.procedures))
def test_without_site_or_diagnosis_nothing_is_recorded(procedure: str) -> None:
    """PM-005, SCN-12: neither the one nor the other can be guessed."""
    assert recorded(PATIENTS[INSUFFICIENT], procedure) == PamaRating(
        None, "PAM-06", lacking=("nen_status", "primary_site")
    )


@pytest.mark.parametrize("procedure", sorted(KNOWLEDGE.procedures))
def test_without_dominance_only_what_both_tables_say_is_recorded(procedure: str) -> None:
    """RAT-04: what both say is recorded, also when neither rates the study; otherwise dominance is asked for."""
    rows = [KNOWLEDGE.ratings.get((name, procedure)) for name in (LIVER, NON_LIVER)]
    categories = {row.rating if row else NOT_RATED for row in rows}
    found = recorded(PATIENTS[UNDETERMINED], procedure)
    assert found is not None
    if len(categories) == 1:
        assert found.code == CODES[categories.pop()]
    else:
        assert (found.code, found.lacking) == (None, ("disease_dominance",))


def test_an_order_with_an_open_question_is_not_rated() -> None:
    """Tracer or contrast not stated: nothing is recorded, and certainly not that no criteria apply."""
    found = recorded(PANCREAS, Order("1", None, open_question="the tracer is not stated"))
    assert found == PamaRating(None, "PAM-06", question="the tracer is not stated")


@pytest.mark.parametrize(
    ("agent", "expected"), [("dotatate", "appropriate"), ("dotatoc", "no-criteria-apply"), (None, None)]
)
def test_without_class_equivalence_the_tracer_must_be_stated(agent: str | None, expected: str | None) -> None:
    """RAT-07 switched off: a ligand the source does not name has no criteria; one that is not stated is a question."""
    strict = knowledge_at(Site(defaults={"sstr_class_equivalence": False}))
    unsupported = replace(PANCREAS, differentiation=None)  # the criteria for SSTR PET ask for well differentiated
    found = judged(unsupported, Order("1", "pet-ct-sstr", agent=agent), at=strict).assessment.orders[0].pama
    assert found is not None
    assert found.code == expected
    assert bool(found.question) is (expected is None)


@pytest.mark.parametrize("fact", ["prior_treatments", "current_treatments", "curative_resection"])
def test_a_fact_that_cannot_be_read_is_not_taken_as_absent(fact: str) -> None:
    """PM-005: EUS is usually not appropriate for staging and not rated later: with treatment unreadable neither is
    recorded.
    """
    damaged = PatientFacts(PANCREAS, skipped=(Skipped("Procedure/1", "no status", fact),), nen_evidence=True)
    assert code(PANCREAS, "eus") == "not-appropriate"
    assert recorded(damaged, "eus") == PamaRating(None, "PAM-06", lacking=(fact,))


@pytest.mark.parametrize("fact", ["prior_treatments", "current_treatments"])
def test_damage_that_cannot_change_the_code_does_not_matter(fact: str) -> None:
    """MRI is usually appropriate before and after treatment: whatever was given, the rating is the same."""
    damaged = PatientFacts(PANCREAS, skipped=(Skipped("Procedure/1", "no status", fact),), nen_evidence=True)
    assert code(damaged, MRI) == "appropriate"


def test_damage_beside_a_value_that_could_be_read_does_not_matter() -> None:
    """A second, unreadable record of a fact that another one states."""
    facts = replace(PANCREAS, curative_resection=False)
    damaged = PatientFacts(facts, skipped=(Skipped("Procedure/1", "x", "curative_resection"),), nen_evidence=True)
    assert code(damaged, "eus") == "not-appropriate"


@pytest.mark.parametrize("fact", ["prior_treatments", "curative_resection"])
def test_a_record_that_was_not_received_is_not_taken_as_empty(fact: str) -> None:
    """SEL-0 takes what is not on record as absent; that holds for a record that was seen."""
    assert recorded(PANCREAS, "eus", unseen=(fact,)) == PamaRating(None, "PAM-06", lacking=(fact,))


def test_a_number_recorded_as_a_range_leaves_dominance_open() -> None:
    """A share of the liver of 40 to 60 % lies on both sides of the limit."""
    treated = replace(PANCREAS, prior_treatments=("prrt",), liver_tumour_share_percent=40.0)
    open_range = ValueRange("liver_tumour_share_percent", 40, 60, "40-60")
    evidence = {"liver_tumour_share_percent": (Evidence("Observation/1"),)}
    chart = PatientFacts(treated, evidence, ranges=(open_range,), nen_evidence=True)
    found = recorded(chart, "ct-abd-pel-w")
    assert found is not None
    assert (found.code, code(chart, MRI)) == (None, "appropriate")


@pytest.mark.parametrize(("procedure", "expected"), [("eus", None), (MRI, "appropriate")])
def test_a_contradiction_that_changes_the_code_keeps_it_off_the_order(procedure: str, expected: str | None) -> None:
    """Two sources, one with and one without treatment: the newest decides the card, but not the record."""
    older = Alternative("prior_treatments", ("prrt",), Evidence("Observation/2", "2020-01-01"))
    facts = replace(PANCREAS, prior_treatments=())
    chart = PatientFacts(facts, alternatives=(older,), nen_evidence=True)
    found = recorded(chart, procedure)
    assert found is not None
    assert found.code == expected
    assert found.lacking == (() if expected else ("prior_treatments",))


@pytest.mark.parametrize("reason", [ANOTHER_PATIENT, ABOUT_ANOTHER])
def test_nothing_is_recorded_when_nobody_can_be_sure_whose_chart_it_is(reason: str) -> None:
    """Another patient's data is set aside for the card; what is stored unattended waits until that is settled."""
    mixed = PatientFacts(PANCREAS, skipped=(Skipped("Observation/9", reason),), nen_evidence=True)
    found = judged(mixed, Order("1", "eus")).assessment.orders[0]
    assert found.pama == PamaRating(None, "PAM-06", question="data of another patient came with the chart")
    assert found.suggestion_pama is None
    outside = replace(mixed, facts=PATIENTS[OUTSIDE])
    assert judged(outside, Order("1", "eus")).assessment.orders[0].pama is None


def test_one_order_in_doubt_does_not_take_the_rating_from_another() -> None:
    """Each order is judged by itself."""
    orders = (Order("1", "eus"), Order("2", MRI))
    found = judged(PANCREAS, *orders, unseen=("prior_treatments",)).assessment.orders
    assert [order.pama.code for order in found if order.pama] == [None, "appropriate"]


# --- the suggested study ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scenario", [STAGING, RESECTED, LIVER, NON_LIVER])
def test_a_suggested_study_is_rated_as_if_it_were_ordered(scenario: str) -> None:
    """PM-013: the suggestion carries what the next call would say of it."""
    found = judged(PATIENTS[scenario], Order("1", "eus")).assessment.orders[0]
    assert found.suggestion is not None
    again = recorded(PATIENTS[scenario], found.suggestion)
    assert found.suggestion_pama == again
    assert again is not None
    assert again.code == "appropriate"


def test_a_suggested_study_is_as_doubtful_as_an_ordered_one() -> None:
    """With the resection unknown, MRI for staging is not rated in advance: surveillance does not rate it."""
    found = judged(PANCREAS, Order("1", "eus"), unseen=("curative_resection",)).assessment.orders[0]
    assert found.suggestion == MRI
    assert found.suggestion_pama == PamaRating(None, "PAM-06", lacking=("curative_resection",))


def test_without_orders_nothing_changes() -> None:
    """A chart without orders is assessed as before."""
    bare = assess_chart(PatientFacts(PATIENTS[GUT], nen_evidence=True), (), KNOWLEDGE)
    assert with_pama(bare, KNOWLEDGE) is bare
