"""What a plan comes to for one patient: a CarePlan with the options as a RequestGroup and the facts they rest on.

The clinical functions decide; here their answer is written as FHIR.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, Final

from cds_service.artefacts.naming import Stamp, canonical, stamp
from cds_service.artefacts.plans import CHOICE, citations, rating_extensions
from cds_service.clinical.contradictions import Assessed
from cds_service.domain.findings import OrderAssessment, RatedStudy
from cds_service.domain.terms import USUALLY_NOT_APPROPRIATE
from cds_service.knowledge.model import Knowledge
from fhir_profiles.abstracted import abstracted
from fhir_profiles.drafts import study_code
from fhir_profiles.terminology import Terminology

_GROUP: Final = "options"


def care_plan(
    plan: str, assessed: Assessed, subject: str, day: date, knowledge: Knowledge, terminology: Terminology
) -> dict[str, Any]:
    """The plan applied to a patient.

    Args:
        plan: id of the PlanDefinition: a scenario, or the choice of the scenario.
        assessed: the patient, assessed with one order that names no study.
        subject: reference to the patient.
        day: the day for which it was assessed.
        knowledge: the rows in force.
        terminology: where the codes of orders come from.
    """
    assessment = assessed.assessment
    marked = stamp(knowledge)
    applies = plan in (CHOICE, assessment.scenario)
    options = list(_options(assessment.orders[0], knowledge)) if applies else []
    facts = [_contained(item) for item in abstracted(assessment.facts, subject, day)]
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


def _applied(plan: str, assessment: Any) -> list[str]:
    return [plan, assessment.scenario] if plan == CHOICE else [plan]


def _contained(observation: dict[str, Any]) -> dict[str, Any]:
    """Ids of facts and of studies must not meet."""
    return observation | {"id": f"fact-{observation['id']}"}


def _options(order: OrderAssessment, knowledge: Knowledge) -> Iterator[RatedStudy]:
    """The studies left for this patient, the one to prefer first."""
    left = [
        study
        for study in order.alternatives
        if study.available and not study.blocked_by and study.rating != USUALLY_NOT_APPROPRIATE
    ]
    yield from sorted(left, key=lambda study: study.procedure != order.suggestion)


def _proposal(
    study: RatedStudy, subject: str, knowledge: Knowledge, terminology: Terminology
) -> dict[str, Any]:
    return {
        "resourceType": "ServiceRequest",
        "id": study.procedure,
        "instantiatesCanonical": [canonical("ActivityDefinition", study.procedure)],
        "status": "draft",
        "intent": "proposal",
        "code": study_code(study.procedure, knowledge.procedures[study.procedure].label, terminology),
        "subject": {"reference": subject},
    }


def _request_group(
    scenario: str, options: list[RatedStudy], subject: str, knowledge: Knowledge, marked: Stamp
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


def _option(study: RatedStudy, scenario: str, knowledge: Knowledge) -> dict[str, Any]:
    origin = (knowledge.scenarios[scenario].candidates or [scenario])[0]
    row = knowledge.ratings[origin, study.procedure]
    return {
        "extension": rating_extensions(row),
        "prefix": row.id,
        "title": knowledge.procedures[study.procedure].label,
        "description": row.statement,
        "documentation": citations(row),
        "resource": {"reference": f"#{study.procedure}"},
    }


def _notes(applies: bool, assessed: Assessed, knowledge: Knowledge) -> Iterator[str]:
    assessment = assessed.assessment
    if not applies:
        yield f"This plan does not apply: the scenario is {assessment.scenario} ({assessment.scenario_rule})."
    for study in assessment.orders[0].alternatives if applies else ():
        if study.blocked_by:
            yield f"{knowledge.procedures[study.procedure].label} is left out: {', '.join(study.blocked_by)}."
    if assessment.missing:
        yield f"Not on record, and of consequence: {', '.join(assessment.missing)}."
    for skipped in assessed.chart.skipped:
        yield f"{skipped.source} was not used: {skipped.reason}."
    for conflict in assessment.conflicts:
        yield f"The record contradicts itself about {conflict.fact}."
    yield "Ratings are those of the cited sources; whoever orders decides."


def _versioned(kind: str, identifier: str, marked: Stamp) -> str:
    return f"{canonical(kind, identifier)}|{marked.version}"
