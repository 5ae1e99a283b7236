"""patient-view: a staging summary for a patient with a neuroendocrine neoplasm, and nothing for anyone else."""

from __future__ import annotations

from cds_service.cards.summary import summary_card
from cds_service.protocol.response import Card
from cds_service.service import Consultation, HookService, Subject
from hooks import orders


def respond(consultation: Consultation) -> tuple[Card, ...]:
    """One card while the patient is in scope, or when a contradiction leaves that open."""
    if consultation.assessment.scenario == "out-of-scope" and not consultation.assessment.conflicts:
        return ()
    return (summary_card(consultation),)


SERVICE = HookService(
    id="pnet-patient-view",
    hook="patient-view",
    title="Neuroendocrine tumour: staging summary",
    description=(
        "Grade (WHO 2010 and 2019), TNM stage, course and follow-up status of a patient with a neuroendocrine neoplasm "
        "of the pancreas or gut, with what is missing. Says nothing for other patients."
    ),
    usage_requirements="FHIR R4. Conditions are needed; everything else refines the answer.",
    inputs=tuple(key for key in orders.INPUTS if key != "encounter"),
    required=("conditions",),
    respond=respond,
    subject=Subject.CHART,
    kinds=("guideline",),
)
