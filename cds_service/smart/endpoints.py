"""Where a FHIR server says its access is given: SMART's configuration document, and calls within the read policy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode

from cds_service.addresses import document_url
from cds_service.errors import LaunchError, RemoteError
from cds_service.fhir.policy import Base, ReadPolicy, base_of
from cds_service.http_client import Exchange, exchange

_DOCUMENT: Final = ".well-known/smart-configuration"
_JSON: Final = "application/json"
_MOST_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Endpoints:
    """What the app needs of the configuration.

    Attributes:
        scopes_v2: whether the server reads scopes of SMART version 2; otherwise those of version 1 are asked for.
        messaging: whether it may know the scopes of SMART Web Messaging; some servers refuse scopes they do not know.
    """

    authorize: str
    token: str
    scopes_v2: bool = True
    messaging: bool = True


def discover(server: Base, policy: ReadPolicy) -> Endpoints:
    """Read the configuration of a FHIR server the policy allows.

    Raises:
        LaunchError: the server does not answer, or names no endpoints that can be used.
    """
    found = _body(_call("GET", f"{server.url}{_DOCUMENT}", None, policy))
    authorize, token = (_address(found.get(name)) for name in ("authorization_endpoint", "token_endpoint"))
    if not authorize or not token:
        raise LaunchError("The FHIR server's SMART configuration names no endpoints that can be used.")
    told = found.get("scopes_supported")
    messaging = any(str(scope).startswith("messaging/") for scope in told) if isinstance(told, list) else True
    return Endpoints(authorize, token, "permission-v2" in _list(found.get("capabilities")), messaging)


def post_form(url: str, form: Mapping[str, str], policy: ReadPolicy) -> tuple[int, dict[str, Any]]:
    """Send a form; the status and the JSON object of the answer, empty when it is none.

    Raises:
        LaunchError: there is no answer.
    """
    answer = _call("POST", url, urlencode(form).encode(), policy)
    return answer.status, _object(answer)


def _call(method: str, url: str, form: bytes | None, policy: ReadPolicy) -> Exchange:
    """One call to an address of the EHR; where its host leads is checked as for FHIR servers."""
    target = base_of(url.partition("?")[0])
    headers = {"Accept": _JSON} | ({} if form is None else {"Content-Type": "application/x-www-form-urlencoded"})
    if target is None:
        raise LaunchError("A server of the EHR has an address that cannot be used.")
    try:
        return exchange(
            method,
            url,
            headers,
            form,
            most_bytes=_MOST_BYTES,
            most_seconds=policy.seconds,
            ca_file=policy.ca_file,
            admit=lambda addresses: policy.check(target, addresses),
        )
    except RemoteError:
        raise LaunchError("A server of the EHR that the launch needs did not answer.") from None


def _body(answer: Exchange) -> dict[str, Any]:
    if answer.status != HTTPStatus.OK:
        raise LaunchError("The FHIR server has no SMART configuration, so no app can be opened from it.")
    return _object(answer)


def _object(answer: Exchange) -> dict[str, Any]:
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _list(given: object) -> list[Any]:
    return given if isinstance(given, list) else []


def _address(given: object) -> str:
    """An address as it stands in the configuration; empty when it may not be used."""
    try:
        return document_url(given) if isinstance(given, str) else ""
    except ValueError:
        return ""
