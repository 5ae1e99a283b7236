"""What is planned: active ServiceRequests for operations, CarePlans under active surveillance."""

from __future__ import annotations

from fhir_profiles.chart import Chart
from fhir_profiles.inputs.procedures import plan
from fhir_profiles.reading import Resource, matches, normal_text, objects, says, status, text, word_of, words

_SURVEILLANCE = ["active surveillance", "watchful waiting", "active-surveillance"]


def read_request(resource: Resource, chart: Chart) -> None:
    """A planned operation; drafts of the call are read elsewhere."""
    if status(resource) != "active" or resource.get("doNotPerform") is True:
        return
    for match in matches(resource.get("code"), chart.terminology):
        plan(resource, match, chart)
    _surveillance(resource, chart, [resource.get("code")])


def read_care_plan(resource: Resource, chart: Chart) -> None:
    """Active surveillance as the strategy."""
    if status(resource) != "active":
        return
    _surveillance(resource, chart, [*objects(resource.get("category")), text(resource.get("title"))])


def _surveillance(resource: Resource, chart: Chart, concepts: list[object]) -> None:
    for concept in concepts:
        if word_of(concept) == "active-surveillance" or says(normal_text(words(concept)), _SURVEILLANCE):
            chart.claim("management_strategy", "active-surveillance", resource, how="text", label=words(concept))
            return
