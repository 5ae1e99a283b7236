"""The integrator's guide says what the service asks for."""

from __future__ import annotations

import re
from typing import Final

from cds_service.clients import PamaPlacement
from fhir_profiles.inputs import INPUTS
from tests.docs.following import ROOT

PAGE: Final = (ROOT / "docs" / "integrators.md").read_text(encoding="utf-8")


def test_the_templates_are_those_of_discovery() -> None:
    """Each key with its template, in order, and no other."""
    told = re.findall(r"^\| `(\w+)` \| `([^`]*context[^`]*)` \|", PAGE, re.MULTILINE)
    assert told == [(asked.key, asked.query) for asked in INPUTS]


def test_the_placements_are_those_of_clients() -> None:
    """Every value of ``--pama`` is explained, and no other."""
    told = re.search(r"\| `--pama` .*?\n\n", PAGE, re.DOTALL)
    assert told
    assert re.findall(r"^\| `(\w+)` \|", told[0], re.MULTILINE) == [str(placement) for placement in PamaPlacement]
