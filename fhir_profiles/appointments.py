"""Proposed appointments: which of them are for imaging, and when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cds_service.service import Booking
from fhir_profiles import dates
from fhir_profiles.inputs.studies import Study, study
from fhir_profiles.reading import Resource, member, objects, reference_id, status, text, words
from fhir_profiles.terminology import Terminology

_NOT_PLANNED = frozenset({"cancelled", "noshow", "entered-in-error", "fulfilled"})


def imaging_bookings(
    appointments: Iterable[Resource], ordered: Mapping[str, Resource], terminology: Terminology
) -> tuple[Booking, ...]:
    """The appointments that are for an imaging study, by service type or by the order they are based on.

    Args:
        appointments: proposed appointments.
        terminology: what codes mean.
        ordered: ServiceRequests of the chart by id, for ``basedOn``.
    """
    found: list[Booking] = []
    for appointment in appointments:
        if appointment.get("resourceType") != "Appointment" or status(appointment) in _NOT_PLANNED:
            continue
        named = _study(appointment, ordered, terminology)
        if named is None:
            continue
        starts = dates.parse(appointment.get("start")) or _requested(appointment)
        identifier = text(appointment.get("id"))
        found.append(
            Booking(
                f"Appointment/{identifier}" if identifier else "",
                named.label,
                named.procedure,
                starts.first if starts and starts.exact else None,
            )
        )
    return tuple(found)


def _requested(appointment: Resource) -> dates.When | None:
    periods = objects(appointment.get("requestedPeriod"))
    return next((when for period in periods if (when := dates.parse(member(period, "start")))), None)


def _study(appointment: Resource, ordered: Mapping[str, Resource], terminology: Terminology) -> Study | None:
    """From serviceType, the order behind it, or the description."""
    named: list[tuple[object, object]] = [(concept, None) for concept in objects(appointment.get("serviceType"))]
    for reference in objects(appointment.get("basedOn")):
        order = ordered.get(reference_id(reference, "ServiceRequest") or "")
        if order is not None:
            named.append((order.get("code"), order.get("orderDetail")))
    named += [(concept, None) for concept in objects(appointment.get("reasonCode"))]
    named.append(({"text": words(appointment.get("description"))}, None))
    return next((found for concept, detail in named if (found := study(concept, terminology, extra=detail))), None)
