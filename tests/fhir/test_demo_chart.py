"""A chart for the order-entry page: what the demo reads from a FHIR server somebody names, and what it refuses to."""

from __future__ import annotations

import json
from functools import partial
from typing import Final

import pytest

from cds_service.ehr.chart import read_chart
from cds_service.errors import FhirServerRefused
from cds_service.fhir.client import read
from cds_service.protocol.authorization import FhirAccess
from fhir_profiles.synthetic import resources
from tests.calling import Answer, InProcess, drafts, entries, synthetic_request
from tests.fhir.real_server import TOKEN
from tests.fhir.test_policy import found_at, policy

PATIENT: Final = "itl-patient"


def ask(service: InProcess, server: str, patient: str = PATIENT, token: str | None = TOKEN) -> Answer:
    """The answer to the page."""
    asked = {"fhirServer": server, "patientId": patient} | ({"token": token} if token else {})
    return service.request("POST", "/demo/charts", json.dumps(asked).encode())


def test_all_that_calls_are_made_of_is_read(
    reading: InProcess, fhir_server: str, advertised_here: dict[str, dict[str, str]]
) -> None:
    """Page after page, drafts and encounter too, each resource once, the patient first."""
    answer = ask(reading, fhir_server)
    assert answer.status == 200
    body = answer.json()
    assert body["lacking"] == {}
    found = [(one["resourceType"], one["id"]) for one in resources(body["chart"])]
    assert found[0] == ("Patient", PATIENT)
    assert len(set(found)) == len(found)
    call = synthetic_request("incidental-tail-lesion", "order-select", advertised_here)
    sent = [entry["resource"] for key in call["prefetch"] for entry in entries(call, key)] + drafts(call)
    expected = {(one["resourceType"], one["id"]) for one in sent}
    expected |= {("Patient", PATIENT), ("Encounter", call["context"]["encounterId"])}
    assert set(found) == expected


def test_a_server_with_a_large_chart_is_read_to_its_end(reading: InProcess, fhir_server: str) -> None:
    """Of thousands of Observations none is left out in silence."""
    body = ask(reading, fhir_server, "large-itl-patient").json()
    if "chart" not in body:
        pytest.fail(body["issue"][0]["details"]["text"])
    assert body["lacking"] == {}


@pytest.mark.parametrize(
    ("server", "token"),
    [("{here}", None), ("file:///etc/passwd", TOKEN), ("{here}?x=1", TOKEN), ("", TOKEN)],
    ids=["no-token", "file", "query", "nothing"],
)
def test_other_servers_are_not_asked(server: str, token: str | None, reading: InProcess, fhir_server: str) -> None:
    """The slug says why, and the message what to do."""
    answer = ask(reading, server.format(here=fhir_server), token=token)
    assert (answer.status, answer.slug()) == (403, "fhir-server-not-allowed")
    assert "PNET_CDS_FHIR_OPEN_SERVERS" in answer.message()


@pytest.mark.parametrize(
    ("server", "address"),
    [
        ("https://ehr.example.org/fhir", "93.184.215.14"),
        ("https://ehr.example.org/fhir", "10.0.0.1"),
        ("https://listed.example.org/fhir", "192.168.0.1"),
        ("http://169.254.169.254/latest/meta-data", "169.254.169.254"),
    ],
    ids=["elsewhere", "inside", "listed-and-inside", "metadata"],
)
def test_addresses_elsewhere_are_not_asked(server: str, address: str) -> None:
    """They are looked at after the name is looked up: only this machine and listed servers on the network are asked."""
    listed = policy(open_servers="https://listed.example.org/fhir", any_loopback=True)
    with pytest.raises(FhirServerRefused):
        read_chart(FhirAccess(server, TOKEN), PATIENT, listed, partial(read, look_up=found_at(address)))


@pytest.mark.parametrize(
    ("patient", "token"), [("nobody-is-called-so", TOKEN), (PATIENT, "wrong")], ids=["nobody", "wrong-token"]
)
def test_without_a_patient_there_is_no_chart(patient: str, token: str, reading: InProcess, fhir_server: str) -> None:
    """An empty chart would look like good news; the message repeats neither id nor token."""
    answer = ask(reading, fhir_server, patient, token)
    assert (answer.status, answer.slug()) == (502, "remote-unavailable")
    assert patient not in answer.message()
    assert token not in answer.message()


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", None])
def test_only_json_is_listened_to(media_type: str | None, reading: InProcess, fhir_server: str) -> None:
    """So that a page of another origin, which may send the others unasked, cannot have anything read."""
    body = json.dumps({"fhirServer": fhir_server, "patientId": PATIENT, "token": TOKEN}).encode()
    answer = reading.request("POST", "/demo/charts", body, media_type)
    assert (answer.status, answer.slug()) == (415, "media-type-unsupported")


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"fhirServer": 1, "patientId": "p"}', b"\xff"])
def test_anything_else_is_refused(body: bytes, reading: InProcess) -> None:
    """With what is expected."""
    answer = reading.request("POST", "/demo/charts", body)
    assert (answer.status, answer.slug()) == (400, "request-invalid")


def test_an_id_that_is_none_is_refused(reading: InProcess, fhir_server: str) -> None:
    """A comma would make a search about several."""
    answer = ask(reading, fhir_server, f"{PATIENT},other")
    assert (answer.status, answer.slug()) == (400, "request-invalid")
