"""What the store promises to operators, on both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, func, select

from cds_service.errors import StoreError
from cds_service.store.archive import Archive
from cds_service.store.base import CardRecord, ConsultRecord, Kept
from cds_service.store.migrate import migrate
from cds_service.store.sql import SqlStore
from cds_service.store.tables import card, feedback
from tests.store.records import CONSULT, FEEDBACK

DAY = timedelta(days=1)
START = datetime(2026, 11, 1, tzinfo=UTC)


def consults(store: SqlStore, count: int, cards: int = 1) -> list[ConsultRecord]:
    """Record consults on following days, each with cards of its own."""
    made = [
        replace(
            CONSULT,
            id=f"consult-{day:04}",
            answered_at=START + day * DAY,
            cards=tuple(CardRecord(f"card-{day}-{n}", "info", ("R01-01",), ()) for n in range(cards if day % 3 else 0)),
        )
        for day in range(count)
    ]
    for item in made:
        store.record(item)
    return made


def test_consults_come_back_oldest_first_with_their_cards(store: SqlStore) -> None:
    """Every consult of the period as it was recorded, also those without cards, in portions or not."""
    made = consults(store, 10, cards=3)
    archive = Archive(store.engine)
    assert list(archive.consults(None, None)) == made
    assert list(archive.consults(START + 2 * DAY, START + 5 * DAY)) == made[2:5]
    assert list(archive.consults(START + 20 * DAY, None)) == []


def test_the_card_of_another_consult_is_never_mixed_in(store: SqlStore) -> None:
    """Consults of the same instant keep their own cards."""
    twins = [replace(CONSULT, id=name, cards=(CardRecord(f"card-{name}", "info", (), ()),)) for name in "cab"]
    for twin in twins:
        store.record(twin)
    assert list(Archive(store.engine).consults(None, None)) == sorted(twins, key=lambda twin: twin.id)


def test_a_card_without_feedback_was_ignored(store: SqlStore) -> None:
    """Every card that was shown is listed; one with feedback has its outcome, the other none."""
    store.record(CONSULT)
    store.keep_feedback((FEEDBACK,))
    shown = list(Archive(store.engine).shown(None, None))
    assert [(item.uuid, item.outcome) for item in shown] == [("card-1", "overridden"), ("card-2", None)]
    assert shown[0].reason_display == FEEDBACK.reason_display
    assert shown[0].rules == ("R01-06", "PIT-02")


def test_of_several_decisions_the_last_one_counts(store: SqlStore) -> None:
    """Last by the client's clock; of two at the same moment, the one that came last."""
    later = replace(FEEDBACK, outcome="accepted", suggestions=("s",), outcome_at=FEEDBACK.outcome_at + DAY)
    store.record(CONSULT)
    store.keep_feedback((later, FEEDBACK))
    assert next(Archive(store.engine).shown(None, None)).outcome == "accepted"
    store.keep_feedback((replace(later, outcome="overridden", received_at=later.received_at + DAY),))
    assert next(Archive(store.engine).shown(None, None)).outcome == "overridden"


def test_a_client_speaks_about_its_own_cards_only(store: SqlStore) -> None:
    """What another client says about a card changes nothing in its record and counts as about an unknown card."""
    store.record(CONSULT)
    store.keep_feedback((replace(FEEDBACK, client="https://other.example.org"), replace(FEEDBACK, card="never")))
    archive = Archive(store.engine)
    assert [item.outcome for item in archive.shown(None, None)] == [None, None]
    assert archive.on_unknown_cards(None, None) == 2
    assert archive.on_unknown_cards(FEEDBACK.received_at + DAY, None) == 0


def test_a_purge_takes_what_is_old_and_nothing_else(store: SqlStore) -> None:
    """Old consults go with cards and feedback, also recent feedback on them; old feedback on unknown cards goes too."""
    consults(store, 6)
    told = [
        replace(FEEDBACK, card="card-1-0", received_at=START + 50 * DAY),
        replace(FEEDBACK, card="card-5-0", received_at=START + 5 * DAY),
        replace(FEEDBACK, card="unknown-old", received_at=START),
        replace(FEEDBACK, card="unknown-new", received_at=START + 50 * DAY),
    ]
    store.keep_feedback(tuple(told))
    archive = Archive(store.engine)
    assert archive.kept() == Kept(6, 4, 4)
    before = START + 3 * DAY
    assert archive.kept(before) == Kept(3, 2, 2)
    assert archive.kept() == Kept(6, 4, 4)
    assert archive.purge(before) == Kept(3, 2, 2)
    assert archive.kept() == Kept(3, 2, 2)
    assert archive.oldest() == before
    with store.engine.connect() as connection:
        left = set(connection.execute(select(feedback.c.card_uuid)).scalars())
        cards = set(connection.execute(select(card.c.uuid)).scalars())
    assert left == {"card-5-0", "unknown-new"}
    assert cards == {"card-4-0", "card-5-0"}


def test_a_purge_of_nothing_is_no_fault(store: SqlStore) -> None:
    """An empty store has nothing old and no oldest consult."""
    archive = Archive(store.engine)
    assert archive.purge(datetime.now(UTC)) == Kept(0, 0, 0)
    assert archive.oldest() is None


def test_a_store_of_another_schema_is_not_read(engine: Engine) -> None:
    """Before reading, an operator is told to migrate; the revisions say from where to where."""
    archive = Archive(engine)
    with pytest.raises(StoreError, match="pnet-cds db migrate"):
        archive.require_current()
    assert archive.revisions()[0] is None
    migrate(engine)
    archive.require_current()
    at, newest = archive.revisions()
    assert at == newest


def test_reading_without_tables_is_said(engine: Engine) -> None:
    """Every question to a database without tables gives one of our errors."""
    archive = Archive(engine)
    for ask in (
        lambda: list(archive.consults(None, None)),
        lambda: list(archive.shown(None, None)),
        lambda: archive.on_unknown_cards(None, None),
        archive.kept,
        archive.oldest,
        lambda: archive.purge(datetime.now(UTC)),
    ):
        with pytest.raises(StoreError) as raised:
            ask()
        assert "SELECT" not in str(raised.value)


def test_more_than_a_portion_is_read(store: SqlStore) -> None:
    """Long periods are read in portions, and nothing is lost at their edges."""
    count = 2100
    many = tuple(CardRecord(f"many-{number}", "info", (), ()) for number in range(count))
    store.record(replace(CONSULT, cards=many))
    archive = Archive(store.engine)
    assert [item.uuid for item in archive.shown(None, None)] == [item.uuid for item in many]
    (whole,) = archive.consults(None, None)
    assert whole.cards == many
    with store.engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(card)).scalar_one() == count
