"""A small EHR that launches SMART apps and believes nothing: it checks every parameter of a launch itself.

It has a FHIR server with one chart, an authorization server, and a page that shows the app in a frame and takes its
messages about draft orders.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from tests.serving import serving

Json = Any
JSON: Final = {"Content-Type": "application/json"}
Answered = tuple[int, bytes, dict[str, str]]
"""Status, body and headers."""
PAGE: Final = Path(__file__).with_name("ehr.html")


@dataclass
class Ehr:
    """An EHR with one patient.

    Attributes:
        chart: the resources its FHIR server holds.
        client_id, redirect_uri: the app as it is registered.
        told: members of the token response besides the token and the patient; None leaves one out.
        configuration: members of the SMART configuration that differ from the usual ones.
        refuses: error the authorization server answers with.
        broken: paths that answer with such a status and body instead.
        problems: what was wrong with requests.
        asked: every path and query that was asked for, by anybody.
        codes: codes that were given out, with what was asked for.
    """

    chart: list[Json]
    client_id: str = "story-app"
    redirect_uri: str = ""
    base: str = ""
    told: dict[str, Json] = field(default_factory=dict)
    configuration: dict[str, Json] = field(default_factory=dict)
    refuses: str = ""
    broken: dict[str, tuple[int, str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    launches: set[str] = field(default_factory=set)
    tokens: set[str] = field(default_factory=set)

    @property
    def fhir(self) -> str:
        """Base URL of the FHIR server, the issuer of launches."""
        return f"{self.base}/fhir"

    @property
    def patient(self) -> str:
        """Id of the patient."""
        return next(str(found["id"]) for found in self.chart if found["resourceType"] == "Patient")

    def launch(self) -> str:
        """A new handle of a launch from this EHR."""
        handle = secrets.token_urlsafe(8)
        self.launches.add(handle)
        return handle

    def start(self, app: str, **told: Json) -> str:
        """The address that opens the app, with what the token response says besides."""
        self.told = told
        return f"{app}/smart/launch?{urlencode({'iss': self.fhir, 'launch': self.launch()})}"

    def smart_configuration(self) -> Json:
        """What the app is told about this EHR."""
        usual: dict[str, Json] = {
            "authorization_endpoint": f"{self.base}/authorize?tenant=a%26b",
            "token_endpoint": f"{self.base}/token",
            "capabilities": ["launch-ehr", "launch-standalone", "client-public", "permission-v2"],
            "code_challenge_methods_supported": ["S256"],
        }
        return {name: value for name, value in (usual | self.configuration).items() if value is not None}

    def authorize(self, query: Mapping[str, str]) -> str:
        """Where the browser is sent back to."""
        scopes = query["scope"].split()
        assert query["tenant"] == "a&b", "the query of the endpoint stays"
        assert query["response_type"] == "code"
        assert query["client_id"] == self.client_id
        assert query["redirect_uri"] == self.redirect_uri
        assert query["aud"] == self.fhir
        assert query["code_challenge_method"] == "S256"
        assert len(query["state"]) >= 32
        assert ("launch" in scopes) == ("launch" in query)
        assert ("launch/patient" in scopes) == ("launch" not in query)
        assert "launch" not in query or query["launch"] in self.launches
        self.launches.discard(query.get("launch", ""))
        code = secrets.token_urlsafe(16)
        self.codes[code] = dict(query)
        answer = {"error": self.refuses, "error_description": "<b>x</b>"} if self.refuses else {"code": code}
        return f"{self.redirect_uri}?{urlencode(answer | {'state': query['state']})}"

    def grant(self, form: Mapping[str, str]) -> Json:
        """A token for a code, once, to whoever holds the verifier."""
        asked = self.codes.pop(form["code"])
        digest = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).decode()
        assert digest.rstrip("=") == asked["code_challenge"], "code_verifier"
        assert len(form["code_verifier"]) >= 43
        assert form["grant_type"] == "authorization_code"
        assert form["redirect_uri"] == self.redirect_uri
        assert form["client_id"] == self.client_id
        token = f"token-{secrets.token_urlsafe(16)}"
        self.tokens.add(token)
        usual = {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": 300,
            "scope": asked["scope"],
            "patient": self.patient,
        }
        return {name: value for name, value in (usual | self.told).items() if value is not None}

    def answer(self, asked: str, given: dict[str, str], bearer: str) -> Answered:
        """Whatever is asked for, by whomever; what is wrong with it is kept."""
        method, _, target = asked.partition(" ")
        self.asked.append(target)
        path = urlsplit(target).path
        try:
            if path in self.broken:
                status, text = self.broken[path]
                return status, text.encode(), JSON
            if path == "/authorize":
                return 302, b"", {"Location": self.authorize(given)}
            if path == "/page":
                return 200, PAGE.read_bytes(), {"Content-Type": "text/html; charset=utf-8"}
            found = self._json(f"{method} {path}", given, bearer)
            return 404 if found is None else 200, json.dumps(found).encode(), JSON
        except (AssertionError, KeyError) as problem:
            self.problems.append(f"{path}: {type(problem).__name__} {problem}")
            return 400, b'{"error": "invalid_request"}', JSON

    def _json(self, asked: str, given: dict[str, str], bearer: str) -> Json:
        if asked == "GET /fhir/.well-known/smart-configuration":
            return self.smart_configuration()
        if asked == "POST /token":
            return self.grant(given)
        if not asked.startswith("GET /fhir/"):
            return None
        assert bearer in self.tokens, "token"
        _, _, kind, *identifier = asked.split("/")
        return self.read(kind, identifier[0]) if identifier else self.search(kind, given)

    def search(self, kind: str, query: Mapping[str, str]) -> Json:
        """A search by what the app searches by."""
        assert query["patient"] == self.patient, "another patient"
        found = [one for one in self.chart if one["resourceType"] == kind and _fits(one, query)]
        return {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": one} for one in found]}

    def read(self, kind: str, identifier: str) -> Json:
        """A resource by id."""
        return next((one for one in self.chart if (one["resourceType"], one["id"]) == (kind, identifier)), None)


def _fits(resource: Json, query: Mapping[str, str]) -> bool:
    said = json.dumps(resource.get("category", ""))
    wanted = query["category"].split(",") if "category" in query else []
    return (not wanted or any(f'"{code}"' in said for code in wanted)) and (
        query.get("status") in (None, resource.get("status")) and resource.get("status") != "draft"
    )


@contextmanager
def running(ehr: Ehr) -> Iterator[Ehr]:
    """The EHR behind a real HTTP server."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(dict(parse_qsl(urlsplit(self.path).query)))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self._answer(dict(parse_qsl(body, strict_parsing=True)))

        def _answer(self, given: dict[str, str]) -> None:
            bearer = self.headers.get("Authorization", "").removeprefix("Bearer ")
            status, content, headers = ehr.answer(f"{self.command} {self.path}", given, bearer)
            self.send_response(status)
            for name, value in (headers | {"Content-Length": str(len(content))}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with serving(Handler) as ehr.base:
        yield ehr
