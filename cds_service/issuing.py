"""From cards to the response: identifiers, the assessment object, and what is recorded about the call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cds_service.domain.findings import Assessment
from cds_service.interchange import assessment_object
from cds_service.protocol.request import HookRequest
from cds_service.protocol.response import Card, card_object
from cds_service.service import Consultation

ASSESSMENT: Final = "org.pnet-cds.assessment"
"""Member of the response's extension that holds the assessment object."""


@dataclass(frozen=True, slots=True)
class IssuedCard:
    """A card that leaves the service, with its identifiers and the rows it rests on."""

    uuid: str
    suggestions: tuple[str, ...]
    card: Card


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer to a call, and what is recorded about it.

    Attributes:
        patient_id, fhir_server: whom the call was about; recorded as a keyed hash only.
    """

    consult_id: str
    body: dict[str, Any]
    cards: tuple[IssuedCard, ...] = ()
    assessment: Assessment | None = None
    skipped: int = 0
    unavailable: Mapping[str, str] = field(default_factory=dict)
    """Inputs that could not be had in full, and why."""
    defects: tuple[str, ...] = ()
    patient_id: str = ""
    fhir_server: str = ""


def nothing_to_say(request: HookRequest, new_id: Callable[[], str]) -> Outcome:
    """There is nothing to say about this call."""
    return Outcome(
        new_id(),
        {"cards": []},
        defects=request.defects,
        patient_id=request.patient_id,
        fhir_server=request.fhir_server,
    )


def issue(
    cards: tuple[Card, ...], consultation: Consultation, request: HookRequest, new_id: Callable[[], str]
) -> Outcome:
    """Give cards and suggestions their identifiers and put the response together."""
    issued = tuple(IssuedCard(new_id(), tuple(new_id() for _ in card.suggestions), card) for card in cards)
    assessment = assessment_object(consultation.assessment, consultation.chart, consultation.knowledge)
    body = {
        "cards": [card_object(item.card, item.uuid, item.suggestions) for item in issued],
        "extension": {ASSESSMENT: without_empty(assessment)},
    }
    return Outcome(
        consult_id=new_id(),
        body=body,
        cards=issued,
        assessment=consultation.assessment,
        skipped=len(consultation.chart.skipped),
        unavailable=consultation.chart.lacks,
        defects=request.defects,
        patient_id=request.patient_id,
        fhir_server=request.fhir_server,
    )


def unrecorded(body: dict[str, Any]) -> dict[str, Any]:
    """The answer for when it could not be recorded: the same advice without any identifier that would lead nowhere.

    Cards and suggestions lose their optional ``uuid`` (so no feedback is sent on them); system actions, which carry the
    identifier of the consult, are left out.
    """
    left = {name: value for name, value in body.items() if name != "systemActions"}
    return {**left, "cards": [_anonymous(card) for card in body["cards"]]}


def _anonymous(card: dict[str, Any]) -> dict[str, Any]:
    bare = {name: value for name, value in card.items() if name != "uuid"}
    if "suggestions" in bare:
        bare["suggestions"] = [{n: v for n, v in item.items() if n != "uuid"} for item in bare["suggestions"]]
    return bare


def without_empty(value: Any) -> Any:
    """The same JSON without null, empty strings, lists and objects, at any level (CH-005)."""
    if isinstance(value, dict):
        pruned = {name: without_empty(item) for name, item in value.items()}
        return {name: item for name, item in pruned.items() if item not in (None, "", [], {})}
    if isinstance(value, list):
        return [item for item in map(without_empty, value) if item not in (None, "", [], {})]
    return value
