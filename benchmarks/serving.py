"""Starts the service or the limit as a server of its own: ``python -m benchmarks.serving service 18080``.

Besides ``limit`` and ``service`` there are ``strict`` (each consult is in the database before it is answered) and
``forgetful`` (none is kept), to see what the store costs. All run under the same gunicorn with the same settings, one
worker each, unless kind and number of workers, threads, and big calls at once are given as well:
``… service 18080 gthread 2 4 1``.
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
from cds_service.store.base import ConsultRecord
from cds_service.store.connect import open_engine
from cds_service.store.migrate import migrate
from cds_service.store.sql import SqlStore
from cds_service.web import turns


class Variant(Server):
    """The server with another kind of worker."""

    kind = ""

    def load_config(self) -> None:
        """Set what is tried."""
        super().load_config()
        if self.kind not in ("", "gthread"):
            self.cfg.set("worker_class", self.kind)


def main(what: str, port: str, kind: str = "", workers: str = "1", threads: str = "4", at_once: str = "") -> None:
    """Serve until told to stop; the store of the service is a file in the current directory."""
    settings = load_settings(
        demo=True,
        port=port,
        workers=workers,
        threads=threads,
        database_url=f"sqlite:///{Path.cwd()}/bench-{port}.sqlite",
        store_mode="strict" if what == "strict" else None,
    )
    configure_logging(settings.log_level)
    Variant.kind = kind
    if at_once:
        turns.AT_ONCE = int(at_once)
    Variant(partial(_app, what, settings), settings).run()


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
