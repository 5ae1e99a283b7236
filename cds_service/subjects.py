"""What a call is about: draft orders, dispatched orders, appointments, or the chart itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cds_service.domain.findings import DraftOrder
from cds_service.domain.terms import LACK_WORDS
from cds_service.errors import PrefetchMissing
from cds_service.fhir.fallback import DISPATCHED
from cds_service.fhir.prefetch import Received
from cds_service.protocol.request import HookRequest
from cds_service.service import Booking, HookService, Subject
from fhir_profiles.appointments import imaging_bookings
from fhir_profiles.orders import imaging_orders, is_for
from fhir_profiles.reading import source
from fhir_profiles.terminology import Terminology


@dataclass(frozen=True, slots=True)
class Orders:
    """Imaging orders to speak about, and those that are background."""

    subjects: tuple[DraftOrder, ...] = ()
    background: tuple[DraftOrder, ...] = ()

    @property
    def all(self) -> tuple[DraftOrder, ...]:
        """All of them, those to speak about first."""
        return self.subjects + self.background


def named_in_call(service: HookService, request: HookRequest, terminology: Terminology) -> Orders:
    """Imaging drafts to speak about, and the others; order-select speaks about the selected ones only."""
    if service.subject is not Subject.DRAFTS:
        return Orders()
    found = imaging_orders(request.drafts, request.patient_id, terminology)
    if service.hook != "order-select":
        return Orders(found)
    chosen = {_id_of(selection) for selection in request.selections}
    selected = [any(_id_of(ref) in chosen for ref in draft.group) for draft in found]
    return Orders(
        tuple(draft for draft, yes in zip(found, selected, strict=True) if yes),
        tuple(draft for draft, yes in zip(found, selected, strict=True) if not yes),
    )


def _id_of(reference: str) -> str:
    """The id at the end of a reference, relative or absolute, with or without a version."""
    return reference.partition("/_history/")[0].rpartition("/")[2]


def _is_order(key: str) -> bool:
    """Whether an input is one that dispatched orders come with."""
    return key == "plannedServices" or key.startswith(DISPATCHED)


def _is_request(resource: dict[str, Any]) -> bool:
    return resource.get("resourceType") == "ServiceRequest"


def held_in_chart(
    service: HookService, request: HookRequest, received: Received, drafts: Orders, terminology: Terminology
) -> tuple[Orders, tuple[Booking, ...]]:
    """Dispatched orders and booked studies, which the call names and the chart holds."""
    if service.subject is Subject.DISPATCHED:
        ours = {_id_of(ref) for ref in request.dispatched if "ServiceRequest/" in ref}
        held = [r for r in received.resources if source(r).partition("/")[2] in ours and _is_request(r)]
        if ours and not held:
            why = "; ".join(sorted({LACK_WORDS[lack] for key, lack in received.lacks.items() if _is_order(key)}))
            raise PrefetchMissing(
                "None of context.dispatchedOrders is among the prefetched plannedServices or readable"
                f" ({why or 'not sent with the call'}); prefetch the dispatched ServiceRequests."
            )
        return Orders(imaging_orders(held, request.patient_id, terminology)), ()
    if service.subject is Subject.APPOINTMENTS:
        held = [r for r in received.resources if _is_request(r) and is_for(r, request.patient_id)]
        ordered = {str(resource.get("id")): resource for resource in held}
        return drafts, imaging_bookings(request.appointments, request.patient_id, ordered, terminology)
    return drafts, ()
