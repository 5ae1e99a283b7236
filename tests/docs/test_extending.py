"""The walk-throughs of ``docs/extending.md``, followed in a copy of the tree."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final, NamedTuple

import pytest

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
PACKAGES: Final = ("cds_service", "fhir_profiles", "hooks")
_STEP: Final = re.compile(r"<!-- (append|before|file): ([\w./-]+?)(?:: (.+?))? -->\n```\w+\n(.*?)```", re.DOTALL)
_COMMAND: Final = re.compile(r"```sh\n(.*?)```", re.DOTALL)
TUMOUR: Final = {
    "resourceType": "Bundle",
    "type": "collection",
    "entry": [
        {"resource": {"resourceType": "Patient", "id": "one", "birthDate": "1970-01-01"}},
        {
            "resource": {
                "resourceType": "Condition",
                "id": "tumour",
                "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "C25.4"}]},
                "subject": {"reference": "Patient/one"},
            }
        },
        {
            "resource": {
                "resourceType": "Observation",
                "id": "size",
                "status": "final",
                "code": {
                    "coding": [
                        {
                            "system": "https://pnet-cds.example.org/fhir/CodeSystem/pnet-cds-local",
                            "code": "tumour-diameter",
                        }
                    ]
                },
                "subject": {"reference": "Patient/one"},
                "effectiveDateTime": "2026-03-01",
                "valueQuantity": {"value": 1.8, "unit": "cm", "system": "http://unitsofmeasure.org", "code": "cm"},
            }
        },
    ],
}


class Walk(NamedTuple):
    """A copy of the tree after the steps of a section, and the commands the section shows."""

    folder: Path
    commands: list[str]

    def run(self, command: str, *, given: str = "") -> str:
        """A command of the page, in the copy; it ends well."""
        program = f"{sys.executable} -m cds_service"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", re.sub(r"\bpnet-cds(?= )", program, command)],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": str(self.folder)},
            input=given,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def follow(heading: str, folder: Path) -> Walk:
    """Do what a section says."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    section = PAGE.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    steps = _STEP.findall(section)
    assert steps
    for kind, name, place, text in steps:
        path = folder / name
        if kind == "file":
            assert not path.exists()
            path.write_text(text, encoding="utf-8")
            continue
        before = path.read_text(encoding="utf-8")
        if kind == "append":
            path.write_text(f"{before.rstrip()}\n\n{text}", encoding="utf-8")
            continue
        found = re.search(rf"^[ ]*{re.escape(place.encode().decode('unicode_escape'))}", before, re.MULTILINE)
        assert found, place
        path.write_text(before[: found.start()] + text + before[found.start() :], encoding="utf-8")
    return Walk(folder, _COMMAND.findall(section))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the copy goes."""
    return tmp_path / "tree"


def test_a_code(folder: Path) -> None:
    """The tables hold together, and a size under the new code is read, in its unit."""
    walk = follow("Add a code", folder)
    (check,) = walk.commands
    assert "problems: 0" in walk.run(check)
    answer = json.loads(walk.run("pnet-cds assess --bundle /dev/stdin --as-of 2026-04-01", given=json.dumps(TUMOUR)))
    assert answer["facts"]["size_mm"]["value"] == 18
    package = walk.run("pnet-cds export-fhir out --loose > /dev/null; cat out/package/ValueSet-tumour-size.json")
    assert "tumour-diameter" in package


def test_a_scenario(folder: Path) -> None:
    """The new scenario is chosen where its row says, and the list still has no holes."""
    walk = follow("Add a scenario", folder)
    (assess,) = walk.commands
    assert json.loads(walk.run(assess))["scenario"] == "pnet-walk-through"
    decided = assess.replace("undecided", "active-surveillance")
    assert json.loads(walk.run(decided))["scenario"] == "pnet-untreated-followup"
    assert "problems: 0" in walk.run("pnet-cds check --quick")


def test_a_hook(folder: Path) -> None:
    """Discovery offers it beside the other service of its hook, and it answers."""
    walk = follow("Add a hook", folder)
    asked = """
from cds_service.app import create_app
from cds_service.settings import load_settings
client = create_app(load_settings(demo=True)).test_client()
services = client.get("/cds-services").get_json()["services"]
print([service["id"] for service in services if service["hook"] == "patient-view"])
call = client.get("/demo/requests/incidental-tail-lesion?hook=patient-view").get_json()
print(client.post("/cds-services/pnet-greeting", json=call).get_json()["cards"][0]["summary"])
"""
    said = walk.run(f"PNET_CDS_DATABASE_URL=sqlite:///store.sqlite {sys.executable} - <<'E'\n{asked}\nE")
    assert {"['pnet-patient-view', 'pnet-greeting']", "Imaging advice is available"} <= set(said.splitlines())
