"""Scopes of SMART version 1 and 2: what they let the service ask for (CH-072, CH-186)."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest

from cds_service.domain.terms import LACK_WORDS, Lack
from cds_service.fhir.scopes import Grant, granted
from cds_service.fhir.search import fill, first_page

LABORATORY = "Observation?patient=p1&category=laboratory&_sort=-date"
_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"


@pytest.mark.parametrize(
    ("scope", "query", "grant"),
    [
        (None, LABORATORY, Grant.FULL),
        ("", LABORATORY, Grant.NONE),
        ("launch openid fhirUser", LABORATORY, Grant.NONE),
        ("patient/Observation.read", LABORATORY, Grant.FULL),
        ("patient/*.read", LABORATORY, Grant.FULL),
        ("user/*.*", LABORATORY, Grant.FULL),
        ("system/Observation.*", LABORATORY, Grant.FULL),
        ("patient/Observation.write", LABORATORY, Grant.NONE),
        ("patient/Condition.read", LABORATORY, Grant.NONE),
        ("patient/observation.read", LABORATORY, Grant.NONE),
        ("practitioner/Observation.read", LABORATORY, Grant.NONE),
        ("patient/Observation.rs", LABORATORY, Grant.FULL),
        ("patient/Observation.s", LABORATORY, Grant.FULL),
        ("patient/Observation.r", LABORATORY, Grant.NONE),
        ("patient/Observation.cruds", LABORATORY, Grant.FULL),
        ("patient/Observation.sr", LABORATORY, Grant.NONE),
        ("patient/Observation.c", LABORATORY, Grant.NONE),
        ("patient/Patient.r", "Patient/p1", Grant.FULL),
        ("patient/Patient.s", "Patient/p1", Grant.NONE),
        ("patient/Patient.read", "Patient/p1", Grant.FULL),
        (f"patient/Observation.rs?category={_CATEGORY}|laboratory", LABORATORY, Grant.FULL),
        ("patient/Observation.rs?category=laboratory", LABORATORY, Grant.FULL),
        ("patient/Observation.rs?category=laboratory,exam", LABORATORY, Grant.FULL),
        (f"patient/Observation.rs?category={_CATEGORY}|vital-signs", LABORATORY, Grant.PART),
        ("patient/Observation.rs?code=2160-0", LABORATORY, Grant.PART),
        ("patient/Observation.rs?code=2160-0 patient/*.rs", LABORATORY, Grant.FULL),
        ("patient/Condition.rs?category=problem-list-item", "Condition?patient=p1", Grant.PART),
    ],
)
def test_scopes(scope: str | None, query: str, grant: Grant) -> None:
    """CH-072, CH-186: type, interaction and narrowing of each syntax."""
    assert granted(scope, query) is grant


def test_every_lack_has_its_words_and_its_place_in_the_schema() -> None:
    """What the card and the assessment may say is one list."""
    schema = json.loads((files("cds_service") / "protocol/schemas/assessment.schema.json").read_text(encoding="utf-8"))
    listed = schema["properties"]["unavailable_reasons"]["additionalProperties"]["enum"]
    assert listed == [str(lack) for lack in Lack]
    assert set(LACK_WORDS) == set(Lack)


def test_context_values_are_encoded() -> None:
    """A value is data, in a path as well as in a parameter."""
    given = {"context.patientId": "a/b?c=d&e#f%20 g|h{{context.patientId}}", "context.encounterId": None}
    encoded = "a%2Fb%3Fc%3Dd%26e%23f%2520%20g%7Ch%7B%7Bcontext.patientId%7D%7D"
    assert fill("Patient/{{context.patientId}}", given) == f"Patient/{encoded}"
    assert fill("Condition?patient={{context.patientId}}", given) == f"Condition?patient={encoded}"
    assert fill("Encounter/{{context.encounterId}}", given) is None
    assert fill("Condition?patient={{context.patientId}}", {"context.patientId": "one,two"}) is None
    assert fill("Encounter/{{context.unheardOf}}", given) is None
    assert fill("Patient?birthdate=ge{{today() - 90 days}}", given) is None
    assert fill("{{context.userId}}", {"context.userId": "Practitioner/a?b"}) == "Practitioner/a%3Fb"
    assert fill("Task?owner={{userPractitionerId}}", {"userPractitionerId": "a/b"}) == "Task?owner=a%2Fb"


def test_searches_ask_for_large_pages() -> None:
    """A read has no pages."""
    assert first_page("Condition?patient=1") == "Condition?patient=1&_count=1000"
    assert first_page("Patient/1") == "Patient/1"
