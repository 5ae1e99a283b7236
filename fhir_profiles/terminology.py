"""Codes to concepts: the code tables, loaded and checked once.

A coding counts when system and code match a verified row. A coding without a system counts when exactly one concept has
the code and the code says enough by its shape; an unverified or ambiguous one counts only together with text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Literal

import msgspec

from cds_service.domain.facts import FACTS, Kind
from cds_service.domain.terms import FHIR_BASE
from cds_service.errors import TerminologyError

LOCAL_SYSTEM = f"{FHIR_BASE}/CodeSystem/pnet-cds-local"
"""The project-local CodeSystem."""

_TABLES = (
    "conditions",
    "morphology",
    "observations",
    "imaging",
    "tracers",
    "treatments",
    "medications",
    "devices",
    "allergies",
    "ratings",
    "local",
)
_NEEDS_SYSTEM = frozenset({"cpt", "hcpcs", "rpid", "local", "naaccr", "pama"})
"""Systems whose bare codes say too little to be taken without their system."""
_ICD_10_CM = re.compile(r"[A-Z]\d[0-9A-Z]\.[0-9A-Z]{1,4}")
"""ICD-10-CM by its shape alone; without the dot it could be anything."""


class CodeRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One code: where it is from, how sure it is, and what it adds to the meaning of its concept."""

    system: str
    code: str
    display: str
    status: Literal["verified", "unverified", "project-local"]
    grade: Literal["A", "B", "C", "L"]
    evidence: str
    use: Literal["alone", "with-text"] = "alone"
    emit: bool = False
    value: str = ""
    role: str | None = None
    fact: str | None = None
    tnm_axis: str | None = None
    treatment: str | None = None
    tracer: str | None = None
    procedure: str | None = None
    modality: str | None = None
    net: bool | None = None
    attributes: list[str] | None = None
    allergens: list[str] | None = None
    facts: dict[str, Any] = {}


class Preferred(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The codes an order for the concept is written with."""

    loinc: list[str] = []
    sct: list[str] = []
    cpt: list[str] = []
    local: list[str] = []
    text_only: bool = False


class ConceptRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A concept with its codes and what it means for the facts."""

    key: str
    kind: str
    label: str
    codes: list[CodeRow]
    notes: str = ""
    input_only: bool = False
    units: list[str] = []
    preferred: Preferred | None = None
    composed_of: list[str] = []
    billed_as: list[str] = []
    tracers: list[str] = []
    role: str = ""
    fact: str = ""
    tnm_axis: str = ""
    treatment: str = ""
    tracer: str = ""
    procedure: str = ""
    modality: str = ""
    net: bool = False
    attributes: list[str] = []
    allergens: list[str] = []
    facts: dict[str, Any] = {}


class _Concepts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    checked: str
    concept: list[ConceptRow]


class _System(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    label: str
    accept: list[str]
    uri: str = ""


class _Systems(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    checked: str
    system: list[_System]


class _Family(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    prefix: str
    concept: str
    role: str | None = None
    facts: dict[str, Any] = {}


class _Families(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    checked: str
    family: list[_Family]


@dataclass(frozen=True, slots=True)
class Match:
    """What a coding means.

    Attributes:
        certain: the code alone is enough; otherwise text must agree.
        facts: facts the code carries.
    """

    concept: str
    kind: str
    label: str
    code: str
    display: str
    certain: bool
    role: str = ""
    fact: str = ""
    value: str = ""
    tnm_axis: str = ""
    treatment: str = ""
    tracer: str = ""
    procedure: str = ""
    modality: str = ""
    net: bool = False
    attributes: frozenset[str] = frozenset()
    allergens: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


def _merged(concept: ConceptRow, code: CodeRow | None, extra: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
    """Facts of the concept, overridden by the code; an empty word takes a fact away again."""
    facts = {**concept.facts, **(code.facts if code else {}), **(extra or {})}
    return {name: value for name, value in facts.items() if value != ""}


def _check_facts(where: str, facts: Mapping[str, Any]) -> None:
    """Facts and words that a row gives are those of the vocabulary; an empty word takes a fact away."""
    for name, value in facts.items():
        spec = FACTS.get(name)
        if spec is None:
            raise TerminologyError(f"{where}: {name!r} is not a fact")
        if value == "":
            continue
        words = value if isinstance(value, list) else [value]
        known = {
            Kind.FLAG: isinstance(value, bool),
            Kind.WORD: value in spec.words,
            Kind.WORDS: isinstance(value, list) and all(not spec.words or word in spec.words for word in words),
        }.get(spec.kind, isinstance(value, int | float))
        if not known:
            raise TerminologyError(f"{where}: {value!r} does not fit {name}, which is a {spec.kind}")


def _match(concept: ConceptRow, code: CodeRow) -> Match:
    def own(name: str) -> Any:
        value = getattr(code, name)
        return getattr(concept, name) if value is None else value

    return Match(
        concept=concept.key,
        kind=concept.kind,
        label=concept.label,
        code=code.code,
        display=code.display,
        certain=code.use == "alone" and code.status != "unverified",
        role=own("role"),
        fact=own("fact"),
        value=code.value,
        tnm_axis=own("tnm_axis"),
        treatment=own("treatment"),
        tracer=own("tracer"),
        procedure=own("procedure"),
        modality=own("modality"),
        net=own("net"),
        attributes=frozenset(own("attributes")),
        allergens=tuple(own("allergens")),
        facts=_merged(concept, code),
    )


def normal_code(system: str, code: str) -> str:
    """The form in which codes are compared: ICD without dot and in capitals, ICD-O by its four-digit histology."""
    code = code.strip()
    if system == "icd-10-cm":
        return code.replace(".", "").upper()
    if system == "icd-o-3" and re.fullmatch(r"\d{4}(/?\d)?", code):
        return code[:4]
    return code


class Terminology:
    """All code tables, indexed for look-up."""

    def __init__(self, folder: Traversable) -> None:
        self.concepts: dict[str, ConceptRow] = {}
        self._codes: dict[tuple[str, str], Match] = {}
        self._bare: dict[str, list[Match]] = {}
        self._systems: dict[str, str] = {}
        self.uris: dict[str, str] = {}
        for system in _decode(folder, "systems", _Systems).system:
            self.uris[system.name] = system.uri
            for spelling in system.accept:
                self._systems[_normal_uri(spelling)] = system.name
        for table in _TABLES:
            for concept in _decode(folder, table, _Concepts).concept:
                self._add(table, concept)
        self._check_relations()
        self._families = [self._family(row) for row in _decode(folder, "families", _Families).family]
        self._add_local_facts()
        self._observed = frozenset(
            code for (_, code), match in self._codes.items() if match.role or match.fact or match.tnm_axis
        )

    def _add(self, table: str, concept: ConceptRow) -> None:
        if concept.key in self.concepts:
            raise TerminologyError(f"codes/{table}.toml: concept {concept.key!r} appears twice")
        self.concepts[concept.key] = concept
        for facts in (concept.facts, *(row.facts for row in concept.codes)):
            _check_facts(f"codes/{table}.toml, {concept.key!r}", facts)
        for row in concept.codes:
            if row.system not in self.uris:
                raise TerminologyError(f"codes/{table}.toml, {concept.key!r}: unknown system {row.system!r}")
            if not row.display.strip() or not row.evidence.strip():
                raise TerminologyError(f"codes/{table}.toml, {concept.key!r}: {row.code} lacks display or evidence")
            self._register(table, row.system, row.code, _match(concept, row))

    def _check_relations(self) -> None:
        """Concepts name only concepts that exist."""
        for concept in self.concepts.values():
            for other in (*concept.composed_of, *concept.billed_as, *concept.tracers):
                if other not in self.concepts:
                    raise TerminologyError(f"codes/imaging.toml: {concept.key!r} names {other!r}, which does not exist")

    def _register(self, table: str, system: str, code: str, match: Match) -> None:
        key = (system, normal_code(system, code))
        known = self._codes.get(key)
        if known is not None and (known.concept, known.facts) != (match.concept, match.facts):
            raise TerminologyError(
                f"codes/{table}.toml: {system} {code} means both {known.concept!r} and {match.concept!r}"
            )
        self._codes[key] = match
        if known is None and system not in _NEEDS_SYSTEM:
            self._bare.setdefault(key[1], []).append(match)

    def _family(self, row: _Family) -> tuple[str, Match]:
        concept = self.concepts.get(row.concept)
        if concept is None:
            raise TerminologyError(f"codes/families.toml: unknown concept {row.concept!r}")
        _check_facts(f"codes/families.toml, {row.prefix!r}", row.facts)
        code = CodeRow(
            system="icd-10-cm",
            code=row.prefix,
            display=concept.label,
            status="verified",
            grade="A",
            evidence="prefix family",
            role=row.role,
            facts=row.facts,
        )
        return row.prefix, _match(concept, code)

    def _add_local_facts(self) -> None:
        """Every fact may be said with its own local code (its name with hyphens)."""
        for spec in FACTS.values():
            key = ("local", spec.code)
            if key not in self._codes:
                self._codes[key] = Match(
                    concept=f"fact:{spec.name}",
                    kind="local-fact",
                    label=spec.name.replace("_", " "),
                    code=spec.code,
                    display=spec.name.replace("_", " "),
                    certain=True,
                    role="observation",
                    fact=spec.name,
                )

    def system(self, uri: str) -> str | None:
        """Short name of a code system by any accepted spelling of its URI."""
        return self._systems.get(_normal_uri(uri))

    def match(self, system: str | None, code: str) -> Match | None:
        """The meaning of a coding, or None when the code is in no table."""
        if system:
            name = self.system(system)
            if name is None:
                return None
            key = normal_code(name, code)
            found = self._codes.get((name, key))
            return self._family_of(key) if found is None and name == "icd-10-cm" else found
        candidates = {
            id(match): match
            for name in ("", "icd-10-cm", "icd-o-3")
            for match in self._bare.get(normal_code(name, code), ())
        }
        if not candidates:
            return self._family_of(normal_code("icd-10-cm", code)) if _ICD_10_CM.fullmatch(code.strip()) else None
        return next(iter(candidates.values())) if len(candidates) == 1 else None

    def _family_of(self, key: str) -> Match | None:
        """The first ICD-10-CM family the code belongs to; exclusions come first in the table."""
        return next((match for prefix, match in self._families if key.startswith(prefix)), None)

    def is_of_interest(self, code: str) -> bool:
        """Whether a bare code may say anything a rule needs: a first quick look, without its system."""
        return code.strip() in self._observed

    def codes(self, concept: str) -> Iterable[CodeRow]:
        """All codes of a concept."""
        return self.concepts[concept].codes


@lru_cache(maxsize=1024)
def _normal_uri(uri: str) -> str:
    """Spelling in which system URIs are compared: trimmed, http, lower-case scheme and host, no trailing slash."""
    uri = uri.strip().rstrip("/")
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return uri.lower() if uri.lower().startswith("urn:") else uri
    host, slash, path = rest.partition("/")
    scheme = "http" if scheme.lower() == "https" else scheme.lower()
    return f"{scheme}://{host.lower()}{slash}{path}"


def _decode(folder: Traversable, table: str, kind: type[Any]) -> Any:
    try:
        return msgspec.toml.decode((folder / f"{table}.toml").read_bytes(), type=kind)
    except OSError:
        raise TerminologyError(f"codes/{table}.toml: the table cannot be read") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise TerminologyError(f"codes/{table}.toml: {error}") from None


@cache
def load_terminology() -> Terminology:
    """The code tables packaged with this distribution, read once.

    Raises:
        TerminologyError: a table cannot be used; the message names it.
    """
    return Terminology(files("fhir_profiles") / "codes")
