"""The store of a running service, on an SQL database."""

from __future__ import annotations

import secrets
from functools import cache
from typing import Any

from sqlalchemy import Connection, Engine, Insert, Table, delete, insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from cds_service.store.base import ConsultRecord, FeedbackRecord, SyntheticPatient, Waiting
from cds_service.store.migrate import serves
from cds_service.store.rows import card_row, consult_records, consult_row, feedback_row, reported, whole_consults
from cds_service.store.tables import card, consult, feedback, secret, synthetic_patient

_PSEUDONYM_KEY = "pseudonym-key"
_KEY_BYTES = 32
_CONSULT, _CARD = insert(consult), insert(card)


class SqlStore:
    """Consults and feedback in SQLite or PostgreSQL, through SQLAlchemy Core."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def ready(self) -> bool:
        """Whether the database answers and its schema is the one of this release, or of a later one."""
        try:
            return serves(self.engine)
        except SQLAlchemyError:
            return False

    def record(self, consult_record: ConsultRecord) -> None:
        """Keep a consult and its cards in one transaction."""
        rows = [card_row(consult_record.id, n, item) for n, item in enumerate(consult_record.cards)]
        with reported("The consult could not be recorded"), self.engine.begin() as connection:
            connection.execute(_CONSULT, consult_row(consult_record))
            if rows:
                connection.execute(_CARD, rows)

    def replay(self, consults: tuple[ConsultRecord, ...], feedback_records: tuple[FeedbackRecord, ...]) -> None:
        """Keep what waited in one transaction; what is there already stays as it is."""
        consult_rows = [consult_row(record) for record in consults]
        card_rows = [card_row(record.id, n, item) for record in consults for n, item in enumerate(record.cards)]
        feedback_rows = _unique(feedback_records)
        with reported("What waited could not be recorded"), self.engine.begin() as connection:
            _insert_new(connection, consult, consult_rows)
            _insert_new(connection, card, card_rows)
            _insert_new(connection, feedback, feedback_rows)

    def consult_of_card(self, card_uuid: str) -> ConsultRecord | None:
        """The consult a card belongs to, with all its cards."""
        with reported("The store could not be read"), self.engine.connect() as connection:
            owner = select(card.c.consult_id).where(card.c.uuid == card_uuid).scalar_subquery()
            rows = connection.execute(whole_consults().where(consult.c.id == owner)).all()
        return next(consult_records(rows), None)

    def keep_feedback(self, entries: tuple[FeedbackRecord, ...]) -> None:
        """Keep feedback in one transaction; what says the same is kept once."""
        with reported("The feedback could not be kept"), self.engine.begin() as connection:
            _insert_new(connection, feedback, _unique(entries))

    def settle(self) -> None:
        """Nothing waits here."""

    def takes_records(self) -> bool:
        """Whether the database can be used: there is no other place."""
        return self.ready()

    def waiting(self) -> Waiting:
        """Nothing."""
        return Waiting()

    def pseudonym_key(self) -> bytes:
        """The store's own key; of several processes that start at once, all get the one that was first."""
        made = {"name": _PSEUDONYM_KEY, "value": secrets.token_hex(_KEY_BYTES)}
        with reported("The key of the patient hashes could not be read"), self.engine.begin() as connection:
            _insert_new(connection, secret, [made])
            kept = select(secret.c.value).where(secret.c.name == _PSEUDONYM_KEY)
            return bytes.fromhex(connection.execute(kept).scalar_one())

    def release(self) -> None:
        """Close idle connections; the next use opens new ones."""
        self.engine.dispose()

    def load_synthetic(self, patients: tuple[SyntheticPatient, ...]) -> None:
        """Replace the synthetic patients in one transaction."""
        rows = [
            {
                "slug": patient.slug,
                "title": patient.title,
                "story": patient.story,
                "as_of": patient.as_of,
                "hook": patient.hook,
                "bundle": patient.bundle,
            }
            for patient in patients
        ]
        with reported("The synthetic patients could not be loaded"), self.engine.begin() as connection:
            connection.execute(delete(synthetic_patient))
            if rows:
                connection.execute(insert(synthetic_patient), rows)

    def synthetic(self) -> tuple[SyntheticPatient, ...]:
        """All synthetic patients, by slug."""
        with reported("The store could not be read"), self.engine.connect() as connection:
            rows = connection.execute(select(synthetic_patient).order_by(synthetic_patient.c.slug)).all()
        return tuple(SyntheticPatient(r.slug, r.title, r.story, r.as_of, r.hook, r.bundle) for r in rows)


def _unique(entries: tuple[FeedbackRecord, ...]) -> list[dict[str, Any]]:
    """Rows in one order for all writers, so that two batches with the same entries cannot wait for each other."""
    rows = {row["id"]: row for row in map(feedback_row, entries)}
    return [rows[key] for key in sorted(rows)]


def _insert_new(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Insert the rows whose key is not there yet."""
    if rows:
        connection.execute(_new(connection.dialect.name, table), rows)


@cache
def _new(dialect: str, table: Table) -> Insert:
    if dialect == "sqlite":
        return sqlite.insert(table).on_conflict_do_nothing()
    return postgresql.insert(table).on_conflict_do_nothing()
