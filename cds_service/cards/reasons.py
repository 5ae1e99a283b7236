"""Reasons a card offers for not following it; they come back with feedback and are counted in its report."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

from cds_service.domain.terms import FHIR_BASE
from cds_service.protocol.response import Coding

KINDS: Final = ("order", "followup", "dispatch", "summary")
"""Kinds of cards that offer reasons."""


@cache
def override_reasons(kind: str) -> tuple[Coding, ...]:
    """The reasons for one of :data:`KINDS`, most specific first."""
    table = _table()
    system = f"{FHIR_BASE}/{table['system']}"
    return tuple(Coding(system, row["code"], row["display"]) for row in table["reason"] if kind in row["cards"])


@cache
def _table() -> Mapping[str, Any]:
    return tomllib.loads((files("cds_service.cards") / "override-reasons.toml").read_text(encoding="utf-8"))
