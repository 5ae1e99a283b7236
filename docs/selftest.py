"""What ``pnet-cds selftest`` checks: the page docs/selftest.md, written from the checks themselves.

Run it from the project's root with ``PYTHONPATH=.``; a test compares the page with what it would print.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from cds_service.selftest.catalogue import CHECKS, requirements
from cds_service.selftest.check import Check

PAGE: Final = Path(__file__).with_suffix(".md")
TOPICS: Final = {
    "discovery": "Discovery",
    "call": "Good calls",
    "card": "Cards and actions",
    "error": "Wrong calls",
    "feedback": "Feedback",
    "security": "Encryption, pages of other origins, tokens",
}
_HEAD: Final = """\
# Self-test of a CDS Hooks service

Written by `docs/selftest.py` from the checks in `cds_service/selftest`; do not edit.

`pnet-cds selftest URL` tries on a running service, ours or another vendor's, what CDS Hooks 2.0 requires as far as it
can be seen from outside. It reads discovery, makes the calls an EHR would make about a synthetic patient, with prefetch
as advertised, and looks at the answers; then it makes wrong calls, sends feedback, and asks as a browser page would.

```sh
pnet-cds selftest http://127.0.0.1:8080                          # a table
pnet-cds selftest https://cds.example.org --json                 # for programs
pnet-cds selftest https://cds.example.org --junit selftest.xml   # for a pipeline
pnet-cds selftest --list                                         # what would be checked
```

| exit status | meaning |
|---|---|
| 0 | nothing that binds failed; there may be warnings |
| 1 | a SHALL failed |
| 2 | nothing could be tested (nobody there, no discovery), or a SHALL could not be looked at because of the service |

The last is so when it stops answering, refuses for too many calls (429), or answers no good call of one of its
services.

| result | meaning |
|---|---|
| pass | looked at, and as it should be |
| fail | a SHALL that is not met |
| warn | a SHOULD or MAY that is not met, or a recommendation of this project where the specification is silent (PROJ) |
| not-applicable | nothing of the kind was seen: no link on any card, no feedback offered |
| not-run | could not be looked at; the line says why |

**Calls it cannot make by itself.** Contexts are known for patient-view, order-select, order-sign, order-dispatch,
appointment-book, encounter-start, encounter-discharge, problem-list-item-create and order-review. For another hook, or
for a service that reads a FHIR server or knows certain patients only, give a body with `--request FILE`; it gets a new
`hookInstance` for each call. `--patient SLUG` takes another synthetic patient, such as one that makes a service speak.

**Systems in use.** `--no-feedback` sends none, so that nothing untrue is counted. Everything else is calls about a
synthetic patient; wrong ones appear in the log of the service. A run makes some fifty calls per service, ninety with
tokens, four of them at the same time; a service that limits rates may need `--service`, one at a time.

**Services that need a token.** `--issuer URI --key FILE` signs every call as that client, with a private key in PEM
(`--kid` says its name) or as a JSON Web Key. `--jku` and `--tenant` go into tokens if given; `--audience URL` is the
base URL as the service knows it, where that is another one. `--require-token` adds calls without a token and with bad
ones, which have to be refused. The key is read, used for this run and kept nowhere.

**Browser pages.** `--origin URL` names a page that has to be let in. Without it the checks of CORS try some page, and
are not run where it is not let in, because a service need not serve browsers.

**Limits.** Each call has `--timeout` seconds in all and at most 16 MiB of answer; redirects and proxies are not
followed. After five calls in a row without an answer no more are made. At most 40 services are called; `--service ID`
chooses. Answers are compared without identifiers, moments and extensions.

A check fails only on what a released text of CDS Hooks says itself. The numbers are explained at the end.
"""


def page() -> str:
    """The page as Markdown."""
    lines = [_HEAD]
    for topic, heading in TOPICS.items():
        checks = [check for check in CHECKS if check.topic == topic]
        lines += [f"## {heading}", "", "| check | level | says | rests on |", "|---|---|---|---|"]
        lines += [*map(_row, checks), ""]
    lines += ["## Requirements", "", "| number | level | source | requirement |", "|---|---|---|---|"]
    lines += [f"| {n} | {one.level} | {one.source} | {one.text} |" for n, one in requirements().items()]
    return "\n".join([*lines, ""])


def _row(check: Check) -> str:
    return f"| `{check.id}` | {check.level} | {check.says} | {' '.join(check.requirements)} |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
