"""The staging summary shown when a chart is opened."""

from __future__ import annotations

from typing import Final

from cds_service.cards import detail, followup, wording
from cds_service.cards.markdown import cut, document, section, table
from cds_service.cards.open_points import open_points
from cds_service.cards.order import topic
from cds_service.cards.reasons import override_reasons
from cds_service.domain.findings import Assessment, Grade, Stage
from cds_service.domain.terms import INFO, WARNING
from cds_service.protocol.response import SUMMARY_LIMIT, Card, Source, Suggestion
from cds_service.service import Consultation

_STATUS = {"due": "follow-up imaging due", "overdue": "follow-up imaging OVERDUE", "too-early": "follow-up not yet due"}

STAGE_HEAD: Final = ("System", "T", "N", "M", "Stage")


def summary_card(consultation: Consultation) -> Card:
    """Grade, stage, course, follow-up, and what is missing."""
    assessment, knowledge = consultation.assessment, consultation.knowledge
    rules = tuple(
        rule for rule in assessment.rules if rule.startswith(("GRD-", "TNM-", "FUP-")) and rule in knowledge.rows
    )
    return Card(
        summary=cut(headline(assessment), SUMMARY_LIMIT),
        indicator=WARNING if assessment.followup.status == "overdue" or assessment.conflicts else INFO,
        source=Source("pnet-cds staging summary", topic=topic("guideline")),
        detail=document(
            [
                section("Grade", grade_lines(assessment.grade)),
                _staging(assessment),
                followup.section_of(consultation),
                detail.reasons(consultation, assessment.scenario),
                section("Cautions", cautions(consultation)),
                detail.patient_advice(consultation),
                open_points(consultation),
                detail.data_problems(consultation),
                detail.sources(rules, knowledge),
                detail.DISCLAIMER,
            ]
        ),
        suggestions=_follow_up(consultation),
        override_reasons=override_reasons("summary"),
        links=detail.links(rules, consultation, assessment.scenario),
        rules=rules,
    )


def _follow_up(consultation: Consultation) -> tuple[Suggestion, ...]:
    """The next follow-up study for its due window, unless it is on order."""
    procedure = followup.to_order(consultation)
    return () if procedure is None else (followup.order_suggestion(consultation, procedure),)


def headline(assessment: Assessment) -> str:
    """Diagnosis, grade, stage and follow-up in one line."""
    site = (assessment.facts.primary_site or "site not recorded").replace("-", " ")
    parts = [
        f"{_certainty(assessment)} of {site}" if assessment.facts.primary_site else f"{_certainty(assessment)}, {site}"
    ]
    parts.append(_grade_words(assessment))
    stage = _primary(assessment)
    if stage is not None:
        system, value = stage
        parts.append(_stage_words(system, value))
    status = _STATUS.get(assessment.followup.status)
    if status:
        parts.append(status)
    return "; ".join(part for part in parts if part)


def _certainty(assessment: Assessment) -> str:
    return {
        "highly-suspected": "Suspected neuroendocrine tumour",
        "biochemical-suspicion": "Biochemical suspicion of NET",
    }.get(assessment.facts.nen_status or "", "Neuroendocrine neoplasm")


def _grade_words(assessment: Assessment) -> str:
    grade = assessment.grade
    if grade.who2019:
        return grade.who2019.replace("-", " ") + (" (provisional)" if grade.provisional else "")
    return f"grade {grade.stated} as stated" if grade.stated else "grade not computable"


def _primary(assessment: Assessment) -> tuple[str, Stage] | None:
    system = assessment.tnm_primary_system
    if system is None:
        system = next(iter(assessment.tnm), None)
    return None if system is None else (system, assessment.tnm[system])


def _stage_words(system: str, stage: Stage) -> str:
    name = wording.SYSTEM[system]
    if stage.stage:
        return f"stage {stage.stage} ({name})"
    if stage.stage_if_m0:
        return f"stage {stage.stage_if_m0} if M0 ({name})"
    return f"stage undetermined ({name})"


def grade_lines(grade: Grade) -> list[str]:
    """The grade in both editions, and as stated."""
    lines = [
        f"WHO 2019/2022: {grade.who2019.replace('-', ' ') if grade.who2019 else 'not computable'}"
        + (" (provisional: graded without Ki-67)" if grade.provisional else ""),
        f"WHO 2010: {grade.who2010 or 'not computable'}",
    ]
    if grade.stated:
        lines.append(f"as stated in the record: {grade.stated}")
    return lines


def stage_rows(assessment: Assessment) -> list[tuple[str, str, str, str, str]]:
    """System, T, N, M and stage, the edition for this patient first."""
    primary = assessment.tnm_primary_system
    return [
        (
            wording.SYSTEM[system] + (" (primary)" if system == primary else ""),
            stage.t + (" as recorded" if stage.t_as_recorded else ""),
            stage.n + (" provisional" if stage.provisional else ""),
            stage.m or "unknown",
            stage.stage or (f"{stage.stage_if_m0} if M0" if stage.stage_if_m0 else "undetermined"),
        )
        for system, stage in sorted(assessment.tnm.items(), key=lambda item: item[0] != primary)
    ]


def _staging(assessment: Assessment) -> str:
    rows = stage_rows(assessment)
    shown = table(STAGE_HEAD, rows)
    recorded = assessment.facts.recorded_stage
    note = f"\n\nStage as recorded: {recorded}" if recorded else ""
    return f"**Stage**\n\n{shown}{note}" if shown else ""


def cautions(consultation: Consultation) -> list[str]:
    """Warnings of grading and staging."""
    shown = [rule for rule in consultation.assessment.warnings if rule.startswith(("GRD-W", "TNM-W"))]
    return [detail.statement(rule, consultation.knowledge) for rule in shown]
