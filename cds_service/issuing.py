"""From cards to the response: identifiers, the assessment object, and what is recorded about the call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from cds_service.clients import PamaPlacement
from cds_service.domain.findings import Assessment, WhatIf
from cds_service.encoding import written_assessment
from cds_service.protocol.request import HookRequest
from cds_service.protocol.response import Action, Card, Link, action_object, card_object
from cds_service.service import Consultation

ASSESSMENT: Final = "org.pnet-cds.assessment"
"""Member of the response's extension that holds the assessment object."""

NOT_ASSESSED: Final = "not-assessed"
"""In place of a scenario where there was nothing to say."""

APP_LABEL: Final = "The patient's story: timeline, grade and stage, evidence"
"""What the link to the SMART app says."""

_ACTIONS: Final = "systemActions"


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
        body: for the JSON encoder; parts of it are encoded already.
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

    @property
    def scenario(self) -> str:
        """What was found, or that there was nothing to assess."""
        return self.assessment.scenario if self.assessment else NOT_ASSESSED


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
    cards: tuple[Card, ...],
    actions: tuple[Action, ...],
    consultation: Consultation,
    request: HookRequest,
    new_id: Callable[[], str],
    placement: PamaPlacement,
) -> Outcome:
    """Give cards and suggestions their identifiers and put the response together."""
    cards = tuple(_with_app(card, consultation.app_url) for card in cards)
    issued = tuple(IssuedCard(new_id(), tuple(new_id() for _ in card.suggestions), card) for card in cards)
    what_if = consultation.what_if() if cards else WhatIf()  # a silent answer does not pay for it
    assessment = written_assessment(consultation.assessment, consultation.chart, consultation.knowledge, what_if)
    body: dict[str, Any] = {
        "cards": [card_object(item.card, item.uuid, item.suggestions) for item in issued],
        "extension": {ASSESSMENT: assessment},
    }
    _place([action_object(action) for action in actions], body, placement)
    return Outcome(
        consult_id=consultation.consult_id,
        body=body,
        cards=issued,
        assessment=consultation.assessment,
        skipped=len(consultation.chart.skipped),
        unavailable=consultation.chart.lacks,
        defects=request.defects,
        patient_id=request.patient_id,
        fhir_server=request.fhir_server,
    )


def _with_app(card: Card, url: str) -> Card:
    """The card with a link to the app, where the caller can open it (PM-014)."""
    return replace(card, links=(*card.links, Link(APP_LABEL, url, app=True))) if url else card


def _place(actions: list[dict[str, Any]], body: dict[str, Any], placement: PamaPlacement) -> None:
    """Put the system actions where the client looks for them (PM-012, CH-118)."""
    if actions and placement is not PamaPlacement.ARGONAUT:
        body[_ACTIONS] = actions
    if actions and placement is not PamaPlacement.STANDARD:
        body["extension"][_ACTIONS] = actions


def unrecorded(body: Mapping[str, Any]) -> dict[str, Any]:
    """The answer for when it could not be recorded: the same advice without any identifier that would lead nowhere.

    Cards and suggestions lose their optional ``uuid`` (so no feedback is sent on them), links to the app lose their
    context; ratings, which carry the
    identifier of the consult, are left out wherever they are.
    """
    left = {name: value for name, value in body.items() if name != _ACTIONS}
    if "extension" in left:
        left["extension"] = {name: value for name, value in left["extension"].items() if name != _ACTIONS}
    return {**left, "cards": [_anonymous(card) for card in body["cards"]]}


def _anonymous(card: dict[str, Any]) -> dict[str, Any]:
    bare = {name: value for name, value in card.items() if name != "uuid"}
    if "links" in bare:
        bare["links"] = [{n: v for n, v in link.items() if n != "appContext"} for link in bare["links"]]
    if "suggestions" in bare:
        bare["suggestions"] = [
            {n: v for n, v in item.items() if n != "uuid"} | {"actions": list(map(_unrated, item["actions"]))}
            for item in bare["suggestions"]
        ]
    return bare


def _unrated(action: dict[str, Any]) -> dict[str, Any]:
    """The action without the rating of the order it creates."""
    if "resource" not in action:
        return action
    return {**action, "resource": {name: value for name, value in action["resource"].items() if name != "extension"}}
