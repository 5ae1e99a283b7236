"""The store as the rest of the service sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class CardRecord:
    """A card that left the service: its identifiers and the rows it rests on."""

    uuid: str
    indicator: str
    rules: tuple[str, ...]
    suggestions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ConsultRecord:
    """One answered call."""

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
    """What a store can do."""

    def ready(self) -> bool:
        """Whether the store answers and its schema is the current one."""

    def record(self, consult: ConsultRecord) -> None:
        """Keep a consult and its cards, all or nothing.

        Raises:
            StoreError: nothing was kept.
        """

    def consult_of_card(self, card_uuid: str) -> ConsultRecord | None:
        """The consult a card belongs to."""

    def load_synthetic(self, patients: tuple[SyntheticPatient, ...]) -> None:
        """Replace the synthetic patients."""

    def synthetic(self) -> tuple[SyntheticPatient, ...]:
        """All synthetic patients, by slug."""
