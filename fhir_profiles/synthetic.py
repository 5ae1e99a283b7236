"""The bundled synthetic patients, and the EHR's side of a call about one of them."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from functools import cache
from importlib.resources import files
from typing import Any

from cds_service.store.base import SyntheticPatient
from fhir_profiles.contexts import hook_context

_DATE = re.compile(r"^(\d{4}-\d{2}-\d{2})(T.*)?$")
_FOLDER = "examples"
USER = "Practitioner/demo"
PERFORMER = "Organization/demo-imaging"


@cache
def synthetic_patients() -> tuple[SyntheticPatient, ...]:
    """All bundled patients, by slug."""
    folder = files("fhir_profiles") / _FOLDER
    index = tomllib.loads((folder / "index.toml").read_text(encoding="utf-8"))
    return tuple(
        SyntheticPatient(
            entry["slug"],
            entry["title"],
            entry["story"],
            entry["as_of"],
            entry["hook"],
            json.loads((folder / f"{entry['slug']}.json").read_text(encoding="utf-8")),
        )
        for entry in sorted(index["patient"], key=lambda entry: str(entry["slug"]))
    )


def moved_to(bundle: Mapping[str, Any], as_of: date, today: date) -> dict[str, Any]:
    """The story moved in time so that its day is today: every full date is shifted by the same number of days."""
    shift = today - as_of
    moved: dict[str, Any] = _shift(bundle, shift) if shift else dict(bundle)
    return moved


def _shift(value: Any, by: timedelta) -> Any:
    if isinstance(value, dict):
        return {name: _shift(item, by) for name, item in value.items()}
    if isinstance(value, list):
        return [_shift(item, by) for item in value]
    if isinstance(value, str) and (found := _DATE.match(value)):
        return (date.fromisoformat(found.group(1)) + by).isoformat() + (found.group(2) or "")
    return value


def resources(bundle: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The resources of a Bundle."""
    return [entry["resource"] for entry in bundle["entry"]]


def is_draft(resource: Mapping[str, Any]) -> bool:
    """Whether a resource is what the clinician is about to order."""
    return resource["resourceType"] == "ServiceRequest" and resource.get("status") == "draft"


def hook_request(
    bundle: Mapping[str, Any],
    hook: str,
    templates: Mapping[str, str],
    hook_instance: str,
    *,
    starts: str = "",
) -> dict[str, Any]:
    """The call an EHR holding this chart would send, with every prefetch template filled as advertised.

    Args:
        bundle: the chart, with the draft orders of the story.
        hook: the hook to fire.
        templates: prefetch templates by key, from discovery.
        hook_instance: UUID of the call.
        starts: date of the proposed appointment (appointment-book).
    """
    chart = resources(bundle)
    patient = next(resource["id"] for resource in chart if resource["resourceType"] == "Patient")
    encounter = next((r["id"] for r in chart if r["resourceType"] == "Encounter"), None)
    drafts = [resource for resource in chart if is_draft(resource)]
    kept = [resource for resource in chart if not is_draft(resource)]
    context = hook_context(
        hook,
        patient,
        drafts,
        user=USER,
        encounter=encounter,
        performer=PERFORMER,
        starts=f"{starts}T09:00:00Z" if starts else "",
    )
    if hook == "order-dispatch":
        kept += [{**draft, "status": "active"} for draft in drafts]
    return {
        "hook": hook,
        "hookInstance": hook_instance,
        "context": context,
        "prefetch": {key: _fill(template, kept, context) for key, template in templates.items()},
    }


def _fill(template: str, chart: list[dict[str, Any]], context: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the chart answers to one prefetch template."""
    path, _, query = template.partition("?")
    kind, _, token = path.partition("/")
    if token:
        wanted = context.get(token.removeprefix("{{context.").removesuffix("}}"))
        return next((r for r in chart if r["resourceType"] == kind and r["id"] == wanted), None)
    return searched(chart, kind, dict(part.partition("=")[::2] for part in query.split("&")))


def searched(chart: list[dict[str, Any]], kind: str, parameters: Mapping[str, str]) -> dict[str, Any]:
    """What the chart of one patient answers to a search by the parameters that our queries use."""
    found = [r for r in chart if r["resourceType"] == kind and _fits(r, parameters)]
    answer: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset", "total": len(found)}
    return answer | ({"entry": [{"resource": r} for r in found]} if found else {})


def _fits(resource: Mapping[str, Any], parameters: Mapping[str, str]) -> bool:
    category = parameters.get("category")
    if category is not None and set(category.split(",")).isdisjoint(_categories(resource)):
        return False
    return parameters.get("status") in (None, resource.get("status"))


def _categories(resource: Mapping[str, Any]) -> Iterator[str]:
    value = resource.get("category")
    for concept in value if isinstance(value, list) else [value]:
        for coding in (concept or {}).get("coding", []):
            yield coding.get("code", "")
