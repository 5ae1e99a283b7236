"""What a hook module exports, what a service asks the EHR for, and what it is handed to answer from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import IntEnum, StrEnum
from functools import lru_cache

import msgspec

from cds_service.clients import DEMO_CALLER, Caller
from cds_service.domain.findings import Assessment, DraftOrder, PatientFacts, WhatIf
from cds_service.knowledge.model import Knowledge
from cds_service.knowledge.site import Site
from cds_service.protocol.response import Action, Card


@dataclass(frozen=True, slots=True)
class Input:
    """One prefetch key and the query that fills it."""

    key: str
    query: str

    @property
    def resource_type(self) -> str:
        """Resource type the query returns."""
        return _type_of(self.query)


@lru_cache(maxsize=256)
def _type_of(query: str) -> str:
    """Asked for several times per key and call."""
    return query.partition("?")[0].partition("/")[0]


class Need(IntEnum):
    """Whether a resource is read, as far as its code tells.

    Attributes:
        NO: it means nothing here.
        YES: it is read.
        LATER: it is read once there is something to say about the patient; it cannot be what makes it so.
    """

    NO = 0
    YES = 1
    LATER = 2


class Subject(StrEnum):
    """What a service's answer is about; without it in the call there is nothing to say."""

    CHART = "chart"
    DRAFTS = "drafts"
    DISPATCHED = "dispatched"
    APPOINTMENTS = "appointments"


@dataclass(frozen=True, slots=True)
class Booking:
    """A proposed appointment for imaging.

    Attributes:
        reference: ``Appointment/<id>``; empty when it has no id.
        starts: day it begins, when known.
    """

    reference: str
    name: str
    procedure: str | None
    starts: date | None


@dataclass(frozen=True, slots=True)
class Consultation:
    """Everything a hook may choose from: the same assessment for every hook.

    Attributes:
        patient_id: the patient of the call.
        encounter_id: the encounter of the call, if any.
        today: the day of the call.
        drafts: the draft imaging orders, those to speak about first; one per order of the assessment.
        subjects: how many of the drafts to speak about; the others are background.
        drafted: procedure keys of all drafts, so that nothing already drafted is suggested.
        failed: inputs the EHR reported an error for.
        planned: procedure keys of imaging that is already ordered.
        bookings: proposed appointments for imaging.
        caller: the client that asks, with its settings.
        public_url: base URL under which clients reach this service; empty when it is not known.
        app_url: where the SMART app is opened; empty when the caller could not open it.
        requested: concepts of everything that is drafted or on order, imaging or not.
        what_if: what would change the answer; worked out when it is first asked for.
        consult_id: UUID under which the call is recorded.
        written: draft orders as they were written, by reference.
    """

    patient_id: str
    encounter_id: str | None
    today: date
    assessment: Assessment
    chart: PatientFacts
    knowledge: Knowledge
    drafts: tuple[DraftOrder, ...] = ()
    subjects: int = 0
    drafted: frozenset[str] = frozenset()
    failed: tuple[str, ...] = ()
    planned: frozenset[str] = frozenset()
    bookings: tuple[Booking, ...] = ()
    caller: Caller = DEMO_CALLER
    public_url: str = ""
    app_url: str = ""
    requested: frozenset[str] = frozenset()
    what_if: Callable[[], WhatIf] = WhatIf
    consult_id: str = ""
    written: Mapping[str, msgspec.Raw] = field(default_factory=dict)


def no_actions(_: Consultation) -> tuple[Action, ...]:
    """Most services let the clinician decide."""
    return ()


@dataclass(frozen=True, slots=True)
class HookService:
    """A CDS service: its discovery entry, the inputs it asks for, and what it says.

    Attributes:
        required: prefetch keys without which no useful and safe answer exists.
        subject: what the answer is about.
        respond: a pure function from the consultation to cards without identifiers.
        act: the same to system actions, which the client may apply unattended.
        acts: whether it does so at a site without being asked.
        kinds: topics of the cards it returns.
        hook_version: version of the hook definition it follows.
    """

    id: str
    hook: str
    title: str
    description: str
    usage_requirements: str
    inputs: tuple[str, ...]
    required: tuple[str, ...]
    respond: Callable[[Consultation], tuple[Card, ...]]
    subject: Subject = Subject.DRAFTS
    act: Callable[[Consultation], tuple[Action, ...]] = no_actions
    acts: Callable[[Site], bool] = lambda _: False
    kinds: tuple[str, ...] = ("appropriate-use", "contraindication", "duplicate-therapy")
    hook_version: str = "1.0"
