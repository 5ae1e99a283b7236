"""Markdown that survives text from a patient's record."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

_SPECIAL = re.compile(r"([\\`*_{}\[\]()#!|<>~&:@]|(?<=www)\.)")
_REFERENCE = re.compile(r"[A-Z][A-Za-z]{1,40}(/[A-Za-z0-9\-.]{1,512})?")
_MARKED = re.compile(r"\\([\\`*_{}\[\]()#!|<>~&:@.])|`")
_LONGEST = 120


def escape(value: str) -> str:
    """Text from a record as plain text inside Markdown: no markup, link, HTML or line break survives."""
    return _SPECIAL.sub(r"\\\1", plain(value))


def reference(value: str) -> str:
    """A relative reference as code when it has the form of one, else as escaped text."""
    return f"`{value}`" if _REFERENCE.fullmatch(value) else escape(value)


def plain(value: str) -> str:
    """Text from a record on one line, without control characters, cut to a sensible length."""
    if not value.isprintable():  # what is printable has no control character
        value = "".join(" " if _is_control(character) else character for character in value)
    flat = " ".join(value.split())
    return flat if len(flat) <= _LONGEST else flat[: _LONGEST - 1].rstrip() + "…"


def unmarked(line: str) -> str:
    """A line of a card as plain text, for pages that escape in their own way."""
    return _MARKED.sub(lambda found: found[1] or "", line)


def _is_control(character: str) -> bool:
    """Control, format, private-use and unassigned characters, and line or paragraph separators."""
    category = unicodedata.category(character)
    return category.startswith("C") or category in ("Zl", "Zp")


def section(title: str, lines: list[str]) -> str:
    """A titled list; nothing when there are no lines."""
    return f"**{title}**\n" + "\n".join(f"- {line}" for line in lines) if lines else ""


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A table; nothing when there are no rows."""
    if not rows:
        return ""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def document(parts: list[str]) -> str:
    """Parts separated by blank lines; empty ones are left out."""
    return "\n\n".join(part for part in parts if part)


def cut(value: str, limit: int) -> str:
    """The text, shortened at a word when it is longer than the limit."""
    if len(value) <= limit:
        return value
    return value[: limit - 1].rsplit(" ", 1)[0].rstrip(" ,;:.") + "…"
