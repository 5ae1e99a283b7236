"""The two servers an EHR talks to: its own FHIR server, and the CDS service it asks. Bearer tokens go to these only."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from ipaddress import ip_network
from typing import Any, Final
from urllib.parse import quote

from cds_service.addresses import base_url
from cds_service.domain.terms import LACK_WORDS, Lack
from cds_service.errors import CallInvalid, RemoteError
from cds_service.fhir.client import Fetched, read
from cds_service.fhir.policy import Base, ReadPolicy, base_of
from cds_service.http_client import Exchange, exchange
from cds_service.protocol.authorization import FhirAccess
from fhir_profiles.reading import member, objects

EVERYWHERE: Final = (ip_network("0.0.0.0/0"), ip_network("::/0"))
"""The user names the server, so it may be anywhere; without encryption, on this machine only."""
_SECONDS: Final = 60.0
_PAGES: Final = 1000
_MOST_BYTES: Final = 64 * 1024 * 1024
_SUCCESS: Final = range(200, 300)
_FHIR: Final = "application/fhir+json"
_JSON: Final = "application/json"


def checked(option: str, url: str) -> str:
    """A base URL as the user gave it, without the slash at its end.

    Raises:
        CallInvalid: no base URL, or one without encryption that is not on this machine.
    """
    try:
        return base_url(url)
    except ValueError as error:
        raise CallInvalid(f"{option}: {error}.") from None


def ask(method: str, url: str, headers: Mapping[str, str], body: bytes | None = None, ca_file: str = "") -> Exchange:
    """One request to a server that the user named.

    Raises:
        RemoteError: no connection, or no answer in time.
    """
    try:
        return exchange(method, url, headers, body, most_bytes=_MOST_BYTES, most_seconds=_SECONDS, ca_file=ca_file)
    except RemoteError as error:
        host = "/".join(url.split("/")[:3])
        raise RemoteError(f"{host} does not answer: {error}. Is the service running?") from None


def ok(answer: Exchange) -> bool:
    """Whether a request did what it was for."""
    return answer.status in _SUCCESS


def decoded(answer: Exchange) -> Any:
    """The body as JSON; None when it is none."""
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError):
        return None


@dataclass(frozen=True, slots=True)
class FhirServer:
    """The EHR's FHIR server.

    Attributes:
        url: its base, without a slash at the end.
        token: bearer token; None for an open server.
        ca_file: certificate authorities to trust; empty for the usual ones.
    """

    url: str
    token: str | None = field(default=None, repr=False)
    ca_file: str = ""

    def read(self, queries: Mapping[str, str], pages: int = _PAGES) -> Mapping[str, Fetched]:
        """Read the queries given by key, each with at most so many pages; what went wrong is said in place."""
        base = self._base()
        policy = ReadPolicy(
            frozenset({base}), networks=EVERYWHERE, seconds=_SECONDS, max_pages=pages, ca_file=self.ca_file
        )
        return read(FhirAccess(self.url, self.token), base, queries, policy)

    def _base(self) -> Base:
        base = base_of(self.url)
        if base is None:
            raise CallInvalid("--fhir-server: expected the base URL of a FHIR server.")
        return base

    def one(self, kind: str, identifier: str) -> dict[str, Any]:
        """A resource by its id.

        Raises:
            RemoteError: it cannot be read; the message does not repeat the id, which may be that of a patient.
        """
        fetched = self.read({kind: f"{kind}/{quote(identifier, safe='')}"})[kind]
        found = next(resources(fetched), None)
        if fetched.lack is not None or found is None or found["resourceType"] != kind:
            reason = advice(fetched.lack or Lack.NOT_FHIR)
            raise RemoteError(f"{self.url}: the {kind} of this id cannot be read: {reason}.")
        return found

    def everything(self, queries: Mapping[str, str]) -> dict[str, list[dict[str, Any]]]:
        """All resources the queries find, by key.

        Raises:
            RemoteError: part of it could not be read; half an answer would be none.
        """
        found = self.read(queries)
        for key, fetched in found.items():
            if fetched.lack is not None:
                raise RemoteError(f"{self.url}: {key} cannot be read: {advice(fetched.lack)}.")
        return {key: list(resources(fetched)) for key, fetched in found.items()}

    def transaction(self, bundle: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Send a transaction and return the responses to its entries.

        Raises:
            RemoteError: the server refused it, or part of it; the message repeats what the server says.
        """
        headers = {"Content-Type": _FHIR, "Accept": _FHIR} | _bearer(self.token)
        answer = ask("POST", self.url, headers, json.dumps(bundle).encode(), self.ca_file)
        body = decoded(answer)
        if not ok(answer) or not isinstance(body, dict) or body.get("resourceType") != "Bundle":
            raise RemoteError(f"{self.url} refused the transaction with status {answer.status}: {said(answer)}")
        responses = [
            response for entry in objects(member(body, "entry")) if isinstance(response := entry.get("response"), dict)
        ]
        for response in responses:
            if not str(response.get("status", "")).startswith("2"):
                reason = told(response.get("outcome")) or "no reason given"
                raise RemoteError(f"{self.url} refused part of the transaction ({response.get('status')}): {reason}")
        return responses


def resources(fetched: Fetched) -> Iterator[dict[str, Any]]:
    """The resources of all pages read; what is none is passed over."""
    for page in map(json.loads, fetched.pages):
        if page.get("resourceType") == "Bundle":
            yield from filter(None, map(held, objects(member(page, "entry"))))
        elif "resourceType" in page:
            yield page


def held(entry: Mapping[str, Any]) -> dict[str, Any] | None:
    """The resource of an entry of a Bundle."""
    resource = entry.get("resource")
    return resource if isinstance(resource, dict) and "resourceType" in resource else None


def advice(lack: Lack) -> str:
    """Why something could not be read and, where the user can do something about it, what."""
    if lack is Lack.NOT_OFFERED:
        return f"{LACK_WORDS[lack]} (are the id and the base URL right?)"
    if lack is Lack.UNAUTHORISED:
        return f"{LACK_WORDS[lack]}; set PNET_CDS_FHIR_TOKEN, or give --client-id and --key"
    return LACK_WORDS[lack]


@dataclass(frozen=True, slots=True)
class CdsService:
    """A CDS service at a base URL.

    Attributes:
        sign: makes a token for one call to an address, which proves who calls (CH-130); None for an open service.
    """

    url: str
    sign: Callable[[str], str] | None = None

    def discover(self) -> list[dict[str, Any]]:
        """The services on offer.

        Raises:
            RemoteError: no answer, or not that of discovery.
        """
        body = self._ask("GET", "/cds-services")
        if not isinstance(member(body, "services"), list):
            raise RemoteError(f"{self.url}/cds-services did not answer with a list of services (CH-011).")
        return list(objects(member(body, "services")))

    def call(self, service: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """The answer of a service.

        Raises:
            RemoteError: no answer, an error, or no JSON object with cards.
        """
        path = f"/cds-services/{quote(service, safe='')}"
        body = self._ask("POST", path, request)
        if not isinstance(body, dict) or not isinstance(body.get("cards"), list):
            raise RemoteError(f"{self.url}{path} did not answer with cards (CH-081).")
        return body

    def feedback(self, service: str, told: Mapping[str, Any]) -> None:
        """Report what became of cards.

        Raises:
            RemoteError: the service did not take it.
        """
        self._ask("POST", f"/cds-services/{quote(service, safe='')}/feedback", told)

    def demo_request(self, slug: str, hook: str | None) -> dict[str, Any]:
        """The call the demo proposes about one of its patients.

        Raises:
            RemoteError: this is no demo, or it has no such patient or hook.
        """
        query = f"?hook={quote(hook, safe='')}" if hook else ""
        request = self._ask("GET", f"/demo/requests/{quote(slug, safe='')}{query}")
        if not isinstance(request, dict):
            raise RemoteError(f"{self.url} did not answer with a call to try; is it the demo?")
        return request

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        url = f"{self.url}{path}"
        headers = {"Accept": _JSON} | ({} if body is None else {"Content-Type": _JSON})
        if self.sign is not None:
            headers |= _bearer(self.sign(url))
        answer = ask(method, url, headers, None if body is None else json.dumps(body).encode())
        if answer.status == HTTPStatus.UNAUTHORIZED:
            raise RemoteError(
                f"{url} answered with status 401: it wants the token of a registered client "
                "(--cds-issuer, --cds-key; pnet-cds client add registers one)."
            )
        if not ok(answer):
            raise RemoteError(f"{url} answered with status {answer.status}: {said(answer)}")
        return decoded(answer)


def said(answer: Exchange) -> str:
    """What an error says, if it says it as an OperationOutcome (CH-008)."""
    return told(decoded(answer)) or "no reason given"


def told(outcome: object) -> str:
    """The texts of an OperationOutcome."""
    found = (
        member(issue.get("details"), "text") or issue.get("diagnostics") or issue.get("code")
        for issue in objects(member(outcome, "issue"))
    )
    return " ".join(str(text) for text in found if text)


def _bearer(token: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}
