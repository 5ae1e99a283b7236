"""encounter-discharge: follow-up imaging that should be ordered before the patient leaves."""

from __future__ import annotations

from cds_service.cards.followup import discharge_card, to_order
from cds_service.protocol.response import Card
from cds_service.service import Consultation, HookService, Subject
from hooks import orders


def respond(consultation: Consultation) -> tuple[Card, ...]:
    """One card while a schedule applies and no rated study is on order yet."""
    procedure = to_order(consultation)
    return () if procedure is None else (discharge_card(consultation, procedure),)


SERVICE = HookService(
    id="pnet-encounter-discharge",
    hook="encounter-discharge",
    title="Neuroendocrine tumour: follow-up before discharge",
    description=(
        "Reminds of follow-up imaging of a patient with a neuroendocrine neoplasm that is not on order yet, with the "
        "order for its due window as a suggestion."
    ),
    usage_requirements=orders.USAGE,
    inputs=orders.INPUTS,
    required=orders.REQUIRED,
    respond=respond,
    subject=Subject.CHART,
    kinds=("clinical-reminder",),
)
