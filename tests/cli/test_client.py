"""``pnet-cds client``: registering clients and their keys from the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cds_service.commands.client import client
from tests.cli.conftest import Command
from tests.signing import KeyServer, key_server, key_set, private_jwk, public_jwk

ISSUER = "https://ehr.example.org"


@pytest.fixture(autouse=True)
def _own_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every test has a database of its own."""
    monkeypatch.setenv("PNET_CDS_DATABASE_URL", f"sqlite:///{tmp_path}/store.sqlite")


@pytest.fixture
def published() -> Iterator[KeyServer]:
    """A server that publishes key sets."""
    with key_server() as running:
        yield running


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with two public keys and one that cannot be used."""
    path = tmp_path / "keys.json"
    path.write_bytes(key_set(public_jwk("one"), public_jwk("two", "RS384"), public_jwk("short", "short")))
    return path


def shown(command: Command, *arguments: str) -> Any:
    """What a command prints as JSON."""
    ran = command("client", *arguments, "--json")
    assert ran.status == 0, ran.err
    return json.loads(ran.out)


def test_a_client_is_registered_with_everything(command: Command, file: Path, tmp_path: Path) -> None:
    """Every option is kept and shown again, in words and as JSON."""
    site = tmp_path / "site.toml"
    site.write_text("", encoding="utf-8")
    added = shown(
        command,
        "add",
        "ehr",
        *("--issuer", ISSUER, "--keys", str(file), "--jku", f"{ISSUER}/keys", "--tenant", "north", "--tenant", "south"),
        *("--service", "pnet-order-sign", "--fhir-server", "https://fhir.example.org/r4/", "--pama", "argonaut"),
        *("--site-file", str(site), "--cors-origin", "https://pages.example.org", "--rate-limit", "60/minute"),
        *("--smart-client-id", "story-app", "--frame-origin", "https://frames.example.org"),
    )
    fingerprints = {key.pop("thumbprint") for key in added["keys"]}
    assert len(fingerprints) == 2
    assert added == {
        "id": "ehr",
        "issuer": ISSUER,
        "jkus": [f"{ISSUER}/keys"],
        "tenants": ["north", "south"],
        "services": ["pnet-order-sign"],
        "fhir_servers": ["https://fhir.example.org/r4"],
        "pama": "argonaut",
        "site_file": str(site),
        "cors_origins": ["https://pages.example.org"],
        "rate_limit": "60/minute",
        "enabled": True,
        "smart_client_id": "story-app",
        "frame_origins": ["https://frames.example.org"],
        "keys": [{"kid": "one", "alg": "ES384", "from": "file"}, {"kid": "two", "alg": "RS384", "from": "file"}],
        "keys_fetched_at": {f"{ISSUER}/keys": None},
    }
    words = command("client", "show", "ehr")
    assert words.status == 0
    for value in ("ehr", ISSUER, "north, south", "argonaut", "60/minute", *fingerprints):
        assert value in words.out


def test_a_client_without_keys_is_told_what_is_missing(command: Command) -> None:
    """Registering in two steps is fine; the next step is named."""
    ran = command("client", "add", "ehr", "--issuer", ISSUER)
    assert ran.status == 0
    assert "pnet-cds client keys add ehr FILE" in ran.err
    assert shown(command, "show", "ehr")["pama"] == "standard"


def test_settings_are_changed_one_by_one(command: Command, tmp_path: Path) -> None:
    """What is not named stays; a list is replaced as a whole; an empty value stands for nothing."""
    site = tmp_path / "site.toml"
    site.write_text("", encoding="utf-8")
    command("client", "add", "ehr", "--issuer", ISSUER, "--tenant", "north", "--rate-limit", "9/day", "--pama", "both")
    command("client", "set", "ehr", "--site-file", str(site))
    changed = shown(command, "set", "ehr", "--disable", "--tenant", "a", "--tenant", "b")
    assert (changed["enabled"], changed["tenants"], changed["rate_limit"]) == (False, ["a", "b"], "9/day")
    assert (changed["pama"], changed["site_file"]) == ("both", str(site))
    changed = shown(command, "set", "ehr", "--enable", "--tenant", "", "--rate-limit", "", "--site-file", "")
    assert (changed["enabled"], changed["tenants"], changed["rate_limit"], changed["site_file"]) == (
        True,
        [],
        None,
        None,
    )
    assert shown(command, "set", "ehr", "--issuer", "urn:new")["issuer"] == "urn:new"


def test_clients_are_listed_and_removed(command: Command, file: Path) -> None:
    """The list names all; a client that is removed is not on it."""
    assert "No client" in command("client", "list").out
    command("client", "add", "one", "--issuer", "urn:one", "--keys", str(file))
    command("client", "add", "two", "--issuer", "urn:two")
    assert [each["id"] for each in shown(command, "list")] == ["one", "two"]
    assert "one  urn:one  enabled  2 keys" in command("client", "list").out
    assert command("client", "remove", "one").status == 0
    assert [each["id"] for each in shown(command, "list")] == ["two"]


def test_keys_are_added_listed_and_removed(command: Command, file: Path) -> None:
    """From a file or standard input; what cannot be used is named; a removed key is gone."""
    command("client", "add", "ehr", "--issuer", ISSUER)
    ran = command("client", "keys", "add", "ehr", str(file))
    assert ran.status == 0
    assert "left out: key 3: an RSA key has 2048" in ran.err
    assert "key: one  ES384  from file" in ran.out
    assert [key["kid"] for key in shown(command, "keys", "list", "ehr")] == ["one", "two"]
    assert [key["kid"] for key in shown(command, "keys", "remove", "ehr", "one")] == ["two"]
    ran = command("client", "keys", "remove", "ehr", "one")
    assert (ran.status, ran.err) == (1, "pnet-cds: ehr has no key of this name. [client-invalid]\n")


def test_keys_are_read_from_their_address(command: Command, published: KeyServer) -> None:
    """``refresh`` reads them now; an address that fails is an error with exit status 1, and the keys stay."""
    jku = published.publish("/keys", public_jwk("one"), public_jwk("short", "short"))
    command("client", "add", "ehr", "--issuer", ISSUER, "--jku", jku)
    ran = command("client", "keys", "refresh", "ehr")
    assert ran.status == 0
    assert "left out: key 2" in ran.err
    assert f"key: one  ES384  from {jku}" in ran.out
    assert shown(command, "show", "ehr")["keys_fetched_at"][jku]
    published.put("/keys", b"", 404)
    ran = command("client", "keys", "refresh", "ehr")
    assert ran.status == 1
    assert "[remote-unavailable]" in ran.err
    assert [key["kid"] for key in shown(command, "keys", "list", "ehr")] == ["one"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (key_set(private_jwk("one")), "no key that can be used"),
        (key_set(), "no key that can be used"),
        (b"-----BEGIN PUBLIC KEY-----", "not valid JSON"),
    ],
)
def test_a_file_without_a_usable_key_changes_nothing(
    command: Command, tmp_path: Path, content: bytes, said: str
) -> None:
    """Neither a private key nor another kind of file is kept, and no client is registered with it."""
    path = tmp_path / "keys.json"
    path.write_bytes(content)
    ran = command("client", "add", "ehr", "--issuer", ISSUER, "--keys", str(path))
    assert ran.status == 1
    assert said in ran.err
    assert "[client-invalid]" in ran.err
    assert private_jwk("one")["d"] not in ran.err + ran.out
    assert shown(command, "list") == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", "none"), "no client 'none'"),
        (("remove", "none"), "no client 'none'"),
        (("set", "none", "--disable"), "no client 'none'"),
        (("keys", "list", "none"), "no client 'none'"),
        (("keys", "remove", "none", "kid"), "no client 'none'"),
        (("keys", "refresh", "none"), "no client 'none'"),
        (("keys", "refresh", "there"), "no address"),
        (("add", "there", "--issuer", "urn:x"), "registered already"),
        (("add", "x", "--issuer", "urn:there"), "registered already"),
        (("add", "X", "--issuer", "urn:x"), "id: expected"),
        (("add", "x", "--issuer", "urn:x", "--jku", "http://ehr.example.org"), "jku: expected"),
        (("set", "there", "--cors-origin", "*"), "cors-origin: expected"),
    ],
)
def test_what_cannot_be_done_is_said(command: Command, arguments: tuple[str, ...], said: str) -> None:
    """A message on standard error with the slug, and exit status 1."""
    command("client", "add", "there", "--issuer", "urn:there")
    ran = command("client", *arguments)
    assert (ran.status, ran.out) == (1, "")
    assert said in ran.err
    assert "[client-invalid]" in ran.err


@pytest.mark.parametrize(("content", "said"), [(None, "cannot be read"), ("[nonsense]", "does not fit")])
def test_a_site_file_is_checked_when_it_is_given(
    command: Command, tmp_path: Path, content: str | None, said: str
) -> None:
    """A client is not registered with a policy that could not be used when it calls."""
    path = tmp_path / "site.toml"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    ran = command("client", "add", "ehr", "--issuer", ISSUER, "--site-file", str(path))
    assert ran.status == 1
    assert said in ran.err
    assert "[site-invalid]" in ran.err
    assert shown(command, "list") == []


def test_every_command_explains_itself(command: Command) -> None:
    """Each command of the group has a help text that names its options and arguments."""
    groups = {("client",): client, ("client", "keys"): client.commands["keys"]}
    for path, group in groups.items():
        for name, found in group.commands.items():  # type: ignore[attr-defined]
            ran = command(*path, name, "--help")
            assert (ran.status, ran.err) == (0, "")
            assert found.help
            for parameter in found.params:
                if parameter.param_type_name == "option":
                    assert parameter.opts[-1] in ran.out
                    assert getattr(parameter, "help", "")
