"""A small authorization server for SMART Backend Services that believes nothing: it checks every claim itself."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs

import jwt

from tests.serving import serving
from tests.signing import private_key

_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@dataclass
class TokenServer:
    """Gives one token to one client.

    Attributes:
        keys: kind of key by the kid under which it is registered.
        token: what a client that proves itself is given.
        problems: why requests were refused.
        used: identifiers of assertions that were accepted.
        answers: what to answer instead, status and body.
    """

    client: str
    keys: dict[str, str]
    token: str
    base: str = ""
    problems: list[str] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    scopes: list[str] = field(default_factory=list)
    answers: tuple[int, Any] | None = None

    @property
    def endpoint(self) -> str:
        """The token endpoint."""
        return f"{self.base}/token"

    def grant(self, form: dict[str, list[str]]) -> None:
        """Raise what is wrong with a request."""
        assert form["grant_type"] == ["client_credentials"], "grant_type"
        assert form["client_assertion_type"] == [_ASSERTION], "client_assertion_type"
        (assertion,), (scope,) = form["client_assertion"], form["scope"]
        header = jwt.get_unverified_header(assertion)
        assert header["typ"] == "JWT", "typ"
        assert header["kid"] in self.keys, "kid"
        kind = self.keys[header["kid"]]
        required = ["iss", "sub", "aud", "exp", "jti"]
        said = jwt.decode(
            assertion,
            private_key(header["kid"], kind).public_key(),
            algorithms=[kind],
            audience=self.endpoint,
            options={"require": required},
        )
        assert said["iss"] == said["sub"] == self.client, "iss, sub"
        assert said["exp"] <= time.time() + 300, "exp"
        assert said["jti"] not in self.used, "jti"
        self.used.add(said["jti"])
        self.scopes.append(scope)


@contextmanager
def token_server(client: str, keys: dict[str, str], token: str) -> Iterator[TokenServer]:
    """A running server; its base also serves the configuration of a FHIR server."""
    told = TokenServer(client, keys, token)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path == "/fhir/.well-known/smart-configuration"
            self._send(200 if found else 404, {"token_endpoint": told.endpoint} if found else {})

        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            if told.answers is not None:
                self._send(*told.answers)
                return
            try:
                told.grant(form)
            except (AssertionError, KeyError, jwt.PyJWTError) as problem:
                told.problems.append(f"{type(problem).__name__}: {problem}")
                self._send(400, {"error": "invalid_client"})
                return
            granted = {"access_token": told.token, "token_type": "bearer", "expires_in": 300, "scope": "system/*.rs"}
            self._send(200, granted)

        def _send(self, status: int, body: Any) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with serving(Handler) as told.base:
        yield told
