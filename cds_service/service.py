"""What a hook module exports, what a service asks the EHR for, and what it is handed to answer from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cds_service.domain.findings import Assessment, DraftOrder, PatientFacts
from cds_service.knowledge.model import Knowledge
from cds_service.protocol.response import Card


@dataclass(frozen=True, slots=True)
class Input:
    """One prefetch key and the query that fills it."""

    key: str
    query: str

    @property
    def resource_type(self) -> str:
        """Resource type the query returns."""
        return self.query.split("?")[0].split("/")[0]


@dataclass(frozen=True, slots=True)
class Consultation:
    """Everything a hook may choose from: the same assessment for every hook.

    Attributes:
        patient_id: the patient of the call.
        drafts: the draft imaging orders, those to speak about first; one per order of the assessment.
        subjects: how many of the drafts to speak about; the others are background.
        drafted: procedure keys of all drafts, so that nothing already drafted is suggested.
        failed: inputs the EHR reported an error for.
    """

    patient_id: str
    assessment: Assessment
    chart: PatientFacts
    knowledge: Knowledge
    drafts: tuple[DraftOrder, ...] = ()
    subjects: int = 0
    drafted: frozenset[str] = frozenset()
    failed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HookService:
    """A CDS service: its discovery entry, the inputs it asks for, and what it says.

    Attributes:
        required: prefetch keys without which no useful and safe answer exists.
        about_orders: the answer is about draft orders; without one in scope there is nothing to say.
        respond: a pure function from the consultation to cards without identifiers.
    """

    id: str
    hook: str
    title: str
    description: str
    usage_requirements: str
    inputs: tuple[str, ...]
    required: tuple[str, ...]
    respond: Callable[[Consultation], tuple[Card, ...]]
    about_orders: bool = True
