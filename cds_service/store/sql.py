"""The store of a running service, on an SQL database."""

from __future__ import annotations

import secrets
from typing import Any

from sqlalchemy import Connection, Engine, Table, delete, insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from cds_service.store.base import ConsultRecord, FeedbackRecord, SyntheticPatient
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

    def consult_of_card(self, card_uuid: str) -> ConsultRecord | None:
        """The consult a card belongs to, with all its cards."""
        with reported("The store could not be read"), self.engine.connect() as connection:
            owner = select(card.c.consult_id).where(card.c.uuid == card_uuid).scalar_subquery()
            rows = connection.execute(whole_consults().where(consult.c.id == owner)).all()
        return next(consult_records(rows), None)

    def keep_feedback(self, entries: tuple[FeedbackRecord, ...]) -> None:
        """Keep feedback in one transaction; what says the same is kept once."""
        rows = {row["id"]: row for row in map(feedback_row, entries)}
        with reported("The feedback could not be kept"), self.engine.begin() as connection:
            # One order for all writers, so that two batches with the same entries cannot wait for each other.
            _insert_new(connection, feedback, [rows[key] for key in sorted(rows)])

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


def _insert_new(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Insert the rows whose key is not there yet."""
    if not rows:
        return
    if connection.dialect.name == "sqlite":
        connection.execute(sqlite.insert(table).on_conflict_do_nothing(), rows)
    else:
        connection.execute(postgresql.insert(table).on_conflict_do_nothing(), rows)
