"""How long a connection may keep the server busy: one that is silent costs no thread, one that trickles none for ever.

A thread reads a call as fast as it comes. So connections wait for their first byte without a thread, and one that keeps
a thread longer than any honest call does is cut off. A proxy in front that takes calls in whole does it better.
"""

from __future__ import annotations

import time
from contextlib import suppress
from socket import SHUT_RD, SHUT_RDWR
from typing import Any, Final

from gunicorn.workers import gthread

FIRST_BYTE_SECONDS: Final = 5
"""How long a new connection may stay silent."""
HEADER_SECONDS: Final = 5
"""How long the head of a call may take."""
CALL_SECONDS: Final = 30
"""How long the body of a call may take, and then its answer."""


class BoundedWorker(gthread.ThreadWorker):
    """gunicorn's threaded worker with these bounds."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._until: dict[Any, float] = {}

    def handle(self, conn: Any) -> Any:
        """Handle a connection in a thread, unless it has not sent anything yet; a process that stops waits for it."""
        if self.alive and not conn.initialized and not conn.wait_for_data(0):
            conn.opened = time.monotonic()
            return gthread._DEFER  # type: ignore[attr-defined] # noqa: SLF001 - the only way to say so
        self._until[conn] = time.monotonic() + HEADER_SECONDS
        try:
            return super().handle(conn)
        finally:
            del self._until[conn]

    def finish_request(self, conn: Any, fs: Any) -> None:
        """Whoever was put off just as the process began to stop is not sent away."""
        ended_well = not fs.cancelled() and fs.exception() is None
        if not self.alive and ended_well and fs.result() is gthread._DEFER:  # type: ignore[attr-defined] # noqa: SLF001
            self.enqueue_req(conn)
        else:
            super().finish_request(conn, fs)

    def handle_request(self, req: Any, conn: Any) -> bool:
        """The head is there."""
        self._until[conn] = time.monotonic() + CALL_SECONDS
        return super().handle_request(req, conn)

    def murder_pending(self) -> None:
        """Once a second: cut off who takes too long, so that its thread meets the end of the call; close the silent.

        At first only what the client has not sent yet is cut off: where the server is the slow one, its answer arrives.
        """
        now = time.monotonic()
        for conn, until in tuple(self._until.items()):
            if until < now:
                with suppress(OSError):  # it has ended by itself
                    conn.sock.shutdown(SHUT_RDWR if until + CALL_SECONDS < now else SHUT_RD)
        for conn in self.pending_conns:
            opened: float = conn.opened  # type: ignore[attr-defined] # noted above
            conn.timeout = min(conn.timeout or opened, opened + FIRST_BYTE_SECONDS)
        super().murder_pending()
