"""Resources whose members all have their R4 shape, told at the speed of a decoder: nearly all that a chart holds.

The comparison in :mod:`fhir_profiles.shape` names the damaged member, and costs as much as reading the resource. Here a
resource is decoded into types that accept no more than that comparison does, and less: what they refuse may still be
undamaged, and is compared. So the types need not be complete, only strict.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any, Final

import msgspec

from cds_service.protocol.surrogates import UNREADABLE
from fhir_profiles import dates
from fhir_profiles.reading import Resource, text
from fhir_profiles.shape import DATES, shape_of, shaped_names

_Word = Annotated[str, msgspec.Meta(pattern=r"^\s*[A-Za-z][A-Za-z-]*\s*$")]
_Date = Annotated[str, msgspec.Meta(pattern=r"^[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])(T[0-9:.+Z-]*)?$")]
"""A pattern is slow: words and dates that nearly every resource has are looked at by themselves."""
_Number = Annotated[float, msgspec.Meta(ge=0)]
_UNREADABLE: Final = UNREADABLE.encode()
_NOTHING: Final = msgspec.Raw()


class _Element(msgspec.Struct, gc=False, forbid_unknown_fields=True, kw_only=True):
    id: msgspec.Raw = _NOTHING
    extension: None = None


class _Coding(_Element):
    system: str | None = None
    code: str | None = None
    display: str | None = None
    version: msgspec.Raw = _NOTHING
    userSelected: msgspec.Raw = _NOTHING  # noqa: N815 - spelled as on the wire


class _Concept(_Element):
    coding: list[_Coding] | None = None
    text: str | None = None


class _Quantity(_Element):
    value: _Number | None = None
    comparator: msgspec.Raw = _NOTHING
    unit: str | None = None
    system: str | None = None
    code: str | None = None


class _Range(_Element):
    low: _Quantity | None = None
    high: _Quantity | None = None


class _Period(_Element):
    start: _Date | None = None
    end: _Date | None = None


class _Identifier(_Element):
    use: msgspec.Raw = _NOTHING
    type: msgspec.Raw = _NOTHING
    system: str | None = None
    value: str | None = None
    period: _Period | None = None
    assigner: msgspec.Raw = _NOTHING


class _Reference(_Element):
    reference: str | None = None
    type: msgspec.Raw = _NOTHING
    identifier: _Identifier | None = None
    display: str | None = None


class _Annotation(_Element):
    text: str | None = None
    time: msgspec.Raw = _NOTHING
    authorReference: msgspec.Raw = _NOTHING  # noqa: N815
    authorString: msgspec.Raw = _NOTHING  # noqa: N815


class _ReferenceRange(_Range):
    type: msgspec.Raw = _NOTHING
    appliesTo: msgspec.Raw = _NOTHING  # noqa: N815
    age: msgspec.Raw = _NOTHING
    text: str | None = None


class _Component(_Element):
    code: _Concept | None = None
    valueQuantity: _Quantity | None = None  # noqa: N815
    valueCodeableConcept: _Concept | None = None  # noqa: N815
    valueString: str | None = None  # noqa: N815
    valueBoolean: bool | None = None  # noqa: N815
    valueInteger: msgspec.Raw = _NOTHING  # noqa: N815
    valueRange: _Range | None = None  # noqa: N815
    dataAbsentReason: msgspec.Raw = _NOTHING  # noqa: N815
    interpretation: list[_Concept] | None = None
    referenceRange: list[_ReferenceRange] | None = None  # noqa: N815


class _Reaction(_Element):
    substance: msgspec.Raw = _NOTHING
    manifestation: msgspec.Raw = _NOTHING
    description: str | None = None
    onset: msgspec.Raw = _NOTHING
    severity: _Word | None = None
    exposureRoute: msgspec.Raw = _NOTHING  # noqa: N815
    note: list[_Annotation] | None = None


_WORDS: Final = ("status", "criticality", "gender", "intent")
_TYPES: Final[dict[str, Any]] = {
    **dict.fromkeys((*_WORDS, *DATES), str),
    **dict.fromkeys(("effectivePeriod", "performedPeriod", "onsetPeriod", "period"), _Period),
    **dict.fromkeys(("valueBoolean", "deceasedBoolean", "doNotPerform"), bool),
    **dict.fromkeys(("valueString", "title", "description"), str),
    **dict.fromkeys(
        (
            "code",
            "valueCodeableConcept",
            "clinicalStatus",
            "verificationStatus",
            "method",
            "medicationCodeableConcept",
        ),
        _Concept,
    ),
    **dict.fromkeys(("interpretation", "procedureCode", "reasonCode", "safety", "category"), list[_Concept]),
    **dict.fromkeys(("subject", "patient", "specimen", "device", "medicationReference"), _Reference),
    "focus": list[_Reference],
    "bodySite": _Concept | list[_Concept],
    "class": _Coding,
    "valueQuantity": _Quantity,
    "valueRange": _Range,
    "component": list[_Component],
    "referenceRange": list[_ReferenceRange],
    "reaction": list[_Reaction],
    "note": list[_Annotation],
    "identifier": list[_Identifier],
}
"""The usual type of a member of a resource; a resource with one that has none is compared."""
_HERE: Final[dict[tuple[str, str], Any]] = {
    ("AllergyIntolerance", "category"): list[_Word],
    ("Condition", "severity"): _Concept,
    ("DiagnosticReport", "specimen"): list[_Reference],
    ("MedicationAdministration", "device"): list[_Reference],
    ("ServiceRequest", "specimen"): list[_Reference],
}
"""Where a resource type gives a member another type."""


def _is_word(value: str | None) -> bool:
    return value is None or (value.isascii() and value.isalpha()) or value == "entered-in-error"


def _is_date(value: str | None) -> bool:
    return value is None or dates.parse(value) is not None


_TESTS: Final = {**dict.fromkeys(_WORDS, _is_word), **dict.fromkeys(DATES, _is_date)}


def is_sound(resource: Resource) -> bool:
    """Whether no member of a resource that came as JSON is damaged, as far as that can be told quickly.

    False says nothing: the resource is to be compared.
    """
    try:
        written = msgspec.json.encode(resource)
        _decoder(text(resource.get("resourceType"))).decode(written)
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError):
        return False
    for name, test in _TESTS.items():
        if name in resource and not test(resource[name]):
            return False
    return _is_clean(written)


def _is_clean(written: bytes) -> bool:
    """Whether no text holds a control character, which is escaped, or one that could not be read."""
    escapes = written.split(b"\\")[1:]
    return all(escaped.startswith((b'"', b"n", b"r", b"t")) for escaped in escapes) and (
        written.isascii() or _UNREADABLE not in written
    )


@lru_cache(maxsize=64)
def _decoder(kind: str) -> msgspec.json.Decoder[Any]:
    """Decodes the members of a resource that are compared, and passes over the others."""
    types = {name: _HERE.get((kind, name), _TYPES.get(name)) for name in shaped_names() if shape_of(kind, name)}
    fields = [(name, known if known is None else known | None, None) for name, known in types.items()]
    return msgspec.json.Decoder(msgspec.defstruct("Sound", fields, gc=False))
