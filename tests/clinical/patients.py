"""A patient for each scenario, and how to assess one."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from cds_service.clinical.assess import assess
from cds_service.domain.facts import Facts
from cds_service.domain.findings import Assessment, Order
from cds_service.knowledge import load_knowledge

KNOWLEDGE: Final = load_knowledge()
PANCREAS: Final = Facts(age_years=58, nen_status="confirmed", primary_site="pancreas", differentiation="well")

STAGING: Final = "pnet-initial-staging"
LOCAL: Final = "pnet-local-staging"
UNTREATED: Final = "pnet-untreated-followup"
RESECTED: Final = "pnet-post-resection-surveillance"
LIVER: Final = "pnet-liver-dominant-followup"
NON_LIVER: Final = "pnet-non-liver-dominant-followup"
LOCALISATION: Final = "pnet-primary-localisation"
RECURRENCE: Final = "pnet-suspected-recurrence"
GUT: Final = "gepnet-other-site"
UNKNOWN_PRIMARY: Final = "nen-unknown-primary"
UNDETERMINED: Final = "pnet-treated-followup-undetermined"
INSUFFICIENT: Final = "insufficient-data"
OUTSIDE: Final = "out-of-scope"

PATIENTS: Final[dict[str, Facts]] = {
    STAGING: PANCREAS,
    LOCAL: replace(PANCREAS, order_intent="local-staging"),
    UNTREATED: replace(PANCREAS, management_strategy="active-surveillance"),
    RESECTED: replace(PANCREAS, curative_resection=True),
    LIVER: replace(PANCREAS, prior_treatments=("tace",), disease_dominance="liver"),
    NON_LIVER: replace(PANCREAS, prior_treatments=("prrt",), disease_dominance="non-liver"),
    LOCALISATION: replace(PANCREAS, nen_status="biochemical-suspicion"),
    RECURRENCE: replace(PANCREAS, curative_resection=True, recurrence="suspected"),
    GUT: replace(PANCREAS, primary_site="colon"),
    UNKNOWN_PRIMARY: replace(PANCREAS, primary_site="unknown-primary"),
    UNDETERMINED: replace(PANCREAS, prior_treatments=("prrt",)),
    INSUFFICIENT: replace(PANCREAS, primary_site=None),
    OUTSIDE: replace(PANCREAS, primary_site="lung"),
}
PANCREATIC: Final = frozenset(name for name in PATIENTS if name.startswith("pnet-"))
IN_SCOPE: Final = frozenset(PATIENTS) - {OUTSIDE}


def assessed(facts: Facts, *procedures: str) -> Assessment:
    """The assessment of facts and orders, each order with the purpose on record."""
    orders = tuple(
        Order(str(number), key, facts.order_intent, facts.days_since_same_procedure)
        for number, key in enumerate(procedures, start=1)
    )
    return assess(facts, orders, KNOWLEDGE)
