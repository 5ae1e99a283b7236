"""Changes to a body that keep most of it JSON: a value goes, comes twice, moves, or becomes something hostile."""

from __future__ import annotations

import json
from random import Random
from typing import Any, Final

from tests.property.strategies import Path, places

Json = Any

HOSTILE: Final[tuple[Json, ...]] = (
    None,
    True,
    0,
    -1,
    10**400,
    1e308,
    5e-324,
    "",
    " ",
    "\ud800",
    "\ufffd",
    "\x00",
    "a" * 5000,
    "<script>",
    "2026-13-45",
    "0000-00-00",
    "9999-12-31T23:59:60Z",
    "1e999",
    "-0",
    "٣",
    "Patient/",
    "http://[::1",
    "urn:uuid:",
    [],
    {},
    [[]],
    [None],
    {"": {}},
    {"coding": [{}]},
    {"resourceType": "Bundle", "entry": [{}]},
    {"resourceType": "OperationOutcome"},
    {"value": 1e400, "code": "%"},
)
"""Values as no honest program sends them; infinity is written as no JSON at all."""
_DEEP: Final = 400
_GONE: Final = object()


def mutated(body: bytes, seed: int) -> bytes:
    """The body with one to four changes; what is no JSON, or too deep to be changed, comes back as it is."""
    random = Random(seed)  # noqa: S311 - reproducible, not secret
    try:
        value = json.loads(body)
        for _ in range(random.randint(1, 4)):
            if found := list(places(value)):
                _change(value, random.choice(found), found, random)
        return json.dumps(value).encode()
    except (ValueError, OverflowError, RecursionError):
        return body


def _change(value: Json, path: Path, found: list[Path], random: Random) -> None:
    """Put something else in one place of the value."""
    holder = _at(value, path[:-1])
    new = _instead(holder[path[-1]], _at(value, random.choice(found)), random)
    if new is _GONE:
        del holder[path[-1]]
    else:
        holder[path[-1]] = new if new in HOSTILE else json.loads(json.dumps(new))


def _instead(here: Json, elsewhere: Json, random: Random) -> Json:
    """What comes in the place of a value; ``elsewhere`` is another one of the same body."""
    choices: list[Json] = [_GONE, elsewhere, [here, here], random.choice(HOSTILE), random.choice(HOSTILE)]
    if isinstance(here, str):
        choices += [_cut(here, random)] * 3
    elif isinstance(here, int | float):
        choices.append(here * random.choice([-1, 0, 0.1, 10, 1e6, 1e300]))
    elif not random.randrange(20):
        for _ in range(random.randrange(_DEEP)):
            here = [here]
        choices = [here]
    return random.choice(choices)


def _cut(text: str, random: Random) -> str:
    """The text with something taken out, put in or turned round."""
    place = random.randrange(len(text) + 1)
    middle = random.choice(["", "\ud83d", "\n", "no ", "-", "0", ".", "/", "\u202e", text])
    return text[:place] + middle + text[place + random.randrange(3) :]


def _at(value: Json, path: Path) -> Json:
    for name in path:
        value = value[name]
    return value
