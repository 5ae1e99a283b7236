"""What the store of clients promises, on a real SQLite file and a real PostgreSQL server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cds_service.clients import Client, Key, PamaPlacement
from cds_service.errors import ClientInvalid, StoreError
from cds_service.store.clients import GIVEN, Fetch, SqlClients, open_clients
from cds_service.store.connect import open_engine

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
JKU = "https://ehr.example.org/keys"
FULL = Client(
    id="ehr",
    issuer="https://ehr.example.org",
    jkus=(JKU, "https://ehr.example.org/more"),
    tenants=("north", "south"),
    services=("pnet-order-sign",),
    fhir_servers=("https://fhir.example.org/r4",),
    pama=PamaPlacement.BOTH,
    site_file="/etc/site.toml",
    cors_origins=("https://pages.example.org",),
    rate_limit="60/minute",
)
BARE = Client(id="other", issuer="urn:other")


def key(kid: str, source: str = GIVEN) -> Key:
    """A key by name; the store does not look into it."""
    return Key(kid, source, {"kty": "EC", "kid": kid})


@pytest.fixture
def clients(url: str) -> Iterator[SqlClients]:
    """A store with two clients, on each kind of database."""
    opened = open_clients(url)
    opened.add(FULL)
    opened.add(BARE)
    yield opened
    opened.release()


def test_a_client_comes_back_as_it_was_registered(clients: SqlClients) -> None:
    """By id, by issuer and in the list, with every setting."""
    assert clients.get("ehr").client == FULL
    found = clients.with_issuer("urn:other")
    assert found is not None
    assert (found.client, found.keys, found.fetches) == (BARE, (), {})
    assert [each.client for each in clients.all()] == [FULL, BARE]
    assert clients.get("ehr").fetches == {url: Fetch() for url in FULL.jkus}


def test_an_unknown_issuer_is_nobody(clients: SqlClients) -> None:
    """No wildcard, no prefix, no other case."""
    for issuer in ("https://ehr.example.org/", "https://EHR.example.org", "%", "", "urn:%"):
        assert clients.with_issuer(issuer) is None


@pytest.mark.parametrize("twice", [Client("ehr", "urn:new"), Client("new", "urn:other")])
def test_ids_and_issuers_are_unique(clients: SqlClients, twice: Client) -> None:
    """A second client with an id or an issuer is refused, and nothing of it is kept."""
    with pytest.raises(ClientInvalid, match="registered already"):
        clients.add(twice)
    assert [each.client for each in clients.all()] == [FULL, BARE]


def test_a_change_replaces_settings_and_keeps_keys(clients: SqlClients) -> None:
    """Keys stay, but for those from an address that is no longer the client's."""
    clients.give_keys("ehr", [key("given")])
    clients.keep_fetched("ehr", JKU, [key("one", JKU)], NOW)
    clients.keep_fetched("ehr", FULL.jkus[1], [key("two", FULL.jkus[1])], NOW)
    changed = Client("ehr", "urn:changed", jkus=(JKU, "https://ehr.example.org/new"), enabled=False)
    clients.change(changed)
    found = clients.get("ehr")
    assert found.client == changed
    assert {(each.source, each.kid) for each in found.keys} == {(GIVEN, "given"), (JKU, "one")}
    assert found.fetches == {JKU: Fetch(fetched_at=NOW), "https://ehr.example.org/new": Fetch()}


def test_a_change_that_cannot_be_is_refused(clients: SqlClients) -> None:
    """A client that is not there, and an issuer of another client."""
    with pytest.raises(ClientInvalid, match="no client 'none'"):
        clients.change(Client("none", "urn:none"))
    with pytest.raises(ClientInvalid, match="Another client"):
        clients.change(Client("ehr", "urn:other"))
    assert clients.get("ehr").client == FULL


def test_a_client_that_is_removed_takes_its_keys(clients: SqlClients) -> None:
    """Registered again, it has none of them."""
    clients.give_keys("ehr", [key("given")])
    clients.remove("ehr")
    assert clients.with_issuer(FULL.issuer) is None
    clients.add(FULL)
    assert clients.get("ehr").keys == ()


def test_nobody_is_named(clients: SqlClients) -> None:
    """Asking for, removing or giving keys to a client that is not there is one of our errors."""
    for attempt in (
        lambda: clients.get("none"),
        lambda: clients.remove("none"),
        lambda: clients.give_keys("none", [key("one")]),
    ):
        with pytest.raises(ClientInvalid, match="no client 'none'"):
            attempt()


def test_keys_of_one_name_replace_each_other(clients: SqlClients) -> None:
    """Within a source a name is unique; given and fetched keys stand side by side; removal takes both."""
    clients.give_keys("ehr", [key("one"), key("two")])
    clients.give_keys("ehr", [Key("one", GIVEN, {"kty": "RSA", "kid": "one"})])
    clients.keep_fetched("ehr", JKU, [key("one", JKU)], NOW)
    assert [(each.source, each.kid, each.jwk["kty"]) for each in clients.get("ehr").keys] == [
        (GIVEN, "one", "RSA"),
        (GIVEN, "two", "EC"),
        (JKU, "one", "EC"),
    ]
    assert clients.remove_key("ehr", "one") == 2
    assert clients.remove_key("ehr", "one") == 0
    assert clients.remove_key("other", "two") == 0


def test_a_fetched_set_replaces_the_one_before(clients: SqlClients) -> None:
    """Keys that are no longer published go; nothing is kept for an address that is not the client's."""
    clients.keep_fetched("ehr", JKU, [key("one", JKU), key("two", JKU)], NOW)
    clients.keep_fetched("ehr", JKU, [key("two", JKU)], NOW + timedelta(hours=1))
    clients.keep_fetched("ehr", "https://elsewhere.example.org", [key("x", "https://elsewhere.example.org")], NOW)
    found = clients.get("ehr")
    assert [each.kid for each in found.keys] == ["two"]
    assert found.fetches[JKU].fetched_at == NOW + timedelta(hours=1)


def test_one_of_many_may_fetch(clients: SqlClients) -> None:
    """Of threads that ask at once one is told to fetch; later the next one is."""
    told: list[bool] = []

    def claim() -> None:
        told.append(clients.claim_fetch("ehr", JKU, NOW, NOW - timedelta(seconds=30)))

    threads = [threading.Thread(target=claim) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(told) == [False] * 7 + [True]
    later = NOW + timedelta(seconds=30)
    assert not clients.claim_fetch("ehr", JKU, later, NOW - timedelta(microseconds=1))
    assert clients.claim_fetch("ehr", JKU, later, NOW)
    assert not clients.claim_fetch("ehr", "https://elsewhere.example.org", later, later)


def test_one_of_many_may_use_a_token(clients: SqlClients) -> None:
    """Of threads that present one token at once, one is the first."""
    first: list[bool] = []

    def use() -> None:
        first.append(clients.use_token("digest", NOW + timedelta(minutes=5), NOW))

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(first) == [False] * 7 + [True]


def test_a_removed_client_cannot_replay(clients: SqlClients) -> None:
    """Used tokens stay used when the client is removed and registered again."""
    assert clients.use_token("digest", NOW + timedelta(minutes=5), NOW)
    clients.remove("ehr")
    clients.add(FULL)
    assert not clients.use_token("digest", NOW + timedelta(minutes=5), NOW)


def test_origins_are_those_of_enabled_clients(clients: SqlClients) -> None:
    """A client that is disabled allows no page."""
    clients.add(Client("off", "urn:off", cors_origins=("https://off.example.org",), enabled=False))
    assert clients.origins() == {"https://pages.example.org"}


def test_a_database_without_tables_is_said(tmp_path: Path) -> None:
    """Every access fails with our own error, without its statement."""
    empty = SqlClients(open_engine(f"sqlite:///{tmp_path}/empty.sqlite"))
    for attempt in (
        empty.all,
        empty.origins,
        lambda: empty.with_issuer("urn:x"),
        lambda: empty.add(BARE),
        lambda: empty.use_token("digest", NOW, NOW),
        lambda: empty.claim_fetch("ehr", JKU, NOW, NOW),
    ):
        with pytest.raises(StoreError) as raised:
            attempt()
        assert "client" not in str(raised.value).replace("The clients could", "")
    empty.release()


# --- what a client may be ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("id", {"id": ""}),
        ("id", {"id": "With Capitals"}),
        ("id", {"id": "x" * 65}),
        ("issuer", {"issuer": "no-uri"}),
        ("issuer", {"issuer": "https://with space"}),
        ("jku", {"jkus": ("http://ehr.example.org/keys",)}),
        ("jku", {"jkus": ("https://ehr.example.org/keys#fragment",)}),
        ("jku", {"jkus": ("file:///etc/keys",)}),
        ("jku", {"jkus": ("https://u:p@ehr.example.org/keys",)}),
        ("jku", {"jkus": ("https://ehr.example.org/" + "x" * 1000,)}),
        ("tenant", {"tenants": ("",)}),
        ("tenant", {"tenants": ("a b",)}),
        ("service", {"services": ("a b",)}),
        ("fhir-server", {"fhir_servers": ("http://fhir.example.org",)}),
        ("fhir-server", {"fhir_servers": ("https://fhir.example.org/r4?x",)}),
        ("cors-origin", {"cors_origins": ("https://pages.example.org/path",)}),
        ("cors-origin", {"cors_origins": ("https://pages.example.org/",)}),
        ("cors-origin", {"cors_origins": ("*",)}),
        ("cors-origin", {"cors_origins": ("null",)}),
        ("rate-limit", {"rate_limit": "many"}),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(name: str, values: dict[str, object]) -> None:
    """A client with it cannot be made."""
    with pytest.raises(ClientInvalid, match=f"^{name}: expected "):
        Client(**{"id": "ehr", "issuer": "urn:ehr", **values})  # type: ignore[arg-type]


def test_settings_have_one_spelling() -> None:
    """Slashes at the end of FHIR servers, capitals in origins and doubles do not matter."""
    made = Client(
        "ehr",
        "urn:ehr",
        fhir_servers=("https://fhir.example.org/r4/", "https://fhir.example.org/r4"),
        cors_origins=("HTTPS://Pages.Example.Org", "http://localhost:3000"),
    )
    assert made.fhir_servers == ("https://fhir.example.org/r4",)
    assert made.cors_origins == ("https://pages.example.org", "http://localhost:3000")


def test_services_of_a_client() -> None:
    """Without a list all services may be called, with one only those on it."""
    assert BARE.may_call("anything")
    assert FULL.may_call("pnet-order-sign")
    assert not FULL.may_call("pnet-patient-view")
