"""What generated calls are made of: valid charts, JSON of any shape, and text that would like to be markup."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from cds_service.pipeline import prefetch_templates
from cds_service.protocol.surrogates import whole_texts
from fhir_profiles.inputs import READERS
from fhir_profiles.synthetic import synthetic_patients
from hooks import SERVICES
from tests.builders import LOCAL, LOINC, SNOMED, STYLES, chart, hook_request
from tests.calling import synthetic_request
from tests.cases_loader import clinical_cases

Json = Any
Path = tuple[str | int, ...]

ORDER_HOOKS = ("order-select", "order-sign")
HOOKS = tuple(service.hook for service in SERVICES)
TEMPLATES = {service.hook: dict(prefetch_templates(service)) for service in SERVICES}
_SLUGS = tuple(patient.slug for patient in synthetic_patients())


def steady(examples: int) -> settings:
    """The same examples in every run, and no limit on how long one of them takes."""
    return settings(max_examples=examples, deadline=None, derandomize=True)


# --- JSON -------------------------------------------------------------------------------------------------------------

_WORDS = st.sampled_from(
    [
        "",
        " ",
        "final",
        "active",
        "2020-13",
        "2026-11-20",
        "9999-12-31",
        "Patient/x",
        "1e999",
        "9" * 400,
        "-0",
        "<3",
        "true",
    ]
)
_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([10**400, -(10**19), 1e308, -1e308, 5e-324]),
    st.floats(allow_nan=False, allow_infinity=False),
    _WORDS,
    st.text(max_size=12),
    st.text(st.characters(categories=["Cs", "Lu"]) | st.just("\N{REPLACEMENT CHARACTER}"), max_size=4),
)
json_values: st.SearchStrategy[Json] = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8) | _WORDS, inner, max_size=4),
    max_leaves=8,
)

whole_values = json_values.filter(lambda value: whole_texts(json.dumps(value).encode()) == json.dumps(value).encode())
"""The same without half characters."""

# fmt: off
_MEMBERS = (
    "id", "status", "code", "subject", "patient", "category", "clinicalStatus", "verificationStatus",
    "onsetDateTime", "recordedDate", "bodySite", "effectiveDateTime", "effectivePeriod", "issued", "valueQuantity",
    "valueCodeableConcept", "valueString", "valueBoolean", "valueInteger", "valueRange", "component",
    "referenceRange", "interpretation", "method", "performedDateTime", "performedPeriod", "started",
    "procedureCode", "medicationCodeableConcept", "medicationReference", "reaction", "criticality", "safety",
    "type", "device", "meta", "extension", "contained", "birthDate", "deceasedBoolean", "deceasedDateTime",
    "gender", "class", "period", "title", "doNotPerform", "reasonCode", "issue", "entry", "link",
)
# fmt: on
_CODINGS = st.sampled_from(
    [
        {"system": SNOMED, "code": "735735001"},
        {"system": SNOMED, "code": "94381002"},
        {"system": LOINC, "code": "85319-2"},
        {"system": LOINC, "code": "82810-3"},
        {"system": LOINC, "code": "2160-0"},
        {"system": LOCAL, "code": "ki67-percent"},
        {"system": LOCAL, "code": "metastases"},
        {"system": LOCAL, "code": "recist"},
        {"code": "C25.4"},
    ]
)
_concepts = st.fixed_dictionaries(
    {"coding": st.lists(_CODINGS | json_values, max_size=3)}, optional={"text": json_values}
)
_kinds = st.sampled_from([*READERS, "Bundle", "OperationOutcome", "Medication", "MedicationOrder", "Binary"])
resources: st.SearchStrategy[Json] = st.builds(
    lambda kind, members: {"resourceType": kind, **members},
    _kinds | json_values,
    st.dictionaries(st.sampled_from(_MEMBERS), json_values | _concepts, max_size=8),
)
bundles: st.SearchStrategy[Json] = st.fixed_dictionaries(
    {"resourceType": st.just("Bundle") | json_values},
    optional={
        "type": json_values,
        "total": json_values,
        "link": st.just([{"relation": "next"}]) | json_values,
        "entry": st.lists(
            st.fixed_dictionaries({}, optional={"resource": resources | json_values, "search": json_values}), max_size=5
        )
        | json_values,
    },
)
authorizations: st.SearchStrategy[Json] = st.fixed_dictionaries(
    {"access_token": json_values | st.just("t"), "token_type": json_values | st.just("Bearer")},
    optional=dict.fromkeys(("scope", "patient", "expires_in", "subject"), json_values),
)
configurations: st.SearchStrategy[Json] = st.fixed_dictionaries(
    {
        "davinci-crd.configuration": json_values
        | st.dictionaries(st.sampled_from(["max-cards", "record-ratings", "duplicate-therapy"]), json_values)
    }
)
prefetched = json_values | resources | bundles


# --- charts -----------------------------------------------------------------------------------------------------------


@cache
def _story(slug: str, hook: str) -> str:
    return json.dumps(synthetic_request(slug, hook, TEMPLATES))


@cache
def _case(number: int, style: int, hook: str) -> str:
    case = clinical_cases()[number]
    resources = chart(case.facts, case.orders or ["ct-abd-pel-wo"], style=style)
    return json.dumps(hook_request(resources, hook, keys=TEMPLATES[hook]))


def _loaded(text: str) -> Json:
    return json.loads(text)


stories: st.SearchStrategy[Json] = st.builds(_story, st.sampled_from(_SLUGS), st.sampled_from(HOOKS)).map(_loaded)
"""Calls about the bundled patients."""

cases: st.SearchStrategy[Json] = st.builds(
    _case, st.integers(0, len(clinical_cases()) - 1), st.sampled_from(STYLES), st.sampled_from(ORDER_HOOKS)
).map(_loaded)
"""Calls about the worked clinical cases."""

calls = stories | cases


def places(value: Json, path: Path = ()) -> Iterator[Path]:
    """Every member and every list element of a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        yield (*path, name)
        yield from places(item, (*path, name))


def replaced(value: Json, path: Path, new: Json) -> Json:
    """The value with another one in one place; an Ellipsis takes the place away."""
    result = copy.deepcopy(value)
    parent = result
    for name in path[:-1]:
        parent = parent[name]
    if new is ...:
        del parent[path[-1]]
    else:
        parent[path[-1]] = new
    return result


@st.composite
def spoilt_calls(draw: st.DrawFn) -> Json:
    """A correct call in which one member of one resource, draft or prefetched, is gone or is anything."""
    call = draw(calls)
    held = [(*start, *path) for start in (("prefetch",), ("context",)) for path in places(_at(call, start))]
    return replaced(call, draw(st.sampled_from(held)), draw(st.just(...) | prefetched))


def _at(value: Json, path: Path) -> Json:
    for name in path:
        value = value[name]
    return value


def bundle_entries(call: Mapping[str, Json]) -> Iterator[list[Json]]:
    """The lists of entries prefetched."""
    for value in call["prefetch"].values():
        if isinstance(value, dict) and value.get("entry"):
            yield value["entry"]


# --- text -------------------------------------------------------------------------------------------------------------

_MARKUP = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<b>bold</b>",
    "</div><!-- ",
    "&lt;b&gt;&#60;&amp;",
    "[open](https://evil.example/)",
    "![see](https://evil.example/x.png)",
    "[a][b]\n\n[b]: https://evil.example/",
    "<https://evil.example/>",
    "https://evil.example/x",
    "www.evil.example",
    "mailto:a@evil.example",
    "a@evil.example",
    "javascript:alert(1)",
    "**bold** __bold__ *em* _em_ ~~gone~~",
    "`code` ```\nfence\n```",
    "\n# Heading\n## Another",
    "\n- item\n1. item\n> quote",
    "\n| a | b |\n|---|---|\n| c | d |",
    "\n---\n***\n===\n",
    "\\",
    "\\\\[x](y)",
    "$x$ {{context.patientId}} ${7*7} %s {0}",
    "\u202egnp.exe\u202c",
    "\u2066\u2067\u2068\u2069\u200e\u200f\u061c",
    "\u200b\ufeff\u00ad\u2060\u180e",
    "\x00\x07\x1b[31m\x7f\x85",
    "\u2028\u2029\r\n\t\v\f",
    "\U000e0041\U000e007f\ufff9\ufffb",
    "-- ' \" ; DROP TABLE",
)
_texts: st.SearchStrategy[str] = st.one_of(
    st.sampled_from(_MARKUP),
    st.lists(st.sampled_from(_MARKUP) | st.text(max_size=20), min_size=1, max_size=6).map(" ".join),
    st.sampled_from(_MARKUP).map(lambda text: (text + " ") * (10_000 // len(text))),
    st.text(max_size=200),
)
hostile_texts = _texts.filter(lambda text: "\N{REPLACEMENT CHARACTER}" not in text)
"""Text as no honest record holds it: markup, links, control and direction characters, ten thousand signs.

None that is unreadable: that is not shown at all.
"""
