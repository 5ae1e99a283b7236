"""Every property can fail, and the counter-example names what is wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from cds_service.domain.terms import USUALLY_NOT_APPROPRIATE
from cds_service.knowledge import Knowledge
from cds_service.knowledge.model import Band, BandRow, ClassRow
from cds_service.knowledge.ranges import Range
from cds_service.proof import Proof
from cds_service.proof.findings import CounterExample
from cds_service.proof.grading import grading
from cds_service.proof.ratings import ratings
from cds_service.proof.safety import safety
from cds_service.proof.selection import selection
from cds_service.proof.staging import staging
from cds_service.proof.suggestions import suggestions
from tests.proof.altered import only_safety, only_studies, preferring, rating_row, rerated, reworded, without

STAGING = "pnet-initial-staging"
MRI, CT, CAP, PET = "mri-abd-pel-wwo", "ct-abd-pel-w", "ct-cap-w", "pet-ct-sstr"


def about(proof: Proof, *rules: str) -> list[CounterExample]:
    """The counter-examples that name these rules."""
    return [example for example in proof.counter_examples if set(rules) <= set(example.rules)]


# --- selection --------------------------------------------------------------------------------------------------------


def test_states_without_a_scenario_are_found(knowledge: Knowledge) -> None:
    """Without its last row the list leaves untreated patients without a scenario."""
    broken = replace(knowledge, selection=without(knowledge.selection, "SEL-10d"))
    proof = selection(broken)
    (first, *_) = about(proof, "SEL-10a")
    assert (first.expected, first.facts["primary_site"]) == ("one scenario", "pancreas")
    assert first.found.startswith("none (AssertionError")
    assert [f"a state that leads to {STAGING}"] == [e.expected for e in proof.counter_examples if STAGING in e.expected]


def test_a_dead_row_is_found(knowledge: Knowledge) -> None:
    """A row behind one that takes everything it could take is named."""
    by_id = {rule.row.id: rule for rule in knowledge.selection}
    order = [by_id.pop(row) for row in ("SEL-01", "SEL-02", "SEL-11", "SEL-10d")] + list(by_id.values())
    proof = selection(replace(knowledge, selection=tuple(order)))
    assert [example.found for example in about(proof, "SEL-10a")] == ["none: the row is dead"]


def test_a_default_that_does_not_hold_is_found(knowledge: Knowledge) -> None:
    """A row that wants recurrence recorded as none reads "not recorded" as something else than none (SEL-0)."""
    when = {"primary_site": "pancreas", "curative_resection": True, "recurrence": "none"}
    broken = replace(knowledge, selection=reworded(knowledge.selection, "SEL-07", when))
    (example, *_) = about(selection(broken), "SEL-07")
    assert example.facts["recurrence"] is None
    assert example.expected.endswith("because recurrence not recorded counts as none (SEL-0)")


# --- ratings ----------------------------------------------------------------------------------------------------------


def test_a_second_rating_is_found(knowledge: Knowledge) -> None:
    """Two rows that rate one study in one scenario on one day are named with both categories."""
    second = rating_row(knowledge, "R01-01", id="R01-01.again", rating=USUALLY_NOT_APPROPRIATE)
    (example, *_) = about(ratings(rerated(knowledge, *knowledge.rating_rows, second)), "R01-01", "R01-01.again")
    assert (example.order, example.facts["scenario"]) == (MRI, STAGING)
    assert (example.expected, example.found) == (
        "one rating row in force at most",
        "2: usually-appropriate, usually-not-appropriate",
    )


def test_editions_that_overlap_on_later_days_are_found(knowledge: Knowledge) -> None:
    """The days are those on which a row begins or ends, so an overlap that begins years later is seen."""
    later = rating_row(knowledge, "R01-05", id="R01-05.2030", rating="usually-appropriate", valid_from="2030-01-01")
    (example,) = about(ratings(rerated(knowledge, *knowledge.rating_rows, later)), "R01-05", "R01-05.2030")
    assert example.facts["day"] == "2030-01-01"
    rest = [row for row in knowledge.rating_rows if row.id != "R01-05"]
    closed = rating_row(knowledge, "R01-05", valid_until="2030-01-01")
    both = replace(
        rerated(knowledge, *rest, closed, later),
        rows={**knowledge.rows, closed.id: closed, later.id: later},
        newest_start="2030-01-01",
        first_end="2030-01-01",
    )
    assert ratings(both).counter_examples == ()


def test_a_rating_that_nothing_reaches_is_found(knowledge: Knowledge) -> None:
    """A row for a scenario that only ever speaks through its candidates is dead."""
    dead = rating_row(knowledge, "R05-01", id="R11-01", scenario="pnet-treated-followup-undetermined")
    (example,) = about(ratings(rerated(knowledge, *knowledge.rating_rows, dead)), "R11-01")
    assert example.found == "none: the row is dead"


# --- staging ----------------------------------------------------------------------------------------------------------


def staged(knowledge: Knowledge, key: tuple[str, str, str], row: str, **changes: Any) -> Knowledge:
    """Knowledge with one staging row taken out, or changed."""
    rules = knowledge.staging[key]
    if changes:
        rules = tuple(
            replace(rule, row=msgspec.structs.replace(rule.row, **changes)) if rule.row.id == row else rule
            for rule in rules
        )
    else:
        rules = without(rules, row)
    return replace(knowledge, staging={**knowledge.staging, key: rules})


def test_holes_in_staging_are_found(knowledge: Knowledge) -> None:
    """A stage group, a T and an M that lost their row are each named with the categories or facts concerned."""
    broken = staged(knowledge, ("pancreas", "enets", "stage"), "TNM-30.stage-IIB")
    broken = staged(broken, ("rectum", "ajcc9", "T"), "TNM-49.T1b")
    broken = staged(broken, ("colon", "ajcc7", "M"), "TNM-56.ajcc7.M0")
    proof = staging(broken)
    (group,) = about(proof, "TNM-30")
    assert group.facts == {"primary_site": "pancreas", "system": "enets", "T": "T3", "N": "N0", "M": "M0"}
    assert (group.expected, group.found) == ("a stage group", "undetermined")
    size = next(e for e in about(proof, "TNM-52") if e.facts["system"] == "ajcc9")
    assert (size.facts["primary_site"], size.found) == ("rectum", "TX")
    assert size.facts["size_mm"] in (15.0, 20.0)
    distant = next(e for e in about(proof, "TNM-25") if "a category of M" in e.expected)
    assert (distant.facts["primary_site"], distant.facts["metastases"]) == ("colon", ())


def test_claims_that_the_specification_does_not_make_are_found(knowledge: Knowledge) -> None:
    """A group for unknown nodes, a T1 from size alone, and a row that nothing reaches."""
    broken = staged(knowledge, ("pancreas", "ajcc8", "stage"), "TNM-32.ajcc8.stage-I", n=["N0", "NX"])
    key = ("stomach", "ajcc8", "T")
    rules = reworded(broken.staging[key], "TNM-40.ajcc8.T1", {"size_mm": {"at_most": 10}})
    key_m = ("pancreas", "enets", "M")
    dead = reworded(broken.staging[key_m], "TNM-23.enets.M1", {"metastases": {"empty": True}})
    proof = staging(replace(broken, staging={**broken.staging, key: rules, key_m: dead}))
    (group,) = about(proof, "TNM-32")
    assert (group.facts["T"], group.facts["N"]) == ("T1", "NX")
    assert (group.expected, group.found) == ("undetermined", "I")
    shallow = next(e for e in about(proof, "TNM-52") if e.facts["primary_site"] == "stomach")
    assert (shallow.facts["depth"], shallow.found) == (None, "T1")
    (unreached,) = about(proof, "TNM-23.enets.M1")
    assert unreached.found == "none: the row is dead"


# --- suggestions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("preferred", "rule", "expected", "found"),
    [
        (("eus", MRI), "R01-06", "eus usually-appropriate", USUALLY_NOT_APPROPRIATE),
        (("us-abd", MRI), "RAT-02", "us-abd usually-appropriate", "not-rated"),
        ((CAP, CT, MRI), "SUG-04", "ct-abd-pel-w before ct-cap-w", CAP),
        ((CT,), "SUG-01", f"a suggestion, for a source rates ['{CT}', '{CAP}', '{PET}']", "none"),
    ],
    ids=["not appropriate", "not rated", "order of preference", "missing"],
)
def test_a_wrong_suggestion_is_found(
    knowledge: Knowledge, preferred: tuple[str, ...], rule: str, expected: str, found: str
) -> None:
    """The state, the order and the rating or rule that speaks against the suggestion are named."""
    few = only_studies(knowledge, MRI, CT, CAP, PET, "eus", "us-abd")
    broken = preferring(few, STAGING, *preferred)
    if rule == "SUG-01":
        broken = replace(broken, preferences={})
    proof = suggestions(broken)
    example = next(e for e in about(proof, rule) if e.facts["scenario"] == STAGING and e.expected == expected)
    assert example.order in few.procedures
    assert example.found == found


def test_a_suggestion_that_is_blocked_is_found(knowledge: Knowledge) -> None:
    """A study that a critical rule speaks against only as an order, and not as a suggestion, is named with the rule."""
    few = only_studies(only_safety(knowledge, "SAF-01"), MRI, CT, CAP, PET, "eus")
    when = {"order_mr": True, "implant": "non-mr-conditional", "order_too_early": False}
    proof = suggestions(replace(few, safety=reworded(few.safety, "SAF-01", when)))
    (example, *_) = [e for e in about(proof, "SUG-02") if e.expected == f"{MRI} not blocked"]
    assert example.facts["implant"] == "non-mr-conditional"
    assert "SAF-01" in example.found


# --- safety -----------------------------------------------------------------------------------------------------------


def test_a_critical_finding_that_goes_away_is_found(knowledge: Knowledge) -> None:
    """``unless`` in a critical rule: it fires while dialysis is unknown and is gone when dialysis is known."""
    few = only_safety(knowledge, "SAF-09")
    when = {"order_iodinated": True, "iodinated_allergy": "severe", "dialysis": {"unless": True}}
    stays, _ = safety(replace(few, safety=reworded(few.safety, "SAF-09", when)))
    (example, *_) = about(stays, "SAF-09")
    assert (example.facts["dialysis"], example.facts["iodinated_allergy"]) == (True, "severe")
    assert (example.expected, example.found) == (
        "SAF-09 still fired, as with dialysis unknown",
        "no such finding",
    )
    assert knowledge.procedures[str(example.order)].attributes >= {"iodinated"}


def test_a_critical_finding_that_depends_on_the_scenario_is_found(knowledge: Knowledge) -> None:
    """A critical rule fires in every scenario or in none."""
    few = only_safety(knowledge, "SAF-11")
    when = {"order_ionising": True, "pregnant": True, "scenario": [STAGING, "out-of-scope"]}
    stays, _ = safety(replace(few, safety=reworded(few.safety, "SAF-11", when)))
    assert {example.rules for example in stays.counter_examples} == {("SAF-11",)}
    assert all(example.facts["pregnant"] for example in stays.counter_examples)


def test_silence_read_as_safe_is_found(knowledge: Knowledge) -> None:
    """A rule that asks whether the fact is known is cleared by silence, and nobody is asked."""
    few = only_safety(knowledge, "SAF-03")
    when = {"order_gadolinium": True, "gadolinium_allergy": {"known": True, "not": ["none", "mild"]}}
    _, speaks = safety(replace(few, safety=reworded(few.safety, "SAF-03", when)))
    (example, *_) = about(speaks, "SAF-03")
    assert example.facts["gadolinium_allergy"] is None
    assert example.found == "cleared"
    assert "gadolinium_allergy reported as missing" in example.expected


def test_a_device_without_information_needs_its_warning(knowledge: Knowledge) -> None:
    """Without SAF-02 a device of unknown MR safety clears SAF-01 in silence."""
    _, speaks = safety(only_safety(knowledge, "SAF-01"))
    (example, *_) = about(speaks, "SAF-01")
    assert example.facts["implant"] == "unknown"
    assert safety(only_safety(knowledge, "SAF-01", "SAF-02"))[1].counter_examples == ()


# --- grading ----------------------------------------------------------------------------------------------------------


def test_a_gap_between_classes_is_found(knowledge: Knowledge) -> None:
    """A Ki-67 in no class of WHO 2019 has no answer."""
    rows = tuple(
        msgspec.structs.replace(row, ki67_percent=Range(below=2))
        if isinstance(row, ClassRow) and row.id == "GRD-20"
        else row
        for row in knowledge.grading
    )
    proof = grading(replace(knowledge, grading=rows))
    (example, *_) = [e for e in proof.counter_examples if e.found.startswith("no answer (ValueError")]
    assert 2 <= float(example.facts["ki67_percent"]) < 3


def test_a_grade_that_falls_with_the_index_is_found(knowledge: Knowledge) -> None:
    """Bands in the wrong order give a lower grade for a higher index."""
    bands = [Band(grade="G2", below=2), Band(grade="G1", at_least=2, at_most=20), Band(grade="G3", above=20)]
    rows = tuple(
        msgspec.structs.replace(row, bands=bands) if isinstance(row, BandRow) and row.id == "GRD-10" else row
        for row in knowledge.grading
    )
    falls = about(grading(replace(knowledge, grading=rows)), "GRD-10")[0]
    assert falls.expected == "who2010: no lower grade than G2 with mitoses = 2"
    assert (falls.facts["ki67_percent"], falls.facts["mitoses"], falls.found) == (None, 1.0, "G1")


def test_a_grade_of_no_vocabulary_is_found(knowledge: Knowledge) -> None:
    """A class with a word that WHO 2019 does not have is named."""
    rows = tuple(
        msgspec.structs.replace(row, category="NET-3") if isinstance(row, ClassRow) and row.id == "GRD-22" else row
        for row in knowledge.grading
    )
    (word, *_) = about(grading(replace(knowledge, grading=rows)), "GRD-22")
    assert word.found == "NET-3"
    assert word.expected.startswith("who2019: one of NET-G1, ")


# --- how it is said ---------------------------------------------------------------------------------------------------


def test_a_counter_example_is_readable() -> None:
    """Facts as ``name = value``, the order, what was expected, what came out, and the rules; the same as JSON."""
    facts = {"implant": None, "aki": True, "metastases": ("liver", "bone"), "depth": (), "egfr": 30.0}
    example = CounterExample(facts, "SAF-01 fired", "cleared", ("SAF-01", "SAF-02"), MRI)
    assert example.lines() == (
        "implant = unknown",
        "aki = true",
        "metastases = [liver, bone]",
        "depth = []",
        "egfr = 30",
        f"order: {MRI}",
        "expected: SAF-01 fired",
        "found: cleared",
        "rules: SAF-01, SAF-02",
    )
    assert example.as_object() == {
        "facts": {"implant": None, "aki": True, "metastases": ["liver", "bone"], "depth": [], "egfr": 30.0},
        "order": MRI,
        "expected": "SAF-01 fired",
        "found": "cleared",
        "rules": ["SAF-01", "SAF-02"],
    }
