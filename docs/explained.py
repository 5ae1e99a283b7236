"""Two assessments as ``pnet-cds explain`` prints them: the page docs/explained-cases.md.

Run it from the project's root with ``PYTHONPATH=.``; a test compares the page with what it would print.
"""

from __future__ import annotations

from datetime import date
from io import StringIO
from pathlib import Path
from typing import Final

from rich.console import Console

from cds_service.consult import Consulted, from_bundle, from_facts
from cds_service.explain import print_assessment
from cds_service.knowledge import load_knowledge
from fhir_profiles.synthetic import synthetic_patients
from fhir_profiles.terminology import load_terminology
from tests.cases_loader import clinical_cases

PAGE: Final = Path(__file__).with_name("explained-cases.md")
CHART: Final = "incidental-tail-lesion"
CASE: Final = "L-419"
_WIDTH: Final = 110
_HEAD: Final = """\
# Two cases explained

Written by `docs/explained.py`; do not edit. What `pnet-cds explain` prints for a clinician: what is known and from
where, what follows and why, every rule that fired with its source, and what is not on record and would matter. The ids
in brackets lead to `/guideline/rules/<id>` of a running service.
"""


def explained(consulted: Consulted, day: date) -> str:
    """The output of the command on a terminal of fixed width."""
    written = StringIO()
    print_assessment(Console(file=written, width=_WIDTH, force_terminal=False, color_system=None), consulted, day)
    return "\n".join(line.rstrip() for line in written.getvalue().splitlines()).rstrip() + "\n"


def page() -> str:
    """The page as Markdown."""
    knowledge = load_knowledge()
    patient = next(patient for patient in synthetic_patients() if patient.slug == CHART)
    day = date.fromisoformat(patient.as_of)
    chart = from_bundle(patient.bundle, (), day, knowledge.on(day), load_terminology())
    case = next(case for case in clinical_cases() if case.id == CASE)
    facts = from_facts({"id": case.id, "facts": case.facts, "orders": list(case.orders)}, knowledge.on(day))
    return "\n".join(
        (
            _HEAD,
            f"## {patient.title}\n\nThe synthetic chart `{CHART}`: {patient.story}\n",
            f"```text\n{explained(chart, day)}```\n",
            f"## {case.name}\n\nThe worked case `{CASE}`, from plain facts. {case.why}\n",
            f"```text\n{explained(facts, day)}```\n",
        )
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
