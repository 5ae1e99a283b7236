"""Prefetch templates to requests: context values come from the caller and are percent-encoded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

PAGE_SIZE: Final = 1000
"""Matches asked for in one page; servers with a lower limit send more pages."""

_TOKEN: Final = re.compile(r"\{\{([\w.]+)\}\}")
_READ_AS_IT_IS: Final = "context.userId"
"""The one token that holds ``Type/id`` (CH-054); the others hold a bare id."""


def fill(template: str, values: Mapping[str, str | None]) -> str | None:
    """The query with its tokens filled; None when one of them has no value or is none we know (CH-051 to CH-054).

    A value with a comma is none: no id has one, and a search takes it for "or" however it is encoded, so that it would
    find somebody else's data.

    Args:
        template: a prefetch template.
        values: by token, such as ``context.patientId``.
    """
    names = _TOKEN.findall(template)
    given = [values.get(name) for name in names]
    if any(not value or "," in value for value in given) or "{{" in _TOKEN.sub("", template):
        return None
    return _TOKEN.sub(
        lambda token: quote(values.get(token[1]) or "", safe="/" if token[1] == _READ_AS_IT_IS else ""), template
    )


def first_page(query: str) -> str:
    """A search asks for large pages; a read is asked as it is."""
    return f"{query}&_count={PAGE_SIZE}" if "?" in query else query
