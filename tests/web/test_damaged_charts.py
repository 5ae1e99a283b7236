"""Charts that are damaged in one place: never a crash, never a more confident answer, and the damage is told.

What "more confident" means is defined in :func:`tests.damage.more_confident`. Every way of damaging every field of
every kind of resource that matters is tried once over all charts; Observations and Conditions count by their code.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pytest

from fhir_profiles.synthetic import synthetic_patients
from tests.builders import chart, hook_request
from tests.calling import ASSESSMENT, Answer, InProcess, post, synthetic_request
from tests.cases_loader import clinical_cases
from tests.damage import Damage, damages, more_confident

Resource = dict[str, Any]
Request = dict[str, Any]
HOOKS: Final = ("order-sign", "order-select", "patient-view")
WORKED: Final = ("S-015", "S-046", "S-075", "S-090", "S-100", "S-110")
CHARTS: Final = (*(patient.slug for patient in synthetic_patients()), *WORKED)
_BY_CODE: Final = ("Condition", "Observation")
_WHAT_IT_SAYS: Final = ("code", "value")


@dataclass(frozen=True)
class Slot:
    """Where a resource stands in a request."""

    key: str
    number: int | None
    resource: Resource

    @property
    def source(self) -> str:
        """Reference of the resource."""
        return f"{self.resource['resourceType']}/{self.resource['id']}"

    def put(self, request: Request, resource: Resource | None) -> None:
        """Put a resource there; None takes it out."""
        if self.number is None:
            request["prefetch"][self.key] = resource
        else:
            request["prefetch"][self.key]["entry"][self.number] = {} if resource is None else {"resource": resource}


def slots(request: Request) -> Iterator[Slot]:
    """Every prefetched resource."""
    for key, value in request["prefetch"].items():
        if not isinstance(value, dict):
            continue
        if value["resourceType"] != "Bundle":
            yield Slot(key, None, value)
        for number, entry in enumerate(value.get("entry", ())):
            yield Slot(key, number, entry["resource"])


def asked(name: str, advertised: dict[str, dict[str, str]]) -> Request:
    """The call about an intact chart."""
    patient = next((item for item in synthetic_patients() if item.slug == name), None)
    if patient is not None:
        return synthetic_request(name, patient.hook if patient.hook in HOOKS else "order-sign", advertised)
    case = next(item for item in clinical_cases() if item.id == name)
    orders = case.orders or ("mri-abd-pel-wwo",)
    return hook_request(chart(case.facts, orders, style=0), "order-sign", keys=advertised["order-sign"])


def assessed(answer: Answer) -> dict[str, Any] | None:
    """The assessment of an answer, if there is one."""
    found: dict[str, Any] | None = answer.json().get("extension", {}).get(ASSESSMENT)
    return found


def signature(slot: Slot, damage: Damage) -> tuple[str, str, str, str]:
    """Damage that is alike is tried once."""
    kind, code = slot.resource["resourceType"], ""
    if kind in _BY_CODE and damage.pattern.startswith(_WHAT_IT_SAYS) and "." not in damage.pattern:
        code = str(slot.resource["code"].get("coding", [{}])[0].get("code"))
    return kind, code, damage.pattern, damage.kind


Plan = dict[str, list[tuple[Slot, Damage]]]


@pytest.fixture(scope="module")
def plan(local: InProcess, advertised: dict[str, dict[str, str]]) -> Plan:
    """Which damage is tried on which chart: each once, where it comes up first."""
    planned: Plan = defaultdict(list)
    seen: set[tuple[str, str, str, str]] = set()
    for name in CHARTS:
        request = asked(name, advertised)
        intact = assessed(post(local, request["hook"], request))
        for slot in list(slots(request)):
            slot.put(request, None)
            without = assessed(post(local, request["hook"], request))
            slot.put(request, slot.resource)
            if intact is None or without == intact:
                continue  # the resource does not matter
            for damage in damages(slot.resource):
                if (sign := signature(slot, damage)) not in seen:
                    seen.add(sign)
                    planned[name].append((slot, damage))
    return planned


@pytest.mark.parametrize("name", CHARTS)
def test_damage_makes_no_answer_more_confident(
    name: str, plan: Plan, local: InProcess, advertised: dict[str, dict[str, str]]
) -> None:
    """Whatever is damaged: no crash, nothing invented, nothing lost without a word. A refusal is an answer too."""
    request = asked(name, advertised)
    intact = assessed(post(local, request["hook"], request))
    wrong: list[str] = []
    for slot, damage in plan[name]:
        slot.put(request, damage.of(slot.resource))
        answer = post(local, request["hook"], request)
        slot.put(request, slot.resource)
        said = f"{slot.source}, {damage.where}, {damage.kind}"
        if answer.status != 200:
            assert answer.status < 500, said
            assert answer.slug() in ("body-not-json", "fhir-version-unsupported", "request-invalid"), said
            continue
        assert intact is not None
        found = more_confident(intact, assessed(answer), slot.source, slot.key, damage)
        wrong += [f"{said}: {line}" for line in found]
    assert not wrong, "\n".join(wrong)


def test_the_plan_reaches_every_kind_of_resource(plan: Plan) -> None:
    """The charts hold every kind of resource the service reads that can change an answer, and much is tried."""
    reached = {slot.resource["resourceType"] for tried in plan.values() for slot, _ in tried}
    assert reached >= {
        "Patient",
        "Encounter",
        "Condition",
        "Observation",
        "Procedure",
        "DiagnosticReport",
        "MedicationStatement",
        "AllergyIntolerance",
        "Device",
    }
    assert sum(map(len, plan.values())) > 2000


def only_tumour(code: Any, advertised: dict[str, dict[str, str]]) -> Request:
    """A call about a patient whose only sign of a tumour is this Condition."""
    facts = {"age_years": 58, "sex": "male", "nen_status": "confirmed", "primary_site": "pancreas"}
    resources = chart(facts, ["eus"], style=0)
    tumour = next(item for item in resources if item["resourceType"] == "Condition")
    tumour["code"] = code
    return hook_request(resources, "order-sign", keys=advertised["order-sign"])


@pytest.mark.parametrize(
    "code",
    [
        None,
        "C25.4",
        7,
        [],
        {},
        {"coding": "C25.4"},
        {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm"}]},
        {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "%%"}]},
        {"coding": [{"system": "garbage", "code": "C25.4"}]},
    ],
    ids=str,
)
def test_an_unreadable_diagnosis_is_not_the_absence_of_one(
    code: Any, local: InProcess, advertised: dict[str, dict[str, str]]
) -> None:
    """When the only Condition cannot be read the diagnosis is unknown, and the answer says what was unusable."""
    found = assessed(post(local, "order-sign", only_tumour(code, advertised)))
    assert found is not None
    assert found["scenario"] == "insufficient-data"
    assert "nen_status" not in found["facts"]
    assert any(item["source"].startswith("Condition/") for item in found["unusable"])


@pytest.mark.parametrize("value", [None, 7, {}, {"coding": [{"system": "http://snomed.info/sct"}]}], ids=str)
def test_an_unreadable_histology_is_not_the_absence_of_a_tumour(
    value: Any, local: InProcess, advertised: dict[str, dict[str, str]]
) -> None:
    """The same for a pathology result of a patient without any other sign."""
    request = only_tumour({"text": "Hypertension"}, advertised)
    histology = {
        "resourceType": "Observation",
        "id": "histology",
        "status": "final",
        "subject": {"reference": "Patient/p1"},
        "code": {"coding": [{"system": "http://loinc.org", "code": "31206-6"}]},
        "valueCodeableConcept": value,
    }
    request["prefetch"]["laboratory"] = {"resourceType": "Bundle", "entry": [{"resource": histology}]}
    found = assessed(post(local, "order-sign", request))
    assert found is not None
    assert {"source": "Observation/histology", "reason": "no histology can be read", "fact": "nen_status"} in (
        found["unusable"]
    )


def test_a_readable_diagnosis_of_something_else_is_no_reason_to_speak(
    local: InProcess, advertised: dict[str, dict[str, str]]
) -> None:
    """A well-formed code that no rule asks for is another illness."""
    for code in (
        {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "I10"}]},
        {"text": "Hypertension"},
    ):
        assert post(local, "order-sign", only_tumour(code, advertised)).json() == {"cards": []}
