r"""Half of a character in JSON text, which some systems send when they cut a text to length.

JSON allows an escape such as ``\ud83d`` without its other half, but it stands for no character, and decoders refuse
the whole body for it. Only when decoding has failed is a body read again with the replacement character (U+FFFD) for
each text that holds one: a damaged text must not take the call down. Nothing is left of that text, because what stands
before or after the damage may mean the opposite without it, and no program can take a lone U+FFFD for anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

import msgspec

_Read = TypeVar("_Read")

UNREADABLE = "\N{REPLACEMENT CHARACTER}"
"""Stands for what could not be read as text."""

MENDED = rb'"\ufffd"'
"""How it is written into a body."""

_HIGH = rb"\\u[dD][89abAB][0-9a-fA-F]{2}"
_LOW = rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_SURROGATES = re.compile(rb"(?<!\\)(?:\\\\)*+(?:(" + _HIGH + _LOW + rb")|" + _HIGH + rb"|" + _LOW + rb")")
"""Escaped backslashes, and then a pair of surrogates (group 1) or a single one."""

_UNTOUCHED = re.compile(rb'(?:[^"]++|"(?:[^"\\]++|\\[^u]|\\u(?![dD][89a-fA-F]))*+")*+', re.DOTALL)
"""Everything up to a text that holds a surrogate, paired or not."""

_TEXT = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)


def decode(decoder: Callable[[bytes], _Read], body: bytes) -> tuple[_Read, bytes]:
    """What the decoder makes of the body, and the body; if texts of it hold half characters, of the body without them.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError, RecursionError: as the decoder does.
    """
    try:
        return decoder(body), body
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        mended = whole_texts(body)
        if mended is body:
            raise
    return decoder(mended), mended


def whole_texts(body: bytes) -> bytes:
    """The JSON text with U+FFFD for every text that holds a surrogate escape without its other half."""
    mended = bytearray()
    done = place = 0
    while (before := _UNTOUCHED.match(body, place)) and (text := _TEXT.match(body, before.end())):
        place = text.end()
        if any(found[1] is None for found in _SURROGATES.finditer(body, text.start(), place)):
            mended += body[done : text.start()]
            mended += MENDED
            done = place
    return bytes(mended + body[done:]) if mended else body
