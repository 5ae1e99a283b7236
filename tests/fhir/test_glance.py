"""What is only glanced at, or left for later, is answered as if everything had been read.

A call with a key that nobody asked for is read without a glance, entry by entry; the key itself changes nothing.
"""

from __future__ import annotations

import copy
import json
from itertools import count
from random import Random
from typing import Any, Final

import msgspec
import pytest

from cds_service.errors import RequestError
from cds_service.fhir.prefetch import receive
from cds_service.knowledge import load_knowledge
from cds_service.pipeline import Parts, answer, prefetch_templates
from cds_service.protocol.glance import Glances, Prefetch
from cds_service.protocol.request import parse_request
from cds_service.service import HookService, Input, Need
from fhir_profiles.large_chart import LAST, large_chart
from fhir_profiles.synthetic import hook_request, is_draft, resources, synthetic_patients
from fhir_profiles.terminology import load_terminology
from hooks import SERVICES, order_sign
from tests.calling import HOOK_INSTANCE
from tests.damage import damages
from tests.fuzz.mutation import mutated

Resource = dict[str, Any]
OBSERVATIONS: Final = 25
RESULTS: Final = Input("laboratory", "Observation?patient={{context.patientId}}&category=laboratory")
GLANCES: Final = Glances(("laboratory", "patient"), {"laboratory": "Observation"})
WITHOUT: Final = "without a tumour"
STORIES: Final = {
    **{patient.slug: large_chart(OBSERVATIONS, slug=patient.slug) for patient in synthetic_patients()},
    WITHOUT: large_chart(OBSERVATIONS),
}


def chart(story: str) -> Resource:
    """The chart of a story; of the one without a tumour, what does not speak of it."""
    bundle = copy.deepcopy(STORIES[story])
    if story == WITHOUT:
        bundle["entry"] = [entry for entry in bundle["entry"] if _is_harmless(entry["resource"])]
        for resource in resources(bundle):
            resource.pop("reasonCode", None)
    return bundle


def _is_harmless(resource: Resource) -> bool:
    kept = ("itl-patient", "itl-enc", "itl-htn", "itl-stone")
    return resource["id"] in kept or "-bulk-" in resource["id"] or is_draft(resource)


def body(bundle: Resource, service: HookService, damaged: tuple[Resource, Any] | None = None) -> bytes:
    """The call of a service about a chart, with one of its resources damaged on the way."""
    templates = prefetch_templates(service)
    starts = LAST.date().isoformat() if service.hook == "appointment-book" else ""
    request = hook_request(bundle, service.hook, templates, HOOK_INSTANCE, starts=starts)
    for value in request["prefetch"].values():
        for entry in (value or {}).get("entry", ()):
            if damaged is not None and entry["resource"] is damaged[0]:
                entry["resource"] = damaged[1]
    return json.dumps(request).encode()


def answered(service: HookService, call: bytes) -> bytes:
    """Everything the pipeline makes of a call, ids counted."""
    number = count()
    parts = Parts(load_knowledge(), load_terminology(), LAST.date, lambda: str(next(number)))
    try:
        outcome = answer(service, call, parts)
    except RequestError as error:
        return repr(error).encode()
    told = (outcome.body, outcome.defects, outcome.skipped, outcome.unavailable, outcome.assessment is None)
    return msgspec.json.encode(told)


def same_without_a_glance(service: HookService, call: bytes) -> bool:
    """Whether the call is answered as it is when everything in it is read."""
    return answered(service, call) == answered(
        service, call.replace(b'"prefetch": {', b'"prefetch": {"more": null, ', 1)
    )


@pytest.mark.parametrize("story", STORIES)
def test_charts_are_answered_alike(story: str) -> None:
    """Every hook, and every hook when the Conditions are not to be had, so that nothing says there is no tumour."""
    for service in SERVICES:
        call = body(chart(story), service)
        assert b'"more"' not in call
        assert same_without_a_glance(service, call)
        failed = json.loads(call)
        failed["prefetch"]["conditions"] = {"resourceType": "OperationOutcome", "issue": [{"severity": "error"}]}
        assert same_without_a_glance(service, json.dumps(failed).encode())


@pytest.mark.parametrize("story", STORIES)
def test_damaged_results_are_answered_alike(story: str) -> None:
    """What is damaged in a result is told, or is of no matter, whichever way it was read."""
    bundle, random = chart(story), Random(story)  # noqa: S311 - reproducible, not secret
    results = [resource for resource in resources(bundle) if resource["resourceType"] == "Observation"]
    every = [(result, damage) for result in results for damage in damages(result)]
    for result, damage in random.sample(every, 12):
        call = body(bundle, order_sign.SERVICE, (result, damage.of(result)))
        assert same_without_a_glance(order_sign.SERVICE, call), damage


@pytest.mark.parametrize("story", STORIES)
def test_mutated_calls_are_answered_alike(story: str) -> None:
    """Anything may stand anywhere, also in the Bundle itself."""
    call = body(chart(story), order_sign.SERVICE)
    for seed in range(12):
        assert same_without_a_glance(order_sign.SERVICE, mutated(call, seed)), seed


def glanced(*observations: Any, **more: Any) -> Prefetch:
    """What is found in a call with these laboratory results; a number too large for any program stands for "@"."""
    bundle = {"resourceType": "Bundle", "entry": [{"resource": resource} for resource in observations], **more}
    request = {
        "hook": "patient-view",
        "hookInstance": HOOK_INSTANCE,
        "context": {"patientId": "p1", "userId": "Practitioner/x"},
        "prefetch": {"laboratory": bundle, "patient": {"resourceType": "Patient", "id": "p1"}},
    }
    call = json.dumps(request).replace('"@"', "1e999").encode()
    found = parse_request(call, "patient-view", GLANCES).prefetch
    assert isinstance(found, Prefetch)
    return found


def observation(number: str, code: str) -> Resource:
    """An Observation whose code is a word."""
    return {"resourceType": "Observation", "id": number, "code": {"text": code}}


def need(code: bytes) -> int:
    """The need that the word is."""
    return Need[json.loads(code)["text"]]


def test_only_what_is_needed_is_read_and_the_rest_when_it_is() -> None:
    """A result of no interest is never read; one for later, once."""
    sent = [observation("a", "NO"), observation("b", "LATER"), observation("c", "YES")]
    found = receive(glanced(*sent), [RESULTS], {"Observation": need})
    assert (found.resources, found.unread, found.unavailable) == ([sent[2]], 1, ())
    assert found.read_later()
    assert found.resources == [sent[2], sent[1]]
    assert not found.read_later()


def test_a_result_for_later_that_cannot_be_read_leaves_its_key_incomplete() -> None:
    """And is told: what it held is unknown."""
    sent = glanced(observation("a", "YES"), {**observation("b", "LATER"), "value": "@"})
    found = receive(sent, [RESULTS], {"Observation": need})
    assert not found.unavailable
    assert found.read_later()
    assert list(found.unavailable) == ["laboratory"]
    assert len(found.skipped) == 1


def test_whatever_is_lacking_is_read_at_once() -> None:
    """What the FHIR server is asked for depends on what could be read."""
    link = [{"relation": "next", "url": "https://ehr.example.org/fhir?p=2"}]
    sent = [observation("a", "LATER"), observation("b", "YES")]
    found = receive(glanced(*sent, link=link), [RESULTS], {"Observation": need})
    assert (found.resources, found.later) == ([sent[1], sent[0]], [])
    assert found.gaps["laboratory"].next == link[0]["url"]


def test_a_value_that_was_glanced_at_can_be_had_whole() -> None:
    """A Bundle that a server left something out of is read as any other."""
    cut = {**observation("a", "NO"), "meta": {"tag": [{"code": "SUBSETTED"}]}}
    prefetch = glanced(cut)
    assert json.loads(bytes(prefetch["laboratory"]))["entry"] == [{"resource": cut}]
    assert (list(prefetch), len(prefetch)) == (["laboratory", "patient"], 2)
    found = receive(prefetch, [RESULTS], {"Observation": need})
    assert (found.unavailable, found.resources) == (("laboratory",), [cut])
