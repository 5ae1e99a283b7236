"""One token: its form, its claims and its signature (CH-132 to CH-135). A library checks signatures.

Every refusal is the same to the caller; the reason is a slug for the log.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import jwt
import msgspec
from jwt.types import Options

from cds_service.auth.keys import ALGORITHMS, LONGEST_NAME, public_key
from cds_service.clients import Key
from cds_service.errors import Unauthenticated

_LONGEST: Final = 8192
_BEARER = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] +([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)")
_LONGEST_LIFE_SECONDS: Final = 3600
_FORBIDDEN: Final = frozenset({"jwk", "x5u", "x5c", "crit", "b64", "zip", "enc"})
"""Header members that would let a token say how it is to be checked."""

_SIGNATURE_ONLY: Final[Options] = {
    "verify_signature": True,
    "verify_exp": False,
    "verify_iat": False,
    "verify_nbf": False,
    "verify_aud": False,
    "verify_iss": False,
    "verify_sub": False,
    "verify_jti": False,
}
"""The claims are checked here, against the clock and the address that are handed in."""

_Whole = Annotated[int, msgspec.Meta(ge=0, le=99_999_999_999)]
_Exact = Annotated[float, msgspec.Meta(ge=0, le=99_999_999_999)]
_Time = _Whole | _Exact


class Claims(msgspec.Struct, frozen=True):
    """What a token says; every member is required but the last two."""

    iss: Annotated[str, msgspec.Meta(pattern=r"^[\x21-\x7e]{1,600}$")]
    aud: str | list[str]
    exp: _Time
    iat: _Time
    jti: Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_NAME)]
    tenant: str | None = None
    nbf: _Time | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """A token of the right form; nothing it says is proven yet.

    Attributes:
        kid: name of the key it claims to be signed with.
        jku: address of the key set, if it names one.
    """

    text: str
    alg: str
    kid: str
    jku: str | None
    claims: Claims


def read_token(authorization: str | None) -> Token:
    """The token of an Authorization header; the name of the scheme may be in any case (RFC 9110, 11.1).

    Raises:
        Unauthenticated: there is none, or its form is not that of a token we accept.
    """
    if authorization is None:
        raise Unauthenticated("no-token")
    if len(authorization) > _LONGEST:
        raise Unauthenticated("token-too-long")
    bearer = _BEARER.fullmatch(authorization)
    if bearer is None:
        raise Unauthenticated("not-one-bearer-token")
    text = bearer[1]
    try:
        unproven = jwt.decode_complete(text, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise Unauthenticated("token-malformed") from None
    try:
        claims = msgspec.convert(unproven["payload"], Claims)
    except (msgspec.ValidationError, OverflowError):
        raise Unauthenticated("claims-malformed") from None
    return _admitted(text, unproven["header"], claims)


def _admitted(text: str, header: dict[str, Any], claims: Claims) -> Token:
    """The token, if its header names an accepted algorithm and a key, and nothing that would change the check."""
    alg, kid, jku, typ = (header.get(name) for name in ("alg", "kid", "jku", "typ"))
    if alg not in ALGORITHMS:
        raise Unauthenticated("algorithm-not-accepted")
    if _FORBIDDEN.intersection(header):
        raise Unauthenticated("header-not-accepted")
    if not isinstance(typ, str) or typ.upper() != "JWT":
        raise Unauthenticated("type-not-jwt")
    if not isinstance(kid, str) or not 0 < len(kid) <= LONGEST_NAME:
        raise Unauthenticated("kid-missing")
    if jku is not None and not isinstance(jku, str):
        raise Unauthenticated("jku-malformed")
    return Token(text, alg, kid, jku, claims)


def check_claims(claims: Claims, url: str, now: datetime, skew_seconds: int) -> None:
    """Refuse a token for another address, outside its time, or living longer than an hour.

    Raises:
        Unauthenticated: with the reason.
    """
    audiences = [claims.aud] if isinstance(claims.aud, str) else claims.aud
    if not {url, f"{url}/"}.intersection(audiences):
        raise Unauthenticated("wrong-audience")
    moment = now.timestamp()
    if claims.exp <= moment - skew_seconds:
        raise Unauthenticated("expired")
    if max(claims.iat, claims.nbf or claims.iat) > moment + skew_seconds:
        raise Unauthenticated("not-yet-valid")
    if not 0 < claims.exp - claims.iat <= _LONGEST_LIFE_SECONDS:
        raise Unauthenticated("lifetime-not-accepted")


def check_signature(token: Token, key: Key) -> None:
    """Refuse a token that was not signed with the key.

    Raises:
        Unauthenticated: with the reason.
    """
    found = public_key(key)
    if found.algorithm_name != token.alg:
        raise Unauthenticated("key-does-not-fit")
    try:
        jwt.decode_complete(
            token.text,
            found.key,
            algorithms=[found.algorithm_name],
            options=_SIGNATURE_ONLY,
        )
    except jwt.PyJWTError:
        raise Unauthenticated("wrong-signature") from None


def ends(claims: Claims) -> datetime:
    """When the token expires."""
    return datetime.fromtimestamp(claims.exp, UTC)
