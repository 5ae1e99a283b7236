"""The command: table, JSON, JUnit, options, and exit statuses."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner, Result

from cds_service.cli import cli
from cds_service.selftest.catalogue import CHECKS
from cds_service.selftest.check import Check, Level, Row
from cds_service.selftest.check import Result as Outcome
from cds_service.selftest.findings import Finding
from cds_service.selftest.report import as_junit, as_object
from cds_service.selftest.runner import Report, judged
from tests.selftest.examining import OWN_HOOK
from tests.selftest.toy import Toy, serving
from tests.signing import private_pem


def run(*arguments: str) -> Result:
    """The command, run in this process."""
    return CliRunner().invoke(cli, ["selftest", *arguments], catch_exceptions=False)


def spoilt() -> Toy:
    """A toy with one fault that fails and one that warns."""
    toy = Toy(statuses={"media": 200})
    toy.answered = lambda body, _: body["cards"][0].update(indicator="hard-stop")
    return toy


def test_the_report_for_programs() -> None:
    """Every check with its level, its requirements in words, its result, and what was seen and expected."""
    with serving(spoilt()) as toy:
        result = run(toy.base, "--json", "--service", "toy-sign", "--service", "toy-own")
    report = json.loads(result.stdout)
    assert result.exit_code == report["status"] == 1
    assert [check["id"] for check in report["checks"]] == [check.id for check in CHECKS]
    assert report["counts"] == {**dict.fromkeys(Outcome, 0), **Counter(c["result"] for c in report["checks"])}
    (failed,) = (check for check in report["checks"] if check["result"] == "fail")
    (warned,) = (check for check in report["checks"] if check["result"] == "warn")
    assert failed == {
        "id": "card-indicator",
        "level": "SHALL",
        "says": "The indicator is info, warning or critical.",
        "requirements": [
            {
                "number": "CH-086",
                "level": "SHALL",
                "source": "2.0",
                "text": "The indicator is info, warning or critical.",
            }
        ],
        "result": "fail",
        "problems": [
            {
                "where": "toy-sign cards[0].indicator",
                "seen": '"hard-stop"',
                "expected": "info or warning or critical",
            }
        ],
        "notes": ["toy-own: no call is known for org.example.toy-hook; give one with --request"],
    }
    assert warned["id"] == "error-media-type"


def test_the_table() -> None:
    """Each check with its result; what is wrong says what was seen and expected; counts at the end."""
    with serving(spoilt()) as toy:
        result = run(toy.base)
    shown = " ".join(result.stdout.split())
    assert "fail card-indicator SHALL CH-086 The indicator is info, warning or critical." in shown
    assert 'toy-sign cards[0].indicator: "hard-stop"; expected: info or warning or critical' in shown
    assert "1 fail, 1 warn" in shown
    assert result.exit_code == 1


def test_junit(tmp_path: Path) -> None:
    """One test case per check, with the counts that are said, in XML that can be read."""
    file = tmp_path / "selftest.xml"
    with serving(spoilt()) as toy:
        result = run(toy.base, "--junit", str(file), "--json")
    counts = json.loads(result.stdout)["counts"]
    (suite,) = ET.parse(file).getroot()  # noqa: S314 - written by us
    cases = list(suite)
    assert [case.get("name") for case in cases] == [check.id for check in CHECKS]
    assert suite.get("tests") == str(len(CHECKS))
    assert suite.get("failures") == str(sum(case.find("failure") is not None for case in cases)) == "1"
    skipped = sum(case.find("skipped") is not None for case in cases)
    assert suite.get("skipped") == str(skipped) == str(counts["not-run"] + counts["not-applicable"])
    assert sum(case.find("system-out") is not None for case in cases) == counts["warn"] == 1
    assert suite.get("errors") == "0"


def test_what_a_service_sends_is_shown_in_print_only() -> None:
    """Control characters, halves of pairs and what XML has no place for are replaced wherever they are."""
    check = CHECKS[0]
    evil = "a\x1b[31m\0\ufffe\ud800\u202eb"
    row = Row(check, Outcome.FAIL, (Finding(evil, ok=False, seen=evil, expected="x"),), (evil,))
    report = Report("http://127.0.0.1", (row,))
    (suite,) = ET.fromstring(as_junit(report))  # noqa: S314 - written by us
    for text in ("".join(suite.itertext()), json.dumps(as_object(report), ensure_ascii=False)):
        assert "a\N{REPLACEMENT CHARACTER}[31m" in text
        assert not set("\x1b\0\ufffe\ud800\u202e") & set(text)


def test_a_long_list_of_problems_is_shortened() -> None:
    """A table tells ten, and how many more; the report for programs has them all."""
    findings = [Finding("place", ok=False, seen=str(number), expected="x") for number in range(13)]
    report = Report("http://127.0.0.1", (judged(CHECKS[0], iter(findings)),))
    assert b"and 3 more" in as_junit(report)
    assert len(as_object(report)["checks"][0]["problems"]) == 13


def test_nobody_there(tmp_path: Path) -> None:
    """Exit status 2 with a sentence, a report that says so, and an error in the XML."""
    file = tmp_path / "selftest.xml"
    result = run("http://127.0.0.1:1/", "--json", "--junit", str(file))
    report = json.loads(result.stdout)
    assert result.exit_code == report["status"] == 2
    assert "no answer" in report["stopped"]
    (suite,) = ET.parse(file).getroot()  # noqa: S314 - written by us
    assert (suite.get("tests"), suite.get("errors")) == ("1", "1")
    assert "could not be tested" in run("http://127.0.0.1:1").stdout


def test_one_service_only() -> None:
    """--service: the others are not called; one that is not there stops the run."""
    with serving(Toy(statuses={"no-prefetch": 500})) as toy:
        fine = run(toy.base, "--service", "toy-own", "--json")
        strange = run(toy.base, "--service", "other")
    assert json.loads(fine.stdout)["counts"]["fail"] == 0
    assert strange.exit_code == 2
    assert "does not list other" in strange.stdout


def test_own_requests(tmp_path: Path) -> None:
    """--request: a hook nobody knows is called with it, under a new hookInstance each time."""
    file = tmp_path / "request.json"
    file.write_text(json.dumps(OWN_HOOK), encoding="utf-8")
    with serving(Toy()) as toy:
        without = json.loads(run(toy.base, "--service", "toy-own", "--json").stdout)
        given = json.loads(run(toy.base, "--service", "toy-own", "--json", "--request", str(file)).stdout)
    results = [{check["id"]: check["result"] for check in report["checks"]} for report in (without, given)]
    assert [each["call-answered"] for each in results] == ["not-run", "pass"]
    assert without["status"] == given["status"] == 0


def test_the_list_needs_no_service() -> None:
    """--list shows every check, for people and for programs."""
    shown = run("--list")
    assert shown.exit_code == 0
    assert all(f"{check.id}  {check.level}" in shown.stdout for check in CHECKS)
    assert [check["id"] for check in json.loads(run("--list", "--json").stdout)] == [check.id for check in CHECKS]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["ftp://cds.example.org"],
        ["cds.example.org"],
        ["http://user:secret@127.0.0.1"],
        ["http://127.0.0.1?x=1"],
        ["http://[::1"],
        ["http://127.0.0.1:1", "--issuer", "https://ehr.example.org"],
        ["http://127.0.0.1:1", "--issuer", "x", "--key", "FILE", "--kid", "k"],
        ["http://127.0.0.1:1", "--issuer", "x", "--key", "PEM"],
        ["http://127.0.0.1:1", "--origin", "https://page.example.org/path"],
        ["http://127.0.0.1:1", "--request", "FILE"],
        ["http://127.0.0.1:1", "--request", "LIST"],
        ["http://127.0.0.1:1", "--request", "BARE"],
        ["http://127.0.0.1:1", "--ca-file", "/nowhere"],
        ["http://127.0.0.1:1", "--patient", "nobody"],
    ],
)
def test_what_cannot_be_run_says_so(arguments: list[str], tmp_path: Path) -> None:
    """Exit status 2 and a sentence."""
    contents = {"FILE": b"no key", "LIST": b"[]", "BARE": b'{"hook": "patient-view"}', "PEM": private_pem("k")}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    result = run(*(str(tmp_path / each) if each in contents else each for each in arguments))
    assert result.exit_code == 2
    assert "Error: " in result.stderr


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    """The run was in vain, and the command says why."""
    result = run("http://127.0.0.1:1", "--junit", str(tmp_path / "none" / "file.xml"))
    assert result.exit_code == 1
    assert "No such file" in result.stderr


def test_the_worst_that_was_seen_counts() -> None:
    """Only what binds fails; what was not looked at because of the service keeps the run from being good."""
    fine, bad = Finding("a", ok=True, seen="", expected=""), Finding("b", ok=False, seen="", expected="")
    binding, other = (next(check for check in CHECKS if check.level is level) for level in (Level.SHALL, Level.SHOULD))

    def outcome(check: Check, *seen: Any) -> str:
        return str(judged(check, iter(seen)).result)

    assert outcome(binding, fine, bad) == "fail"
    assert outcome(other, fine, bad) == "warn"
    assert outcome(binding, fine) == "pass"
    assert outcome(binding) == "not-applicable"
