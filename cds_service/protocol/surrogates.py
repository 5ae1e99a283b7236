r"""Half of a character in JSON text, which some systems send when they cut a text to length.

JSON allows an escape such as ``\ud83d`` without its other half, but it stands for no character, and decoders refuse
the whole body for it. Only when decoding has failed is a body read again with the replacement character (U+FFFD) in its
place: one damaged text must not take the call down. Whoever reads a text with that character takes it as unreadable.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

import msgspec

_Read = TypeVar("_Read")

UNREADABLE = "\N{REPLACEMENT CHARACTER}"
"""Stands for what could not be read as text."""

MENDED = rb"\ufffd"
"""How it is written into a body."""

_HIGH = rb"\\u[dD][89abAB][0-9a-fA-F]{2}"
_LOW = rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_SURROGATES = re.compile(rb"(?<!\\)((?:\\\\)*)(?:(" + _HIGH + _LOW + rb")|" + _HIGH + rb"|" + _LOW + rb")")
"""Escaped backslashes, and then a pair of surrogates or a single one."""


def decode(decoder: Callable[[bytes], _Read], body: bytes) -> tuple[_Read, bytes]:
    """What the decoder makes of the body, and the body; if it holds half characters, of the body without them.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError, RecursionError: as the decoder does.
    """
    try:
        return decoder(body), body
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        mended = whole_characters(body)
        if mended == body:
            raise
    return decoder(mended), mended


def whole_characters(body: bytes) -> bytes:
    """The JSON text with U+FFFD for every surrogate escape that has no other half; all else as it was."""
    return _SURROGATES.sub(lambda found: found[0] if found[2] else found[1] + MENDED, body)
