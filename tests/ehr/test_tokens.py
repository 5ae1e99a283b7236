"""Tokens of the EHR: for its FHIR server by SMART Backend Services, and for CDS services that want one."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from cds_service.app import create_app
from cds_service.auth.keys import read_key_set
from cds_service.auth.signing import Signer
from cds_service.clients import Client
from cds_service.commands.fhir_access import signer
from cds_service.ehr.smart import Granted, client_credentials, token_endpoint
from cds_service.errors import CallInvalid, ClientInvalid, RemoteError
from cds_service.settings import Settings
from cds_service.store.clients import GIVEN, open_clients
from tests.conftest import served
from tests.ehr.conftest import Run, run_command
from tests.ehr.servers import Server
from tests.ehr.token_server import TokenServer, token_server
from tests.signing import key_set, private_jwk, private_pem, public_jwk, public_pem

CLIENT = "ehr-of-the-tests"
ISSUER = "https://ehr.example.org"


def key_file(folder: Path, content: bytes) -> Path:
    """A file with a key."""
    path = folder / "key"
    path.write_bytes(content)
    return path


@pytest.fixture
def tokens(fhir: Server) -> Iterator[TokenServer]:
    """An authorization server that knows our keys and gives the token of the FHIR server."""
    with token_server(CLIENT, {"smart-jwk": "ES384"}, fhir.token or "unused") as server:
        yield server


def granted(tokens: TokenServer, client: Signer) -> Granted:
    """What the token endpoint gives a client."""
    return client_credentials(tokens.endpoint, client, "system/*.read", time.time())


def test_a_token_is_had_by_a_signed_assertion(tokens: TokenServer, run: Run, fhir: Server, tmp_path: Path) -> None:
    """The whole way: key file, token endpoint, FHIR server; every assertion is another one."""
    path = key_file(tmp_path, json.dumps(private_jwk("smart-jwk")).encode())
    smart = ("--client-id", CLIENT, "--key", str(path), "--token-url", tokens.endpoint)
    for command in (("load", "--patient", "pacemaker-mri"), ("clean", "--yes")):
        ran = run("sandbox", *command, "--fhir-server", fhir.url, *smart, PNET_CDS_FHIR_TOKEN="wrong")  # noqa: S106
        assert ran.status == 0, (ran.err, tokens.problems)
    assert len(tokens.used) == 2
    assert tokens.scopes == ["system/*.read system/*.write"] * 2


@pytest.mark.parametrize(("name", "kind"), [("smart-ec", "ES384"), ("smart-rsa", "RS384")])
def test_keys_in_pem_are_named_by_an_option(tokens: TokenServer, name: str, kind: str, tmp_path: Path) -> None:
    """Both algorithms; without a name the message says how to give one."""
    tokens.keys[name] = kind
    path = key_file(tmp_path, private_pem(name, kind))
    assert granted(tokens, signer("--key", path, CLIENT, name)).token == tokens.token
    with pytest.raises(ClientInvalid, match="--kid"):
        signer("--key", path, CLIENT, "")


def test_the_endpoint_is_the_one_the_fhir_server_names(tokens: TokenServer) -> None:
    """From its SMART configuration; without one the user is told to give it."""
    assert token_endpoint(f"{tokens.base}/fhir") == tokens.endpoint
    with pytest.raises(RemoteError, match="--token-url"):
        token_endpoint(tokens.base)


def test_a_refused_assertion_is_said(tokens: TokenServer, tmp_path: Path) -> None:
    """The error code of OAuth is repeated, nothing else of the answer."""
    path = key_file(tmp_path, json.dumps(private_jwk("smart-jwk")).encode())
    with pytest.raises(RemoteError, match="invalid_client"):
        granted(tokens, signer("--key", path, "someone-else", ""))
    assert tokens.problems == ["AssertionError: iss, sub"]
    tokens.answers = (400, {"error": "Patient Doe", "error_description": "secret"})
    with pytest.raises(RemoteError, match="no reason given") as refused:
        granted(tokens, signer("--key", path, CLIENT, ""))
    assert "Doe" not in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "answer",
    [[], {}, {"access_token": 1, "token_type": "bearer"}, {"access_token": "a b", "token_type": "bearer"},
     {"access_token": "ab", "token_type": "mac"}],
)  # fmt: skip
def test_an_answer_without_a_bearer_token_is_said(tokens: TokenServer, answer: Any, tmp_path: Path) -> None:
    """Whatever a token endpoint says, what is used is a bearer token."""
    client = signer("--key", key_file(tmp_path, private_pem("smart-ec")), CLIENT, "smart-ec")
    tokens.answers = (200, answer)
    with pytest.raises(RemoteError, match="without a bearer token"):
        granted(tokens, client)


def test_an_assertion_goes_nowhere_in_the_clear(tmp_path: Path) -> None:
    """A token endpoint has https or is on this machine."""
    client = signer("--key", key_file(tmp_path, private_pem("smart-ec")), CLIENT, "smart-ec")
    with pytest.raises(CallInvalid, match="token endpoint"):
        client_credentials("http://auth.example.org/token", client, "system/*.read", 0)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"{",
        b'{"keys": []}',
        b'{"keys": [1]}',
        b'{"kty": "oct", "k": "c2VjcmV0"}',
        public_pem("smart-ec"),
        json.dumps(public_jwk("smart-ec")).encode(),
        private_pem("p-256", "ES256"),
    ],
)
def test_a_file_without_a_key_of_ours_is_said(content: bytes, tmp_path: Path) -> None:
    """The file is named; nothing of what it holds is."""
    with pytest.raises(ClientInvalid) as refused:
        signer("--key", key_file(tmp_path, content), CLIENT, "name")
    assert str(tmp_path) in str(refused.value)
    assert "c2VjcmV0" not in str(refused.value)
    with pytest.raises(ClientInvalid, match="No such file"):
        signer("--key", tmp_path / "none", CLIENT, "name")


@pytest.fixture
def protected(tmp_path: Path) -> Iterator[str]:
    """A service for registered clients, with its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"sqlite:///{tmp_path}/clients.sqlite"
    clients = open_clients(url)
    clients.add(Client("ehr", ISSUER, tenants=("north",)))
    clients.give_keys("ehr", read_key_set(key_set(public_jwk("cds-key")), GIVEN).keys)
    base = f"http://127.0.0.1:{port}"
    settings = Settings(demo=False, database_url=url, public_url=base, fhir_networks="127.0.0.0/8")  # type: ignore[call-arg]
    yield from (live.base for live in served(create_app(settings, today=date.today), port))
    clients.release()


def test_a_service_for_registered_clients_is_called_with_tokens(
    protected: str, run: Run, fhir: Server, tmp_path: Path
) -> None:
    """Discovery, call and feedback each get a token of their own; without one the message says what to give."""
    path = key_file(tmp_path, json.dumps(private_jwk("cds-key")).encode())
    run("sandbox", "load", "--fhir-server", fhir.url, "--patient", "pacemaker-mri")
    typed = (
        *("call", "--url", protected, "--fhir-server", fhir.url, "--patient", "pmk-patient"),
        *("--hook", "order-sign", "--order", "ServiceRequest/pmk-sr-mri", "--override", "1"),
    )
    signed = ("--cds-issuer", ISSUER, "--cds-key", str(path), "--cds-tenant", "north")
    ran = run(*typed, *signed)
    assert ran.status == 0, ran.err
    assert "Feedback on 1 cards was taken." in ran.err
    refused = run(*typed)
    assert refused.status == 1
    assert "--cds-issuer" in refused.err
    wrong = run_command(*typed, *signed[:4], **fhir.environment)
    assert "status 401" in wrong.err
