"""A chart as large as real ones: a bundled example patient plus thousands of results that do not matter.

Used for speed and size tests. The added results are normal and change nothing in the patient's story; the same seed
gives the same chart, to the byte.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from random import Random
from typing import Any, Final
from uuid import UUID

from cds_service.domain.terms import FHIR_BASE

LAST: Final = datetime(2026, 11, 19, 18, 0, tzinfo=UTC)
"""The evening before the day of the bundled stories: every added result lies before it."""
YEARS: Final = 15
RESULTS_PER_VISIT: Final = 12
"""Results share an encounter in runs of about this many."""

_HL7: Final = "http://terminology.hl7.org/CodeSystem"
_LABORATORIES: Final = (
    ("northfjord-central-laboratory", "Northfjord Central Laboratory"),
    ("northfjord-emergency-laboratory", "Northfjord Emergency Laboratory"),
    ("fjellbygd-health-centre", "Fjellbygd Health Centre"),
)


@dataclass(frozen=True, slots=True)
class _Test:
    """One kind of irrelevant result.

    Attributes:
        code: LOINC term.
        display: the term's name.
        text: how a chart would call it.
        unit: UCUM unit.
        low: lower end of the drawn values, and of the reference range where there is one.
        high: upper end, likewise.
        digits: decimals reported.
        category: code of the observation category.
        weight: how often it is drawn, relative to the others; few of a chart's results mean anything to one rule set.
    """

    code: str
    display: str
    text: str
    unit: str
    low: float
    high: float
    digits: int
    category: str = "laboratory"
    weight: int = 1


_TESTS: Final = (
    _Test("2345-7", "Glucose [Mass/volume] in Serum or Plasma", "Glucose, serum", "mg/dL", 70, 99, 0, weight=14),
    _Test(
        "1558-6", "Fasting glucose [Mass/volume] in Serum or Plasma", "Glucose, fasting", "mg/dL", 70, 99, 0, weight=6
    ),
    _Test("2160-0", "Creatinine [Mass/volume] in Serum or Plasma", "Creatinine, serum", "mg/dL", 0.7, 1.0, 2, weight=2),
    _Test("6768-6", "Alkaline phosphatase [Enzymatic activity/volume] Ser/Plas", "ALP", "U/L", 40, 105, 0, weight=1),
    _Test("2039-6", "Carcinoembryonic Ag [Mass/volume] Ser/Plas", "CEA", "ng/mL", 0.5, 3.0, 1, weight=6),
    _Test("24108-3", "Cancer Ag 19-9 [Units/volume] Ser/Plas", "CA 19-9", "U/mL", 2, 37, 0, weight=6),
    _Test("29463-7", "Body weight", "Body weight", "kg", 79, 86, 1, "vital-signs", 5),
    _Test("8302-2", "Body height", "Body height", "cm", 178, 180, 0, "vital-signs", 2),
)
_CATEGORY_NAMES: Final = {"laboratory": "Laboratory", "vital-signs": "Vital Signs"}


def large_chart(observations: int = 5000, seed: int = 7, slug: str = "incidental-tail-lesion") -> dict[str, Any]:
    """A bundled example with many irrelevant results added behind its own resources.

    Args:
        observations: how many laboratory and vital-sign Observations to add, about 1.6 kB of JSON each.
        seed: decides values and dates; the same seed gives the same chart.
        slug: the bundled example to start from. Its own resources stay as they are.

    Returns:
        the example's Bundle with the Observations appended, oldest first.

    Raises:
        ValueError: the example holds no Patient.
        FileNotFoundError: there is no example of that name.
    """
    source = files("fhir_profiles") / "examples" / f"{slug}.json"
    bundle: dict[str, Any] = json.loads(source.read_text(encoding="utf-8"))
    patient = _patient_id(bundle)
    for resource in _results(observations, Random(seed), patient):
        bundle["entry"].append({"fullUrl": f"{FHIR_BASE}/Observation/{resource['id']}", "resource": resource})
    return bundle


def _patient_id(bundle: dict[str, Any]) -> str:
    for entry in bundle["entry"]:
        if entry["resource"]["resourceType"] == "Patient":
            return str(entry["resource"]["id"])
    raise ValueError(f"the example {bundle.get('id')!r} holds no Patient")


def _results(count: int, random: Random, patient: str) -> Iterator[dict[str, Any]]:
    """The added Observations, oldest first; neighbours share an encounter."""
    span = YEARS * 365.25 * 86400
    ages = sorted((random.uniform(0, span) for _ in range(count)), reverse=True)
    weights = [test.weight for test in _TESTS]
    for number, age in enumerate(ages, start=1):
        taken = (LAST - timedelta(seconds=age)).replace(microsecond=0)
        test = random.choices(_TESTS, weights)[0]
        yield _observation(number, test, taken, random, patient)


def _observation(number: int, test: _Test, taken: datetime, random: Random, patient: str) -> dict[str, Any]:
    value = round(random.uniform(test.low, test.high), test.digits or None)
    shown = f"{value:.{test.digits}f}"
    issued = taken + timedelta(minutes=random.randint(20, 600))
    issued = min(issued, LAST)
    laboratory, laboratory_name = random.choice(_LABORATORIES)
    resource: dict[str, Any] = {
        "resourceType": "Observation",
        "id": f"{patient}-bulk-{number:06d}",
        "meta": {"versionId": "1", "lastUpdated": issued.isoformat(), "source": f"urn:uuid:{UUID(int=number)}"},
        "text": {
            "status": "generated",
            "div": (
                '<div xmlns="http://www.w3.org/1999/xhtml">'
                f"<p><b>{test.text}</b>: {shown} {test.unit}, normal</p>"
                f"<p>Taken {taken:%Y-%m-%d %H:%M} UTC, reported {issued:%Y-%m-%d %H:%M} UTC by {laboratory_name}.</p>"
                "</div>"
            ),
        },
        "identifier": [{"system": "https://hospital.example.org/accession", "value": f"ACC-{number:08d}"}],
        "status": "final",
        "category": [_concept("observation-category", test.category, _CATEGORY_NAMES[test.category])],
        "code": {
            "coding": [{"system": "http://loinc.org", "code": test.code, "display": test.display}],
            "text": test.text,
        },
        "subject": {"reference": f"Patient/{patient}"},
        "encounter": {"reference": f"Encounter/{patient}-visit-{number // RESULTS_PER_VISIT:05d}"},
        "effectiveDateTime": taken.isoformat(),
        "issued": issued.isoformat(),
        "performer": [{"reference": f"Organization/{laboratory}", "display": laboratory_name}],
        "valueQuantity": _quantity(value, test.unit),
        "interpretation": [_concept("v3-ObservationInterpretation", "N", "Normal")],
    }
    if test.category == "laboratory":
        resource["referenceRange"] = [
            {
                "low": _quantity(test.low, test.unit),
                "high": _quantity(test.high, test.unit),
                "text": f"{test.low:g} to {test.high:g} {test.unit}",
            }
        ]
    return resource


def _quantity(value: float, unit: str) -> dict[str, Any]:
    return {"value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit}


def _concept(system: str, code: str, display: str) -> dict[str, Any]:
    return {"coding": [{"system": f"{_HL7}/{system}", "code": code, "display": display}], "text": display}
