"""Recorded TNM: categories as codes or text, with edition when it is stated."""

from __future__ import annotations

import re

from cds_service.domain.facts import FACTS
from fhir_profiles.chart import CODED, Chart
from fhir_profiles.dates import When
from fhir_profiles.reading import Resource, codings, matches, normal_text, text, word_of, words
from fhir_profiles.terminology import Match

_CATEGORY = re.compile(r"^[cpyramu]*(T|N|M)\s*(X|is|[0-4])([a-d]?\d?)\b", re.IGNORECASE)
_STAGE = re.compile(r"^(?:stage\s*)?(IV|I{1,3}|[0-4])\s*([ABC])?\d?\b", re.IGNORECASE)
_ROMAN = {"1": "I", "2": "II", "3": "III", "4": "IV"}


def _category_code(value: object) -> str:
    """A code that is the category itself, whoever publishes it (``T2``, ``pN1a``, ``IIB``); a bare number is none."""
    plain = (coding.code for coding in codings(value) if not coding.code.isdigit())
    return next((code for code in plain if _CATEGORY.fullmatch(code) or _STAGE.fullmatch(code)), "")


def read(resource: Resource, chart: Chart, match: Match, when: When | None) -> None:
    """N and M become ``nodes`` and ``metastases``; T and stage stay what they are: recorded."""
    value = resource.get("valueCodeableConcept")
    found = matches(value, chart.terminology)
    written = next((m.value for m in found if m.value), "") or word_of(value) or text(resource.get("valueString"))
    written = written or words(value) or _category_code(value)
    edition = _edition(resource, chart)
    if match.tnm_axis == "stage":
        _stage(resource, chart, written, edition, when)
        return
    category = _CATEGORY.match(written.strip().split(";")[0].strip())
    if category is None or category.group(1).upper() != match.tnm_axis:
        chart.skip(resource, "the value is no category of this axis")
        return
    digit, letter = category.group(2).upper(), category.group(3).lower()
    {"T": _t, "N": _n, "M": _m}[match.tnm_axis](resource, chart, digit, letter, edition, when)


def _edition(resource: Resource, chart: Chart) -> str | None:
    method = resource.get("method")
    named = next((m.value for m in matches(method, chart.terminology) if m.value), None)
    if named:
        return named
    normal = normal_text(words(method))
    if "enets" in normal.split():
        return "enets"
    for words_of, edition in ((("7th", "7"), "ajcc7"), (("8th", "8"), "ajcc8"), (("9th", "9"), "ajcc9")):
        if any(word in normal.split() for word in words_of):
            return edition
    return None


def _t(resource: Resource, chart: Chart, digit: str, letter: str, edition: str | None, when: When | None) -> None:
    for value in (f"T{digit}{letter}", f"T{digit}"):
        if value in FACTS["recorded_t"].words:
            chart.claim("recorded_t", value, resource, when=when, how=CODED, label=f"recorded {value}")
            if edition:
                chart.claim("recorded_edition", edition, resource, when=when, label="recorded edition")
            return
    chart.skip(resource, "the T category is not one of the systems computed here", "recorded_t")


def _n(resource: Resource, chart: Chart, digit: str, _letter: str, _edition: str | None, when: When | None) -> None:
    if digit == "X":
        return
    chart.claim("nodes", "negative" if digit == "0" else "positive", resource, when=when, label=f"recorded N{digit}")


def _m(resource: Resource, chart: Chart, digit: str, letter: str, _edition: str | None, when: When | None) -> None:
    if digit == "0":
        chart.claim("metastases", (), resource, when=when, label="recorded M0")
    elif digit == "1":
        evidence = chart.evidence(resource, when, CODED, f"recorded M1{letter}")
        site = "liver" if letter == "a" else "site-not-stated"
        chart.metastases.append((site, evidence, when))


def _stage(resource: Resource, chart: Chart, written: str, edition: str | None, when: When | None) -> None:
    group = _STAGE.match(written.strip())
    if group is None:
        chart.skip(resource, "the value is no stage group", "recorded_stage")
        return
    base = _ROMAN.get(group.group(1), group.group(1).upper())
    value = base + (group.group(2) or "").upper()
    if value in FACTS["recorded_stage"].words:
        chart.claim("recorded_stage", value, resource, when=when, label=f"recorded stage {value}")
        if edition:
            chart.claim("recorded_edition", edition, resource, when=when, label="recorded edition")
