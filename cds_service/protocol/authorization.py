"""Access to the EHR's FHIR server, as a call grants it (CH-033 to CH-037).

The token lives in this value for the length of the call: it is left out of every representation, and nobody stores it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

_ADDRESS: Final = re.compile(r"https?://[^\s/?#]+\S*")
_TOKEN: Final = re.compile(r"[\x21-\x7e]+")
"""What a header can carry without being taken for something else."""

_BESIDE: Final = {"scope": str, "expires_in": int, "subject": str}
"""Members beside the token that a client has to send; nothing is refused for want of them."""


@dataclass(frozen=True, slots=True)
class FhirAccess:
    """Where the chart may be read, and with what right.

    Attributes:
        server: base URL as sent.
        token: bearer token; None when the call brought none.
        scope: SMART scopes as sent; None when the call does not say.
        patient: id of the only patient the token is good for, when the call says so.
    """

    server: str
    token: str | None = field(default=None, repr=False)
    scope: str | None = None
    patient: str | None = None


def read_access(server: object, authorization: object, defects: list[str]) -> FhirAccess | None:
    """The access a call grants; an authorization that cannot be used counts as none and is a defect of the client."""
    if not isinstance(server, str) or not server.strip():
        return None
    base = server.strip()
    if not _ADDRESS.fullmatch(base):
        defects.append("CH-033 fhirServer is no address")
    if not authorization:
        return FhirAccess(base)
    if not isinstance(authorization, dict):
        defects.append("CH-035 fhirAuthorization is no object")
        return FhirAccess(base)
    token = authorization.get("access_token")
    kind = authorization.get("token_type")
    if not isinstance(token, str) or not _TOKEN.fullmatch(token.strip()):
        defects.append("CH-035 access_token")
        return FhirAccess(base)
    if kind != "Bearer":
        defects.append("CH-035 token_type")
        if kind is not None and str(kind).lower() != "bearer":
            return FhirAccess(base)
    scope, patient = authorization.get("scope"), authorization.get("patient")
    defects += [f"CH-035 {name}" for name, type_ in _BESIDE.items() if type(authorization.get(name)) is not type_]
    return FhirAccess(
        base,
        token.strip(),
        scope if isinstance(scope, str) else None,
        patient.rpartition("/")[2] if isinstance(patient, str) and patient else None,
    )
