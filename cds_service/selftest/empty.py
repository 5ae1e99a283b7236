"""Members that should have been left out (CH-005)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

_OPAQUE: Final = ("extension", "resource")
"""Members whose contents are agreed between others, or follow the rules of FHIR."""


def empty_members(document: Any) -> Iterator[str]:
    """Places of members that are null, empty text, an empty list or an empty object."""
    waiting = [("", document)]
    while waiting:
        place, value = waiting.pop()
        if isinstance(value, dict):
            for name, member in value.items():
                here = f"{place}.{name}" if place else name
                if member in (None, "", [], {}):
                    yield here
                elif name not in _OPAQUE:
                    waiting.append((here, member))
        elif isinstance(value, list):
            waiting.extend((f"{place}[{number}]", item) for number, item in enumerate(value))
