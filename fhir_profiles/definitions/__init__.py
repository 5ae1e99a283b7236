"""The profiles of this project: what is asked of a sender, and what is written.

``StructureDefinition-*.json`` are differentials, written by hand. ``snapshots`` holds what a validator made of them
(``make snapshots``) and is never edited. ``examples`` shows each profile in use, and in ``invalid`` each way to
miss it.
"""

from __future__ import annotations

import json
import tomllib
from functools import cache
from importlib.resources import files
from typing import Any, Final

_HERE: Final = files("fhir_profiles") / "definitions"


@cache
def structure_definitions() -> tuple[dict[str, Any], ...]:
    """Every profile and extension, with its snapshot."""
    return tuple({**one, **_snapshot(one["id"])} for one in _named("").values())


@cache
def valid_examples() -> dict[str, dict[str, Any]]:
    """One or more instances of each profile, by name."""
    return _named("examples/valid")


@cache
def invalid_examples() -> dict[str, tuple[dict[str, Any], str]]:
    """Instances that miss their profile in one way each, by name, with what a validator must object to.

    That is the key of an invariant, or the path of an element.
    """
    reasons = tomllib.loads((_HERE / "examples" / "invalid" / "reasons.toml").read_text(encoding="utf-8"))
    return {name: (one, reasons[name]) for name, one in _named("examples/invalid").items()}


def _snapshot(identifier: str) -> dict[str, Any]:
    file = _HERE / "snapshots" / f"{identifier}.json"
    return {"snapshot": {"element": json.loads(file.read_text(encoding="utf-8"))}} if file.is_file() else {}


def _named(folder: str) -> dict[str, dict[str, Any]]:
    """The JSON files of a folder by name, in a stable order."""
    found = sorted((_HERE / folder).iterdir(), key=lambda file: file.name)
    return {
        file.name.removesuffix(".json"): json.loads(file.read_text(encoding="utf-8"))
        for file in found
        if file.name.endswith(".json")
    }
