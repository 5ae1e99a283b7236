"""Tolerant access to resources that others wrote: a wrong type is an absent value, never an exception."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any, NamedTuple
from urllib.parse import unquote

import msgspec

from cds_service.protocol.surrogates import UNREADABLE
from fhir_profiles import dates
from fhir_profiles.dates import When
from fhir_profiles.terminology import Match, Terminology

Resource = Mapping[str, Any]

_DATES = ("effectiveDateTime", "effectivePeriod", "effectiveInstant", "issued")
_WORDS = re.compile(r"[a-z0-9]+")
_LONGEST_CONCEPT_KEPT = 1024
_LONGEST_KEPT = 256
"""Longest reference or name that is remembered: what a client sends must not fill the memory."""


class Coding(NamedTuple):
    """A coding as sent."""

    system: str | None
    code: str
    display: str


def text(value: object) -> str:
    """The string, trimmed; empty for anything else."""
    return value.strip() if isinstance(value, str) else ""


def member(value: object, name: str) -> Any:
    """A member of an object; None when the value is no object."""
    return value.get(name) if isinstance(value, dict) else None


def objects(value: object) -> Iterator[dict[str, Any]]:
    """The objects in a list; a single object where a list belongs is accepted."""
    if isinstance(value, dict):
        yield value
    elif isinstance(value, list):
        yield from (item for item in value if isinstance(item, dict))


def codings(concept: object) -> Iterator[Coding]:
    """Codings of a CodeableConcept that have a code."""
    for coding in objects(member(concept, "coding")):
        code = text(coding.get("code"))
        if code:
            yield Coding(text(coding.get("system")) or None, code, text(coding.get("display")))


def as_written(concept: object) -> bytes:
    """A concept as bytes by which what is read from it may be remembered; empty when it is none or too long.

    Concepts repeat from chart to chart, and what one means is asked several times in each.
    """
    if not isinstance(concept, dict):
        return b""
    try:
        written = msgspec.json.encode(concept)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return b""
    return written if len(written) <= _LONGEST_CONCEPT_KEPT else b""


def words(concept: object) -> str:
    """All human-readable text of a CodeableConcept, or of a plain string; without what cannot be read."""
    written = as_written(concept)
    return _remembered_words(written) if written else _words(concept)


@lru_cache(maxsize=4096)
def _remembered_words(written: bytes) -> str:
    return _words(msgspec.json.decode(written))


def _words(concept: object) -> str:
    parts = [text(concept), text(member(concept, "text"))]
    parts += [text(coding.get("display")) for coding in objects(member(concept, "coding"))]
    return " ; ".join(dict.fromkeys(part for part in parts if part and UNREADABLE not in part))


def matches(concept: object, terminology: Terminology) -> list[Match]:
    """What the codings of a concept mean. A coding without a code we know, or without a code at all, adds nothing."""
    written = as_written(concept)
    return list(_remembered_matches(written, terminology) if written else _matches(concept, terminology))


@lru_cache(maxsize=4096)
def _remembered_matches(written: bytes, terminology: Terminology) -> tuple[Match, ...]:
    return tuple(_matches(msgspec.json.decode(written), terminology))


def _matches(concept: object, terminology: Terminology) -> list[Match]:
    found = (terminology.match(coding.system, coding.code) for coding in codings(concept))
    return list({(m.concept, m.code): m for m in found if m is not None}.values())


def word_of(concept: object) -> str:
    """The word a project-local value carries: a code of the local CodeSystem, else the text, in lower case."""
    for coding in codings(concept):
        if coding.system is None or "pnet-cds" in coding.system:
            return coding.code
    return text(member(concept, "text"))


def status(resource: Resource) -> str:
    """Resource status, trimmed and in lower case; empty when absent."""
    return text(resource.get("status")).lower()


def code_of_status(resource: Resource, name: str) -> str:
    """Code of a status that is a CodeableConcept (clinicalStatus, verificationStatus)."""
    value = resource.get(name)
    if isinstance(value, str):
        return value.strip().lower()
    return next((coding.code.lower() for coding in codings(value)), text(member(value, "text")).lower())


def source(resource: Resource) -> str:
    """Relative reference of the resource, for evidence and reports."""
    kind, identifier = text(resource.get("resourceType")), text(resource.get("id"))
    return f"{kind}/{identifier}" if identifier else kind


def reference_id(reference: object, kind: str) -> str | None:
    """Id in a reference to a resource of that kind, relative or absolute; None when it points elsewhere."""
    value = text(member(reference, "reference"))
    return _remembered_id(value, kind) if len(value) <= _LONGEST_KEPT else _id_in(value, kind)


@lru_cache(maxsize=1024)
def _remembered_id(value: str, kind: str) -> str | None:
    """All of a chart refers to one patient."""
    return _id_in(value, kind)


def _id_in(value: str, kind: str) -> str | None:
    found = re.search(rf"(?:^|/){kind}/([^/|#?]+)(?:/_history/[^/]+)?$", value)
    return unquote(found.group(1)) if found else None


def is_about(reference: object, patient_id: str) -> bool:
    """Whether a reference is to this patient, in any of its spellings."""
    if reference_id(reference, "Patient") == patient_id:
        return True
    return text(member(reference, "reference")) == f"urn:uuid:{patient_id}"


def observed(resource: Resource) -> When | None:
    """Effective date of an Observation; the end of a period counts."""
    for name in _DATES:
        value = resource.get(name)
        if name == "effectivePeriod":
            value = member(value, "end") or member(value, "start")
        when = dates.parse(value)
        if when:
            return when
    return dates.parse(member(resource.get("meta"), "lastUpdated"))


def performed(resource: Resource) -> When | None:
    """Date on which a Procedure was done; the end of a period counts."""
    period = resource.get("performedPeriod")
    for value in (resource.get("performedDateTime"), member(period, "end"), member(period, "start")):
        when = dates.parse(value)
        if when:
            return when
    return None


@dataclass(frozen=True, slots=True)
class Amount:
    """A number as sent: exact, or the closed range in which it lies."""

    low: float
    high: float
    unit: str
    shown: str

    @property
    def exact(self) -> bool:
        """Whether one number is meant."""
        return self.low == self.high


_NUMBER = r"(\d+(?:[.,]\d+)?)"
_TEXT_RANGE = re.compile(rf"{_NUMBER}\s*(?:-|–|to)\s*{_NUMBER}\s*(.*)$")
_TEXT_COMPARED = re.compile(rf"(<=|>=|<|>|≤|≥)?\s*{_NUMBER}\s*(.*)$")
_COMPARATORS = {"≤": "<=", "≥": ">="}


def amount(value: Resource) -> Amount | None:
    """The number in an Observation or component: quantity, range, integer or text such as ``<3 %`` or ``15-20``."""
    found = _amount(value)
    return found if found is not None and found.low <= reading_defaults().largest_number else None


def _amount(value: Resource) -> Amount | None:
    quantity = value.get("valueQuantity")
    if isinstance(quantity, dict):
        return _from_quantity(quantity)
    limits = value.get("valueRange")
    if isinstance(limits, dict):
        return _from_range(limits)
    whole = value.get("valueInteger")
    if isinstance(whole, int) and not isinstance(whole, bool):
        return Amount(float(whole), float(whole), "", str(whole))
    written = text(value.get("valueString")) or text(member(value.get("valueCodeableConcept"), "text"))
    return _from_text(written) if written else None


def number(value: object) -> float | None:
    """A finite JSON number, or a string that is one."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        try:
            value = float(value.replace(",", "."))
        except ValueError:
            return None
    if isinstance(value, int | float):
        try:
            converted = float(value)
        except OverflowError:
            return None
        return converted if math.isfinite(converted) else None
    return None


def unit_of(quantity: object) -> str:
    """UCUM code if given, else the unit as written."""
    return _one_micro(text(member(quantity, "code")) or text(member(quantity, "unit")))


def _one_micro(unit: str) -> str:
    """The Greek letter mu (U+03BC) is written for the micro sign (U+00B5), in which units are tabled."""
    return unit.replace("\N{GREEK SMALL LETTER MU}", "\N{MICRO SIGN}")


def _from_quantity(quantity: dict[str, Any]) -> Amount | None:
    value = number(quantity.get("value"))
    if value is None:
        return None
    comparator = text(quantity.get("comparator"))
    return _compared(value, comparator, unit_of(quantity), f"{comparator}{value:g}")


def _from_range(limits: dict[str, Any]) -> Amount | None:
    low, high = (limits.get(name) for name in ("low", "high"))
    lowest, highest = number(member(low, "value")), number(member(high, "value"))
    if lowest is None and highest is None:
        return None
    unit = unit_of(low) or unit_of(high)
    bottom = 0.0 if lowest is None else lowest
    top = math.inf if highest is None else highest
    return Amount(bottom, top, unit, f"{bottom:g}-{top:g}") if bottom <= top else None


def _from_text(written: str) -> Amount | None:
    found = _TEXT_RANGE.fullmatch(written)
    if found:
        low, high = (float(part.replace(",", ".")) for part in found.groups()[:2])
        return Amount(low, high, _one_micro(found.group(3).strip()), f"{low:g}-{high:g}") if low <= high else None
    found = _TEXT_COMPARED.fullmatch(written)
    if not found:
        return None
    comparator = _COMPARATORS.get(found.group(1) or "", found.group(1) or "")
    value = float(found.group(2).replace(",", "."))
    return _compared(value, comparator, _one_micro(found.group(3).strip()), f"{comparator}{value:g}")


def _compared(value: float, comparator: str, unit: str, shown: str) -> Amount | None:
    """The closed range a comparator leaves; numbers here are never negative."""
    if comparator == "<":
        return Amount(0.0, math.nextafter(value, 0.0), unit, shown)
    if comparator == "<=":
        return Amount(0.0, value, unit, shown)
    if comparator == ">":
        return Amount(math.nextafter(value, math.inf), math.inf, unit, shown)
    if comparator == ">=":
        return Amount(value, math.inf, unit, shown)
    return Amount(value, value, unit, shown) if not comparator else None


class Pair(msgspec.Struct, frozen=True):
    """Two ordered concepts that are one study under one requisition."""

    concepts: list[str]
    procedure: str


class Reading(msgspec.Struct, frozen=True):
    """Units, limits and pairs (``codes/reading.toml``)."""

    largest_number: float
    limits: dict[str, tuple[float, float]]
    same_unit: dict[str, str]
    units: dict[str, dict[str, float]]
    mitoses: dict[str, str]
    pair: list[Pair]


class Label(msgspec.Struct, frozen=True):
    """Reviewed text and what it means."""

    phrases: list[str] = []
    names: list[str] = []
    facts: dict[str, Any] = {}
    value: str = ""
    concept: str = ""
    procedure: str = ""
    allergens: list[str] = []


class Negation(msgspec.Struct, frozen=True):
    """How far a denial reaches; what the lists mean is said in ``codes/labels.toml``."""

    reach: int
    before: list[str]
    after: list[str]
    ends: list[str]
    prepositions: list[str]
    absorbing: list[str]
    fillers: list[str]
    neutral: list[str]


class Group(list[Label]):
    """Labels of one kind: what is found in them may be remembered, because they never change."""

    def __hash__(self) -> int:  # type: ignore[override]
        """One group is itself only."""
        return id(self)


class Labels(msgspec.Struct, frozen=True):
    """Reviewed labels for text without a usable code (``codes/labels.toml``)."""

    negation: Negation
    possibility: list[str]
    other_person: list[str]
    history: list[str]
    lookalike: list[str]
    tumour: list[Label]
    site: list[Label]
    subsite: list[Label]
    differentiation: list[Label]
    syndrome: list[Label]
    condition: list[Label]
    symptom: list[Label]
    dialysis: list[Label]
    allergen: list[Label]
    medication: list[Label]
    tracer: list[Label]
    study: list[Label]
    observation: list[Label]
    disease_status: list[Label]


@cache
def reading_defaults() -> Reading:
    """Units, limits and pairs, loaded once."""
    return msgspec.toml.decode((files("fhir_profiles") / "codes" / "reading.toml").read_bytes(), type=Reading)


@cache
def labels() -> Labels:
    """The reviewed labels, loaded once."""
    read = msgspec.toml.decode((files("fhir_profiles") / "codes" / "labels.toml").read_bytes(), type=Labels)
    groups = {name: Group(group) for name in read.__struct_fields__ if _is_group(group := getattr(read, name))}
    return msgspec.structs.replace(read, **groups)


def _is_group(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, Label) for item in value)


def normal_text(value: str) -> str:
    """Lower case, single blanks, no punctuation; the form in which labels are compared."""
    return " ".join(_WORDS.findall(value.lower().replace("w/o", "without").replace("&", " and ")))


def says(normal: str, phrases: list[str]) -> bool:
    """Whether one of the phrases stands in the text as whole words."""
    for phrase in phrases:  # noqa: SIM110 - asked a hundred times per call
        if phrase in normal and f" {phrase} " in f" {normal} ":
            return True
    return False


def label_in(value: str, group: list[Label]) -> Label | None:
    """The first label that the text, or a part of it between semicolons, is (``names``) or contains (``phrases``)."""
    if isinstance(group, Group) and len(value) <= _LONGEST_KEPT:
        return _remembered_label(value, group)
    return _label_in(value, group)


@lru_cache(maxsize=4096)
def _remembered_label(value: str, group: Group) -> Label | None:
    """Names of conditions and results repeat."""
    return _label_in(value, group)


def _label_in(value: str, group: list[Label]) -> Label | None:
    parts = [part for part in map(normal_text, value.split(";")) if part]
    for label in group:
        for part in parts:
            if part in label.names or says(part, label.phrases):
                return label
    return None


def convert(found: Amount, unit: str, *, fixed_unit: bool = False) -> Amount | None:
    """The amount in the unit of a fact, or None when its unit is missing or cannot be converted.

    A missing unit is accepted where the code itself fixes the unit, and for zero.
    """
    if not found.unit:
        zero = found.exact and found.low == 0
        return found if fixed_unit or zero else None
    factor = reading_defaults().units.get(unit, {}).get(found.unit)
    if factor is None:
        return None
    if factor == 1:
        return found
    low = _scaled(found.low, factor)
    return Amount(low, _scaled(found.high, factor), unit, found.shown) if math.isfinite(low) else None


def _scaled(value: float, factor: float) -> float:
    """Scaled without the dust of binary arithmetic, so that 2.0 cm is exactly 20 mm."""
    scaled = value * factor
    return scaled if math.isinf(scaled) or value != round(value, 9) else float(f"{scaled:.12g}")
