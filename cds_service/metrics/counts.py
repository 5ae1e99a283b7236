"""What is counted, and under which labels.

Every value of a label is of one of our own vocabularies, and anything else is counted as ``other``: nothing a client
sends can make a new series, and nothing about a patient can become one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, lru_cache
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from cds_service import __version__
from cds_service.domain.terms import SCENARIOS, Lack
from cds_service.errors import PnetCdsError, StoreError
from cds_service.fhir.client import Fetched, Read
from cds_service.fhir.fallback import DISPATCHED
from cds_service.fhir.policy import Base, ReadPolicy
from cds_service.issuing import NOT_ASSESSED, Outcome
from cds_service.knowledge.model import Knowledge
from cds_service.observability import logger
from cds_service.protocol.authorization import FhirAccess
from cds_service.protocol.feedback import ACCEPTED, OVERRIDDEN
from cds_service.service import HookService
from cds_service.stages import Laps
from cds_service.store.base import Waiting
from fhir_profiles.inputs import INPUTS

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
OTHER: Final = "other"
ANSWERED: Final = "answered"
COMPLETE: Final = "complete"
LACKING: Final = "lacking"
INTERNAL: Final = "internal"
"""The slug of a fault of our own."""
UNRECORDED: Final = "unrecorded"
REFUSED: Final = "refused"
SPOOLED: Final = "waiting"
SET_ASIDE: Final = "set-aside"

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""From a call without evidence to one that waits for a FHIR server."""
_NANO: Final = 1e9
_KINDS: Final = 1024
"""Sets of rules that fire together whose counters are held in memory."""
_SCENARIOS: Final = frozenset((*SCENARIOS, NOT_ASSESSED))
_INDICATORS: Final = frozenset(("info", "warning", "critical"))
_LACKS: Final = frozenset(map(str, Lack))
_INPUTS: Final = frozenset((*(asked.key for asked in INPUTS), DISPATCHED))
_FEEDBACK: Final = frozenset((ACCEPTED, OVERRIDDEN))


disable_created_metrics()  # type: ignore[no-untyped-call] # when a series began is a series more for each


class Metrics:
    """Counts what becomes of calls and feedback, in memory or in a folder shared by processes."""

    def __init__(
        self,
        services: Iterable[HookService],
        knowledge: Knowledge,
        folder: Path | None = None,
        waiting: Callable[[], Waiting] = Waiting,
    ) -> None:
        self._services = frozenset(service.id for service in services)
        self._rules = frozenset((*knowledge.rows, *(row.rule_id for row in knowledge.rows.values())))
        self._outcomes = frozenset((ANSWERED, INTERNAL, *_slugs(PnetCdsError)))
        own = CollectorRegistry()

        def counter(name: str, said: str, *labels: str) -> Callable[..., Counter]:
            made = Counter(name, said, labels, registry=own)
            return cache(made.labels)  # a third of the time, and as bounded as the labels are

        self._calls = counter("pnet_cds_calls", "Calls, answered or refused.", "service", "outcome")
        self._assessed = counter(
            "pnet_cds_assessments", "Answered calls by what was found.", "service", "scenario", "inputs"
        )
        self._cards = counter("pnet_cds_cards", "Cards given.", "service", "indicator")
        self._hits = counter("pnet_cds_rule_hits", "Rules that fired.", "rule")
        self._hits_of = lru_cache(maxsize=_KINDS)(
            lambda rules: [self._hits(_known(rule, self._rules)) for rule in rules]
        )
        self._lacking = counter(
            "pnet_cds_inputs_lacking", "Inputs of assessed calls that could not be had in full.", "input", "reason"
        )
        self._reads = counter("pnet_cds_fhir_reads", "Inputs read from FHIR servers.", "input", "result")
        self._reports = counter("pnet_cds_feedback_calls", "Feedback calls, answered or refused.", "service", "outcome")
        self._feedback = counter("pnet_cds_feedback", "What became of cards, as clients said.", "service", "outcome")
        self._store = counter("pnet_cds_store_failures", "Calls that met a failing store.", "effect")
        self._skipped = Counter("pnet_cds_skipped_resources", "Resources that could not be read.", registry=own)
        seconds = Histogram(
            "pnet_cds_call_duration_seconds", "Time of answered calls.", ("service",), registry=own, buckets=_SECONDS
        )
        self._seconds = cache(seconds.labels)
        self._stages = counter("pnet_cds_stage_seconds", "Time of answered calls by stage.", "service", "stage")
        self._begin()
        self._shown = own if folder is None else CollectorRegistry()
        if folder is not None:
            MultiProcessCollector(self._shown, str(folder))  # type: ignore[no-untyped-call]
        self._shown.register(_Build(knowledge))
        self._shown.register(_Spool(waiting))

    def _begin(self) -> None:
        """Start at zero what alerts wait for: to Prometheus the first of a series is no increase."""
        for effect in (UNRECORDED, REFUSED):
            self._store(effect)
        for service_id in self._services:
            self._calls(service_id, INTERNAL)

    def answered(self, service: HookService, outcome: Outcome, laps: Laps, *, kept: bool) -> None:
        """A call was answered, with or without a record of it."""
        name, assessment = _known(service.id, self._services), outcome.assessment
        self._calls(name, ANSWERED).inc()
        self._took(name, laps)
        scenario = _known(outcome.scenario, _SCENARIOS)
        inputs = (LACKING if outcome.unavailable else COMPLETE) if assessment else NOT_ASSESSED
        self._assessed(name, scenario, inputs).inc()
        for issued in outcome.cards:
            self._cards(name, _known(issued.card.indicator, _INDICATORS)).inc()
        for hit in self._hits_of(assessment.rules) if assessment else ():
            hit.inc()
        for key, why in outcome.unavailable.items():
            self._lacking(_input(key), _known(why, _LACKS)).inc()
        if outcome.skipped:
            self._skipped.inc(outcome.skipped)
        if not kept:
            self._store(UNRECORDED).inc()

    def _took(self, name: str, laps: Laps) -> None:
        end = 0
        for stage, start, end in laps.spans():
            self._stages(name, stage).inc((end - start) / _NANO)
        self._seconds(name).observe(end / _NANO)

    def refused(self, service_id: str, slug: str) -> None:
        """A call was refused, or failed."""
        self._refused(self._calls, service_id, slug)

    def reported(self, service_id: str, outcomes: Iterable[str]) -> None:
        """Feedback was taken."""
        name = _known(service_id, self._services)
        self._reports(name, ANSWERED).inc()
        for outcome in outcomes:
            self._feedback(name, _known(outcome, _FEEDBACK)).inc()

    def report_refused(self, service_id: str, slug: str) -> None:
        """Feedback was refused, or could not be kept."""
        self._refused(self._reports, service_id, slug)

    def _refused(self, counter: Callable[..., Counter], service_id: str, slug: str) -> None:
        counter(_known(service_id, self._services), _known(slug, self._outcomes)).inc()
        if slug == StoreError.slug:
            self._store(REFUSED).inc()

    def counting(self, read: Read) -> Read:
        """The same reads, counted."""

        def counted(
            access: FhirAccess, base: Base, queries: Mapping[str, str], policy: ReadPolicy
        ) -> Mapping[str, Fetched]:
            fetched = read(access, base, queries, policy)
            with harmless():
                for key, found in fetched.items():
                    self._reads(_input(key), COMPLETE if found.lack is None else _known(found.lack, _LACKS)).inc()
            return fetched

        return counted

    def exposition(self) -> bytes:
        """All numbers, in the text format of Prometheus."""
        return generate_latest(self._shown)


@contextmanager
def harmless() -> Iterator[None]:
    """Counting that fails, as when the folder is gone, is logged and keeps nobody from an answer."""
    try:
        yield
    except (OSError, ValueError) as error:
        logger().error("not counted", error=type(error).__name__)


class _Build(Collector):
    """What runs, as the labels of a number that is always one."""

    def __init__(self, knowledge: Knowledge) -> None:
        self._info = {"version": __version__, "knowledge": knowledge.version, "knowledge_hash": knowledge.hash}

    def collect(self) -> Iterator[InfoMetricFamily]:
        """The one number."""
        yield InfoMetricFamily("pnet_cds_build", "What runs: the service and its knowledge.", self._info)


class _Spool(Collector):
    """What is not in the database, looked up when it is asked for: the spools of all processes are in one folder."""

    def __init__(self, waiting: Callable[[], Waiting]) -> None:
        self._waiting = waiting

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Bytes that wait, and bytes that the database will not take."""
        found = self._waiting()
        family = GaugeMetricFamily("pnet_cds_spool_bytes", "Records not in the database.", labels=("state",))
        family.add_metric((SPOOLED,), found.spooled)
        family.add_metric((SET_ASIDE,), found.set_aside)
        yield family


def _known(value: str, vocabulary: frozenset[str]) -> str:
    return value if value in vocabulary else OTHER


def _input(key: str) -> str:
    """Dispatched orders have a key each, by their place in the call; they are counted as one input."""
    return _known(key.partition(".")[0], _INPUTS)


def _slugs(kind: type[PnetCdsError]) -> Iterator[str]:
    yield kind.slug
    for special in kind.__subclasses__():
        yield from _slugs(special)
