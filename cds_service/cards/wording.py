"""Words for people: names of ratings, facts and systems. No decisions, no numbers of the guidelines."""

from __future__ import annotations

from typing import Final

from cds_service.cards.markdown import escape, reference
from cds_service.domain.facts import FACTS, Kind, TumourGrowth
from cds_service.domain.findings import Assessment, Evidence
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
    "mitoses_unit": "counted area of mitoses",
    "recorded_t": "T as recorded",
    "recorded_stage": "stage as recorded",
    "recorded_edition": "TNM edition as recorded",
}

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


def fact_value(name: str, value: object) -> str:
    """A fact's value for people; words of the vocabulary need no escaping, but open lists do."""
    spec = FACTS[name]
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        if name == "diagnosis_year":
            return f"{value:.0f}"
        number = f"{value:.1f}".removesuffix(".0") if spec.unit != "mm2/s" else f"{value:g}"
        return number + _UNITS.get(spec.unit, f" {spec.unit}")
    if isinstance(value, tuple):
        return ", ".join(escape(word) for word in value) if value else "none"
    if isinstance(value, TumourGrowth):
        return f"{value.d1_mm:g} mm to {value.d2_mm:g} mm in {value.months:.1f} months"
    return escape(str(value).replace("-", " ")).replace("\\", "") if spec.kind is Kind.WORD else escape(str(value))


_OPERATORS: Final = {
    "above": "above {}",
    "at_least": "from {}",
    "below": "below {}",
    "at_most": "up to {}",
    "contains": "includes {}",
    "contains_all": "includes all of {}",
    "only": "only {}",
    "lacks": "without {}",
    "not": "other than {}",
    "unless": "not {}",
}


def test_words(operand: object) -> str:
    """What a row asks of a fact, for people: ``below 30``, ``active surveillance``, ``includes liver``."""
    if isinstance(operand, bool):
        return "yes" if operand else "no"
    if isinstance(operand, list):
        return " or ".join(test_words(item) for item in operand)
    if isinstance(operand, dict):
        if "empty" in operand:
            return "none" if operand["empty"] else "any"
        if "known" in operand:
            return "recorded" if operand["known"] else "not recorded"
        return " and ".join(_OPERATORS[name].format(test_words(value)) for name, value in operand.items())
    return str(operand).replace("-", " ")


def evidence_line(item: Evidence) -> str:
    """Where a fact comes from, for people."""
    parts = [reference(item.source)]
    if item.date:
        parts.append(item.date)
    if item.how in ("text", "derived"):
        parts.append("from text" if item.how == "text" else "derived")
    return ", ".join(parts)


def rows_behind(rule: str, assessment: Assessment, knowledge: Knowledge) -> list[Row]:
    """The rows of a rule that fired; of a rule with several, those that applied."""
    named = assessment.applied.get(rule)
    if named:
        return [knowledge.rows[row] for row in named]
    row = knowledge.rows.get(rule) or knowledge.rule_rows.get(rule)
    return [row] if row else []


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
