"""The store on an SQL database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, delete, insert, select
from sqlalchemy.exc import SQLAlchemyError

from cds_service.errors import StoreError
from cds_service.store.base import CardRecord, ConsultRecord, SyntheticPatient
from cds_service.store.migrate import is_current
from cds_service.store.tables import card, consult, synthetic_patient


class SqlStore:
    """Consults in SQLite or PostgreSQL, through SQLAlchemy Core."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def ready(self) -> bool:
        """Whether the database answers and is at the newest migration."""
        try:
            return is_current(self.engine)
        except SQLAlchemyError:
            return False

    def record(self, consult_record: ConsultRecord) -> None:
        """Keep a consult and its cards in one transaction."""
        rows = [_card_row(consult_record.id, n, item) for n, item in enumerate(consult_record.cards)]
        with _reported("The consult could not be recorded"), self.engine.begin() as connection:
            connection.execute(insert(consult), _consult_row(consult_record))
            if rows:
                connection.execute(insert(card), rows)

    def consult_of_card(self, card_uuid: str) -> ConsultRecord | None:
        """The consult a card belongs to, with all its cards."""
        with _reported("The store could not be read"), self.engine.connect() as connection:
            owner = connection.execute(select(card.c.consult_id).where(card.c.uuid == card_uuid)).scalar()
            if owner is None:
                return None
            row = connection.execute(select(consult).where(consult.c.id == owner)).one()
            cards = connection.execute(select(card).where(card.c.consult_id == owner).order_by(card.c.position)).all()
        return ConsultRecord(
            id=row.id,
            answered_at=_in_utc(row.answered_at),
            service=row.service,
            hook=row.hook,
            scenario=row.scenario,
            ratings=row.ratings,
            rules=tuple(row.rules),
            knowledge_version=row.knowledge_version,
            knowledge_hash=row.knowledge_hash,
            skipped=row.skipped,
            duration_ms=row.duration_ms,
            cards=tuple(CardRecord(c.uuid, c.indicator, tuple(c.rules), tuple(c.suggestions)) for c in cards),
        )

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
        with _reported("The synthetic patients could not be loaded"), self.engine.begin() as connection:
            connection.execute(delete(synthetic_patient))
            if rows:
                connection.execute(insert(synthetic_patient), rows)

    def synthetic(self) -> tuple[SyntheticPatient, ...]:
        """All synthetic patients, by slug."""
        with _reported("The store could not be read"), self.engine.connect() as connection:
            rows = connection.execute(select(synthetic_patient).order_by(synthetic_patient.c.slug)).all()
        return tuple(SyntheticPatient(r.slug, r.title, r.story, r.as_of, r.hook, r.bundle) for r in rows)


@contextmanager
def _reported(what: str) -> Iterator[None]:
    """A failure of the database as our own error, without its statement and values."""
    try:
        yield
    except SQLAlchemyError as error:
        raise StoreError(f"{what}: {type(error).__name__}.") from None


def _in_utc(moment: datetime) -> datetime:
    """SQLite forgets the zone; what is stored is UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _consult_row(record: ConsultRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "answered_at": record.answered_at.astimezone(UTC),
        "service": record.service,
        "hook": record.hook,
        "scenario": record.scenario,
        "ratings": dict(record.ratings),
        "rules": list(record.rules),
        "knowledge_version": record.knowledge_version,
        "knowledge_hash": record.knowledge_hash,
        "skipped": record.skipped,
        "duration_ms": record.duration_ms,
    }


def _card_row(consult_id: str, position: int, record: CardRecord) -> dict[str, Any]:
    return {
        "uuid": record.uuid,
        "consult_id": consult_id,
        "position": position,
        "indicator": record.indicator,
        "rules": list(record.rules),
        "suggestions": list(record.suggestions),
    }
