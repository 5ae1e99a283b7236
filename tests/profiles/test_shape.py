"""Members of R4 are no damage: what is called unreadable is of another shape than R4 gives it."""

from __future__ import annotations

import re
from typing import Any, Final

import pytest
from fhir.resources.R4B import get_fhir_model_class

from fhir_profiles.facts import LOOKED_INTO
from fhir_profiles.inputs import READERS
from fhir_profiles.shape import damaged_members

LEVELS: Final = 4
"""Levels below a resource that are filled."""
CONTAINED: Final = [
    {"resourceType": "Medication", "id": "m", "code": {"text": "Octreotide"}},
    {"resourceType": "Organization", "id": "o", "text": {"status": "generated", "div": "<div>House</div>"}},
    {"resourceType": "PractitionerRole", "id": "r", "code": [{"text": "Radiologist"}]},
    {"resourceType": "Goal", "id": "g", "description": {"text": "No progression"}},
]
SIMPLE: Final = {
    "bool": True,
    "int": 3,
    "Decimal": 1.5,
    "datetime.datetime": "2026-11-02T10:15:00Z",
    "datetime.date": "2026-11-02",
    "datetime.time": "10:15:00",
}


def filled(model: str, levels: int) -> dict[str, Any]:
    """An element with every member that R4 gives it, down to some levels."""
    members: dict[str, Any] = {}
    for name, field in get_fhir_model_class(model).model_fields.items():
        told = str(field.annotation)
        if (field.json_schema_extra or {}).get("element_property") is not True:  # type: ignore[union-attr]
            continue
        alias = field.alias or name
        if alias in ("contained", "extension", "modifierExtension", "resourceType"):
            continue
        value = _value(told, levels)
        if value is not None:
            members[alias] = [value] if "List[" in told else value
    return members


def _value(told: str, levels: int) -> Any:
    complex_type = re.search(r"abc\.(\w+)Type", told)
    if complex_type:
        return filled(complex_type.group(1), levels - 1) or None if levels else None
    return next((value for name, value in SIMPLE.items() if name in told), "final")


@pytest.mark.parametrize("kind", READERS)
def test_a_resource_with_every_member_of_r4_is_not_damaged(kind: str) -> None:
    """Narrative, lists and codes as each type has them; also what stands in contained resources of other types."""
    resource = {"resourceType": kind, **filled(kind, LEVELS), "contained": CONTAINED}
    assert len(resource) > 10
    assert list(damaged_members(resource, LOOKED_INTO)) == []


@pytest.mark.parametrize(
    ("kind", "member", "value"),
    [
        ("AllergyIntolerance", "category", 7),
        ("AllergyIntolerance", "category", [7]),
        ("AllergyIntolerance", "reaction", [{"severity": {"text": "severe"}}]),
        ("Condition", "severity", "severe"),
        ("Observation", "category", ["laboratory"]),
        ("Observation", "code", ["2160-0"]),
        ("Observation", "valueCodeableConcept", {"text": {"div": "x"}}),
        ("DiagnosticReport", "specimen", "tissue"),
        ("MedicationRequest", "contained", [{"resourceType": "Medication", "code": [1]}]),
    ],
    ids=str,
)
def test_what_has_another_shape_is_damaged(kind: str, member: str, value: Any) -> None:
    """The same members in a shape that R4 does not give them."""
    assert list(damaged_members({"resourceType": kind, member: value}, LOOKED_INTO))
