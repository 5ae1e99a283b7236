"""The context of a call as an EHR sends it, for each of our hooks (CH-155 to CH-162)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

WITH_DRAFTS = ("order-select", "order-sign")


def hook_context(
    hook: str,
    patient: str,
    orders: Sequence[Mapping[str, Any]],
    *,
    user: str,
    encounter: str | None,
    performer: str,
    starts: str,
    selections: Sequence[str] | None = None,
) -> dict[str, Any]:
    """What a hook's definition asks for.

    Args:
        hook: the hook to fire; one that is not ours gets user, patient and encounter.
        patient: id of the patient.
        orders: the orders the call is about.
        user: who is logged in, as ``Type/id``.
        encounter: id of the encounter, if any.
        performer: who is to do dispatched orders, as ``Type/id``.
        starts: when the proposed appointments begin, as date-time with zone; empty when it is not known.
        selections: references of the orders just selected; None for all.
    """
    references = [f"ServiceRequest/{order['id']}" for order in orders]
    context: dict[str, Any] = {"userId": user, "patientId": patient}
    if encounter:
        context["encounterId"] = encounter
    if hook in WITH_DRAFTS:
        context["draftOrders"] = _collection(orders)
    if hook == "order-select":
        context["selections"] = references if selections is None else list(selections)
    if hook == "order-dispatch":
        context |= {"dispatchedOrders": references, "performer": performer}
    if hook == "appointment-book":
        context["appointments"] = _collection([_appointment(order, patient, starts) for order in orders])
    return context


def _collection(held: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": item} for item in held]}


def _appointment(order: Mapping[str, Any], patient: str, starts: str) -> dict[str, Any]:
    """A proposed appointment for the study an order asks for."""
    appointment: dict[str, Any] = {
        "resourceType": "Appointment",
        "id": f"{order['id']}-appointment",
        "status": "proposed",
        "participant": [{"actor": {"reference": f"Patient/{patient}"}, "status": "needs-action"}],
    }
    if "code" in order:
        appointment["serviceType"] = [order["code"]]
    return appointment | ({"start": starts} if starts else {})
