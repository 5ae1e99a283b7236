"""What each validator accepts and refuses: they differ on purpose, and one table says how."""

from __future__ import annotations

import copy
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from fhir_profiles.resources import problems
from tests.validators.finding import Validator
from tests.validators.hapi import HapiValidator, write_snapshots
from tests.validators.pyrofile import PyrofileValidator

ALL: Final = ("hapi", "models", "pyrofile")
"""HAPI's validator, the models of fhir.resources, and pyrofile's validator."""
SNOMED: Final = "http://snomed.info/sct"
Resource = dict[str, Any]

PATIENT: Final[Resource] = {"resourceType": "Patient", "id": "one", "gender": "male", "birthDate": "1968-03-09"}
CONDITION: Final[Resource] = {
    "resourceType": "Condition",
    "id": "two",
    "clinicalStatus": {
        "coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]
    },
    "code": {"coding": [{"system": SNOMED, "code": "735735001"}]},
    "subject": {"reference": "Patient/one"},
}
OBSERVATION: Final[Resource] = {
    "resourceType": "Observation",
    "id": "three",
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "2160-0"}]},
    "subject": {"reference": "Patient/one"},
    "effectiveDateTime": "2026-11-01T08:30:00Z",
    "valueQuantity": {"value": 0.9, "unit": "mg/dL", "system": "http://unitsofmeasure.org", "code": "mg/dL"},
}
ORDER: Final[Resource] = {
    "resourceType": "ServiceRequest",
    "id": "four",
    "status": "draft",
    "intent": "order",
    "code": {"coding": [{"system": "http://www.ama-assn.org/go/cpt", "code": "74183"}]},
    "subject": {"reference": "Patient/one"},
}


class Fault(NamedTuple):
    """One thing wrong with a good resource, and who sees it."""

    resource: Resource
    change: Resource
    seen_by: tuple[str, ...]


FAULTS: Final = {
    "a month that does not exist": Fault(PATIENT, {"birthDate": "1968-13-09"}, ("hapi", "models")),
    "a day that does not exist": Fault(PATIENT, {"birthDate": "1968-02-30"}, ("hapi", "models")),
    "a time without zone": Fault(OBSERVATION, {"effectiveDateTime": "2026-11-01T08:30:00"}, ALL),
    "an id with an underscore": Fault(PATIENT, {"id": "number_one"}, ALL),
    "a required element left out": Fault(OBSERVATION, {"status": None}, ALL),
    "a required reference left out": Fault(ORDER, {"subject": None}, ALL),
    "a code outside a required binding": Fault(PATIENT, {"gender": "M"}, ("hapi", "pyrofile")),
    "a status outside a required binding": Fault(ORDER, {"status": "planned"}, ("hapi", "pyrofile")),
    "a reference to the wrong type": Fault(
        CONDITION, {"subject": {"reference": "Practitioner/one"}}, ("hapi", "pyrofile")
    ),
    "text alone under a required binding": Fault(CONDITION, {"clinicalStatus": {"text": "active"}}, ("hapi",)),
    "an unknown member": Fault(ORDER, {"urgency": "routine"}, ALL),
    "an object where a list belongs": Fault(PATIENT, {"name": {"family": "Berg"}}, ("hapi", "models")),
    "a list where an object belongs": Fault(CONDITION, {"code": [{"text": "a tumour"}]}, ALL),
    "a number in quotes": Fault(OBSERVATION, {"valueQuantity": {"value": "0.9"}}, ("hapi", "pyrofile")),
    "two values": Fault(OBSERVATION, {"valueString": "0.9 mg/dL"}, ALL),
    "an empty object": Fault(ORDER, {"code": {}}, ("hapi", "pyrofile")),
    "an extension without a value": Fault(
        ORDER, {"extension": [{"url": "http://example.org/e"}]}, ("hapi", "pyrofile")
    ),
    "an invariant": Fault(OBSERVATION, {"dataAbsentReason": {"text": "not told"}}, ("hapi", "pyrofile")),
    "an unknown profile": Fault(ORDER, {"meta": {"profile": ["http://example.org/none"]}}, ("hapi",)),
}
"""What was found by trying: a row that changes with a new version of a validator is news worth a look."""


def faulty(fault: Fault) -> Resource:
    """The good resource with the change made; None removes a member."""
    changed = copy.deepcopy(fault.resource) | fault.change
    return {name: value for name, value in changed.items() if value is not None}


@pytest.mark.parametrize("good", [PATIENT, CONDITION, OBSERVATION, ORDER], ids=lambda one: str(one["resourceType"]))
def test_good_resources_are_accepted(good: Resource, validators: Mapping[str, Validator]) -> None:
    """Codes of systems whose content is not at hand are no error."""
    assert {name: validator.problems(good) for name, validator in validators.items()} == {"hapi": [], "pyrofile": []}
    assert problems(good) == []


@pytest.mark.parametrize("name", FAULTS)
def test_faulty_resources_are_refused(name: str, validators: Mapping[str, Validator]) -> None:
    """By those that the table names, and by no other one."""
    resource = faulty(FAULTS[name])
    seen = {known for known, validator in validators.items() if validator.problems(resource)}
    seen |= {"models"} if problems(resource) else set()
    assert tuple(sorted(seen)) == FAULTS[name].seen_by


PROFILE: Final = "https://pnet-cds.example.org/fhir/StructureDefinition/imaging-order-of-a-test"
DEFINITION: Final[Resource] = {
    "resourceType": "StructureDefinition",
    "id": "imaging-order-of-a-test",
    "url": PROFILE,
    "version": "1",
    "name": "ImagingOrderOfATest",
    "status": "draft",
    "fhirVersion": "4.0.1",
    "kind": "resource",
    "abstract": False,
    "type": "ServiceRequest",
    "baseDefinition": "http://hl7.org/fhir/StructureDefinition/ServiceRequest",
    "derivation": "constraint",
    "differential": {
        "element": [
            {"id": "ServiceRequest", "path": "ServiceRequest"},
            {"id": "ServiceRequest.reasonCode", "path": "ServiceRequest.reasonCode", "min": 1},
        ]
    },
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one definition, as it is written by hand."""
    definitions = tmp_path / "definitions"
    definitions.mkdir()
    file = definitions / "StructureDefinition-imaging-order-of-a-test.json"
    file.write_text(json.dumps(DEFINITION), encoding="utf-8")
    return definitions


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """The same as a FHIR package."""
    manifest = {"name": "org.example.test", "version": "1.0.0", "fhirVersions": ["4.0.1"]}
    path = tmp_path / "package.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name, content in (("package.json", manifest), ("StructureDefinition-test.json", DEFINITION)):
            data = json.dumps(content).encode()
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


@pytest.mark.parametrize("place", ["folder", "package"])
def test_definitions_of_our_own_are_known(place: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Without snapshots, from a folder or a package; the profile is named in the call or by the resource."""
    own: list[Path] = [request.getfixturevalue(place)]
    reasoned = ORDER | {"reasonCode": [{"text": "staging"}]}
    with HapiValidator.started(tmp_path, own) as hapi:
        for validator in (hapi, PyrofileValidator(tmp_path, own)):
            assert validator.problems(reasoned, PROFILE) == []
            assert validator.problems(ORDER, PROFILE)
            assert validator.problems(ORDER | {"meta": {"profile": [PROFILE]}})


def test_snapshots_are_generated_alike_on_every_run(folder: Path, tmp_path: Path) -> None:
    """The same bytes twice, and in them the elements of the base with what the profile says."""
    written = []
    for run in ("first", "second"):
        write_snapshots(folder, tmp_path / run)
        written.append({file.name: file.read_bytes() for file in (tmp_path / run).iterdir()})
    assert written[0] == written[1]
    (definition,) = (json.loads(content) for content in written[0].values())
    minimum = {element["path"]: element["min"] for element in definition["snapshot"]["element"]}
    assert (minimum["ServiceRequest.reasonCode"], minimum["ServiceRequest.intent"]) == (1, 1)
