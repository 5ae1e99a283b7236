"""Reads ``undetermined.toml``: what the specification leaves open in staging, with the rule that says so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal

import msgspec

from cds_service.knowledge.loader import parse_condition
from cds_service.knowledge.model import Condition

_FILE = "undetermined.toml"
KINDS: Final = ("net", "carcinoma", "undetermined")
"""Kinds of tumour that systems are chosen by (TNM-34)."""


class _Systems(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    rule: str
    sites: list[str]
    net: list[str]
    carcinoma: list[str]
    undetermined: list[str]


class _Category(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    rule: str
    axis: Literal["T", "N", "M"]
    sites: list[str]
    systems: list[str]
    why: str
    always: bool = True
    when: dict[str, Any] = {}
    any: list[dict[str, Any]] = []


class _Stage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    rule: str
    sites: list[str]
    systems: list[str]
    undetermined: list[str]


class _Written(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    systems: list[_Systems]
    category: list[_Category]
    stage: list[_Stage]


@dataclass(frozen=True, slots=True)
class Gap:
    """A condition under which an axis has no category.

    Attributes:
        always: whether it must then have none, or only may.
    """

    rule: str
    why: str
    condition: Condition
    always: bool


class Specified:
    """What staging must say, and what it must leave open."""

    def __init__(self, written: _Written) -> None:
        self._written = written
        self._conditions = [
            parse_condition(f"{_FILE}, {entry.rule}", entry.when, entry.any) for entry in written.category
        ]

    @property
    def sites(self) -> tuple[str, ...]:
        """The sites that have any staging system."""
        return tuple(site for entry in self._written.systems for site in entry.sites)

    def systems(self, site: str, kind: str) -> tuple[str, ...]:
        """The systems of a site for a kind of tumour: net, carcinoma or undetermined."""
        return tuple(next(getattr(entry, kind) for entry in self._written.systems if site in entry.sites))

    def gaps(self, site: str, system: str, axis: str) -> Iterator[Gap]:
        """When the axis has no category."""
        for entry, condition in zip(self._written.category, self._conditions, strict=True):
            if entry.axis == axis and site in entry.sites and system in entry.systems:
                yield Gap(entry.rule, entry.why, condition, entry.always)

    def no_stage(self, site: str, system: str) -> tuple[str, frozenset[str]]:
        """The pairs of T and N that have no group at M0, and the rule."""
        entry = next(e for e in self._written.stage if site in e.sites and system in e.systems)
        return entry.rule, frozenset(entry.undetermined)


@cache
def specified() -> Specified:
    """The file beside this module, read once."""
    return Specified(msgspec.toml.decode((files("cds_service.proof") / _FILE).read_bytes(), type=_Written))
