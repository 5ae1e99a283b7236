"""Which imaging study a CodeableConcept names: the same reading for orders and for studies done."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec

from fhir_profiles.chart import CODED, TEXT
from fhir_profiles.reading import (
    as_written,
    codings,
    label_in,
    labels,
    matches,
    member,
    normal_text,
    objects,
    says,
    words,
)
from fhir_profiles.terminology import Match, Terminology

_IMAGING = "procedure-imaging"
_FALSE_FRIENDS = "mr-ct-broad-false-friends"
_CT_ABDOMEN_OPEN = "41806-1"
_TRACER_OPEN = frozenset({"pet-ct-skull-base-mid-thigh", "pet-ct-whole-body", "pet-only"})
_BY_TRACER = {"sstr": "pet-ct-sstr", "fdg": "pet-ct-fdg", "fdopa": "pet-ct-fdopa"}
_AGENTS = ("dotatate", "dotatoc", "dotanoc")
_MR = ["mri", "mr", "magnetic resonance", "mrcp"]
_CT = ["ct", "cat scan", "computed tomography", "tomography"]
_NUCLEAR = ["pet", "spect", "scintigraphy", "pet ct", "positron"]
_ULTRASOUND = ["ultrasound", "us", "sonography", "ultrasonography"]
_GUIDANCE = [
    "biopsy",
    "guided",
    "guidance",
    "drainage",
    "ablation",
    "embolization",
    "embolisation",
    "injection",
    "aspiration",
]
_MODALITIES = {"pet-ct": _NUCLEAR, "mri": _MR, "ct": _CT, "ultrasound": _ULTRASOUND}
_CONTRAST = [
    "with contrast",
    "with iv contrast",
    "with and without contrast",
    "without and with contrast",
    "w contrast",
    "contrast enhanced",
]
_REGION = [
    "abdomen",
    "abdominal",
    "pelvis",
    "abdomen pelvis",
    "pancreas",
    "pancreatic",
    "liver",
    "hepatic",
    "whole body",
    "mid thigh",
    "enterography",
    "bowel",
    "chest",
    "thorax",
    "head",
    "brain",
    "spine",
]
_ABDOMEN = ["abdomen", "abdominal"]
_ELSEWHERE = ["chest", "thorax", "head", "brain", "spine"]
_BELOW_THE_CHEST = [phrase for phrase in _REGION if phrase not in _ELSEWHERE]


@dataclass(frozen=True, slots=True)
class Study:
    """An imaging study as far as its codes and text tell it.

    Attributes:
        procedure: procedure key; None for imaging that has none, or whose key is open.
        attributes: attributes of a study without a key.
        concepts: concepts its codes name.
        open_question: what must be settled before the study has a key.
        agent: ligand of its SSTR tracer, when code or text name one.
    """

    procedure: str | None
    attributes: frozenset[str]
    modality: str | None
    how: str
    label: str
    concepts: tuple[str, ...] = ()
    open_question: str = ""
    agent: str | None = None


def study(concept: object, terminology: Terminology, extra: object = None) -> Study | None:
    """The study a concept names; ``extra`` holds order details and notes. None when it is no imaging of interest."""
    details = list(objects(extra))
    written = as_written(concept)
    return _remembered(written, terminology) if written and not details else _study(concept, terminology, details)


@lru_cache(maxsize=1024)
def _remembered(written: bytes, terminology: Terminology) -> Study | None:
    return _study(msgspec.json.decode(written), terminology, [])


def _study(concept: object, terminology: Terminology, details: list[dict[str, Any]]) -> Study | None:
    found = [match for match in matches(concept, terminology) if match.kind == _IMAGING]
    written = " ; ".join(filter(None, (words(concept), *(words(detail) for detail in details))))
    if any(match.concept == _FALSE_FRIENDS for match in found):
        return None
    label = _name(concept) or (found[0].display if found else "")
    agent = _agent((concept, *details), written, terminology)
    if not found:
        return _from_text(label or words(concept), agent)
    tracer = _tracer((concept, *details), written, terminology)
    specific = _most_specific(found, terminology)
    keys = {key for match in specific if (key := _key(match, tracer, written))}
    if len(keys) == 1:
        key = keys.pop()
        return Study(key, frozenset(), None, CODED, label, tuple(m.concept for m in specific), agent=agent)
    return _without_key(specific, keys, tracer, label)


def _name(concept: object) -> str:
    """What the order calls itself: its text, else the first display; what cannot be read is no name."""
    names = (member(concept, "text"), *(coding.display for coding in codings(concept)))
    return next(filter(None, map(words, names)), "")


def _key(match: Match, tracer: str | None, written: str) -> str | None:
    """Procedure key of one coding; a code that names no agent needs it from elsewhere."""
    if match.concept in _TRACER_OPEN:
        return _BY_TRACER.get(tracer or "")
    if match.certain:
        return match.procedure or None
    if match.procedure == "srs-octreotide":
        return match.procedure if tracer == "pentetreotide" else None
    named = label_in(written, labels().study)
    return match.procedure if named is not None and named.procedure == match.procedure else None


def _without_key(specific: list[Match], keys: set[str], tracer: str | None, label: str) -> Study:
    attributes = frozenset(attribute for match in specific for attribute in match.attributes)
    modality = next((match.modality for match in specific if match.modality), None)
    question = ""
    if len(keys) > 1:
        question = "its codes name different studies"
    elif any(match.concept in _TRACER_OPEN for match in specific) and tracer is None:
        question = "the tracer is not stated"
    elif any(match.concept.endswith("-nos") or match.code == _CT_ABDOMEN_OPEN for match in specific):
        question = "the use of contrast is not stated"
    return Study(None, attributes, modality, CODED, label, tuple(m.concept for m in specific), question)


def _most_specific(found: list[Match], terminology: Terminology) -> list[Match]:
    """Leave out codings under which another one is merely billed (an MRCP is billed as an MRI of the abdomen)."""
    present = {match.concept for match in found}
    covered: set[str] = set()
    for key in present:
        row = terminology.concepts[key]
        covered.update(row.billed_as, row.composed_of)
    return [match for match in found if match.concept not in covered] or found


def _tracer(concepts: Iterable[object], written: str, terminology: Terminology) -> str | None:
    """The tracer that codes or text name; two different ones, or a word that fits several, leave it open."""
    coded = [match for concept in concepts for match in matches(concept, terminology) if match.tracer]
    normal = normal_text(written)
    said = {label.value for label in labels().tracer if says(normal, label.phrases)}
    named = {match.tracer for match in coded if match.certain or match.tracer in said} or said
    return named.pop() if len(named) == 1 else None


def _agent(concepts: Iterable[object], written: str, terminology: Terminology) -> str | None:
    """The SSTR ligand that codes or text name; two different ones leave it open."""
    coded = (match.concept for concept in concepts for match in matches(concept, terminology) if match.tracer == "sstr")
    normal = normal_text(" ; ".join((written, *(concept.replace("-", " ") for concept in coded))))
    named = [agent for agent in _AGENTS if says(normal, [agent])]
    return named[0] if len(named) == 1 else None


def _from_text(name: str, agent: str | None) -> Study | None:
    """A study ordered as text: a reviewed name has a key; other imaging of the region is merely recognised."""
    label = label_in(name, labels().study)
    if label:
        return Study(label.procedure, frozenset(), None, TEXT, name, agent=agent)
    normal = normal_text(name)
    modality = next((key for key, phrases in _MODALITIES.items() if says(normal, phrases)), None)
    if modality is None or not says(normal, _REGION) or says(normal, _GUIDANCE):
        return None
    contrast = says(normal, _CONTRAST)
    question = "" if contrast or modality not in ("mri", "ct") else "the use of contrast is not stated"
    return Study(None, _attributes(normal, modality, contrast), modality, TEXT, name, open_question=question)


def _attributes(normal: str, modality: str, contrast: bool) -> frozenset[str]:
    """What the words of an order say about magnet, radiation, contrast and region."""
    found: set[str] = set()
    if says(normal, _MR):
        found |= {"mr"} | ({"gadolinium"} if contrast else set())
    if modality in ("pet-ct", "ct"):
        found |= {"ionising"} | ({"iodinated"} if contrast and modality == "ct" else set())
    if says(normal, _ELSEWHERE) and not says(normal, _BELOW_THE_CHEST):
        found.add("complement")
    if says(normal, _ABDOMEN) and modality in ("mri", "ct"):
        found.add("abdominal")
    return frozenset(found)
