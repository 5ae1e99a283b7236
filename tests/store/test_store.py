"""What the store promises, on a real SQLite file."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, func, inspect, select, text

from cds_service.errors import SettingsError, StoreError
from cds_service.store.base import CardRecord, ConsultRecord, Store, SyntheticPatient
from cds_service.store.connect import open_engine
from cds_service.store.migrate import migrate
from cds_service.store.sql import SqlStore
from cds_service.store.tables import card, consult, metadata, synthetic_patient
from fhir_profiles.synthetic import synthetic_patients

CARDS = (
    CardRecord("card-1", "warning", ("R01-06", "PIT-02"), ("suggestion-1",)),
    CardRecord("card-2", "info", ("R01-01",), ()),
)
CONSULT = ConsultRecord(
    id="consult-1",
    answered_at=datetime(2026, 11, 20, 9, 30, 15, 123456, tzinfo=UTC),
    service="pnet-order-sign",
    hook="order-sign",
    scenario="pnet-initial-staging",
    ratings={"eus": "usually-not-appropriate", "mri-abd-pel-wwo": "usually-appropriate"},
    rules=("SEL-10", "R01-06"),
    knowledge_version="2026.11",
    knowledge_hash="0123456789abcdef",
    skipped=2,
    duration_ms=12.345,
    cards=CARDS,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database file in a folder that does not exist yet."""
    return tmp_path / "var" / "consults.sqlite"


@pytest.fixture
def engine(path: Path) -> Iterator[Engine]:
    """An engine on that file, without a schema."""
    opened = open_engine(f"sqlite:///{path}")
    yield opened
    opened.dispose()


@pytest.fixture
def store(engine: Engine) -> SqlStore:
    """A store at the current schema."""
    migrate(engine)
    return SqlStore(engine)


def rows(engine: Engine, table: Any) -> int:
    """How many rows a table holds."""
    with engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


# --- schema -----------------------------------------------------------------------------------------------------------


def test_the_migrations_make_exactly_the_tables(engine: Engine) -> None:
    """After the migrations nothing is left to change: tables, columns, types, keys and indices are those declared."""
    migrate(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    found = inspect(engine)
    assert set(found.get_table_names()) == {*metadata.tables, "alembic_version"}
    for name, table in metadata.tables.items():
        columns = {column["name"]: column for column in found.get_columns(name)}
        assert list(columns) == [column.name for column in table.columns]
        assert {c: col["nullable"] for c, col in columns.items()} == {c.name: c.nullable for c in table.columns}
        assert {index["name"] for index in found.get_indexes(name)} == {str(index.name) for index in table.indexes}


def test_a_card_is_bound_to_its_consult(engine: Engine) -> None:
    """A card without its consult is refused by the database itself, and goes when the consult goes."""
    migrate(engine)
    (key,) = inspect(engine).get_foreign_keys("card")
    assert (key["referred_table"], key["options"].get("ondelete")) == ("consult", "CASCADE")
    SqlStore(engine).record(CONSULT)
    with engine.begin() as connection:
        connection.execute(consult.delete())
    assert rows(engine, card) == 0


def test_migrating_twice_changes_nothing(store: SqlStore) -> None:
    """Bringing a current database to the current schema keeps what it holds."""
    store.record(CONSULT)
    migrate(store.engine)
    assert store.consult_of_card("card-1") == CONSULT


def test_a_file_that_is_no_database_is_said(path: Path) -> None:
    """A file of another kind gives our own error, without a driver's message."""
    path.parent.mkdir()
    path.write_bytes(b"this is no database, and long enough to have a header" * 10)
    engine = open_engine(f"sqlite:///{path}")
    with pytest.raises(StoreError, match="cannot be brought to the current schema"):
        migrate(engine)
    engine.dispose()


# --- connection -------------------------------------------------------------------------------------------------------


def test_the_file_is_opened_as_readers_and_writers_need_it(store: SqlStore) -> None:
    """Write-ahead log and foreign keys are on for every connection."""
    with store.engine.connect() as one, store.engine.connect() as another:
        for connection in (one, another):
            assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
            assert connection.execute(text("PRAGMA foreign_keys")).scalar() == 1


@pytest.mark.parametrize("url", ["", "nonsense", "sqlite", "://", "http//x"])
def test_a_url_that_is_none_is_said(url: str) -> None:
    """What is no database URL is a settings error that names the variable."""
    with pytest.raises(SettingsError, match="PNET_CDS_DATABASE_URL"):
        open_engine(url)


@pytest.mark.parametrize("url", ["nosuchdatabase:///x", "postgresql+nosuchdriver://localhost/x"])
def test_a_database_without_a_driver_is_said(url: str) -> None:
    """A URL for a database this installation has no driver for is a settings error as well."""
    with pytest.raises(SettingsError, match="PNET_CDS_DATABASE_URL"):
        open_engine(url)


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    """Where the folder of the file cannot be made there is one of our errors, not one of the system."""
    blocked = tmp_path / "file"
    blocked.write_text("", encoding="utf-8")
    with pytest.raises((SettingsError, StoreError)):
        open_engine(f"sqlite:///{blocked}/consults.sqlite")


# --- readiness --------------------------------------------------------------------------------------------------------


def test_ready_means_current(engine: Engine) -> None:
    """A store is ready once its schema is current, not before."""
    store = SqlStore(engine)
    assert not store.ready()
    migrate(engine)
    assert store.ready()


def test_an_older_schema_is_not_ready(store: SqlStore) -> None:
    """A database at another migration is not ready."""
    with store.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    assert not store.ready()


def test_a_database_that_does_not_answer_is_not_ready(path: Path) -> None:
    """What cannot be read is not ready, and asking is no error."""
    path.parent.mkdir()
    path.write_bytes(b"this is no database, and long enough to have a header" * 10)
    engine = open_engine(f"sqlite:///{path}")
    assert not SqlStore(engine).ready()
    engine.dispose()


# --- consults ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("uuid", ["card-1", "card-2"])
def test_a_card_leads_to_its_consult(store: SqlStore, uuid: str) -> None:
    """From any card of a consult the whole consult comes back as it was recorded, cards in their order."""
    store.record(replace(CONSULT, id="another", cards=(CardRecord("other", "info", (), ()),)))
    store.record(CONSULT)
    assert store.consult_of_card(uuid) == CONSULT


def test_the_time_of_a_consult_keeps_its_zone(store: SqlStore) -> None:
    """The instant comes back as an instant, in UTC, to the microsecond."""
    store.record(CONSULT)
    found = store.consult_of_card("card-1")
    assert found is not None
    assert found.answered_at == CONSULT.answered_at
    assert found.answered_at.tzinfo is not None


def test_an_unknown_card_leads_nowhere(store: SqlStore) -> None:
    """A card that never was has no consult."""
    store.record(CONSULT)
    assert store.consult_of_card("never") is None


def test_a_consult_without_cards_is_recorded(store: SqlStore) -> None:
    """Silence is recorded as well."""
    store.record(replace(CONSULT, cards=(), ratings={}, rules=()))
    assert (rows(store.engine, consult), rows(store.engine, card)) == (1, 0)


@pytest.mark.parametrize(
    "cards",
    [
        (CARDS[0], CARDS[0]),
        (CARDS[1], replace(CARDS[0], indicator=None)),  # type: ignore[arg-type]
    ],
    ids=["card-twice", "card-without-indicator"],
)
def test_a_consult_is_recorded_whole_or_not_at_all(store: SqlStore, cards: tuple[CardRecord, ...]) -> None:
    """A card that cannot be kept takes the consult and its other cards with it, and the error says so."""
    with pytest.raises(StoreError, match="could not be recorded"):
        store.record(replace(CONSULT, cards=cards))
    assert (rows(store.engine, consult), rows(store.engine, card)) == (0, 0)


def test_a_consult_is_recorded_once(store: SqlStore) -> None:
    """The same id a second time is refused, and the first record stays as it is."""
    store.record(CONSULT)
    with pytest.raises(StoreError):
        store.record(replace(CONSULT, scenario="out-of-scope", cards=(CardRecord("new", "info", (), ()),)))
    assert store.consult_of_card("card-1") == CONSULT
    assert store.consult_of_card("new") is None


def test_a_store_without_schema_says_so(engine: Engine) -> None:
    """Recording into a database without tables is one of our errors, without the statement in its message."""
    with pytest.raises(StoreError) as raised:
        SqlStore(engine).record(CONSULT)
    assert "INSERT" not in str(raised.value)


def test_reading_a_store_without_schema_says_so(engine: Engine) -> None:
    """Reading from a database without tables is one of our errors as well."""
    store = SqlStore(engine)
    for read in (lambda: store.consult_of_card("card-1"), store.synthetic, lambda: store.load_synthetic(())):
        with pytest.raises(StoreError):
            read()


def test_many_threads_record_at_once(store: SqlStore) -> None:
    """Calls answered at the same time are all recorded."""
    failures: list[BaseException] = []

    def write(number: int) -> None:
        try:
            for turn in range(10):
                uuid = f"{number}-{turn}"
                store.record(replace(CONSULT, id=uuid, cards=(CardRecord(f"card-{uuid}", "info", ("R01-01",), ()),)))
        except BaseException as error:  # noqa: BLE001 - told by the assertion
            failures.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert (rows(store.engine, consult), rows(store.engine, card)) == (80, 80)


def test_a_reader_does_not_wait_for_a_writer(store: SqlStore, path: Path) -> None:
    """While one connection writes, another still reads what was there before."""
    store.record(CONSULT)
    with closing(store.engine.raw_connection()) as writing:
        cursor = writing.cursor()
        cursor.execute("BEGIN IMMEDIATE")
        cursor.execute("DELETE FROM consult")
        assert store.consult_of_card("card-1") == CONSULT
        writing.rollback()
    assert path.exists()


def test_a_consult_holds_no_patient_data() -> None:
    """No column of a consult or card could hold a resource, a name or an identifier of a patient."""
    assert {column.name for column in consult.columns} == {
        "id",
        "answered_at",
        "service",
        "hook",
        "scenario",
        "ratings",
        "rules",
        "knowledge_version",
        "knowledge_hash",
        "skipped",
        "duration_ms",
    }
    assert {column.name for column in card.columns} == {
        "uuid",
        "consult_id",
        "position",
        "indicator",
        "rules",
        "suggestions",
    }


# --- synthetic patients -----------------------------------------------------------------------------------------------


def test_loading_the_patients_again_changes_nothing(store: SqlStore) -> None:
    """The synthetic patients come back by slug, as bundled, however often they are loaded."""
    for _ in range(2):
        store.load_synthetic(synthetic_patients())
        assert store.synthetic() == synthetic_patients()
    assert rows(store.engine, synthetic_patient) == len(synthetic_patients())


def test_loading_replaces_what_was_there(store: SqlStore) -> None:
    """A patient that is no longer bundled goes; one that changed is the new one."""
    first, second = synthetic_patients()[:2]
    store.load_synthetic((first, second))
    changed = replace(second, title="another title")
    store.load_synthetic((changed,))
    assert store.synthetic() == (changed,)
    store.load_synthetic(())
    assert store.synthetic() == ()


def test_patients_are_loaded_whole_or_not_at_all(store: SqlStore) -> None:
    """When one patient cannot be kept the earlier ones stay."""
    before = synthetic_patients()[:1]
    store.load_synthetic(before)
    twice: tuple[SyntheticPatient, ...] = (synthetic_patients()[1], synthetic_patients()[1])
    with pytest.raises(StoreError):
        store.load_synthetic(twice)
    assert store.synthetic() == before


def test_loading_patients_keeps_consults(store: SqlStore) -> None:
    """The patients of the demo have nothing to do with what was recorded."""
    store.record(CONSULT)
    store.load_synthetic(synthetic_patients()[:1])
    assert store.consult_of_card("card-2") == CONSULT


def test_the_sql_store_is_a_store(store: SqlStore) -> None:
    """The implementation has what the rest of the service asks for."""
    promised: Store = store
    assert promised.ready()
