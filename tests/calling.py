"""How tests call the service, over HTTP or in process, and the requests they send."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import requests
from flask import Flask

from fhir_profiles.pama import CONSULT
from fhir_profiles.synthetic import hook_request, synthetic_patients

HOOK_INSTANCE = "6f2b1c1e-8a0f-4a52-9d2e-0c1f5a7b3d90"
JSON = "application/json"
ASSESSMENT = "org.pnet-cds.assessment"
Body = bytes | Mapping[str, Any]
MakeApp = Callable[..., Flask]
"""Makes an application; takes a store and settings to override."""


@dataclass(frozen=True)
class Answer:
    """An HTTP answer as it came."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    def slug(self) -> str:
        """The stable identifier in the body of an error."""
        return str(self.json()["issue"][0]["details"]["coding"][0]["code"])

    def message(self) -> str:
        """What the body of an error says to do."""
        return str(self.json()["issue"][0]["details"]["text"])


class Service(Protocol):
    """Something that answers calls."""

    def request(
        self, method: str, path: str, body: bytes | Iterator[bytes] | None = None, media_type: str | None = JSON
    ) -> Answer:
        """Any request; the media type None sends none."""


@dataclass(frozen=True)
class OverHttp:
    """A running server."""

    base: str
    session: requests.Session

    def request(
        self, method: str, path: str, body: bytes | Iterator[bytes] | None = None, media_type: str | None = JSON
    ) -> Answer:
        """One HTTP request. A body given in pieces is sent chunked, without its length."""
        headers = {} if body is None or media_type is None else {"Content-Type": media_type}
        got = self.session.request(method, self.base + path, data=body, headers=headers, timeout=60)
        return Answer(got.status_code, got.headers, got.content)


@dataclass(frozen=True)
class InProcess:
    """The application called without a socket, for tests that make thousands of calls."""

    app: Flask

    def request(
        self, method: str, path: str, body: bytes | Iterator[bytes] | None = None, media_type: str | None = JSON
    ) -> Answer:
        """One request to the application."""
        data = b"".join(body) if isinstance(body, Iterator) else body
        got = self.app.test_client().open(path, method=method, data=data, content_type=media_type)
        return Answer(got.status_code, dict(got.headers), got.data)


def encoded(body: Body) -> bytes:
    """The body as it is sent."""
    return body if isinstance(body, bytes) else json.dumps(body).encode()


def post(service: Service, hook: str, body: Body, media_type: str | None = JSON) -> Answer:
    """Call the service of a hook."""
    return service.request("POST", f"/cds-services/pnet-{hook}", encoded(body), media_type)


def templates(service: Service) -> dict[str, dict[str, str]]:
    """The advertised prefetch of every hook, as an EHR reads it."""
    discovery = service.request("GET", "/cds-services").json()
    return {entry["hook"]: entry["prefetch"] for entry in discovery["services"]}


def synthetic_request(slug: str, hook: str, advertised: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """The call an EHR would send about a bundled patient; the caller may change it at will."""
    bundle = next(patient.bundle for patient in synthetic_patients() if patient.slug == slug)
    return copy.deepcopy(hook_request(bundle, hook, advertised[hook], HOOK_INSTANCE, starts="2026-12-01"))


def entries(request: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """The entries prefetched under a key; changing the list changes the request."""
    found: list[dict[str, Any]] = request["prefetch"][key].setdefault("entry", [])
    return found


def drafts(request: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The draft orders of a request."""
    return proposed(request, "draftOrders")


def proposed(request: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Resources in a member of the context: a Bundle or, as some clients send them, a list."""
    given = request["context"].get(name) or {}
    if isinstance(given, list):
        return [resource for resource in given if isinstance(resource, dict)]
    found = given.get("entry") if isinstance(given, dict) else None
    listed = found if isinstance(found, list) else []
    resources = [entry.get("resource") for entry in listed if isinstance(entry, dict)]
    return [resource for resource in resources if isinstance(resource, dict)]


def assessment(answer: Answer) -> dict[str, Any]:
    """The assessment that came with an answer."""
    found: dict[str, Any] = answer.json()["extension"][ASSESSMENT]
    return found


def without_ids(value: Any) -> Any:
    """An answer without the identifiers of the consult, its cards and suggestions, to compare two answers."""
    if isinstance(value, dict):
        hidden = {"uuid", "appContext"} | ({"valueUri"} if value.get("url") == CONSULT else set())
        return {name: without_ids(item) for name, item in value.items() if name not in hidden}
    if isinstance(value, list):
        return [without_ids(item) for item in value]
    return value
