"""Whatever FHIR this project hands out is R4 in the eyes of both validators."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

import pytest

from cds_service.artefacts import artefacts
from cds_service.domain.terms import FHIR_BASE
from cds_service.knowledge import load_knowledge
from cds_service.reports.audit import audit_event, provenances
from cds_service.store.base import SuggestedOrder
from fhir_profiles.pama import RATING
from fhir_profiles.synthetic import resources, synthetic_patients
from fhir_profiles.terminology import load_terminology
from tests.calling import Answer, InProcess, post, synthetic_request
from tests.fhir.reading import HOOKS, SLUGS
from tests.store.records import CARDS, CONSULT
from tests.validators.false_alarms import FALSE_ALARMS, alarm
from tests.validators.finding import Validator

Templates = Mapping[str, Mapping[str, str]]
Validators = Mapping[str, Validator]


def errors(given: list[dict[str, Any]], validators: Validators) -> list[str]:
    """What validators object to, but for the listed false alarms; all resources have an id from here on."""
    assert given
    return [
        f"{name}: {resource['resourceType']} {found.where}: {found.message} ({found.code})"
        for resource in given
        for name, validator in validators.items()
        for found in validator.problems(resource, profile_of(resource))
        if alarm(name, found) is None
    ]


def profile_of(resource: Mapping[str, Any]) -> str | None:
    """The profile of an order this service writes: with a rating, or as a suggestion without an id."""
    if resource["resourceType"] != "ServiceRequest" or resource.get("status") != "draft":
        return None
    if any(extension["url"] == RATING for extension in resource.get("extension", ())):
        return f"{FHIR_BASE}/StructureDefinition/rated-order"
    return None if "id" in resource else f"{FHIR_BASE}/StructureDefinition/suggested-order"


@pytest.mark.parametrize("slug", SLUGS)
def test_synthetic_patients(slug: str, validators: Validators) -> None:
    """Every resource of every story."""
    story = next(patient.bundle for patient in synthetic_patients() if patient.slug == slug)
    assert errors(resources(story), validators) == []


def orders(answer: Answer) -> Iterator[dict[str, Any]]:
    """The orders an answer would have the client create or update."""
    assert answer.status == 200, answer.body
    body = answer.json()
    for card in body["cards"]:
        for suggestion in card.get("suggestions", []):
            yield from (action["resource"] for action in suggestion["actions"] if "resource" in action)
    for place in (body, body.get("extension", {})):
        yield from (action["resource"] for action in place.get("systemActions", []))


@pytest.mark.parametrize("hook", HOOKS)
def test_orders(hook: str, local: InProcess, advertised: Templates, validators: Validators) -> None:
    """Suggested orders with and without rating, and rated drafts, of every story."""
    found: list[dict[str, Any]] = []
    for slug in SLUGS:
        found += orders(post(local, hook, synthetic_request(slug, hook, advertised)))
    assert not found or errors(found, validators) == []
    assert bool(found) == (hook in ORDERING)


ORDERING: Final = frozenset({"patient-view", "order-select", "order-sign", "encounter-discharge"})
"""Hooks on which at least one story leads to an order."""


def test_operation_outcomes(local: InProcess, advertised: Templates, validators: Validators) -> None:
    """Errors of every kind a caller may meet."""
    call = synthetic_request("incidental-tail-lesion", "order-sign", advertised)
    refused = [
        post(local, "order-sign", b"{"),
        post(local, "order-sign", b"\xff"),
        post(local, "order-sign", b"[]"),
        post(local, "order-sign", call, media_type="text/plain"),
        post(local, "order-sign", call | {"hook": "patient-view"}),
        post(local, "order-sign", call | {"prefetch": {}}),
        post(local, "order-sign", call | {"context": {}}),
        post(local, "no-such-hook", call),
        local.request("DELETE", "/cds-services"),
        local.request("GET", "/nowhere"),
        local.request("POST", "/cds-services/pnet-order-sign/feedback", b"{}"),
    ]
    assert all(answer.status >= 400 for answer in refused)
    assert errors([answer.json() for answer in refused], validators) == []


def test_audit(validators: Validators) -> None:
    """What ``pnet-cds audit export --provenance`` writes, about a full consult and about one that lacks everything."""
    consults = (
        CONSULT,
        replace(CONSULT, client="", patient="", unavailable=(), ratings={}, rules=(), cards=()),
        replace(CONSULT, cards=(replace(CARDS[0], orders=(SuggestedOrder("suggestion-1", (), ""),)),)),
    )
    written = [resource for consult in consults for resource in (audit_event(consult), *provenances(consult))]
    assert errors(written, validators) == []


def test_false_alarms_are_still_raised(local: InProcess, advertised: Templates, validators: Validators) -> None:
    """One that no longer is goes from the list; each says why it is one."""
    rated = orders(post(local, "order-sign", synthetic_request("incidental-tail-lesion", "order-sign", advertised)))
    raised = {
        alarm(name, found)
        for resource in (*rated, audit_event(CONSULT), *artefacts(load_knowledge(), load_terminology()))
        for name, validator in validators.items()
        for found in validator.problems(resource, profile_of(resource))
    }
    assert raised == set(FALSE_ALARMS)
    assert all(listed.reason for listed in FALSE_ALARMS)
