"""Calls about the synthetic patients, with what this service answers on the day of their story."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import count
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

import msgspec

from cds_service.cards.reasons import override_reasons
from cds_service.pipeline import Parts, answer, prefetch_templates
from cds_service.protocol.response import coding_object
from cds_service.service import HookService
from cds_service.store.base import SyntheticPatient
from fhir_profiles.synthetic import hook_request, synthetic_patients

_STORIES: Final = {
    "patient-view": "one-year-after-resection",
    "encounter-discharge": "one-year-after-resection",
    "appointment-book": "early-mri-after-prrt",
}
_STORY: Final = "incidental-tail-lesion"
"""Of the other hooks."""
_BOOKED_AHEAD: Final = timedelta(days=14)
_SAID: Final = "2026-11-20T14:05:09Z"


@dataclass(frozen=True, slots=True)
class Example:
    """A call to a service and its answer.

    Attributes:
        name: the story, as the demo knows it.
        title: what it is about.
    """

    name: str
    title: str
    call: dict[str, Any]
    answer: dict[str, Any]


def example(service: HookService, parts: Parts) -> Example:
    """A call to the service and what it answers to it; identifiers are the same every time."""
    story = _STORIES.get(service.hook, _STORY)
    patient = next(found for found in synthetic_patients() if found.slug == story)
    day = date.fromisoformat(patient.as_of)
    call = _call(service, patient, day)
    on_that_day = replace(parts, today=lambda: day, new_id=_identifiers(service.id))
    outcome = answer(service, msgspec.json.encode(call), on_that_day)
    return Example(patient.slug, patient.title, call, msgspec.json.decode(msgspec.json.encode(outcome.body)))


def feedback() -> dict[str, Any]:
    """Feedback on two cards: a suggestion taken, and a reason why another was not."""
    identify = _identifiers("feedback")
    taken = {"outcome": "accepted", "acceptedSuggestions": [{"id": identify()}]}
    reason = {"reason": coding_object(override_reasons("order")[0])}
    return {
        "feedback": [
            {"card": identify(), "outcomeTimestamp": _SAID} | taken,
            {"card": identify(), "outcomeTimestamp": _SAID, "outcome": "overridden", "overrideReason": reason},
        ]
    }


def _call(service: HookService, patient: SyntheticPatient, day: date) -> dict[str, Any]:
    identify = _identifiers(f"{service.id}/call")
    starts = (day + _BOOKED_AHEAD).isoformat()
    return hook_request(patient.bundle, service.hook, prefetch_templates(service), identify(), starts=starts)


def _identifiers(name: str) -> Callable[[], str]:
    """Identifiers that look like others, and are the same in every document."""
    number = count(1)
    return lambda: str(uuid5(NAMESPACE_URL, f"{name}/{next(number)}"))
