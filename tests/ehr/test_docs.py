"""The commands of ``docs/sandbox.md`` work as they are written, one after the other."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from cds_service.ehr.orders import written_order
from fhir_profiles.synthetic import synthetic_patients
from fhir_profiles.terminology import load_terminology
from tests.calling import OverHttp
from tests.ehr.servers import Server

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs" / "sandbox.md").read_text(encoding="utf-8")
BLOCKS: Final = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
FHIR: Final = "http://localhost:8090/fhir"
COMMAND: Final = ".venv/bin/pnet-cds"


def adapted(block: str, fhir: str, cds: str) -> str:
    """The block for the servers of the test."""
    ours = f"{sys.executable} -m cds_service"
    return block.replace(FHIR, fhir).replace(f"{COMMAND} call", f"{ours} call --url {cds}").replace(COMMAND, ours)


def test_the_page_can_be_followed(fhir: Server, cds: OverHttp, tmp_path: Path) -> None:
    """Every block ends with exit status 0; cards come where cards are promised; in the end nothing is left."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PNET_CDS_")}
    environment = clean | fhir.environment | {"COLUMNS": "200", "PYTHONPATH": str(ROOT)}
    said = []
    for block in BLOCKS:
        ran = subprocess.run(
            ["bash", "-eu", "-c", adapted(block, fhir.url, cds.base)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert ran.returncode == 0, (block, ran.stderr)
        said.append(ran.stdout + ran.stderr)
    load, select, sign, pacemaker, others, feedback, kept, clean_up = said
    assert "Patient/itl-patient" in load
    assert "ServiceRequest/itl-sr-eus" in load
    assert "Replace by MRI abdomen and pelvis without and with IV contrast" in select
    assert "Recorded on ServiceRequest/itl-sr-eus: not-appropriate" in sign
    assert "critical" in pacemaker
    assert "staging summary" in others
    assert "Feedback on 1 cards was taken." in feedback
    assert "Card 1" in kept
    assert "Would delete: " in clean_up
    assert "\nDeleted: " in clean_up
    assert fhir.get("Patient/itl-patient") is None


def test_the_page_counts_the_patients() -> None:
    """All sixteen are all."""
    assert "All sixteen" in PAGE
    assert len(synthetic_patients()) == 16


@pytest.mark.parametrize("order", ["mri-abd-pel-wwo", "loinc|97392-5", "http://loinc.org|97392-5", "97392-5"])
def test_the_ways_to_name_an_order_are_one(order: str) -> None:
    """The table names one study in four ways."""
    assert f"`{order}`" in PAGE.replace("\\|", "|")
    (coding,) = written_order(order, load_terminology())["code"]["coding"]
    assert (coding["system"], coding["code"]) == ("http://loinc.org", "97392-5")
