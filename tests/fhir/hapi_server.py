"""HAPI's own FHIR R4 server with a database in memory: started once, loaded by transactions as any client would."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import requests

from tests.fhir.real_server import TOKEN
from tests.hapi import java

_SECONDS: Final = 120
Resource = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class HapiServer:
    """A running server.

    Attributes:
        url: its base URL.
    """

    url: str

    def request(self, method: str, path: str = "", body: Resource | None = None) -> requests.Response:
        """Any request, with the token."""
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/fhir+json"}
        address = f"{self.url}/{path}".rstrip("/")
        return requests.request(method, address, json=body, headers=headers, timeout=_SECONDS)

    def load(self, resources: Iterable[Resource]) -> None:
        """Write resources under their own ids in one transaction, in which they may refer to each other."""
        entries = [
            {"resource": resource, "request": {"method": "PUT", "url": f"{resource['resourceType']}/{resource['id']}"}}
            for resource in resources
        ]
        self._checked(self.request("POST", body={"resourceType": "Bundle", "type": "transaction", "entry": entries}))

    def upload(self, resources: Iterable[Resource]) -> None:
        """Write resources one by one under their own ids, such as the artefacts of a package."""
        for resource in resources:
            self._checked(self.request("PUT", f"{resource['resourceType']}/{resource['id']}", resource))

    def _checked(self, answer: requests.Response) -> None:
        assert answer.ok, f"HAPI refused it with {answer.status_code}: {answer.text[:2000]}"


@contextmanager
def running(folder: Path, *packages: Path, page: int) -> Iterator[HapiServer]:
    """A server without data that has installed these packages and answers to :data:`TOKEN` only.

    As HAPI comes, it takes from a package what is ``active`` and leaves out drafts. Its log goes to the folder.
    """
    with java.running(folder / "hapi-server.log", "Server", str(page), TOKEN, *map(str, packages)) as (_, line):
        yield HapiServer(json.loads(line)["url"])


def referred_to(resources: Iterable[Resource]) -> list[dict[str, Any]]:
    """An empty resource for each that is referred to and not among these: HAPI insists that both ends exist."""
    given = list(resources)
    here = {f"{resource['resourceType']}/{resource['id']}" for resource in given}
    lacking = sorted(set(_references(given)) - here)
    return [dict(zip(("resourceType", "id"), reference.split("/"), strict=True)) for reference in lacking]


def _references(value: object) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _references(item)
    if isinstance(value, Mapping):
        reference = value.get("reference")
        if isinstance(reference, str) and not reference.startswith("#"):
            yield reference
        for item in value.values():
            yield from _references(item)
