"""Conditions: the tumour, its spread, syndromes, pregnancy, devices in situ. Codes say which facts they carry."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from fhir_profiles import dates
from fhir_profiles.chart import CODED, TEXT, Chart, Tumour
from fhir_profiles.dates import When
from fhir_profiles.negation import affirmed, denies
from fhir_profiles.reading import (
    Label,
    Resource,
    code_of_status,
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

_DROPPED = frozenset({"entered-in-error", "refuted"})
_SUSPECTED = frozenset({"provisional", "differential", "unconfirmed"})
_OVER = frozenset({"resolved", "inactive"})
_PRESENT = frozenset({"", "active", "recurrence", "relapse"})
_RECURRENT = frozenset({"recurrence", "relapse"})
TUMOUR_ROLES = frozenset(
    {"tumour", "possible-tumour", "syndrome", "history", "other-tumour", "pancreatic-malignancy", "mass", "morphology"}
)
"""What a code of a Condition may be for the question whether there is a tumour."""
_IMPLANT = "implant"
_SEMANTIC_TAG = re.compile(r" \((?:disorder|finding|morphologic abnormality)\)$")
SURVEILLANCE = ["active surveillance", "watchful waiting"]
_LISTED = frozenset({"metastases"})
_CURRENT_ONLY = frozenset({"pregnant", "aki", "bone_pain", "dialysis"})
"""States that a resolved Condition does not establish for today."""


def read(resource: Resource, chart: Chart) -> None:
    """Facts from one Condition; what the verification status takes back is reported as unusable."""
    concept = resource.get("code")
    found = matches(concept, chart.terminology)
    found += [m for extension in objects(resource.get("extension")) for m in _morphology(extension, chart)]
    verification = code_of_status(resource, "verificationStatus")
    if verification in _DROPPED:
        if any(match.facts or match.role for match in found):
            chart.skip(resource, f"verificationStatus is {verification}")
        return
    clinical = code_of_status(resource, "clinicalStatus")
    state = _State(resource, chart, verification in _SUSPECTED, clinical)
    written = " ; ".join(part for part in (words(concept), *_notes(resource)) if part)
    usable = [match for match in found if match.certain or _text_agrees(match, written)]
    for match in usable:
        state.read_match(match, written)
    if usable:
        state.read_symptom(" ; ".join((words(concept), *(match.display for match in usable))))
    else:
        state.read_text(words(concept))


@lru_cache(maxsize=2)
def _by_display(terminology: Terminology) -> Mapping[str, Match]:
    """Tumours by the display of a code that counts alone: the display is a name, also where the code was lost.

    A display that two codes share with different meanings names neither.
    """
    found: dict[str, list[Match]] = {}
    for concept in terminology.concepts.values():
        for code in concept.codes:
            match = terminology.match(terminology.uris.get(code.system), code.code)
            if match is not None and match.certain and match.role in TUMOUR_ROLES and code.display:
                for name in {code.display, _SEMANTIC_TAG.sub("", code.display)}:
                    found.setdefault(normal_text(name), []).append(match)
    alike = {text: [(match.role, match.facts) for match in named] for text, named in found.items()}
    return {text: named[0] for text, named in found.items() if all(m == alike[text][0] for m in alike[text])}


def under_surveillance(written: str) -> bool:
    """Whether a text names active surveillance in a sentence that denies nothing."""
    return any(says(normal_text(part), SURVEILLANCE) and not denies(part) for part in re.split(r"[.;\n]", written))


def _morphology(extension: dict[str, Any], chart: Chart) -> list[Match]:
    """Histology that some profiles put into an extension of the Condition."""
    return [m for m in matches(extension.get("valueCodeableConcept"), chart.terminology) if m.kind == "morphology"]


def _notes(resource: Resource) -> list[str]:
    return [words(site) for site in objects(resource.get("bodySite"))]


def _text_agrees(match: Match, written: str) -> bool:
    """A code that is not enough by itself counts when the text names what the code may mean."""
    normal = affirmed(written)
    if match.role in ("tumour", "history"):
        return label_in(normal, labels().site) is not None and label_in(normal, labels().tumour) is not None
    if match.role in ("mass", "possible-tumour"):
        return label_in(normal, labels().site) is not None
    if match.role == "syndrome":
        return label_in(normal, labels().syndrome) is not None or label_in(normal, labels().tumour) is not None
    return False


class _State:
    """One Condition being read."""

    def __init__(self, resource: Resource, chart: Chart, suspected: bool, clinical: str) -> None:
        self.resource = resource
        self.chart = chart
        self.suspected = suspected
        self.clinical = clinical
        self.diagnosed: When | None = next(
            (
                when
                for value in (
                    resource.get("onsetDateTime"),
                    member(resource.get("onsetPeriod"), "start"),
                    resource.get("recordedDate"),
                )
                if (when := dates.parse(value))
            ),
            None,
        )
        self.when = self.diagnosed or dates.parse(member(resource.get("meta"), "lastUpdated"))

    @property
    def over(self) -> bool:
        return self.clinical in _OVER

    def read_match(self, match: Match, written: str) -> None:
        role = match.role
        if role in TUMOUR_ROLES:
            facts = dict(match.facts)
            self._places(facts, written)
            self._tumour(role, facts, CODED, match.display)
            return
        if role == "metastasis":
            self._metastasis(match)
            return
        for name, value in match.facts.items():
            self._state_fact(name, value, CODED, match.display)
        if role == "function" and not self.suspected:
            hormone = match.facts["functional_syndrome"]
            self.chart.claim("functional_syndrome", hormone, self.resource, when=self.when, label=match.display)
        if match.allergens and not self.over:
            for fact in match.allergens:
                self.chart.allergies.append((fact, "mild", self.resource, self.when, CODED, match.display))

    def _places(self, facts: dict[str, Any], written: str) -> None:
        """Site and part of the pancreas from bodySite and text, where the code leaves them open."""
        normal = normal_text(written)
        if "primary_site" not in facts:
            site = label_in(normal, labels().site)
            if site:
                facts["primary_site"] = site.value
        if facts.get("primary_site") == "pancreas" and "pancreas_subsite" not in facts:
            part = label_in(normal, labels().subsite)
            if part:
                facts["pancreas_subsite"] = part.value

    def _tumour(self, role: str, facts: dict[str, Any], how: str, label: str, *, possible: bool = False) -> None:
        status = "highly-suspected" if self.suspected or possible else "confirmed"
        self.chart.tumours.append(Tumour(role, status, facts, self.resource, self.when, how, label, self.diagnosed))
        self._strategy()
        if self.clinical in _RECURRENT and role in ("tumour", "history"):
            self.chart.claim("recurrence", "known", self.resource, when=self.when, label="clinical status")

    def _strategy(self) -> None:
        """Active surveillance noted with the tumour."""
        if any(under_surveillance(words(note)) for note in objects(self.resource.get("note"))):
            self.chart.claim(
                "management_strategy", "active-surveillance", self.resource, when=self.when, how=TEXT, label="note"
            )

    def _metastasis(self, match: Match) -> None:
        if match.net:
            self._tumour("history" if self.over else "tumour", {}, CODED, match.display)
        if self.suspected or self.over:
            self.chart.skip(self.resource, "metastasis is not stated as present", "metastases")
            return
        self._spread(match.facts, match.display)

    def _spread(self, facts: Any, label: str) -> None:
        when = self.when
        for site in facts.get("metastases", ()):
            evidence = self.chart.evidence(self.resource, when, CODED, label)
            self.chart.metastases.append((site, evidence, when))
        if "nodes" in facts:
            self.chart.claim("nodes", facts["nodes"], self.resource, when=when, label=label)

    def _state_fact(self, name: str, value: Any, how: str, label: str) -> None:
        if name in _LISTED:
            return
        if self.suspected or (self.over and name in _CURRENT_ONLY):
            return
        if name == _IMPLANT:
            if self.over:
                self.chart.skip(self.resource, "the device is no longer in situ", _IMPLANT)
                return
            self.chart.implants.append((value, self.resource, label))
            return
        self.chart.claim(name, value, self.resource, when=self.when, how=how, label=label)

    def read_text(self, written: str) -> None:
        """Text without a usable code: reviewed labels only; what is denied or said of another person does not count."""
        normal = affirmed(written)
        if not normal:
            return
        known = labels()
        self.read_symptom(written)
        possible = says(normal, known.possibility)
        named = _by_display(self.chart.terminology).get(normal)
        if named is not None:
            facts = dict(named.facts)
            self._places(facts, written + " ; " + " ; ".join(_notes(self.resource)))
            self._tumour(named.role, facts, TEXT, written)
            return
        syndrome = label_in(normal, known.syndrome)
        if syndrome:
            if not possible:
                self._tumour("syndrome", dict(syndrome.facts), TEXT, written)
            return
        tumour = label_in(normal, known.tumour)
        if tumour and not says(normal, known.lookalike):
            self._text_tumour(tumour, normal, written, possible=possible)
            return
        label = label_in(normal, known.condition)
        if label and not possible and not says(normal, known.history):
            for name, value in label.facts.items():
                self._state_fact(name, value, TEXT, written)

    def read_symptom(self, written: str) -> None:
        """A symptom that is there now; whether it is new depends on when imaging was last done."""
        known = labels()
        normal = affirmed(written)
        if self.clinical not in _PRESENT or self.suspected or not label_in(normal, known.symptom):
            return
        if not any(says(normal, phrases) for phrases in (known.history, known.possibility)):
            self.chart.symptoms.append((self.resource, self.diagnosed, written))

    def _text_tumour(self, label: Label, normal: str, written: str, *, possible: bool) -> None:
        """Plain naming of tumour and organ in an active Condition may count as known; any other text as possible."""
        facts = dict(label.facts)
        self._places(facts, written + " ; " + " ; ".join(_notes(self.resource)))
        differentiation = label_in(normal, labels().differentiation)
        if differentiation:
            facts["differentiation"] = differentiation.value
        role = "history" if says(normal, labels().history) else "tumour"
        plain = "primary_site" in facts and not possible
        self._tumour(role, facts, TEXT, written, possible=not plain)
