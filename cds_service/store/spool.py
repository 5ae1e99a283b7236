"""Files in which records wait for the database; they outlive the process that wrote them, however it ends.

A record is one line: a checksum, a space, JSON. Whoever has a file open holds its lock, and the system gives the lock
back with the process; a file without a lock is an orphan, and anybody may deliver it. What is damaged, or refused by
the database, is put beside the file and reported, and keeps nothing else waiting.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final, Protocol
from uuid import uuid4
from zlib import crc32

import msgspec

from cds_service.errors import RecordRefused, StoreError
from cds_service.observability import logger
from cds_service.store.base import ConsultRecord, FeedbackRecord, Waiting

_SPOOL: Final = ".spool"
_ASIDE: Final = ".aside"
_AT_A_TIME: Final = 200
"""Records of one transaction."""
_MINE: Final = 0o600
_MY_FOLDER: Final = 0o700


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """What waits: a consult, or feedback that came in one call."""

    consult: ConsultRecord | None = None
    feedback: tuple[FeedbackRecord, ...] = ()


class Keeper(Protocol):
    """Where records are delivered to."""

    def replay(self, consults: tuple[ConsultRecord, ...], feedback: tuple[FeedbackRecord, ...]) -> None:
        """Keep all of it in one transaction; what is there already stays as it is.

        Raises:
            RecordRefused: nothing was kept, because of something in it.
            StoreError: nothing was kept.
        """


_DECODER: Final = msgspec.json.Decoder(Entry)
_ENCODER: Final = msgspec.json.Encoder()


def line_of(entry: Entry) -> bytes:
    """The entry as a line of a file."""
    body = _ENCODER.encode(entry)
    return b"%08x %s\n" % (crc32(body), body)


def entry_in(line: bytes) -> Entry | None:
    """What a line holds; None if it is damaged."""
    checksum, _, body = line[:-1].partition(b" ")
    if not line.endswith(b"\n") or checksum != b"%08x" % crc32(body):
        return None
    try:
        return _DECODER.decode(body)
    except msgspec.DecodeError:
        return None


@dataclass(slots=True)
class SpoolFile:
    """One file, locked for as long as it is open.

    Attributes:
        size: bytes in it.
        delivered: how many of them are in the database.
    """

    path: Path
    _fd: int
    size: int = 0
    delivered: int = 0

    @classmethod
    def create(cls, folder: Path) -> SpoolFile:
        """A new, empty file. It gets its name once it is locked, so that nobody takes it for an orphan."""
        folder.mkdir(_MY_FOLDER, parents=True, exist_ok=True)
        path = folder / f"{os.getpid()}-{uuid4().hex[:8]}{_SPOOL}"
        unnamed = path.with_suffix(".new")
        fd = os.open(unnamed, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_APPEND, _MINE)
        fcntl.flock(fd, fcntl.LOCK_EX)
        unnamed.rename(path)
        _sync_folder(folder)
        return cls(path, fd)

    @classmethod
    def orphan(cls, path: Path) -> SpoolFile | None:
        """A file that somebody left; None if its owner lives, or another one has just taken it."""
        try:
            fd = os.open(path, os.O_RDWR | os.O_APPEND)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return None
        found = os.fstat(fd)
        if not found.st_nlink:
            os.close(fd)
            return None
        return cls(path, fd, found.st_size)

    def append(self, line: bytes, *, synced: bool) -> None:
        """Add a line, whole or not at all; with ``synced`` it is on disk afterwards.

        Raises:
            OSError: nothing was added.
        """
        try:
            if os.write(self._fd, line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # noqa: TRY301 - as a full disk says it
            if synced:
                self.sync()
        except OSError:
            os.ftruncate(self._fd, self.size)
            raise
        self.size += len(line)

    def sync(self) -> None:
        """Wait until all of it is on disk."""
        os.fdatasync(self._fd)

    def portions(self) -> Iterator[list[bytes]]:
        """The lines that are not in the database yet; whoever asks for the next ones has delivered those before."""
        with open(os.dup(self._fd), "rb") as file:  # noqa: PTH123 - a descriptor
            file.seek(self.delivered)
            while lines := list(islice(file, _AT_A_TIME)):
                yield lines
                self.delivered += sum(map(len, lines))

    def clear(self) -> None:
        """Forget what it holds."""
        os.ftruncate(self._fd, 0)
        self.size = self.delivered = 0

    def set_aside(self, lines: list[bytes]) -> None:
        """Keep lines that cannot be delivered in a file beside this one, on disk, and say so."""
        aside = self.path.with_suffix(_ASIDE)
        fd = os.open(aside, os.O_CREAT | os.O_WRONLY | os.O_APPEND, _MINE)
        with open(fd, "ab") as file:  # noqa: PTH123
            file.writelines(line if line.endswith(b"\n") else line + b"\n" for line in lines)
            file.flush()
            os.fsync(fd)
        logger().error("records set aside", records=len(lines), file=aside.name)

    def remove(self) -> None:
        """Delete and close it."""
        self.path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Give back the lock; what it holds is then an orphan."""
        os.close(self._fd)


def _sync_folder(folder: Path) -> None:
    """The name of a new file is on disk as well."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def try_out(folder: Path) -> None:
    """Make the folder, and a file in it.

    Raises:
        StoreError: that cannot be done.
    """
    try:
        SpoolFile.create(folder).remove()
    except OSError as error:
        raise StoreError(f"The spool cannot be written: {error.strerror}; see PNET_CDS_SPOOL_DIR.") from None


def deliver(file: SpoolFile, keeper: Keeper) -> None:
    """Bring all of a file into the database and empty it.

    Raises:
        StoreError, OSError: the rest stays in the file.
    """
    if not file.size:
        return
    for lines in file.portions():
        read = [(line, entry_in(line)) for line in lines]
        whole = [(line, entry) for line, entry in read if entry is not None]
        bad = [line for line, entry in read if entry is None] + _refused(whole, keeper)
        if bad:
            file.set_aside(bad)
    file.clear()


def _refused(entries: list[tuple[bytes, Entry]], keeper: Keeper) -> list[bytes]:
    """Deliver in one transaction or, where the database refuses something, one by one; what it refuses is returned."""
    consults = tuple(entry.consult for _, entry in entries if entry.consult is not None)
    try:
        keeper.replay(consults, tuple(each for _, entry in entries for each in entry.feedback))
    except RecordRefused:
        if len(entries) == 1:
            return [entries[0][0]]
        return [line for entry in entries for line in _refused([entry], keeper)]
    return []


def adopt(folder: Path, keeper: Keeper) -> int:
    """Deliver what processes left that are no more, and say how many files that were.

    Raises:
        StoreError: the database does not take it, or a file cannot be read; what was not delivered stays.
    """
    adopted, unread = 0, []
    for path in sorted(folder.glob(f"*{_SPOOL}")):
        try:
            adopted += _adopted(path, keeper)
        except OSError:
            unread.append(path.name)
    if adopted:
        logger().warning("spool adopted", files=adopted)
    if unread:
        raise StoreError(f"Files of the spool cannot be read or emptied: {', '.join(unread)}.")
    return adopted


def _adopted(path: Path, keeper: Keeper) -> bool:
    file = SpoolFile.orphan(path)
    if file is None:
        return False
    with closing(file):
        deliver(file, keeper)
        path.unlink(missing_ok=True)
    return True


def waiting_in(folder: Path) -> Waiting:
    """How much waits in a folder, of all processes together, and how much was set aside."""
    return Waiting(_bytes(folder, _SPOOL), _bytes(folder, _ASIDE))


def _bytes(folder: Path, suffix: str) -> int:
    total = 0
    for path in folder.glob(f"*{suffix}"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:  # delivered in the meantime
            continue
    return total
