"""Advice, overlay and staging warnings word by word: for every value of every axis, what fires and what does not.

The sets and limits are those of the specification, written out; nothing here is read from the tables.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from cds_service.clinical.assess import with_fact
from cds_service.domain.facts import FACTS, Facts
from tests.clinical.patients import (
    GUT,
    IN_SCOPE,
    INSUFFICIENT,
    KNOWLEDGE,
    LIVER,
    LOCAL,
    LOCALISATION,
    NON_LIVER,
    OUTSIDE,
    PANCREAS,
    PANCREATIC,
    PATIENTS,
    RESECTED,
    STAGING,
    UNKNOWN_PRIMARY,
    UNTREATED,
    assessed,
)

MRI, CT, PET, SRS = "mri-abd-pel-wwo", "ct-abd-pel-w", "pet-ct-sstr", "srs-octreotide"
RATED = frozenset({STAGING, LOCAL, UNTREATED, RESECTED, LIVER, NON_LIVER})
FOLLOW_UP = frozenset({UNTREATED, RESECTED, LIVER, NON_LIVER})
GEP = frozenset({"pancreas", "stomach", "duodenum", "ampulla", "jejunum-ileum", "appendix", "colon", "rectum"})
SHALLOW = frozenset({"mucosa", "submucosa"})
DEEP = frozenset({"muscularis-propria", "subserosa", "serosa", "other-organ"})
NOT_LOCATED = frozenset({OUTSIDE, INSUFFICIENT})

NEW_SYMPTOMS: dict[str, Any] = {"new_symptoms": True}
SEARCH = PATIENTS[LOCALISATION]
WATCHED = PATIENTS[UNTREATED]
TREATED = PATIENTS[NON_LIVER]


def site(name: str, **facts: Any) -> Facts:
    """A tumour of another site."""
    return replace(PANCREAS, primary_site=name, **facts)


def fires(rule: str, facts: Facts, *studies: str) -> bool:
    """Whether the row is applied."""
    return rule in assessed(facts, *studies).rules


# --- scenarios --------------------------------------------------------------------------------------------------------


class InScenarios(NamedTuple):
    """A row, the scenarios in which it holds, and what else it needs."""

    rule: str
    scenarios: frozenset[str]
    facts: dict[str, Any]
    study: str = ""


SCENARIOS = [
    InScenarios("PRO-01", RATED, {}, MRI),
    InScenarios("PRO-02", RATED, {}, CT),
    InScenarios("PRO-03", FOLLOW_UP, {}, MRI),
    InScenarios("PIT-01", frozenset({STAGING}), {}, "ct-abd-wo"),
    InScenarios("PIT-02", frozenset({STAGING}), {}, "eus"),
    InScenarios("PIT-03", IN_SCOPE, {}, PET),
    InScenarios("PIT-03", IN_SCOPE, {"sstr_imaging_result": "negative"}, MRI),
    InScenarios("PIT-04", frozenset({STAGING}), {}),
    InScenarios("MOD-13", frozenset({STAGING}), {}),
    InScenarios("PIT-05", frozenset({STAGING, NON_LIVER}), {}, MRI),
    InScenarios("PIT-06", frozenset({NON_LIVER}), {"last_imaging_result": "indeterminate"}),
    InScenarios("PIT-07", frozenset({NON_LIVER}), {"bone_pain": True}),
    InScenarios("PIT-07", frozenset({NON_LIVER}), NEW_SYMPTOMS),
    InScenarios("PIT-08", frozenset({UNTREATED}), {"size_mm": 20.0}),
    InScenarios("PIT-08", frozenset({UNTREATED}), {"functional_syndrome": "insulinoma"}),
    InScenarios("PIT-08", frozenset({UNTREATED}), NEW_SYMPTOMS),
    InScenarios("PIT-09", frozenset({STAGING}), {}, MRI),
    InScenarios("NXT-01", frozenset({STAGING}), {"metastases": ("bone",)}),
    InScenarios("NXT-02", frozenset({STAGING}), {"metastases": ()}),
    InScenarios("NXT-03", frozenset({STAGING}), {"last_imaging_result": "indeterminate"}),
    InScenarios("NXT-04", frozenset({NON_LIVER}), {"last_imaging_result": "progression"}),
    InScenarios("NXT-05", frozenset({NON_LIVER}), {"last_imaging_result": "stable"}),
    InScenarios("NXT-06", frozenset({NON_LIVER}), {"last_imaging_result": "indeterminate"}),
    InScenarios("NXT-07", RATED, {"ki67_percent": 5.0, "mitoses": 1.0}),
    InScenarios("NXT-08", frozenset({LOCAL, UNTREATED, RESECTED, LIVER}), {}),
    InScenarios("MOD-01", PANCREATIC, {}, CT),
    InScenarios("MOD-02", PANCREATIC, {}, MRI),
    InScenarios("MOD-03", PANCREATIC, {"resection_planned": True}),
    InScenarios("MOD-04", frozenset({LOCALISATION}), {"functional_syndrome": "insulinoma"}),
    InScenarios("MOD-04", PANCREATIC, {"imaging_negative": ("ct",)}),
    InScenarios("MOD-05", IN_SCOPE, {}, SRS),
    InScenarios("MOD-06a", IN_SCOPE, {"functional_syndrome": "insulinoma"}, PET),
    InScenarios("MOD-06b", IN_SCOPE, {"functional_syndrome": "insulinoma", "imaging_negative": ("ct", "mri", "eus")}),
    InScenarios("MOD-07", PANCREATIC | {GUT}, {"ki67_percent": 10.1}),
    InScenarios("MOD-07", PANCREATIC | {GUT}, {"sstr_imaging_result": "negative", "huge_tumour_burden": True}),
    InScenarios("MOD-07", PANCREATIC | {GUT}, {"rapid_growth": True, "ki67_percent": 1.0}),
    InScenarios("MOD-08", IN_SCOPE, {"differentiation": "poor"}, PET),
    InScenarios("MOD-09", PANCREATIC, {}, "pet-ct-fdopa"),
    InScenarios("MOD-10", PANCREATIC | {GUT}, {"differentiation": "poor"}),
    InScenarios("MOD-11", IN_SCOPE, {"liver_involvement_percent": 25.1}),
    InScenarios("MOD-12", IN_SCOPE, {"liver_surgery_planned": True}),
    InScenarios("MOD-14", IN_SCOPE, {"metastases": ("peritoneum",)}),
    InScenarios("MOD-15", IN_SCOPE, {"bone_pain": True}),
    InScenarios("MOD-15", IN_SCOPE, {"alp_elevated": True}),
    InScenarios("MOD-16", IN_SCOPE, {}, "ceus"),
    InScenarios("MOD-17", IN_SCOPE, {"functional_syndrome": "insulinoma"}, CT),
    InScenarios("MOD-23", frozenset({UNKNOWN_PRIMARY}), {"metastases": ("liver",)}),
    InScenarios("MOD-26", FOLLOW_UP, {"age_years": 49.0}, CT),
    InScenarios("MOD-27", IN_SCOPE, {"hereditary_syndrome": "men1"}),
    InScenarios("MOD-28", frozenset({STAGING}), {"functional_syndrome": "none"}),
    InScenarios("MOD-29", PANCREATIC, {}, "ct-abd-w"),
    InScenarios("MOD-31", frozenset({STAGING, NON_LIVER}), {}, CT),
    InScenarios("HER-01", IN_SCOPE, {"hereditary_syndrome": "men1"}),
    InScenarios("HER-02", IN_SCOPE, {"hereditary_syndrome": "vhl"}),
    InScenarios("HER-03", IN_SCOPE, {"hereditary_syndrome": "nf1"}),
    InScenarios("AUC-01a", frozenset({STAGING}), {}),
    InScenarios("AUC-01b", frozenset({GUT}), {}),
    InScenarios("AUC-02", frozenset({UNKNOWN_PRIMARY}), {}),
    InScenarios("AUC-03", IN_SCOPE - {INSUFFICIENT}, {"nen_status": "highly-suspected", "biopsy_feasible": False}),
    InScenarios("AUC-04", IN_SCOPE - {INSUFFICIENT}, {"resection_planned": True}),
    InScenarios("AUC-05", frozenset({UNTREATED, LIVER, NON_LIVER, GUT}), {"disease_seen_mainly_on_sstr": True}),
    InScenarios("AUC-06", frozenset({LOCALISATION}), {"functional_syndrome": "vipoma"}),
    InScenarios("AUC-07", frozenset({LOCALISATION}), {"imaging_negative": ("ct",)}),
    InScenarios(
        "AUC-08",
        IN_SCOPE - {INSUFFICIENT},
        {"nen_status": "confirmed", "biochemical_rise": True, "last_imaging_result": "stable"},
    ),
    InScenarios(
        "AUC-08",
        IN_SCOPE - {INSUFFICIENT},
        {"nen_status": "confirmed", "new_symptoms": True, "last_imaging_result": "response"},
    ),
    InScenarios(
        "AUC-09", IN_SCOPE - {INSUFFICIENT}, {"nen_status": "confirmed", "last_imaging_result": "indeterminate"}
    ),
    InScenarios("SAF-19", FOLLOW_UP, {}, CT),
    InScenarios("TNM-W3", PANCREATIC | {GUT}, {"differentiation": "poor"}),
]


@pytest.mark.parametrize("row", SCENARIOS, ids=lambda row: f"{row.rule}-{'-'.join(row.facts) or row.study}")
def test_a_row_holds_in_its_scenarios_only(row: InScenarios) -> None:
    """With everything else met, the row fires in the scenarios it names and in no other."""
    for patient in PATIENTS.values():
        found = assessed(replace(patient, **row.facts), *filter(None, [row.study]))
        assert (row.rule in found.rules) is (found.scenario in row.scenarios), found.scenario


# --- studies ----------------------------------------------------------------------------------------------------------

ANY_CT = frozenset(key for key in KNOWLEDGE.procedures if key.startswith("ct-"))
ANY_MR = frozenset(key for key in KNOWLEDGE.procedures if key.startswith(("mri-", "mr-"))) | {"mrcp"}
ABDOMINAL_CT = ANY_CT - {"ct-chest-wo", "ct-head", "ct-enterography"}
ABDOMINAL_MR = frozenset({"mri-abd-pel-wwo", "mri-abd-wwo", "mri-abd-pel-wo", "mri-abd-wo"})
COVERS_CHEST = frozenset({"ct-chest-wo", "ct-cap-w", "pet-ct-sstr", "pet-ct-fdg"})
ENDOSCOPY_AND_ULTRASOUND = frozenset({"eus", "us-abd", "ceus", "gastroscopy"})
EVERY = frozenset(KNOWLEDGE.procedures)
STUDIES: list[tuple[str, frozenset[str], Facts]] = [
    ("PRO-01", ANY_MR, PANCREAS),
    ("PRO-02", ANY_CT, PANCREAS),
    ("PRO-03", EVERY - ENDOSCOPY_AND_ULTRASOUND, TREATED),
    ("PIT-01", frozenset({"ct-abd-wo", "ct-abd-pel-wo", "mri-abd-wo", "mri-abd-pel-wo"}), PANCREAS),
    ("PIT-02", frozenset({"eus"}), PANCREAS),
    ("PIT-03", frozenset({PET}), PANCREAS),
    ("PIT-04", EVERY - COVERS_CHEST, PANCREAS),
    ("MOD-13", EVERY - COVERS_CHEST, PANCREAS),
    ("PIT-05", ABDOMINAL_MR, PANCREAS),
    ("PIT-09", frozenset({"mri-abd-pel-wwo", "mri-abd-pel-wo"}), PANCREAS),
    ("MOD-01", ABDOMINAL_CT, PANCREAS),
    ("MOD-02", ABDOMINAL_MR, PANCREAS),
    ("MOD-05", frozenset({SRS}), PANCREAS),
    ("MOD-06a", frozenset({PET, SRS}), replace(PANCREAS, functional_syndrome="insulinoma")),
    ("MOD-08", frozenset({PET, SRS}), replace(PANCREAS, differentiation="poor")),
    ("MOD-09", frozenset({"pet-ct-fdopa"}), PANCREAS),
    ("MOD-16", frozenset({"ceus"}), PANCREAS),
    ("MOD-17", ANY_CT, replace(PANCREAS, functional_syndrome="insulinoma")),
    ("MOD-22d", frozenset({PET, SRS}), site("rectum", size_mm=8.0, depth="mucosa")),
    ("MOD-26", ABDOMINAL_CT, replace(TREATED, age_years=40.0)),
    ("MOD-29", frozenset({"mri-abd-wwo", "ct-abd-w", "mri-abd-wo", "ct-abd-wo"}), PANCREAS),
    ("MOD-31", ABDOMINAL_CT, PANCREAS),
    ("SAF-19", ANY_CT, TREATED),
]


@pytest.mark.parametrize(("rule", "studies", "facts"), STUDIES, ids=[row[0] for row in STUDIES])
def test_a_row_is_about_its_studies_only(rule: str, studies: frozenset[str], facts: Facts) -> None:
    """Of all studies exactly those the row speaks of bring it up."""
    assert {key for key in KNOWLEDGE.procedures if fires(rule, facts, key)} == studies


@pytest.mark.parametrize("covered", sorted(COVERS_CHEST))
def test_one_order_may_cover_the_chest_for_all(covered: str) -> None:
    """PIT-04 looks at all orders together."""
    assert fires("PIT-04", PANCREAS, MRI, "eus")
    assert not fires("PIT-04", PANCREAS, MRI, covered)


# --- words ------------------------------------------------------------------------------------------------------------


class OnWords(NamedTuple):
    """A row, a fact, the words with which it fires, what else it needs, and whether it fires on the unknown too."""

    rule: str
    fact: str
    words: frozenset[str]
    facts: Facts
    study: str = ""
    unknown: bool = False


def words(*names: str) -> frozenset[str]:
    """A set of words."""
    return frozenset(names)


SYNDROMES = frozenset(FACTS["functional_syndrome"].words)
WORDS = [
    # primary sites
    OnWords("MOD-01", "primary_site", words("pancreas"), PANCREAS, CT),
    OnWords("MOD-02", "primary_site", words("pancreas"), PANCREAS, MRI),
    OnWords("MOD-03", "primary_site", words("pancreas"), replace(PANCREAS, resection_planned=True)),
    OnWords("MOD-04", "primary_site", words("pancreas"), replace(PANCREAS, imaging_negative=("mri",))),
    OnWords("MOD-07", "primary_site", GEP, replace(PANCREAS, ki67_percent=11.0)),
    OnWords("MOD-07", "primary_site", GEP, replace(PANCREAS, differentiation="poor")),
    OnWords(
        "MOD-09",
        "primary_site",
        words("pancreas", "stomach", "duodenum", "ampulla", "rectum"),
        PANCREAS,
        "pet-ct-fdopa",
    ),
    OnWords("MOD-10", "primary_site", GEP, replace(PANCREAS, differentiation="poor")),
    OnWords(
        "MOD-18a",
        "primary_site",
        words("stomach"),
        replace(PANCREAS, gastric_type=1.0, size_mm=8.0, depth="mucosa"),
    ),
    OnWords("MOD-18b", "primary_site", words("stomach", "duodenum"), replace(PANCREAS, size_mm=11.0)),
    OnWords("MOD-18c", "primary_site", words("stomach", "duodenum"), replace(PANCREAS, gastric_type=3.0)),
    OnWords("MOD-18c", "primary_site", words("stomach", "duodenum"), replace(PANCREAS, depth="serosa")),
    OnWords("MOD-19", "primary_site", words("jejunum-ileum"), PANCREAS),
    OnWords("MOD-20", "primary_site", words("appendix"), PANCREAS),
    OnWords("MOD-21", "primary_site", words("colon"), PANCREAS),
    OnWords("MOD-22a", "primary_site", words("rectum"), PANCREAS),
    OnWords("MOD-22b", "primary_site", words("rectum"), replace(PANCREAS, size_mm=11.0)),
    OnWords("MOD-22c", "primary_site", words("rectum"), replace(PANCREAS, size_mm=21.0)),
    OnWords("MOD-22c", "primary_site", words("rectum"), replace(PANCREAS, depth="serosa")),
    OnWords("MOD-22d", "primary_site", words("rectum"), replace(PANCREAS, size_mm=8.0, depth="mucosa"), PET),
    OnWords("MOD-23", "primary_site", words("liver"), replace(PANCREAS, metastases=("bone",))),
    OnWords("MOD-23", "primary_site", words("liver", "unknown-primary"), replace(PANCREAS, metastases=("liver",))),
    OnWords("MOD-29", "primary_site", words("pancreas"), PANCREAS, "ct-abd-wo"),
    OnWords("HER-04", "primary_site", words("duodenum"), PANCREAS),
    OnWords("TNM-W1", "primary_site", words("pancreas"), replace(PANCREAS, size_mm=20.0)),
    OnWords("TNM-W2", "primary_site", words("pancreas"), replace(PANCREAS, extension=("smv",))),
    OnWords("TNM-W3", "primary_site", GEP, replace(PANCREAS, differentiation="mixed")),
    OnWords("TNM-W7", "primary_site", words("pancreas"), replace(PANCREAS, extension=("kidney",))),
    OnWords("TNM-W7", "primary_site", words("appendix"), replace(PANCREAS, extension=("mesoappendix",))),
    OnWords("TNM-W7", "primary_site", words("duodenum", "ampulla"), replace(PANCREAS, depth="subserosa")),
    # depth
    OnWords("MOD-18a", "depth", SHALLOW, site("stomach", gastric_type=2.0, size_mm=8.0)),
    OnWords("MOD-18c", "depth", DEEP, site("stomach")),
    OnWords("MOD-22c", "depth", DEEP, site("rectum")),
    OnWords("MOD-22d", "depth", SHALLOW, site("rectum", size_mm=8.0), SRS),
    OnWords("TNM-W7", "depth", words("subserosa"), site("duodenum")),
    OnWords("TNM-W7", "depth", words("subserosa"), site("ampulla")),
    # syndromes
    OnWords("MOD-04", "functional_syndrome", words("insulinoma", "gastrinoma"), SEARCH),
    OnWords("MOD-06a", "functional_syndrome", words("insulinoma"), PANCREAS, SRS),
    OnWords(
        "MOD-06b", "functional_syndrome", words("insulinoma"), replace(PANCREAS, imaging_negative=("ct", "mri", "eus"))
    ),
    OnWords("MOD-17", "functional_syndrome", words("insulinoma"), PANCREAS, CT),
    OnWords("MOD-28", "functional_syndrome", SYNDROMES - {"insulinoma"}, PANCREAS),
    OnWords("PIT-08", "functional_syndrome", SYNDROMES - {"none"}, WATCHED),
    OnWords("AUC-06", "functional_syndrome", SYNDROMES - {"none"}, SEARCH),
    OnWords("AUC-07", "functional_syndrome", words("none"), replace(SEARCH, imaging_negative=("ct",)), unknown=True),
    OnWords("HER-01", "hereditary_syndrome", words("men1"), PANCREAS),
    OnWords("MOD-27", "hereditary_syndrome", words("men1"), PANCREAS),
    OnWords("HER-02", "hereditary_syndrome", words("vhl"), PANCREAS),
    OnWords("HER-03", "hereditary_syndrome", words("nf1", "tsc"), PANCREAS),
    # differentiation
    OnWords("MOD-07", "differentiation", words("poor"), PANCREAS),
    OnWords("MOD-08", "differentiation", words("poor", "mixed"), PANCREAS, PET),
    OnWords("MOD-10", "differentiation", words("poor"), PANCREAS),
    OnWords("MOD-15", "differentiation", words("well", "mixed"), replace(PANCREAS, bone_pain=True)),
    OnWords("MOD-15", "differentiation", words("well", "mixed"), replace(PANCREAS, alp_elevated=True)),
    OnWords("MOD-28", "differentiation", words("well"), replace(PANCREAS, functional_syndrome="none")),
    OnWords("TNM-W3", "differentiation", words("poor", "mixed"), PANCREAS),
    OnWords("AUC-01a", "differentiation", words("well"), PANCREAS),
    OnWords("AUC-01b", "differentiation", words("well"), site("colon")),
    OnWords("AUC-02", "differentiation", words("well"), site("unknown-primary")),
    OnWords(
        "AUC-03",
        "differentiation",
        words("well"),
        replace(PANCREAS, nen_status="highly-suspected", biopsy_feasible=False),
        unknown=True,
    ),
    OnWords("AUC-04", "differentiation", words("well"), replace(PANCREAS, resection_planned=True)),
    OnWords("AUC-05", "differentiation", words("well"), replace(TREATED, disease_seen_mainly_on_sstr=True)),
    OnWords("AUC-06", "differentiation", words("well"), replace(SEARCH, functional_syndrome="vipoma"), unknown=True),
    OnWords("AUC-07", "differentiation", words("well"), replace(SEARCH, imaging_negative=("ct",)), unknown=True),
    OnWords(
        "AUC-08",
        "differentiation",
        words("well"),
        replace(TREATED, biochemical_rise=True, last_imaging_result="stable"),
    ),
    OnWords("AUC-09", "differentiation", words("well"), replace(TREATED, last_imaging_result="indeterminate")),
    # diagnosis
    OnWords("AUC-01a", "nen_status", words("confirmed"), PANCREAS),
    OnWords("AUC-01b", "nen_status", words("confirmed"), site("colon")),
    OnWords("AUC-02", "nen_status", words("confirmed"), site("unknown-primary")),
    OnWords("AUC-03", "nen_status", words("highly-suspected"), replace(PANCREAS, biopsy_feasible=False)),
    OnWords(
        "AUC-08", "nen_status", words("confirmed"), replace(TREATED, new_symptoms=True, last_imaging_result="stable")
    ),
    OnWords("AUC-09", "nen_status", words("confirmed"), replace(TREATED, last_imaging_result="indeterminate")),
    # course
    OnWords("PIT-06", "last_imaging_result", words("indeterminate"), TREATED),
    OnWords("NXT-03", "last_imaging_result", words("indeterminate"), PANCREAS),
    OnWords("NXT-04", "last_imaging_result", words("progression"), TREATED),
    OnWords("NXT-05", "last_imaging_result", words("stable", "response"), TREATED),
    OnWords("NXT-06", "last_imaging_result", words("indeterminate"), TREATED),
    OnWords("AUC-08", "last_imaging_result", words("stable", "response"), replace(TREATED, biochemical_rise=True)),
    OnWords("AUC-08", "last_imaging_result", words("stable", "response"), replace(TREATED, new_symptoms=True)),
    OnWords("AUC-09", "last_imaging_result", words("indeterminate"), TREATED),
    OnWords("PIT-03", "sstr_imaging_result", words("negative"), PANCREAS, MRI),
    OnWords("MOD-07", "sstr_imaging_result", words("negative"), replace(PANCREAS, huge_tumour_burden=True)),
]


@pytest.mark.parametrize("row", WORDS, ids=[f"{row.rule}-{row.fact}-{n}" for n, row in enumerate(WORDS)])
def test_a_row_fires_on_its_words_only(row: OnWords) -> None:
    """Of all words of the fact exactly those named make the row fire; the unknown does not, and is asked for."""
    studies = tuple(filter(None, [row.study]))
    firing = {word for word in FACTS[row.fact].words if fires(row.rule, with_fact(row.facts, row.fact, word), *studies)}
    assert firing == row.words
    unknown = assessed(with_fact(row.facts, row.fact, None), *studies)
    assert (row.rule in unknown.rules) is row.unknown
    assert row.unknown or row.fact in unknown.missing


# --- lists ------------------------------------------------------------------------------------------------------------

LISTS: list[tuple[str, str, Facts, list[tuple[str, ...]], list[tuple[str, ...]]]] = [
    (
        "MOD-04",
        "imaging_negative",
        PANCREAS,
        [("ct",), ("mri",), ("ct", "mri"), ("ct", "pet-ct")],
        [(), ("eus",), ("ct", "eus"), ("ct", "mri", "eus"), ("pet-ct",)],
    ),
    (
        "MOD-06b",
        "imaging_negative",
        replace(PANCREAS, functional_syndrome="insulinoma"),
        [("ct", "mri", "eus"), ("eus", "us", "mri", "ct")],
        [(), ("ct", "mri"), ("ct", "eus"), ("mri", "eus"), ("us",)],
    ),
    ("AUC-07", "imaging_negative", SEARCH, [("ct",), ("eus",), ("ct", "mri")], [()]),
    ("MOD-14", "metastases", PANCREAS, [("peritoneum",), ("liver", "peritoneum")], [(), ("liver",), ("bone",)]),
    ("MOD-23", "metastases", site("unknown-primary"), [("liver",), ("bone", "liver")], [(), ("bone",)]),
    ("NXT-01", "metastases", PANCREAS, [("liver",), ("bone",), ("site-not-stated",)], [()]),
    ("NXT-02", "metastases", PANCREAS, [()], [("liver",), ("bone",)]),
    (
        "TNM-W2",
        "extension",
        PANCREAS,
        [
            (word,)
            for word in (
                "ampulla",
                "portal-vein",
                "smv",
                "splenic-vessels",
                "common-hepatic-artery",
                "kidney",
                "other-organ",
            )
        ],
        [
            (),
            ("duodenum",),
            ("bile-duct",),
            ("stomach",),
            ("spleen",),
            ("colon",),
            ("adrenal",),
            ("celiac-axis", "sma"),
        ],
    ),
    (
        "TNM-W7",
        "extension",
        PANCREAS,
        [("kidney",), ("other-organ",)],
        [(), ("stomach",), ("ampulla",), ("portal-vein",), ("mesoappendix",)],
    ),
    ("TNM-W7", "extension", site("appendix"), [("mesoappendix",)], [(), ("caecum",), ("ileum",), ("kidney",)]),
]


@pytest.mark.parametrize(
    ("rule", "fact", "facts", "firing", "silent"), LISTS, ids=[f"{row[0]}-{row[1]}-{n}" for n, row in enumerate(LISTS)]
)
def test_a_row_fires_on_its_lists_only(
    rule: str, fact: str, facts: Facts, firing: list[tuple[str, ...]], silent: list[tuple[str, ...]]
) -> None:
    """The lists that make the row fire, those that do not, and the unknown list, which is asked for."""
    assert [value for value in firing if not fires(rule, with_fact(facts, fact, value))] == []
    assert [value for value in silent if fires(rule, with_fact(facts, fact, value))] == []
    unknown = assessed(with_fact(facts, fact, None))
    assert rule not in unknown.rules
    assert fact in unknown.missing


# --- numbers and flags ------------------------------------------------------------------------------------------------

NUMBERS: list[tuple[str, str, Facts, str, list[float], list[float]]] = [
    ("MOD-07", "ki67_percent", PANCREAS, "", [10.01, 11, 100], [0, 9.99, 10, 100.01, 1000]),
    ("MOD-11", "liver_involvement_percent", PANCREAS, "", [25.01, 100], [0, 25]),
    ("MOD-18a", "size_mm", site("stomach", gastric_type=1.0, depth="mucosa"), "", [1, 10], [10.01, 30]),
    ("MOD-18a", "gastric_type", site("stomach", size_mm=8.0, depth="mucosa"), "", [1, 2], [3]),
    ("MOD-18b", "size_mm", site("stomach"), "", [10.01, 30], [1, 10]),
    ("MOD-18c", "gastric_type", site("stomach"), "", [3], [1, 2]),
    ("MOD-22b", "size_mm", site("rectum"), "", [10.01, 30], [1, 10]),
    ("MOD-22c", "size_mm", site("rectum"), "", [20.01, 30], [1, 20]),
    ("MOD-22d", "size_mm", site("rectum", depth="mucosa"), PET, [1, 19.99], [20, 30]),
    ("MOD-26", "age_years", TREATED, CT, [18, 49], [50, 80]),
    ("PIT-08", "size_mm", WATCHED, "", [20, 50], [5, 19.99]),
    ("TNM-W1", "size_mm", PANCREAS, "", [20], [19.99, 20.01]),
]


@pytest.mark.parametrize(
    ("rule", "fact", "facts", "study", "firing", "silent"),
    NUMBERS,
    ids=[f"{row[0]}-{row[1]}" for row in NUMBERS],
)
def test_a_row_fires_within_its_limits_only(
    rule: str, fact: str, facts: Facts, study: str, firing: list[float], silent: list[float]
) -> None:
    """On either side of each limit, at the limit itself, and on the unknown, which is asked for."""
    studies = tuple(filter(None, [study]))
    for value, expected in [*((value, True) for value in firing), *((value, False) for value in silent)]:
        assert fires(rule, with_fact(facts, fact, float(value)), *studies) is expected, value
    unknown = assessed(with_fact(facts, fact, None), *studies)
    assert rule not in unknown.rules
    assert fact in unknown.missing


FLAGS: list[tuple[str, str, bool, Facts]] = [
    ("MOD-03", "resection_planned", True, PANCREAS),
    ("MOD-07", "huge_tumour_burden", True, replace(PANCREAS, sstr_imaging_result="negative")),
    ("MOD-07", "rapid_growth", True, replace(PANCREAS, ki67_percent=1.0)),
    ("MOD-12", "liver_surgery_planned", True, PANCREAS),
    ("MOD-15", "bone_pain", True, PANCREAS),
    ("MOD-15", "alp_elevated", True, PANCREAS),
    ("PIT-07", "bone_pain", True, TREATED),
    ("PIT-07", "new_symptoms", True, TREATED),
    ("PIT-08", "new_symptoms", True, WATCHED),
    ("AUC-03", "biopsy_feasible", False, replace(PANCREAS, nen_status="highly-suspected")),
    ("AUC-04", "resection_planned", True, PANCREAS),
    ("AUC-05", "disease_seen_mainly_on_sstr", True, TREATED),
    ("AUC-08", "biochemical_rise", True, replace(TREATED, last_imaging_result="stable")),
    ("AUC-08", "new_symptoms", True, replace(TREATED, last_imaging_result="stable")),
]


@pytest.mark.parametrize(("rule", "fact", "value", "facts"), FLAGS, ids=[f"{row[0]}-{row[1]}" for row in FLAGS])
def test_a_row_fires_on_its_flag_only(rule: str, fact: str, value: bool, facts: Facts) -> None:
    """The one truth value fires, the other does not, and the unknown is neither and is asked for."""
    found = {flag: fires(rule, with_fact(facts, fact, flag)) for flag in (True, False)}
    assert found == {value: True, not value: False}
    unknown = assessed(with_fact(facts, fact, None))
    assert rule not in unknown.rules
    assert fact in unknown.missing


@pytest.mark.parametrize(("done", "expected"), [(True, False), (False, True), (None, True)])
def test_chest_imaging_not_on_record_counts_as_not_done(done: bool | None, expected: bool) -> None:
    """PIT-04 prompts unless the chest is known to have been imaged."""
    assert fires("PIT-04", replace(PANCREAS, chest_imaging_done=done), MRI) is expected


@pytest.mark.parametrize(
    ("indices", "grade", "atypical", "fdg"),
    [
        ({"ki67_percent": 1.0, "mitoses": 1.0}, "NET-G1", False, True),
        ({"ki67_percent": 5.0, "mitoses": 5.0}, "NET-G2", False, True),
        ({"ki67_percent": 5.0, "mitoses": 25.0}, "NET-G3", True, False),
        ({"ki67_percent": 5.0, "mitoses": 5.0, "differentiation": "poor"}, "NEC", True, True),
        ({"ki67_percent": 5.0, "mitoses": 5.0, "differentiation": "mixed"}, "MiNEN", True, False),
        ({"ki67_percent": 5.0, "mitoses": 25.0, "differentiation": None}, "high-grade-undetermined", True, False),
        ({}, None, False, False),
    ],
)
def test_rules_that_go_by_the_grade(indices: dict[str, Any], grade: str | None, atypical: bool, fdg: bool) -> None:
    """PIT-08 on high grades, MOD-07 on rapid growth of G1 and G2 (and on poor differentiation by itself)."""
    found = assessed(replace(WATCHED, rapid_growth=True, **indices))
    assert found.grade.who2019 == grade
    assert ("PIT-08" in found.rules) is atypical
    assert ("MOD-07" in found.rules) is fdg


@pytest.mark.parametrize(
    ("facts", "discordant"),
    [
        ({"ki67_percent": 5.0, "mitoses": 1.0}, True),
        ({"ki67_percent": 5.0, "mitoses": 5.0, "differentiation": "poor"}, True),
        ({"ki67_percent": 5.0, "mitoses": 5.0, "stated_grade": "G1"}, True),
        ({"ki67_percent": 5.0, "mitoses": 5.0, "stated_grade": "G2"}, False),
        ({"ki67_percent": 2.5, "mitoses": 1.0}, False),
        ({"ki67_percent": 30.0, "mitoses": 25.0}, False),
        ({"ki67_percent": 5.0}, False),
        ({"mitoses": 5.0}, False),
        ({"ki67_percent": 5.0, "mitoses": 5.0, "ki67_specimen": "metastasis"}, False),
        ({}, False),
    ],
)
def test_discordant_grading_goes_to_the_board(facts: dict[str, Any], discordant: bool) -> None:
    """NXT-07 on indices that disagree, on a low index of a carcinoma, and on a stated grade that differs."""
    assert fires("NXT-07", replace(PANCREAS, **facts)) is discordant


# --- choice of the scenario -------------------------------------------------------------------------------------------

SITES = {
    "pancreas": STAGING,
    "liver": UNKNOWN_PRIMARY,
    "unknown-primary": UNKNOWN_PRIMARY,
    "lung": OUTSIDE,
    "thymus": OUTSIDE,
    "adrenal": OUTSIDE,
    "other": OUTSIDE,
    **dict.fromkeys(GEP - {"pancreas"}, GUT),
}


@pytest.mark.parametrize("name", FACTS["primary_site"].words)
@pytest.mark.parametrize("base", ["untreated", "treated", "resected", "watched"])
def test_the_site_chooses_first(name: str, base: str) -> None:
    """SEL-03 to SEL-05: outside the pancreas the course of the disease does not matter."""
    courses: dict[str, Facts] = {
        "untreated": PANCREAS,
        "treated": replace(TREATED, residual_disease=True, treated_since_recurrence=True),
        "resected": PATIENTS[RESECTED],
        "watched": replace(WATCHED, order_intent="follow-up", baseline_staging_done=True),
    }
    found = assessed(replace(courses[base], primary_site=name)).scenario
    if name == "pancreas":
        assert found == {"untreated": STAGING, "treated": NON_LIVER, "resected": RESECTED, "watched": UNTREATED}[base]
    else:
        assert found == SITES[name]


@pytest.mark.parametrize(
    ("status", "scenario"),
    [
        ("confirmed", STAGING),
        ("highly-suspected", STAGING),
        ("biochemical-suspicion", LOCALISATION),
        ("none", OUTSIDE),
        ("other-tumour", OUTSIDE),
        (None, INSUFFICIENT),
    ],
)
def test_the_diagnosis_chooses(status: str | None, scenario: str) -> None:
    """SEL-02, SEL-06, SEL-11."""
    assert assessed(replace(PANCREAS, nen_status=status)).scenario == scenario


TREATMENTS = FACTS["prior_treatments"].words


@pytest.mark.parametrize("name", TREATMENTS)
@pytest.mark.parametrize("when", ["prior_treatments", "current_treatments"])
def test_every_treatment_but_one_counts(when: str, name: str) -> None:
    """SEL-T: an analogue against hormone symptoms is the only treatment that leaves the tumour untreated."""
    found = assessed(with_fact(replace(PANCREAS, disease_dominance="non-liver"), when, (name,))).scenario
    assert found == (STAGING if name == "ssa-symptom-control" else NON_LIVER)
    both = (name, "ssa-symptom-control")
    mixed = assessed(with_fact(replace(PANCREAS, disease_dominance="liver"), when, both)).scenario
    assert mixed == (STAGING if name == "ssa-symptom-control" else LIVER)


@pytest.mark.parametrize(
    ("facts", "dominance"),
    [
        ({"disease_dominance": "liver"}, "liver"),
        ({"disease_dominance": "non-liver", "liver_tumour_share_percent": 99.0}, "non-liver"),
        ({"liver_tumour_share_percent": 50.01}, "liver"),
        ({"liver_tumour_share_percent": 50.0}, None),
        ({"liver_tumour_share_percent": 49.99}, "non-liver"),
        ({"liver_tumour_share_percent": 60.0, "metastases": ("bone",)}, "liver"),
        ({"metastases": ()}, "non-liver"),
        ({"metastases": ("bone", "lung")}, "non-liver"),
        ({"metastases": ("liver",)}, None),
        ({"metastases": ("liver",), "curative_resection": True, "residual_disease": True}, "liver"),
        ({"metastases": ("liver", "bone"), "curative_resection": True, "residual_disease": True}, None),
        ({"metastases": ("liver",), "curative_resection": False}, None),
        ({"metastases": ("site-not-stated",)}, None),
        ({}, None),
    ],
)
def test_where_most_of_the_tumour_is(facts: dict[str, Any], dominance: str | None) -> None:
    """SEL-D: as recorded, else by share, else by known sites, else by the liver alone after resection, else open."""
    found = assessed(replace(PANCREAS, prior_treatments=("prrt",), **facts))
    expected = {"liver": LIVER, "non-liver": NON_LIVER, None: "pnet-treated-followup-undetermined"}[dominance]
    assert found.scenario == expected
    assert ("disease_dominance" in found.missing) is (dominance is None)


@pytest.mark.parametrize(
    ("facts", "scenario"),
    [
        ({}, STAGING),
        ({"order_intent": "local-staging"}, LOCAL),
        ({"order_intent": "local-staging", "management_strategy": "active-surveillance"}, LOCAL),
        ({"management_strategy": "active-surveillance"}, UNTREATED),
        ({"management_strategy": "active-surveillance", "baseline_staging_done": True}, UNTREATED),
        ({"management_strategy": "active-surveillance", "baseline_staging_done": False}, STAGING),
        ({"management_strategy": "surgery-planned", "baseline_staging_done": True}, STAGING),
        ({"management_strategy": "undecided"}, STAGING),
        ({"order_intent": "follow-up"}, STAGING),
        ({"order_intent": "follow-up", "baseline_staging_done": True}, UNTREATED),
        ({"order_intent": "follow-up", "baseline_staging_done": False}, STAGING),
        ({"order_intent": "distant-staging", "baseline_staging_done": True}, STAGING),
        ({"order_intent": "localisation"}, STAGING),
        ({"order_intent": "unspecified"}, STAGING),
    ],
)
def test_the_untreated_tumour(facts: dict[str, Any], scenario: str) -> None:
    """SEL-10: the purpose of the order, the strategy and baseline staging choose among three scenarios."""
    assert assessed(replace(PANCREAS, **facts), MRI).scenario == scenario


@pytest.mark.parametrize(
    ("facts", "scenario"),
    [
        ({}, RESECTED),
        ({"recurrence": "none", "residual_disease": False, "new_symptoms": False}, RESECTED),
        ({"recurrence": "suspected"}, "pnet-suspected-recurrence"),
        ({"recurrence": "known"}, "pnet-suspected-recurrence"),
        ({"new_symptoms": True}, "pnet-suspected-recurrence"),
        ({"biochemical_rise": True}, "pnet-suspected-recurrence"),
        ({"recurrence": "known", "treated_since_recurrence": True, "disease_dominance": "liver"}, LIVER),
        ({"recurrence": "known", "treated_since_recurrence": False}, "pnet-suspected-recurrence"),
        ({"residual_disease": True, "disease_dominance": "non-liver"}, NON_LIVER),
        ({"prior_treatments": ("chemotherapy",)}, RESECTED),
        ({"new_symptoms": True, "prior_treatments": ("chemotherapy",)}, "pnet-suspected-recurrence"),
        ({"rapid_growth": True}, RESECTED),
    ],
)
def test_the_resected_tumour(facts: dict[str, Any], scenario: str) -> None:
    """SEL-07 to SEL-09 after complete resection."""
    assert assessed(replace(PANCREAS, curative_resection=True, **facts)).scenario == scenario
