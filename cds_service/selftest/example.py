"""Well-formed calls about a synthetic patient, for any hook whose context is known, with any prefetch filled."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any, Final
from uuid import uuid4

from cds_service.store.base import SyntheticPatient
from fhir_profiles.synthetic import USER, hook_request, is_draft, moved_to, resources

HOOKS: Final = (
    "patient-view",
    "order-select",
    "order-sign",
    "order-dispatch",
    "appointment-book",
    "encounter-start",
    "encounter-discharge",
    "problem-list-item-create",
    "order-review",
)
"""Hooks whose context can be made from a synthetic patient (CH-155 to CH-167)."""

_BOOKED_AHEAD_DAYS: Final = 14
_TOKEN: Final = re.compile(r"\{\{([^{}]*)\}\}")
_CODED: Final = ("category", "status", "code", "clinical-status", "_id")
"""Search parameters that are honoured; a client may send more than was asked for, never less (CH-060)."""


def example(patient: SyntheticPatient, hook: str, templates: Mapping[str, Any], today: date) -> dict[str, Any] | None:
    """The call an EHR would make today; None when the context of the hook is not known."""
    if hook not in HOOKS:
        return None
    bundle = moved_to(patient.bundle, date.fromisoformat(patient.as_of), today)
    starts = (today + timedelta(days=_BOOKED_AHEAD_DAYS)).isoformat()
    request = hook_request(bundle, hook, {}, str(uuid4()), starts=starts)
    chart = resources(bundle)
    drafts = [resource for resource in chart if is_draft(resource)]
    if hook == "problem-list-item-create":
        request["context"]["conditions"] = _collection(r for r in chart if r["resourceType"] == "Condition")
    if hook == "order-review":
        request["context"]["orders"] = _collection(iter(drafts))
    kept = [resource for resource in chart if not is_draft(resource)] + [_user(), _performer()]
    if hook == "order-dispatch":
        kept += [{**draft, "status": "active"} for draft in drafts]
    request["prefetch"] = filled(templates, kept, request["context"])
    if not request["prefetch"]:
        del request["prefetch"]
    return request


def filled(templates: Mapping[str, Any], chart: list[dict[str, Any]], context: Mapping[str, Any]) -> dict[str, Any]:
    """The prefetch a client with this chart sends; a key whose tokens have no value is left out (CH-053)."""
    values = {f"context.{name}": value for name, value in context.items()} | {
        "userPractitionerId": USER.partition("/")[2]
    }
    found: dict[str, Any] = {}
    for key, template in templates.items():
        query = _substituted(template, values) if isinstance(template, str) else None
        if query is not None:
            found[key] = _answer(query, chart)
    return found


def _substituted(template: str, values: Mapping[str, Any]) -> str | None:
    query = template
    for token in _TOKEN.findall(template):
        value = values.get(token)
        if isinstance(value, list):
            value = ",".join(item for item in value if isinstance(item, str))
        if not isinstance(value, str):
            return None
        query = query.replace(f"{{{{{token}}}}}", value)
    return query


def _answer(query: str, chart: list[dict[str, Any]]) -> dict[str, Any] | None:
    """What a FHIR server with this chart answers to a read or a search."""
    path, _, parameters = query.partition("?")
    kind, _, identifier = path.partition("/")
    if identifier:
        return next((r for r in chart if r["resourceType"] == kind and r.get("id") == identifier), None)
    asked = [part.partition("=")[::2] for part in parameters.split("&")]
    wanted = [(name, value.split(",")) for name, value in asked if name in _CODED]
    found = [r for r in chart if r["resourceType"] == kind and all(_fits(r, *one) for one in wanted)]
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset", "total": len(found)}
    return bundle | ({"entry": [{"resource": r} for r in found]} if found else {})


def _fits(resource: Mapping[str, Any], name: str, wanted: list[str]) -> bool:
    member = {"_id": "id", "clinical-status": "clinicalStatus"}.get(name, name)
    codes = set(_codes(resource.get(member)))
    return any(token in codes or token.rpartition("|")[2] in codes for token in wanted)


def _codes(value: Any) -> Iterator[str]:
    """The codes in an element: a code, a concept, or several of them; with and without their systems."""
    if isinstance(value, str):
        yield value
    for concept in value if isinstance(value, list) else [value]:
        for coding in concept.get("coding", []) if isinstance(concept, dict) else []:
            yield str(coding.get("code"))
            yield f"{coding.get('system')}|{coding.get('code')}"


def _collection(held: Iterator[dict[str, Any]]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": item} for item in held]}


def _user() -> dict[str, Any]:
    kind, _, identifier = USER.partition("/")
    return {"resourceType": kind, "id": identifier, "name": [{"family": "Example", "given": ["Robin"]}]}


def _performer() -> dict[str, Any]:
    return {"resourceType": "Organization", "id": "demo-imaging", "name": "Imaging, invented"}
