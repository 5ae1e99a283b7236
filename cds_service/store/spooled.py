"""The store of a running service with a spool before it: a consult waits there, or goes there when it cannot be kept.

With ``strict`` a consult is in the database before it is answered, and in the spool, on disk, while the database is
away. Without, it is always in the spool first, which outlives a killed process; it is in the database, and so safe from
a power cut, a moment later. Feedback is acknowledged once it is on disk either way.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from cds_service.errors import RecordRefused, StoreError
from cds_service.observability import logger
from cds_service.store.base import ConsultRecord, FeedbackRecord, SyntheticPatient, Waiting
from cds_service.store.spool import Entry, adopt, line_of, try_out, waiting_in
from cds_service.store.sql import SqlStore
from cds_service.store.writer import Writer


class SpooledStore:
    """An SQL store with a spool. Processes forked from the one that made it have spools of their own."""

    def __init__(self, store: SqlStore, folder: Path, limit: int, *, strict: bool) -> None:
        self._store, self._folder, self._limit, self._strict = store, folder, limit, strict
        self._starting = threading.Lock()
        self._started: Writer | None = None
        self._refusing = False

    def prepare(self) -> None:
        """See to it that the spool can be written, and deliver what processes left that are no more. Starts no thread.

        Raises:
            StoreError: it cannot be written, or what was left stays.
        """
        try_out(self._folder)
        adopt(self._folder, self._store)

    def ready(self) -> bool:
        """Whether the database answers, its schema is the current one, and what was to be kept last was kept.

        A database that is away is not asked again here: the thread of the spool finds out when it is back.
        """
        if self._refusing:
            self._refusing = not self.takes_records()
        return not self._refusing and not self._writer().failing and self._store.ready()

    def takes_records(self) -> bool:
        """Whether the spool takes a consult: tried with an empty one."""
        try:
            self._writer().append(line_of(Entry()), synced=False)
        except StoreError:
            return False
        return True

    def record(self, consult: ConsultRecord) -> None:
        """Keep a consult and its cards, all or nothing.

        Raises:
            StoreError: neither database nor spool took it.
        """
        self._keep(lambda: self._store.record(consult), Entry(consult=consult), at_once=self._strict)

    def consult_of_card(self, card_uuid: str) -> ConsultRecord | None:
        """The consult a card belongs to, also one of this process that waits."""
        self.settle()
        return self._store.consult_of_card(card_uuid)

    def keep_feedback(self, entries: tuple[FeedbackRecord, ...]) -> None:
        """Keep feedback, all or nothing; it is on disk afterwards.

        Raises:
            StoreError: neither database nor spool took it.
        """
        self._keep(lambda: self._store.keep_feedback(entries), Entry(feedback=entries), at_once=True)

    def settle(self) -> None:
        """Bring what waits in this process into the database."""
        if self._started is not None and self._started.pid == os.getpid():
            self._started.flush()

    def close(self) -> None:
        """Deliver what waits in this process and stop; the end of the process does the same."""
        if self._started is not None:
            self._started.close()

    def waiting(self) -> Waiting:
        """How much waits in the spools of all processes."""
        return waiting_in(self._folder)

    def pseudonym_key(self) -> bytes:
        """The store's own random key for patient hashes."""
        return self._store.pseudonym_key()

    def release(self) -> None:
        """Close idle connections, so that processes forked from this one share none."""
        self._store.release()

    def load_synthetic(self, patients: tuple[SyntheticPatient, ...]) -> None:
        """Replace the synthetic patients."""
        self._store.load_synthetic(patients)

    def synthetic(self) -> tuple[SyntheticPatient, ...]:
        """All synthetic patients, by slug."""
        return self._store.synthetic()

    def _keep(self, keep: Callable[[], None], entry: Entry, *, at_once: bool) -> None:
        """Into the database or, while that fails, on disk into the spool; what need not be there at once the other way.

        A database that is away is not asked here again: the thread of the spool finds out when it is back.

        Raises:
            StoreError: neither took it.
        """
        writer = self._writer()
        spool = partial(writer.append, line_of(entry), synced=at_once)
        ways = (spool,) if writer.failing else (keep, spool) if at_once else (spool, keep)
        self._refusing = not any(_taken(way) for way in ways)
        if self._refusing:
            raise StoreError("Neither the database nor the spool takes records.")

    def _writer(self) -> Writer:
        """The writer of this process, which is made at its first use: threads do not live on in a forked process."""
        started = self._started
        if started is None or started.pid != os.getpid():
            with self._starting:
                started = self._started
                if started is None or started.pid != os.getpid():
                    started = self._started = Writer(self._folder, self._limit, self._store)
        return started


def _taken(way: Callable[[], None]) -> bool:
    try:
        way()
    except RecordRefused:
        raise
    except StoreError as error:
        logger().warning("not kept", slug=error.slug, detail=str(error))
        return False
    return True
