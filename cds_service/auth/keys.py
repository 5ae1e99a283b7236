"""Public keys of clients: what a JSON Web Key Set must look like to be used (CH-134).

Only two kinds of key can verify a token here, one per algorithm that is accepted. Whatever else a set holds is left out
with a reason, because sets of EHRs commonly hold keys for other purposes.
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import jwt
import msgspec

from cds_service.clients import Key
from cds_service.errors import ClientInvalid

ALGORITHMS: Final = ("ES384", "RS384")
"""The algorithms a token may be signed with; nothing symmetric, nothing else."""

LONGEST_NAME: Final = 256
_SMALLEST_RSA_BITS: Final = 2048
_LARGEST_RSA_BITS: Final = 8192
_MOST_KEYS: Final = 50
_PARSED: Final = 256
"""Keys that are held as the library wants them."""
_PUBLIC: Final = ("kty", "kid", "alg", "use", "key_ops", "crv", "x", "y", "n", "e")
_PRIVATE: Final = ("d", "p", "q", "dp", "dq", "qi", "oth", "k")


@dataclass(frozen=True, slots=True)
class KeySet:
    """The keys of a set that can be used, and why others cannot."""

    keys: tuple[Key, ...]
    left_out: tuple[str, ...]


def read_key_set(content: bytes, source: str) -> KeySet:
    """The keys of a JSON Web Key Set, or of a single key.

    Raises:
        ClientInvalid: not JSON, no key set, or more keys than anyone needs.
    """
    try:
        given = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ClientInvalid("The key set is not valid JSON.") from None
    listed = given.get("keys", [given] if "kty" in given else None) if isinstance(given, dict) else None
    if not isinstance(listed, list) or len(listed) > _MOST_KEYS:
        raise ClientInvalid(f'A key set is an object with a list "keys" of at most {_MOST_KEYS} keys.')
    keys: dict[str, Key] = {}
    left_out: list[str] = []
    for place, jwk in enumerate(listed, 1):
        problem = _problem(jwk)
        if problem is None and jwk["kid"] in keys:
            problem = "its kid is that of an earlier key"
        if problem is None:
            keys[jwk["kid"]] = Key(jwk["kid"], source, {name: jwk[name] for name in _PUBLIC if name in jwk})
        else:
            left_out.append(f"key {place}: {problem}")
    return KeySet(tuple(keys.values()), tuple(left_out))


def algorithm_of(jwk: Mapping[str, Any]) -> str | None:
    """The one accepted algorithm a key of this type can verify."""
    if jwk.get("kty") == "EC" and jwk.get("crv") == "P-384":
        return "ES384"
    return "RS384" if jwk.get("kty") == "RSA" else None


@lru_cache(maxsize=_PARSED)
def public_key(key: Key) -> jwt.PyJWK:
    """The key as the library that checks signatures wants it."""
    return jwt.PyJWK(dict(key.jwk), algorithm=algorithm_of(key.jwk))


def thumbprint(jwk: Mapping[str, Any]) -> str:
    """The fingerprint of a key (RFC 7638), to compare with its owner over another channel."""
    members = ("crv", "kty", "x", "y") if jwk["kty"] == "EC" else ("e", "kty", "n")
    canonical = msgspec.json.encode({name: jwk[name] for name in members})
    return urlsafe_b64encode(hashlib.sha256(canonical).digest()).decode().rstrip("=")


def _problem(jwk: object) -> str | None:
    """Why a key cannot be used; None when it can."""
    if not isinstance(jwk, dict):
        return "not an object"
    if any(member in jwk for member in _PRIVATE):
        return "it holds a private or symmetric key, which must not leave its owner"
    kid = jwk.get("kid")
    if not isinstance(kid, str) or not 0 < len(kid) <= LONGEST_NAME or not kid.isprintable():
        return f"no kid, or one longer than {LONGEST_NAME} characters"
    algorithm = algorithm_of(jwk)
    if algorithm is None or jwk.get("alg", algorithm) != algorithm:
        return f"it fits none of {' and '.join(ALGORITHMS)}"
    if jwk.get("use", "sig") != "sig" or "verify" not in jwk.get("key_ops", ["verify"]):
        return "it is not meant for signatures"
    return _broken(jwk, algorithm)


def _broken(jwk: dict[str, Any], algorithm: str) -> str | None:
    try:
        key = jwt.PyJWK(jwk, algorithm=algorithm).key
    except (jwt.PyJWTError, TypeError, ValueError, AttributeError):
        return "its numbers are no key"
    if algorithm == "RS384" and not _SMALLEST_RSA_BITS <= key.key_size <= _LARGEST_RSA_BITS:
        return f"an RSA key has {_SMALLEST_RSA_BITS} to {_LARGEST_RSA_BITS} bits"
    return None
