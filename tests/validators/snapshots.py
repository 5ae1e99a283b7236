"""``make snapshots``: what HAPI makes of the hand-written differentials, kept beside them and never edited."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import fhir_profiles
from tests.validators.hapi import write_snapshots

DEFINITIONS: Final = Path(fhir_profiles.__file__).parent / "definitions"
SNAPSHOTS: Final = DEFINITIONS / "snapshots"
_LEFT_OUT: Final = ("mapping", "requirements", "alias", "example")
"""What R4 says at length and no validator reads; a copy of it would triple the size."""


def generated() -> dict[str, list[dict[str, Any]]]:
    """The elements of each snapshot by the id of the profile."""
    with tempfile.TemporaryDirectory() as folder:
        write_snapshots(DEFINITIONS, Path(folder))
        found = (json.loads(file.read_text(encoding="utf-8")) for file in sorted(Path(folder).glob("*.json")))
        return {one["id"]: [_kept(element) for element in one["snapshot"]["element"]] for one in found}


def written(elements: list[dict[str, Any]]) -> str:
    """The content of a file: one element on each line, so that a change can be seen."""
    lines = (json.dumps(element, ensure_ascii=False) for element in elements)
    return "[\n" + ",\n".join(lines) + "\n]\n"


def _kept(element: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in element.items() if name not in _LEFT_OUT}


def main() -> None:
    """Write all of them anew."""
    SNAPSHOTS.mkdir(exist_ok=True)
    for old in SNAPSHOTS.glob("*.json"):
        old.unlink()
    for name, elements in generated().items():
        (SNAPSHOTS / f"{name}.json").write_text(written(elements), encoding="utf-8")


if __name__ == "__main__":
    main()
