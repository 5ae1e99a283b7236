"""``pnet-cds client``: who may call the service. Only public keys are read, kept or shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import click

from cds_service.auth.gate import fetch_keys
from cds_service.auth.keys import KeySet, algorithm_of, read_key_set, thumbprint
from cds_service.clients import Client, PamaPlacement
from cds_service.errors import ClientInvalid
from cds_service.http_client import get_bounded
from cds_service.knowledge import knowledge_at, load_site
from cds_service.settings import load_settings
from cds_service.store.clients import GIVEN, Registered, SqlClients, open_clients

_LISTS = {
    "jku": "jkus",
    "tenant": "tenants",
    "service": "services",
    "fhir_server": "fhir_servers",
    "cors_origin": "cors_origins",
    "frame_origin": "frame_origins",
}
"""Options that may be repeated, and what they set."""

_PLACEMENTS = [placement.value for placement in PamaPlacement]
_OPTIONS = (
    click.option("--jku", multiple=True, metavar="URL", help="Where its keys may be read from; https. Repeatable."),
    click.option("--tenant", multiple=True, help="A tenant it may speak for; none: tenants are not used. Repeatable."),
    click.option("--service", multiple=True, help="Id of a service it may call; none: all. Repeatable."),
    click.option("--fhir-server", multiple=True, metavar="URL", help="FHIR server read on its behalf. Repeatable."),
    click.option("--cors-origin", multiple=True, help="Origin of browser pages that may call. Repeatable."),
    click.option("--pama", type=click.Choice(_PLACEMENTS), help="Where ratings are put on an order."),
    click.option("--site-file", metavar="FILE", help="Site policy for its calls."),
    click.option("--rate-limit", metavar="N/TIME", help="Calls in a time, such as 600/minute."),
    click.option("--smart-client-id", metavar="ID", help="The SMART app's id at its authorization server."),
    click.option("--frame-origin", multiple=True, help="Origin of its pages that may frame the app. Repeatable."),
)
_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
_id = click.argument("client_id", metavar="ID")


def _settings(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.group()
def client() -> None:
    """Register clients and their keys; changes hold from the next call on, without a restart."""


@client.command()
@_id
@click.option("--issuer", required=True, metavar="URI", help="The iss of its tokens.")
@click.option("--keys", "file", type=click.File("rb"), metavar="FILE", help="Its public keys (JWK set); - for stdin.")
@_settings
@_json
def add(client_id: str, issuer: str, file: BinaryIO | None, as_json: bool, **given: Any) -> None:
    """Register a client under a short ID."""
    new = Client(id=client_id, issuer=issuer, **_attributes(given))
    keys = _usable(file) if file else None
    clients = _clients()
    clients.add(new)
    if keys:
        clients.give_keys(client_id, keys.keys)
    _show(clients.get(client_id), as_json)
    if keys is None and not new.jkus:
        click.echo(f"It has no key yet: pnet-cds client keys add {client_id} FILE", err=True)


@client.command("set")
@_id
@click.option("--issuer", metavar="URI", help="The iss of its tokens.")
@click.option("--enable/--disable", "enabled", default=None, help="Accept its tokens, or refuse them all.")
@_settings
@_json
def change(client_id: str, issuer: str | None, enabled: bool | None, as_json: bool, **given: Any) -> None:
    """Change settings of a client; what is not named stays. A list is replaced as a whole, by "" with nothing."""
    clients = _clients()
    changed: dict[str, Any] = _attributes(given)
    if issuer is not None:
        changed["issuer"] = issuer
    if enabled is not None:
        changed["enabled"] = enabled
    clients.change(replace(clients.get(client_id).client, **changed))
    _show(clients.get(client_id), as_json)


@client.command("list")
@_json
def listed(as_json: bool) -> None:
    """List the registered clients."""
    found = _clients().all()
    if as_json:
        click.echo(json.dumps([_as_object(each) for each in found]))
        return
    for each in found:
        state = "enabled" if each.client.enabled else "disabled"
        click.echo(f"{each.client.id}  {each.client.issuer}  {state}  {len(each.keys)} keys")
    if not found:
        click.echo("No client is registered; see pnet-cds client add --help.")


@client.command()
@_id
@_json
def show(client_id: str, as_json: bool) -> None:
    """Show a client with its settings and the fingerprints of its keys."""
    _show(_clients().get(client_id), as_json)


@client.command()
@_id
def remove(client_id: str) -> None:
    """Remove a client with its keys; its tokens are refused from now on."""
    _clients().remove(client_id)
    click.echo(f"{client_id} is removed.")


@client.group()
def keys() -> None:
    """Manage the public keys of a client."""


@keys.command("add")
@_id
@click.argument("file", type=click.File("rb"), metavar="FILE")
@_json
def add_keys(client_id: str, file: BinaryIO, as_json: bool) -> None:
    """Add the keys of a JWK set, FILE or - for stdin; a key of the same name is replaced."""
    found, clients = _usable(file), _clients()
    clients.get(client_id)
    clients.give_keys(client_id, found.keys)
    _show_keys(clients.get(client_id), as_json)


@keys.command("list")
@_id
@_json
def list_keys(client_id: str, as_json: bool) -> None:
    """List the keys of a client, where they are from, and their fingerprints (RFC 7638)."""
    _show_keys(_clients().get(client_id), as_json)


@keys.command("remove")
@_id
@click.argument("kid")
@_json
def remove_key(client_id: str, kid: str, as_json: bool) -> None:
    """Remove the key named KID. One from a --jku comes back if it is still published there."""
    clients = _clients()
    clients.get(client_id)
    if not clients.remove_key(client_id, kid):
        raise ClientInvalid(f"{client_id} has no key of this name.")
    _show_keys(clients.get(client_id), as_json)


@keys.command()
@_id
@_json
def refresh(client_id: str, as_json: bool) -> None:
    """Read the keys of a client from its addresses (--jku) now, for all running processes."""
    clients = _clients()
    found = clients.get(client_id).client
    if not found.jkus:
        raise ClientInvalid(f"{client_id} has no address to read keys from.")
    for url in found.jkus:
        _tell_left_out(fetch_keys(clients, get_bounded, found, url, datetime.now(UTC)))
    _show_keys(clients.get(client_id), as_json)


def _clients() -> SqlClients:
    return open_clients(load_settings().database_url)


def _attributes(given: dict[str, Any]) -> dict[str, Any]:
    """Attributes of a client for the options that were given; an empty value stands for nothing."""
    lists = {_LISTS[name]: tuple(filter(None, values)) for name, values in given.items() if name in _LISTS and values}
    single: dict[str, Any] = {
        name: value or None for name, value in given.items() if name not in _LISTS and value is not None
    }
    if "pama" in single:
        single["pama"] = PamaPlacement(single["pama"])
    if single.get("site_file"):
        path = Path(single["site_file"]).resolve()
        knowledge_at(load_site(path))
        single["site_file"] = str(path)
    return lists | single


def _usable(file: BinaryIO) -> KeySet:
    found = read_key_set(file.read(), GIVEN)
    _tell_left_out(found.left_out)
    if not found.keys:
        raise ClientInvalid("The file holds no key that can be used.")
    return found


def _tell_left_out(left_out: tuple[str, ...]) -> None:
    for reason in left_out:
        click.echo(f"left out: {reason}", err=True)


def _key_objects(found: Registered) -> list[dict[str, Any]]:
    return [
        {"kid": key.kid, "alg": algorithm_of(key.jwk), "from": key.source or "file", "thumbprint": thumbprint(key.jwk)}
        for key in found.keys
    ]


def _as_object(found: Registered) -> dict[str, Any]:
    fetched = {url: fetch.fetched_at.isoformat() if fetch.fetched_at else None for url, fetch in found.fetches.items()}
    return asdict(found.client) | {"keys": _key_objects(found), "keys_fetched_at": fetched}


def _show(found: Registered, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(_as_object(found)))
        return
    for name, value in asdict(found.client).items():
        shown = ", ".join(value) if isinstance(value, tuple) else value
        click.echo(f"{name}: {'-' if shown in ('', None) else shown}")
    _show_keys(found, as_json=False)


def _show_keys(found: Registered, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(_key_objects(found)))
        return
    for key in _key_objects(found):
        click.echo(f"key: {key['kid']}  {key['alg']}  from {key['from']}  {key['thumbprint']}")
