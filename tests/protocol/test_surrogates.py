"""Half characters in JSON text: only they are replaced, and only when the text cannot be read as it is."""

from __future__ import annotations

import json
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.protocol.surrogates import decode, whole_texts
from tests.property.strategies import steady

SINGLE = r"\ud83d"
PAIR = r"\ud83d\ude00"

DAMAGED = {
    "half at the end": rf"cut {SINGLE}",
    "second half alone": r"\ude00 x",
    "two first halves": r"\ud83d\uD83D",
    "halves in the wrong order": r"\uDE00\uD83D",
    "half before a pair": SINGLE + PAIR,
    "half after a pair": PAIR + SINGLE,
    "half after an escaped backslash": r"\\" + SINGLE,
    "half after another escape": r"\n" + SINGLE + r"\"",
    "half before another escape": SINGLE + r"\u0041",
    "half after escaped quotes": r"\"\\\"" + SINGLE + r"\\",
    "first half as letters before a second half": r"\\ud83d\ude00",
}
WHOLE = {
    "pair": PAIR,
    "letters after an escaped backslash": r"\\ud83d \\\\ude00",
    "pair after an escaped backslash": r"\\" + PAIR,
    "other escapes": r"\u00e4\ud7ff\ue000\"",
}


@pytest.mark.parametrize("case", [*DAMAGED, *WHOLE])
def test_texts_with_half_a_character_are_replaced_and_nothing_else(case: str) -> None:
    """A first half without a second, or the reverse; not what only looks like one behind an escaped backslash."""
    text = DAMAGED.get(case) or WHOLE[case]
    after = r"\ufffd" if case in DAMAGED else text
    body = r'{"\\": ["\"", "%s", {"%s": "%s"}], "b": 1}'
    mended = whole_texts((body % (text, text, PAIR)).encode())
    assert mended == (body % (after, after, PAIR)).encode()
    assert msgspec.json.decode(mended)["b"] == 1


_SIGNS = st.sampled_from(["\ud800", "\udbff", "\udc00", "\udfff", "\U0001f600", "\\", "\\u", "d83d", '"', "\n", "ä"])
_texts = st.lists(_SIGNS | st.characters(), max_size=12).map("".join)


def joined(text: str) -> str:
    """The text with halves that belong together as one character, as its JSON says."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


@steady(300)
@given(texts=st.lists(_texts, max_size=4))
def test_other_texts_are_kept(texts: list[str]) -> None:
    """Each text is what it was or, where Python finds half a character in it, U+FFFD."""
    expected = ["\ufffd" if any("\ud800" <= sign <= "\udfff" for sign in joined(t)) else joined(t) for t in texts]
    assert msgspec.json.decode(whole_texts(json.dumps(texts).encode())) == expected


def test_a_large_body_is_mended_in_its_time() -> None:
    """What is hard on a search that looks back takes no longer than its size allows."""
    for repeated in (rb"\"", rb"\\", b'","', PAIR.encode(), b"x"):
        body = b'["' + repeated * (4_000_000 // len(repeated)) + SINGLE.encode() + b'"]'
        started = time.process_time()
        assert whole_texts(body).endswith(b'"\\ufffd"]')
        assert time.process_time() - started < 5


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
