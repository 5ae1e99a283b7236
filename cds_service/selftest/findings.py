"""What a check sees: things that are as they should be or not, and things that could not be looked at."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

_LONGEST_SHOWN: Final = 100


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        where: the service, and the place in its answer.
        seen: what there was, in a few words.
    """

    where: str
    ok: bool
    seen: str
    expected: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """One thing that could not be looked at.

    Attributes:
        hindered: the service is the reason (no answer, or none to go on with), not what the command was told.
    """

    where: str
    why: str
    hindered: bool = False


Sights = Iterator[Finding | Skipped]
"""What a check yields: one for each thing it looked at; none if there was nothing of the kind."""


def shown(value: Any) -> str:
    """A value as JSON, not too much of it."""
    text = json.dumps(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def must(where: str, ok: bool, seen: Any, expected: str) -> Finding:
    """A finding about a value of an answer."""
    return Finding(where, ok, shown(seen), expected)
