"""What the store promises to a running service, on a real SQLite file and on a real PostgreSQL server."""

from __future__ import annotations

import re
import threading
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, func, inspect, select, text

from cds_service.errors import SettingsError, StoreError
from cds_service.store.base import CardRecord, Store, SyntheticPatient
from cds_service.store.connect import open_engine
from cds_service.store.migrate import migrate, revisions
from cds_service.store.pseudonym import patient_pseudonym
from cds_service.store.rows import card_row, consult_row
from cds_service.store.sql import SqlStore
from cds_service.store.tables import card, consult, feedback, metadata, secret, synthetic_patient
from fhir_profiles.synthetic import synthetic_patients
from tests.postgres import PostgresServer
from tests.store.records import CARDS, CONSULT, FEEDBACK


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


def test_processes_that_start_together_migrate_once(engine: Engine) -> None:
    """Of several that find an empty database at the same time one migrates, and none fails."""
    failures: list[BaseException] = []

    def start() -> None:
        try:
            migrate(engine)
        except BaseException as error:  # noqa: BLE001 - told by the assertion
            failures.append(error)

    threads = [threading.Thread(target=start) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert SqlStore(engine).ready()


def test_a_store_of_the_first_schema_keeps_what_it_holds(engine: Engine) -> None:
    """Consults recorded before clients and patients were get neither, and everything else stays."""
    migrate(engine, "0001")
    old = {column.name for column in consult.columns} - {"client", "patient", "unavailable"}
    row = {name: value for name, value in consult_row(CONSULT).items() if name in old}
    with engine.begin() as connection:
        connection.execute(consult.insert().values(row))
        connection.execute(
            card.insert().values({k: v for k, v in card_row(CONSULT.id, 0, CARDS[1]).items() if k != "orders"})
        )
    migrate(engine)
    expected = replace(CONSULT, client="", patient="", unavailable=(), cards=(CARDS[1],))
    assert SqlStore(engine).consult_of_card("card-2") == expected


def test_a_file_that_is_no_database_is_said(path: Path) -> None:
    """A file of another kind gives our own error, without a driver's message."""
    path.parent.mkdir()
    path.write_bytes(b"this is no database, and long enough to have a header" * 10)
    engine = open_engine(f"sqlite:///{path}")
    with pytest.raises(StoreError, match="cannot be brought to the current schema"):
        migrate(engine)
    engine.dispose()


# --- connection -------------------------------------------------------------------------------------------------------


def test_the_file_is_opened_as_readers_and_writers_need_it(file_store: SqlStore) -> None:
    """Write-ahead log, commits that wait for the disk, and foreign keys are on for every connection."""
    with file_store.engine.connect() as one, file_store.engine.connect() as another:
        for connection in (one, another):
            assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
            assert connection.execute(text("PRAGMA synchronous")).scalar() == 2
            assert connection.execute(text("PRAGMA foreign_keys")).scalar() == 1


@pytest.mark.parametrize(("configured", "used"), [("off", "on"), ("on", "on"), ("remote_apply", "remote_apply")])
def test_commits_wait_for_the_disk_of_the_server(postgres: PostgresServer, configured: str, used: str) -> None:
    """Where the server is set up to acknowledge before writing, our connections are not; a stricter setting stays."""
    url = postgres.new_database()
    name = url.split("/")[3].split("?")[0]
    with postgres.connect() as connection:
        connection.execute(f"ALTER DATABASE {name} SET synchronous_commit = {configured}".encode())
    engine = open_engine(url)
    with engine.connect() as connected:
        assert connected.execute(text("SHOW synchronous_commit")).scalar() == used
    engine.dispose()


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_postgresql_has_one_driver_whatever_the_spelling(postgres: PostgresServer, scheme: str) -> None:
    """URLs without a driver mean the one this project installs."""
    engine = open_engine(postgres.new_database().replace("postgresql", scheme, 1))
    with engine.connect() as connected:
        assert connected.execute(text("SELECT 1")).scalar() == 1
    assert engine.driver == "psycopg"
    engine.dispose()


def test_a_server_that_is_not_there_is_said(tmp_path: Path) -> None:
    """Where no server answers there is one of our errors, without address, user or password."""
    engine = open_engine(f"postgresql://user:secret-word@/db?host={tmp_path}")
    assert not SqlStore(engine).ready()
    with pytest.raises(StoreError) as raised:
        migrate(engine)
    assert "secret-word" not in str(raised.value)
    engine.dispose()


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


def test_a_schema_of_a_later_release_is_worked_on(store: SqlStore) -> None:
    """In a rolling update the new release migrates while the old one answers calls, and the old one may start again."""
    with store.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    assert store.ready()
    migrate(store.engine)
    assert revisions(store.engine)[0] == "9999"
    store.record(CONSULT)
    assert store.consult_of_card("card-1") == CONSULT


@pytest.mark.parametrize("damaged", ["", "next", "-1", "1e9"])
def test_what_is_no_migration_is_not_worked_on(store: SqlStore, damaged: str) -> None:
    """Only a higher number is a later release."""
    with store.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :damaged"), {"damaged": damaged})
    assert not store.ready()
    with pytest.raises(StoreError):
        migrate(store.engine)


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


def test_a_reader_does_not_wait_for_a_writer(store: SqlStore) -> None:
    """While one connection writes, another still reads what was there before."""
    store.record(CONSULT)
    with closing(store.engine.raw_connection()) as writing:
        writing.cursor().execute("DELETE FROM consult")
        assert store.consult_of_card("card-1") == CONSULT
        writing.rollback()


def test_a_consult_holds_no_patient_data() -> None:
    """CR-011: no column of a consult or card could hold a resource, a name or an identifier of a patient."""
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
        "client",
        "patient",
        "unavailable",
    }
    assert {column.name for column in card.columns} == {
        "uuid",
        "consult_id",
        "position",
        "indicator",
        "rules",
        "suggestions",
        "orders",
    }


# --- feedback ---------------------------------------------------------------------------------------------------------


def test_the_same_feedback_twice_is_kept_once(store: SqlStore) -> None:
    """CH-127: in one batch or in two, with other words or received later: what says the same is one row, the first."""
    again = replace(FEEDBACK, received_at=FEEDBACK.received_at + timedelta(hours=1), comment="other words")
    store.keep_feedback((FEEDBACK, FEEDBACK))
    store.keep_feedback((again,))
    assert rows(store.engine, feedback) == 1
    with store.engine.connect() as connection:
        assert connection.execute(select(feedback.c.comment)).scalar_one() == FEEDBACK.comment


@pytest.mark.parametrize(
    "change",
    [
        {"outcome": "accepted"},
        {"outcome_at": FEEDBACK.outcome_at + timedelta(microseconds=1)},
        {"card": "another"},
        {"client": "another"},
        {"suggestions": ("s-2",)},
        {"reason_code": "another"},
    ],
)
def test_other_feedback_is_kept_beside_it(store: SqlStore, change: dict[str, Any]) -> None:
    """Another decision, moment, card, client, suggestion or reason is something else that was said."""
    store.keep_feedback((FEEDBACK, replace(FEEDBACK, **change)))
    assert rows(store.engine, feedback) == 2


def test_no_feedback_is_no_fault(store: SqlStore) -> None:
    """An empty batch keeps nothing and is no error."""
    store.keep_feedback(())
    assert rows(store.engine, feedback) == 0


def test_feedback_is_kept_whole_or_not_at_all(store: SqlStore) -> None:
    """An entry that cannot be kept takes its batch with it, and the error says so without the statement."""
    broken = replace(FEEDBACK, card="another", outcome=None)  # type: ignore[arg-type]
    with pytest.raises(StoreError, match="could not be kept") as raised:
        store.keep_feedback((FEEDBACK, broken))
    assert "INSERT" not in str(raised.value)
    assert rows(store.engine, feedback) == 0


def test_many_threads_keep_the_same_batches(store: SqlStore) -> None:
    """The same entries from many sides at once, in any order, are neither lost, doubled nor deadlocked."""
    batch = tuple(replace(FEEDBACK, card=f"card-{number}") for number in range(20))
    failures: list[BaseException] = []

    def write(number: int) -> None:
        try:
            for _ in range(5):
                store.keep_feedback(batch if number % 2 else batch[::-1])
        except BaseException as error:  # noqa: BLE001 - told by the assertion
            failures.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert rows(store.engine, feedback) == len(batch)


# --- the key of the patient hashes ------------------------------------------------------------------------------------


def test_the_key_is_made_once(store: SqlStore) -> None:
    """The store's own key is long, random, and the same for every process that asks."""
    key = store.pseudonym_key()
    assert len(key) == 32
    assert SqlStore(store.engine).pseudonym_key() == key
    assert rows(store.engine, secret) == 1


def test_a_pseudonym_tells_patients_apart_and_no_more() -> None:
    """Client, server, patient and key each change it; a slash at the end of the server's address does not."""
    key = b"k" * 32
    whole = patient_pseudonym(key, "ehr", "https://fhir.example.org/r4", "p1")
    assert re.fullmatch("[0-9a-f]{64}", whole)
    assert patient_pseudonym(key, "ehr", "https://fhir.example.org/r4/", "p1") == whole
    others = {
        patient_pseudonym(b"l" * 32, "ehr", "https://fhir.example.org/r4", "p1"),
        patient_pseudonym(key, "her", "https://fhir.example.org/r4", "p1"),
        patient_pseudonym(key, "ehr", "https://fhir.example.org/r5", "p1"),
        patient_pseudonym(key, "ehr", "https://fhir.example.org/r4", "p2"),
        patient_pseudonym(key, "", "ehrhttps://fhir.example.org/r4", "p1"),
        whole,
    }
    assert len(others) == 6


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
