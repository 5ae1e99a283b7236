"""The calls that are measured: charts of many sizes, each about another patient."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from itertools import cycle
from typing import Any, Final
from uuid import UUID

import msgspec

from cds_service.pipeline import prefetch_templates
from cds_service.service import HookService
from fhir_profiles.large_chart import LAST, large_chart
from fhir_profiles.synthetic import hook_request, is_draft, moved_to, synthetic_patients
from hooks import order_select, order_sign, patient_view

SIZES: Final = (50, 500, 5000)
SERVICES: Final = (patient_view.SERVICE, order_select.SERVICE, order_sign.SERVICE)
"""In the order in which an EHR calls them about one patient."""
STORY: Final = "incidental-tail-lesion"
MIXED: Final = "mixed"
WITHOUT: Final = "no-tumour"
_HARMLESS: Final = frozenset(
    {"itl-patient", "itl-enc", "itl-htn", "itl-stone", "itl-glu", "itl-weight", "itl-amlodipine"}
)
_KI67: Final = "29593-1"
_RECENT_DAYS: Final = 20


@dataclass(frozen=True, slots=True)
class Call:
    """One call as it goes over the wire."""

    service: str
    body: bytes

    @property
    def path(self) -> str:
        """Where it is posted."""
        return f"/cds-services/{self.service}"


def calls(kind: str, size: int, service: HookService, count: int, today: date, first: int = 0) -> Iterator[Call]:
    """Calls about so many patients, no two of them alike.

    Args:
        kind: ``STORY`` (a patient with a tumour), ``MIXED`` (the patients of all stories in turn) or ``WITHOUT``.
        size: Observations added to each chart.
        service: the service that is called.
        count: how many patients.
        today: the day of the calls.
        first: number of the first patient; the same number is the same patient.
    """
    slugs = cycle([patient.slug for patient in synthetic_patients()] if kind == MIXED else [STORY])
    for number, slug in zip(range(first, first + count), slugs, strict=False):
        chart = _chart(slug, size, without=kind == WITHOUT)
        moved = moved_to(chart, LAST.date(), today - timedelta(days=1 + number % _RECENT_DAYS))
        request = hook_request(_person(moved, number), service.hook, prefetch_templates(service), str(UUID(int=number)))
        prefix = f'"{_patient(moved).partition("-")[0]}-'.encode()
        reference = b"/" + prefix[1:]
        body = msgspec.json.encode(request)
        body = body.replace(prefix, b'"n%d-' % number).replace(reference, b"/n%d-" % number)
        yield Call(service.id, body)


@cache
def _chart(slug: str, size: int, *, without: bool) -> dict[str, Any]:
    bundle = large_chart(size, slug=slug)
    if without:
        bundle["entry"] = [entry for entry in bundle["entry"] if _is_harmless(entry["resource"])]
        for entry in bundle["entry"]:
            entry["resource"].pop("reasonCode", None)
            entry["resource"].pop("reasonReference", None)
    return bundle


def _is_harmless(resource: dict[str, Any]) -> bool:
    """Whether the resource says nothing of a tumour; the draft order is kept without its reasons."""
    return resource["id"] in _HARMLESS or "-bulk-" in resource["id"] or is_draft(resource)


def _patient(bundle: dict[str, Any]) -> str:
    return str(next(e["resource"]["id"] for e in bundle["entry"] if e["resource"]["resourceType"] == "Patient"))


def _person(bundle: dict[str, Any], number: int) -> dict[str, Any]:
    """The chart with an age and a Ki-67 of the patient's own."""
    entries = []
    for entry in bundle["entry"]:
        resource = entry["resource"]
        if resource["resourceType"] == "Patient":
            born = date.fromisoformat(resource["birthDate"]) - timedelta(days=37 * number % 3000)
            resource = {**resource, "birthDate": born.isoformat()}
        elif _KI67 in str(resource.get("code")) and "valueQuantity" in resource:
            value = round(resource["valueQuantity"]["value"] + number % 97 / 100, 2)
            resource = {**resource, "valueQuantity": {**resource["valueQuantity"], "value": value}}
        entries.append({"resource": resource})
    return {**bundle, "entry": entries}
