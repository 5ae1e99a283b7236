"""Members of a resource that are not of the shape R4 gives them: what they held is unknown, and is told.

Readers take a member of another shape as absent. That is safe only when it is said: here the members that readers look
at are compared with their JSON shape. Absent, null and empty members are no damage; they say nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from fhir_profiles import dates
from fhir_profiles.reading import Resource, codings, matches, number, objects, text, words
from fhir_profiles.terminology import Terminology

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_CODES: Final = {
    "loinc": re.compile(r"\d{1,7}-\d"),
    "sct": re.compile(r"\d{6,18}"),
    "icd-10-cm": re.compile(r"[A-Z]\d[0-9A-Z](\.?[0-9A-Z]{1,4})?", re.IGNORECASE),
    "icd-o-3": re.compile(r"(\d{4}(/?\d)?|C\d\d(\.?\d)?)", re.IGNORECASE),
    "cpt": re.compile(r"\d{4}[0-9A-Z]"),
    "rxnorm": re.compile(r"\d+"),
}
"""Form of a code of each system; what has another form is no code of it."""

Test = Callable[[Any], bool]


def _text(value: Any) -> bool:
    return isinstance(value, str) and not _CONTROL.search(value)


def _word(value: Any) -> bool:
    return _text(value) and re.fullmatch(r"\s*[A-Za-z][A-Za-z-]*\s*", value) is not None


def _date(value: Any) -> bool:
    return dates.parse(value) is not None


def _object(value: Any) -> bool:
    return isinstance(value, dict)


def _objects(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and all(isinstance(item, dict) for item in value))


def _words(value: Any) -> bool:
    return _word(value) or (isinstance(value, list) and all(map(_word, value)))


def _coded(value: Any) -> bool:
    return isinstance(value, str | dict) and (isinstance(value, dict) or _text(value))


def _plain(value: Any) -> bool:
    return not isinstance(value, dict | list) and (not isinstance(value, str) or _text(value))


def _positive(value: Any) -> bool:
    stated = number(value)
    return stated is not None and stated >= 0


_SHAPES: Final[Mapping[str, Test]] = {
    **dict.fromkeys(("system", "display", "text", "unit", "reference", "valueString", "title", "description"), _text),
    **dict.fromkeys(("status", "severity", "criticality", "gender", "intent"), _word),
    **dict.fromkeys(
        (
            "birthDate",
            "recordedDate",
            "onsetDateTime",
            "effectiveDateTime",
            "effectiveInstant",
            "issued",
            "performedDateTime",
            "started",
            "authoredOn",
            "dateAsserted",
            "created",
            "start",
            "end",
            "deceasedDateTime",
        ),
        _date,
    ),
    **dict.fromkeys(
        (
            "valueQuantity",
            "valueRange",
            "valueCodeableConcept",
            "effectivePeriod",
            "performedPeriod",
            "onsetPeriod",
            "period",
            "clinicalStatus",
            "verificationStatus",
            "method",
            "specimen",
            "subject",
            "patient",
            "class",
            "device",
            "medicationCodeableConcept",
            "medicationReference",
            "low",
            "high",
        ),
        _object,
    ),
    **dict.fromkeys(
        (
            "coding",
            "bodySite",
            "component",
            "referenceRange",
            "interpretation",
            "reaction",
            "note",
            "extension",
            "contained",
            "procedureCode",
            "reasonCode",
            "focus",
            "safety",
            "category",
            "identifier",
        ),
        _objects,
    ),
    **dict.fromkeys(("valueBoolean", "deceasedBoolean", "doNotPerform"), lambda value: isinstance(value, bool)),
    "code": _coded,
    "value": _plain,
}
"""What a member must be, by its name, wherever it stands."""
_OF_A_TYPE: Final[Mapping[tuple[str, str], Test]] = {
    ("AllergyIntolerance", "category"): _words,
    ("Condition", "severity"): _object,
    ("DiagnosticReport", "specimen"): _objects,
    ("MedicationAdministration", "device"): _objects,
    ("ServiceRequest", "specimen"): _objects,
    ("ImagingStudy", "series.specimen"): _objects,
}
"""What a member of a resource type must be where R4 gives it another shape than its namesakes."""
_CONTAINED: Final = frozenset({"Medication", "Specimen", "Device"})
"""Resources that are read inside another one."""
_QUANTITIES: Final = frozenset({"valueQuantity", "low", "high"})
_NOTHING: Final[tuple[Any, ...]] = (None, "", [], {})
_DEEPEST: Final = 6
"""Levels below a resource at which readers still look."""


def damaged_members(resource: Resource) -> Iterator[str]:
    """Paths of the members that are not of their shape."""
    yield from _damaged(resource, "", text(resource.get("resourceType")), depth=0)


def _damaged(holder: Mapping[str, Any], path: str, kind: str, *, depth: int) -> Iterator[str]:
    for name, value in holder.items():
        where = f"{path}.{name}" if path else name
        test = _OF_A_TYPE.get((kind, where)) or _SHAPES.get(name)
        if test is None or value in _NOTHING or _is_narrative(name, value, holder):
            continue
        if not (_positive(value) if name == "value" and path.rpartition(".")[2] in _QUANTITIES else test(value)):
            yield where
        elif depth < _DEEPEST:
            for item in objects(value):
                if name != "contained" or text(item.get("resourceType")) in _CONTAINED:
                    yield from _damaged(item, where, kind, depth=depth + 1)


def _is_narrative(name: str, value: Any, holder: Mapping[str, Any]) -> bool:
    """Whether a member is the text of a resource for people, which nobody reads here."""
    return name == "text" and "resourceType" in holder and isinstance(value, dict)


def readable_code(concept: object, terminology: Terminology) -> bool:
    """Whether a concept says anything: a text, or only codes that are codes of their system.

    A code of the right form that is in no table is readable: it means something that no rule asks for.
    """
    if not isinstance(concept, dict):
        return False
    found = list(codings(concept))
    if matches(concept, terminology):
        return True
    if not _objects(concept.get("coding", [])):
        return False
    if any(_says_nothing(coding) for coding in objects(concept.get("coding"))):
        return False
    if not found:
        return bool(words(concept))
    return all(_well_formed(coding.system, coding.code, terminology) for coding in found)


def _says_nothing(coding: Mapping[str, Any]) -> bool:
    """Whether a coding has no code although it names a system, or has neither code nor display."""
    return not text(coding.get("code")) and (bool(text(coding.get("system"))) or not text(coding.get("display")))


@lru_cache(maxsize=4096)
def _well_formed(system: str | None, code: str, terminology: Terminology) -> bool:
    if system is None:
        return not terminology.is_of_interest(code)  # a code of ours whose system was lost
    if ":" not in system:
        return False
    name = terminology.system(system)
    if name == "local":
        return False  # it has no other codes than those in the table
    form = _CODES.get(name or "")
    return form is None or form.fullmatch(code.strip()) is not None
