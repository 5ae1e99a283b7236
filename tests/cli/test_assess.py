"""``pnet-cds assess``: what it reads, what it answers, and what it says about input that does not fit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fhir_profiles.synthetic import synthetic_patients
from tests.cli.conftest import Command, Ran

FACTS = {"nen_status": "confirmed", "primary_site": "pancreas", "differentiation": "well", "age_years": 58}
GOOD = {"id": "good", "facts": FACTS, "orders": ["eus"]}
PATIENTS = {patient.slug: patient for patient in synthetic_patients()}
TAIL = PATIENTS["incidental-tail-lesion"]


def lines(ran: Ran) -> list[dict[str, Any]]:
    """The printed lines as objects."""
    return [json.loads(line) for line in ran.out.splitlines()]


@pytest.mark.parametrize(
    ("item", "identifier", "said"),
    [
        ({"id": "a", "facts": {"size": 3}}, "a", "size: no such fact"),
        ({"id": "b", "facts": {"size_mm": "large"}}, "b", "size_mm: expected a number in mm"),
        ({"id": "c", "facts": {"size_mm": True}}, "c", "size_mm: expected a number in mm"),
        ({"id": "d", "facts": {"pregnant": "yes"}}, "d", "pregnant: expected true or false"),
        ({"id": "e", "facts": {"primary_site": "liverr"}}, "e", "primary_site: expected one of pancreas"),
        ({"id": "f", "facts": {"metastases": "liver"}}, "f", "metastases: expected a list"),
        ({"id": "g", "facts": {"metastases": [["liver"]]}}, "g", "metastases: expected one of"),
        ({"id": "h", "facts": {"recist": {"d1_mm": 3}}}, "h", "recist: expected an object with the numbers"),
        ({"id": "i", "facts": {"size": 1, "sizes": 2}}, "i", "sizes: no such fact"),
        ({"id": "j", "facts": {}, "orders": ["mri-knee"]}, "j", "no such procedure key: mri-knee"),
        ({"id": "k", "facts": {}, "orders": "eus"}, "k", "orders: expected a list"),
        ({"id": "l", "facts": {}, "orders": [["eus"]]}, "l", "orders"),
        ({"id": "m", "facts": []}, "m", 'expected an object with "facts"'),
        ({"id": "n"}, "n", 'expected an object with "facts"'),
        ("text", None, 'expected an object with "facts"'),
        (None, None, 'expected an object with "facts"'),
    ],
)
def test_an_item_that_does_not_fit_is_said(command: Command, item: Any, identifier: str | None, said: str) -> None:
    """The item gets a line with its id and error, its neighbours are answered, and the exit status is 1."""
    ran = command("assess", "--facts", "-", stdin=json.dumps([GOOD, item, {**GOOD, "id": "after"}]))
    assert (ran.status, ran.err) == (1, "")
    first, error, last = lines(ran)
    assert (first["id"], last["id"]) == ("good", "after")
    assert first["scenario"] == last["scenario"] == "pnet-initial-staging"
    assert error["error"] == "facts-invalid"
    assert said in error["message"]
    assert error.get("id") == identifier


def test_the_value_that_does_not_fit_is_not_repeated(command: Command) -> None:
    """The message names the fact and its vocabulary, not the value given, which may be patient data."""
    facts = {"primary_site": "Jane Doe", "size_mm": "Jane Doe", "metastases": "Jane Doe", "pregnant": "Jane Doe"}
    ran = command("assess", "--facts", "-", stdin=json.dumps({"facts": facts}))
    assert ran.status == 1
    assert "Jane" not in ran.out + ran.err


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "1" + "0" * 400])
@pytest.mark.parametrize("name", ["size_mm", "diagnosis_year"])
def test_what_is_no_measurement_is_refused(command: Command, name: str, number: str) -> None:
    """Not-a-number, infinities and numbers beyond all range are an error and no crash, and never taken for a value."""
    ran = command("assess", "--facts", "-", stdin=f'{{"facts": {{"{name}": {number}}}}}')
    assert ran.status == 1
    assert "facts-invalid" in ran.out + ran.err


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999", "1" + "0" * 400, "true", '"3"'])
def test_growth_takes_measurements_only(command: Command, number: str) -> None:
    """The numbers of a growth are held to the same."""
    growth = f'{{"d1_mm": 50, "d2_mm": {number}, "months": 3}}'
    ran = command("assess", "--facts", "-", stdin=f'{{"facts": {{"recist": {growth}}}}}')
    assert ran.status == 1
    assert "facts-invalid" in ran.out + ran.err


@pytest.mark.parametrize("unknown", [None, "unknown"])
def test_unknown_can_be_said(command: Command, unknown: str | None) -> None:
    """``null`` and the word "unknown" are as good as leaving the fact out."""
    silent = command("assess", "--facts", "-", stdin=json.dumps({"facts": FACTS}))
    said = command("assess", "--facts", "-", stdin=json.dumps({"facts": {**FACTS, "size_mm": unknown}}))
    assert (said.status, said.out) == (0, silent.out)


def test_an_unknown_device_is_a_value(command: Command) -> None:
    """For implants "unknown" is a word of its own: a device without information on MR safety."""
    given = {"facts": {**FACTS, "implant": "unknown"}, "orders": ["mri-abd-pel-wwo"]}
    (answer,) = lines(command("assess", "--facts", "-", stdin=json.dumps(given)))
    assert "SAF-02" in answer["orders"][0]["warnings"]


def test_one_object_is_as_good_as_a_list(command: Command) -> None:
    """A single object is answered like a list of one, and without an id the answer has none."""
    ran = command("assess", "--facts", "-", stdin=json.dumps({"facts": FACTS}))
    assert ran.status == 0
    (answer,) = lines(ran)
    assert "id" not in answer


def test_an_empty_list_has_no_answer(command: Command) -> None:
    """Nothing given, nothing printed, nothing wrong."""
    assert command("assess", "--facts", "-", stdin="[]") == Ran(0, "", "")


def test_facts_are_read_from_a_file(command: Command, tmp_path: Path) -> None:
    """A file is read as standard input is."""
    path = tmp_path / "facts.json"
    path.write_text(json.dumps([GOOD]), encoding="utf-8")
    assert lines(command("assess", "--facts", str(path)))[0]["id"] == "good"


@pytest.mark.parametrize("option", ["--facts", "--bundle"])
def test_a_file_that_is_not_there_is_said(command: Command, option: str, tmp_path: Path) -> None:
    """The message names the file and the reason, the slug follows, the exit status is 1, and nothing is printed."""
    path = tmp_path / "absent.json"
    ran = command("assess", option, str(path))
    assert (ran.status, ran.out) == (1, "")
    assert ran.err == f"pnet-cds: {path}: No such file or directory [facts-invalid]\n"


@pytest.mark.parametrize("option", ["--facts", "--bundle"])
@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe"])
def test_what_is_no_json_is_said(command: Command, option: str, content: bytes, tmp_path: Path) -> None:
    """Broken JSON, an empty file and bytes that are no text are named as such."""
    path = tmp_path / "broken.json"
    path.write_bytes(content)
    ran = command("assess", option, str(path))
    assert (ran.status, ran.out) == (1, "")
    assert ran.err == f"pnet-cds: {path}: not valid JSON [facts-invalid]\n"


@pytest.mark.parametrize("arguments", [(), ("--facts", "-", "--bundle", "x.json")])
def test_exactly_one_input_is_wanted(command: Command, arguments: tuple[str, ...]) -> None:
    """Neither or both of --facts and --bundle is a usage error with exit status 2."""
    ran = command("assess", *arguments)
    assert ran.status == 2
    assert "Give either --facts or --bundle." in ran.err


@pytest.mark.parametrize("day", ["20.11.2026", "2026-13-01", "today"])
def test_a_day_that_is_none_is_refused(command: Command, day: str) -> None:
    """--as-of takes a calendar day as YYYY-MM-DD; anything else is a usage error."""
    ran = command("assess", "--facts", "-", "--as-of", day, stdin="[]")
    assert ran.status == 2
    assert "--as-of" in ran.err


def test_a_day_before_all_rows_is_said(command: Command) -> None:
    """On a day on which no row was in force there is no answer, and the reason is said instead of a stack trace."""
    ran = command("assess", "--facts", "-", "--as-of", "2009-12-31", stdin=json.dumps(GOOD))
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.startswith("pnet-cds: ")


# --- bundles ----------------------------------------------------------------------------------------------------------


def write(tmp_path: Path, bundle: Mapping[str, Any]) -> str:
    """A Bundle as a file."""
    path = tmp_path / "bundle.json"
    path.write_text(json.dumps(bundle), encoding="utf-8")
    return str(path)


def test_a_bundled_patient_is_assessed(command: Command, tmp_path: Path) -> None:
    """A Bundle with one of its orders named gives that order's rating and suggestion, and facts with evidence."""
    ran = command(
        "assess",
        "--bundle",
        write(tmp_path, TAIL.bundle),
        "--order",
        "ServiceRequest/itl-sr-eus",
        "--as-of",
        TAIL.as_of,
    )
    assert ran.status == 0
    (answer,) = lines(ran)
    assert answer["scenario"] == "pnet-initial-staging"
    assert [(order["procedure"], order["rating"], order["suggestion"]) for order in answer["orders"]] == [
        ("eus", "usually-not-appropriate", "mri-abd-pel-wwo")
    ]
    assert answer["facts"]["primary_site"]["evidence"]


def test_all_drafts_are_taken_when_none_is_named(command: Command, tmp_path: Path) -> None:
    """Without --order every draft of the Bundle is assessed."""
    path = write(tmp_path, TAIL.bundle)
    named = command("assess", "--bundle", path, "--order", "itl-sr-eus", "--as-of", TAIL.as_of)
    assert command("assess", "--bundle", path, "--as-of", TAIL.as_of) == named


def test_as_of_moves_the_day(command: Command, tmp_path: Path) -> None:
    """The same Bundle two years later finds an older patient and a longer time since the last imaging."""
    patient = PATIENTS["one-year-after-resection"]
    path = write(tmp_path, patient.bundle)
    now = lines(command("assess", "--bundle", path, "--as-of", patient.as_of))[0]
    year = int(patient.as_of[:4]) + 2
    later = lines(command("assess", "--bundle", path, "--as-of", f"{year}{patient.as_of[4:]}"))[0]
    assert later["facts"]["age_years"]["value"] == now["facts"]["age_years"]["value"] + 2
    assert later["followup"]["status"] == "overdue" != now["followup"]["status"]


@pytest.mark.parametrize(
    ("bundle", "said"),
    [
        ({"resourceType": "Patient", "id": "p"}, "expected a FHIR Bundle"),
        ([], "expected a FHIR Bundle"),
        ({"resourceType": "Bundle"}, "exactly one Patient in the Bundle, found 0"),
        ({"resourceType": "Bundle", "entry": [{}, {"resource": None}]}, "exactly one Patient in the Bundle, found 0"),
        (
            {"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Patient", "id": i}} for i in "ab"]},
            "exactly one Patient in the Bundle, found 2",
        ),
    ],
)
def test_a_bundle_that_does_not_fit_is_said(command: Command, bundle: Any, said: str, tmp_path: Path) -> None:
    """What is missing is named, and the exit status is 1."""
    ran = command("assess", "--bundle", write(tmp_path, bundle))
    assert (ran.status, ran.out) == (1, "")
    assert said in ran.err


def test_an_order_that_is_not_there_is_said(command: Command, tmp_path: Path) -> None:
    """The reference is named, and the exit status is 1."""
    ran = command("assess", "--bundle", write(tmp_path, TAIL.bundle), "--order", "ServiceRequest/none")
    assert (ran.status, ran.out) == (1, "")
    assert "no such ServiceRequest in the Bundle: ServiceRequest/none" in ran.err
