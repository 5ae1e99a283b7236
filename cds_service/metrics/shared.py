"""One set of numbers for several worker processes, by the multiprocess mode of prometheus-client.

Each process counts into files of its own in a folder they share; whoever is asked adds them up. The folder is new at
every start, so that no number of an earlier one is counted, and gone afterwards.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from prometheus_client import multiprocess, values

_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The library takes the folder from nowhere but this variable."""


@contextmanager
def shared_counts() -> Iterator[Path]:
    """A folder for all that is counted from now on, by this process and those forked from it."""
    owner, kept = os.getpid(), values.ValueClass
    folder = Path(tempfile.mkdtemp(prefix="pnet-cds-metrics-"))  # for this user only
    os.environ[_FOLDER] = str(folder)
    values.ValueClass = values.MultiProcessValue()  # type: ignore[no-untyped-call]
    try:
        yield folder
    finally:
        if os.getpid() == owner:  # a worker that ends leaves here, too
            values.ValueClass = kept
            del os.environ[_FOLDER]
            shutil.rmtree(folder, ignore_errors=True)


def process_ended(folder: Path, process: int) -> None:
    """Forget what holds only while a process lives; what it has counted stays counted."""
    multiprocess.mark_process_dead(process, str(folder))  # type: ignore[no-untyped-call]
