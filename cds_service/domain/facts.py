"""The clinical facts every rule speaks about.

One frozen record with one field per fact. The field's metadata is the vocabulary: the words, unit or shape that the
fact may take. The rule tables, the command line and the project-local FHIR codes are all checked against it, so there
is one spelling of every fact.

``None`` always means *unknown*. It is never read as "no": a rule that needs the fact then cannot fire, and the fact is
reported as missing. An empty list is knowledge ("staged, and none found"); ``None`` is not.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, cast

Word = str
"""A word of a closed vocabulary, in its one spelling."""


class Kind(StrEnum):
    """What a fact's value looks like."""

    WORD = "word"
    NUMBER = "number"
    FLAG = "flag"
    WORDS = "words"
    GROWTH = "growth"


@dataclass(frozen=True, slots=True)
class FactSpec:
    """The vocabulary of one fact.

    Attributes:
        name: field name in :class:`Facts`.
        kind: shape of the value.
        words: accepted words; empty for an open list (body sites of metastases) and for other kinds.
        unit: UCUM unit of a number.
        series: the value is a measurement that is repeated over time, so an older, different value is history and
            not a contradiction.
    """

    name: str
    kind: Kind
    words: tuple[str, ...] = ()
    unit: str = ""
    series: bool = False

    @property
    def code(self) -> str:
        """The fact's code in the project-local CodeSystem: its name with hyphens."""
        return self.name.replace("_", "-")


@dataclass(frozen=True, slots=True)
class TumourGrowth:
    """Two measurements of the sum of target diameters.

    Attributes:
        d1_mm: earlier sum of diameters, mm.
        d2_mm: later sum of diameters, mm.
        months: time between them, months of 30.4375 days.
    """

    d1_mm: float
    d2_mm: float
    months: float


def _word(*words: str) -> Any:
    return field(default=None, metadata={"kind": Kind.WORD, "words": words})


def _number(unit: str, *, series: bool = False) -> Any:
    return field(default=None, metadata={"kind": Kind.NUMBER, "unit": unit, "series": series})


def _flag() -> Any:
    return field(default=None, metadata={"kind": Kind.FLAG})


def _words(*words: str) -> Any:
    return field(default=None, metadata={"kind": Kind.WORDS, "words": words})


_TREATMENTS = (
    "ssa-antiproliferative",
    "ssa-symptom-control",
    "chemotherapy",
    "targeted",
    "interferon",
    "prrt",
    "tace",
    "tae",
    "tare",
    "ablation",
    "debulking-surgery",
    "radiotherapy",
)


@dataclass(frozen=True, kw_only=True)  # no slots: without them a copy is quick, and what-if makes dozens per call
class Facts:
    """What is known about one patient, at one moment, for one question. ``None`` is unknown."""

    # patient
    age_years: float | None = _number("a", series=True)
    sex: Word | None = _word("male", "female", "other")
    pregnant: bool | None = _flag()

    # diagnosis
    nen_status: Word | None = _word("confirmed", "highly-suspected", "biochemical-suspicion", "none", "other-tumour")
    primary_site: Word | None = _word(
        "pancreas",
        "stomach",
        "duodenum",
        "ampulla",
        "jejunum-ileum",
        "appendix",
        "colon",
        "rectum",
        "liver",
        "unknown-primary",
        "lung",
        "thymus",
        "adrenal",
        "other",
    )
    pancreas_subsite: Word | None = _word("head", "body", "tail", "other")
    differentiation: Word | None = _word("well", "poor", "mixed")
    nec_cell_type: Word | None = _word("small", "large")
    diagnosis_year: float | None = _number("a")
    gastric_type: float | None = _number("1")
    biopsy_feasible: bool | None = _flag()

    # proliferation
    ki67_percent: float | None = _number("%")
    ki67_specimen: Word | None = _word("primary", "metastasis")
    mitoses: float | None = _number("1")
    mitoses_unit: Word | None = _word("per-10-hpf", "per-2-mm2", "per-mm2", "per-50-hpf", "per-10-mm2")
    stated_grade: Word | None = _word("G1", "G2", "G3", "NEC")

    # function and heredity
    functional_syndrome: Word | None = _word(
        "none",
        "insulinoma",
        "gastrinoma",
        "glucagonoma",
        "vipoma",
        "somatostatinoma",
        "acthoma",
        "carcinoid",
    )
    hereditary_syndrome: Word | None = _word("none", "men1", "vhl", "nf1", "tsc")

    # extent
    size_mm: float | None = _number("mm", series=True)
    extension: tuple[Word, ...] | None = _words(
        "peripancreatic-fat",
        "duodenum",
        "bile-duct",
        "ampulla",
        "stomach",
        "spleen",
        "colon",
        "adrenal",
        "kidney",
        "other-organ",
        "celiac-axis",
        "sma",
        "common-hepatic-artery",
        "portal-vein",
        "smv",
        "splenic-vessels",
        "pancreas",
        "retroperitoneum",
        "beyond-sphincter",
        "mesoappendix",
        "caecum",
        "ileum",
        "pericolic-fat",
        "perirectal-fat",
        "peritoneum",
    )
    depth: Word | None = _word("mucosa", "submucosa", "muscularis-propria", "subserosa", "serosa", "other-organ")
    nodes: Word | None = _word("negative", "positive")
    nodes_positive_count: float | None = _number("1")
    mesenteric_mass_mm: float | None = _number("mm", series=True)
    mesenteric_vessel_encasement: bool | None = _flag()
    metastases: tuple[Word, ...] | None = _words()
    recorded_t: Word | None = _word("TX", "T0", "T1", "T1a", "T1b", "T1c", "T2", "T3", "T4")
    recorded_stage: Word | None = _word("0", "I", "IA", "IB", "II", "IIA", "IIB", "III", "IIIA", "IIIB", "IIIC", "IV")
    recorded_edition: Word | None = _word("enets", "ajcc7", "ajcc8", "ajcc9")

    # course
    baseline_staging_done: bool | None = _flag()
    management_strategy: Word | None = _word("active-surveillance", "surgery-planned", "undecided")
    order_intent: Word | None = _word("distant-staging", "local-staging", "follow-up", "localisation", "unspecified")
    curative_resection: bool | None = _flag()
    residual_disease: bool | None = _flag()
    months_since_resection: float | None = _number("mo", series=True)
    recurrence: Word | None = _word("none", "suspected", "known")
    treated_since_recurrence: bool | None = _flag()
    prior_treatments: tuple[Word, ...] | None = _words(*_TREATMENTS)
    current_treatments: tuple[Word, ...] | None = _words(*_TREATMENTS)
    new_symptoms: bool | None = _flag()
    biochemical_rise: bool | None = _flag()
    rapid_growth: bool | None = _flag()
    last_imaging_result: Word | None = _word("none", "stable", "response", "progression", "indeterminate")
    months_since_last_imaging: float | None = _number("mo", series=True)
    months_since_last_sstr_imaging: float | None = _number("mo", series=True)
    months_resection_to_last_imaging: float | None = _number("mo", series=True)
    days_since_same_procedure: float | None = _number("d", series=True)
    chest_imaging_done: bool | None = _flag()
    disease_seen_mainly_on_sstr: bool | None = _flag()

    # liver
    disease_dominance: Word | None = _word("liver", "non-liver")
    liver_tumour_share_percent: float | None = _number("%", series=True)
    liver_involvement_percent: float | None = _number("%", series=True)
    liver_metastases_count: float | None = _number("1", series=True)
    largest_liver_met_mm: float | None = _number("mm", series=True)
    sum_liver_mets_mm: float | None = _number("mm", series=True)
    extrahepatic_significant: bool | None = _flag()
    bilioenteric_anastomosis: bool | None = _flag()
    liver_surgery_planned: bool | None = _flag()
    resection_planned: bool | None = _flag()

    # markers
    krenning: float | None = _number("1", series=True)
    krenning_homogeneous: bool | None = _flag()
    adc_mm2_per_s: float | None = _number("mm2/s", series=True)
    cystic_lesion: bool | None = _flag()
    recist: TumourGrowth | None = field(default=None, metadata={"kind": Kind.GROWTH, "series": True})
    sstr_imaging_result: Word | None = _word("positive", "negative")
    imaging_negative: tuple[Word, ...] | None = _words()
    bone_pain: bool | None = _flag()
    alp_elevated: bool | None = _flag()
    huge_tumour_burden: bool | None = _flag()

    # safety
    egfr: float | None = _number("mL/min/{1.73_m2}", series=True)
    dialysis: bool | None = _flag()
    aki: bool | None = _flag()
    inpatient: bool | None = _flag()
    gadolinium_allergy: Word | None = _word("none", "mild", "severe")
    iodinated_allergy: Word | None = _word("none", "mild", "severe")
    implant: Word | None = _word("none", "mr-conditional", "non-mr-conditional", "unknown")
    """``"unknown"`` is a device on record without MR safety information; ``None`` is no information on devices."""
    metformin: bool | None = _flag()


def _spec(name: str, metadata: Any) -> FactSpec:
    return FactSpec(
        name,
        cast("Kind", metadata["kind"]),
        metadata.get("words", ()),
        metadata.get("unit", ""),
        metadata.get("series", False),
    )


FACTS: dict[str, FactSpec] = {f.name: _spec(f.name, f.metadata) for f in fields(Facts)}
"""Every fact's vocabulary, in the order of the record."""
