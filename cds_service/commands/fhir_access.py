"""What the commands that use a FHIR server share: which server, and the token for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from cds_service.auth.signing import Signer, read_signer
from cds_service.ehr.remote import FhirServer, checked
from cds_service.ehr.smart import Granted, client_credentials, token_endpoint
from cds_service.errors import ClientInvalid
from cds_service.settings import load_settings

_OPTIONS: Final = (
    click.option("--client-id", metavar="ID", help="Get a token as this client (SMART Backend Services); needs --key."),
    click.option("--key", type=click.Path(path_type=Path), metavar="FILE", help="Its private key, JWK or PEM."),
    click.option("--kid", default="", metavar="NAME", help="Name of that key, if it is not a JWK that says it."),
    click.option("--token-url", metavar="URL", help="Token endpoint; default: the one the FHIR server names."),
)
_TYPICAL_SECONDS: Final = 300
"""Life of a token whose life is not known."""


@dataclass(frozen=True, slots=True)
class TokenOptions:
    """The options by which a token is had; without a client it is that of PNET_CDS_FHIR_TOKEN, if any."""

    client_id: str | None
    key: Path | None
    kid: str
    scope: str
    token_url: str | None


def token_options(scope: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The options ``--client-id``, ``--key``, ``--token-url`` and ``--scope``, which is ``scope`` by default."""
    scopes = click.option("--scope", default=scope, show_default=True, help="SMART scopes of the token.")

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed((*_OPTIONS, scopes)):
            command = option(command)
        return command

    return decorate


def taken(given: dict[str, Any]) -> TokenOptions:
    """Take these options out of those of a command."""
    found = TokenOptions(*(given.pop(name) for name in ("client_id", "key", "kid", "scope", "token_url")))
    if (found.client_id is None) != (found.key is None):
        raise click.UsageError("Give --client-id and --key together.")
    return found


def open_server(url: str, options: TokenOptions) -> tuple[FhirServer, Granted | None]:
    """The server, with the token for it if there is one."""
    settings = load_settings()
    base, ca_file = checked("--fhir-server", url), settings.fhir_ca_file
    granted = None
    if options.client_id and options.key:
        endpoint = options.token_url or token_endpoint(base, ca_file)
        client = signer("--key", options.key, options.client_id, options.kid)
        granted = client_credentials(endpoint, client, options.scope, time.time(), ca_file)
    elif settings.fhir_token:
        granted = Granted(settings.fhir_token.get_secret_value(), options.scope, 0)
    return FhirServer(base, granted.token if granted else None, ca_file), granted


def signer(option: str, path: Path, issuer: str, kid: str, tenant: str = "") -> Signer:
    """The client with the private key of a file.

    Raises:
        ClientInvalid: the file cannot be read or holds no key to sign with; nothing of it is repeated.
    """
    try:
        return read_signer(path.read_bytes(), issuer, kid, tenant=tenant)
    except OSError as error:
        raise ClientInvalid(f"{option} {path}: {error.strerror}.") from None
    except ClientInvalid as error:
        raise ClientInvalid(f"{option} {path}: {error}") from None


def authorization(granted: Granted, subject: str | None) -> dict[str, Any]:
    """What a call brings so that the service may read with the same token (CH-035)."""
    return {
        "access_token": granted.token,
        "token_type": "Bearer",
        "expires_in": granted.seconds or _TYPICAL_SECONDS,
        "scope": granted.scope,
        "subject": subject or "pnet-cds",
    }
