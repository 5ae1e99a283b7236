"""How many worked cases of the tests try each rule of the specification: written by ``docs/coverage.py``."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple

_FILE: Final = "cases.toml"


class WorkedCases(NamedTuple):
    """Cases in all, and how many of them apply each rule or were written for it, in the order of the specification."""

    total: int
    by_rule: Mapping[str, int]


@cache
def worked_cases() -> WorkedCases:
    """The numbers of this release."""
    told = tomllib.loads((files("cds_service.knowledge") / _FILE).read_text(encoding="utf-8"))
    return WorkedCases(told["total"], told["rules"])
