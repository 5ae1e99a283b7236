"""Errors of a validator that were looked into and are none: each with its reason, and there is no other filter."""

from __future__ import annotations

from typing import Final, NamedTuple

from fhir_profiles.pama import CONSULT, CRITERION, QCDSM, RATING
from tests.validators.finding import Finding


class FalseAlarm(NamedTuple):
    """One kind of error that a validator reports without cause.

    Attributes:
        validator: hapi or pyrofile.
        code: its name for this kind of remark.
        message: part of the message, so that nothing else of the kind is let through.
        reason: why the resource is right.
    """

    validator: str
    code: str
    message: str
    reason: str


_PAMA: Final = (
    "The Argonaut project defines this extension in words; its StructureDefinition is in no registry that tests reach."
    " HAPI says the same as a mere information. What the extension holds is held against rated-order.schema.json."
)
_DETAIL: Final = (
    "AuditEvent.entity.detail repeats, each with one type and one value: pyrofile does not see that valueString is"
    " value[x] inside a repeating element, and counts values of all details together. HAPI and the models agree."
)

FALSE_ALARMS: Final = (
    FalseAlarm("pyrofile", "extension.unknown", f"The extension {RATING} could not be found", _PAMA),
    FalseAlarm("pyrofile", "extension.unknown", f"The extension {QCDSM} could not be found", _PAMA),
    FalseAlarm("pyrofile", "extension.unknown", f"The extension {CONSULT} could not be found", _PAMA),
    FalseAlarm("pyrofile", "extension.unknown", f"The extension {CRITERION} could not be found", _PAMA),
    FalseAlarm("pyrofile", "cardinality.min", ".detail[", _DETAIL),
    FalseAlarm("pyrofile", "profile.element.cardinality.max", "AuditEvent.entity.detail.type", _DETAIL),
    FalseAlarm("pyrofile", "profile.element.cardinality.max", "AuditEvent.entity.detail.value[x]", _DETAIL),
)


def alarm(validator: str, found: Finding) -> FalseAlarm | None:
    """The listed false alarm that a finding is, or None."""
    return next(
        (
            listed
            for listed in FALSE_ALARMS
            if (listed.validator, listed.code) == (validator, found.code) and listed.message in found.message
        ),
        None,
    )
