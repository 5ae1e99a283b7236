"""Prefetch as an EHR fills it: each advertised template, asked from its FHIR server page after page."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cds_service.domain.terms import Lack
from cds_service.ehr.remote import FhirServer, resources
from cds_service.errors import CallInvalid
from cds_service.fhir.client import Fetched
from cds_service.fhir.search import fill
from fhir_profiles.reading import member, objects

_USERS: Final = {
    "Practitioner": "userPractitionerId",
    "PractitionerRole": "userPractitionerRoleId",
    "Patient": "userPatientId",
    "RelatedPerson": "userRelatedPersonId",
}
"""Tokens that have a value for users of a type only (CH-053)."""


@dataclass(slots=True)
class Filled:
    """What goes with a call.

    Attributes:
        prefetch: resource or Bundle by key.
        left_out: why other keys are not there: a query that failed is left out, so that the service asks itself.
        cut: why a Bundle ends before the last page; its next link says where to go on (CH-059).
    """

    prefetch: dict[str, Any] = field(default_factory=dict)
    left_out: dict[str, Lack] = field(default_factory=dict)
    cut: dict[str, Lack] = field(default_factory=dict)


def fill_prefetch(
    templates: Mapping[str, Any],
    context: Mapping[str, Any],
    user: str,
    server: FhirServer,
    *,
    only: Collection[str] | None = None,
    follow: bool = True,
) -> Filled:
    """Ask the FHIR server what a service wants to know before it is called.

    Args:
        templates: by key, from discovery.
        context: the context of the call.
        user: who is logged in, as ``Type/id``.
        server: the EHR's FHIR server.
        only: keys to fill; None for all.
        follow: whether the pages after the first are read as well.

    Raises:
        CallInvalid: a key of ``only`` is none that the service advertises.
    """
    if only is not None and (unknown := sorted(set(only) - set(templates))):
        raise CallInvalid(f"--prefetch: the service asks for {', '.join(sorted(templates))}, not {', '.join(unknown)}.")
    values = _values(context, user)
    wanted = {
        key: fill(query, values)
        for key, query in templates.items()
        if isinstance(query, str) and (only is None or key in only)
    }
    queries = {key: query for key, query in wanted.items() if query is not None}
    filled = Filled()
    for key, fetched in (server.read(queries) if follow else server.read(queries, pages=1)).items():
        _add(key, fetched, filled)
    return filled


def _values(context: Mapping[str, Any], user: str) -> dict[str, str | None]:
    """By token; only what has one plain value in the context is one (CH-052)."""
    values: dict[str, str | None] = {
        f"context.{name}": value for name, value in context.items() if isinstance(value, str)
    }
    kind, _, identifier = user.partition("/")
    if kind in _USERS:
        values[_USERS[kind]] = identifier
    return values


def _add(key: str, fetched: Fetched, filled: Filled) -> None:
    if not fetched.pages:
        filled.left_out[key] = fetched.lack or Lack.NOT_FHIR
        return
    first, last = json.loads(fetched.pages[0]), json.loads(fetched.pages[-1])
    if first.get("resourceType") == "Bundle":
        first["entry"] = [{"resource": resource} for resource in resources(fetched)]
        first["link"] = [link for link in objects(member(first, "link")) if link.get("relation") == "self"]
        if fetched.lack is not None:
            first["link"] += [link for link in objects(member(last, "link")) if link.get("relation") == "next"]
            filled.cut[key] = fetched.lack
        for name in ("entry", "link"):
            if not first[name]:
                del first[name]
    filled.prefetch[key] = first
