"""Keys over time: fetching, rotation, and addresses that do not answer, with a clock that is handed in."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from cds_service.auth.gate import BETWEEN_FETCHES, FRESH, USABLE, Gate, fetch_keys
from cds_service.auth.keys import algorithm_of, read_key_set, thumbprint
from cds_service.clients import Client
from cds_service.errors import ClientInvalid, RemoteError, Unauthenticated
from cds_service.http_client import get_bounded
from cds_service.store.clients import GIVEN, SqlClients, open_clients
from tests.signing import KeyServer, claims, key_server, key_set, private_jwk, public_jwk, sign

URL = "https://cds.example.org/cds-services"
START = datetime(2026, 11, 25, 12, tzinfo=UTC)


@dataclass
class Setting:
    """A gate with one client, whose keys are published, and a clock that stands still until it is moved."""

    clients: SqlClients
    published: KeyServer
    at: datetime = START
    client: Client = field(init=False)

    def __post_init__(self) -> None:
        self.client = Client("ehr", "https://ehr.example.org", jkus=(f"{self.published.base}/keys",))
        self.clients.add(self.client)

    def gate(self, skew_seconds: int = 60) -> Gate:
        """The gate."""
        return Gate(self.clients, get_bounded, lambda: self.at, skew_seconds)

    def enter(self, kid: str) -> str | None:
        """Try a fresh token signed with a key; the reason when it is refused."""
        moment = int(self.at.timestamp())
        said = claims(self.client.issuer, URL, iat=moment, exp=moment + 300)
        try:
            self.gate().caller(f"Bearer {sign(said, kid)}", URL)
        except Unauthenticated as refusal:
            return refusal.reason
        return None


@pytest.fixture
def setting(tmp_path: Path) -> Iterator[Setting]:
    """A client whose key set holds one key."""
    clients = open_clients(f"sqlite:///{tmp_path}/store.sqlite")
    with key_server() as published:
        published.publish("/keys", public_jwk("one"))
        yield Setting(clients, published)
    clients.release()


def test_keys_are_fetched_once_and_kept(setting: Setting) -> None:
    """The first call fetches the key set; the calls after it do not."""
    assert [setting.enter("one") for _ in range(5)] == [None] * 5
    assert setting.published.asked == ["/keys"]


def test_a_stranger_cannot_make_us_fetch(setting: Setting) -> None:
    """CH-136: unknown keys cause one fetch in a time, however many tokens name them."""
    assert setting.enter("one") is None
    setting.at += BETWEEN_FETCHES
    assert {setting.enter(f"unknown-{number}") for number in range(10)} == {"unknown-key"}
    assert len(setting.published.asked) == 2


def test_a_new_key_is_found(setting: Setting) -> None:
    """CH-136: a key that was added is found by the first token that names it, once the set may be asked again."""
    assert setting.enter("one") is None
    setting.published.publish("/keys", public_jwk("one"), public_jwk("two"))
    assert setting.enter("two") == "unknown-key"
    setting.at += BETWEEN_FETCHES
    assert setting.enter("two") is None
    assert setting.enter("one") is None


def test_a_key_that_is_taken_back_is_forgotten(setting: Setting) -> None:
    """A key that is published no longer opens nothing once the set is no longer fresh."""
    assert setting.enter("one") is None
    setting.published.publish("/keys", public_jwk("two"))
    setting.at += FRESH
    assert setting.enter("one") is None
    setting.at += timedelta(seconds=1)
    assert setting.enter("one") == "unknown-key"
    assert setting.enter("two") is None


@pytest.mark.parametrize("broken", ["gone", "html", "unusable"])
def test_an_address_that_fails_does_not_stop_the_client(setting: Setting, broken: str) -> None:
    """While the address does not answer with keys the last ones are used, for a day and no longer; the log says so."""
    assert setting.enter("one") is None
    if broken == "gone":
        setting.published.put("/keys", b"", 503)
    else:
        setting.published.put("/keys", b"<html>" if broken == "html" else key_set(public_jwk("short", "short")))
    setting.at += USABLE - timedelta(seconds=1)
    with capture_logs() as lines:
        assert setting.enter("one") is None
        assert setting.enter("one") is None
    assert [line["event"] for line in lines] == ["key set not read"]
    setting.at += timedelta(seconds=10)
    assert setting.enter("one") == "unknown-key"


def test_calls_at_once_share_one_fetch(setting: Setting) -> None:
    """Calls that find no key wait for the one that is fetching, so that none is refused and the set is read once."""
    asked: list[str | None] = []
    threads = [threading.Thread(target=lambda: asked.append(setting.enter("one"))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert asked == [None] * 6
    assert setting.published.asked == ["/keys"]


def test_a_given_key_needs_no_network(setting: Setting) -> None:
    """CH-136: a key given out of band is used although the client also publishes keys that cannot be read."""
    setting.clients.give_keys("ehr", read_key_set(key_set(public_jwk("given")), GIVEN).keys)
    setting.published.put("/keys", b"", 500)
    with capture_logs():
        assert setting.enter("given") is None


def test_an_address_that_is_taken_away_takes_its_keys(setting: Setting) -> None:
    """Keys from an address the client no longer has are gone with it."""
    assert setting.enter("one") is None
    setting.clients.change(Client("ehr", setting.client.issuer))
    assert setting.enter("one") == "unknown-key"


@pytest.mark.parametrize(("skew", "late", "let_in"), [(60, 59, True), (60, 60, False), (0, 0, False), (300, 299, True)])
def test_clocks_may_differ_by_what_is_set(setting: Setting, skew: int, late: int, let_in: bool) -> None:
    """CH-135: a token is accepted until the allowed difference after it expires."""
    moment = int(setting.at.timestamp())
    token = f"Bearer {sign(claims(setting.client.issuer, URL, iat=moment, exp=moment + 300), 'one')}"
    setting.at += timedelta(seconds=300 + late)
    if let_in:
        assert setting.gate(skew).caller(token, URL).client.id == "ehr"
    else:
        with pytest.raises(Unauthenticated):
            setting.gate(skew).caller(token, URL)


def test_used_tokens_are_forgotten_when_they_cannot_be_used(setting: Setting) -> None:
    """CH-135: a used token stays known exactly as long as it would be accepted, and is forgotten after that."""
    digest = "d" * 64
    until = START + timedelta(minutes=5)
    assert setting.clients.use_token(digest, until, START)
    assert not setting.clients.use_token(digest, until, until)
    assert setting.clients.use_token("e" * 64, until + timedelta(hours=1), until + timedelta(seconds=1))
    assert setting.clients.use_token(digest, until, until + timedelta(seconds=1))


# --- key sets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not valid JSON"),
        (b"\xff\xfe", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b"[]", "a list"),
        (b"{}", "a list"),
        (b'{"keys": {}}', "a list"),
        (key_set(*[public_jwk("one")] * 51), "at most 50"),
    ],
)
def test_what_is_no_key_set_is_refused(content: bytes, said: str) -> None:
    """A file or an answer of another kind is refused as a whole, without quoting it."""
    with pytest.raises(ClientInvalid, match=said):
        read_key_set(content, GIVEN)


@pytest.mark.parametrize(
    ("jwk", "reason"),
    [
        ("text", "not an object"),
        (private_jwk("one"), "private or symmetric"),
        ({"kty": "oct", "kid": "x", "k": "c2VjcmV0"}, "private or symmetric"),
        ({**public_jwk("one"), "kid": ""}, "no kid"),
        ({**public_jwk("one"), "kid": 1}, "no kid"),
        ({**public_jwk("one"), "kid": "k" * 257}, "no kid"),
        ({**public_jwk("one"), "kid": "a\nb"}, "no kid"),
        (public_jwk("one", "ES256"), "fits none"),
        (public_jwk("one", alg="ES256"), "fits none"),
        (public_jwk("one", "RS384", alg="RS256"), "fits none"),
        ({"kty": "OKP", "crv": "Ed25519", "x": "AA", "kid": "x"}, "fits none"),
        (public_jwk("one", use="enc"), "not meant for signatures"),
        (public_jwk("one", key_ops=["sign"]), "not meant for signatures"),
        ({**public_jwk("one"), "x": "AAAA"}, "no key"),
        ({**public_jwk("one"), "y": 1}, "no key"),
        ({**public_jwk("one", "RS384"), "n": "!"}, "no key"),
        (public_jwk("one", "short"), "2048"),
    ],
)
def test_a_key_that_cannot_be_used_is_left_out_with_a_reason(jwk: object, reason: str) -> None:
    """The other keys of the set are used."""
    found = read_key_set(key_set(jwk, public_jwk("good")), GIVEN)  # type: ignore[arg-type]
    assert [key.kid for key in found.keys] == ["good"]
    assert len(found.left_out) == 1
    assert found.left_out[0].startswith("key 1: ")
    assert reason in found.left_out[0]


def test_a_set_keeps_public_members_only() -> None:
    """Certificates and whatever else came with a key are not kept; two keys of one name are one."""
    found = read_key_set(key_set(public_jwk("one", x5c=["MIIB"], note="x"), public_jwk("one", "RS384")), GIVEN)
    (key,) = found.keys
    assert set(key.jwk) == {"kty", "crv", "x", "y", "kid"}
    assert algorithm_of(key.jwk) == "ES384"
    assert "earlier key" in found.left_out[0]


def test_a_single_key_is_a_set_of_one() -> None:
    """A file with one key instead of a set is read as well."""
    found = read_key_set(key_set(public_jwk("one"))[len('{"keys": [') : -2], GIVEN)
    assert [key.kid for key in found.keys] == ["one"]


def test_the_fingerprint_is_that_of_the_standard() -> None:
    """The example of RFC 7638, section 3.1."""
    jwk = {
        "kty": "RSA",
        "n": (
            "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3"
            "oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdA"
            "ZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-"
            "kEgU8awapJzKnqDKgw"
        ),
        "e": "AQAB",
        "alg": "RS256",
        "kid": "2011-04-29",
    }
    assert thumbprint(jwk) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def test_reading_keys_by_hand_says_what_failed(setting: Setting) -> None:
    """The command that reads keys now is told why it cannot, and keeps what there was."""
    assert setting.enter("one") is None
    (url,) = setting.client.jkus
    setting.published.put("/keys", b"", 500)
    with pytest.raises(RemoteError, match="500"):
        fetch_keys(setting.clients, get_bounded, setting.client, url, setting.at)
    setting.published.put("/keys", key_set())
    with pytest.raises(ClientInvalid, match="no key that can be used"):
        fetch_keys(setting.clients, get_bounded, setting.client, url, setting.at)
    assert setting.enter("one") is None
