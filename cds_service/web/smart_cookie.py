"""What a launch remembers until the EHR answers: in a cookie of the browser that began it, signed, for ten minutes.

An EHR shows the app in a frame of another site, where browsers keep cookies apart by the page around the frame; so over
https the cookie is for such frames too (``SameSite=None``, ``Partitioned``). Plain http is for this machine only.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Any, Final

from flask import Response, request
from itsdangerous import BadData, URLSafeTimedSerializer

from cds_service.errors import LaunchUnknown
from cds_service.smart.launch import Begun

SECONDS: Final = 600
SALT: Final = "pnet-cds smart launch"
_STATE: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_NAMED_BY: Final = 16
"""Characters of the state in the name of the cookie."""


class LaunchCookies:
    """Cookies of launches under way, one for each, so that two tabs do not disturb each other."""

    def __init__(self, key: bytes, *, secure: bool) -> None:
        self._secure = secure
        options = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
        self._signer = URLSafeTimedSerializer(key, salt=SALT, signer_kwargs=options)

    def remember(self, response: Response, begun: Begun) -> None:
        """Have the browser keep a launch."""
        told = [begun.state, begun.verifier, begun.issuer, begun.token_endpoint]
        response.set_cookie(self._name(begun.state), self._signer.dumps(told), max_age=SECONDS, **self._attributes())

    def recall(self, state: str) -> Begun:
        """The launch of a state, if this browser began it not long ago.

        Raises:
            LaunchUnknown: it did not.
        """
        try:
            told = self._signer.loads(request.cookies.get(self._name(state), ""), max_age=SECONDS)
        except BadData:
            raise _unknown() from None
        begun = Begun(*told)
        if not hmac.compare_digest(begun.state.encode(), state.encode()):
            raise _unknown()
        return begun

    def forget(self, response: Response, state: str) -> None:
        """A launch ends once, however it ends."""
        if _STATE.fullmatch(state):
            response.delete_cookie(self._name(state), **self._attributes())

    def _name(self, state: str) -> str:
        return f"{'__Host-' if self._secure else ''}pnet-cds-launch-{state[:_NAMED_BY]}"

    def _attributes(self) -> dict[str, Any]:
        return {
            "path": "/",
            "httponly": True,
            "secure": self._secure,
            "samesite": "None" if self._secure else "Lax",
            "partitioned": self._secure,
        }


def _unknown() -> LaunchUnknown:
    return LaunchUnknown(
        "This page ends a launch that did not begin in this browser, is older than ten minutes, or was used before. "
        "Open the app again from the EHR."
    )
