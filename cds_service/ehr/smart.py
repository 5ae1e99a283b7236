"""A token for the FHIR server by SMART Backend Services: client credentials, proven by a signed assertion."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

from cds_service.addresses import document_url
from cds_service.auth.signing import Signer
from cds_service.ehr.remote import ask, decoded, ok
from cds_service.errors import CallInvalid, RemoteError

_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_JSON: Final = {"Accept": "application/json"}
_ERROR: Final = re.compile(r"[a-z_]{1,40}")
"""Error codes of OAuth; anything else an answer holds is not repeated."""
_TOKEN: Final = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class Granted:
    """A token with its scope and its life in seconds."""

    token: str = field(repr=False)
    scope: str
    seconds: int


def token_endpoint(fhir_server: str, ca_file: str = "") -> str:
    """Where a FHIR server says its tokens are from.

    Raises:
        RemoteError: it does not say so.
    """
    url = f"{fhir_server}/.well-known/smart-configuration"
    answer = ask("GET", url, _JSON, ca_file=ca_file)
    body = decoded(answer) if ok(answer) else None
    endpoint = body.get("token_endpoint") if isinstance(body, dict) else None
    if not isinstance(endpoint, str):
        raise RemoteError(f"{url} names no token endpoint (status {answer.status}); give it with --token-url.")
    return endpoint


def client_credentials(endpoint: str, client: Signer, scope: str, now: float, ca_file: str = "") -> Granted:
    """Ask a token endpoint for a token.

    Raises:
        CallInvalid: the endpoint is no address a signed assertion may be sent to.
        RemoteError: it refuses, or its answer holds no bearer token.
    """
    try:
        document_url(endpoint)
    except ValueError as error:
        raise CallInvalid(f"The token endpoint: {error}.") from None
    form = {
        "grant_type": "client_credentials",
        "scope": scope,
        "client_assertion_type": _ASSERTION,
        "client_assertion": client.token(endpoint, now, sub=client.issuer),
    }
    headers = _JSON | {"Content-Type": "application/x-www-form-urlencoded"}
    answer = ask("POST", endpoint, headers, urlencode(form).encode(), ca_file)
    body = decoded(answer)
    body = body if isinstance(body, dict) else {}
    if not ok(answer):
        code = str(body.get("error", ""))
        reason = code if _ERROR.fullmatch(code) else "no reason given"
        raise RemoteError(f"{endpoint} gave no token (status {answer.status}): {reason}. Is the public key registered?")
    return _granted(body, endpoint, scope)


def _granted(body: Mapping[str, Any], endpoint: str, scope: str) -> Granted:
    token, kind, seconds = (body.get(name) for name in ("access_token", "token_type", "expires_in"))
    if not isinstance(token, str) or not _TOKEN.fullmatch(token) or str(kind).lower() != "bearer":
        raise RemoteError(f"{endpoint} answered without a bearer token.")
    given = body.get("scope")
    life = seconds if isinstance(seconds, int) and not isinstance(seconds, bool) else 0
    return Granted(token, given if isinstance(given, str) else scope, life)
