"""Words for people: names of ratings, facts and systems. No decisions, no numbers of the guidelines."""

from __future__ import annotations

from typing import Final

from cds_service.cards.markdown import escape, reference
from cds_service.domain.facts import FACTS, Kind, TumourGrowth
from cds_service.domain.findings import Assessment, Conflict, Evidence
from cds_service.knowledge.model import Knowledge, Row

RATING: Final = {
    "usually-appropriate": "usually appropriate",
    "may-be-appropriate": "may be appropriate",
    "may-be-appropriate-disagreement": "may be appropriate (panel disagreement)",
    "usually-not-appropriate": "usually not appropriate",
    "not-rated": "not rated",
}

SYSTEM: Final = {
    "enets": "ENETS",
    "ajcc7": "UICC/AJCC 7",
    "ajcc8": "AJCC 8",
    "ajcc9": "AJCC version 9",
    "ajcc8-exocrine": "AJCC 8 exocrine pancreas",
}

FACT: Final = {
    "age_years": "age",
    "nen_status": "diagnosis",
    "primary_site": "primary site",
    "pancreas_subsite": "part of the pancreas",
    "ki67_percent": "Ki-67",
    "ki67_specimen": "Ki-67 specimen",
    "mitoses": "mitoses",
    "stated_grade": "grade as stated",
    "functional_syndrome": "hormone syndrome",
    "hereditary_syndrome": "hereditary syndrome",
    "size_mm": "tumour size",
    "nodes": "regional nodes",
    "metastases": "metastases",
    "baseline_staging_done": "baseline staging",
    "management_strategy": "management strategy",
    "extension": "extension beyond the organ",
    "depth": "depth of invasion",
    "curative_resection": "complete resection",
    "disease_dominance": "where most of the tumour is",
    "liver_tumour_share_percent": "share of the tumour in the liver",
    "prior_treatments": "earlier treatment",
    "current_treatments": "current treatment",
    "months_since_resection": "time since resection",
    "months_since_last_imaging": "time since last imaging",
    "months_since_last_sstr_imaging": "time since last SSTR imaging",
    "months_resection_to_last_imaging": "time from resection to last imaging",
    "last_imaging_result": "last imaging result",
    "egfr": "eGFR",
    "aki": "acute kidney injury",
    "implant": "implanted devices and their MR safety",
    "gadolinium_allergy": "reaction to gadolinium contrast",
    "iodinated_allergy": "reaction to iodinated contrast",
    "pregnant": "pregnancy",
    "days_since_same_procedure": "when this study was last done",
    "chest_imaging_done": "chest imaging",
    "biochemical_rise": "rise of tumour markers",
    "order_intent": "purpose of the order",
    "mitoses_unit": "counted area of mitoses",
    "nec_cell_type": "cell type of the carcinoma",
    "diagnosis_year": "year of diagnosis",
    "gastric_type": "type of the gastric tumour",
    "biopsy_feasible": "biopsy possible",
    "nodes_positive_count": "number of positive nodes",
    "mesenteric_mass_mm": "mesenteric mass",
    "mesenteric_vessel_encasement": "encasement of mesenteric vessels",
    "residual_disease": "residual disease after resection",
    "treated_since_recurrence": "treatment since recurrence",
    "rapid_growth": "rapid growth",
    "disease_seen_mainly_on_sstr": "disease seen mainly on SSTR imaging",
    "liver_involvement_percent": "share of the liver replaced by tumour",
    "liver_metastases_count": "number of liver metastases",
    "largest_liver_met_mm": "largest liver metastasis",
    "sum_liver_mets_mm": "sum of the diameters of liver metastases",
    "extrahepatic_significant": "significant disease outside the liver",
    "bilioenteric_anastomosis": "bilio-enteric anastomosis",
    "krenning": "Krenning score",
    "krenning_homogeneous": "homogeneous uptake of the target lesions",
    "adc_mm2_per_s": "ADC",
    "recist": "sum of target diameters",
    "sstr_imaging_result": "result of SSTR imaging",
    "imaging_negative": "studies that found nothing",
    "alp_elevated": "raised alkaline phosphatase",
    "inpatient": "inpatient",
    "recorded_t": "T as recorded",
    "recorded_stage": "stage as recorded",
    "recorded_edition": "TNM edition as recorded",
}

WORD: Final = {
    "unknown-primary": "unknown primary",
    "jejunum-ileum": "jejunum or ileum",
    "ssa-antiproliferative": "somatostatin analogue against the tumour",
    "ssa-symptom-control": "somatostatin analogue for symptoms only",
    "targeted": "targeted drug",
    "prrt": "radionuclide therapy (PRRT)",
    "tace": "chemo-embolisation (TACE)",
    "tae": "embolisation (TAE)",
    "tare": "radio-embolisation (TARE)",
    "men1": "MEN1",
    "vhl": "von Hippel-Lindau disease",
    "nf1": "neurofibromatosis 1",
    "tsc": "tuberous sclerosis",
    "acthoma": "ACTH-producing tumour",
    "vipoma": "VIPoma",
    "carcinoid": "carcinoid syndrome",
    "sma": "superior mesenteric artery",
    "smv": "superior mesenteric vein",
    "celiac-axis": "coeliac axis",
    "non-mr-conditional": "device that is not MR-conditional",
    "mr-conditional": "MR-conditional device",
    "biochemical-suspicion": "suspected from hormones or symptoms",
    "highly-suspected": "highly suspected",
    "other-tumour": "another tumour",
    "per-10-hpf": "per 10 high-power fields",
    "per-2-mm2": "per 2 mm²",
    "per-mm2": "per mm²",
    "per-50-hpf": "per 50 high-power fields",
    "per-10-mm2": "per 10 mm²",
    "NET-G1": "NET G1",
    "NET-G2": "NET G2",
    "NET-G3": "NET G3",
    "high-grade-undetermined": "high grade, NET G3 or NEC",
    "G3-NEC": "NEC (G3)",
    "G1/G2-gap": "between G1 and G2, not assigned",
    "ct": "CT",
    "mri": "MRI",
    "eus": "endoscopic ultrasound",
}
"""Words of the vocabulary whose spelling is not the one people use."""

MARKER: Final = {
    "size_gt_30": "Size marks a higher risk",
    "adc_high_grade": "ADC in the range of high grade",
    "tgr_high": "Tumour growth rate high",
    "slope_low": "Slow growth of the sum of diameters",
    "prrt_uptake": "Uptake fits radionuclide therapy",
    "ablation_best_indication": "Best indication of ablation",
    "liver_directed_grade_ok": "Grade suits liver-directed treatment",
    "bilioenteric_contraindication": "Anastomosis speaks against liver-directed treatment",
    "staged_tace": "Liver burden calls for staged chemo-embolisation",
}
"""What a marker or an eligibility fact says when it holds."""

NOT_HERE: Final = "not available here (site setting)"

READ_AS: Final = {
    "coded": "code",
    "local-code": "code of this project",
    "given": "as given",
    "text": "text",
    "derived": "worked out",
}
"""How a fact was read."""

SAFETY_FACTS: Final = ("pregnant", "implant", "gadolinium_allergy", "iodinated_allergy", "egfr", "dialysis", "aki")

_UNITS: Final = {
    "mm": " mm",
    "%": " %",
    "mo": " months",
    "d": " days",
    "a": "",
    "1": "",
    "mL/min/{1.73_m2}": " mL/min/1.73 m²",
}


def fact_name(name: str) -> str:
    """A fact's name for people."""
    return FACT.get(name, name.replace("_", " "))


def number_with_unit(name: str, value: float) -> str:
    """A number of a fact with its unit."""
    spec = FACTS[name]
    if name == "diagnosis_year":
        return f"{value:.0f}"
    number = f"{value:.1f}".removesuffix(".0") if spec.unit != "mm2/s" else f"{value:g}"
    return number + _UNITS.get(spec.unit, f" {spec.unit}")


def word(value: str) -> str:
    """A word of the vocabulary as people write it."""
    return WORD.get(value) or value.replace("-", " ")


def fact_value(name: str, value: object) -> str:
    """A fact's value for people; words of the vocabulary need no escaping, but open lists do."""
    spec = FACTS[name]
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number_with_unit(name, value)
    if isinstance(value, tuple):
        return ", ".join(escape(word) for word in value) if value else "none"
    if isinstance(value, TumourGrowth):
        return f"{value.d1_mm:g} mm to {value.d2_mm:g} mm in {value.months:.1f} months"
    return escape(str(value).replace("-", " ")).replace("\\", "") if spec.kind is Kind.WORD else escape(str(value))


def evidence_line(item: Evidence) -> str:
    """Where a fact comes from, for people."""
    parts = [reference(item.source)]
    if item.date:
        parts.append(item.date)
    if item.how == "text":
        parts.append("from text")
    if item.how == "derived":
        parts.append(f"derived from {escape(item.label)}" if item.label else "derived")
    return ", ".join(parts)


def rows_behind(rule: str, assessment: Assessment, knowledge: Knowledge) -> list[Row]:
    """The rows of a rule that fired; of a rule with several, those that applied."""
    named = assessment.applied.get(rule)
    if named:
        return [knowledge.rows[row] for row in named]
    row = knowledge.rows.get(rule) or knowledge.rule_rows.get(rule)
    return [row] if row else []


def evidence_lines(evidence: tuple[Evidence, ...]) -> str:
    """Where a fact comes from: its first source, or all that it was computed from."""
    told = [evidence[0], *(item for item in evidence[1:] if item.how == "derived")]
    return "; ".join(map(evidence_line, told))


def conflict_line(conflict: Conflict) -> str:
    """Both values of a contradiction with the sources of both, and what it changes."""
    other = conflict.other_fact or conflict.fact
    about = f"Conflict about {fact_name(conflict.fact)}"
    against = f"{evidence_line(conflict.other)} says {fact_value(other, conflict.other_value)}"
    if conflict.other_fact:
        about = f"Conflict between {fact_name(conflict.fact)} and {fact_name(other)}"
        against = f"{evidence_line(conflict.other)} says {fact_name(other)} {fact_value(other, conflict.other_value)}"
    if conflict.value is None:
        return f"{about}: {against}, which was set aside; this changes {', '.join(conflict.changes)}"
    chosen = "; ".join(evidence_line(item) for item in conflict.chosen) or "no source"
    used = f"{fact_value(conflict.fact, conflict.value)} ({chosen}) was used"
    return f"{about}: {used}, but {against}; this changes {', '.join(conflict.changes)}"


def reported_by(row: Row, knowledge: Knowledge) -> str:
    """Who reports a rating, and whose publication it restates."""
    sources = knowledge.sources_of(row)
    labels = [source.label + (f" (reports {source.reports})" if source.reports else "") for source in sources]
    return "as reported by " + "; ".join(dict.fromkeys(labels))


def citation(row: Row, knowledge: Knowledge) -> str:
    """The sources of a statement, short; an engineering default, or what a site set instead, says so."""
    labels = [source.label for source in knowledge.sources_of(row) if source.kind != "project"]
    if knowledge.set_by_site(row):
        labels.append("site setting")
    elif row.from_project:
        labels.append("engineering default")
    return "; ".join(dict.fromkeys(labels)) or "derived by this service"


def capital(value: str) -> str:
    """The first letter large, the others as they are: NET stays NET."""
    return value[:1].upper() + value[1:]
