"""Against a FHIR server that fails: the call ends in time, memory stays bounded, the token stays, the card says so."""

from __future__ import annotations

import sqlite3
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import structlog

from cds_service.domain.terms import LACK_WORDS, Lack
from cds_service.observability import configure_logging
from tests.calling import Answer, InProcess, MakeApp, assessment, post, synthetic_request, templates
from tests.fhir.faulty_server import State, serving

SECONDS: Final = 1.5
MARGIN: Final = 1.5
"""For the rest of the call, on a busy machine."""
MAX_PAGES: Final = 10
MAX_BYTES: Final = 4 * 1024 * 1024
TOKEN: Final = "secret-token-of-this-call"  # noqa: S105 - invented
PATIENT: Final = "incidental-tail-lesion"


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[State, State]]:
    """A faulty server, and the one it tries to lead its callers to."""
    with serving() as foreign, serving(foreign.url) as faulty:
        yield faulty, foreign


@pytest.fixture
def faulty(servers: tuple[State, State]) -> Iterator[State]:
    """The faulty server; whatever it did, the token reached no other one."""
    server, foreign = servers
    server.seen.clear()
    yield server
    assert foreign.seen == []
    assert {seen.headers.get("authorization") for seen in server.seen} <= {f"Bearer {TOKEN}"}
    assert {seen.headers.get("accept") for seen in server.seen} <= {"application/fhir+json"}
    assert {seen.headers.get("cache-control") for seen in server.seen} <= {"no-cache"}


@pytest.fixture(scope="module")
def reading(make_app: MakeApp) -> InProcess:
    """The service with tight limits."""
    return InProcess(make_app(fhir_seconds=SECONDS, fhir_max_pages=MAX_PAGES, fhir_max_bytes=MAX_BYTES))


def call(server: str, service: InProcess, *lacking: str, hook: str = "order-select") -> dict[str, Any]:
    """A call that brings everything but some keys, and the right to read them."""
    made = synthetic_request(PATIENT, hook, templates(service))
    for key in lacking:
        del made["prefetch"][key]
    made["fhirServer"] = server
    made["fhirAuthorization"] = {
        "access_token": TOKEN,
        "token_type": "Bearer",
        "expires_in": 30,
        "scope": "patient/*.read",
        "subject": "pnet-cds",
        "patient": made["context"]["patientId"],
    }
    return made


def timed(service: InProcess, body: dict[str, Any], hook: str = "order-select") -> tuple[Answer, float]:
    """The answer and how long it took."""
    started = time.monotonic()
    answer = post(service, hook, body)
    return answer, time.monotonic() - started


def reasons(answer: Answer) -> dict[str, str]:
    """Why inputs could not be had in full."""
    assert answer.status == 200, answer.body
    found: dict[str, str] = assessment(answer).get("unavailable_reasons", {})
    return found


FAILING: Final = {
    "slow": Lack.TIMED_OUT,
    "slow-headers": Lack.TIMED_OUT,
    "slow-body": Lack.TIMED_OUT,
    "slow-second-page": Lack.TIMED_OUT,
    "status-400": Lack.NOT_OFFERED,
    "status-401": Lack.UNAUTHORISED,
    "status-403": Lack.UNAUTHORISED,
    "status-404": Lack.NOT_OFFERED,
    "status-410": Lack.GONE,
    "status-500": Lack.SERVER_ERROR,
    "status-501": Lack.NOT_OFFERED,
    "outcome": Lack.SERVER_ERROR,
    "cut-length": Lack.CUT_OFF,
    "cut-chunk": Lack.CUT_OFF,
    "cut-gzip": Lack.CUT_OFF,
    "cut-unsaid": Lack.NOT_FHIR,
    "silent": Lack.UNREACHABLE,
    "html": Lack.NOT_FHIR,
    "xml": Lack.NOT_FHIR,
    "no-json": Lack.NOT_FHIR,
    "no-resource": Lack.NOT_FHIR,
    "odd-encoding": Lack.NOT_FHIR,
    "other-type": Lack.NOT_FHIR,
    "endless": Lack.TOO_MANY_PAGES,
    "loop": Lack.TOO_MANY_PAGES,
    "redirect": Lack.REDIRECTED,
    "redirect-here": Lack.REDIRECTED,
    "foreign-next": Lack.FOREIGN_LINK,
    "sideways-next": Lack.FOREIGN_LINK,
    "upward-next": Lack.FOREIGN_LINK,
    "userinfo-next": Lack.FOREIGN_LINK,
    "huge-length": Lack.TOO_LARGE,
    "huge-chunks": Lack.TOO_LARGE,
    "gzip-bomb": Lack.TOO_LARGE,
    "busy-an-hour": Lack.BUSY,
    "busy-always": Lack.BUSY,
}


@pytest.mark.parametrize("fault", FAILING)
def test_what_cannot_be_read_is_named_with_its_reason(fault: str, reading: InProcess, faulty: State) -> None:
    """CH-074: the call ends within its time, the answer lacks that input only, and the card says which and why."""
    answer, elapsed = timed(reading, call(f"{faulty.url}/{fault}/fhir", reading, "laboratory"))
    assert elapsed < SECONDS + MARGIN
    assert reasons(answer) == {"laboratory": FAILING[fault]}
    (card,) = answer.json()["cards"]
    assert f"laboratory ({LACK_WORDS[FAILING[fault]]})" in card["detail"]


@pytest.mark.parametrize("fault", ["slow", "status-401", "status-500", "silent", "gzip-bomb", "redirect", "html"])
def test_without_what_is_required_the_call_is_refused_with_the_reason(
    fault: str, reading: InProcess, faulty: State
) -> None:
    """CH-061, CH-046: 412 names what could be had neither way, and why."""
    answer, elapsed = timed(reading, call(f"{faulty.url}/{fault}/fhir", reading, "conditions"))
    assert elapsed < SECONDS + MARGIN
    assert (answer.status, answer.slug()) == (412, "prefetch-missing")
    assert LACK_WORDS[FAILING[fault]] in answer.message()


def test_everything_slow_still_ends_in_time(reading: InProcess, faulty: State) -> None:
    """CH-042: one deadline for all reads together, however many there are."""
    made = call(f"{faulty.url}/slow/fhir", reading)
    answer, elapsed = timed(reading, made | {"prefetch": {"conditions": made["prefetch"]["conditions"]}})
    assert elapsed < SECONDS + MARGIN
    assert set(reasons(answer).values()) == {Lack.TIMED_OUT}
    assert len(reasons(answer)) > 10


@pytest.mark.parametrize(
    "kind",
    [
        "good",
        "good-gzip",
        "good-without-type",
        "good-plain-text",
        "good-half-character",
        "busy-once",
        "busy-twice",
        "busy-a-second",
    ],
)
def test_what_a_server_may_do_is_read(kind: str, reading: InProcess, faulty: State) -> None:
    """Compression, inexact content types, half a character and a busy moment do not lose data."""
    answer, _ = timed(reading, call(f"{faulty.url}/{kind}/fhir", reading, "laboratory"))
    assert reasons(answer) == {}


def test_every_read_says_who_asks_for_what(reading: InProcess, faulty: State) -> None:
    """CH-071: the bearer token and the media type are on every request, also for the pages behind the first."""
    post(reading, "order-select", call(f"{faulty.url}/endless/fhir", reading, "laboratory"))
    assert len(faulty.seen) == MAX_PAGES
    for seen in faulty.seen:
        assert seen.headers["authorization"] == f"Bearer {TOKEN}"
        assert seen.headers["accept"] == "application/fhir+json"


def test_a_long_pause_is_not_waited_for(reading: InProcess, faulty: State) -> None:
    """A server that asks for an hour is not asked again, and the call goes on at once."""
    _, elapsed = timed(reading, call(f"{faulty.url}/busy-an-hour/fhir", reading, "laboratory"))
    assert elapsed < SECONDS
    assert len(faulty.seen) == 1


def test_a_named_pause_is_kept(reading: InProcess, faulty: State) -> None:
    """Retry-After as a date counts from the server's own clock."""
    _, elapsed = timed(reading, call(f"{faulty.url}/busy-a-second/fhir", reading, "laboratory"))
    assert elapsed >= 1
    assert len(faulty.seen) == 2


def test_pages_read_before_the_end_are_used(reading: InProcess, faulty: State) -> None:
    """CH-059: an endless list is read up to the limit."""
    timed(reading, call(f"{faulty.url}/endless/fhir", reading, "laboratory"))
    assert len(faulty.seen) == MAX_PAGES


def test_another_patients_data_are_dropped_and_reported(reading: InProcess, faulty: State) -> None:
    """CH-076: what the server sends about somebody else is set aside, and said so."""
    made = call(f"{faulty.url}/other-patient/fhir", reading, "laboratory")
    answer, _ = timed(reading, made)
    assert reasons(answer) == {}
    assert {"source": "Observation/read-someone-else-1", "reason": "the resource is about another patient"} in (
        assessment(answer).get("unusable", [])
    )


def test_a_next_link_in_prefetch_that_leads_elsewhere_is_not_followed(reading: InProcess, faulty: State) -> None:
    """Gateways change addresses: the search is read from its start at the server the call names."""
    made = call(f"{faulty.url}/good/fhir", reading)
    made["prefetch"]["laboratory"]["link"] = [{"relation": "next", "url": "http://127.0.0.1:9/internal?page=2"}]
    answer, _ = timed(reading, made)
    assert reasons(answer) == {}
    (asked,) = faulty.seen
    assert "category=laboratory" in asked.path


@pytest.mark.parametrize("value", ["text", {"resourceType": "Patient", "id": "itl-patient"}, {"entry": "x"}])
def test_a_value_that_says_nothing_is_read_again(value: object, reading: InProcess, faulty: State) -> None:
    """Nobody said that the data cannot be had."""
    made = call(f"{faulty.url}/good/fhir", reading)
    made["prefetch"]["laboratory"] = value
    answer, _ = timed(reading, made)
    assert reasons(answer) == {}
    assert len(faulty.seen) == 1


def test_values_of_the_context_cannot_change_the_query(reading: InProcess, faulty: State) -> None:
    """An id is data: whatever it holds, it stays inside its parameter."""
    made = call(f"{faulty.url}/good/fhir", reading, "laboratory", "encounter")
    made["context"]["encounterId"] = "e1&_include=*#?%2e"
    timed(reading, made)
    assert [seen.path for seen in faulty.asked("Encounter")] == ["/good/fhir/Encounter/e1%26_include%3D%2A%23%3F%252e"]


@pytest.mark.parametrize("identifier", ["..", "."])
def test_an_id_cannot_leave_the_base_path(identifier: str, reading: InProcess, faulty: State) -> None:
    """A step through the path is not asked for."""
    made = call(f"{faulty.url}/good/fhir", reading, "encounter")
    made["context"]["encounterId"] = identifier
    timed(reading, made)
    assert faulty.seen == []


@pytest.mark.parametrize("fault", ["huge-length", "huge-chunks", "gzip-bomb", "endless"])
def test_memory_stays_bounded(fault: str, reading: InProcess, faulty: State) -> None:
    """CH-074: two gigabytes, packed or not, take no more memory than the limit on bytes allows."""
    body = call(f"{faulty.url}/{fault}/fhir", reading, "laboratory", "imagingResults", "examinations")
    tracemalloc.start()
    try:
        timed(reading, body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * MAX_BYTES


def test_the_token_is_nowhere_afterwards(
    faulty: State,
    make_app: MakeApp,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> None:
    """CH-073: not in the answer, the log, an error or the store, whether reading worked or not."""
    request.addfinalizer(structlog.reset_defaults)
    configure_logging("debug")
    database = tmp_path / "consults.sqlite"
    service = InProcess(make_app(fhir_seconds=SECONDS, database_url=f"sqlite:///{database}"))
    for fault in ("good", "status-500", "redirect", "html", "cut-length"):
        for lacking in ("laboratory", "conditions"):
            answer = post(service, "order-select", call(f"{faulty.url}/{fault}/fhir", service, lacking))
            assert TOKEN not in answer.body.decode()
            assert TOKEN not in str(answer.headers)
    written = capfd.readouterr()
    assert '"unavailable": {"laboratory": "server-error"}' in written.out + written.err
    assert TOKEN not in written.out + written.err
    assert "itl-patient" not in written.out + written.err
    with sqlite3.connect(database) as store:
        assert TOKEN not in "\n".join(store.iterdump())
    store.close()


def test_a_server_that_is_gone_is_unreachable(reading: InProcess) -> None:
    """Nothing listens there."""
    with serving() as gone:
        url = gone.url
    answer, elapsed = timed(reading, call(f"{url}/good/fhir", reading, "laboratory"))
    assert elapsed < SECONDS + MARGIN
    assert reasons(answer) == {"laboratory": Lack.UNREACHABLE}
