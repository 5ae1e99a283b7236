"""What a plan comes to for one patient: a CarePlan with the options as a RequestGroup and the facts they rest on.

The clinical functions decide; here their answer is written as FHIR.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any, Final

from cds_service.artefacts.naming import Stamp, canonical, stamp
from cds_service.artefacts.plans import CHOICE, citations, rating_extensions
from cds_service.cards.wording import conflict_line, evidence_line, fact_name
from cds_service.clinical.contradictions import Assessed
from cds_service.clinical.imaging import may_be_chosen
from cds_service.domain.findings import Assessment, OrderAssessment, PatientFacts
from cds_service.domain.terms import NOT_RATED
from cds_service.knowledge.model import Knowledge
from fhir_profiles.abstracted import abstracted
from fhir_profiles.drafts import proposed_order
from fhir_profiles.terminology import Terminology

_GROUP: Final = "options"


def care_plan(
    plan: str, assessed: Assessed, subject: str, day: date, knowledge: Knowledge, terminology: Terminology
) -> dict[str, Any]:
    """The plan applied to a patient.

    Args:
        plan: id of the PlanDefinition: a scenario, or the choice of the scenario.
        assessed: the patient, assessed as if every rated study were ordered.
        subject: reference to the patient.
        day: the day for which it was assessed.
        knowledge: the rows in force.
        terminology: where the codes of orders come from.
    """
    assessment = assessed.assessment
    marked = stamp(knowledge)
    applies = plan in (CHOICE, assessment.scenario) and not assessed.chart.deceased
    options = _options(assessment, knowledge) if applies else []
    facts = [_contained(item, assessed.chart) for item in abstracted(assessment.facts, subject, day)]
    contained = [*facts, *(_proposal(option, subject, knowledge, terminology) for option in options)]
    if options:
        contained.append(_request_group(assessment.scenario, options, subject, knowledge, marked))
    found: dict[str, Any] = {"resourceType": "CarePlan"}
    if contained:
        found["contained"] = contained
    found |= {
        "instantiatesCanonical": [_versioned("PlanDefinition", name, marked) for name in _applied(plan, assessment)],
        "status": "draft",
        "intent": "proposal",
        "title": knowledge.scenarios[assessment.scenario].label,
        "description": knowledge.scenarios[assessment.scenario].statement,
        "subject": {"reference": subject},
        "created": day.isoformat(),
    }
    if facts:
        found["supportingInfo"] = [{"reference": f"#{fact['id']}"} for fact in facts]
    if options:
        found["activity"] = [{"reference": {"reference": f"#{_GROUP}"}}]
    return found | {"note": [{"text": said} for said in _notes(applies, assessed, knowledge)]}


def _applied(plan: str, assessment: Assessment) -> list[str]:
    return [plan, assessment.scenario] if plan == CHOICE else [plan]


def _contained(observation: dict[str, Any], chart: PatientFacts) -> dict[str, Any]:
    """The fact with its sources; ids of facts and of studies must not meet."""
    named = observation | {"id": f"fact-{observation['id']}"}
    evidence = chart.evidence.get(observation["id"].replace("-", "_"), ())
    return named | ({"note": [{"text": evidence_line(item)} for item in evidence]} if evidence else {})


def _options(assessment: Assessment, knowledge: Knowledge) -> list[OrderAssessment]:
    """The studies left for this patient, those preferred first."""
    left = [order for order in assessment.orders if may_be_chosen(order, knowledge)]
    preference = knowledge.preferences.get(assessment.scenario)
    first = preference.preference if preference else []
    return sorted(left, key=lambda order: first.index(_key(order)) if _key(order) in first else len(first))


def _key(order: OrderAssessment) -> str:
    return order.order.procedure or ""


def _proposal(option: OrderAssessment, subject: str, knowledge: Knowledge, terminology: Terminology) -> dict[str, Any]:
    key, patient_id = _key(option), subject.rpartition("/")[2]
    label = knowledge.procedures[key].label
    return proposed_order(key, label, patient_id, terminology, knowledge.order_writing) | {
        "id": key,
        "instantiatesCanonical": [canonical("ActivityDefinition", key)],
    }


def _request_group(
    scenario: str, options: list[OrderAssessment], subject: str, knowledge: Knowledge, marked: Stamp
) -> dict[str, Any]:
    return {
        "resourceType": "RequestGroup",
        "id": _GROUP,
        "instantiatesCanonical": [_versioned("PlanDefinition", scenario, marked)],
        "status": "draft",
        "intent": "proposal",
        "subject": {"reference": subject},
        "action": [
            {
                "title": knowledge.scenarios[scenario].label,
                "groupingBehavior": "logical-group",
                "selectionBehavior": "any",
                "action": [_option(study, scenario, knowledge) for study in options],
            }
        ],
    }


def _option(option: OrderAssessment, scenario: str, knowledge: Knowledge) -> dict[str, Any]:
    key = _key(option)
    row = knowledge.ratings[(knowledge.scenarios[scenario].candidates or [scenario])[0], key]
    action: dict[str, Any] = {
        "extension": rating_extensions(row),
        "prefix": row.id,
        "title": knowledge.procedures[key].label,
        "description": row.statement,
        "documentation": citations(row),
        "resource": {"reference": f"#{key}"},
    }
    said = dict.fromkeys((*(finding.rule for finding in option.safety), *option.warnings, *option.advice))
    if said:
        action["textEquivalent"] = " ".join(_said(rule, knowledge) for rule in said)
    return action


def _said(rule: str, knowledge: Knowledge) -> str:
    return f"{rule}: {knowledge.rule_rows[rule].statement}"


def _notes(applies: bool, assessed: Assessed, knowledge: Knowledge) -> Iterator[str]:
    """What is left out and why, what is not known, what could not be used; Markdown, as notes are."""
    assessment = assessed.assessment
    if assessed.chart.deceased:
        yield "The patient is recorded as deceased."
    elif not applies:
        yield f"This plan does not apply: the scenario is {assessment.scenario} ({assessment.scenario_rule})."
    else:
        yield from _left_out(assessment, knowledge)
    if assessment.limited_applicability:
        yield _said("RAT-06", knowledge)
    if assessment.auc != NOT_RATED:
        rules = ", ".join(rule for rule in assessment.rules if rule.startswith("AUC-"))
        yield f"SSTR PET is supported by its appropriate-use criteria ({rules})."
    if assessment.missing:
        yield f"Not on record, and of consequence: {', '.join(map(fact_name, assessment.missing))}."
    yield from (f"{skipped.source} was not used: {skipped.reason}." for skipped in assessed.chart.skipped)
    yield from map(conflict_line, assessment.conflicts)
    yield "Ratings are those of the cited sources; whoever orders decides."


def _left_out(assessment: Assessment, knowledge: Knowledge) -> Iterator[str]:
    """Rated studies that are no option for this patient or at this site."""
    for order in assessment.orders:
        if _key(order) in knowledge.unavailable:
            yield f"{knowledge.procedures[_key(order)].label} is left out: not available here (site setting)."
        elif order.blocked_by:
            why = " ".join(_said(rule, knowledge) for rule in order.blocked_by)
            yield f"{knowledge.procedures[_key(order)].label} is left out. {why}"


def _versioned(kind: str, identifier: str, marked: Stamp) -> str:
    return f"{canonical(kind, identifier)}|{marked.version}"
