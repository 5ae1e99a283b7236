"""Puts a story together from a chart and its assessment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Any, Final

from cds_service.cards import detail, followup, open_points, summary, whatif_words, wording
from cds_service.cards.markdown import plain, unmarked
from cds_service.cards.sentences import fact_in_words, marker_lines
from cds_service.consult import WHOLE, Consulted, Gaps, about_options, from_bundle
from cds_service.domain.facts import FACTS
from cds_service.domain.findings import Assessment, Change, PatientFacts, WhatIf
from cds_service.knowledge.model import Knowledge
from cds_service.service import Consultation
from cds_service.story.course import by_reference, events
from cds_service.story.model import KnownFact, Person, Story, Study, Unknown, Window
from cds_service.story.origins import origins
from cds_service.story.sizes import growth, lesions
from fhir_profiles.reading import objects, text
from fhir_profiles.terminology import Terminology

NOT_OURS: Final = (
    "Nothing in this chart points to a neuroendocrine neoplasm, so this service has nothing to say about it."
)
UNREAD: Final = (
    "Whether there is a neuroendocrine neoplasm is not known, because part of this chart cannot be read; what that is "
    "stands below."
)
DECEASED: Final = "The patient is recorded as deceased, so this service advises nothing."


def tell(
    bundle: Mapping[str, Any], today: date, knowledge: Knowledge, terminology: Terminology, gaps: Gaps = WHOLE
) -> Story:
    """The story of the patient of a Bundle, as of a day; gaps say what the Bundle should hold and does not.

    Raises:
        FactsError: no Bundle, or not exactly one Patient.
    """
    consulted = from_bundle(bundle, (), today, knowledge, terminology, gaps)
    chart, assessment = consulted.assessed.chart, consulted.assessed.assessment
    patient_id = consulted.id or ""
    resources = [found for entry in objects(bundle.get("entry")) for found in objects(entry.get("resource"))]
    ours = by_reference(resources, patient_id)
    asked = Consultation(patient_id, None, today, assessment, chart, knowledge)
    silent = _silent(chart)
    options = about_options(bundle, today, knowledge, terminology, gaps)
    what_if = WhatIf() if silent else consulted.what_if()
    return Story(
        person=_person(resources, assessment),
        day=today,
        headline="" if silent else summary.headline(assessment),
        silent=silent,
        events=events(chart, ours, today),
        window=None if silent else _window(asked),
        lesions=lesions(chart.measured, ours),
        growth=growth(consulted),
        grade=tuple(summary.grade_lines(assessment.grade)),
        stages=tuple(summary.stage_rows(assessment)),
        recorded_stage=assessment.facts.recorded_stage or "",
        cautions=tuple(map(unmarked, summary.cautions(asked))),
        followup=tuple(map(unmarked, followup.lines_of(asked))),
        followup_rule=assessment.followup.rule or "",
        markers=tuple(marker_lines(assessment, knowledge)),
        facts=tuple(_facts(chart)),
        unknown=tuple(_unknown(what_if, assessment, knowledge)),
        missing=tuple(_missing(what_if, asked)),
        conflicts=tuple(unmarked(wording.conflict_line(conflict)) for conflict in assessment.conflicts),
        unread=tuple(map(unmarked, detail.not_received(asked))),
        unusable=tuple(map(unmarked, detail.unusable_lines(chart.skipped, most=len(chart.skipped)))),
        scenario=assessment.scenario,
        studies=() if silent else tuple(_studies(consulted, options.assessed.assessment)),
    )


def _silent(chart: PatientFacts) -> str:
    """Why there is nothing to advise; empty when there is."""
    if chart.deceased:
        return DECEASED
    if chart.nen_evidence:
        return ""
    return UNREAD if chart.facts.nen_status is None else NOT_OURS


def _person(resources: Iterable[Mapping[str, Any]], assessment: Assessment) -> Person:
    patient = next(found for found in resources if found.get("resourceType") == "Patient")
    name = next(objects(patient.get("name")), {})
    listed = name.get("given")
    given = [text(part) for part in listed] if isinstance(listed, list) else []
    full = " ".join(filter(None, (*given, text(name.get("family")))))
    about = [
        f"born {plain(text(patient.get('birthDate')))}" if text(patient.get("birthDate")) else "",
        f"{assessment.facts.age_years:g} years" if assessment.facts.age_years is not None else "",
        assessment.facts.sex or "",
    ]
    return Person(plain(full or text(name.get("text"))) or "Patient without a name", ", ".join(filter(None, about)))


def _window(asked: Consultation) -> Window | None:
    due = followup.window(asked)
    return Window(*due, asked.assessment.followup.status) if due else None


def _facts(chart: PatientFacts) -> Iterator[KnownFact]:
    """Every fact that is known, in the order of the record."""
    for name in FACTS:
        value = getattr(chart.facts, name)
        if value is not None:
            evidence = origins(chart.evidence.get(name, ()))
            yield KnownFact(wording.fact_name(name), plain(fact_in_words(name, value)), evidence)


def _unknown(what_if: WhatIf, assessment: Assessment, knowledge: Knowledge) -> Iterator[Unknown]:
    studies = {order.order.id: order.order.procedure for order in assessment.orders}

    def told(changes: tuple[Change, ...]) -> Iterator[str]:
        """What would change about the patient, then about each order."""
        for order in dict.fromkeys(change.order for change in changes):
            study = studies.get(assessment.order_id(order))
            about = f"{knowledge.procedures[study].short}: " if study else "the ordered study: " if order else ""
            for words in whatif_words.changes([c for c in changes if c.order == order], knowledge):
                yield about + unmarked(words)

    for entry in what_if.entries:
        values = unmarked(whatif_words.values(entry.fact, entry.values))
        yield Unknown(wording.fact_name(entry.fact), values, tuple(dict.fromkeys(told(entry.changes))))


def _missing(what_if: WhatIf, asked: Consultation) -> Iterator[str]:
    """Facts a rule asked for of which none alone would change anything, and those that were not tried."""
    told = {entry.fact: entry for entry in what_if.entries}
    for name in dict.fromkeys((*open_points.others(asked, told), *what_if.unexamined)):
        yield wording.fact_name(name)


def _studies(consulted: Consulted, options: Assessment) -> Iterator[Study]:
    """Every rated study of the scenario with all safety rules that fire for it, grave or not.

    Args:
        consulted: the patient, with what is being ordered.
        options: the same patient, as if each of the studies were ordered.
    """
    scenario, knowledge = consulted.assessed.assessment.scenario, consulted.knowledge
    about = [order for order in (*consulted.assessed.assessment.orders, *options.orders) if order.scenario == scenario]
    fired = {order.order.procedure: order.safety for order in options.orders}
    for study in about[0].alternatives if about else ():
        rules = dict.fromkeys((*study.blocked_by, *(found.rule for found in fired.get(study.procedure, ()))))
        against = () if study.available else (wording.NOT_HERE,)
        yield Study(
            name=knowledge.procedures[study.procedure].label,
            rating=study.rating,
            words=wording.RATING[study.rating],
            radiation=study.radiation,
            rule=study.rule,
            reported=wording.reported_by(knowledge.rows.get(study.rule) or knowledge.rule_rows[study.rule], knowledge),
            against=(*against, *(whatif_words.safety_rule(rule, knowledge) for rule in rules)),
        )
