"""Members of a resource that are not of the shape R4 gives them: what they held is unknown, and is told.

Readers take a member of another shape as absent. That is safe only when it is said: here the members that readers look
at are compared with their JSON shape. Absent, null and empty members are no damage; they say nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

import msgspec

from cds_service.protocol.surrogates import UNREADABLE
from fhir_profiles import dates
from fhir_profiles.reading import Resource, as_written, codings, matches, number, objects, text, words
from fhir_profiles.terminology import Terminology

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffd]")
_CODES: Final = {
    "loinc": re.compile(r"\d{1,7}-\d"),
    "sct": re.compile(r"\d{6,18}"),
    "icd-10-cm": re.compile(r"[A-Z]\d[0-9A-Z](\.?[0-9A-Z]{1,4})?", re.IGNORECASE),
    "icd-o-3": re.compile(r"(\d{4}(/?\d)?|C\d\d(\.?\d)?)", re.IGNORECASE),
    "cpt": re.compile(r"\d{4}[0-9A-Z]"),
    "rxnorm": re.compile(r"\d+"),
}
"""Form of a code of each system; what has another form is no code of it."""

_NESTED: Final = (dict, list)
_NESTED_OR_TEXT: Final = (dict, str)

Test = Callable[[Any], bool]


def _text(value: Any) -> bool:
    return isinstance(value, str) and not _CONTROL.search(value)


def _word(value: Any) -> bool:
    return _text(value) and re.fullmatch(r"\s*[A-Za-z][A-Za-z-]*\s*", value) is not None


def _date(value: Any) -> bool:
    return dates.parse(value) is not None


def _object(value: Any) -> bool:
    return isinstance(value, dict)


def _words_or_word(value: Any) -> bool:
    return all(map(_word, value)) if isinstance(value, list) else _word(value)


def _objects(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and all(isinstance(item, dict) for item in value))


def _words(value: Any) -> bool:
    return _word(value) or (isinstance(value, list) and all(map(_word, value)))


def _coded(value: Any) -> bool:
    return isinstance(value, _NESTED_OR_TEXT) and (isinstance(value, dict) or _text(value))


def _plain(value: Any) -> bool:
    return not isinstance(value, _NESTED) and (not isinstance(value, str) or _text(value))


def _positive(value: Any) -> bool:
    stated = number(value)
    return stated is not None and stated >= 0


DATES: Final = (
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
    "deceasedDateTime",
)
"""Members of resources that are days or moments."""

_SHAPES: Final[Mapping[str, Test]] = {
    **dict.fromkeys(("system", "display", "text", "unit", "reference", "valueString", "title", "description"), _text),
    **dict.fromkeys(("status", "severity", "criticality", "gender", "intent"), _word),
    **dict.fromkeys((*DATES, "start", "end"), _date),
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
"""What a member must be, by its name, wherever R4 gives it one shape."""
_HERE: Final[Mapping[tuple[str, str], Test]] = {
    ("AllergyIntolerance", "category"): _words_or_word,
    ("CarePlan", "activity.reference"): _object,
    ("Condition", "evidence.code"): _objects,
    ("Condition", "severity"): _object,
    ("Device", "property.valueQuantity"): _objects,
    ("DiagnosticReport", "specimen"): _objects,
    ("ImagingStudy", "series.specimen"): _objects,
    ("MedicationAdministration", "device"): _objects,
    ("ServiceRequest", "specimen"): _objects,
}
"""Members of another shape than their name has elsewhere, by resource type and path; a test compares both with R4."""
_QUANTITIES: Final = frozenset({"valueQuantity", "low", "high"})
_NOTHING: Final[tuple[Any, ...]] = (None, "", [], {})
_DEEPEST: Final = 6
"""Levels below a resource at which readers still look."""


def damaged_members(resource: Resource, kinds: Container[str], depth: int = 0) -> Iterator[str]:
    """Paths of the members that are not of their shape; contained resources count if they are of one of the kinds."""
    found: list[str] = []
    _look(resource, text(resource.get("resourceType")), kinds, "", depth, found)
    return iter(found)


def _look(holder: Mapping[str, Any], kind: str, kinds: Container[str], path: str, depth: int, found: list[str]) -> None:
    """Add the paths of the damaged members of an object and of what it holds."""
    level = _level(kind or text(holder.get("resourceType")), path)
    for name, value in holder.items():
        known = level.get(name)
        if known is None or (not value and value in _NOTHING):
            continue
        if not known.test(value):
            found.append(known.path)
        elif depth < _DEEPEST and isinstance(value, _NESTED):
            for item in value if isinstance(value, list) else (value,):
                if not isinstance(item, dict):
                    continue
                if name != "contained":
                    _look(item, kind, kinds, known.path, depth + 1, found)
                elif text(item.get("resourceType")) in kinds:
                    found += (f"contained.{member}" for member in damaged_members(item, kinds, depth + 1))


class _Member(NamedTuple):
    path: str
    test: Test


@lru_cache(maxsize=1024)
def _level(kind: str, path: str) -> Mapping[str, _Member]:
    """The members at a path of a resource that are of one shape."""
    below = {name: f"{path}.{name}" if path else name for name in _SHAPES}
    shapes = {name: shape_of(kind, where) for name, where in below.items()}
    return {name: _Member(below[name], test) for name, test in shapes.items() if test is not None}


def shaped_names() -> Iterator[str]:
    """Names of the members that are compared, at any level."""
    return iter(_SHAPES)


def shape_of(kind: str, path: str) -> Test | None:
    """What the member at a path of a resource must be; None where no reader looks, and for the narrative."""
    if path == "text":
        return None
    holder, _, name = path.rpartition(".")
    if name == "value" and holder.rpartition(".")[2] in _QUANTITIES:
        return _positive
    return _HERE.get((kind, path)) or _SHAPES.get(name)


def readable_code(concept: object, terminology: Terminology) -> bool:
    """Whether a concept says anything: a text, or only codes that are codes of their system.

    A code of the right form that is in no table is readable: it means something that no rule asks for.
    """
    if not isinstance(concept, dict):
        return False
    written = as_written(concept)
    return _remembered_readable(written, terminology) if written else _readable(concept, terminology)


@lru_cache(maxsize=4096)
def _remembered_readable(written: bytes, terminology: Terminology) -> bool:
    return _readable(msgspec.json.decode(written), terminology)


def _readable(concept: Mapping[str, Any], terminology: Terminology) -> bool:
    found = list(codings(concept))
    if matches(concept, terminology):
        return True
    if not _objects(concept.get("coding", [])):
        return False
    if any(map(_says_nothing, objects(concept.get("coding")))) or _holds_unreadable_words(concept):
        return False
    if not found:
        return any(map(str.isalnum, words(concept)))
    return all(_well_formed(coding.system, coding.code, terminology) for coding in found)


def _says_nothing(coding: Mapping[str, Any]) -> bool:
    """Whether a coding has no code although it names a system, or has neither code nor display."""
    return not text(coding.get("code")) and (bool(text(coding.get("system"))) or not text(coding.get("display")))


def _holds_unreadable_words(concept: Mapping[str, Any]) -> bool:
    """Whether a text of the concept holds something that is no readable character."""
    texts = (concept.get("text"), *(coding.get("display") for coding in objects(concept.get("coding"))))
    return any(isinstance(value, str) and UNREADABLE in value for value in texts)


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
