"""From an address to a report: discovery first, without which nothing can be tried, then every check in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from typing import Final

from cds_service.selftest.check import Check, Level, Result, Row
from cds_service.selftest.findings import Finding, Sights, Skipped
from cds_service.selftest.subject import Subject, Wishes, is_discovery
from cds_service.selftest.wire import DISCOVERY, Silence, Wire
from cds_service.store.base import SyntheticPatient

_REFUSED: Final = (401, 403)


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a run.

    Attributes:
        stopped: why nothing could be tried; empty when something was.
    """

    base: str
    rows: tuple[Row, ...] = ()
    stopped: str = ""

    def count(self, result: Result) -> int:
        """How many checks had this result."""
        return sum(row.result == result for row in self.rows)

    @property
    def status(self) -> int:
        """Exit status: 1 if anything failed, 2 if something binding could not be looked at because of the service."""
        if self.count(Result.FAIL):
            return 1
        unseen = any(row.hindered and row.check.level is Level.SHALL for row in self.rows)
        return 2 if self.stopped or unseen else 0


def examine(
    wire: Wire,
    wishes: Wishes,
    patient: SyntheticPatient,
    today: date,
    checks: Iterable[Check],
    tell: Callable[[Check], None],
) -> Report:
    """Try every check; ``tell`` hears of each before it is tried."""
    discovery = wire.send("GET", DISCOVERY)
    if isinstance(discovery, Silence):
        return Report(wire.base, stopped=discovery.why)
    if not is_discovery(discovery.content()):
        hint = "; is the token a good one (--issuer, --key, --audience)?" if discovery.status in _REFUSED else ""
        why = f"GET {DISCOVERY} answered with status {discovery.status} and no list of services{hint}"
        return Report(wire.base, stopped=why)
    subject = Subject(wire, wishes, discovery, patient, today)
    missing = wishes.services - {service.id for service in subject.services()}
    if missing:
        return Report(wire.base, stopped=f"discovery does not list {', '.join(sorted(missing))}")
    rows = []
    for check in checks:
        tell(check)
        rows.append(judged(check, check.look(subject)))
    return Report(wire.base, tuple(rows))


def judged(check: Check, sights: Sights) -> Row:
    """The result of a check: the worst of what it saw."""
    seen = list(sights)
    looked = [item for item in seen if isinstance(item, Finding)]
    skipped = [item for item in seen if isinstance(item, Skipped)]
    problems = tuple(finding for finding in looked if not finding.ok)
    notes = tuple(dict.fromkeys(f"{item.where}: {item.why}" if item.where else item.why for item in skipped))
    if problems:
        result = Result.FAIL if check.level is Level.SHALL else Result.WARN
    elif looked:
        result = Result.PASS
    else:
        result = Result.NOT_RUN if skipped else Result.NOT_APPLICABLE
    return Row(check, result, problems, notes, hindered=any(item.hindered for item in skipped))
