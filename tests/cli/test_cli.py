"""The command line as a whole: help, exit statuses, and the commands beside ``assess``."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import structlog

from cds_service import __version__
from cds_service.cli import cli
from cds_service.knowledge import load_knowledge
from cds_service.proof.ratings import ratings
from cds_service.settings import Settings
from fhir_profiles.synthetic import synthetic_patients
from tests.calling import OverHttp
from tests.cli.conftest import Command, Ran
from tests.proof.altered import rating_row, rerated

COMMANDS = (
    "assess",
    "audit",
    "call",
    "check",
    "client",
    "db",
    "explain",
    "export-fhir",
    "feedback",
    "sandbox",
    "selftest",
    "serve",
)
FACTS = {
    "nen_status": "confirmed",
    "primary_site": "pancreas",
    "age_years": 58,
    "differentiation": "well",
    "ki67_percent": 5,
    "mitoses": 3,
}
TAIL = next(patient for patient in synthetic_patients() if patient.slug == "incidental-tail-lesion")


def test_the_commands_are_those_documented() -> None:
    """The command line offers exactly these commands."""
    assert cli.list_commands(click.Context(cli)) == sorted(COMMANDS)


@pytest.mark.parametrize("name", ["", *COMMANDS])
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_is_there(command: Command, name: str, flag: str) -> None:
    """Every command explains itself and each of its options, with exit status 0."""
    ran = command(*filter(None, (name, flag)))
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.startswith("Usage: ")
    if name:
        found = cli.get_command(click.Context(cli), name)
        assert found is not None
        for parameter in found.params:
            if isinstance(parameter, click.Option):
                assert parameter.opts[-1] in ran.out
                assert parameter.help
            else:
                assert (parameter.metavar or str(parameter.name).upper()) in ran.out
    else:
        assert all(f"  {shown} " in ran.out for shown in COMMANDS)


def test_the_version_is_that_of_the_package(command: Command) -> None:
    """--version names product and version."""
    ran = command("--version")
    assert (ran.status, ran.out) == (0, f"pnet-cds, version {__version__}\n")


@pytest.mark.parametrize("arguments", [("assesss",), ("assess", "--fact", "x"), ("serve", "--port", "many")])
def test_a_mistyped_command_is_a_usage_error(command: Command, arguments: tuple[str, ...]) -> None:
    """Unknown commands, options and values end with exit status 2 and a message on standard error."""
    ran = command(*arguments)
    assert (ran.status, ran.out) == (2, "")
    assert "Error: " in ran.err


# --- check ------------------------------------------------------------------------------------------------------------


def test_check_counts_what_is_loaded(command: Command) -> None:
    """The check says version, hash and counts, in words and as JSON, and ends with exit status 0."""
    ran = command("check", "--quick", "--json")
    assert ran.status == 0
    counted = json.loads(ran.out)
    knowledge = load_knowledge()
    assert counted["knowledge"] == {"version": knowledge.version, "hash": knowledge.hash}
    assert counted["rows"] == len(knowledge.rows)
    assert counted["sources"] == len(knowledge.sources)
    assert counted["codes"] > counted["concepts"] > 0
    words = command("check", "--quick")
    assert words.status == 0
    for value in (knowledge.version, knowledge.hash, counted["rows"], counted["codes"]):
        assert str(value) in words.out


def test_check_proves_the_tables(command: Command) -> None:
    """Every property is said with its states, each holds, and the exit status is 0."""
    ran = command("check")
    assert (ran.status, ran.err) == (0, "")
    said = re.findall(r"^(.+): ([\d,]+) states$", ran.out, re.MULTILINE)
    assert len(said) == 7
    assert said[0] == ("scenario selection total and deterministic", said[0][1])
    assert "does not hold" not in ran.out


def test_check_without_the_proof_says_nothing_about_it(command: Command) -> None:
    """What was not tried is null and not an empty list."""
    assert json.loads(command("check", "--quick", "--json").out)["proofs"] is None
    assert "states" not in command("check", "--quick").out


@pytest.mark.parametrize("as_json", [True, False], ids=["json", "words"])
def test_check_shows_what_does_not_hold(command: Command, monkeypatch: pytest.MonkeyPatch, as_json: bool) -> None:
    """A second rating of a study ends with exit status 1 and a counter-example that a person can read."""
    knowledge = load_knowledge()
    again = rating_row(knowledge, "R01-06", id="R01-06.again", rating="may-be-appropriate")
    broken = rerated(knowledge, *knowledge.rating_rows, again)
    monkeypatch.setattr("cds_service.cli._knowledge", lambda _site: broken)
    monkeypatch.setattr("cds_service.cli.proving", lambda given: iter([ratings(given)]))  # the others take long
    ran = command("check", *(["--json"] if as_json else []))
    assert ran.status == 1
    if as_json:
        (proof,) = json.loads(ran.out)["proofs"]
        assert proof["property"] == "ratings"
        assert proof["counter_examples"][0]["rules"] == ["R01-06", "R01-06.again"]
    else:
        for line in (
            "does not hold for",
            "scenario = pnet-initial-staging",
            "order: eus",
            "rules: R01-06, R01-06.again",
        ):
            assert line in ran.out


# --- explain ----------------------------------------------------------------------------------------------------------


def test_explain_tells_what_fired_and_what_nearly_fired(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """People see the facts, the scenario with its rule, the rating, and the facts that open rules would need."""
    monkeypatch.setenv("COLUMNS", "200")
    ran = command("explain", "--facts", "-", stdin=json.dumps({"id": "one", "facts": FACTS, "orders": ["eus"]}))
    assert (ran.status, ran.err) == (0, "")
    for word in (
        "Assessment one",
        "Ki-67",
        "Scenario: initial staging [SCN-01]",
        "the staging question comes first. [SEL-10d]",
        "WHO 2019/2022 NET G2",
        "Order 1: Endoscopic ultrasound",
        "Rating: usually not appropriate for initial staging",
        "it serves diagnosis and the T category. [R01-06]",
        "Suggested instead: MRI abdomen and pelvis without and with IV contrast",
        "Grade: rules that fired",
        "Recorded on the order as: not-appropriate [PAM-04]",
        "Rules that nearly fired",
        "tumour size",
    ):
        assert word in ran.out


def test_explain_tells_what_would_change_the_answer(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table names each unknown fact, the values and what would be said; nothing of it is JSON or a rule's name."""
    monkeypatch.setenv("COLUMNS", "400")
    given = {"nen_status": "confirmed", "primary_site": "pancreas", "differentiation": "well", "metastases": []}
    ran = command("explain", "--facts", "-", stdin=json.dumps({"facts": given, "orders": ["mri-abd-pel-wwo"]}))
    assert (ran.status, ran.err) == (0, "")
    table = ran.out[ran.out.index("What would change this answer") : ran.out.index("rules that fired")]
    for words in (
        "Ki-67",
        "above 20 %",
        "NET G3",
        "non mr conditional",
        "order 1: MRI is contraindicated by a device on record (SAF-01, critical)",
        "scenario: surveillance after complete resection",
    ):
        assert words in table, words


def test_explain_reads_a_bundle(command: Command, tmp_path: Path) -> None:
    """For a Bundle the facts name the resources they come from."""
    path = tmp_path / "bundle.json"
    path.write_text(json.dumps(TAIL.bundle), encoding="utf-8")
    ran = command("explain", "--bundle", str(path), "--as-of", TAIL.as_of)
    assert ran.status == 0
    assert "Observation/" in ran.out
    assert "Condition/" in ran.out


def test_explain_says_what_does_not_fit(command: Command) -> None:
    """An item that does not fit is named with its id, the others are explained, and the exit status is 1."""
    items = [{"id": "bad", "facts": {"size": 3}}, {"id": "good", "facts": FACTS}]
    ran = command("explain", "--facts", "-", stdin=json.dumps(items))
    assert ran.status == 1
    assert "bad: size: no such fact" in ran.out
    assert "Assessment good" in ran.out


def test_explain_shows_no_markup_of_others(command: Command) -> None:
    """An id that looks like terminal markup is printed as it is."""
    ran = command("explain", "--facts", "-", stdin=json.dumps({"id": "[red]x[/red]", "facts": FACTS}))
    assert ran.status == 0
    assert "[red]x[/red]" in ran.out


# --- serve ------------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """The settings of the machine are left out, a database would be made in a folder of the test, logs stay as set."""
    before = structlog.get_config()
    for name in Settings.model_fields:
        monkeypatch.delenv(f"PNET_CDS_{name.upper()}", raising=False)
    monkeypatch.setenv("PNET_CDS_DATABASE_URL", f"sqlite:///{tmp_path}/serve.sqlite")
    yield
    structlog.configure(**before)


def test_serve_refuses_to_be_open_by_accident(command: Command, tmp_path: Path) -> None:
    """Without --demo the service does not start, says why and how, and touches no database."""
    ran = command("serve")
    assert ran.status == 1
    assert "pnet-cds serve --demo" in ran.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org", ""])  # noqa: S104
def test_an_open_demo_stays_on_this_machine(command: Command, host: str, tmp_path: Path) -> None:
    """With --demo only loopback addresses are served."""
    ran = command("serve", "--demo", "--host", host)
    assert ran.status == 1
    assert "loopback only" in ran.err
    assert list(tmp_path.iterdir()) == []


def test_the_host_of_the_environment_is_checked_as_well(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address set in the environment does not get around the refusal, nor does demo mode set there."""
    monkeypatch.setenv("PNET_CDS_DEMO", "true")
    monkeypatch.setenv("PNET_CDS_HOST", "0.0.0.0")  # noqa: S104
    ran = command("serve")
    assert ran.status == 1
    assert "loopback only" in ran.err


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "0"),
        ("PORT", "70000"),
        ("THREADS", "0"),
        ("WORKERS", "0"),
        ("LOG_LEVEL", "loud"),
        ("MAX_BODY_BYTES", "1"),
        ("HASH_KEY", "too-short"),
        ("RETENTION_DAYS", "-7"),
        ("STORE_COMMENTS", "perhaps"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(
    command: Command, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """The variable is named, its value is not repeated, and the exit status is 1."""
    monkeypatch.setenv(f"PNET_CDS_{name}", value)
    ran = command("serve", "--demo")
    assert (ran.status, ran.out) == (1, "")
    assert f"PNET_CDS_{name}" in ran.err
    assert "[settings-invalid]" in ran.err
    assert "too-short" not in ran.err


def test_all_bad_settings_are_named_at_once(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two bad settings give one message with both."""
    monkeypatch.setenv("PNET_CDS_PORT", "0")
    monkeypatch.setenv("PNET_CDS_THREADS", "0")
    ran = command("serve", "--demo")
    assert "PNET_CDS_PORT" in ran.err
    assert "PNET_CDS_THREADS" in ran.err


def test_a_database_url_that_is_none_is_said(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the variable and shows the form, without a stack trace."""
    monkeypatch.setenv("PNET_CDS_DATABASE_URL", "not a url")
    ran = command("serve", "--demo")
    assert ran.status == 1
    assert "PNET_CDS_DATABASE_URL" in ran.err


# --- call -------------------------------------------------------------------------------------------------------------


def test_call_says_when_nothing_answers(command: Command) -> None:
    """Without a running service the message says so, with the slug, and the exit status is 1."""
    ran = command("call", "--example", "incidental-tail-lesion", "--url", "http://127.0.0.1:9")
    assert (ran.status, ran.out) == (1, "")
    assert "Is the service running?" in ran.err
    assert "[remote-unavailable]" in ran.err


def call(live: OverHttp, *arguments: str) -> Ran:
    """The command in a process of its own, so that it and the service do not share an output."""
    done = subprocess.run(
        [sys.executable, "-m", "cds_service", "call", "--url", live.base, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "COLUMNS": "200"},
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def test_call_shows_the_cards_of_a_running_demo(live: OverHttp) -> None:
    """The story's own hook is fired; its card, the suggestion that can be accepted and what is recorded are shown."""
    ran = call(live, "--example", TAIL.slug)
    assert (ran.status, ran.err) == (0, "")
    assert "MRI abdomen/pelvis" in ran.out
    assert "[ " in ran.out
    assert "Recorded on ServiceRequest/itl-sr-eus: not-appropriate (Usually not appropriate, as reported by" in ran.out


def test_call_prints_the_response_as_json(live: OverHttp) -> None:
    """--json prints the response as the service sent it, and --hook fires another hook."""
    ran = call(live, "--example", TAIL.slug, "--hook", "patient-view", "--json")
    assert (ran.status, ran.err) == (0, "")
    (card,) = json.loads(ran.out)["cards"]
    assert card["source"]["label"] == "pnet-cds staging summary"


@pytest.mark.parametrize(
    "arguments", [("--example", "nobody"), ("--example", TAIL.slug, "--hook", "no-such-hook")], ids=["example", "hook"]
)
def test_call_says_what_the_demo_does_not_have(live: OverHttp, arguments: tuple[str, ...]) -> None:
    """An unknown patient or hook is an error with exit status 1, not a stack trace."""
    ran = call(live, *arguments)
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.startswith("pnet-cds: ")
