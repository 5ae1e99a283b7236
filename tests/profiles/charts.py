"""Small charts for the profile tests: R4 resources in few words, and what the product reads from them.

In the files under ``tests/cases/profiles`` and in the builders here, ``"@loinc|29593-1|Ki-67"`` stands for a
CodeableConcept with that one coding (inside a ``coding`` list: for the Coding). System, code and display are parted by
``|``; the display may be left out, an empty system is one that was not sent. ``#-40`` at the start of a string stands
for the day 40 days before :data:`TODAY`, ``#+3`` for one to come.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

from cds_service.domain.findings import PatientFacts, Skipped
from cds_service.knowledge import load_knowledge
from fhir_profiles.facts import read_chart
from fhir_profiles.terminology import LOCAL_SYSTEM, load_terminology

TODAY: Final = date(2026, 11, 20)
PATIENT: Final = "p1"
MONTH: Final = 30.4375
SYSTEMS: Final = {
    "sct": "http://snomed.info/sct",
    "loinc": "http://loinc.org",
    "icd": "http://hl7.org/fhir/sid/icd-10-cm",
    "icdo": "http://terminology.hl7.org/CodeSystem/icd-o-3",
    "cpt": "http://www.ama-assn.org/go/cpt",
    "hcpcs": "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets",
    "rxnorm": "http://www.nlm.nih.gov/research/umls/rxnorm",
    "ncit": "urn:oid:2.16.840.1.113883.3.26.1.1",
    "dcm": "http://dicom.nema.org/resources/ontology/DCM",
    "rpid": "http://radlex.org",
    "local": LOCAL_SYSTEM,
    "house": "https://hospital.example.org/codes",
    "ver": "http://terminology.hl7.org/CodeSystem/condition-ver-status",
    "clin": "http://terminology.hl7.org/CodeSystem/condition-clinical",
    "aver": "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification",
    "aclin": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical",
    "act": "http://terminology.hl7.org/CodeSystem/v3-ActCode",
    "flag": "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation",
    "absent": "http://terminology.hl7.org/CodeSystem/data-absent-reason",
}
HOSTILE: Final[tuple[Any, ...]] = (None, True, 7, -1.5, "x", "", [], {}, [7], ["x"], {"coding": 5}, {"x": [None]}, [[]])
"""Values that belong in hardly any member."""
_FOLDER: Final = Path(__file__).parents[1] / "cases" / "profiles"
_STATUS: Final = {
    "Observation": "final",
    "Procedure": "completed",
    "ImagingStudy": "available",
    "DiagnosticReport": "final",
    "MedicationRequest": "active",
    "MedicationStatement": "active",
    "MedicationAdministration": "completed",
    "ServiceRequest": "active",
    "CarePlan": "active",
    "Device": "active",
    "DeviceUseStatement": "active",
    "Encounter": "in-progress",
}
_ABOUT: Final = {"AllergyIntolerance": "patient", "Device": "patient"}
_NOBODY: Final = frozenset({"Patient", "Medication"})
_DAY: Final = re.compile(r"#([+-]\d+)")

Resource = dict[str, Any]


def day(offset: int) -> str:
    """The ISO date so many days from TODAY."""
    return (TODAY + timedelta(days=offset)).isoformat()


def coding(token: str) -> Resource:
    """The Coding that ``@system|code|display`` stands for."""
    system, _, rest = token.removeprefix("@").partition("|")
    code, _, display = rest.partition("|")
    found: Resource = {"system": SYSTEMS.get(system, system)} if system else {}
    if code:
        found["code"] = code
    return found | ({"display": display} if display else {})


def concept(*tokens: str, text: str = "") -> Resource:
    """A CodeableConcept with these codings and this text."""
    found: Resource = {"coding": [coding(token) for token in tokens]} if tokens else {}
    return found | ({"text": text} if text else {})


def expand(value: Any, name: str = "") -> Any:
    """The value with every short form written out."""
    if isinstance(value, dict):
        return {key: expand(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [expand(item, name) for item in value]
    if isinstance(value, str) and value.startswith("@"):
        return coding(value) if name in ("coding", "class") else concept(value)
    if isinstance(value, str) and (found := _DAY.match(value)):
        return day(int(found[1])) + value[found.end() :]
    return value


def resource(kind: str, **members: Any) -> Resource:
    """A resource about the patient with the status an unremarkable one has; short forms are written out."""
    made: Resource = {"resourceType": kind, "id": kind.lower()}
    if kind in _STATUS:
        made["status"] = _STATUS[kind]
    if kind not in _NOBODY:
        made[_ABOUT.get(kind, "subject")] = {"reference": f"Patient/{PATIENT}"}
    made.update(expand(members))
    return {key: value for key, value in made.items() if value is not None}


def observation(code: object, **members: Any) -> Resource:
    """A final Observation of ten days ago; the code in short or in full."""
    return resource("Observation", **({"effectiveDateTime": day(-10), "code": code} | members))


def local(code: str, **members: Any) -> Resource:
    """An Observation with a project-local code."""
    return observation(f"@local|{code}", **members)


def local_word(word: str) -> Resource:
    """The value a word of the vocabulary is written as."""
    return concept(f"@local|{word}")


def quantity(value: float, unit: str = "", **members: Any) -> Resource:
    """A Quantity with a UCUM unit, or without any."""
    coded = {"unit": unit, "system": "http://unitsofmeasure.org", "code": unit} if unit else {}
    return {"value": value, **coded, **members}


def patient(**members: Any) -> Resource:
    """A man of 66 years."""
    return resource("Patient", **({"id": PATIENT, "gender": "male", "birthDate": "1960-05-04"} | members))


def pnet(**members: Any) -> Resource:
    """A confirmed neuroendocrine tumour of the pancreas, known for almost two years."""
    given: Resource = {
        "id": "pnet",
        "code": "@icd|C25.4",
        "clinicalStatus": "@clin|active",
        "verificationStatus": "@ver|confirmed",
        "recordedDate": "2025-01-10",
    }
    return resource("Condition", **(given | members))


def read(
    *resources: Resource,
    encounter: str | None = None,
    complete: bool = True,
    today: date = TODAY,
    indications: Iterable[Resource] = (),
) -> PatientFacts:
    """What the product makes of exactly these resources."""
    return read_chart(
        resources,
        patient_id=PATIENT,
        encounter_id=encounter,
        today=today,
        terminology=load_terminology(),
        attributes=load_knowledge().attributes,
        windows=load_knowledge().windows,
        complete=complete,
        indications=indications,
    )


def read_pnet(
    *resources: Resource, encounter: str | None = None, today: date = TODAY, person: Resource | None = None
) -> PatientFacts:
    """The same for a patient known to have a pancreatic neuroendocrine tumour."""
    return read(person or patient(), pnet(), *resources, encounter=encounter, today=today)


def skips(chart: PatientFacts, source: str) -> list[Skipped]:
    """What is reported about one resource."""
    return [entry for entry in chart.skipped if entry.source == source]


def sources(chart: PatientFacts, fact: str) -> set[str]:
    """References of the resources a fact rests on."""
    return {item.source for item in chart.evidence.get(fact, ())}


def others(chart: PatientFacts, fact: str) -> list[object]:
    """Values of the sources that lost."""
    return [item.value for item in chart.alternatives if item.fact == fact]


@dataclass(frozen=True)
class Case:
    """A small chart and what must be read from it.

    Attributes:
        facts: values by fact; None is unknown. A list stands for a tuple.
        skipped: per resource reported as unusable, a word of the reason.
        others: per fact, the values of the sources that lost.
        how: per fact, how it was read.
        ranges: per fact, the limits in which the number lies.
        alone: without the known tumour that other cases start from.
        damaged: not valid R4, on purpose.
    """

    name: str
    resources: tuple[Resource, ...]
    facts: dict[str, Any]
    skipped: dict[str, str] = field(default_factory=dict)
    others: dict[str, list[Any]] = field(default_factory=dict)
    how: dict[str, str] = field(default_factory=dict)
    ranges: dict[str, list[float]] = field(default_factory=dict)
    alone: bool = False
    damaged: bool = False
    encounter: str | None = None

    def read(self) -> PatientFacts:
        """What the product makes of it."""
        base = [patient()] if self.alone else [patient(), pnet()]
        given = {(item["resourceType"], item.get("id")) for item in self.resources}
        kept = [item for item in base if (item["resourceType"], item["id"]) not in given]
        return read(*kept, *self.resources, encounter=self.encounter)

    @property
    def told(self) -> list[Resource]:
        """The resources that claim to be R4."""
        return [] if self.damaged else list(self.resources)


def cases(*files: str) -> list[Case]:
    """The cases of some files, in their order.

    Raises:
        ValueError: a name is used twice, or a key is unknown.
    """
    found: dict[str, Case] = {}
    for file in files:
        for raw in json.loads((_FOLDER / f"{file}.json").read_text(encoding="utf-8")):
            name = f"{file}: {raw.pop('name')}"
            if name in found:
                raise ValueError(f"{name} appears twice")
            numbered = enumerate(raw.pop("resources"))
            made = tuple(_resource(number, item) for number, item in numbered)
            facts = {fact: _tuple(value) for fact, value in raw.pop("facts", {}).items()}
            found[name] = Case(name, made, facts, **raw)
    return list(found.values())


def _resource(number: int, raw: Mapping[str, Any]) -> Resource:
    """A resource of a case; its id is its place when the case gives it none."""
    members = {key: value for key, value in raw.items() if key not in ("is", "undated")}
    kind = str(raw["is"])
    numbered = {} if kind == "Patient" else {"id": f"r{number}"}
    dated = {"effectiveDateTime": day(-10)} if kind == "Observation" and not _dated(raw) else {}
    if kind == "Patient":
        return patient(**members)
    return resource(kind, **(numbered | dated | members))


def _dated(members: Mapping[str, Any]) -> bool:
    return any(name.startswith("effective") or name in ("issued", "undated") for name in members)


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
