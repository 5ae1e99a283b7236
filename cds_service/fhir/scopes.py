"""What the SMART scopes of a call allow to be read, in the syntax of version 1 and of version 2 (CH-072, CH-186)."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final
from urllib.parse import parse_qsl

_SCOPE: Final = re.compile(r"(?:patient|user|system)/(\*|[A-Za-z]+)\.([a-z]+|\*)(?:\?(.+))?")
_V1: Final = {"read": "rs", "write": "cud", "*": "cruds"}
_V2: Final = re.compile(r"c?r?u?d?s?")


class Grant(StrEnum):
    """How much of a query the scopes cover."""

    NONE = "none"
    PART = "part"
    FULL = "full"


def granted(scope: str | None, query: str) -> Grant:
    """Whether a read (``Patient/1``) or search (``Condition?patient=1``) is covered.

    When a call does not state its scopes, the server decides. A scope that version 2 narrows by search parameters
    covers a search in full only when the search is at least as narrow; otherwise something would be left out.
    """
    if scope is None:
        return Grant.FULL
    path, _, parameters = query.partition("?")
    kind, _, identifier = path.partition("/")
    found = {_covers(word, kind, "r" if identifier else "s", parameters) for word in scope.split()}
    return next((grant for grant in (Grant.FULL, Grant.PART) if grant in found), Grant.NONE)


def _covers(word: str, kind: str, interaction: str, parameters: str) -> Grant:
    found = _SCOPE.fullmatch(word)
    if found is None or found[1] not in ("*", kind):
        return Grant.NONE
    rights = _V1.get(found[2], found[2] if _V2.fullmatch(found[2]) else "")
    if interaction not in rights:
        return Grant.NONE
    asked = dict(parse_qsl(parameters))
    narrower = all(_token_fits(asked.get(name, ""), value) for name, value in parse_qsl(found[3] or ""))
    return Grant.FULL if narrower else Grant.PART


def _token_fits(asked: str, allowed: str) -> bool:
    """Whether a code searched for is among those allowed; one without system is taken as the same code."""
    system, _, code = asked.rpartition("|")
    listed = (item.rpartition("|") for item in allowed.split(","))
    return any(code and code == one and (not system or not of or system == of) for of, _, one in listed)
