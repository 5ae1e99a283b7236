"""The other side of a token: signing as a client would, well or badly, to see what a service makes of it.

Keys are read for the length of one command and kept nowhere.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from cds_service.auth.keys import algorithm_of
from cds_service.errors import ClientInvalid

LIFE_SECONDS: Final = 300
_STRANGER: Final = "https://stranger.example.org"
_SECRET_BYTES: Final = 64
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
Claims = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Signer:
    """A client with its private key.

    Attributes:
        jku: address of its key set, to be named in tokens; empty for none.
        tenant: the tenant it speaks for; empty for none.
    """

    issuer: str
    kid: str
    algorithm: str
    key: PrivateKey
    jku: str = ""
    tenant: str = ""

    def token(self, audience: str, now: float, **changes: Any) -> str:
        """A good token for one call, unless its claims are changed."""
        return jwt.encode({**self.claims(audience, now), **changes}, self.key, self.algorithm, self.header())

    def claims(self, audience: str, now: float) -> Claims:
        """What a good token says."""
        tenant = {"tenant": self.tenant} if self.tenant else {}
        return _claims(self.issuer, audience, now) | tenant

    def header(self) -> dict[str, str]:
        """What the header of a token says beside the algorithm."""
        return {"kid": self.kid} | ({"jku": self.jku} if self.jku else {})


def read_signer(content: bytes, issuer: str, kid: str, jku: str = "", tenant: str = "") -> Signer:
    """The client of an issuer, with the private key of a file: PEM, or a JSON Web Key that may name itself.

    Raises:
        ClientInvalid: no private key that can sign for ES384 or RS384, or none that has a name.
    """
    key, named = _read(content)
    name = kid or named
    if not name:
        raise ClientInvalid("The key has no name; say under which one the service knows it (--kid).")
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP384R1):
        return Signer(issuer, name, "ES384", key, jku, tenant)
    if isinstance(key, rsa.RSAPrivateKey):
        return Signer(issuer, name, "RS384", key, jku, tenant)
    raise ClientInvalid("The file holds no private key for ES384 (P-384) or RS384 (RSA): PEM or a JSON Web Key.")


def _read(content: bytes) -> tuple[object, str]:
    """The key of a file, if there is one, and the name it gives itself."""
    try:
        if content.lstrip().startswith(b"{"):
            jwk = msgspec.json.decode(content, type=dict[str, Any])
            return jwt.PyJWK(jwk, algorithm=algorithm_of(jwk)).key, str(jwk.get("kid", ""))
        return load_pem_private_key(content, None), ""
    except (msgspec.DecodeError, jwt.PyJWTError, TypeError, ValueError):
        return None, ""


def unsigned(signer: Signer | None, audience: str, now: float) -> str:
    """A token that says it needs no signature."""
    claims, header = _impersonated(signer, audience, now)
    return jwt.encode(claims, "", "none", header)


def symmetric(signer: Signer | None, audience: str, now: float) -> str:
    """A token with a symmetric signature."""
    claims, header = _impersonated(signer, audience, now)
    return jwt.encode(claims, secrets.token_bytes(_SECRET_BYTES), "HS256", header)


def by_stranger(signer: Signer | None, audience: str, now: float) -> str:
    """A token of the right form, signed with a key nobody knows."""
    claims, header = _impersonated(signer, audience, now)
    return jwt.encode(claims, ec.generate_private_key(ec.SECP384R1()), "ES384", header)


def _impersonated(signer: Signer | None, audience: str, now: float) -> tuple[Claims, dict[str, str]]:
    if signer is None:
        return _claims(_STRANGER, audience, now), {"kid": "stranger"}
    return signer.claims(audience, now), signer.header()


def _claims(issuer: str, audience: str, now: float) -> Claims:
    return {"iss": issuer, "aud": audience, "iat": int(now), "exp": int(now) + LIFE_SECONDS, "jti": str(uuid4())}
