"""Calls about patients that a FHIR server holds, with as much of the chart prefetched as a test wants."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import requests

from fhir_profiles.large_chart import large_chart
from fhir_profiles.synthetic import hook_request, is_draft, resources, synthetic_patients
from tests.calling import HOOK_INSTANCE, Answer, without_ids
from tests.fhir.real_server import TOKEN, renamed

Call = dict[str, Any]
HOOKS: Final = (
    "patient-view",
    "order-select",
    "order-sign",
    "order-dispatch",
    "appointment-book",
    "encounter-discharge",
)
SLUGS: Final = tuple(patient.slug for patient in synthetic_patients())
DISPATCHED: Final = "dispatched-"
"""Prefix of the ids of patients whose drafted orders were sent."""
LARGE: Final = "large-"
"""Prefix of the ids of the patient with the large chart."""


def stories(observations: int) -> list[Call]:
    """Every synthetic patient, once more with the orders sent, and one with this many Observations."""
    held: list[Call] = [dict(patient.bundle) for patient in synthetic_patients()]
    held += [renamed(story, DISPATCHED) for story in held]
    held.append(renamed(large_chart(observations), LARGE))
    for story in held:
        for resource in resources(story):
            if is_draft(resource) and resource["id"].startswith(DISPATCHED):
                resource["status"] = "active"
    return held


def authorization(scope: str = "user/*.read") -> dict[str, Any]:
    """What an EHR adds to a call so that the service may read."""
    return {"access_token": TOKEN, "token_type": "Bearer", "expires_in": 300, "scope": scope, "subject": "pnet-cds"}


def get(server: str, query: str) -> Any:
    """One page, as the EHR's own prefetch engine would ask for it."""
    url = query if query.startswith("http") else f"{server}/{query}"
    answer = requests.get(url, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60)
    return answer.json() if answer.ok else None


def filled(template: str, context: Mapping[str, Any]) -> str | None:
    """The template as the EHR fills it."""
    for name in ("patientId", "encounterId"):
        token = "{{context." + name + "}}"
        if token in template:
            if not context.get(name):
                return None
            template = template.replace(token, context[name])
    return template


@cache
def in_full(server: str, query: str) -> Any:
    """What an EHR prefetches when it sends everything; charts do not change while they are read."""
    page = get(server, f"{query}&_count=1000" if "?" in query else query)
    if not page or page["resourceType"] != "Bundle":
        return page
    entries, link = list(page.get("entry", ())), page["link"]
    while following := next((item["url"] for item in link if item["relation"] == "next"), None):
        more = get(server, following)
        entries += more["entry"]
        link = more["link"]
    return {"resourceType": "Bundle", "type": "searchset", "total": len(entries), "entry": entries}


def call(slug: str, hook: str, prefix: str, advertised: Mapping[str, Mapping[str, str]], server: str) -> Call:
    """A call about a patient the server holds, with everything prefetched and the right to read."""
    story = next(patient.bundle for patient in synthetic_patients() if patient.slug == slug)
    made = hook_request(renamed(story, prefix), hook, advertised[hook], HOOK_INSTANCE, starts="2026-12-01")
    queries = {key: filled(template, made["context"]) for key, template in advertised[hook].items()}
    made["prefetch"] = {key: in_full(server, query) if query else None for key, query in queries.items()}
    return copy.deepcopy(made) | {"fhirServer": server, "fhirAuthorization": authorization()}


def same(one: Answer, other: Answer) -> None:
    """Both calls were answered, alike to the letter but for identifiers."""
    assert (one.status, other.status) == (200, 200), (one.body, other.body)
    assert without_ids(one.json()) == without_ids(other.json())


def first_pages(made: Call, server: str, advertised: Mapping[str, str], count: int) -> None:
    """Cut every prefetched search to its first page, as many EHRs send it."""
    for key, template in advertised.items():
        query = filled(template, made["context"])
        if query and "?" in query:
            made["prefetch"][key] = get(server, f"{query}&_count={count}")


def failed(code: str) -> Call:
    """What a client sends in place of data it could not get."""
    return {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": code}]}
