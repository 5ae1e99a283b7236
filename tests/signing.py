"""Keys and tokens of invented clients, and a server that publishes keys, well or badly."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler
from typing import Any
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from tests.serving import serving

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
Claims = dict[str, Any]


def private_key(name: str, kind: str = "ES384") -> PrivateKey:
    """The private key of a name; the same in the whole run."""
    return _made(name, kind)


@cache
def _made(_name: str, kind: str) -> PrivateKey:
    if kind.startswith("ES"):
        return ec.generate_private_key(ec.SECP256R1() if kind == "ES256" else ec.SECP384R1())
    return rsa.generate_private_key(public_exponent=65537, key_size=1024 if kind == "short" else 2048)


def public_jwk(kid: str, kind: str = "ES384", **more: Any) -> dict[str, Any]:
    """The public key of a name as a JSON Web Key."""
    key = private_key(kid, kind).public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        return {**ECAlgorithm.to_jwk(key, as_dict=True), "kid": kid, **more}
    return {**RSAAlgorithm.to_jwk(key, as_dict=True), "kid": kid, **more}


def private_jwk(kid: str) -> dict[str, Any]:
    """The private key of a name as a JSON Web Key, which nobody should ever send."""
    key = private_key(kid)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return {**ECAlgorithm.to_jwk(key, as_dict=True), "kid": kid}


def private_pem(kid: str, kind: str = "ES384") -> bytes:
    """The private key of a name as a file holds it."""
    return private_key(kid, kind).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_pem(kid: str, kind: str = "ES384") -> bytes:
    """The public key of a name as a file holds it."""
    return private_key(kid, kind).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def key_set(*keys: Mapping[str, Any]) -> bytes:
    """A JSON Web Key Set."""
    return json.dumps({"keys": keys}).encode()


def claims(issuer: str, audience: object, **changes: Any) -> Claims:
    """What a good token says, with changes; None leaves a member out."""
    now = int(time.time())
    given: Claims = {"iss": issuer, "aud": audience, "iat": now, "exp": now + 300, "jti": uuid4().hex, **changes}
    return {name: value for name, value in given.items() if value is not None}


def sign(said: Claims, kid: str, kind: str = "ES384", *, alg: str | None = None, key: str = "", **header: Any) -> str:
    """A token signed with the key ``key`` (that of ``kid``) and a header that names ``kid``."""
    named = {"kid": kid, **header}
    return jwt.encode(said, private_key(key or kid, kind), algorithm=alg or kind, headers=named)


def coded(part: object) -> str:
    """One part of a token."""
    content = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def forged(header: object, said: object, signature: bytes | Callable[[bytes], bytes] = b"signature") -> str:
    """A token as a library would never make it."""
    content = f"{coded(header)}.{coded(said)}"
    made = signature(content.encode()) if callable(signature) else signature
    return f"{content}.{coded(made)}"


@dataclass
class KeyServer:
    """Publishes what it is told to.

    Attributes:
        pages: by path, the status, headers and body; a body may be pieces that are sent as they come.
        asked: the paths that were asked for.
    """

    base: str = ""
    pages: dict[str, tuple[int, dict[str, str], bytes | Callable[[], Iterator[bytes]]]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def publish(self, path: str, *keys: Mapping[str, Any]) -> str:
        """Publish a key set and return its address."""
        return self.put(path, key_set(*keys))

    def put(self, path: str, body: bytes | Callable[[], Iterator[bytes]], status: int = 200, **headers: str) -> str:
        """Publish anything and return its address."""
        self.pages[path] = (status, {name.replace("_", "-"): value for name, value in headers.items()}, body)
        return self.base + path


@contextmanager
def key_server() -> Iterator[KeyServer]:
    """A running server for key sets."""
    told = KeyServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.asked.append(self.path)
            status, headers, body = told.pages.get(self.path, (404, {}, b""))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                for piece in [body] if isinstance(body, bytes) else body():
                    self.wfile.write(piece)
                    self.wfile.flush()
            except OSError:
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with serving(Handler) as told.base:
        yield told
