"""What of CDS Hooks the service supports: the page docs/conformance.md (CH-190).

Run it from the project's root with ``PYTHONPATH=.``; a test compares the page with what it would print.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Final

from hooks import SERVICES
from tests.conformance.examples import MESSAGES, examples
from tests.conformance.table import STATUSES, Requirement, requirements

PAGE: Final = Path(__file__).with_suffix(".md")
GROUPS: Final = {"CH": "CDS Hooks", "PM": "PAMA ratings", "CR": "CRD, the useful parts"}
_HEAD: Final = """\
# Conformance

Written by `docs/conformance.py` from `tests/conformance/cds_hooks.csv`; do not edit. The table holds every requirement
of the CDS Hooks specification that binds or affects a service, with its level, our wording, its status, and the tests
that show it or the reason why there is none. Tests keep it complete, and true about the tests it names.

## What is supported

CDS Hooks 2.0 (STU2) with the errata of 2.0.1, over FHIR R4: discovery, calls, cards with suggestions, system actions,
feedback, prefetch with fallback to the FHIR server of the call, and authentication of clients by signed tokens. From
draft 3.0: OperationOutcome in refusals, scopes of SMART version 2, and versions in discovery behind a switch.
"""
_LEFT_OUT: Final = """\
Cards link to one app, the patient's story ([](smart-app.md)), where the EHR that calls can open it. Nothing is claimed
of CRD beyond the options and references named in the table, and templates with dates, paths or variables (draft 3.0)
are not sent.

## How deviations are treated

A call is refused only where an answer would be impossible or unsafe. Everything else is answered as a correct call
would be, and logged as `client_defects` by number, so that the client's maker can be told what to mend. How each
message is treated, valid and invalid, is data: `tests/conformance/examples/behaviour.csv`, beside the examples.
"""


def page() -> str:
    """The page as Markdown."""
    table = requirements()
    return "\n".join(
        [
            _HEAD,
            *_services(),
            "",
            _LEFT_OUT,
            *_examples(),
            "",
            "## Status of the requirements",
            "",
            *_counts(table),
            "",
            *(f"- *{status}*: {meaning}" for status, meaning in STATUSES.items()),
            "",
            "## Requirements without a positive test",
            "",
            *_rest(table),
            "",
        ]
    )


def _services() -> list[str]:
    rows = (f"| `{service.id}` | {service.hook} |" for service in SERVICES)
    return ["| service | hook |", "|---|---|", *rows]


def _examples() -> list[str]:
    valid = Counter(example.message for example in examples() if example.valid)
    invalid = Counter(example.message for example in examples() if not example.valid)
    rows = (f"| {message} | {valid[message]} | {invalid[message]} |" for message in MESSAGES)
    return ["| message | valid examples | invalid examples |", "|---|---|---|", *rows]


def _counts(table: tuple[Requirement, ...]) -> list[str]:
    counted = Counter((row.number[:2], row.status) for row in table)
    used = [status for status in STATUSES if any(row.status == status for row in table)]
    rows = (
        f"| {label} | {' | '.join(str(counted[prefix, status]) for status in used)} |"
        for prefix, label in GROUPS.items()
    )
    return [f"| | {' | '.join(used)} |", "|---" * (len(used) + 1) + "|", *rows]


def _rest(table: tuple[Requirement, ...]) -> list[str]:
    rows = (
        f"| {row.number} | {row.level} | {row.wording} | {row.status} | {row.reason} |"
        for row in table
        if row.status != "tested"
    )
    return ["| number | level | requirement | status | reason |", "|---|---|---|---|---|", *rows]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
