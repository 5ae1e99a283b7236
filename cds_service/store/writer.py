"""One process's way to the database: two files in turns, and a thread that delivers them in groups.

Calls add lines to one file. The thread gathers for a moment, swaps the files, brings the full one into the database in
one transaction and empties it. While the database is away the first file rests as it is and the other one grows.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from pathlib import Path
from typing import Final

from cds_service.errors import StoreError
from cds_service.observability import logger
from cds_service.store.spool import Keeper, SpoolFile, adopt, deliver

GATHER_SECONDS: Final = 0.25
"""How long records wait for others, to be brought into the database together: a commit costs as much as ten of them."""
_RETRY_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 5.0
"""How often a process looks for what others left."""
_STOP_SECONDS: Final = 15.0


class Writer:
    """The spool of the process that makes it, until the process ends.

    Attributes:
        pid: that process.
        failing: whether the database did not take what was delivered last.
    """

    def __init__(self, folder: Path, limit: int, keeper: Keeper) -> None:
        self.pid = os.getpid()
        self.failing = False
        self._folder, self._limit, self._keeper = folder, limit, keeper
        try:
            self._filling, self._resting = SpoolFile.create(folder), SpoolFile.create(folder)
        except OSError as error:
            raise StoreError(f"The spool cannot be made: {error.strerror}.") from None
        self._appending, self._delivering = threading.Lock(), threading.Lock()
        self._called, self._stopped = threading.Event(), threading.Event()
        self._looked = 0.0
        self._thread = threading.Thread(target=self._run, name="pnet-cds-spool", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def append(self, line: bytes, *, synced: bool) -> None:
        """Keep a line until it is in the database.

        Raises:
            StoreError: the spool is full, or the disk is.
        """
        with self._appending:
            if self._filling.size + self._resting.size + len(line) > self._limit:
                raise StoreError("The spool is full; see PNET_CDS_SPOOL_BYTES.")
            try:
                self._filling.append(line, synced=synced)
            except OSError as error:
                raise StoreError(f"The spool cannot be written: {error.strerror}.") from None
        self._called.set()

    def flush(self) -> None:
        """Bring everything that was added so far into the database.

        Raises:
            StoreError: it stays in the spool.
        """
        with self._delivering:
            try:
                deliver(self._resting, self._keeper)
                with self._appending:
                    self._filling, self._resting = self._resting, self._filling
                deliver(self._resting, self._keeper)
            except OSError as error:
                raise StoreError(f"The spool cannot be read: {error.strerror}.") from None

    def close(self) -> None:
        """Deliver what is left and stop; what cannot be delivered is left to the next process."""
        if self.pid != os.getpid() or self._stopped.is_set():
            return
        self._stopped.set()
        self._called.set()
        self._thread.join(_STOP_SECONDS)
        try:
            self.flush()
        except StoreError as error:
            logger().error("spool left behind", slug=error.slug)
            self._filling.close()
            self._resting.close()
        else:
            self._filling.remove()
            self._resting.remove()

    def _run(self) -> None:
        while not self._stopped.is_set():
            if self._called.wait(_RETRY_SECONDS if self.failing else _LOOK_SECONDS):
                self._stopped.wait(_RETRY_SECONDS if self.failing else GATHER_SECONDS)
            self._called.clear()
            self._deliver()

    def _deliver(self) -> None:
        """One round of the thread, which nothing may end."""
        try:
            self.flush()
            if self.failing:
                logger().warning("spool delivered")
            self.failing = False
        except Exception as error:  # noqa: BLE001 - a thread that ended would deliver nothing any more
            self._note_failure(error)
        if not self.failing and time.monotonic() - self._looked > _LOOK_SECONDS:
            self._looked = time.monotonic()
            self._adopt()

    def _adopt(self) -> None:
        try:
            adopt(self._folder, self._keeper)
        except Exception as error:  # noqa: BLE001
            logger().error("spool not adopted", error=type(error).__name__, detail=str(error))

    def _note_failure(self, error: Exception) -> None:
        if not self.failing:
            logger().error("records wait in the spool", error=type(error).__name__, detail=str(error))
        self.failing = True
        try:
            with self._appending:
                self._filling.sync()
            self._resting.sync()
        except OSError as unsynced:
            logger().error("spool not on disk", error=unsynced.strerror)
