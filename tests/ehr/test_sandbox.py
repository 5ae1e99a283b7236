"""``pnet-cds sandbox`` against a real FHIR server that others use too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from typing import Any, Final

import pytest

from cds_service.ehr.sandbox import SYSTEM, TAG
from tests.ehr.conftest import Run
from tests.ehr.servers import Server

SLUG: Final = "pacemaker-mri"
OURS: Final = {"system": SYSTEM, "code": TAG}
FOREIGN: Final = (
    {"resourceType": "Patient", "id": "pmk-patient-of-others", "name": [{"text": "same beginning"}]},
    {"resourceType": "Patient", "id": "others", "meta": {"tag": [OURS]}, "name": [{"text": "tagged like ours"}]},
    {"resourceType": "Patient", "id": "elsewhere", "meta": {"tag": [{"system": SYSTEM, "code": "other"}]}},
    {
        "resourceType": "Patient",
        "id": "named",
        "identifier": [{"system": SYSTEM, "value": "Patient/itl-patient"}],
        "name": [{"text": "has our identifier, but not our tag"}],
    },
    {"resourceType": "Condition", "id": "c-of-others", "subject": {"reference": "Patient/others"}},
)
"""What must be there before and after, to the letter."""


@pytest.fixture(scope="module", autouse=True)
def others(fhir: Server) -> None:
    """Resources of other people."""
    for resource in FOREIGN:
        fhir.put(resource)


@pytest.fixture(autouse=True)
def _cleaned(run: Run, fhir: Server) -> Iterator[None]:
    """Whatever a test wrote is removed again, and what is foreign stays as it was."""
    before = foreign(fhir)
    yield
    assert run("sandbox", "clean", "--fhir-server", fhir.url, "--yes").status == 0
    assert foreign(fhir) == before
    assert None not in before


def foreign(fhir: Server) -> list[Any]:
    """The resources of others as the server holds them."""
    return [fhir.get(f"{resource['resourceType']}/{resource['id']}") for resource in FOREIGN]


def load(run: Run, fhir: Server, *arguments: str) -> Any:
    """Load a patient and return what is printed."""
    ran = run("sandbox", "load", "--fhir-server", fhir.url, "--patient", SLUG, "--json", *arguments)
    assert ran.status == 0, ran.err
    return json.loads(ran.out)


def clean(run: Run, fhir: Server, *arguments: str) -> Any:
    """What the removal says."""
    ran = run("sandbox", "clean", "--fhir-server", fhir.url, "--json", *arguments)
    assert ran.status == 0, ran.err
    return json.loads(ran.out)


def test_a_patient_is_loaded_today_and_tagged(run: Run, fhir: Server) -> None:
    """Ids are those of the story, its day is today, and every resource is marked; again changes nothing."""
    (loaded,) = load(run, fhir)
    assert (loaded["patient"], loaded["encounter"]) == ("Patient/pmk-patient", "Encounter/pmk-enc")
    (draft,) = loaded["drafts"]
    order = fhir.get(draft)
    assert order is not None
    assert OURS["code"] in [tag["code"] for tag in order["meta"]["tag"] if tag["system"] == SYSTEM]
    assert order["authoredOn"][:10] == date.today().isoformat()  # noqa: DTZ011
    requester = fhir.get(order["requester"]["reference"])
    assert requester is not None
    assert requester["resourceType"] == "Practitioner"
    before = clean(run, fhir)["resources"]
    assert load(run, fhir) == [loaded]
    assert clean(run, fhir)["resources"] == before


def test_nothing_is_deleted_without_yes(run: Run, fhir: Server) -> None:
    """The count is said, and everything stays; with --yes it goes; then there is nothing left, which is no error."""
    load(run, fhir)
    counted = clean(run, fhir)
    assert counted["deleted"] is False
    assert counted["resources"]["Patient"] == 1
    assert fhir.get("Patient/pmk-patient") is not None
    shown = run("sandbox", "clean", "--fhir-server", fhir.url)
    assert "Would delete: " in shown.out
    assert "add --yes" in shown.out
    assert clean(run, fhir, "--yes") == {"deleted": True, "resources": counted["resources"]}
    assert fhir.get("Patient/pmk-patient") is None
    assert fhir.get("Practitioner/okafor-daniel") is None
    assert clean(run, fhir, "--yes") == {"deleted": True, "resources": {}}


def test_the_server_may_give_the_ids(run: Run, fhir: Server, cds: Any) -> None:
    """With --server-ids references lead to the new ids, a second load finds what is there, and all of it can go."""
    (loaded,) = load(run, fhir, "--server-ids")
    assert loaded["patient"] != "Patient/pmk-patient"
    order = fhir.get(loaded["drafts"][0])
    assert order is not None
    assert order["subject"]["reference"] == loaded["patient"]
    assert order["encounter"]["reference"] == loaded["encounter"]
    before = clean(run, fhir)["resources"]
    assert load(run, fhir, "--server-ids") == [loaded]
    assert clean(run, fhir)["resources"] == before
    ran = run(
        "call",
        *("--url", cds.base, "--fhir-server", fhir.url, "--patient", loaded["patient"]),
        *("--hook", "order-sign", "--order", loaded["drafts"][0], "--json"),
    )
    (card,) = json.loads(ran.out)["cards"]
    assert card["indicator"] == "critical"
    clean(run, fhir, "--yes")
    assert fhir.get(loaded["patient"]) is None


def test_what_is_not_ours_is_not_written_over(run: Run, fhir: Server) -> None:
    """A resource of others under one of our ids stops the load before anything is written."""
    stranger = {"resourceType": "Encounter", "id": "pmk-enc", "status": "planned", "class": {"code": "AMB"}}
    fhir.put(stranger)
    there = fhir.get("Encounter/pmk-enc")
    ran = run("sandbox", "load", "--fhir-server", fhir.url, "--patient", SLUG)
    assert (ran.status, ran.out) == (1, "")
    assert "Nothing was written" in ran.err
    assert "--server-ids" in ran.err
    assert fhir.get("Encounter/pmk-enc") == there
    assert fhir.get("Patient/pmk-patient") is None
    clean(run, fhir, "--yes")
    assert fhir.get("Encounter/pmk-enc") == there
    fhir.delete("Encounter/pmk-enc")


def test_what_is_not_ours_is_not_written_about(run: Run, fhir: Server) -> None:
    """Somebody with our identifier, but without our tag, gets no chart."""
    arguments = ("--fhir-server", fhir.url, "--patient", "incidental-tail-lesion", "--server-ids")
    ran = run("sandbox", "load", *arguments)
    assert (ran.status, ran.out) == (1, "")
    assert "1 Patient with our identifier" in ran.err
    assert clean(run, fhir)["resources"] == {}


def test_a_patient_that_is_none_is_said(run: Run, fhir: Server) -> None:
    """The message lists the synthetic patients."""
    ran = run("sandbox", "load", "--fhir-server", fhir.url, "--patient", "nobody")
    assert ran.status == 2
    assert SLUG in ran.err


def test_a_server_that_refuses_is_said(run: Run, fhir: Server) -> None:
    """Without the right to read and write, nothing is done and the message says why."""
    for command in ("load", "clean"):
        ran = run("sandbox", command, "--fhir-server", fhir.url, PNET_CDS_FHIR_TOKEN="wrong")  # noqa: S106
        assert (ran.status, ran.out) == (1, "")
        assert "PNET_CDS_FHIR_TOKEN" in ran.err
