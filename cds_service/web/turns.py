"""Big calls take turns in each process."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager, nullcontext
from typing import Final

BIG_BYTES: Final = 1024 * 1024
"""From this size on a call is big."""
AT_ONCE = 1


class Turns:
    """Lets so many big calls of a process be worked on at once; small ones never wait."""

    def __init__(self, at_once: int | None = None, big: int = BIG_BYTES) -> None:
        self._free = threading.BoundedSemaphore(at_once or AT_ONCE)
        self._big = big

    def of(self, size: int) -> AbstractContextManager[object]:
        """The turn of a call with a body of so many bytes."""
        return self._free if size >= self._big else nullcontext()
