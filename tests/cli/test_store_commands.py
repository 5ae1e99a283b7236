"""The commands on the store: ``db``, ``feedback`` and ``audit``."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cds_service.store.connect import open_engine
from cds_service.store.migrate import migrate
from cds_service.store.sql import SqlStore
from fhir_profiles.resources import problems
from tests.cli.conftest import Command
from tests.store.records import CARDS, CONSULT, FEEDBACK

NOW = datetime.now(UTC)
OLD = replace(
    CONSULT,
    id="consult-old",
    answered_at=NOW - timedelta(days=400),
    scenario="gepnet-other-site",
    cards=(replace(CARDS[1], uuid="card-old"),),
)


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, database: Path) -> None:
    """The settings of the machine are left out."""
    for name in ("RETENTION_DAYS", "HASH_KEY", "STORE_COMMENTS"):
        monkeypatch.delenv(f"PNET_CDS_{name}", raising=False)
    monkeypatch.setenv("PNET_CDS_DATABASE_URL", f"sqlite:///{database}")
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Where the store is, or will be."""
    return tmp_path / "store.sqlite"


@pytest.fixture
def store(database: Path) -> Iterator[SqlStore]:
    """A store with two consults, and feedback on a known and an unknown card."""
    engine = open_engine(f"sqlite:///{database}")
    migrate(engine)
    kept = SqlStore(engine)
    kept.record(OLD)
    kept.record(CONSULT)
    formula = replace(FEEDBACK, reason_code="x", reason_display="=HYPERLINK(1)", outcome_at=NOW)
    kept.keep_feedback((FEEDBACK, formula, replace(FEEDBACK, card="unknown")))
    yield kept
    engine.dispose()


@pytest.mark.parametrize(
    "arguments",
    [("db", "status"), ("db", "purge", "--older-than", "1d"), ("feedback", "report"), ("audit", "export")],
)
def test_a_store_is_not_made_by_asking_for_it(command: Command, arguments: tuple[str, ...], database: Path) -> None:
    """Where there is no store the message says how one is made, and none is."""
    ran = command(*arguments)
    assert (ran.status, ran.out) == (1, "")
    assert "pnet-cds db migrate" in ran.err
    assert not database.exists()


@pytest.mark.parametrize("group", ["db", "feedback", "audit"])
def test_a_group_lists_its_commands(command: Command, group: str) -> None:
    """Help of the group and of each of its commands."""
    assert command(group, "--help").status == 0
    assert "Usage: " in command(group, "--help").out


# --- db ---------------------------------------------------------------------------------------------------------------


def test_migrate_makes_a_store_and_status_tells_of_it(command: Command) -> None:
    """A new store is current and empty; migrating again changes nothing."""
    for _ in range(2):
        assert command("db", "migrate").status == 0
    ran = command("db", "status", "--json")
    told = json.loads(ran.out)
    assert ran.status == 0
    assert told["schema"] == told["newest_schema"]
    assert (told["consults"], told["cards"], told["feedback"], told["oldest_consult"]) == (0, 0, 0, None)


def test_status_counts_and_hides_the_password(
    command: Command, store: SqlStore, monkeypatch: pytest.MonkeyPatch, database: Path
) -> None:
    """Counts in words and as JSON; a password in the URL is not shown."""
    assert store.ready()
    monkeypatch.setenv("PNET_CDS_RETENTION_DAYS", "365")
    told = json.loads(command("db", "status", "--json").out)
    assert (told["consults"], told["cards"], told["feedback"], told["retention_days"]) == (2, 3, 3, 365)
    words = command("db", "status").out
    assert "consults: 2" in words
    assert str(database) in words
    monkeypatch.setenv("PNET_CDS_DATABASE_URL", f"postgresql://u:secret-word@/d?host={database.parent}")
    ran = command("db", "status")
    assert ran.status == 1
    assert "secret-word" not in ran.out + ran.err


def test_status_of_an_older_schema_is_a_failure(command: Command, database: Path) -> None:
    """A script can tell: exit status 1, and what to do; other commands refuse as well."""
    engine = open_engine(f"sqlite:///{database}")
    migrate(engine, "0001")
    engine.dispose()
    for arguments in (("db", "status"), ("feedback", "report")):
        ran = command(*arguments)
        assert ran.status == 1
        assert "pnet-cds db migrate" in ran.err


def test_purge_counts_until_it_is_told_to_delete(command: Command, store: SqlStore) -> None:
    """Without --yes nothing goes; with it what is older goes; a second time there is nothing left to do."""
    dry = command("db", "purge", "--older-than", "365d")
    assert (dry.status, "Would delete 1 consults, 1 cards" in dry.out) == (0, True)
    assert "--yes" in dry.out
    assert store.consult_of_card("card-old") is not None
    assert "Deleted 1 consults, 1 cards" in command("db", "purge", "--older-than", "365", "--yes").out
    assert store.consult_of_card("card-old") is None
    assert store.consult_of_card("card-1") == CONSULT
    assert "Deleted 0 consults" in command("db", "purge", "--older-than", "365", "--yes").out


def test_the_age_may_come_from_the_settings(command: Command, store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an age the site's retention counts; without that either, nothing is deleted by guessing."""
    ran = command("db", "purge", "--yes")
    assert (ran.status, "PNET_CDS_RETENTION_DAYS" in ran.err) == (2, True)
    monkeypatch.setenv("PNET_CDS_RETENTION_DAYS", "365")
    assert command("db", "purge", "--yes").status == 0
    assert store.consult_of_card("card-old") is None


@pytest.mark.parametrize("age", ["0", "0d", "-1", "1y", "", "1.5d", "9999999d"])
def test_an_age_that_is_none_is_a_usage_error(command: Command, store: SqlStore, age: str) -> None:
    """What is no number of days deletes nothing."""
    assert command("db", "purge", "--yes", f"--older-than={age}").status == 2
    assert store.consult_of_card("card-old") is not None


# --- feedback ---------------------------------------------------------------------------------------------------------


def test_the_report_shows_which_advice_is_overridden_and_why(command: Command, store: SqlStore) -> None:
    """A table for people: rules with counts, shares and main reasons, the whole, and what concerns no card."""
    assert store.ready()
    out = command("feedback", "report").out
    assert "R01-06" in out
    assert "1 (100%)" in out
    assert "=HYPERLINK(1) (1)" in out
    assert "all cards" in out
    assert "not in the store (any more): 1" in out


@pytest.mark.parametrize("by", ["rule", "scenario", "service", "reason", "month"])
def test_the_report_in_json_and_csv_says_the_same(command: Command, store: SqlStore, by: str) -> None:
    """Both forms have the same rows; words of clients are no formulas in a spreadsheet."""
    assert store.ready()
    told = json.loads(command("feedback", "report", "--json", "--by", by).out)
    assert (told["by"], told["total"]["shown"], told["total"]["ignored"]) == (by, 3, 2)
    assert told["feedback_on_unknown_cards"] == 1
    rows = list(csv.DictReader(io.StringIO(command("feedback", "report", "--csv", "--by", by).out)))
    assert [(row[by], row["shown"]) for row in rows] == [(row["key"], str(row["shown"])) for row in told["rows"]]
    assert not [cell for row in rows for cell in row.values() if cell.startswith(("=", "+", "-", "@"))]
    assert by in command("feedback", "report", "--by", by).out


def test_a_period_limits_the_report(command: Command, store: SqlStore) -> None:
    """Both days are part of the period."""
    assert store.ready()
    day = f"{CONSULT.answered_at:%Y-%m-%d}"
    within = json.loads(command("feedback", "report", "--json", "--since", day, "--until", day).out)
    assert (within["since"], within["until"], within["total"]["shown"]) == (day, day, 2)
    assert json.loads(command("feedback", "report", "--json", "--since", "2100-01-01").out)["rows"] == []


def test_the_report_is_written_as_a_page(command: Command, store: SqlStore, tmp_path: Path) -> None:
    """--html: the cards of the period, linked to the service of the settings; words of clients are text."""
    assert store.ready()
    day, file = f"{CONSULT.answered_at:%Y-%m-%d}", tmp_path / "feedback.html"
    ran = command("feedback", "report", "--html", str(file), "--since", day, "--until", day)
    assert (ran.status, ran.out) == (0, f"Wrote {file}: 2 cards.\n")
    page = file.read_text(encoding="utf-8")
    assert f"Cards shown from {day} to {day} (UTC). Feedback on cards that are not in the store (any more): 1." in page
    assert "=HYPERLINK(1)" in page
    assert "<script" not in page


@pytest.mark.parametrize(
    "options",
    [
        ("--since", "2026-11-02", "--until", "2026-11-01"),
        ("--json", "--csv"),
        ("--json", "--html", "never-written.html"),
        ("--since", "yesterday"),
    ],
)
def test_options_that_contradict_are_a_usage_error(command: Command, store: SqlStore, options: tuple[str, ...]) -> None:
    """Exit status 2 and a message."""
    assert store.ready()
    ran = command("feedback", "report", *options)
    assert (ran.status, ran.out) == (2, "")


# --- audit ------------------------------------------------------------------------------------------------------------


def test_the_export_is_one_valid_resource_per_line(command: Command, store: SqlStore, tmp_path: Path) -> None:
    """An AuditEvent per consult, oldest first; with --provenance one Provenance per suggested order; also to a file."""
    assert store.ready()
    events = [json.loads(line) for line in command("audit", "export").out.splitlines()]
    assert [event["id"] for event in events] == sorted(
        ["consult-old", "consult-1"], reverse=OLD.answered_at < CONSULT.answered_at
    )
    path = tmp_path / "audit.ndjson"
    ran = command("audit", "export", "--provenance", "--output", str(path))
    assert (ran.status, ran.out) == (0, "")
    resources = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [resource["resourceType"] for resource in resources].count("Provenance") == 1
    assert [problem for resource in resources for problem in problems(resource)] == []


def test_the_export_has_a_period(command: Command, store: SqlStore) -> None:
    """A nightly job exports one day."""
    assert store.ready()
    day = f"{CONSULT.answered_at:%Y-%m-%d}"
    (event,) = map(json.loads, command("audit", "export", "--since", day, "--until", day).out.splitlines())
    assert event["id"] == CONSULT.id
