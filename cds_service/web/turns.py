"""Big calls take turns in each process, for the sake of small ones.

Threads of one process share one interpreter, and a small call waits for it behind every big one that is worked on at
the same time. Big calls as such lose nothing and gain nothing (docs/deployment.md).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

BIG_BYTES: Final = 1024 * 1024
"""From this size on a call is big."""
WAIT_SECONDS: Final = 1.0
"""How long a turn is waited for: the call before may itself be waiting for a FHIR server."""
AT_ONCE = 1


class Turns:
    """Lets one big call of a process be worked on at a time; small ones never wait."""

    def __init__(self) -> None:
        self._free = threading.BoundedSemaphore(AT_ONCE)

    @contextmanager
    def of(self, size: int) -> Iterator[None]:
        """The turn of a call with a body of so many bytes."""
        mine = size >= BIG_BYTES and self._free.acquire(timeout=WAIT_SECONDS)
        try:
            yield
        finally:
            if mine:
                self._free.release()
