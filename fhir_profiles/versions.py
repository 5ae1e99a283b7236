"""Recognises resources that are plainly of another FHIR version than R4."""

from __future__ import annotations

from collections.abc import Iterable

from cds_service.errors import UnsupportedFhirVersion
from fhir_profiles.reading import Resource

_OLDER_TYPES = frozenset(
    {"MedicationOrder", "ProcedureRequest", "DiagnosticOrder", "ReferralRequest", "DeviceUseRequest", "BodySite"}
)


def refuse_older_versions(resources: Iterable[Resource]) -> None:
    """Refuse a chart whose Conditions are all of STU3 or DSTU2 shape, or that holds types R4 does not have.

    A single Condition of the older shape among R4 ones is a sender's slip and is read; a whole chart of them would be
    misread with confidence.

    Raises:
        UnsupportedFhirVersion: the chart is not R4.
    """
    conditions = [0, 0]
    for resource in resources:
        kind = resource.get("resourceType")
        if isinstance(kind, str) and kind in _OLDER_TYPES:
            raise UnsupportedFhirVersion(f"prefetch holds a {kind}, which R4 does not have; send FHIR R4 resources.")
        if kind == "Condition":
            conditions[0] += 1
            conditions[1] += isinstance(resource.get("clinicalStatus"), str) or isinstance(
                resource.get("verificationStatus"), str
            )
    if conditions[0] and conditions[0] == conditions[1]:
        raise UnsupportedFhirVersion(
            "Every Condition has clinicalStatus or verificationStatus as a plain string, as in STU3 and DSTU2; "
            "send FHIR R4 resources."
        )
