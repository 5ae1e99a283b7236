"""What access a call grants: a token that can be used, or none (CH-033 to CH-037, CH-073)."""

from __future__ import annotations

from typing import Any

import pytest

from cds_service.protocol.authorization import FhirAccess, read_access

EHR = "https://ehr.example.org/fhir"
GIVEN = {
    "access_token": "abc.def-123",
    "token_type": "Bearer",
    "expires_in": 30,
    "scope": "patient/*.rs",
    "subject": "s",
}


@pytest.mark.parametrize("server", [None, "", " ", 7, {}])
def test_without_a_server_there_is_no_access(server: object) -> None:
    """Whatever stands in its place."""
    assert read_access(server, None, []) is None


def test_the_access_of_a_correct_call() -> None:
    """CH-035: server, token, scope and the patient the token is for; no defect."""
    defects: list[str] = []
    found = read_access(EHR, GIVEN | {"patient": "Patient/p1"}, defects)
    assert found == FhirAccess(EHR, "abc.def-123", "patient/*.rs", "p1")
    assert defects == []


@pytest.mark.parametrize("given", [None, {}])
def test_a_server_alone_grants_no_token(given: object) -> None:
    """It may be an open server."""
    assert read_access(EHR, given, []) == FhirAccess(EHR)


@pytest.mark.parametrize(
    ("given", "usable"),
    [
        ("token", False),
        ([], False),
        (GIVEN | {"access_token": None}, False),
        (GIVEN | {"access_token": 5}, False),
        (GIVEN | {"access_token": ""}, False),
        (GIVEN | {"access_token": "abc\r\nX-Evil: 1"}, False),
        (GIVEN | {"access_token": "abc def"}, False),
        (GIVEN | {"access_token": "abcé"}, False),
        (GIVEN | {"token_type": "MAC"}, False),
        (GIVEN | {"token_type": "bearer"}, True),
        (GIVEN | {"token_type": None}, True),
        (GIVEN | {"scope": None}, True),
    ],
)
def test_deviations_are_defects_and_never_an_error(given: Any, usable: bool) -> None:
    """CH-035: a token that cannot be sent as it is counts as none."""
    defects: list[str] = []
    found = read_access(EHR, given, defects)
    assert found is not None
    assert (found.token is not None) is usable
    assert bool(defects) is bool(given)


def test_the_token_is_in_no_representation() -> None:
    """CH-073: an access can be shown in an error or a log without its token."""
    assert "abc.def-123" not in repr(read_access(EHR, GIVEN, []))
    assert "abc.def-123" not in str(read_access(EHR, GIVEN, []))
