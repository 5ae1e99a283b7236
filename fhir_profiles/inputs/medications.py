"""Medications by ingredient: tumour treatment, now or before, and metformin."""

from __future__ import annotations

from fhir_profiles import dates
from fhir_profiles.chart import CODED, TEXT, Chart, Event
from fhir_profiles.dates import When
from fhir_profiles.reading import (
    Label,
    Resource,
    label_in,
    labels,
    matches,
    member,
    objects,
    reference_id,
    status,
    text,
    words,
)
from fhir_profiles.terminology import Match

_VOID = frozenset({"entered-in-error", "cancelled", "not-done", "draft", "not-taken", "intended", "unknown"})
_NOW = frozenset({"active", "in-progress", "on-hold"})
_NOT_ORDERS = frozenset({"proposal", "plan", "option"})
_SYMPTOMS = Label(
    phrases=[
        "symptom",
        "symptoms",
        "symptomatic",
        "symptom control",
        "carcinoid syndrome",
        "flushing",
        "diarrhea",
        "diarrhoea",
    ],
)


def read_request(resource: Resource, chart: Chart) -> None:
    """A prescription; a mere proposal is none."""
    if text(resource.get("intent")).lower() not in _NOT_ORDERS:
        _read(resource, chart, dates.parse(resource.get("authoredOn")))


def read_statement(resource: Resource, chart: Chart) -> None:
    """What the patient is said to take."""
    period = resource.get("effectivePeriod")
    when = (
        dates.parse(resource.get("effectiveDateTime"))
        or dates.parse(member(period, "end"))
        or dates.parse(member(period, "start"))
        or dates.parse(resource.get("dateAsserted"))
    )
    _read(resource, chart, when, dates.parse(member(period, "start")))


def read_administration(resource: Resource, chart: Chart) -> None:
    """A dose given; its effect is current for about a cycle."""
    period = resource.get("effectivePeriod")
    when = dates.parse(resource.get("effectiveDateTime")) or dates.parse(member(period, "start"))
    recent = dates.within(when, chart.today, chart.windows.treatment_cycle_days)
    _read(resource, chart, when, current=recent and status(resource) == "completed")


def _read(
    resource: Resource, chart: Chart, when: When | None, started: When | None = None, *, current: bool = False
) -> None:
    state = status(resource)
    concept = _medication(resource, chart)
    if concept is None:
        if state not in _VOID:
            chart.skip(resource, "it refers to a Medication that was not supplied", "current_treatments")
        return
    found = [match for match in matches(concept, chart.terminology) if match.certain]
    how = CODED
    if not found:
        label = label_in(words(concept), labels().medication)
        found, how = ([_by_text(label.concept, chart)] if label else []), TEXT
    future = when is not None and when.first > chart.today
    if state in _VOID or future:
        if found:
            chart.skip(resource, "the date lies in the future" if future else f"status is {state}")
        return
    for match in found:
        evidence = chart.evidence(resource, when, how, match.label)
        event = Event("treatment", when, evidence, current=current or state in _NOW, started=started)
        _take(resource, chart, match, event)


def _take(resource: Resource, chart: Chart, match: Match, event: Event) -> None:
    """What one ingredient says: a treatment of the tumour, or a fact that holds while it is taken."""
    if match.treatment:
        event.procedure = _purpose(match.treatment, resource)
        chart.events.append(event)
    elif event.current:
        for name, value in match.facts.items():
            chart.claim(name, value, resource, when=event.when, how=event.evidence.how, label=match.label)


def _medication(resource: Resource, chart: Chart) -> object | None:
    """The medication's concept: in the resource, contained, supplied beside it, or by the display of the reference."""
    stated: object = resource.get("medicationCodeableConcept")
    if stated is not None:
        return stated
    reference = resource.get("medicationReference")
    target = text(member(reference, "reference"))
    for contained in objects(resource.get("contained")):
        if target and target == f"#{text(contained.get('id'))}":
            return contained.get("code") or {}
    supplied = chart.medications.get(reference_id(reference, "Medication") or "")
    if supplied is not None:
        return supplied.get("code") or {}
    display = text(member(reference, "display"))
    return {"text": display} if display else None


def _by_text(concept: str, chart: Chart) -> Match:
    row = chart.terminology.concepts[concept]
    return Match(
        concept=row.key,
        kind=row.kind,
        label=row.label,
        code="",
        display=row.label,
        certain=False,
        treatment=row.treatment,
        facts=row.facts,
    )


def _purpose(treatment: str, resource: Resource) -> str:
    """A somatostatin analogue is for symptoms only if the record says so."""
    if treatment != "ssa-antiproliferative":
        return treatment
    reasons = " ; ".join(words(reason) for reason in objects(resource.get("reasonCode")))
    symptom = label_in(reasons, [_SYMPTOMS]) is not None
    return "ssa-symptom-control" if symptom else treatment
