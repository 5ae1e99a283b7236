"""A launch from its first request to the token: what is asked, what is remembered meanwhile, what comes of it.

What is remembered goes to the browser that began, signed (``web/smart_cookie.py``); the server keeps nothing.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode

from cds_service.addresses import origin
from cds_service.errors import LaunchDenied, LaunchError, LaunchWithoutPatient
from cds_service.fhir.policy import ReadPolicy
from cds_service.smart.endpoints import Endpoints, post_form

MESSAGING: Final = "messaging/scratchpad"
"""Scope for reading and changing draft orders by SMART Web Messaging."""

_BYTES: Final = 32
_TOKEN: Final = re.compile(r"[\x21-\x7e]+")
_ID: Final = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_HANDLE: Final = re.compile(r"[\x20-\x7e]{1,1000}")
_REFUSALS: Final = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


@dataclass(frozen=True, slots=True)
class Begun:
    """A launch that is under way.

    Attributes:
        state: what comes back with the answer of the EHR and nobody else knows.
        verifier: proves to the token endpoint that it was this app that asked (PKCE).
        issuer: base URL of the FHIR server, as it was named.
        token_endpoint: where the code is exchanged; named by the issuer.
    """

    state: str
    verifier: str = field(repr=False)
    issuer: str
    token_endpoint: str


@dataclass(frozen=True, slots=True)
class Messaging:
    """Where and by which handle the EHR takes messages about its draft orders."""

    origin: str
    handle: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Opened:
    """What a token is good for; the token lives in this value for the length of the call.

    Attributes:
        scope: scopes as granted; None when the EHR does not say, which means as asked.
        app_context: what the link on the card handed over; empty without one.
        messaging: None when the EHR takes no messages.
    """

    token: str = field(repr=False)
    scope: str | None
    patient: str
    encounter: str | None
    app_context: str
    messaging: Messaging | None


def begin(issuer: str, endpoints: Endpoints) -> Begun:
    """A new launch, with a state and a verifier of its own."""
    return Begun(secrets.token_urlsafe(_BYTES), secrets.token_urlsafe(_BYTES), issuer, endpoints.token)


def authorization_url(
    begun: Begun, endpoints: Endpoints, client_id: str, redirect_uri: str, launch: str, kinds: Iterable[str]
) -> str:
    """Where the browser is sent to ask for access to resources of some types.

    ``launch`` is the EHR's handle of its context; it is empty in a standalone launch, where the EHR lets one choose.
    """
    digest = hashlib.sha256(begun.verifier.encode()).digest()
    asked = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "scope": " ".join(_scopes(kinds, endpoints, launch=bool(launch))),
        "state": begun.state,
        "aud": begun.issuer,
        "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
        "code_challenge_method": "S256",
    } | ({"launch": launch} if launch else {})
    return f"{endpoints.authorize}{'&' if '?' in endpoints.authorize else '?'}{urlencode(asked)}"


def _scopes(kinds: Iterable[str], endpoints: Endpoints, *, launch: bool) -> Iterator[str]:
    """Reading what the story is told from, and draft orders where an EHR has them; no identity, no refresh."""
    rights = "rs" if endpoints.scopes_v2 else "read"
    yield "launch" if launch else "launch/patient"
    yield from (f"patient/{kind}.{rights}" for kind in kinds)
    if endpoints.messaging and launch:
        yield MESSAGING


def redeem(begun: Begun, code: str, client_id: str, redirect_uri: str, policy: ReadPolicy) -> Opened:
    """Exchange the code for a token.

    Raises:
        LaunchDenied: the EHR refuses.
        LaunchError: its answer cannot be used.
        LaunchWithoutPatient: it names no patient.
    """
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": redirect_uri,
        "client_id": client_id,
        "code_verifier": begun.verifier,
    }
    status, answer = post_form(begun.token_endpoint, form, policy)
    if status in _REFUSALS:
        raise LaunchDenied("The EHR did not give the app a token. Open it again from the EHR.")
    token, kind = answer.get("access_token"), answer.get("token_type")
    if status != HTTPStatus.OK or not isinstance(token, str) or not _TOKEN.fullmatch(token):
        raise LaunchError("The EHR answered without a token.")
    if str(kind).lower() != "bearer":
        raise LaunchError("The EHR answered with a token of a kind this app does not know.")
    return _opened(token, answer)


def _opened(token: str, answer: Mapping[str, Any]) -> Opened:
    patient = _bare(answer.get("patient"), "Patient")
    if not patient:
        raise LaunchWithoutPatient("The EHR opened the app without a patient. Open a chart first, or choose a patient.")
    scope = answer.get("scope")
    return Opened(
        token,
        scope if isinstance(scope, str) and scope.strip() else None,
        patient,
        _bare(answer.get("encounter"), "Encounter") or None,
        _text(answer.get("appContext")),
        _messaging(answer),
    )


def _bare(given: object, kind: str) -> str:
    """An id, also when it came as a reference; empty when it is none."""
    found = _text(given).removeprefix(f"{kind}/")
    return found if _ID.fullmatch(found) else ""


def _text(given: object) -> str:
    return given if isinstance(given, str) and _HANDLE.fullmatch(given) else ""


def _messaging(answer: Mapping[str, Any]) -> Messaging | None:
    handle, page = _text(answer.get("smart_web_messaging_handle")), answer.get("smart_web_messaging_origin")
    try:
        return Messaging(origin(page), handle) if handle and isinstance(page, str) else None
    except ValueError:
        return None
