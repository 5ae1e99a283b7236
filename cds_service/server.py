"""Runs the application under gunicorn: a few processes with a few threads each. docs/deployment.md says why so."""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from flask import Flask
from gunicorn.app.base import BaseApplication

from cds_service.connections import BoundedWorker
from cds_service.errors import PnetCdsError
from cds_service.metrics.shared import process_ended
from cds_service.observability import logger
from cds_service.settings import Settings

KEEP_ALIVE_SECONDS: Final = 75
"""Longer than any usual proxy keeps an idle connection (nginx: 60 s), so that it is the proxy that closes it: a server
that closes first may do so just as the proxy sends a call."""
DRAIN_SECONDS: Final = 30
"""How long a process that stops may take to finish what it has begun; the longest call is far shorter."""
_TIMEOUT_SECONDS: Final = 60
_COLLECT_AFTER: Final = (100_000, 20, 100)
"""Objects before the collector looks, and how often it looks further: a call about a large chart makes thousands, none
of them in a cycle, and each look costs that call milliseconds."""
_LONGEST_HEADER_BYTES: Final = 32 * 1024
"""Longer than any token that is accepted, so that one that is too long gets the answer every refused token gets."""
_LONGEST_LINE_BYTES: Final = 8190
"""The way back of a SMART launch holds a code, and some authorization servers put a whole signed document into it."""
_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - the files there are unlinked as soon as they are made


class DrainingWorker(BoundedWorker):
    """A process that loses no call when it stops, and that no connection keeps busy for ever.

    The kernel goes on letting callers in for as long as a process holds the listening socket, and resets whoever nobody
    has taken when the last one lets go of it. So the socket is closed at the start of the end, not after it, and those
    who wait there are taken first; whoever comes later is refused before sending anything, and can go elsewhere.
    """

    def set_accept_enabled(self, enabled: bool | None) -> None:
        """Take new connections or not; a process that stops never will again."""
        super().set_accept_enabled(enabled)
        if not enabled and not self.alive:
            for listener in self.sockets:
                self._take_waiting(listener)
                listener.close()

    def _take_waiting(self, listener: Any) -> None:
        taken = None
        while taken != self.nr_conns:
            taken = self.nr_conns
            self.accept(listener)


class Server(BaseApplication):
    """gunicorn with our settings and nothing from a configuration file.

    The application is made once, before the processes that share it, and again at SIGHUP: new processes then take over
    with the site files and clients as they are now, and the old ones finish what they have begun.
    """

    def __init__(self, make_app: Callable[[], Flask], settings: Settings, counts_in: Path | None = None) -> None:
        self._make_app = make_app
        self._settings = settings
        self._counts_in = counts_in
        super().__init__()

    def load_config(self) -> None:
        """Set what the deployment decides."""
        options: dict[str, Any] = {
            "bind": f"{self._settings.host}:{self._settings.port}",
            "workers": self._settings.workers,
            "worker_class": f"{DrainingWorker.__module__}.{DrainingWorker.__qualname__}",
            "threads": self._settings.threads,
            "preload_app": True,
            "keepalive": KEEP_ALIVE_SECONDS,
            "timeout": _TIMEOUT_SECONDS,
            "graceful_timeout": DRAIN_SECONDS,
            "loglevel": "warning",
            "limit_request_field_size": _LONGEST_HEADER_BYTES,
            "limit_request_line": _LONGEST_LINE_BYTES,
            "control_socket_disable": True,  # signals are enough, and it would need a place to write
        }
        if _MEMORY.is_dir():
            options["worker_tmp_dir"] = str(_MEMORY)  # a heartbeat must not wait for a disk, nor need one
        if self._counts_in is not None:
            options["child_exit"] = partial(_forget, self._counts_in)
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """The WSGI application; what was loaded for it stays, so the collector need not look at it again.

        Frozen before processes are made from this one, so that they go on sharing its memory.
        """
        gc.unfreeze()
        try:
            return self._make_app()
        finally:
            gc.collect()
            gc.freeze()
            gc.set_threshold(*_COLLECT_AFTER)

    def reload(self) -> None:
        """Make the application anew; if that fails, whatever the reason, the one that runs goes on."""
        super().reload()
        try:
            self.callable = self.load()
        except PnetCdsError as error:
            logger().error("not reloaded", slug=error.slug, why=str(error))
        except Exception as error:  # noqa: BLE001 - it would end the server, which answers calls
            logger().error("not reloaded", error=type(error).__name__)
        else:
            logger().info("reloaded")


def _forget(counts_in: Path, _server: Any, worker: Any) -> None:
    process_ended(counts_in, worker.pid)
