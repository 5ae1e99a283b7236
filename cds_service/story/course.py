"""The timeline: what was found and done, by day."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from itertools import groupby
from typing import Any, Final

from cds_service.cards import wording
from cds_service.cards.markdown import plain
from cds_service.cards.sentences import fact_in_words
from cds_service.domain.findings import CourseEvent, Evidence, PatientFacts
from cds_service.story.model import DIAGNOSIS, IMAGING, KINDS, PATHOLOGY, PROCEDURE, THERAPY, Event
from fhir_profiles import dates
from fhir_profiles.reading import codings, is_about, member, objects, observed, performed, source, status, text

Resources = Mapping[str, Mapping[str, Any]]
"""The patient's resources by reference."""

_FACTS: Final = {
    "nen_status": DIAGNOSIS,
    "primary_site": DIAGNOSIS,
    "metastases": DIAGNOSIS,
    "nodes": DIAGNOSIS,
    "recurrence": DIAGNOSIS,
    "functional_syndrome": DIAGNOSIS,
    "hereditary_syndrome": DIAGNOSIS,
    "differentiation": PATHOLOGY,
    "nec_cell_type": PATHOLOGY,
    "ki67_percent": PATHOLOGY,
    "mitoses": PATHOLOGY,
    "stated_grade": PATHOLOGY,
    "last_imaging_result": IMAGING,
}
"""Findings that mark a day, and the part of the timeline they belong to."""
_DONE: Final = {"resection": PROCEDURE, "liver-surgery": PROCEDURE, "treatment": THERAPY, "imaging": IMAGING}
_ENDOSCOPIES: Final = frozenset({"eus"})
"""Studies that people look for among the procedures: a needle may go with them."""
PATHOLOGY_REPORT: Final = frozenset({"SP", "PAT", "CP"})
"""Categories of reports that stand on the timeline although no fact is read from them (HL7 v2 table 0074)."""
_OVER: Final = "completed"


def by_reference(resources: Iterable[Mapping[str, Any]], patient_id: str) -> Resources:
    """The resources by reference, without those that say they are about somebody else."""
    return {source(found): found for found in resources if _is_ours(found, patient_id)}


def _is_ours(resource: Mapping[str, Any], patient_id: str) -> bool:
    subject = resource.get("subject") or resource.get("patient")
    return not text(member(subject, "reference")) or is_about(subject, patient_id)


def events(chart: PatientFacts, resources: Resources, today: date) -> tuple[Event, ...]:
    """Everything on the timeline, oldest first; what is not dated comes last."""
    found = [*_findings(chart, resources), *_course(chart.course, resources, today)]
    told = {reference for event in found if event.kind in _DONE.values() for reference in event.sources}
    found += _others(resources, told, today)
    return tuple(_merged(found))


def _findings(chart: PatientFacts, resources: Resources) -> Iterator[Event]:
    """Facts with the day they were found on; what was worked out happened on no day of its own."""
    for name, kind in _FACTS.items():
        value = getattr(chart.facts, name)
        told = (item for item in chart.evidence.get(name, ()) if item.how != "derived")
        for item in told if value is not None else ():
            line = f"{wording.fact_name(name)}: {fact_in_words(name, value)}"
            own = [own_words(resources[item.source])] if item.source.startswith("Condition/") else []
            yield _event(kind, item.date, item.date, item, (*filter(None, own), line))


def _course(course: Sequence[CourseEvent], resources: Resources, today: date) -> Iterator[Event]:
    for done in course:
        item = done.evidence
        own = own_words(resources.get(item.source, {})) or plain(item.label)
        treatment = f"{wording.word(done.what)}: {own}" if done.kind == "treatment" else own
        until = today.isoformat() if done.current else item.date
        kind = PROCEDURE if done.what in _ENDOSCOPIES else _DONE[done.kind]
        yield _event(kind, done.started or item.date, until, item, (treatment,), current=done.current)


def _others(resources: Resources, told: set[str], today: date) -> Iterator[Event]:
    """Procedures and reports of pathology that gave no fact of their own."""
    for reference, found in resources.items():
        kind = text(found.get("resourceType"))
        if reference in told or status(found) not in (_OVER, "final", "amended", "corrected"):
            continue
        when = performed(found) if kind == "Procedure" else observed(found)
        part = PROCEDURE if kind == "Procedure" else PATHOLOGY if _is_pathology(found) else ""
        line = own_words(found)
        if part and line and when is not None and when.last <= today:
            yield Event(part, when.text, when.first, when.last, (line,), (reference,))


def _is_pathology(resource: Mapping[str, Any]) -> bool:
    if resource.get("resourceType") != "DiagnosticReport":
        return False
    codes = {coding.code for category in objects(resource.get("category")) for coding in codings(category)}
    return not codes.isdisjoint(PATHOLOGY_REPORT)


def own_words(resource: Mapping[str, Any]) -> str:
    """What a resource calls itself, on one line; empty when it does not say."""
    concept = resource.get("code") or resource.get("medicationCodeableConcept")
    names = (text(member(concept, "text")), *(coding.display for coding in codings(concept)))
    return plain(next(filter(None, names), ""))


def _event(kind: str, first: str, last: str, item: Evidence, lines: tuple[str, ...], *, current: bool = False) -> Event:
    begun, ended = dates.parse(first), dates.parse(last)
    shown = f"{first} – {'goes on' if current else last}" if first and (current or first != last) else first
    return Event(kind, shown, begun.first if begun else None, ended.last if ended else None, lines, (item.source,))


def _merged(found: Iterable[Event]) -> Iterator[Event]:
    """What stands under one kind and date as one event: a study and its report, the findings of one specimen."""

    def key(event: Event) -> tuple[bool, date, int, str]:
        return event.first is None, event.first or date.min, KINDS.index(event.kind), event.when

    for (_, _, place, shown), same in groupby(sorted(found, key=key), key):
        alike = list(same)
        lines = dict.fromkeys(line for event in alike for line in event.lines)
        sources = dict.fromkeys(reference for event in alike for reference in event.sources)
        yield Event(KINDS[place], shown, alike[0].first, alike[0].last, tuple(lines), tuple(sources))
