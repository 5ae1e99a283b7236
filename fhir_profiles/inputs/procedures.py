"""Procedures: operations, liver-directed and radionuclide treatments, imaging done, devices implanted."""

from __future__ import annotations

from fhir_profiles import dates
from fhir_profiles.chart import CODED, TEXT, Chart, Event
from fhir_profiles.dates import When
from fhir_profiles.inputs import imaging
from fhir_profiles.reading import Resource, label_in, labels, matches, member, performed, status, words
from fhir_profiles.terminology import Match

_DONE = frozenset({"completed"})
_RUNNING = frozenset({"in-progress"})
_PLANNED = frozenset({"preparation"})
_VOID = frozenset({"entered-in-error", "not-done"})


def read(resource: Resource, chart: Chart) -> None:
    """Facts and events from one Procedure; only completed ones count as done."""
    found = matches(resource.get("code"), chart.terminology)
    written = words(resource.get("code"))
    state = status(resource)
    if state in _VOID:
        if any(match.facts or match.role or match.procedure for match in found):
            chart.skip(resource, f"status is {state}")
        return
    for match in found:
        if not match.certain and not _agent_named(match, written):
            continue
        if state in _PLANNED:
            plan(resource, match, chart, performed(resource))
        elif state in _DONE or state in _RUNNING or not state:
            _done(resource, match, chart, running=state in _RUNNING)
    if state in _RUNNING and label_in(written, labels().dialysis):
        chart.claim("dialysis", True, resource, when=performed(resource), how=TEXT, label=written)
    imaging.read_done(resource, chart, resource.get("code"), performed(resource), state in _DONE)


def _agent_named(match: Match, written: str) -> bool:
    """A therapeutic code that names no agent counts only when the text does."""
    if match.treatment == "prrt":
        label = label_in(written, labels().medication)
        return label is not None and label.concept == "med-lu177-dotatate"
    return False


def plan(resource: Resource, match: Match, chart: Chart, when: When | None) -> None:
    """A planned operation, and when it was planned."""
    if match.role == "resection":
        chart.claim("resection_planned", True, resource, when=when, label=match.display)
        chart.claim("management_strategy", "surgery-planned", resource, when=when, label=match.display)
    elif match.role == "liver-surgery":
        chart.claim("liver_surgery_planned", True, resource, when=when, label=match.display)


def _done(resource: Resource, match: Match, chart: Chart, *, running: bool) -> None:
    when = performed(resource)
    if when is not None and when.first > chart.today:
        chart.skip(resource, "performed date lies in the future")
        return
    evidence = chart.evidence(resource, when, CODED if match.certain else TEXT, match.display)
    if match.role in ("resection", "liver-surgery"):
        chart.events.append(Event(match.role, when, evidence))
    if match.treatment:
        begun = dates.parse(member(resource.get("performedPeriod"), "start"))
        chart.events.append(
            Event("treatment", when, evidence, procedure=match.treatment, current=running, started=begun)
        )
    if match.role == "implant":
        chart.implants.append((match.facts["implant"], resource, match.display))
        return
    for name, value in match.facts.items():
        chart.claim(name, value, resource, when=when, label=match.display)
