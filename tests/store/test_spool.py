"""Records on their way to the database: none is lost, none is stored twice, and nothing bad keeps the rest waiting."""

from __future__ import annotations

import os
import signal
import stat
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, func, select, text

from cds_service.errors import StoreError
from cds_service.store.archive import Archive
from cds_service.store.base import CardRecord, ConsultRecord, FeedbackRecord
from cds_service.store.connect import open_engine
from cds_service.store.migrate import migrate
from cds_service.store.spool import Entry, SpoolFile, adopt, entry_in, line_of, waiting_in
from cds_service.store.spooled import SpooledStore
from cds_service.store.sql import SqlStore
from cds_service.store.tables import card, consult, feedback
from tests.store.records import CONSULT, FEEDBACK

LIMIT = 1024 * 1024
PATIENCE_SECONDS = 20.0


def numbered(number: int | str) -> ConsultRecord:
    """A consult of its own with a card of its own."""
    return replace(CONSULT, id=f"consult-{number}", cards=(CardRecord(f"card-{number}", "info", ("R01-01",), ()),))


def kept(engine: Engine) -> list[str]:
    """The consults of the database."""
    with engine.connect() as connection:
        return sorted(connection.execute(select(consult.c.id)).scalars())


def eventually(true: Callable[[], bool]) -> None:
    """Wait for what another thread or process does."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def break_it(engine: Engine) -> None:
    """The database answers, and can keep nothing."""
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE consult RENAME TO gone"))


def mend_it(engine: Engine) -> None:
    """The database is back."""
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE gone RENAME TO consult"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the spools are; not there yet."""
    return tmp_path / "spool"


@pytest.fixture
def make(store: SqlStore, folder: Path) -> Iterator[Callable[..., SpooledStore]]:
    """Makes stores with a spool; in the end they are stopped as a process stops."""
    made: list[SpooledStore] = []

    def spooled(limit: int = LIMIT, *, strict: bool = False) -> SpooledStore:
        made.append(SpooledStore(store, folder, limit, strict=strict))
        return made[-1]

    yield spooled
    for each in made:
        each.close()


# --- lines ------------------------------------------------------------------------------------------------------------


def test_a_line_holds_the_record() -> None:
    """What is written comes back: consults, feedback, times with their zone, and no line break within a line."""
    entry = Entry(consult=CONSULT, feedback=(replace(FEEDBACK, comment="two\nlines"),))
    line = line_of(entry)
    assert line.count(b"\n") == 1
    assert entry_in(line) == entry


@pytest.mark.parametrize("place", [0, 4, 8, 9, 40, -2, -1])
def test_a_damaged_line_is_seen(place: int) -> None:
    """Whichever byte is another one, the line is damaged; so is a line that ends early, or holds something else."""
    line = bytearray(line_of(Entry(consult=CONSULT)))
    line[place] ^= 1
    assert entry_in(bytes(line)) is None
    assert entry_in(line_of(Entry(consult=CONSULT))[:place]) is None


def test_another_kind_of_object_is_no_record() -> None:
    """A line whose checksum is right and that is no record of ours is told from one that is."""
    line = line_of(Entry(consult=replace(CONSULT, cards=5)))  # type: ignore[arg-type]
    assert entry_in(line) is None


# --- the way of a record ----------------------------------------------------------------------------------------------


def test_a_consult_comes_into_the_database_by_itself(make: Any, engine: Engine) -> None:
    """Recorded, it is there a moment later, whole."""
    spooled = make()
    spooled.record(CONSULT)
    eventually(lambda: kept(engine) == [CONSULT.id])
    assert list(Archive(engine).consults(None, None)) == [CONSULT]
    eventually(lambda: spooled.waiting().spooled == 0)


def test_what_waits_is_found_by_this_process(make: Any) -> None:
    """Whoever asks for a card that was just given finds it."""
    spooled = make()
    for number in range(5):
        spooled.record(numbered(number))
        assert spooled.consult_of_card(f"card-{number}") == numbered(number)


def test_feedback_overtakes_its_card(make: Any, store: SqlStore, engine: Engine) -> None:
    """Feedback may be in the database before the consult it is about; the report is right once both are."""
    spooled = make()
    store.keep_feedback((FEEDBACK,))
    spooled.record(CONSULT)
    spooled.settle()
    shown = {each.uuid: each.outcome for each in Archive(engine).shown(None, None)}
    assert shown == {"card-1": "overridden", "card-2": None}
    assert Archive(engine).on_unknown_cards(None, None) == 0


def test_many_threads_record_at_once(make: Any, engine: Engine) -> None:
    """Calls answered at the same time are all recorded, each once, while groups are delivered under them."""
    spooled = make()

    def write(thread: int) -> None:
        for turn in range(50):
            spooled.record(numbered(f"{thread}-{turn}"))
            time.sleep(0.004)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spooled.settle()
    assert len(kept(engine)) == 300


def test_a_stop_delivers_what_waits(make: Any, engine: Engine, folder: Path) -> None:
    """At the end of a process nothing waits, and nothing of its files is left."""
    spooled = make()
    spooled.record(CONSULT)
    spooled.close()
    assert kept(engine) == [CONSULT.id]
    assert list(folder.iterdir()) == []


def test_nobody_else_can_read_it(make: Any, folder: Path) -> None:
    """Files and folder are the service user's own."""
    make().record(CONSULT)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}


def test_strict_is_in_the_database_at_once(make: Any, engine: Engine) -> None:
    """With strict, a consult is committed when it is recorded, and no second record of its id is taken."""
    spooled = make(strict=True)
    spooled.record(CONSULT)
    assert kept(engine) == [CONSULT.id]
    with pytest.raises(StoreError):
        spooled.record(CONSULT)


# --- the database is away ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strict", [False, True])
def test_records_wait_for_the_database(make: Any, engine: Engine, *, strict: bool) -> None:
    """While the database keeps nothing, consults and feedback wait; once it does, all are there, each once."""
    spooled = make(strict=strict)
    spooled.record(numbered(0))
    spooled.settle()
    break_it(engine)
    for number in range(1, 4):
        spooled.record(numbered(number))
    if strict:
        spooled.keep_feedback((replace(FEEDBACK, card="card-2"),))
    assert spooled.waiting().spooled > 0
    mend_it(engine)
    eventually(lambda: len(kept(engine)) == 4)
    eventually(lambda: spooled.waiting().spooled == 0)
    with engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(card)).scalar_one() == 4
        assert connection.execute(select(func.count()).select_from(feedback)).scalar_one() == int(strict)


def test_feedback_waits_as_well(folder: Path, tmp_path: Path) -> None:
    """Feedback that the database cannot take now is on disk, and comes into it later."""
    engine = open_engine(f"sqlite:///{tmp_path}/late.sqlite")
    spooled = SpooledStore(SqlStore(engine), folder, LIMIT, strict=False)
    spooled.keep_feedback((FEEDBACK,))
    assert spooled.waiting().spooled > 0
    migrate(engine)
    spooled.settle()
    with engine.connect() as connection:
        assert connection.execute(select(feedback.c.card_uuid)).scalars().all() == [FEEDBACK.card]
    spooled.close()
    engine.dispose()


def test_a_full_spool_says_so(make: Any, engine: Engine) -> None:
    """At its bound the spool takes nothing more, and what it has stays whole."""
    spooled = make(limit=len(line_of(Entry(consult=numbered(0)))) * 3 + 10)
    break_it(engine)
    spooled.record(numbered(0))
    with pytest.raises(StoreError):
        spooled.settle()
    spooled.record(numbered(1))
    spooled.record(numbered(2))
    with pytest.raises(StoreError):
        spooled.record(numbered(3))
    assert not spooled.takes_records()
    mend_it(engine)
    spooled.settle()
    assert kept(engine) == ["consult-0", "consult-1", "consult-2"]


def test_a_stop_without_database_leaves_it_to_the_next_start(
    make: Any, store: SqlStore, engine: Engine, folder: Path
) -> None:
    """What cannot be delivered at the end is delivered by the next process."""
    spooled = make()
    break_it(engine)
    spooled.record(CONSULT)
    spooled.close()
    mend_it(engine)
    assert waiting_in(folder).spooled > 0
    assert adopt(folder, store) == 2
    assert kept(engine) == [CONSULT.id]
    assert waiting_in(folder).spooled == 0


def test_a_spool_that_cannot_be_written_stops_the_start(make: Any, folder: Path) -> None:
    """Where no file can be made the service does not start, and says which setting helps."""
    folder.write_text("in the way", encoding="utf-8")
    with pytest.raises(StoreError, match="PNET_CDS_SPOOL_DIR"):
        make().prepare()
    folder.unlink()


# --- other processes --------------------------------------------------------------------------------------------------


def _record_and_wait(url: str, folder: Path, ready: Any) -> None:
    """What a worker does until it is killed: records, without a chance to deliver."""
    store = SqlStore(open_engine(url))
    spooled = SpooledStore(store, folder, LIMIT, strict=False)
    break_it(store.engine)
    for number in range(10):
        spooled.record(numbered(number))
    ready.set()
    time.sleep(PATIENCE_SECONDS)


@pytest.fixture
def killed(store: SqlStore, engine: Engine, url: str, folder: Path) -> None:
    """A process with ten consults in its spool was killed with signal 9."""
    context = get_context("spawn")
    ready = context.Event()
    process = context.Process(target=_record_and_wait, args=(url, folder, ready))
    process.start()
    assert ready.wait(PATIENCE_SECONDS)
    assert adopt(folder, store) == 0, "a living process lost its spool"
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    mend_it(engine)


@pytest.mark.usefixtures("killed")
def test_a_killed_process_loses_nothing(make: Any, engine: Engine, folder: Path) -> None:
    """Another process finds what a killed one left, and delivers it once, however many look for it."""
    make().record(numbered("mine"))
    make().record(numbered("other"))
    eventually(lambda: len(kept(engine)) == 12)
    eventually(lambda: waiting_in(folder).spooled == 0)
    assert waiting_in(folder).set_aside == 0


@pytest.mark.usefixtures("killed")
def test_what_was_delivered_before_the_kill_is_stored_once(make: Any, store: SqlStore, engine: Engine) -> None:
    """A process killed between commit and clearing leaves records that are in the database: they stay as they are."""
    for number in range(7):
        store.record(numbered(number))
    make().prepare()
    assert len(kept(engine)) == 10
    with engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(card)).scalar_one() == 10


@pytest.mark.usefixtures("killed")
def test_damage_keeps_nothing_else_waiting(make: Any, engine: Engine, folder: Path) -> None:
    """A flipped byte, a torn end and zeros after a power cut are set aside as they are; every whole record is kept."""
    path = max(folder.glob("*.spool"), key=lambda file: file.stat().st_size)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[4] = lines[4].replace(b"order-sign", b"order-sigh", 1)
    torn = line_of(Entry(consult=numbered("torn")))[:100]
    path.write_bytes(b"".join(lines) + b"\0" * 64 + b"\n" + torn)
    make().prepare()
    assert kept(engine) == [f"consult-{number}" for number in range(10) if number != 4]
    (aside,) = folder.glob("*.aside")
    assert aside.read_bytes().splitlines() == [lines[4].rstrip(b"\n"), b"\0" * 64, torn]
    assert stat.S_IMODE(aside.stat().st_mode) == 0o600
    assert waiting_in(folder).spooled == 0


class _Refusing(SqlStore):
    """A store that takes everything but one consult, as a database does that checks a value."""

    def replay(self, consults: tuple[ConsultRecord, ...], feedback_records: tuple[FeedbackRecord, ...]) -> None:
        broken = tuple(replace(c, scenario=None) if c.id == "consult-3" else c for c in consults)  # type: ignore[arg-type]
        super().replay(broken, feedback_records)


def test_one_refused_record_is_set_aside(store: SqlStore, engine: Engine, folder: Path) -> None:
    """The database refuses one value (a real one does): that record is set aside, the others of its group are kept."""
    file = SpoolFile.create(folder)
    for number in range(6):
        file.append(line_of(Entry(consult=numbered(number))), synced=False)
    file.close()
    assert adopt(folder, _Refusing(store.engine)) == 1
    assert kept(engine) == [f"consult-{number}" for number in (0, 1, 2, 4, 5)]
    assert waiting_in(folder).spooled == 0
    assert waiting_in(folder).set_aside == len(line_of(Entry(consult=numbered(3))))


def test_a_forked_process_has_a_spool_of_its_own(make: Any, engine: Engine, folder: Path) -> None:
    """Parent and child write to different files, and the child does not deliver or empty those of its parent."""
    spooled = make()
    spooled.record(numbered("parent"))
    spooled.settle()
    before = {path.name for path in folder.glob("*.spool")}
    spooled.release()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python does not know that this child uses no lock
        child = os.fork()
    if not child:
        status = 1
        try:
            spooled.release()
            spooled.record(numbered("child"))
            spooled.close()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert {path.name for path in folder.glob("*.spool")} == before
    assert kept(engine) == ["consult-child", "consult-parent"]
