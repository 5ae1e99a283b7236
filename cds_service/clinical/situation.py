"""Turns facts and orders into the flat situation that row conditions are evaluated against.

Written defaults (SEL-0) are applied here and nowhere else: treatments that are not recorded count as none, recurrence
that is not recorded as none, an order without a stated purpose as unspecified. No other fact has a default.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cds_service.domain.alter import altered
from cds_service.domain.facts import Facts
from cds_service.domain.findings import Order
from cds_service.knowledge.model import Knowledge

GUT_SITES = frozenset({"stomach", "duodenum", "ampulla", "jejunum-ileum", "appendix", "colon", "rectum"})
GEP_SITES = GUT_SITES | {"pancreas"}

DEFAULTED = (
    "nodes",
    "prior_treatments",
    "current_treatments",
    "recurrence",
    "order_intent",
    "months_resection_to_last_imaging",
    "months_since_last_imaging",
)
"""Facts that are filled in here when they are not recorded."""

NOT_TRUE_UNLESS_RECORDED = (
    "curative_resection",
    "residual_disease",
    "treated_since_recurrence",
    "new_symptoms",
    "biochemical_rise",
)
"""SEL-0: for choosing the scenario these count as not true when they are not recorded."""

SIGNAL_NEEDS: dict[str, tuple[str, ...]] = {
    "dominance": ("disease_dominance",),
    "gep_site": ("primary_site",),
    "distant_metastases": ("metastases",),
    "grade_2010": ("ki67_percent",),
    "grade_2019": ("ki67_percent", "differentiation"),
}
"""Facts behind a signal: what to ask for when the signal is unknown."""


def with_defaults(facts: Facts) -> Facts:
    """The facts with the written defaults of SEL-0 and what follows from other facts by arithmetic alone."""
    since_surgery, since_imaging = facts.months_since_resection, facts.months_since_last_imaging
    at_imaging = facts.months_resection_to_last_imaging
    if since_surgery is not None and since_imaging is not None and at_imaging is None:
        at_imaging = since_surgery - since_imaging if since_surgery >= since_imaging else None
    if since_surgery is not None and at_imaging is not None and since_imaging is None:
        since_imaging = since_surgery - at_imaging if since_surgery >= at_imaging else None
    dates = {"months_resection_to_last_imaging": at_imaging, "months_since_last_imaging": since_imaging}
    return altered(facts, _written(facts) | dates)


def with_written_defaults(facts: Facts) -> Facts:
    """The facts with the written defaults of SEL-0, for those whose dates have been reckoned."""
    return altered(facts, _written(facts))


def _written(facts: Facts) -> dict[str, object]:
    counted = facts.nodes_positive_count is not None and facts.nodes_positive_count > 0
    return {
        "nodes": "positive" if facts.nodes is None and counted else facts.nodes,
        "prior_treatments": facts.prior_treatments or (),
        "current_treatments": facts.current_treatments or (),
        "recurrence": facts.recurrence or "none",
        "order_intent": facts.order_intent or "unspecified",
    }


def patient_situation(facts: Facts, orders: tuple[Order, ...], knowledge: Knowledge) -> dict[str, Any]:
    """Facts and the signals that do not depend on one order, grade or stage."""
    situation = dict(vars(facts))
    situation["counted_treatment"] = counted_treatment(facts, knowledge)
    situation["dominance"] = dominance(facts, knowledge)
    situation["gep_site"] = None if facts.primary_site is None else facts.primary_site in GEP_SITES
    situation["orders_cover_chest"] = any("chest" in attributes(order, knowledge) for order in orders)
    return situation


def attributes(order: Order, knowledge: Knowledge) -> frozenset[str]:
    """What is known about the ordered study: mr, ionising, gadolinium, iodinated, sstr, abdominal, chest."""
    procedure = knowledge.procedures.get(order.procedure or "")
    return procedure.attributes if procedure else order.attributes


def order_situation(situation: Mapping[str, Any], order: Order, knowledge: Knowledge) -> dict[str, Any]:
    """The situation seen from one order."""
    known = attributes(order, knowledge)
    procedure = knowledge.procedures.get(order.procedure or "")
    return {
        **situation,
        "order": order.procedure,
        "order_intent": order.intent or situation["order_intent"],
        "days_since_same_procedure": (
            situation["days_since_same_procedure"]
            if order.days_since_same_procedure is None
            else order.days_since_same_procedure
        ),
        "order_modality": procedure.modality if procedure else order.modality,
        "order_mr": "mr" in known,
        "order_ionising": "ionising" in known,
        "order_gadolinium": "gadolinium" in known,
        "order_iodinated": "iodinated" in known,
        "order_sstr": "sstr" in known,
        "order_abdominal": "abdominal" in known,
    }


def counted_treatment(facts: Facts, knowledge: Knowledge) -> bool:
    """Whether any treatment on record counts as treatment of the tumour (SEL-T)."""
    not_counted = knowledge.principles["SEL-T"].not_counted
    given = (*(facts.prior_treatments or ()), *(facts.current_treatments or ()))
    return any(treatment not in not_counted for treatment in given)


def dominance(facts: Facts, knowledge: Knowledge) -> str | None:
    """Where most of the tumour is (SEL-D); None when the record does not decide it."""
    if facts.disease_dominance is not None:
        return facts.disease_dominance
    half = knowledge.principles["SEL-D"].liver_tumour_share_percent
    share = facts.liver_tumour_share_percent
    if share is not None and half is not None:
        return None if share == half else "liver" if share > half else "non-liver"
    if facts.metastases is None:
        return None
    if "liver" not in facts.metastases:
        return None if "site-not-stated" in facts.metastases else "non-liver"
    if facts.metastases == ("liver",) and facts.curative_resection:
        return "liver"
    return None
