"""Records to rows of the tables and back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError, StatementError

from cds_service.errors import RecordRefused, StoreError
from cds_service.store.base import CardRecord, ConsultRecord, FeedbackRecord, SuggestedOrder
from cds_service.store.tables import card, consult


@contextmanager
def reported(what: str) -> Iterator[None]:
    """A failure of the database as our own error, without its statement and values.

    Raises:
        RecordRefused: because of the values.
        StoreError: because of the database.
    """
    try:
        yield
    except SQLAlchemyError as error:
        values = isinstance(error, DataError | IntegrityError) or type(error) is StatementError
        raise (RecordRefused if values else StoreError)(f"{what}: {type(error).__name__}.") from None


def in_utc(moment: datetime) -> datetime:
    """SQLite forgets the zone; what is stored is UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def consult_row(record: ConsultRecord) -> dict[str, Any]:
    """A consult without its cards."""
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
        "client": record.client,
        "patient": record.patient,
        "unavailable": list(record.unavailable),
    }


def card_row(consult_id: str, position: int, record: CardRecord) -> dict[str, Any]:
    """A card at its place in the answer."""
    orders = [
        {"suggestion": o.suggestion, "codings": [list(c) for c in o.codings], "text": o.text} for o in record.orders
    ]
    return {
        "uuid": record.uuid,
        "consult_id": consult_id,
        "position": position,
        "indicator": record.indicator,
        "rules": list(record.rules),
        "suggestions": list(record.suggestions),
        "orders": orders,
    }


def whole_consults() -> Select[Any]:
    """Consults beside their cards, as :func:`consult_records` reads them: one statement, so one state of the store."""
    cards = [column.label(f"card_{column.name}") for column in card.c]
    return (
        select(consult, *cards)
        .outerjoin(card, card.c.consult_id == consult.c.id)
        .order_by(consult.c.answered_at, consult.c.id, card.c.position)
    )


def consult_records(rows: Iterable[Any]) -> Iterator[ConsultRecord]:
    """Consults from the rows of :func:`whole_consults`."""
    for _, lines in groupby(rows, key=lambda row: row.id):
        first, *more = lines
        yield _consult_record(first, [first, *more] if first.card_uuid else [])


def _consult_record(row: Any, cards: list[Any]) -> ConsultRecord:
    return ConsultRecord(
        id=row.id,
        answered_at=in_utc(row.answered_at),
        service=row.service,
        hook=row.hook,
        scenario=row.scenario,
        ratings=row.ratings,
        rules=tuple(row.rules),
        knowledge_version=row.knowledge_version,
        knowledge_hash=row.knowledge_hash,
        skipped=row.skipped,
        duration_ms=row.duration_ms,
        client=row.client,
        patient=row.patient,
        unavailable=tuple(row.unavailable),
        cards=tuple(map(_card_record, cards)),
    )


def _card_record(row: Any) -> CardRecord:
    orders = tuple(
        SuggestedOrder(item["suggestion"], tuple((s, c, d) for s, c, d in item["codings"]), item["text"])
        for item in row.card_orders
    )
    return CardRecord(row.card_uuid, row.card_indicator, tuple(row.card_rules), tuple(row.card_suggestions), orders)


def feedback_row(record: FeedbackRecord) -> dict[str, Any]:
    """Feedback under an id that follows from what it says, so that the same thing said again is the same row.

    Words (display, comment) and the moment of receipt say nothing new and are not part of the id.
    """
    outcome_at = record.outcome_at.astimezone(UTC)
    said = [
        record.client,
        record.card,
        record.outcome,
        outcome_at.isoformat(),
        sorted(record.suggestions),
        record.reason_system,
        record.reason_code,
    ]
    return {
        "id": hashlib.sha256(json.dumps(said).encode()).hexdigest(),
        "card_uuid": record.card,
        "client": record.client,
        "service": record.service,
        "outcome": record.outcome,
        "outcome_at": outcome_at,
        "received_at": record.received_at.astimezone(UTC),
        "suggestions": list(record.suggestions),
        "reason_system": record.reason_system,
        "reason_code": record.reason_code,
        "reason_display": record.reason_display,
        "comment": record.comment,
    }
