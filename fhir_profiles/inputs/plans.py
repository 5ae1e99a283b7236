"""What is planned: active ServiceRequests for operations, CarePlans under active surveillance."""

from __future__ import annotations

from fhir_profiles import dates
from fhir_profiles.chart import TEXT, Chart
from fhir_profiles.dates import When
from fhir_profiles.inputs.conditions import SURVEILLANCE, under_surveillance
from fhir_profiles.inputs.procedures import plan
from fhir_profiles.reading import Resource, matches, member, objects, status, text, word_of, words


def read_request(resource: Resource, chart: Chart) -> None:
    """A planned operation; drafts of the call are read elsewhere."""
    if status(resource) != "active" or resource.get("doNotPerform") is True:
        return
    when = dates.parse(resource.get("authoredOn"))
    for match in matches(resource.get("code"), chart.terminology):
        plan(resource, match, chart, when)
    _surveillance(resource, chart, [resource.get("code")], when)


def read_care_plan(resource: Resource, chart: Chart) -> None:
    """Active surveillance as the strategy."""
    if status(resource) != "active":
        return
    when = dates.parse(resource.get("created")) or dates.parse(member(resource.get("period"), "start"))
    _surveillance(resource, chart, [*objects(resource.get("category")), text(resource.get("title"))], when)


def _surveillance(resource: Resource, chart: Chart, concepts: list[object], when: When | None) -> None:
    for concept in concepts:
        if word_of(concept) == "active-surveillance" or under_surveillance(words(concept)):
            label = words(concept) or SURVEILLANCE[0]
            chart.claim("management_strategy", "active-surveillance", resource, when=when, how=TEXT, label=label)
            return
