"""Errors of a validator that were looked into and are none: each with its reason, and there is no other filter."""

from __future__ import annotations

from typing import Final, NamedTuple

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


_DETAIL: Final = (
    "AuditEvent.entity.detail repeats, each with one type and one value: pyrofile does not see that valueString is"
    " value[x] inside a repeating element, and counts values of all details together. HAPI and the models agree."
)
_SIBLINGS: Final = (
    "The element stands once in each of several siblings; pyrofile counts those of all siblings together. HAPI and the"
    " models agree."
)
_INNER: Final = (
    "The codings of the rating are sliced inside its extension, by their system; pyrofile holds every coding against"
    " the first slice. HAPI sees both."
)
_CORE: Final = (
    "For an extension with a context HAPI wants to load the package of R4 itself, which is nowhere offline. The"
    " snapshots are made by the same HAPI, and instances are held against them."
)

FALSE_ALARMS: Final = (
    FalseAlarm("hapi", "ERROR_GENERATING_SNAPSHOT", "Unable to resolve package id hl7.fhir.r4.core#null", _CORE),
    *(
        FalseAlarm("pyrofile", "profile.element.cardinality.max", f"at most 1 value(s) for {place}.", _SIBLINGS)
        for place in (
            "ValueSet.compose.include",
            "ConceptMap.group.element",
            "CapabilityStatement.rest.resource",
            "ImplementationGuide.definition.resource",
        )
    ),
    *(
        FalseAlarm(
            "pyrofile", f"profile.slice.element.{kind}", "ServiceRequest.extension:rating.value[x].coding", _INNER
        )
        for kind in ("cardinality.max", "fixed")
    ),
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
