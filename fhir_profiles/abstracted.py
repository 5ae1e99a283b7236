"""Facts written as abstracted-fact Observations: the form in which a site may state them, and plans are evaluated.

What is unknown is not written. Reading the Observations back (``inputs/observations.py``) gives the same facts.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any, Final

from cds_service.domain.facts import FACTS, Facts, FactSpec, Kind, TumourGrowth
from cds_service.domain.terms import FHIR_BASE
from fhir_profiles.terminology import LOCAL_SYSTEM

PROFILE: Final = f"{FHIR_BASE}/StructureDefinition/abstracted-fact"
NONE: Final = "none"
"""The word for an empty list."""
_UCUM: Final = "http://unitsofmeasure.org"


def abstracted(facts: Facts, subject: str, day: date) -> Iterator[dict[str, Any]]:
    """One Observation for each fact that is known.

    Args:
        facts: what is known of the patient on that day.
        subject: reference to the patient.
        day: the day on which the facts hold.
    """
    for spec in FACTS.values():
        value = getattr(facts, spec.name)
        if value is not None:
            yield _observation(spec, value, subject, day)


def _observation(spec: FactSpec, value: Any, subject: str, day: date) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": spec.code,
        "meta": {"profile": [PROFILE]},
        "status": "final",
        "code": _local(spec.code) | {"text": spec.name.replace("_", " ")},
        "subject": {"reference": subject},
        "effectiveDateTime": day.isoformat(),
        **_value(spec, value),
    }


def _value(spec: FactSpec, value: Any) -> dict[str, Any]:
    match spec.kind:
        case Kind.NUMBER:
            return {"valueQuantity": _quantity(value, spec.unit)}
        case Kind.FLAG:
            return {"valueBoolean": value}
        case Kind.WORD:
            return {"valueCodeableConcept": _local(value)}
        case Kind.WORDS if not value:
            return {"valueCodeableConcept": _local(NONE)}
        case Kind.WORDS:
            return {"component": [{"code": _local(spec.code), "valueCodeableConcept": _local(word)} for word in value]}
        case Kind.GROWTH:
            return {"component": list(_growth(value))}


def _growth(growth: TumourGrowth) -> Iterator[dict[str, Any]]:
    for code, value, unit in (
        ("d1-mm", growth.d1_mm, "mm"),
        ("d2-mm", growth.d2_mm, "mm"),
        ("months", growth.months, "mo"),
    ):
        yield {"code": _local(code), "valueQuantity": _quantity(value, unit)}


def _local(code: str) -> dict[str, Any]:
    return {"coding": [{"system": LOCAL_SYSTEM, "code": code}]}


def _quantity(value: float, unit: str) -> dict[str, Any]:
    return {"value": value, "unit": unit, "system": _UCUM, "code": unit}
