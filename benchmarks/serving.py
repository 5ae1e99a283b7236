"""Starts the service or the limit as a server of its own: ``python -m benchmarks.serving service 18080``.

``limit``, ``service``, or ``strict``: the service whose consults are in the database before they are answered. All run
under the same gunicorn with the same settings, one worker each.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from flask import Flask

from benchmarks import limit
from cds_service.app import create_app
from cds_service.observability import configure_logging
from cds_service.server import Server
from cds_service.settings import Settings, load_settings


def main(what: str, port: str) -> None:
    """Serve until told to stop; the store of the service is a file in the current directory."""
    database, mode = f"sqlite:///{Path.cwd()}/{what}.sqlite", "strict" if what == "strict" else None
    settings = load_settings(demo=True, port=port, database_url=database, store_mode=mode)
    configure_logging(settings.log_level)
    Server(partial(_app, what, settings), settings).run()


def _app(what: str, settings: Settings) -> Flask:
    return limit.make_app() if what == "limit" else create_app(settings)


if __name__ == "__main__":
    main(*sys.argv[1:])
