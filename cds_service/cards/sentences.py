"""Conditions of rows in words, for people who read rules: guideline pages and explanations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cds_service.cards import wording
from cds_service.cards.markdown import plain
from cds_service.domain.facts import FACTS, Kind
from cds_service.domain.findings import Assessment
from cds_service.domain.terms import NAMES
from cds_service.knowledge.model import ConditionalRow, Knowledge

_SIGNAL: Final = {
    "scenario": "scenario",
    "gep_site": "primary in pancreas or gut",
    "counted_treatment": "treatment of the tumour on record",
    "dominance": "where most of the tumour is",
    "grade_2010": "grade (WHO 2010)",
    "grade_2019": "grade (WHO 2019)",
    "grade_warnings": "warnings of grading",
    "t_not_assessable": "T category not assessable (TX)",
    "n_not_assessable": "nodal status not recorded (NX)",
    "m_unknown": "distant metastases not recorded",
    "distant_metastases": "distant metastases",
    "followup_trigger": "a reason for early imaging (FUP-22)",
    "orders_cover_chest": "an ordered study covers the chest",
    "order": "ordered study",
    "order_modality": "kind of study ordered",
    "order_mr": "study in the magnet (MR)",
    "order_ionising": "study with ionising radiation",
    "order_gadolinium": "study with gadolinium contrast",
    "order_iodinated": "study with iodinated contrast",
    "order_sstr": "somatostatin receptor study",
    "order_abdominal": "study of the abdomen",
    "order_too_early": "study before its time on the schedule",
}
_WHERE: Final = {"liver": "in the liver", "non-liver": "outside the liver"}
_OF_ONE_FACT: Final = {
    "dominance": _WHERE,
    "disease_dominance": _WHERE,
    "order_modality": {"pet-ct": "PET/CT"},
    "implant": {"unknown": "device without MR safety information"},
}
"""Words that mean something of their own as the value of one fact."""
_BOUND: Final = {"above": "above {}", "at_least": "{} or more", "below": "below {}", "at_most": "up to {}"}
_OPERATOR: Final = {
    "contains": "includes {}",
    "contains_all": "includes all of {}",
    "only": "nothing but {}",
    "lacks": "known, and without {}",
    "not": "known, and other than {}",
    "unless": "not known to be {}",
}


def name_in_words(name: str) -> str:
    """A fact or signal for people."""
    return _SIGNAL.get(name) or wording.fact_name(name)


def fact_in_words(name: str, value: object) -> str:
    """A fact's value for people, with its unit, on one line; markup is not escaped."""
    if isinstance(value, tuple):
        return ", ".join(plain(wording.word(item)) for item in value) if value else "none"
    if isinstance(value, str):
        return _OF_ONE_FACT.get(name, {}).get(value) or wording.word(value)
    return wording.fact_value(name, value)


def value_in_words(name: str, value: object, knowledge: Knowledge) -> str:
    """One word, number or flag of a condition, with its unit; a list reads as alternatives."""
    if isinstance(value, list):
        return " or ".join(value_in_words(name, item, knowledge) for item in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        spec = NAMES[name]
        return (
            wording.number_with_unit(name, float(value)) if spec.kind is Kind.NUMBER and name in FACTS else f"{value:g}"
        )
    return _word_in_words(name, str(value), knowledge)


def _word_in_words(name: str, word: str, knowledge: Knowledge) -> str:
    if name == "scenario":
        return knowledge.scenarios[word].label
    if name == "order":
        return knowledge.procedures[word].label
    return _OF_ONE_FACT.get(name, {}).get(word) or wording.word(word)


def test_in_words(name: str, operand: object, knowledge: Knowledge) -> str:
    """What is asked of one fact: ``Ki-67: above 10 % and up to 100 %``."""
    if not isinstance(operand, Mapping):
        return f"{name_in_words(name)}: {value_in_words(name, operand, knowledge)}"
    asked: list[str] = []
    for key, value in operand.items():
        if key == "known":
            asked.append("on record" if value else "not on record")
        elif key == "empty":
            asked.append("known to be none" if value else "at least one")
        else:
            asked.append({**_BOUND, **_OPERATOR}[key].format(value_in_words(name, value, knowledge)))
    return f"{name_in_words(name)}: {' and '.join(asked)}"


def _conjunction(part: Mapping[str, Any], knowledge: Knowledge) -> tuple[str, ...]:
    return tuple(test_in_words(name, operand, knowledge) for name, operand in part.items())


def condition_in_words(
    row: ConditionalRow, knowledge: Knowledge
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """What must all hold, and the alternatives of which one must hold; both empty for a row without conditions."""
    return _conjunction(row.when, knowledge), tuple(_conjunction(part, knowledge) for part in row.any)


def marker_lines(assessment: Assessment, knowledge: Knowledge) -> list[str]:
    """Prognostic markers and eligibility facts that could be worked out."""
    found = {**assessment.markers, **assessment.eligibility}
    growth = found.pop("tgr_percent_per_month", None)
    lines = [f"Tumour growth rate: {growth:.2f} % of volume per month."] if isinstance(growth, int | float) else []
    for name, value in found.items():
        row = knowledge.markers.get(name)
        if row is not None and value not in (None, "unknown"):
            answer = "yes" if value in (True, "yes", "meets") else "no"
            lines.append(f"{wording.MARKER[name]}: {answer}. {row.statement} [{row.rule_id}]")
    return lines


BASIS: Final = {
    "seed": "stated in a source this service was asked to implement",
    "public": "stated in a public source",
    "derived": "follows from sourced facts",
    "reading": "our reading of an ambiguous wording",
    "engineering-default": "engineering default of this service, not clinically sourced",
}
