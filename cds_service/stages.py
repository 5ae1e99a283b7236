"""The stages of a call, and when each was done; what metrics and traces say about where the time went."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from enum import StrEnum
from itertools import pairwise
from typing import Final


class Stage(StrEnum):
    """What a call goes through, in this order; an answer with nothing to say leaves early."""

    RECEIVE = "receive"
    """Admission, reading the body and, if it is big, waiting for its turn."""
    REQUEST = "request"
    PREFETCH = "prefetch"
    FHIR_READ = "fhir-read"
    """Waiting for the EHR's FHIR server; next to nothing when prefetch has it all."""
    FACTS = "facts"
    ASSESS = "assess"
    CARDS = "cards"
    """What the hook says, with what would change the answer."""
    RECORD = "record"
    ENCODE = "encode"


Done = Callable[[Stage], None]
"""Told that a stage is over."""


def unwatched(_stage: Stage) -> None:
    """Nobody measures."""


class Laps:
    """When the stages of one call were done, by a clock that only goes forward, in nanoseconds."""

    def __init__(self, clock: Callable[[], int] = time.perf_counter_ns) -> None:
        self._clock: Final = clock
        self._began: Final = clock()
        self._ends: list[tuple[Stage, int]] = []

    def done(self, stage: Stage) -> None:
        """The stage is over, and the next one begins."""
        self._ends.append((stage, self._clock()))

    def spans(self) -> Iterator[tuple[Stage, int, int]]:
        """Each stage with its beginning and end, in nanoseconds since the call began."""
        ends = ((None, self._began), *self._ends)
        for (_, start), (stage, end) in pairwise(ends):
            if stage is not None:
                yield stage, start - self._began, end - self._began
