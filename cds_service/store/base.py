"""The store as the rest of the service sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class SuggestedOrder:
    """An order that a suggestion offers to create, without its resource.

    Attributes:
        suggestion: identifier of the suggestion.
        codings: (system, code, display) of what is ordered, from our own code tables.
        text: the same in words, from our own tables.
    """

    suggestion: str
    codings: tuple[tuple[str, str, str], ...]
    text: str


@dataclass(frozen=True, slots=True)
class CardRecord:
    """A card that left the service: its identifiers, the rows it rests on, and the orders it offers to create."""

    uuid: str
    indicator: str
    rules: tuple[str, ...]
    suggestions: tuple[str, ...]
    orders: tuple[SuggestedOrder, ...] = ()


@dataclass(frozen=True, slots=True)
class ConsultRecord:
    """One answered call.

    Attributes:
        client: identifier of the authenticated client; empty in demo mode.
        patient: keyed hash of the patient; see :mod:`cds_service.store.pseudonym`.
        unavailable: names of inputs that could not be had.
    """

    id: str
    answered_at: datetime
    service: str
    hook: str
    scenario: str
    ratings: Mapping[str, str]
    rules: tuple[str, ...]
    knowledge_version: str
    knowledge_hash: str
    skipped: int
    duration_ms: float
    cards: tuple[CardRecord, ...]
    client: str = ""
    patient: str = ""
    unavailable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FeedbackRecord:
    """What became of a card, as a client reported it.

    Attributes:
        card: identifier of the card; it need not be one of ours.
        outcome: ``accepted`` or ``overridden``.
        outcome_at: when the clinician decided, by the client's clock.
        suggestions: identifiers of the suggestions that were accepted.
        reason_system, reason_code, reason_display: why the card was overridden, if told.
        comment: the clinician's own words; kept only where the site allows it.
    """

    client: str
    service: str
    card: str
    outcome: str
    outcome_at: datetime
    received_at: datetime
    suggestions: tuple[str, ...] = ()
    reason_system: str | None = None
    reason_code: str | None = None
    reason_display: str | None = None
    comment: str | None = None


@dataclass(frozen=True, slots=True)
class ShownCard:
    """A card that was shown, with the last feedback on it; no outcome means that none came."""

    uuid: str
    answered_at: datetime
    service: str
    scenario: str
    knowledge_version: str
    rules: tuple[str, ...]
    outcome: str | None
    reason_system: str | None
    reason_code: str | None
    reason_display: str | None


@dataclass(frozen=True, slots=True)
class Kept:
    """How much a store holds, or how much of it a purge is about."""

    consults: int
    cards: int
    feedback: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """How much has not come into the database, in bytes.

    Attributes:
        spooled: what waits for it.
        set_aside: what it will never take: damaged or refused.
    """

    spooled: int = 0
    set_aside: int = 0


@dataclass(frozen=True, slots=True)
class SyntheticPatient:
    """A bundled, invented patient for demonstration."""

    slug: str
    title: str
    story: str
    as_of: str
    hook: str
    bundle: Mapping[str, Any]


class Store(Protocol):
    """What a running service asks of a store. What operators ask is :class:`cds_service.store.archive.Archive`."""

    def ready(self) -> bool:
        """Whether the store answers and its schema is the current one."""

    def record(self, consult: ConsultRecord) -> None:
        """Keep a consult and its cards, all or nothing; returns once it outlives this process.

        Raises:
            StoreError: nothing was kept.
        """

    def consult_of_card(self, card_uuid: str) -> ConsultRecord | None:
        """The consult a card belongs to."""

    def keep_feedback(self, entries: tuple[FeedbackRecord, ...]) -> None:
        """Keep feedback, all or nothing; what is kept already is kept once. Returns once it is on disk.

        Raises:
            StoreError: nothing was kept.
        """

    def settle(self) -> None:
        """Bring what this process has kept to where reports find it.

        Raises:
            StoreError: it waits on.
        """

    def takes_records(self) -> bool:
        """Whether a consult can be kept now, in whatever place that outlives this process."""

    def waiting(self) -> Waiting:
        """How much waits to be brought there, of all processes on this machine."""

    def pseudonym_key(self) -> bytes:
        """The store's own random key for patient hashes, made at the first call and the same ever after."""

    def release(self) -> None:
        """Close idle connections, so that processes forked from this one share none."""

    def load_synthetic(self, patients: tuple[SyntheticPatient, ...]) -> None:
        """Replace the synthetic patients."""

    def synthetic(self) -> tuple[SyntheticPatient, ...]:
        """All synthetic patients, by slug."""
