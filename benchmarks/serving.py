"""Starts the service or the limit as a server of its own: ``python -m benchmarks.serving service 18080``.

Besides ``limit`` and ``service`` there are ``strict`` (each consult is in the database before it is answered) and
``forgetful`` (none is kept), to see what the store costs. All run under the same gunicorn with the same settings, one
worker each.
"""

from __future__ import annotations

import sys
from pathlib import Path

from flask import Flask

from benchmarks import limit
from cds_service.app import create_app
from cds_service.observability import configure_logging
from cds_service.server import Server
from cds_service.settings import Settings, load_settings
from cds_service.store.base import ConsultRecord
from cds_service.store.connect import open_engine
from cds_service.store.migrate import migrate
from cds_service.store.sql import SqlStore


def main(what: str, port: str) -> None:
    """Serve until told to stop; the store of the service is a file in the current directory."""
    database, mode = f"sqlite:///{Path.cwd()}/{what}.sqlite", "strict" if what == "strict" else None
    settings = load_settings(demo=True, port=port, database_url=database, store_mode=mode)
    configure_logging(settings.log_level)
    Server(_app(what, settings), settings).run()


def _app(what: str, settings: Settings) -> Flask:
    if what == "limit":
        return limit.make_app()
    return create_app(settings, store=_forgetful(settings) if what == "forgetful" else None)


class _Forgetful(SqlStore):
    """Keeps no consult."""

    def record(self, _consult_record: ConsultRecord) -> None:
        """Do nothing."""


def _forgetful(settings: Settings) -> SqlStore:
    engine = open_engine(settings.database_url)
    migrate(engine)
    return _Forgetful(engine)


if __name__ == "__main__":
    main(*sys.argv[1:])
