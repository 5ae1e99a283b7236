"""The other side of a token: signing one with a private key, as an EHR does. Used by commands, never by the service."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from cds_service.auth.keys import ALGORITHMS, algorithm_of, thumbprint
from cds_service.errors import ClientInvalid

_LIFE: Final = timedelta(minutes=5)
"""The longest life that SMART Backend Services allows."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key with the name under which its public half is registered."""

    kid: str
    algorithm: str
    _key: Any = field(repr=False)

    def token(self, issuer: str, audience: str, now: datetime, **more: str) -> str:
        """A token for one use (CH-132): who it is from, whom it is for, five minutes, and an identifier of its own."""
        issued = int(now.timestamp())
        claims = {
            "iss": issuer,
            "aud": audience,
            "iat": issued,
            "exp": issued + int(_LIFE.total_seconds()),
            "jti": uuid4().hex,
            **more,
        }
        return jwt.encode(claims, self._key, self.algorithm, {"kid": self.kid, "typ": "JWT"})


def read_signing_key(path: Path) -> SigningKey:
    """A private key from a file: a JWK, a JWK set with one key, or PEM. A key without name is named by its thumbprint.

    Raises:
        ClientInvalid: the file cannot be read or holds no key that we sign with; nothing of it is repeated.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ClientInvalid(f"{path}: {error.strerror}.") from None
    try:
        key, kid = _from_jwk(content) if content.lstrip().startswith(b"{") else (_from_pem(content), "")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, UnsupportedAlgorithm, jwt.PyJWTError):
        raise ClientInvalid(f"{path}: not one private key, as JWK or as PEM without a password.") from None
    public = _public(key)
    algorithm = algorithm_of(public) if public else None
    if public is None or algorithm is None:
        kinds = "P-384 for ES384, RSA for RS384"
        raise ClientInvalid(f"{path}: tokens are signed with {' or '.join(ALGORITHMS)} ({kinds}); this key is another.")
    return SigningKey(kid or thumbprint(public), algorithm, key)


def _from_pem(content: bytes) -> Any:
    return load_pem_private_key(content, password=None)


def _from_jwk(content: bytes) -> tuple[Any, str]:
    given = json.loads(content)
    (jwk,) = given.get("keys", [given])
    return jwt.PyJWK(jwk, algorithm=algorithm_of(jwk)).key, str(jwk.get("kid", ""))


def _public(key: object) -> Mapping[str, Any] | None:
    """The public half as a JWK; None when the key is public itself, or of a kind that signs no token of ours."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    if isinstance(key, rsa.RSAPrivateKey):
        return jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return None
