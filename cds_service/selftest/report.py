"""A report as a table, as JSON, and as JUnit XML, without anything a service sent that cannot be printed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final
from xml.etree import ElementTree as ET

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cds_service.selftest.catalogue import requirements
from cds_service.selftest.check import Check, Result, Row
from cds_service.selftest.runner import Report

_MOST_PROBLEMS: Final = 10
_COLOURS: Final = {Result.PASS: "green", Result.FAIL: "bold red", Result.WARN: "yellow"}


def printable(text: str) -> str:
    """Text without control characters, which could steer a terminal and have no place in XML."""
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)


def lines(row: Row) -> list[str]:
    """What was not as it should be, and what could not be looked at."""
    told = [f"{p.where}: {p.seen}; expected: {p.expected}".removeprefix(": ") for p in row.problems[:_MOST_PROBLEMS]]
    more = len(row.problems) - _MOST_PROBLEMS
    told += [f"and {more} more"] if more > 0 else []
    return [printable(line) for line in (*told, *row.notes[:_MOST_PROBLEMS])]


def print_report(console: Console, report: Report) -> None:
    """A row for each check, and the counts."""
    if report.stopped:
        console.print(Text(f"{report.base} could not be tested: {printable(report.stopped)}"))
        return
    table = Table("result", "check", box=SIMPLE_HEAD)
    table.columns[0].no_wrap = True
    for row in report.rows:
        told = Text("\n".join([_heading(row.check), row.check.says, *lines(row)]))
        told.stylize("bold", 0, len(row.check.id))
        table.add_row(Text(row.result, style=_COLOURS.get(row.result, "dim")), told)
    console.print(table)
    console.print(Text(", ".join(f"{report.count(result)} {result}" for result in Result)))


def print_checks(console: Console, checks: Iterable[Check]) -> None:
    """What would be looked at."""
    for check in checks:
        console.print(Text(f"{_heading(check)}\n    {check.says}"))


def _heading(check: Check) -> str:
    return f"{check.id}  {check.level}  {' '.join(check.requirements)}"


def as_object(report: Report) -> dict[str, Any]:
    """The report for programs."""
    counts = {str(result): report.count(result) for result in Result}
    stopped = {"stopped": printable(report.stopped)} if report.stopped else {}
    rows = [check_object(row.check) | _outcome(row) for row in report.rows]
    return {"base": report.base, "status": report.status, **stopped, "counts": counts, "checks": rows}


def check_object(check: Check) -> dict[str, Any]:
    """A check for programs."""
    known = requirements()
    rests = [
        {"number": n, "level": known[n].level, "source": known[n].source, "text": known[n].text}
        for n in check.requirements
    ]
    return {"id": check.id, "level": str(check.level), "says": check.says, "requirements": rests}


def _outcome(row: Row) -> dict[str, Any]:
    problems = [{"where": printable(p.where), "seen": printable(p.seen), "expected": p.expected} for p in row.problems]
    return {"result": str(row.result), "problems": problems, "notes": [printable(note) for note in row.notes]}


def as_junit(report: Report) -> bytes:
    """The report as JUnit XML: a failure for what failed, a skipped test for what was not looked at.

    Warnings are passed tests that say something (``system-out``), so that they do not break a build.
    """
    stopped = int(bool(report.stopped))
    not_run = report.count(Result.NOT_RUN) + report.count(Result.NOT_APPLICABLE)
    counts = {"tests": len(report.rows) + stopped, "failures": report.count(Result.FAIL), "errors": stopped}
    suite = ET.Element("testsuite", name=f"CDS Hooks {report.base}", skipped=str(not_run))
    suite.attrib |= {name: str(count) for name, count in counts.items()}
    if report.stopped:
        case = ET.SubElement(suite, "testcase", classname="selftest", name="discovery")
        ET.SubElement(case, "error", message=printable(report.stopped))
    for row in report.rows:
        case = ET.SubElement(suite, "testcase", classname=f"selftest.{row.check.topic}", name=row.check.id)
        told = "\n".join([f"{row.check.level} ({', '.join(row.check.requirements)}): {row.check.says}", *lines(row)])
        if row.result is Result.FAIL:
            ET.SubElement(case, "failure", message=row.check.says).text = told
        elif row.result in (Result.NOT_RUN, Result.NOT_APPLICABLE):
            ET.SubElement(case, "skipped", message=" ".join([row.result, *lines(row)]))
        elif row.result is Result.WARN:
            ET.SubElement(case, "system-out").text = told
    root = ET.Element("testsuites")
    root.append(suite)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))
