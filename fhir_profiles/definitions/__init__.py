"""The profiles of this project: what is asked of a sender, and what is written.

``StructureDefinition-*.json`` are differentials, written by hand. ``snapshots`` holds what a validator made of them
(``make snapshots``) and is never edited. ``examples`` shows each profile in use, and in ``invalid`` each way to miss it.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any, Final

_HERE: Final = files("fhir_profiles") / "definitions"


@cache
def structure_definitions() -> tuple[dict[str, Any], ...]:
    """Every profile and extension, with its snapshot."""
    return tuple({**one, **_snapshot(one["id"])} for one in _folder(""))


@cache
def valid_examples() -> tuple[dict[str, Any], ...]:
    """One or more instances of each profile."""
    return _folder("examples/valid")


def _snapshot(identifier: str) -> dict[str, Any]:
    file = _HERE / "snapshots" / f"{identifier}.json"
    return {"snapshot": {"element": json.loads(file.read_text(encoding="utf-8"))}} if file.is_file() else {}


def _folder(name: str) -> tuple[dict[str, Any], ...]:
    found = sorted((_HERE / name).iterdir(), key=lambda file: file.name)
    return tuple(json.loads(file.read_text(encoding="utf-8")) for file in found if file.name.endswith(".json"))
