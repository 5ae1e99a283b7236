"""Runs the self-test on a service that is running, and looks at what it says."""

from __future__ import annotations

import time
from datetime import date
from typing import Any, Final

from cds_service.auth.signing import read_signer
from cds_service.selftest.catalogue import CHECKS
from cds_service.selftest.check import Result
from cds_service.selftest.runner import Report, examine
from cds_service.selftest.subject import Wishes
from cds_service.selftest.wire import Wire
from fhir_profiles.synthetic import synthetic_patients
from tests.selftest.toy import ISSUER, KID, Object, Toy
from tests.signing import private_pem

OWN_HOOK: Final[Object] = {
    "hook": "org.example.toy-hook",
    "context": {"patientId": "p", "anything": 1},
    "prefetch": {"conditions": {"resourceType": "Bundle", "entry": [{"resource": {"id": "c"}}]}},
}
"""A call of the hook that nobody published."""
PATIENT: Final = next(each for each in synthetic_patients() if each.slug == "incidental-tail-lesion")


def wire_to(base: str, *, signed: bool = False, seconds: float = 10) -> Wire:
    """The way to a service."""
    signer = read_signer(private_pem(KID), ISSUER, KID) if signed else None
    return Wire(base, base, time.time, seconds, signer)


def examined(toy: Toy, *, signed: bool = False, **wishes: Any) -> Report:
    """What the self-test says of a toy."""
    return reported(wire_to(toy.base, signed=signed), **{"tokens": signed, **wishes})


def reported(wire: Wire, **wishes: Any) -> Report:
    """What the self-test says of the service at the end of a wire."""
    given = Wishes(**{"slow": 5.0, "requests": {OWN_HOOK["hook"]: OWN_HOOK}, **wishes})
    return examine(wire, given, PATIENT, date(2026, 11, 25), CHECKS, lambda _check: None)


def found(report: Report) -> set[str]:
    """Ids of the checks that were not content."""
    return {row.check.id for row in report.rows if row.problems}


def not_run(report: Report) -> set[str]:
    """Ids of the checks that were not run, or found nothing to look at."""
    return {row.check.id for row in report.rows if row.result in (Result.NOT_RUN, Result.NOT_APPLICABLE)}
