"""A clock that jumps: tokens are judged by the clock as it is, deadlines and groups by one that cannot jump."""

from __future__ import annotations

import ast
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from cds_service.auth.gate import Gate
from cds_service.auth.keys import read_key_set
from cds_service.clients import Client
from cds_service.errors import Unauthenticated
from cds_service.store.clients import GIVEN, open_clients
from tests.signing import claims, key_set, public_jwk, sign

URL: Final = "https://cds.example.org/cds-services"
EHR: Final = "https://ehr.example.org"
ROOT: Final = Path(__file__).parents[2]


def test_a_clock_that_jumps_refuses_and_recovers(tmp_path: Path) -> None:
    """An hour ahead or behind, good tokens are refused; once the clock is right they are accepted, each once."""
    clients = open_clients(f"sqlite:///{tmp_path}/store.sqlite")
    clients.add(Client("ehr", EHR))
    clients.give_keys("ehr", read_key_set(key_set(public_jwk("es")), GIVEN).keys)
    clock = [datetime.now(UTC)]
    gate = Gate(clients, lambda *_: b"", lambda: clock[0], 60)

    def let_in(said: str) -> bool:
        try:
            return gate.caller(f"Bearer {said}", URL).client.id == "ehr"
        except Unauthenticated:
            return False

    first, second = (sign(claims(EHR, URL), "es") for _ in range(2))
    assert let_in(first)
    for jump in (timedelta(hours=1), timedelta(hours=-2)):
        clock[0] += jump
        assert not let_in(second)
    clock[0] += timedelta(hours=1)
    assert let_in(second)
    assert not let_in(second)
    assert not let_in(first)
    clients.release()


@pytest.mark.parametrize("package", ["cds_service", "fhir_profiles", "hooks"])
def test_nothing_waits_by_the_clock_on_the_wall(package: str) -> None:
    """Durations and deadlines of the service are of clocks that only go forward; its command line makes tokens."""
    for path in (path for path in (ROOT / package).rglob("*.py") if "commands" not in path.parts):
        asked = {
            node.attr
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "time"
        }
        assert asked <= {"monotonic", "perf_counter", "perf_counter_ns", "sleep"}, path
