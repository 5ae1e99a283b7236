"""FHIR servers for the tests of the EHR: each is a base URL and a token, whatever runs behind it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import requests

from tests.fhir import hapi_server
from tests.fhir.real_server import TOKEN, running

PAGE: Final = 5
"""Small pages, so that every chart needs several."""


@dataclass(frozen=True)
class Server:
    """A running FHIR server.

    Attributes:
        token: the only one it answers to.
    """

    url: str
    token: str

    @property
    def environment(self) -> dict[str, str]:
        """Settings of the command for it."""
        return {"PNET_CDS_FHIR_TOKEN": self.token}

    def _ask(self, method: str, path: str, body: Any = None) -> requests.Response:
        headers = {
            "Content-Type": "application/fhir+json",
            "Cache-Control": "no-cache",
            "Authorization": f"Bearer {self.token}",
        }
        data = None if body is None else json.dumps(body)
        address = f"{self.url}/{path}".rstrip("/")
        return requests.request(method, address, data=data, headers=headers, timeout=60)

    def put(self, resource: Mapping[str, Any]) -> None:
        """Write a resource under its id."""
        answer = self._ask("PUT", f"{resource['resourceType']}/{resource['id']}", resource)
        assert answer.ok, answer.text

    def load(self, story: list[dict[str, Any]]) -> None:
        """Write resources that refer to each other, with an empty one for whoever else they refer to."""
        here = {f"{resource['resourceType']}/{resource['id']}" for resource in story}
        named = set(re.findall(r'"reference": "([A-Z][A-Za-z]+/[^"/]+)"', json.dumps(story)))
        empty = [dict(zip(("resourceType", "id"), name.split("/"), strict=True)) for name in sorted(named - here)]
        entries = [
            {"resource": one, "request": {"method": "PUT", "url": f"{one['resourceType']}/{one['id']}"}}
            for one in (*empty, *story)
        ]
        answer = self._ask("POST", "", {"resourceType": "Bundle", "type": "transaction", "entry": entries})
        assert answer.ok, answer.text

    def get(self, reference: str) -> dict[str, Any] | None:
        """A resource, or None when it is not there (any more)."""
        answer = self._ask("GET", reference)
        return answer.json() if answer.ok else None

    def delete(self, reference: str) -> None:
        """Remove a resource."""
        entry = {"request": {"method": "DELETE", "url": reference}}
        answer = self._ask("POST", "", {"resourceType": "Bundle", "type": "transaction", "entry": [entry]})
        assert answer.ok, answer.text


@contextmanager
def node(folder: Path) -> Iterator[Server]:
    """The server of tests/fhir_server, empty."""
    empty = folder / "empty.json"
    empty.write_text(json.dumps({"resourceType": "Bundle", "type": "collection", "entry": []}), encoding="utf-8")
    with running(empty, page=PAGE) as url:
        yield Server(url, TOKEN)


@contextmanager
def hapi(folder: Path) -> Iterator[Server]:
    """HAPI's server, empty."""
    with hapi_server.running(folder, page=PAGE) as server:
        yield Server(server.url, TOKEN)


STARTERS: Final[Mapping[str, Callable[[Path], AbstractContextManager[Server]]]] = {"node": node, "hapi": hapi}
"""Ways to start a server in a folder of its own; tests run against each."""
