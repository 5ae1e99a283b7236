"""Where the time of a call goes: its stages one by one, in this process, in CPU time."""

from __future__ import annotations

import gc
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import wraps
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from unittest.mock import patch
from uuid import uuid4

import msgspec

from benchmarks.charts import SIZES, STORY, Call, calls
from cds_service import pipeline
from cds_service.clinical import assess, tables, whatif
from cds_service.fhir.prefetch import Received
from cds_service.knowledge import load_knowledge
from cds_service.pipeline import Parts, answer
from cds_service.service import HookService
from cds_service.settings import load_settings
from cds_service.store import writer
from cds_service.store.connect import open_engine
from cds_service.store.migrate import migrate
from cds_service.store.spooled import SpooledStore
from cds_service.store.sql import SqlStore
from cds_service.store.writer import GATHER_SECONDS
from cds_service.web.services import consult_record
from fhir_profiles.terminology import load_terminology
from hooks import order_sign

PIPELINE: Final = {
    "parse_request": "decode the call",
    "receive": "read prefetch",
    "_chart": "facts",
    "assess_chart": "assess",
    "with_pama": "assess",
    "would_change": "what would change",
    "issue": "issue",
}
"""Functions of the pipeline and the stage they count for."""
STAGES: Final = (*dict.fromkeys(PIPELINE.values()), "cards", "the rest of the pipeline", "encode", "store", "sum")
_PATIENTS: Final = {50: 60, 500: 30, 5000: 5}
_WARM_UP: Final = 3
_NEVER: Final = 3600.0


class _Clock:
    """CPU milliseconds by stage; a stage within a stage counts for itself only."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self._within = [0.0]

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        started = time.process_time_ns()
        self._within.append(0.0)
        yield
        took = (time.process_time_ns() - started) / 1e6
        self.spent[name] += took - self._within.pop()
        self._within[-1] += took

    def timed(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        @wraps(function)
        def measured(*args: Any, **kwargs: Any) -> Any:
            with self.stage(name):
                return function(*args, **kwargs)

        return measured


def measure(today: date, sizes: tuple[int, ...] = SIZES, patients: int = 0) -> dict[str, dict[str, float]]:
    """Milliseconds per order-sign call by stage, for each size; each call is about another patient.

    The last column is that of the smallest size with all that is remembered thrown away before each call.

    Args:
        today: the day of the calls.
        sizes: Observations added to the charts.
        patients: how many patients; 0 for as many as give steady figures.
    """
    found: dict[str, dict[str, float]] = {}
    with TemporaryDirectory() as folder, patch.object(writer, "GATHER_SECONDS", _NEVER):
        store = _store(Path(folder))
        for size in sizes:
            found[str(size)] = _stages(size, today, store, patients or _PATIENTS[size], forget=False)
        found[f"{sizes[0]}, nothing remembered"] = _stages(
            sizes[0], today, store, patients or _PATIENTS[sizes[0]], forget=True
        )
    return found


def _store(folder: Path) -> SpooledStore:
    """A store whose spool is brought into the database here, so that the stage has the time of its thread as well.

    A group is as large as it is with one connection on an idle machine.
    """
    engine = open_engine(f"sqlite:///{folder}/stages.sqlite")
    migrate(engine)
    return SpooledStore(SqlStore(engine), folder / "spool", load_settings().spool_bytes, strict=False)


def _stages(size: int, today: date, store: SpooledStore, patients: int, *, forget: bool) -> dict[str, float]:
    parts = Parts(load_knowledge(), load_terminology(), lambda: today, lambda: str(uuid4()))
    posted = list(calls(STORY, size, order_sign.SERVICE, patients + _WARM_UP, today, first=size))
    for call in posted[:_WARM_UP]:
        answer(order_sign.SERVICE, call.body, parts)
    gc.collect()
    gc.freeze()  # as the server does: what is there already is not looked through
    clock = _Clock()
    service = replace(order_sign.SERVICE, respond=clock.timed(order_sign.SERVICE.respond, "cards"))
    with ExitStack() as patched:
        for name, stage in PIPELINE.items():
            patched.enter_context(patch.object(pipeline, name, clock.timed(getattr(pipeline, name), stage)))
        later = clock.timed(Received.read_later, PIPELINE["receive"])
        patched.enter_context(patch.object(Received, "read_later", later))
        settled = time.process_time()
        for call in posted[_WARM_UP:]:
            if forget:
                tables.forget()
                assess.forget()
                whatif.forget()
            _one(call, service, parts, store, clock)
            if time.process_time() - settled > GATHER_SECONDS:
                with clock.stage("store"):
                    store.settle()
                settled = time.process_time()
        with clock.stage("store"):
            store.settle()
    per_call = {name: spent / patients for name, spent in clock.spent.items()}
    return {name: per_call.get(name, sum(per_call.values())) for name in STAGES}


def _one(call: Call, service: HookService, parts: Parts, store: SpooledStore, clock: _Clock) -> None:
    with clock.stage("the rest of the pipeline"):
        outcome = answer(service, call.body, parts)
    with clock.stage("store"):
        store.record(consult_record(service, outcome, parts, datetime.now(UTC), 0.0, "", ""))
    with clock.stage("encode"):
        msgspec.json.encode(outcome.body)
