"""The synthetic patients on a FHIR server that others use too: marked when they are written, and only those removed.

A resource counts as ours when it carries our tag *and* an identifier that we write. Neither is enough alone: others may
copy either, and HAPI gives a resource the tags that an earlier one of its id had.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final
from urllib.parse import quote
from uuid import NAMESPACE_URL, uuid5

from cds_service.domain.terms import FHIR_BASE
from cds_service.ehr.remote import FhirServer
from cds_service.errors import CallInvalid, RemoteError
from cds_service.store.base import SyntheticPatient
from fhir_profiles.reading import member, objects
from fhir_profiles.synthetic import is_draft, moved_to, resources, synthetic_patients

SYSTEM: Final = f"{FHIR_BASE}/CodeSystem/sandbox"
"""System of the tag, and of the identifiers, which are the references within the stories."""
TAG: Final = "synthetic"
_PAGE: Final = 200
_LOCATION: Final = re.compile(r"([A-Za-z]+/[^/]+)(?:/_history/[^/]+)?/?$")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A synthetic patient on the server, with the references its calls need."""

    slug: str
    title: str
    patient: str
    encounter: str
    drafts: tuple[str, ...]


def load(
    server: FhirServer, patients: Sequence[SyntheticPatient], today: date, *, server_ids: bool
) -> Iterator[Loaded]:
    """Write the patients, a transaction for each, with the day of each story moved to today.

    Args:
        server: where to.
        patients: whom.
        today: the day it is.
        server_ids: whether the server gives the ids; what is there already then stays as it is.

    Raises:
        CallInvalid: a resource with an id or identifier of ours is there and is not ours; nothing was written.
        RemoteError: the server refused.
    """
    stories = [(patient, _story(patient, today)) for patient in patients]
    for _, story in stories:
        _refuse_strangers(server, story, server_ids=server_ids)
    for patient, story in stories:
        urns = {_reference(one): _urn(_reference(one)) for one in story}
        entries = [_created(one, urns) if server_ids else _put(one) for one in story]
        responses = server.transaction(_transaction(entries))
        named = _named(story, responses) if server_ids else {_reference(one): _reference(one) for one in story}
        yield Loaded(
            patient.slug,
            patient.title,
            _of_type(named, "Patient"),
            _of_type(named, "Encounter"),
            tuple(named[_reference(one)] for one in story if is_draft(one)),
        )


def _of_type(named: Mapping[str, str], kind: str) -> str:
    return next(there for here, there in named.items() if here.startswith(f"{kind}/"))


def _story(patient: SyntheticPatient, today: date) -> list[dict[str, Any]]:
    """The resources of a story, marked as ours, with the persons and places it only names."""
    told = resources(moved_to(patient.bundle, date.fromisoformat(patient.as_of), today))
    there = {_reference(one) for one in told}
    named = {reference: display for one in told for reference, display in _references(one) if reference not in there}
    return [_marked(one) for one in [*(_stub(*item) for item in sorted(named.items())), *told]]


def _stub(reference: str, display: str) -> dict[str, Any]:
    """Someone a story names but does not describe; servers that check references want to know them."""
    kind, _, identifier = reference.partition("/")
    name: Any = [{"text": display or identifier}] if kind == "Practitioner" else display or identifier
    return {"resourceType": kind, "id": identifier, "name": name}


def _marked(resource: dict[str, Any]) -> dict[str, Any]:
    meta = resource.get("meta", {})
    tags = [*meta.get("tag", ()), {"system": SYSTEM, "code": TAG}]
    identifiers = [*resource.get("identifier", ()), {"system": SYSTEM, "value": _reference(resource)}]
    return resource | {"meta": meta | {"tag": tags}, "identifier": identifiers}


def _reference(resource: Mapping[str, Any]) -> str:
    return f"{resource['resourceType']}/{resource['id']}"


def _references(value: Any) -> Iterator[tuple[str, str]]:
    """Relative references at any depth, with the names they are shown by."""
    if isinstance(value, list):
        for item in value:
            yield from _references(item)
    elif isinstance(value, dict):
        reference = value.get("reference")
        if isinstance(reference, str) and re.fullmatch(r"[A-Z][A-Za-z]+/[^/]+", reference):
            yield reference, str(value.get("display", ""))
        for item in value.values():
            yield from _references(item)


def _transaction(entries: list[dict[str, Any]]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def _put(resource: dict[str, Any]) -> dict[str, Any]:
    return {"resource": resource, "request": {"method": "PUT", "url": _reference(resource)}}


def _refuse_strangers(server: FhirServer, story: Iterable[Mapping[str, Any]], *, server_ids: bool) -> None:
    """Refuse to write over what is not ours, or to write about somebody who is not ours."""
    names = defaultdict(list)
    for resource in story:
        names[resource["resourceType"]].append(_known(resource) if server_ids else resource["id"])
    by = "identifier" if server_ids else "_id"
    queries = {kind: f"{kind}?{by}={','.join(named)}&_count={_PAGE}" for kind, named in names.items()}
    for kind, found in server.everything(queries).items():
        strangers = sum(not _is_ours(one) for one in found)
        if strangers:
            raise CallInvalid(
                f"{server.url} has {strangers} {kind} with our {by.strip('_')} that is not of the sandbox. Nothing was "
                f"written{'' if server_ids else '; --server-ids lets the server give other ids'}."
            )


def _urn(reference: str) -> str:
    return f"urn:uuid:{uuid5(NAMESPACE_URL, f'{SYSTEM}/{reference}')}"


def _pointing(value: Any, urns: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return [_pointing(item, urns) for item in value]
    if not isinstance(value, dict):
        return value
    changed = {name: _pointing(item, urns) for name, item in value.items()}
    if changed.get("reference") in urns:
        changed["reference"] = urns[changed["reference"]]
    return changed


def _known(resource: Mapping[str, Any]) -> str:
    """Our identifier of a resource, as a search for it is written."""
    return quote(f"{SYSTEM}|{_reference(resource)}", safe="")


def _created(resource: Mapping[str, Any], urns: Mapping[str, str]) -> dict[str, Any]:
    """An entry that creates a resource without an id, unless one with our identifier is there."""
    reference = _reference(resource)
    unnamed = {name: value for name, value in resource.items() if name != "id"}
    return {
        "fullUrl": urns[reference],
        "resource": _pointing(unnamed, urns),
        "request": {
            "method": "POST",
            "url": resource["resourceType"],
            "ifNoneExist": f"identifier={_known(resource)}",
        },
    }


def _named(story: Sequence[Mapping[str, Any]], responses: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The references the server gave, by ours."""
    if len(responses) != len(story):
        raise RemoteError("The FHIR server did not answer each entry of the transaction.")
    named = {}
    for resource, response in zip(story, responses, strict=True):
        found = _LOCATION.search(str(response.get("location", "")))
        if found is None:
            raise RemoteError("The FHIR server did not say which ids it gave.")
        named[_reference(resource)] = found[1]
    return named


def find(server: FhirServer) -> list[dict[str, Any]]:
    """What is on the server and ours, in an order in which it can be deleted: nothing before what refers to it.

    Raises:
        RemoteError: the server cannot be searched to the end.
    """
    tag = quote(f"{SYSTEM}|{TAG}", safe="")
    kinds = sorted({reference.partition("/")[0] for reference in _ours()})
    found = server.everything({kind: f"{kind}?_tag={tag}&_count={_PAGE}" for kind in kinds})
    ours = {_reference(one): one for listed in found.values() for one in listed if _is_ours(one)}
    graph = {name: [to for to, _ in _references(one) if to in ours and to != name] for name, one in ours.items()}
    try:
        return [ours[name] for name in reversed(tuple(TopologicalSorter(graph).static_order()))]
    except CycleError:
        raise RemoteError("Resources of the sandbox refer to each other in a circle; they were changed.") from None


def remove(server: FhirServer, found: Iterable[Mapping[str, Any]]) -> None:
    """Delete resources that :func:`find` has found, all or none.

    Raises:
        RemoteError: the server refused, for instance because something else refers to one of them.
    """
    server.transaction(_transaction([{"request": {"method": "DELETE", "url": _reference(one)}} for one in found]))


def _is_ours(resource: Mapping[str, Any]) -> bool:
    """Whether a resource has our tag, and an identifier that we write on its type."""
    tags = {(tag.get("system"), tag.get("code")) for tag in objects(member(resource.get("meta"), "tag"))}
    names = {item.get("value") for item in objects(resource.get("identifier")) if item.get("system") == SYSTEM}
    ours = any(name in names for name in _ours() if name.startswith(f"{resource['resourceType']}/"))
    return (SYSTEM, TAG) in tags and ours


@cache
def _ours() -> frozenset[str]:
    """References that we write."""
    stories = (_story(patient, date.fromisoformat(patient.as_of)) for patient in synthetic_patients())
    return frozenset(_reference(one) for story in stories for one in story)
