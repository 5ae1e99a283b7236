"""The chart being read: what each resource claims, and how claims about one fact are settled.

Readers in ``inputs/`` claim; :meth:`Chart.settle` decides. The newest effective date wins, undated loses to dated; the
sources that lost travel on as alternatives, so that a contradiction that matters can be told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from cds_service.domain.facts import FACTS, Facts, Kind
from cds_service.domain.findings import (
    Alternative,
    CourseEvent,
    Evidence,
    Measured,
    PatientFacts,
    Skipped,
    ValueRange,
)
from cds_service.domain.policy import Windows
from fhir_profiles.dates import When
from fhir_profiles.reading import Amount, Resource, source
from fhir_profiles.terminology import Terminology

CODED, LOCAL, TEXT, DERIVED = "coded", "local-code", "text", "derived"
_UNDATED = date.min


@dataclass(frozen=True, slots=True)
class Claim:
    """One source's value of one fact.

    Attributes:
        rank: settles claims of one day; higher is stronger (a more specific source, a worse safety state).
        limits: the range the value was given as, when it was not exact.
        lesion: what tells the measured lesion from others; empty when nothing does.
    """

    fact: str
    value: Any
    evidence: Evidence
    when: When | None = None
    rank: int = 0
    limits: Amount | None = None
    lesion: str = ""

    @property
    def order(self) -> tuple[date, int, float, str, str]:
        """Newest first when sorted in reverse; of one day the stronger, then the higher number (GRD-04) wins."""
        day = self.when.last if self.when else _UNDATED
        size = self.value if isinstance(self.value, float) else 0.0
        return (day, self.rank, size, str(self.value), self.evidence.source)


@dataclass(slots=True)
class Event:
    """Something done to the patient on a date: an operation, a treatment, an imaging study.

    ``started`` is when a course began, if it is not a single day.
    """

    kind: str
    when: When | None
    evidence: Evidence
    procedure: str = ""
    attributes: frozenset[str] = frozenset()
    current: bool = False
    started: When | None = None


@dataclass(slots=True)
class Chart:
    """Collects claims while resources are read."""

    terminology: Terminology
    today: date
    patient_id: str
    windows: Windows
    attributes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Attributes of a study by procedure key: mr, ionising, abdominal, chest, sstr …"""
    claims: dict[str, list[Claim]] = field(default_factory=dict)
    skipped: dict[tuple[str, str, str], Skipped] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    tumours: list[Tumour] = field(default_factory=list)
    labs: dict[str, list[tuple[Resource, Amount, When | None]]] = field(default_factory=dict)
    sizes: list[Claim] = field(default_factory=list)
    lesions: dict[str, list[tuple[When, float, Evidence]]] = field(default_factory=dict)
    """Sizes of lesions that can be told apart, by lesion."""
    symptoms: list[tuple[Resource, When | None, str]] = field(default_factory=list)
    metastases: list[tuple[str, Evidence, When | None]] = field(default_factory=list)
    implants: list[tuple[str, Resource, str]] = field(default_factory=list)
    devices_gone: set[str] = field(default_factory=set)
    devices_used: list[tuple[str, Resource]] = field(default_factory=list)
    allergies: list[tuple[str, str, Resource, When | None, str, str]] = field(default_factory=list)
    allergies_over: list[tuple[str, Evidence]] = field(default_factory=list)
    """Contrast allergies that an entry says are over, by fact."""
    medications: dict[str, Resource] = field(default_factory=dict)
    set_aside: list[Alternative] = field(default_factory=list)
    specimens: dict[str, str] = field(default_factory=dict)
    priors: tuple[Evidence, ...] = ()
    indication: Resource | None = None
    deceased: bool = False
    birth: When | None = None
    sex: str | None = None

    def claim(
        self,
        fact: str,
        value: Any,
        resource: Resource,
        *,
        when: When | None = None,
        how: str = CODED,
        label: str = "",
        rank: int = 0,
        limits: Amount | None = None,
    ) -> None:
        """Record what a resource says about a fact."""
        evidence = self.evidence(resource, when, how, label)
        self.claims.setdefault(fact, []).append(Claim(fact, value, evidence, when, rank, limits))

    def evidence(self, resource: Resource, when: When | None, how: str = CODED, label: str = "") -> Evidence:
        """Where something comes from."""
        return Evidence(source(resource), when.text if when else "", how, label)

    def skip(self, resource: Resource, reason: str, fact: str = "") -> None:
        """Record that something present cannot be used."""
        entry = Skipped(source(resource), reason, fact)
        self.skipped[entry.source, reason, fact] = entry

    def set_apart(self, fact: str, value: Any, evidence: Evidence) -> None:
        """Keep what a join sets aside, so that the contradiction can be told."""
        entry = Alternative(fact, value, evidence)
        if entry not in self.set_aside:
            self.set_aside.append(entry)

    def known(self, fact: str) -> Any:
        """Value of the winning claim about a fact so far, or None."""
        claims = self.claims.get(fact)
        return max(claims, key=lambda claim: claim.order).value if claims else None

    def settle(self, unavailable: Iterable[str], *, nen_evidence: bool) -> PatientFacts:
        """The facts with their evidence, and the sources that lost."""
        values: dict[str, Any] = {}
        evidence: dict[str, tuple[Evidence, ...]] = {}
        alternatives: list[Alternative] = list(self.set_aside)
        ranges: list[ValueRange] = []
        for fact, claims in self.claims.items():
            ordered = sorted(claims, key=lambda claim: claim.order, reverse=True)
            winner = ordered[0]
            values[fact] = winner.value
            same = [claim for claim in ordered if claim.value == winner.value]
            evidence[fact] = tuple(dict.fromkeys(claim.evidence for claim in same))
            if winner.limits is not None and not winner.limits.exact:
                ranges.append(ValueRange(fact, winner.limits.low, winner.limits.high, winner.limits.shown))
            alternatives += self._others([c for c in ordered if _comparable(c, winner)], winner)
        return PatientFacts(
            facts=Facts(**values),
            evidence={name: evidence[name] for name in FACTS if name in evidence},
            alternatives=tuple(alternatives),
            ranges=tuple(ranges),
            skipped=tuple(self.skipped[key] for key in sorted(self.skipped)),
            unavailable=tuple(unavailable),
            priors=self.priors,
            course=tuple(self._course()),
            measured=tuple(self._measured()),
            indication=self.indication,
            nen_evidence=nen_evidence,
            deceased=self.deceased,
        )

    def _course(self) -> Iterator[CourseEvent]:
        """What was done, oldest first."""
        for event in sorted(self.events, key=lambda event: (day_of(event.when), event.evidence.source, event.kind)):
            started = event.started.text if event.started else ""
            yield CourseEvent(event.kind, event.procedure, event.evidence, started, event.current)

    def _measured(self) -> Iterator[Measured]:
        """Sizes that were given as one number, oldest first."""
        for claim in sorted(self.sizes, key=lambda claim: (claim.order[0], claim.evidence.source, claim.value)):
            if claim.limits is None or claim.limits.exact:
                yield Measured(claim.value, claim.evidence, claim.lesion)

    def _others(self, ordered: list[Claim], winner: Claim) -> list[Alternative]:
        """One alternative per different value, each with its newest source."""
        found: dict[str, Alternative] = {}
        for claim in ordered:
            if claim.value != winner.value and str(claim.value) not in found:
                found[str(claim.value)] = Alternative(claim.fact, claim.value, claim.evidence)
        return list(found.values())

    def merge_lists(self, fact: str, values: Iterable[tuple[str, Evidence, When | None]]) -> None:
        """Claim the union of several sources as one list; its date is the newest of them."""
        items = list(values)
        if not items:
            return
        newest = max(items, key=lambda item: (item[2].last if item[2] else _UNDATED, item[1].source))
        merged = tuple(sorted({value for value, _, _ in items}))
        for _, evidence, _ in items:
            self.claims.setdefault(fact, []).append(Claim(fact, merged, replace(evidence), newest[2], rank=1))


def day_of(when: When | None) -> date:
    """The last day a date may mean; before all others when there is none."""
    return when.last if when else _UNDATED


def latest(events: Iterable[Event]) -> Event | None:
    """The newest dated event."""
    dated = [event for event in events if event.when is not None]
    return max(dated, key=lambda event: (day_of(event.when), event.evidence.source), default=None)


def _comparable(claim: Claim, winner: Claim) -> bool:
    """Whether two claims may contradict each other: of a measurement that is repeated, only those of one day."""
    return not FACTS[claim.fact].series or claim.order[0] == winner.order[0]


@dataclass(slots=True)
class Tumour:
    """A tumour a resource speaks of, before it is decided what the patient has.

    Attributes:
        diagnosed: date of the diagnosis, as far as it is stated.
        role: tumour, possible-tumour, syndrome, history, other-tumour, pancreatic-malignancy, mass or morphology.
        status: confirmed or highly-suspected.
    """

    role: str
    status: str
    facts: dict[str, Any]
    resource: Resource
    when: When | None
    how: str
    label: str
    diagnosed: When | None = None


def fits(fact: str, value: Any) -> bool:
    """Whether a value belongs to the vocabulary of a fact."""
    spec = FACTS[fact]
    if spec.kind is Kind.WORD:
        return value in spec.words
    if spec.kind is Kind.WORDS:
        return isinstance(value, tuple) and all(
            isinstance(v, str) and (not spec.words or v in spec.words) for v in value
        )
    if spec.kind is Kind.FLAG:
        return isinstance(value, bool)
    return isinstance(value, float)
