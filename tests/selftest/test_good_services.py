"""Good services pass: one that is not ours in every check, and ours as a demo and for registered clients."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner, Result
from flask import Flask
from werkzeug.serving import make_server

from cds_service.app import create_app
from cds_service.auth.keys import read_key_set
from cds_service.cli import cli
from cds_service.clients import Client
from cds_service.selftest.catalogue import CHECKS
from cds_service.settings import Settings
from cds_service.store.clients import GIVEN, open_clients
from tests.calling import OverHttp
from tests.selftest.examining import examined, found, not_run
from tests.selftest.toy import Toy, serving
from tests.signing import key_set, private_jwk, private_pem, public_jwk

PUBLIC: Final = "https://cds.example.org/imaging"
EHR: Final = "https://ehr.example.org"
PAGE: Final = "https://pages.example.org"
KID: Final = "selftest-key"
TOKENS: Final = {check.id for check in CHECKS if check.id.startswith("security-")} - {
    *("security-https", "security-preflight", "security-cors-allows", "security-cors-answers"),
    *("security-cors-vary", "security-cors-credentials"),
}


def run(*arguments: str) -> Result:
    """The command, run in this process."""
    return CliRunner().invoke(cli, ["selftest", *arguments], catch_exceptions=False)


def told(result: Result) -> dict[str, Any]:
    """The report for programs; the log of a service in this process may stand around it."""
    (line,) = (line for line in result.stdout.splitlines() if line.startswith('{"base"'))
    report: dict[str, Any] = json.loads(line)
    return report


def results(report: dict[str, Any]) -> dict[str, str]:
    """Results by check."""
    return {check["id"]: check["result"] for check in report["checks"]}


def test_another_service_passes() -> None:
    """A correct service that has nothing of ours; nothing is left out but tokens, which it does not know."""
    with serving(Toy()) as toy:
        report = examined(toy)
    assert found(report) == set()
    assert not_run(report) == TOKENS | {"security-cors-vary"}
    assert report.status == 0


def test_another_service_with_tokens_passes() -> None:
    """The same where calls need a token: every check of tokens is tried."""
    with serving(Toy(protected=True)) as toy:
        report = examined(toy, signed=True)
    assert found(report) == set()
    assert not_run(report) == {"security-cors-vary"}
    assert report.status == 0


def test_without_a_key_a_protected_service_is_not_called_bad() -> None:
    """Tokens that have to be refused are tried, what needs a good one is not; so the run is not called good either."""
    with serving(Toy(protected=True)) as toy:
        report = examined(toy, tokens=True)
    assert found(report) == set()
    assert {"call-answered", "card-list", "security-expired", "security-replayed"} <= not_run(report)
    assert not {"security-no-token", "security-unsigned", "security-stranger", "security-silent"} & not_run(report)
    assert report.status == 2


def test_a_service_that_needs_a_fhir_server_is_not_called_bad() -> None:
    """412 to a call with all prefetch there is to be had is no fault, but there is nothing to look at."""
    with serving(Toy(statuses={"call": 412})) as toy:
        report = examined(toy)
    assert found(report) == set()
    assert {"call-answered", "card-list"} <= not_run(report)
    assert report.status == 2


def test_what_is_not_offered_is_not_applicable() -> None:
    """No feedback, no pages, no services: nothing of that is a fault."""
    with serving(Toy(statuses={"feedback-none": 404}, headers={}, refusal_headers={})) as toy:
        report = examined(toy)
        toy.discovery["services"] = []
        nothing = examined(toy)
    assert found(report) == set()
    assert {each for each in not_run(report) if each.startswith("feedback-")} == {
        check.id for check in CHECKS if check.topic == "feedback" and check.id != "feedback-unknown-service"
    }
    assert found(nothing) == set()
    assert nothing.status == 0


def test_no_feedback_is_sent_to_a_system_in_use() -> None:
    """--no-feedback: whatever is wrong with feedback is not seen, and nothing of it runs."""
    with serving(Toy(statuses={"feedback-none": 500})) as toy:
        report = examined(toy, feedback=False)
    assert found(report) == set()
    assert {check.id for check in CHECKS if check.topic == "feedback"} <= not_run(report)


def test_the_demo_passes(live: OverHttp) -> None:
    """Our service, open, over HTTP: no failure and no warning."""
    result = run(live.base, "--json", "--slow", "20")
    report = told(result)
    assert {id_: r for id_, r in results(report).items() if r in ("fail", "warn")} == {}
    assert {id_ for id_, r in results(report).items() if r == "not-run"} <= TOKENS
    assert result.exit_code == report["status"] == 0
    assert report["counts"]["pass"] > 90


@contextmanager
def protected(folder: Path) -> Iterator[str]:
    """Our service for registered clients, with one that the self-test may speak for."""
    url = f"sqlite:///{folder / 'store.sqlite'}"
    clients = open_clients(url)
    clients.add(Client("selftest", EHR, tenants=("north",), cors_origins=(PAGE,)))
    clients.give_keys("selftest", read_key_set(key_set(public_jwk(KID)), GIVEN).keys)
    settings = Settings(demo=False, database_url=url, public_url=PUBLIC, rate_limit="9999/second")  # type: ignore[call-arg]
    with listening(create_app(settings)) as base:
        yield base
    clients.release()


@contextmanager
def listening(app: Flask) -> Iterator[str]:
    """The application behind a server."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    server.log = lambda *_: None  # type: ignore[method-assign]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("form", ["pem", "jwk"])
def test_the_service_for_registered_clients_passes(form: str, tmp_path: Path) -> None:
    """Our service with tokens: all of their checks run, and a page of the client is let in."""
    key = tmp_path / "key"
    key.write_bytes(private_pem(KID) if form == "pem" else json.dumps(private_jwk(KID)).encode())
    named = ("--kid", KID) if form == "pem" else ()
    signing = ("--issuer", EHR, "--key", str(key), *named, "--tenant", "north", "--audience", PUBLIC)
    with protected(tmp_path) as base:
        result = run(f"{base}/cds-services/", "--json", "--slow", "20", "--require-token", "--origin", PAGE, *signing)
        without = run(base)
        wrong = run(base, *signing[:-1], "https://other.example.org")
    report = told(result)
    assert {id_: r for id_, r in results(report).items() if r not in ("pass", "not-applicable")} == {}
    assert results(report)["security-cors-vary"] == results(report)["security-replayed"] == "pass"
    assert result.exit_code == 0
    assert without.exit_code == wrong.exit_code == 2
    assert "refused for want of a token" in " ".join(without.stdout.split())
    assert "is the token a good one" in " ".join(wrong.stdout.split())
