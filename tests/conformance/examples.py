"""Example messages and how each is to be treated: ``examples/behaviour.csv`` beside the files."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).parent / "examples"
MESSAGES: Final = ("discovery", "feedback", "rated-order", "request", "response")


@dataclass(frozen=True)
class Example:
    """A message, and what is due to it.

    Attributes:
        message: which schema describes it; also its folder.
        example: file name without ending: ``valid`` or ``invalid`` by the published texts, the requirement it breaks
            (or that makes it special), and what it shows.
        schema: accepted or refused by the schema of this project.
        at: where the schema refuses it, members divided by slashes; empty for the message itself.
        service: the service it is sent to; empty for what a service sends.
        status: the HTTP status it is answered with.
        says: slug of the refusal; else the number of the defect that is logged, or the input said to be unavailable.
        like: the valid example that gets the same answer.
        why: the reason where the number alone does not give it.
    """

    message: str
    example: str
    schema: str
    at: str
    service: str
    status: str
    says: str
    like: str
    why: str

    @property
    def valid(self) -> bool:
        """Whether the published texts have no objection."""
        return self.example.startswith("valid.")

    @property
    def requirement(self) -> str:
        """Number of the requirement in the name; empty when there is none."""
        parts = self.example.split(".")
        return parts[1] if len(parts) > 2 else ""

    @property
    def text(self) -> bytes:
        """The message as it is sent."""
        return (FOLDER / self.message / f"{self.example}.json").read_bytes()

    @property
    def body(self) -> Any:
        """The message as JSON."""
        return json.loads(self.text)


@cache
def examples() -> tuple[Example, ...]:
    """All of them, in the order of the table."""
    with (FOLDER / "behaviour.csv").open(encoding="utf-8", newline="") as file:
        return tuple(Example(**row) for row in csv.DictReader(file))


def of(message: str) -> list[Example]:
    """The examples of one kind of message."""
    return [example for example in examples() if example.message == message]
