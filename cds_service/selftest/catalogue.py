"""Every check, in the order they are tried and shown, and the requirements they rest on."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

from cds_service.selftest import calls, cards, discovery, errors, feedback, security
from cds_service.selftest.check import Check

CHECKS: Final[tuple[Check, ...]] = (
    *discovery.CHECKS,
    *calls.CHECKS,
    *cards.CHECKS,
    *errors.CHECKS,
    *feedback.CHECKS,
    *security.CHECKS,
)


@dataclass(frozen=True, slots=True)
class Requirement:
    """One requirement in our own words.

    Attributes:
        level: how binding it is in its source.
        source: the text it is from; PROJ where every text is silent and this project recommends something.
    """

    level: str
    source: str
    text: str


@cache
def requirements() -> Mapping[str, Requirement]:
    """The requirements that checks rest on, by number."""
    content = (files("cds_service.selftest") / "requirements.toml").read_text(encoding="utf-8")
    return {number: Requirement(**row) for number, row in tomllib.loads(content)["requirement"].items()}
