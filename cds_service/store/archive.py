"""What operators ask of the store: what was said and what became of it, how much there is, and what may go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Select, and_, delete, exists, func, not_, or_, select

from cds_service.errors import StoreError
from cds_service.store.base import ConsultRecord, Kept, ShownCard
from cds_service.store.migrate import is_current, revisions
from cds_service.store.rows import consult_records, in_utc, reported, whole_consults
from cds_service.store.tables import card, consult, feedback

_AT_A_TIME = 1000
_UNREADABLE = "The store could not be read"


class Archive:
    """Reads and purges an SQL store. Times are instants; ``until`` is exclusive, None is open."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def require_current(self) -> None:
        """Refuse a store that another version of the schema wrote.

        Raises:
            StoreError: says what to do.
        """
        with reported(_UNREADABLE):
            current = is_current(self.engine)
        if not current:
            raise StoreError("The schema of the store is not the current one; run `pnet-cds db migrate`.")

    def revisions(self) -> tuple[str | None, str]:
        """The migration the store is at, if any, and the newest one."""
        with reported(_UNREADABLE):
            return revisions(self.engine)

    def consults(self, since: datetime | None, until: datetime | None) -> Iterator[ConsultRecord]:
        """Consults with their cards, oldest first."""
        query = whole_consults().where(*_within(consult.c.answered_at, since, until))
        with self._rows(query) as rows:
            yield from consult_records(rows)

    def shown(self, since: datetime | None, until: datetime | None) -> Iterator[ShownCard]:
        """Cards shown, oldest first, each with the last feedback its own client gave on it."""
        last = _last_feedback()
        query: Select[Any] = (
            select(
                card.c.uuid,
                consult.c.answered_at,
                consult.c.service,
                consult.c.scenario,
                consult.c.knowledge_version,
                card.c.rules,
                last.c.outcome,
                last.c.reason_system,
                last.c.reason_code,
                last.c.reason_display,
            )
            .join(consult, card.c.consult_id == consult.c.id)
            .outerjoin(last, and_(last.c.card_uuid == card.c.uuid, last.c.client_of == consult.c.client))
            .where(*_within(consult.c.answered_at, since, until))
            .order_by(consult.c.answered_at, consult.c.id, card.c.position)
        )
        with self._rows(query) as rows:
            for row in rows:
                yield ShownCard(
                    row.uuid,
                    in_utc(row.answered_at),
                    row.service,
                    row.scenario,
                    row.knowledge_version,
                    tuple(row.rules),
                    row.outcome,
                    row.reason_system,
                    row.reason_code,
                    row.reason_display,
                )

    def on_unknown_cards(self, since: datetime | None, until: datetime | None) -> int:
        """How much feedback came in the period on cards the store does not hold for that client."""
        query = select(func.count()).select_from(feedback)
        period = _within(feedback.c.received_at, since, until)
        with reported(_UNREADABLE), self.engine.connect() as connection:
            return connection.execute(query.where(not_(_on_a_card()), *period)).scalar_one()

    def kept(self, before: datetime | None = None) -> Kept:
        """How much the store holds, or how much of it a purge of what is older would take."""
        with reported(_UNREADABLE), self.engine.connect() as connection:
            return _kept(connection, before)

    def oldest(self) -> datetime | None:
        """When the oldest consult was answered."""
        with reported(_UNREADABLE), self.engine.connect() as connection:
            found = connection.execute(select(func.min(consult.c.answered_at))).scalar()
        return None if found is None else in_utc(found)

    def purge(self, before: datetime) -> Kept:
        """Delete older consults, their cards, the feedback on them, and older feedback on unknown cards."""
        with reported("The store could not be purged"), self.engine.begin() as connection:
            gone = _kept(connection, before)
            connection.execute(delete(feedback).where(_old_feedback(before)))
            connection.execute(delete(consult).where(consult.c.answered_at < before))
            return gone

    @contextmanager
    def _rows(self, query: Select[Any]) -> Iterator[Iterable[Any]]:
        """The rows of a query, fetched in portions."""
        portions = query.execution_options(yield_per=_AT_A_TIME)
        with reported(_UNREADABLE), self.engine.connect() as connection, connection.execute(portions) as rows:
            yield rows


def _within(column: Any, since: datetime | None, until: datetime | None) -> list[ColumnElement[bool]]:
    return [*([column >= since] if since else []), *([column < until] if until else [])]


def _last_feedback() -> Any:
    """One row per client and card: what was decided last, by the client's clock; of equals, what came last."""
    newest = (feedback.c.outcome_at.desc(), feedback.c.received_at.desc(), feedback.c.id)
    numbered = select(
        feedback.c.card_uuid,
        feedback.c.client.label("client_of"),
        feedback.c.outcome,
        feedback.c.reason_system,
        feedback.c.reason_code,
        feedback.c.reason_display,
        func.row_number().over(partition_by=(feedback.c.client, feedback.c.card_uuid), order_by=newest).label("place"),
    ).subquery()
    return select(numbered).where(numbered.c.place == 1).subquery("last_feedback")


def _on_a_card() -> ColumnElement[bool]:
    return exists().where(
        card.c.uuid == feedback.c.card_uuid,
        card.c.consult_id == consult.c.id,
        consult.c.client == feedback.c.client,
    )


def _old_feedback(before: datetime) -> ColumnElement[bool]:
    """Feedback that goes with an old consult, or is itself old and belongs to none."""
    cards = select(card.c.uuid).join(consult).where(consult.c.answered_at < before)
    return or_(feedback.c.card_uuid.in_(cards), and_(feedback.c.received_at < before, not_(_on_a_card())))


def _kept(connection: Connection, before: datetime | None) -> Kept:
    consults = select(func.count()).select_from(consult)
    cards = select(func.count()).select_from(card)
    entries = select(func.count()).select_from(feedback)
    if before is not None:
        consults = consults.where(consult.c.answered_at < before)
        cards = select(func.count()).select_from(card.join(consult)).where(consult.c.answered_at < before)
        entries = entries.where(_old_feedback(before))
    return Kept(*(connection.execute(query).scalar_one() for query in (consults, cards, entries)))
