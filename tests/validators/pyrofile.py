"""pyrofile's validator, over the R4 definitions that come with the FHIR test server's packages."""

from __future__ import annotations

import fcntl
import json
import shutil
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pyrofile_validator import Validator as Pyrofile
from pyrofile_validator.config import ValidatorConfig

from tests.fhir.real_server import FOLDER, install
from tests.validators.finding import Finding, Validator

_PUBLISHED: Final = FOLDER / "node_modules" / "@medplum" / "definitions" / "dist" / "fhir" / "r4"
_CORE: Final = FOLDER / "node_modules" / ".cache" / "hl7.fhir.r4.core"
"""The same, one file per definition; it goes when the packages are installed anew."""
_BUNDLES: Final = (
    "profiles-types",
    "profiles-resources",
    "profiles-others",
    "extension-definitions",
    "valuesets",
    "v3-codesystems",
    "v2-tables",
)
_KINDS: Final = ("StructureDefinition", "ValueSet", "CodeSystem")


class PyrofileValidator(Validator):
    """The validator, and where it puts what it unpacks."""

    def __init__(self, folder: Path, own: Sequence[Path] = ()) -> None:
        """Know what these folders and packages (``.tgz``) define."""
        places = [_core(), *(_unpacked(place, folder) for place in own)]
        self._validator = Pyrofile(
            ValidatorConfig.load_dict(
                {"fhirVersion": "4.0.1", "terminology": {"mode": "local"}, "localPackagePaths": list(map(str, places))}
            )
        )

    def findings(self, resource: Mapping[str, Any], profile: str | None = None) -> list[Finding]:
        held: dict[str, Any] = dict(resource)
        if profile is not None:
            meta = held.get("meta", {})
            held["meta"] = meta | {"profile": [*meta.get("profile", []), profile]}
        report = self._validator.validate_resource(held)
        return [
            Finding(str(issue.severity.value), issue.path or "", issue.code, issue.message) for issue in report.issues
        ]


def _core() -> Path:
    """The definitions of R4 itself, written on first use."""
    install()
    with (FOLDER / "package.json").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # test processes run side by side, and only one may write
        if not _CORE.is_dir():
            _write_core()
    return _CORE


def _write_core() -> None:
    unfinished = _CORE.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    for name in _BUNDLES:
        for entry in json.loads((_PUBLISHED / f"{name}.json").read_text(encoding="utf-8"))["entry"]:
            resource = entry["resource"]
            if resource["resourceType"] in _KINDS:
                file = unfinished / f"{resource['resourceType']}-{resource['id']}.json"
                file.write_text(json.dumps(resource), encoding="utf-8")
    unfinished.rename(_CORE)


def _unpacked(place: Path, folder: Path) -> Path:
    """A folder as it is, a package unpacked."""
    if place.is_dir():
        return place
    into = folder / f"{place.name}-unpacked"
    with tarfile.open(place) as package:
        package.extractall(into, filter="data")
    return into / "package"
