"""Half characters in JSON text: only they are replaced, and only when the text cannot be read as it is."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.protocol.surrogates import decode, whole_characters
from tests.property.strategies import steady

SINGLE = r"\ud83d"
PAIR = r"\ud83d\ude00"

TEXTS = {
    "half at the end": (rf"cut {SINGLE}", r"cut \ufffd"),
    "second half alone": (r"\ude00 x", r"\ufffd x"),
    "two first halves": (r"\ud83d\uD83D", r"\ufffd\ufffd"),
    "halves in the wrong order": (r"\uDE00\uD83D", r"\ufffd\ufffd"),
    "half before a pair": (SINGLE + PAIR, r"\ufffd" + PAIR),
    "half after a pair": (PAIR + SINGLE, PAIR + r"\ufffd"),
    "half after an escaped backslash": (r"\\" + SINGLE, r"\\\ufffd"),
    "half after another escape": (r"\n" + SINGLE + r"\"", r"\n\ufffd\""),
    "half before another escape": (SINGLE + r"\u0041", r"\ufffd\u0041"),
    "pair": (PAIR, PAIR),
    "letters after an escaped backslash": (r"\\ud83d \\\\ude00", r"\\ud83d \\\\ude00"),
    "pair after an escaped backslash": (r"\\" + PAIR, r"\\" + PAIR),
    "first half as letters before a second half": (r"\\ud83d\ude00", r"\\ud83d\ufffd"),
    "other escapes": (r"\u00e4\ud7ff\ue000", r"\u00e4\ud7ff\ue000"),
}


@pytest.mark.parametrize("case", TEXTS)
def test_half_characters_are_replaced_and_nothing_else(case: str) -> None:
    """A first half without a second, or the reverse; not what only looks like one behind an escaped backslash."""
    before, after = TEXTS[case]
    assert whole_characters(f'{{"a": "{before}"}}'.encode()) == f'{{"a": "{after}"}}'.encode()


_SIGNS = st.sampled_from(["\ud800", "\udbff", "\udc00", "\udfff", "\U0001f600", "\\", "\\u", "d83d", '"', "\n", "ä"])


@steady(300)
@given(text=st.lists(_SIGNS | st.characters(), max_size=12).map("".join))
def test_the_rest_of_any_text_is_kept(text: str) -> None:
    """What Python's own codec makes of the same text, written with escapes."""
    expected = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    assert msgspec.json.decode(whole_characters(json.dumps({text: [text]}).encode())) == {expected: [expected]}


def test_a_readable_text_is_passed_on_as_it_is() -> None:
    """Nothing is looked at twice: the very same bytes come back."""
    body = rf'{{"a": "{PAIR}"}}'.encode()
    assert decode(msgspec.json.decode, body)[1] is body


@pytest.mark.parametrize("body", [b'{"a": ', b'{"a": "\\ud83d}', b'"\\ud83d" x', b'{"a": "\xff"}', b'{"a": "\\ud83"}'])
def test_what_is_no_json_is_none_afterwards(body: bytes) -> None:
    """Replacing half characters mends half characters only."""
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        decode(msgspec.json.decode, body)


def test_another_shape_is_no_damage() -> None:
    """A text that can be read but is not what was asked for is not looked at again."""

    class Shape(msgspec.Struct):
        a: int

    read: list[bytes] = []

    def decoder(body: bytes) -> Any:
        read.append(body)
        return msgspec.json.decode(body, type=Shape)

    with pytest.raises(msgspec.ValidationError):
        decode(decoder, b'{"a": "x"}')
    assert len(read) == 1
