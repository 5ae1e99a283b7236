"""The shapes that members are compared with are those of R4, so that no sound resource is called damaged."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class

from fhir_profiles.inputs import READERS
from fhir_profiles.shape import damaged_members, shape_of

DEEPEST = 4
SAMPLES: dict[str, Any] = {"object": {"x": "1"}, "date": "2026-01-02", "bool": True, "number": 1.5, "string": "active"}
"""One sound value per kind of element."""


def kind_of(annotation: str) -> str:
    """Kind of an element by the annotation of the model."""
    inner = annotation.replace("List", "")
    if "Annotated" not in inner and "Type" in inner:
        return "object"
    for kind, words in (("date", ("datetime", "Date()")), ("bool", ("bool",)), ("number", ("decimal", "int"))):
        if any(word in inner for word in words):
            return kind
    return "string"


def elements(root: str, model: Any, path: str = "", depth: int = 0) -> Iterator[tuple[str, str, bool]]:
    """Path, kind and whether it repeats, of every element that is looked at; extensions and contained left out."""
    for name, found in model.model_fields.items():
        member, annotation = found.alias or name, str(found.annotation)
        if member.startswith("_") or member in ("extension", "modifierExtension", "contained"):
            continue
        where = f"{path}.{member}" if path else member
        if shape_of(root, where) is None:
            continue
        yield where, kind_of(annotation), "List" in annotation
        inner = re.search(r"\.([A-Z]\w+)Type\b", annotation)
        if inner and depth < DEEPEST and kind_of(annotation) == "object":
            try:
                below = get_fhir_model_class(inner[1])
            except KeyError:
                continue
            yield from elements(root, below, where, depth + 1)


@pytest.mark.parametrize("resource_type", sorted(READERS))
def test_no_element_of_r4_is_called_damaged(resource_type: str) -> None:
    """Every element that is looked at passes with a sound value, in a list where R4 has one."""
    looked_at = list(elements(resource_type, get_fhir_model_class(resource_type)))
    assert len(looked_at) > 5
    for path, kind, repeats in looked_at:
        shape = shape_of(resource_type, path)
        value = SAMPLES[kind]
        assert shape is not None
        assert shape([value] if repeats else value), (resource_type, path, kind, repeats)


def test_narratives_severities_and_categories_are_no_damage() -> None:
    """What real senders add to every resource does not make it unusable, also in contained resources."""
    narrative = {"status": "generated", "div": "<div xmlns='http://www.w3.org/1999/xhtml'>x</div>"}
    severity = {"coding": [{"code": "24484000"}]}
    condition = {
        "resourceType": "Condition",
        "text": narrative,
        "severity": severity,
        "evidence": [{"code": [severity]}],
    }
    allergy = {"resourceType": "AllergyIntolerance", "category": ["medication"], "text": narrative}
    holder = {"resourceType": "Observation", "contained": [condition, allergy], "text": narrative}
    assert [list(damaged_members(item, READERS)) for item in (condition, allergy, holder)] == [[], [], []]


def test_damage_inside_is_still_found() -> None:
    """The exceptions hold where they belong only."""
    assert list(damaged_members({"resourceType": "Observation", "category": ["exam"]}, READERS)) == ["category"]
    assert list(damaged_members({"resourceType": "AllergyIntolerance", "category": [3]}, READERS)) == ["category"]
    reaction = {"resourceType": "AllergyIntolerance", "reaction": [{"severity": {"text": "severe"}}]}
    assert list(damaged_members(reaction, READERS)) == ["reaction.severity"]
    goal = {"resourceType": "Goal", "description": {"text": "of a type that is never read"}}
    inside = {"resourceType": "CarePlan", "contained": [goal, {"resourceType": "Procedure", "status": 3}]}
    assert list(damaged_members(inside, READERS)) == ["contained.status"]
