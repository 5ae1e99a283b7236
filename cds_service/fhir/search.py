"""Prefetch templates to requests: context values come from the caller and are percent-encoded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

PAGE_SIZE: Final = 1000
"""Matches asked for in one page; servers with a lower limit send more pages."""

_TOKEN: Final = re.compile(r"\{\{context\.(\w+)\}\}")


def fill(template: str, context: Mapping[str, str | None]) -> str | None:
    """The query with its tokens filled; None when the call has no value for one of them (CH-051 to CH-053)."""
    names = _TOKEN.findall(template)
    if any(not context.get(name) for name in names):
        return None
    return _TOKEN.sub(lambda token: quote(context.get(token[1]) or "", safe=""), template)


def first_page(query: str) -> str:
    """A search asks for large pages; a read is asked as it is."""
    return f"{query}&_count={PAGE_SIZE}" if "?" in query else query
