"""Runs the application under gunicorn: a few processes with a few threads each."""

from __future__ import annotations

import gc
from functools import partial
from pathlib import Path
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication

from cds_service.metrics.shared import process_ended
from cds_service.settings import Settings

_TIMEOUT_SECONDS = 60
_COLLECT_AFTER = (100_000, 20, 100)
"""Objects before the collector looks, and how often it looks further: a call about a large chart makes thousands, none
of them in a cycle, and each look costs that call milliseconds."""
_LONGEST_HEADER_BYTES = 32 * 1024
"""Longer than any token that is accepted, so that one that is too long gets the answer every refused token gets."""
_LONGEST_LINE_BYTES = 8190
"""The way back of a SMART launch holds a code, and some authorization servers put a whole signed document into it."""


class Server(BaseApplication):
    """gunicorn with our settings and nothing from a configuration file."""

    def __init__(self, app: Flask, settings: Settings, counts_in: Path | None = None) -> None:
        self._app = app
        self._settings = settings
        self._counts_in = counts_in
        super().__init__()

    def load_config(self) -> None:
        """Set what the deployment decides."""
        options: dict[str, Any] = {
            "bind": f"{self._settings.host}:{self._settings.port}",
            "workers": self._settings.workers,
            "worker_class": "gthread",
            "threads": self._settings.threads,
            "timeout": _TIMEOUT_SECONDS,
            "loglevel": "warning",
            "limit_request_field_size": _LONGEST_HEADER_BYTES,
            "limit_request_line": _LONGEST_LINE_BYTES,
        }
        if self._counts_in is not None:
            options["child_exit"] = partial(_forget, self._counts_in)
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """The WSGI application; what was loaded for it stays, so the collector need not look at it again."""
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_COLLECT_AFTER)
        return self._app


def _forget(counts_in: Path, _server: Any, worker: Any) -> None:
    process_ended(counts_in, worker.pid)
