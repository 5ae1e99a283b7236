"""Who may call: registered clients with their settings, and the caller of one call.

A client is an EHR (or a vendor's gateway) that proves who it is by tokens of its issuer. Values are checked when a
client is made, so that every client there is can be used as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from cds_service.addresses import base_url, document_url, origin, rate
from cds_service.errors import ClientInvalid

_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_ISSUER = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[\x21-\x7e]{1,500}")
_NAME = re.compile(r"[\x21-\x7e]{1,200}")


class PamaPlacement(StrEnum):
    """Where in an answer the client's software looks for PAMA ratings to record (PM-012)."""

    STANDARD = "standard"
    ARGONAUT = "argonaut"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class Key:
    """One public key of a client.

    Attributes:
        kid: its name within the set it is from.
        source: ``""`` for a key given out of band, else the address of the key set.
        jwk: the public members of the JSON Web Key.
    """

    kid: str
    source: str
    jwk: Mapping[str, Any] = field(hash=False)


@dataclass(frozen=True, slots=True)
class Client:
    """A registered client.

    Attributes:
        id: short name for logs and commands.
        issuer: the ``iss`` of its tokens; one client per issuer.
        jkus: addresses its keys may be read from.
        tenants: the tenants it may speak for; empty when it does not use tenants.
        services: ids of the services it may call; empty for all.
        fhir_servers: base addresses of FHIR servers that may be read on its behalf.
        pama: where in an answer it looks for ratings to record.
        site_file: site policy file for its calls, or None for the service's own.
        cors_origins: origins of browser pages that may call with its tokens.
        rate_limit: calls in a time such as ``600/minute``, or None for the service's own.
        smart_client_id: id under which its authorization server knows the app, or None when it has not registered it.
        frame_origins: origins of its pages that may show the app in a frame.
        enabled: whether its tokens are accepted.
    """

    id: str
    issuer: str
    jkus: tuple[str, ...] = ()
    tenants: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    fhir_servers: tuple[str, ...] = ()
    pama: PamaPlacement = PamaPlacement.STANDARD
    site_file: str | None = None
    cors_origins: tuple[str, ...] = ()
    rate_limit: str | None = None
    enabled: bool = True
    smart_client_id: str | None = None
    frame_origins: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Bring the values to their one spelling, or refuse them by name.

        Raises:
            ClientInvalid: a value cannot be used.
        """
        _named("id", _ID, self.id, "lower-case letters, digits, dot, dash and underscore, at most 64")
        _named("issuer", _ISSUER, self.issuer, "a URI such as https://ehr.example.org")
        for name in self.tenants:
            _named("tenant", _NAME, name, "printable characters without spaces, at most 200")
        for name in self.services:
            _named("service", _NAME, name, "the id of a service")
        self._spell("jkus", "jku", document_url)
        self._spell("fhir_servers", "fhir-server", base_url)
        self._spell("cors_origins", "cors-origin", origin)
        self._spell("frame_origins", "frame-origin", origin)
        if self.smart_client_id is not None:
            _named("smart-client-id", _NAME, self.smart_client_id, "printable characters without spaces, at most 200")
        if self.rate_limit is not None:
            _checked("rate-limit", rate, self.rate_limit)

    def _spell(self, attribute: str, name: str, spelling: Callable[[str], str]) -> None:
        values = tuple(_checked(name, spelling, value) for value in getattr(self, attribute))
        object.__setattr__(self, attribute, tuple(dict.fromkeys(values)))

    def may_call(self, service_id: str) -> bool:
        """Whether the client is registered for a service."""
        return not self.services or service_id in self.services


def _named(name: str, pattern: re.Pattern[str], value: str, expected: str) -> None:
    if not pattern.fullmatch(value):
        raise ClientInvalid(f"{name}: expected {expected}.")


def _checked(name: str, spelling: Callable[[str], str], value: str) -> str:
    try:
        return spelling(value)
    except ValueError as error:
        raise ClientInvalid(f"{name}: {error}.") from None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a call: the authenticated client and, if it uses tenants, the one it speaks for."""

    client: Client
    tenant: str | None = None


DEMO_CALLER: Final = Caller(Client(id="demo", issuer="urn:pnet-cds:demo"))
"""Everybody, in demo mode."""
