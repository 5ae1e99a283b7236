"""Safety of orders: every rule fires, just does not, and asks; criticals block; a suggestion is always a safe one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.clinical.assess import assess
from cds_service.domain.facts import FACTS, Facts
from cds_service.domain.findings import Assessment, Order, OrderAssessment
from cds_service.domain.terms import CRITICAL, INFO, SCENARIOS, USUALLY_NOT_APPROPRIATE, WARNING
from cds_service.knowledge import load_knowledge

KNOWLEDGE = load_knowledge()
RULES = {rule.row.id: rule for rule in KNOWLEDGE.safety}
BASE = Facts(age_years=58, nen_status="confirmed", primary_site="pancreas", differentiation="well")
MRI, CT, PET = "mri-abd-pel-wwo", "ct-abd-pel-w", "pet-ct-sstr"

WOMAN: dict[str, Any] = {"sex": "female", "age_years": 31.0}
EARLY: dict[str, Any] = {
    "prior_treatments": ("prrt",),
    "disease_dominance": "non-liver",
    "last_imaging_result": "stable",
    "months_since_last_imaging": 4.4,
}


def assessed(procedure: str, **facts: Any) -> Assessment:
    """The assessment of one order."""
    known = replace(BASE, **facts)
    return assess(known, (Order("1", procedure, known.order_intent, known.days_since_same_procedure),), KNOWLEDGE)


def order(procedure: str, **facts: Any) -> OrderAssessment:
    """What is said about one order."""
    return assessed(procedure, **facts).orders[0]


def fired(procedure: str, **facts: Any) -> dict[str, str]:
    """Severity by safety rule."""
    return {finding.rule: finding.severity for finding in order(procedure, **facts).safety}


RULE_TABLE: list[tuple[str, str, str, dict[str, Any], dict[str, Any], str | None]] = [
    ("SAF-01", CRITICAL, MRI, {"implant": "non-mr-conditional"}, {"implant": "mr-conditional"}, "implant"),
    ("SAF-01", CRITICAL, "mrcp", {"implant": "non-mr-conditional"}, {"implant": "none"}, "implant"),
    ("SAF-02", WARNING, MRI, {"implant": "unknown"}, {"implant": "none"}, "implant"),
    ("SAF-03", CRITICAL, MRI, {"gadolinium_allergy": "severe"}, {"gadolinium_allergy": "mild"}, "gadolinium_allergy"),
    ("SAF-03", CRITICAL, "mri-liver-hb", {"gadolinium_allergy": "severe"}, {"gadolinium_allergy": "none"}, None),
    ("SAF-04", WARNING, MRI, {"gadolinium_allergy": "mild"}, {"gadolinium_allergy": "none"}, "gadolinium_allergy"),
    ("SAF-05", WARNING, MRI, {"egfr": 29.9}, {"egfr": 30.0}, "egfr"),
    ("SAF-05", WARNING, MRI, {"dialysis": True}, {"dialysis": False}, "dialysis"),
    ("SAF-05", WARNING, MRI, {"aki": True}, {"aki": False}, "aki"),
    ("SAF-06", INFO, MRI, {"egfr": 39.9, "inpatient": True}, {"egfr": 40.0, "inpatient": True}, None),
    ("SAF-06", INFO, MRI, {"egfr": 30.0, "inpatient": True}, {"egfr": 29.9, "inpatient": True}, None),
    ("SAF-06", INFO, MRI, {"egfr": 35.0, "inpatient": True}, {"egfr": 35.0, "inpatient": False}, None),
    ("SAF-07", WARNING, CT, {"egfr": 29.9}, {"egfr": 30.0}, "egfr"),
    ("SAF-07", WARNING, CT, {"egfr": 10.0}, {"egfr": 10.0, "dialysis": True}, None),
    ("SAF-07", WARNING, CT, {"aki": True}, {"aki": False}, "aki"),
    ("SAF-07", WARNING, "ct-enterography", {"aki": True}, {"aki": True, "dialysis": True}, None),
    ("SAF-08", INFO, CT, {"egfr": 30.0}, {"egfr": 29.9}, "egfr"),
    ("SAF-08", INFO, CT, {"egfr": 44.9}, {"egfr": 45.0}, "egfr"),
    ("SAF-09", CRITICAL, CT, {"iodinated_allergy": "severe"}, {"iodinated_allergy": "mild"}, "iodinated_allergy"),
    ("SAF-10", WARNING, CT, {"iodinated_allergy": "mild"}, {"iodinated_allergy": "none"}, "iodinated_allergy"),
    ("SAF-11", CRITICAL, CT, {**WOMAN, "pregnant": True}, {**WOMAN, "pregnant": False}, "pregnant"),
    ("SAF-11", CRITICAL, "bone-scan", {**WOMAN, "pregnant": True}, {**WOMAN, "pregnant": False}, "pregnant"),
    ("SAF-12", WARNING, MRI, {**WOMAN, "pregnant": True}, {**WOMAN, "pregnant": False}, "pregnant"),
    ("SAF-13", INFO, CT, {**WOMAN, "pregnant": True}, {**WOMAN, "pregnant": False}, "pregnant"),
    ("SAF-14", INFO, CT, WOMAN, {**WOMAN, "pregnant": False}, None),
    ("SAF-14", INFO, CT, {**WOMAN, "age_years": 12.0}, {**WOMAN, "age_years": 11.0}, None),
    ("SAF-14", INFO, CT, {**WOMAN, "age_years": 55.0}, {**WOMAN, "age_years": 56.0}, None),
    ("SAF-14", INFO, CT, WOMAN, {**WOMAN, "sex": "male"}, None),
    ("SAF-15", WARNING, CT, {"days_since_same_procedure": 28.0}, {"days_since_same_procedure": 28.1}, None),
    (
        "SAF-15",
        WARNING,
        CT,
        {"days_since_same_procedure": 0.0},
        {"days_since_same_procedure": 0.0, "new_symptoms": True},
        None,
    ),
    ("SAF-16", WARNING, MRI, EARLY, {**EARLY, "months_since_last_imaging": 4.5}, "months_since_last_imaging"),
    ("SAF-16", WARNING, "ct-cap-w", EARLY, {**EARLY, "biochemical_rise": True}, "months_since_last_imaging"),
    ("SAF-19", INFO, CT, EARLY, {}, None),
]
"""Rule, severity, study, facts under which it fires, facts that just miss it, and the fact that leaves it open."""


@pytest.mark.parametrize(
    ("rule", "severity", "study", "hit", "miss", "asked"),
    RULE_TABLE,
    ids=[f"{row[0]}-{n}" for n, row in enumerate(RULE_TABLE)],
)
def test_a_rule_fires_just_does_not_and_asks(
    rule: str, severity: str, study: str, hit: dict[str, Any], miss: dict[str, Any], asked: str | None
) -> None:
    """At its limit a rule fires on one side only; on the unknown it does not fire and its fact is missing."""
    assert fired(study, **hit).get(rule) == severity
    assert rule not in fired(study, **miss)
    if asked is not None:
        unknown = assessed(study, **{name: value for name, value in hit.items() if name != asked})
        assert rule not in {finding.rule for finding in unknown.orders[0].safety}
        assert asked in unknown.missing


def test_every_rule_is_in_the_table() -> None:
    """Every rule that is switched on is tried above; the two that are off are SAF-17 and SAF-18."""
    on = {rule for rule, item in RULES.items() if item.row.enabled}
    assert on == {row[0] for row in RULE_TABLE}
    assert set(RULES) - on == {"SAF-17", "SAF-18"}


ATTRIBUTES = {
    "SAF-01": "mr",
    "SAF-03": "gadolinium",
    "SAF-09": "iodinated",
    "SAF-11": "ionising",
}
DANGER = {
    "SAF-01": {"implant": "non-mr-conditional"},
    "SAF-03": {"gadolinium_allergy": "severe"},
    "SAF-09": {"iodinated_allergy": "severe"},
    "SAF-11": {**WOMAN, "pregnant": True},
}


@pytest.mark.parametrize("rule", ATTRIBUTES)
@pytest.mark.parametrize("procedure", list(KNOWLEDGE.procedures))
def test_a_danger_is_told_for_exactly_the_studies_it_concerns(procedure: str, rule: str) -> None:
    """Magnet, gadolinium, iodinated contrast and radiation block the studies that have them and no others."""
    concerned = ATTRIBUTES[rule] in KNOWLEDGE.procedures[procedure].attributes
    assert (rule in order(procedure, **DANGER[rule]).blocked_by) is concerned


def expected_attributes(key: str) -> set[str]:
    """Section 0.4, read off the key."""
    found = set()
    if key.startswith(("ct-", "pet-", "srs-")) or key in ("bone-scan", "glp1r-imaging"):
        found.add("ionising")
    if (key.startswith("mri-") and key.endswith("-wwo")) or key == "mri-liver-hb":
        found.add("gadolinium")
    if (key.startswith("ct-") and key.endswith(("-w", "-wwo"))) or key == "ct-enterography":
        found.add("iodinated")
    if key.startswith(("mri-", "mr-")) or key == "mrcp":
        found.add("mr")
    return found


@pytest.mark.parametrize("procedure", list(KNOWLEDGE.procedures))
def test_the_attributes_are_those_of_the_specification(procedure: str) -> None:
    """Section 0.4: ionising, gadolinium, iodinated and mr follow from what the study is."""
    safety = {"ionising", "gadolinium", "iodinated", "mr"}
    assert KNOWLEDGE.procedures[procedure].attributes & safety == expected_attributes(procedure)


def test_a_block_takes_nothing_away() -> None:
    """SAF-20: the rating of a blocked order stays, beside the block and the alternative."""
    blocked = order(MRI, implant="non-mr-conditional")
    free = order(MRI, implant="none")
    assert (blocked.rating, blocked.rating_rule) == (free.rating, free.rating_rule)
    assert (blocked.blocked_by, blocked.suggestion) == (("SAF-01",), CT)
    assert "SAF-20" in assessed(MRI, implant="non-mr-conditional").rules


def test_the_gravest_finding_comes_first() -> None:
    """Findings are ordered critical, warning, information."""
    found = order(CT, **WOMAN, pregnant=True, egfr=35.0, iodinated_allergy="mild").safety
    severities = [finding.severity for finding in found]
    assert severities == sorted(severities, key=[CRITICAL, WARNING, INFO].index)
    assert {CRITICAL, WARNING, INFO} == set(severities)


def test_nothing_is_critical_about_the_unknown() -> None:
    """With nothing but the diagnosis on record no study is blocked."""
    for procedure in KNOWLEDGE.procedures:
        assert order(procedure).blocked_by == ()
        assert CRITICAL not in fired(procedure).values()


@pytest.mark.parametrize("metformin", [True, False, None])
@pytest.mark.parametrize("procedure", [MRI, CT, PET])
def test_metformin_changes_nothing(procedure: str, metformin: bool | None) -> None:
    """SAF-18: neither rating, suggestion, safety nor advice depends on metformin."""
    assert order(procedure, metformin=metformin, egfr=35.0) == order(procedure, egfr=35.0)


@pytest.mark.parametrize(
    ("facts", "best"),
    [
        ({}, MRI),
        ({"implant": "non-mr-conditional"}, CT),
        ({"gadolinium_allergy": "severe"}, CT),
        ({"implant": "non-mr-conditional", "iodinated_allergy": "severe"}, PET),
        ({**WOMAN, "pregnant": True}, MRI),
        ({**WOMAN, "pregnant": True, "implant": "non-mr-conditional"}, None),
        ({**WOMAN, "pregnant": True, "gadolinium_allergy": "severe"}, None),
    ],
)
@pytest.mark.parametrize("scenario", ["staging", "non-liver"])
def test_the_preference_passes_over_what_is_blocked(scenario: str, facts: dict[str, Any], best: str | None) -> None:
    """SUG-02, SUG-03: MRI, then CT, then SSTR PET; when all are blocked none is suggested, and that is said."""
    treated = {"prior_treatments": ("prrt",), "disease_dominance": "non-liver"} if scenario == "non-liver" else {}
    found = order("eus", **treated, **facts)
    assert (found.rating, found.suggestion, found.no_alternative) == (USUALLY_NOT_APPROPRIATE, best, best is None)


# --- any patient ------------------------------------------------------------------------------------------------------


def fact_values(name: str) -> st.SearchStrategy[Any]:
    """Unknown, or some value of the fact."""
    spec = FACTS[name]
    values: dict[str, st.SearchStrategy[Any]] = {
        "flag": st.booleans(),
        "word": st.sampled_from(spec.words or ("none",)),
        "number": st.sampled_from([0.0, 5.0, 18.0, 29.0, 30.0, 35.0, 58.0, 100.0]),
        "words": st.lists(st.sampled_from(spec.words or ("liver", "bone", "ct", "mri")), max_size=2).map(tuple),
    }
    return st.none() | values.get(spec.kind.value, st.none())


RELEVANT = (
    "curative_resection",
    "residual_disease",
    "recurrence",
    "treated_since_recurrence",
    "prior_treatments",
    "current_treatments",
    "disease_dominance",
    "management_strategy",
    "baseline_staging_done",
    "order_intent",
    "new_symptoms",
    "last_imaging_result",
    "months_since_last_imaging",
    "days_since_same_procedure",
    "differentiation",
    "functional_syndrome",
    "sex",
    "pregnant",
    "egfr",
    "dialysis",
    "aki",
    "inpatient",
    "gadolinium_allergy",
    "iodinated_allergy",
    "implant",
)
patients = st.fixed_dictionaries({name: fact_values(name) for name in RELEVANT}).map(
    lambda facts: replace(BASE, **facts)
)


@pytest.mark.property
@given(patients, st.lists(st.sampled_from(sorted(KNOWLEDGE.procedures)), min_size=1, max_size=4))
def test_a_suggestion_is_rated_safe_and_another_study(facts: Facts, procedures: list[str]) -> None:
    """Whatever the patient, a suggestion is usually appropriate, not blocked, and not the study that was ordered."""
    orders = tuple(Order(str(n), key, facts.order_intent) for n, key in enumerate(procedures))
    for found in assess(facts, orders, KNOWLEDGE).orders:
        if found.suggestion is None:
            continue
        assert found.suggestion != found.order.procedure
        instead = assess(facts, (Order("x", found.suggestion, facts.order_intent),), KNOWLEDGE).orders[0]
        assert instead.blocked_by == ()
        assert instead.rating == "usually-appropriate"
        assert instead.suggestion is None
        assert found.scenario in SCENARIOS


@pytest.mark.property
@given(patients, st.sampled_from(sorted(KNOWLEDGE.procedures)))
def test_a_good_order_gets_no_suggestion_and_a_poor_one_never_silence(facts: Facts, procedure: str) -> None:
    """SUG-01, SUG-06: a suggestion comes when the order is blocked, or neither usually nor maybe appropriate."""
    found = assess(facts, (Order("1", procedure, facts.order_intent),), KNOWLEDGE).orders[0]
    acceptable = found.rating in ("usually-appropriate", "may-be-appropriate", "may-be-appropriate-disagreement")
    due = found.scenario in KNOWLEDGE.preferences and (bool(found.blocked_by) or not acceptable)
    assert (found.suggestion is not None or found.no_alternative) is due


@pytest.mark.property
@given(patients, st.sampled_from(sorted(KNOWLEDGE.procedures)))
def test_no_block_without_a_reason_on_record(facts: Facts, procedure: str) -> None:
    """A critical finding always rests on a fact that is known; forgetting that fact lifts the block."""
    found = assess(facts, (Order("1", procedure, facts.order_intent),), KNOWLEDGE).orders[0]
    forgotten = replace(facts, implant=None, gadolinium_allergy=None, iodinated_allergy=None, pregnant=None)
    lifted = assess(forgotten, (Order("1", procedure, facts.order_intent),), KNOWLEDGE).orders[0]
    assert lifted.blocked_by == ()
    assert lifted.rating == found.rating
    assert set(found.blocked_by) <= {"SAF-01", "SAF-03", "SAF-09", "SAF-11"}
