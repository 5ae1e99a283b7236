"""A patient's chart as the EHR of the demo reads it from a FHIR server.

The server is named by whoever looks at the page, so it is not trusted: the policy under which calls are answered says
whether it is asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from cds_service.domain.terms import LACK_WORDS, Lack
from cds_service.ehr.remote import resources
from cds_service.errors import FhirServerRefused, InvalidRequest, RemoteError
from cds_service.fhir.client import Fetched, Read
from cds_service.fhir.policy import ReadPolicy
from cds_service.fhir.search import fill, first_page
from cds_service.protocol.authorization import FhirAccess
from fhir_profiles.inputs import INPUTS

_PATIENT: Final = "patient"
_QUERIES: Final[Mapping[str, str]] = {asked.key: asked.query for asked in INPUTS if asked.key != "encounter"} | {
    "encounters": "Encounter?patient={{context.patientId}}&status=in-progress",
    "drafts": "ServiceRequest?patient={{context.patientId}}&status=draft",
}
"""What services ask for, the encounter there is, and the orders that wait to be signed."""

_SECONDS: Final = 15.0
"""Whoever opens a chart waits longer than whoever waits for advice."""

_REFUSED: Final = (
    "This FHIR server may not be read. The demo reads servers on this machine when a token is given, and those that "
    "PNET_CDS_FHIR_OPEN_SERVERS (without a token) or PNET_CDS_FHIR_SERVERS (with one) names when it is started."
)


@dataclass(frozen=True, slots=True)
class HeldChart:
    """What a FHIR server holds about a patient.

    Attributes:
        resources: each once, the patient first.
        lacking: by input, in words, why it could not be read to its end.
    """

    resources: tuple[Mapping[str, Any], ...]
    lacking: Mapping[str, str]


def read_chart(access: FhirAccess, patient: str, policy: ReadPolicy, read: Read) -> HeldChart:
    """Read everything a call about a patient may be made of.

    Args:
        access: the server, with or without a token.
        patient: id of the patient.
        policy: which servers may be read.
        read: how they are read.

    Raises:
        FhirServerRefused: the policy does not allow the server.
        InvalidRequest: this can be nobody's id.
        RemoteError: the server does not give the patient; a chart without one is nobody's.
    """
    base = policy.admit(access)
    if isinstance(base, Lack):
        raise FhirServerRefused(_REFUSED)
    values = {"context.patientId": patient}
    queries = {key: first_page(query) for key, asked in _QUERIES.items() if (query := fill(asked, values)) is not None}
    if not queries:
        raise InvalidRequest("patient: expected the id of a Patient.")
    fetched = read(access, base, queries, replace(policy, seconds=max(policy.seconds, _SECONDS)))
    held = {(one["resourceType"], one.get("id")): one for one in _in_order(fetched)}
    lacking = {key: LACK_WORDS[found.lack] for key, found in fetched.items() if found.lack is not None}
    if Lack.ADDRESS_REFUSED in {found.lack for found in fetched.values()}:
        raise FhirServerRefused(_REFUSED)
    if ("Patient", patient) not in held:
        raise RemoteError(f"The FHIR server does not give this Patient: {lacking.get(_PATIENT, 'no such resource')}.")
    return HeldChart(tuple(held.values()), lacking)


def _in_order(fetched: Mapping[str, Fetched]) -> Iterator[dict[str, Any]]:
    for key in _QUERIES:
        yield from resources(fetched[key])
