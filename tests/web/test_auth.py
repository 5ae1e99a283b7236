"""Who gets in: every attack on a token gets the same bare 401, and good tokens pass (CH-130 to CH-137)."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest
from jwt.algorithms import ECAlgorithm
from structlog.testing import capture_logs
from werkzeug.serving import WSGIRequestHandler, make_server

from cds_service.app import create_app
from cds_service.auth.gate import fetch_keys
from cds_service.auth.keys import read_key_set
from cds_service.clients import Client
from cds_service.http_client import get_bounded
from cds_service.settings import Settings
from cds_service.store.clients import GIVEN, SqlClients, open_clients
from tests.calling import synthetic_request
from tests.signing import (
    Claims,
    KeyServer,
    claims,
    forged,
    key_server,
    key_set,
    private_key,
    public_jwk,
    public_pem,
    sign,
)

PUBLIC: Final = "https://cds.example.org/imaging"
DISCOVERY: Final = f"{PUBLIC}/cds-services"
EHR: Final = "https://ehr.example.org"
LIMITED: Final = "https://limited.example.org"
PAGE: Final = "https://pages.example.org"
EPIC_KID: Final = "kL1+Zr/8x0Vw3sE5mQ9tY7uB2nD4gH6jK8pR1aC3fX0="
"""A name as Epic gives its keys (docs/integrators.md)."""
_CHANGING: Final = {"Date", "X-Request-Id"}


@dataclass(frozen=True)
class Got:
    """An answer, its headers in the order they came."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The value of a header."""
        return next((value for given, value in self.headers if given.lower() == name.lower()), None)

    def lasting(self) -> tuple[int, tuple[tuple[str, str], ...], bytes]:
        """The answer without what differs from call to call."""
        return self.status, tuple((name, value) for name, value in self.headers if name not in _CHANGING), self.body


@dataclass(frozen=True)
class World:
    """A protected service, its clients, and the server their keys are published on."""

    port: int
    clients: SqlClients
    published: KeyServer

    def ask(
        self, *authorizations: str, method: str = "GET", path: str = "/cds-services", body: bytes = b"", **more: str
    ) -> Got:
        """One call with so many Authorization headers."""
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.putrequest(method, path)
            for value in authorizations:
                connection.putheader("Authorization", value)
            for name, value in more.items():
                connection.putheader(name.replace("_", "-"), value)
            if body:
                connection.putheader("Content-Type", "application/json")
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body or None)
            answer = connection.getresponse()
            return Got(answer.status, tuple(answer.getheaders()), answer.read())


class _Quiet(WSGIRequestHandler):
    def log(self, *_: object) -> None:
        """Say nothing."""


def pieces(piece: bytes, times: int, pause: float) -> Callable[[], Iterator[bytes]]:
    """A body that comes slowly."""

    def send() -> Iterator[bytes]:
        for _ in range(times):
            yield piece
            time.sleep(pause)

    return send


def bad_key_sets(server: KeyServer) -> tuple[str, ...]:
    """Addresses a client is registered with that do not answer with a key set."""
    good = server.publish("/elsewhere", public_jwk("jku-key"))
    return (
        server.put("/redirect", b"", 302, Location=good),
        server.put("/huge", key_set(public_jwk("jku-key")) + b" " * 10_000_000),
        server.put("/html", b"<html><body>log in</body></html>", content_type="text/html"),
        server.put("/missing", key_set(public_jwk("jku-key")), 404),
        server.put("/compressed", key_set(public_jwk("jku-key")), content_encoding="gzip"),
        server.put("/slow", pieces(b" ", 100, 0.1)),
        server.put("/short", key_set(public_jwk("short-key", "short"))),
        server.put("/symmetric", key_set({"kty": "oct", "kid": "jku-key", "k": "c2VjcmV0", "alg": "HS384"})),
        server.put("/not-for-signatures", key_set(public_jwk("jku-key", use="enc"))),
        server.put("/other-algorithm", key_set(public_jwk("jku-key", alg="RS384"))),
        server.put("/list", b"[]"),
        server.put("/many", key_set(*(public_jwk("jku-key") for _ in range(51)))),
    )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A protected service with clients: one complete, one disabled, one for a single service."""
    url = f"sqlite:///{tmp_path_factory.mktemp('auth') / 'store.sqlite'}"
    clients = open_clients(url)
    with key_server() as published:
        jku = published.publish("/keys", public_jwk("jku-key"), public_jwk(EPIC_KID, "RS384"))
        clients.add(
            Client("ehr", EHR, jkus=(jku, *bad_key_sets(published)), tenants=("north", "south"), cors_origins=(PAGE,))
        )
        keys = key_set(public_jwk("es"), public_jwk("rs", "RS384", alg="RS384", use="sig"), public_jwk("same"))
        clients.give_keys("ehr", read_key_set(keys, GIVEN).keys)
        clients.add(Client("off", "https://off.example.org", enabled=False))
        clients.give_keys("off", read_key_set(key_set(public_jwk("es")), GIVEN).keys)
        clients.add(Client("limited", LIMITED, services=("pnet-patient-view",)))
        clients.give_keys("limited", read_key_set(key_set(public_jwk("lim"), public_jwk("lim2")), GIVEN).keys)
        settings = Settings(demo=False, database_url=url, public_url=PUBLIC, rate_limit="9999/second")  # type: ignore[call-arg]
        server = make_server("127.0.0.1", 0, create_app(settings), threaded=True, request_handler=_Quiet)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield World(server.server_port, clients, published)
        server.shutdown()
        server.server_close()
        thread.join()
    clients.release()


def said(**changes: Any) -> Claims:
    """The claims of a good token for discovery, with changes."""
    return claims(EHR, DISCOVERY, **{"tenant": "north", **changes})


def bearer(token: str) -> str:
    """The header for a token."""
    return f"Bearer {token}"


def token(**changes: Any) -> str:
    """The header with a signed token whose claims are changed."""
    return bearer(sign(said(**changes), "es"))


def headed(kid: str = "es", **header: Any) -> str:
    """The header with a signed token whose header is changed."""
    return bearer(sign(said(), kid, key="es", **header))


def now() -> int:
    """Seconds since the epoch."""
    return int(time.time())


def keyed(secret: bytes, digest: str, **header: Any) -> str:
    """A token with a symmetric signature, made with what everybody knows: the public key."""
    head = {"alg": f"HS{digest[3:]}", "typ": "JWT", "kid": "es", **header}
    return bearer(forged(head, said(), lambda content: hmac.new(secret, content, digest).digest()))


def unsigned(alg: object, said_: object = None) -> str:
    """A token that says it needs no signature, or one that nobody knows."""
    return bearer(forged({"alg": alg, "typ": "JWT", "kid": "es"}, said_ or said()))


def good_signature(header: Mapping[str, Any], content: object) -> str:
    """Header and claims of any form under a valid signature of the client."""
    key = private_key("es")

    def made(signed: bytes) -> bytes:
        return ECAlgorithm(ECAlgorithm.SHA384).sign(signed, key)  # type: ignore[arg-type]

    return bearer(forged(header, content, made))


HEAD: Final = {"alg": "ES384", "typ": "JWT", "kid": "es"}


def fresh() -> str:
    """A good token."""
    return token()


def tampered() -> str:
    """Claims of one token under the signature of another."""
    head, _, signature = sign(said(), "es").split(".")
    return bearer(f"{head}.{sign(said(), 'es').split('.')[1]}.{signature}")


def pointing(path: str, kid: str = "jku-key", kind: str = "ES384") -> Callable[[World], str]:
    """A token that names a key set of the key server."""
    return lambda world: bearer(sign(said(), kid, kind, jku=f"{world.published.base}{path}"))


Attack = Callable[[], str] | Callable[[World], str]

ATTACKS: Final[dict[str, tuple[str, Callable[..., str]]]] = {
    # the header
    "another scheme": ("not-one-bearer-token", lambda: "Basic ZWhyOnNlY3JldA=="),
    "an empty token": ("not-one-bearer-token", lambda: "Bearer "),
    "no scheme": ("not-one-bearer-token", lambda: sign(said(), "es")),
    "no space": ("not-one-bearer-token", lambda: "Bearer" + sign(said(), "es")),
    "two tokens": ("not-one-bearer-token", lambda: f"{fresh()} {sign(said(), 'es')}"),
    "two tokens and a comma": ("not-one-bearer-token", lambda: f"{fresh()}, {fresh()}"),
    "two parts": ("not-one-bearer-token", lambda: fresh().rpartition(".")[0]),
    "four parts": ("not-one-bearer-token", lambda: fresh() + ".eyJ9"),
    "five parts, as if encrypted": ("not-one-bearer-token", lambda: fresh() + ".eyJ9.eyJ9"),
    "padding": ("not-one-bearer-token", lambda: fresh() + "=="),
    "another alphabet": ("not-one-bearer-token", lambda: fresh() + "+/"),
    "a byte that is no text": ("not-one-bearer-token", lambda: fresh() + "\xff"),
    "a lower-case scheme with a bad token": ("wrong-signature", lambda: tampered().replace("Bearer", "bearer")),
    "oversized": ("token-too-long", lambda: token(filling="x" * 9000)),
    "oversized garbage": ("token-too-long", lambda: bearer("a" * 9000)),
    "garbage of the right form": ("token-malformed", lambda: "Bearer aaaa.bbbb.cccc"),
    "a header that is no object": ("token-malformed", lambda: bearer(forged([], said()))),
    "nested beyond reason": ("token-malformed", lambda: bearer(forged(HEAD, b"[" * 5000))),
    # the algorithm
    "alg none": ("algorithm-not-accepted", lambda: unsigned("none")),
    "alg None": ("algorithm-not-accepted", lambda: unsigned("None")),
    "alg nOnE": ("algorithm-not-accepted", lambda: unsigned("nOnE")),
    "alg none, no signature": ("not-one-bearer-token", lambda: unsigned("none").rpartition(".")[0] + "."),
    "alg missing": ("algorithm-not-accepted", lambda: bearer(forged({"typ": "JWT", "kid": "es"}, said()))),
    "alg a list": ("algorithm-not-accepted", lambda: unsigned(["ES384"])),
    "alg in lower case": ("algorithm-not-accepted", lambda: unsigned("es384")),
    "HS256 with the public key": ("algorithm-not-accepted", lambda: keyed(public_pem("es"), "sha256")),
    "HS384 with the public key": ("algorithm-not-accepted", lambda: keyed(public_pem("es"), "sha384")),
    "HS384 with the RSA key": ("algorithm-not-accepted", lambda: keyed(public_pem("rs", "RS384"), "sha384", kid="rs")),
    "HS384 with the key set": ("algorithm-not-accepted", lambda: keyed(key_set(public_jwk("es")), "sha384")),
    "HMAC called ES384": ("wrong-signature", lambda: keyed(public_pem("es"), "sha384", alg="ES384")),
    "HMAC called RS384": ("wrong-signature", lambda: keyed(public_pem("rs", "RS384"), "sha384", alg="RS384", kid="rs")),
    "RS256": ("algorithm-not-accepted", lambda: bearer(sign(said(), "rs", "RS384", alg="RS256"))),
    "RS512": ("algorithm-not-accepted", lambda: bearer(sign(said(), "rs", "RS384", alg="RS512"))),
    "PS384": ("algorithm-not-accepted", lambda: bearer(sign(said(), "rs", "RS384", alg="PS384"))),
    "ES256": ("algorithm-not-accepted", lambda: bearer(sign(said(), "p256", "ES256"))),
    "RS384 with an EC key": ("key-does-not-fit", lambda: bearer(sign(said(), "es", "RS384", key="rs"))),
    "ES384 with an RSA key": ("key-does-not-fit", lambda: bearer(sign(said(), "rs", "ES384", key="es"))),
    # the signature
    "claims of another token": ("wrong-signature", tampered),
    "a changed signature": ("wrong-signature", lambda: good_signature(HEAD, said())[:-8] + "AAAAAAAA"),
    "a stranger's key": ("wrong-signature", lambda: bearer(sign(said(), "es", key="stranger"))),
    "a signature of zeros": ("wrong-signature", lambda: bearer(forged(HEAD, said(), bytes(96)))),
    "a short signature": ("wrong-signature", lambda: fresh()[:-16]),
    # the key
    "no kid": ("kid-missing", lambda: good_signature({"alg": "ES384", "typ": "JWT"}, said())),
    "kid a number": ("token-malformed", lambda: good_signature({**HEAD, "kid": 1}, said())),
    "kid empty": ("kid-missing", lambda: headed(kid="")),
    "kid very long": ("kid-missing", lambda: headed(kid="k" * 3000)),
    "kid a path": ("unknown-key", lambda: headed(kid="../../../../dev/null")),
    "kid a path to an empty file": ("unknown-key", lambda: headed(kid="/dev/null")),
    "kid a file address": ("unknown-key", lambda: headed(kid="file:///etc/passwd")),
    "kid an address": ("unknown-key", lambda: headed(kid="https://attacker.example.org/keys")),
    "kid SQL": ("unknown-key", lambda: headed(kid="' OR '1'='1")),
    "kid more SQL": ("unknown-key", lambda: headed(kid="es' UNION SELECT 'es', '', '{}' --")),
    "kid a wildcard": ("unknown-key", lambda: headed(kid="%")),
    "kid with a zero byte": ("unknown-key", lambda: headed(kid="es\0")),
    "kid with a space": ("unknown-key", lambda: headed(kid=" es")),
    "kid in another case": ("unknown-key", lambda: headed(kid="ES")),
    "kid of another client": ("unknown-key", lambda: bearer(sign(said(), "lim"))),
    # where a key is said to be
    "jku not listed": ("jku-not-listed", lambda: headed(jku="https://attacker.example.org/keys")),
    "jku not listed, and no key": ("jku-not-listed", pointing("/elsewhere")),
    "jku with a query": ("jku-not-listed", pointing("/keys?x")),
    "jku with a fragment": ("jku-not-listed", pointing("/keys#x")),
    "jku with a step up": ("jku-not-listed", pointing("/x/../keys")),
    "jku on another name of the host": (
        "jku-not-listed",
        lambda world: headed(jku=world.published.base.replace("127.0.0.1", "localhost") + "/keys"),
    ),
    "jku a file": ("jku-not-listed", lambda: headed(jku="file:///etc/passwd")),
    "jku empty": ("jku-not-listed", lambda: headed(jku="")),
    "jku a list": ("jku-malformed", lambda: good_signature({**HEAD, "jku": [EHR]}, said())),
    "jku without this key": ("unknown-key", pointing("/keys", "es")),
    "jku redirected": ("unknown-key", pointing("/redirect")),
    "jku of ten megabytes": ("unknown-key", pointing("/huge")),
    "jku of HTML": ("unknown-key", pointing("/html")),
    "jku not found": ("unknown-key", pointing("/missing")),
    "jku compressed": ("unknown-key", pointing("/compressed")),
    "jku that drips": ("unknown-key", pointing("/slow")),
    "jku with a short key": ("unknown-key", pointing("/short", "short-key", "RS384")),
    "jku with a symmetric key": ("unknown-key", pointing("/symmetric")),
    "jku with a key for encryption": ("unknown-key", pointing("/not-for-signatures")),
    "jku with a key for another algorithm": ("unknown-key", pointing("/other-algorithm")),
    "jku that is no key set": ("unknown-key", pointing("/list")),
    "jku with too many keys": ("unknown-key", pointing("/many")),
    # a token that brings its own key, or changes how it is read
    "jwk": ("header-not-accepted", lambda: bearer(sign(said(), "me", jwk=public_jwk("me")))),
    "jwk beside a known kid": (
        "header-not-accepted",
        lambda: bearer(sign(said(), "es", key="me", jwk=public_jwk("me"))),
    ),
    "x5u": ("header-not-accepted", lambda: headed(x5u="https://attacker.example.org/cert.pem")),
    "x5c": ("header-not-accepted", lambda: headed(x5c=["MIIB"])),
    "crit unknown": ("token-malformed", lambda: good_signature({**HEAD, "crit": ["exp"]}, said())),
    "crit known": ("header-not-accepted", lambda: good_signature({**HEAD, "crit": ["b64"], "b64": True}, said())),
    "b64": ("token-malformed", lambda: good_signature({**HEAD, "b64": False}, said())),
    "zip": ("header-not-accepted", lambda: headed(zip="DEF")),
    "typ missing": ("type-not-jwt", lambda: good_signature({"alg": "ES384", "kid": "es"}, said())),
    "typ of an access token": ("type-not-jwt", lambda: headed(typ="at+jwt")),
    # the claims
    "claims a list": ("token-malformed", lambda: good_signature(HEAD, [said()])),
    "iss unknown": ("unknown-issuer", lambda: token(iss="https://attacker.example.org")),
    "iss with a slash": ("unknown-issuer", lambda: token(iss=f"{EHR}/")),
    "iss SQL": ("claims-malformed", lambda: token(iss="' OR '1'='1")),
    "iss SQL without a space": ("unknown-issuer", lambda: token(iss="'OR'1'='1")),
    "iss half a character": ("claims-malformed", lambda: good_signature(HEAD, said(iss="\ud800"))),
    "iss missing": ("claims-malformed", lambda: token(iss=None)),
    "iss a list": ("claims-malformed", lambda: good_signature(HEAD, said(iss=[EHR]))),
    "iss of another client": ("unknown-key", lambda: token(iss=LIMITED)),
    "aud of a service": ("wrong-audience", lambda: token(aud=f"{DISCOVERY}/pnet-order-sign")),
    "aud of the address behind the proxy": (
        "wrong-audience",
        lambda world: token(aud=f"http://127.0.0.1:{world.port}/cds-services"),
    ),
    "aud of another host": ("wrong-audience", lambda: token(aud="https://other.example.org/imaging/cds-services")),
    "aud the base": ("wrong-audience", lambda: token(aud=PUBLIC)),
    "aud with two slashes": ("wrong-audience", lambda: token(aud=f"{DISCOVERY}//")),
    "aud with a query": ("wrong-audience", lambda: token(aud=f"{DISCOVERY}?x")),
    "aud in capitals": ("wrong-audience", lambda: token(aud=DISCOVERY.upper())),
    "aud an empty list": ("wrong-audience", lambda: token(aud=[])),
    "aud a list of others": ("wrong-audience", lambda: token(aud=[PUBLIC, EHR])),
    "aud missing": ("claims-malformed", lambda: token(aud=None)),
    "aud an object": ("claims-malformed", lambda: token(aud={DISCOVERY: True})),
    "tenant wrong": ("wrong-tenant", lambda: token(tenant="east")),
    "tenant missing": ("wrong-tenant", lambda: token(tenant=None)),
    "tenant a list": ("claims-malformed", lambda: token(tenant=["north"])),
    "expired": ("expired", lambda: token(iat=now() - 400, exp=now() - 100)),
    "exp missing": ("claims-malformed", lambda: token(exp=None)),
    "exp a text": ("claims-malformed", lambda: good_signature(HEAD, said(exp=str(now() + 300)))),
    "exp true": ("claims-malformed", lambda: good_signature(HEAD, said(exp=True))),
    "exp infinite": ("claims-malformed", lambda: good_signature(HEAD, said(exp=float("inf")))),
    "exp not a number": ("claims-malformed", lambda: good_signature(HEAD, said(exp=float("nan")))),
    "exp a very large number": ("claims-malformed", lambda: good_signature(HEAD, said(exp=10**400))),
    "exp negative": ("claims-malformed", lambda: token(exp=-1)),
    "a life of two hours": ("lifetime-not-accepted", lambda: token(exp=now() + 7200)),
    "exp before iat": ("lifetime-not-accepted", lambda: token(iat=now() + 30, exp=now() + 20)),
    "iat in the future": ("not-yet-valid", lambda: token(iat=now() + 200, exp=now() + 400)),
    "iat missing": ("claims-malformed", lambda: token(iat=None)),
    "iat a text": ("claims-malformed", lambda: good_signature(HEAD, said(iat=str(now())))),
    "nbf in the future": ("not-yet-valid", lambda: token(nbf=now() + 200)),
    "jti missing": ("claims-malformed", lambda: token(jti=None)),
    "jti empty": ("claims-malformed", lambda: token(jti="")),
    "jti a number": ("claims-malformed", lambda: good_signature(HEAD, said(jti=1))),
    "jti very long": ("claims-malformed", lambda: token(jti="j" * 300)),
    # the client
    "a disabled client": ("client-disabled", lambda: token(iss="https://off.example.org")),
}
"""What is sent, and the reason that must be found in the log."""


def reasons(lines: list[Any]) -> list[str]:
    """The reasons of refusals in the log."""
    return [line["reason"] for line in lines if line.get("slug") == "unauthenticated"]


@pytest.fixture(scope="module")
def bare(world: World) -> Got:
    """The answer to a call without a token."""
    return world.ask()


def test_the_refusal_says_nothing(bare: Got) -> None:
    """CH-008, CH-137: no body, no reason, no type of body; only that a bearer token is wanted."""
    assert (bare.status, bare.body, bare.header("Content-Length")) == (401, b"", "0")
    assert bare.header("WWW-Authenticate") == "Bearer"
    assert bare.header("Content-Type") is None


@pytest.mark.parametrize("name", ATTACKS)
def test_attacks_get_the_same_bare_refusal(world: World, bare: Got, name: str) -> None:
    """CH-048.401, CH-132, CH-133, CH-134: whatever is wrong with the token, the answer is to the byte that to no
    token; the log knows the reason.
    """
    reason, make = ATTACKS[name]
    header = make(world) if make.__code__.co_argcount else make()
    with capture_logs() as lines:
        got = world.ask(header)
    assert got.lasting() == bare.lasting()
    assert reasons(lines) == [reason]


@pytest.mark.parametrize("second", [fresh, tampered, lambda: ""], ids=["good", "bad", "empty"])
@pytest.mark.parametrize("first_is_good", [True, False])
def test_two_authorization_headers_are_refused(
    world: World, bare: Got, second: Callable[[], str], first_is_good: bool
) -> None:
    """Two headers could be read differently by a proxy and by us; neither of them counts."""
    pair = (fresh(), second()) if first_is_good else (second(), fresh())
    assert world.ask(*pair).lasting() == bare.lasting()


PATHS: Final = (
    ("GET", "/cds-services"),
    ("HEAD", "/cds-services"),
    ("POST", "/cds-services/pnet-order-sign"),
    ("POST", "/cds-services/pnet-order-sign/feedback"),
    ("POST", "/cds-services/none"),
    ("GET", "/cds-services/"),
    ("GET", "/cds%2Dservices"),
    ("PUT", "/cds-services"),
    ("DELETE", "/cds-services/pnet-order-sign"),
    ("GET", "/cds-services/../cds-services"),
)


@pytest.mark.parametrize(("method", "path"), PATHS, ids=[f"{method} {path}" for method, path in PATHS])
def test_everything_under_the_path_is_protected(world: World, bare: Got, method: str, path: str) -> None:
    """CH-023, CH-130, CH-131: discovery, services, feedback and what does not exist look the same from outside."""
    body = b'{"hook": "order-sign"}' if method == "POST" else b""
    assert world.ask(method=method, path=path, body=body).lasting() == bare.lasting()


def test_slashes_do_not_lead_around(world: World) -> None:
    """A path with doubled slashes gives no data without a token."""
    for path in ("//cds-services", "/cds-services//", "/./cds-services", "/x/..//cds-services"):
        got = world.ask(path=path)
        assert got.status in (301, 308, 401, 404)
        assert b"prefetch" not in got.body


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz"])
def test_what_operators_ask_stays_open(world: World, path: str) -> None:
    """Health, readiness and the page about the service need no token."""
    assert world.ask(path=path).status == 200


def test_the_demo_is_not_there(world: World) -> None:
    """A protected service has no synthetic patients."""
    assert world.ask(path="/demo/patients").status == 404


GOOD: Final[dict[str, Callable[..., str]]] = {
    "ES384": fresh,
    "RS384": lambda: bearer(sign(said(), "rs", "RS384")),
    "a key that is published": lambda: bearer(sign(said(), "jku-key")),
    "a key that is published where the token says": pointing("/keys"),
    "aud with a slash": lambda: token(aud=f"{DISCOVERY}/"),
    "aud in a list": lambda: token(aud=[EHR, DISCOVERY]),
    "the other tenant": lambda: token(tenant="south"),
    "a scheme in lower case (RFC 9110)": lambda: fresh().replace("Bearer", "bearer"),
    "a clock that is a little ahead": lambda: token(iat=now() + 40, exp=now() + 340),
    "a clock that is a little behind": lambda: token(iat=now() - 340, exp=now() - 20),
    "times with fractions": lambda: token(iat=now() - 0.5, exp=now() + 299.5),
    "a life of an hour": lambda: token(exp=now() + 3599),
    "not before now": lambda: token(nbf=now()),
    "a thumbprint of a certificate": lambda: headed(x5t="cGludA"),
    "typ in lower case": lambda: headed(typ="jwt"),
    "claims of other standards": lambda: token(sub="ehr", scope="x", extension={"a": [1]}),
    "the form that Epic documents": lambda world: bearer(
        sign(
            said(sub="client-id", iat=now(), nbf=now() - 300, exp=now() + 900),
            EPIC_KID,
            "RS384",
            jku=f"{world.published.base}/keys",
        )
    ),
    "jti that is half a character": lambda: good_signature(HEAD, said(jti=f"\ud800{uuid4()}")),
}


@pytest.mark.parametrize("name", GOOD)
def test_good_tokens_pass(world: World, name: str) -> None:
    """CH-023, CH-132, CH-133, CH-134: a client with a good token gets the discovery document."""
    make = GOOD[name]
    got = world.ask(make(world) if make.__code__.co_argcount else make())
    assert got.status == 200
    assert len(json.loads(got.body)["services"]) == 6
    assert got.header("WWW-Authenticate") is None


def test_a_token_opens_one_door_once(world: World, bare: Got) -> None:
    """CH-135: the second use of a token is refused as any other bad token, also when only its jti is the same."""
    one = said()
    assert world.ask(bearer(sign(one, "es"))).status == 200
    with capture_logs() as lines:
        assert world.ask(bearer(sign(one, "es"))).lasting() == bare.lasting()
        assert world.ask(bearer(sign({**one, "exp": one["exp"] + 1}, "rs", "RS384"))).lasting() == bare.lasting()
    assert reasons(lines) == ["replayed", "replayed"]
    assert world.ask(bearer(sign(claims(LIMITED, DISCOVERY, jti=one["jti"]), "lim"))).status == 200


def test_a_refused_token_is_not_used_up(world: World) -> None:
    """Who knows a jti cannot use it up for the client: only a token that was let in counts."""
    one = said()
    assert world.ask(bearer(sign(one, "es", key="stranger"))).status == 401
    assert world.ask(bearer(sign(one, "es"))).status == 200


def test_a_call_is_answered_as_in_the_demo(world: World, advertised: dict[str, dict[str, str]]) -> None:
    """CH-131: a service called with a token for its address answers; discovery says how to ask."""
    request = synthetic_request("incidental-tail-lesion", "order-sign", advertised)
    path = "/cds-services/pnet-order-sign"
    header = token(aud=f"{PUBLIC}{path}")
    with capture_logs():
        got = world.ask(header, method="POST", path=path, body=json.dumps(request).encode())
    assert got.status == 200
    assert json.loads(got.body)["cards"]
    assert got.header("Cache-Control") == "no-store"


def test_a_token_for_feedback_is_for_feedback(world: World, bare: Got) -> None:
    """CH-131: the address of the feedback endpoint is its own audience; what lies behind it is not looked at before."""
    path = "/cds-services/pnet-order-sign/feedback"
    wrong = token(aud=f"{PUBLIC}/cds-services/pnet-order-sign")
    assert world.ask(wrong, method="POST", path=path, body=b"{}").lasting() == bare.lasting()
    assert world.ask(token(aud=PUBLIC + path), method="POST", path=path, body=b"{}").status != 401


def test_a_key_that_is_removed_opens_nothing(world: World, bare: Got) -> None:
    """From the call after its removal on, a key is unknown; the other keys go on."""

    def ask(kid: str) -> Got:
        return world.ask(bearer(sign(claims(LIMITED, DISCOVERY), kid)))

    assert ask("lim2").status == 200
    assert world.clients.remove_key("limited", "lim2") == 1
    assert ask("lim2").lasting() == bare.lasting()
    assert ask("lim").status == 200


def test_a_client_that_is_disabled_is_a_stranger(world: World, bare: Got) -> None:
    """Disabling holds from the next call on, and so does enabling."""
    new = Client("brief", "https://brief.example.org")
    world.clients.add(new)
    world.clients.give_keys("brief", read_key_set(key_set(public_jwk("brief")), GIVEN).keys)

    def ask() -> Got:
        return world.ask(bearer(sign(claims(new.issuer, DISCOVERY), "brief")))

    assert ask().status == 200
    world.clients.change(Client("brief", new.issuer, enabled=False))
    assert ask().lasting() == bare.lasting()
    world.clients.change(new)
    assert ask().status == 200
    world.clients.remove("brief")
    assert ask().lasting() == bare.lasting()


def test_keys_rotate_under_running_calls(world: World, bare: Got) -> None:
    """CH-136: a new key in the published set is found by itself; a key that is no longer there is refused after the
    change.
    """
    jku = world.published.publish("/turning", public_jwk("old"))
    turning = Client("turning", "https://turning.example.org", jkus=(jku,))
    world.clients.add(turning)

    def ask(kid: str) -> Got:
        return world.ask(bearer(sign(claims(turning.issuer, DISCOVERY), kid, jku=jku)))

    world.published.publish("/turning", public_jwk("old"), public_jwk("new"))
    assert (ask("old").status, ask("new").status) == (200, 200)
    world.published.publish("/turning", public_jwk("new"), public_jwk("newer"))
    fetch_keys(world.clients, get_bounded, turning, jku, datetime.now(UTC))
    assert ask("old").lasting() == bare.lasting()
    assert (ask("new").status, ask("newer").status) == (200, 200)


def test_a_client_is_kept_to_its_services(world: World) -> None:
    """CH-048.403: a service the client is not registered for is refused with 403 and a reason; discovery and its own
    are not.
    """
    other = "/cds-services/pnet-order-sign"
    got = world.ask(bearer(sign(claims(LIMITED, PUBLIC + other), "lim")), method="POST", path=other, body=b"{}")
    assert got.status == 403
    assert json.loads(got.body)["issue"][0]["details"]["coding"][0]["code"] == "service-not-permitted"
    own = "/cds-services/pnet-patient-view"
    assert (
        world.ask(bearer(sign(claims(LIMITED, PUBLIC + own), "lim")), method="POST", path=own, body=b"{}").status == 400
    )
    feedback = f"{other}/feedback"
    got = world.ask(bearer(sign(claims(LIMITED, PUBLIC + feedback), "lim")), method="POST", path=feedback, body=b"{}")
    assert got.status == 403


def test_the_log_holds_no_token(world: World) -> None:
    """CH-137: neither a refused nor an accepted token, nor a part of it, is logged; issuer and reason are enough."""
    good, bad = fresh(), tampered()
    with capture_logs() as lines:
        world.ask(good)
        world.ask(bad)
    written = json.dumps(lines)
    for part in (*good.split(".")[1:], *bad.split(".")[1:]):
        assert part not in written


def test_nothing_of_a_token_is_stored(world: World, tmp_path: Path) -> None:
    """CH-137: the store keeps a digest of issuer and jti until the token expires, and nothing else of a token."""
    one = said(jti="remember-me-not")
    assert world.ask(bearer(sign(one, "es"))).status == 200
    database = Path(str(world.clients.engine.url.database))
    content = b"".join(path.read_bytes() for path in database.parent.iterdir())
    assert b"remember-me-not" not in content
    assert hashlib.sha256(f"{EHR}\0remember-me-not".encode()).hexdigest().encode() in content
    assert tmp_path.exists()
