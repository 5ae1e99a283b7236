"""Proposed appointments: which of them are for imaging, and when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cds_service.errors import PatientMismatch
from cds_service.service import Booking
from fhir_profiles import dates
from fhir_profiles.inputs.studies import Study, study
from fhir_profiles.reading import Resource, is_about, member, objects, reference_id, status, text, words
from fhir_profiles.terminology import Terminology

_NOT_PLANNED = frozenset({"cancelled", "noshow", "entered-in-error", "fulfilled"})


def imaging_bookings(
    appointments: Iterable[Resource], patient_id: str, ordered: Mapping[str, Resource], terminology: Terminology
) -> tuple[Booking, ...]:
    """The appointments that are for an imaging study, by service type or by the order they are based on.

    Args:
        appointments: proposed appointments.
        patient_id: whom the call is about.
        ordered: ServiceRequests of the chart by id, for ``basedOn``.
        terminology: what codes mean.

    Raises:
        PatientMismatch: an imaging appointment is for another patient than the call.
    """
    found: list[Booking] = []
    for appointment in appointments:
        if appointment.get("resourceType") != "Appointment" or status(appointment) in _NOT_PLANNED:
            continue
        named = _study(appointment, ordered, terminology)
        if named is None:
            continue
        _check_patient(appointment, patient_id)
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


def _check_patient(appointment: Resource, patient_id: str) -> None:
    """An appointment that names no patient came with the one of the call; so did one that also names others."""
    actors = [participant.get("actor") for participant in objects(appointment.get("participant"))]
    patients = [actor for actor in actors if "Patient/" in text(member(actor, "reference"))]
    if patients and not any(is_about(actor, patient_id) for actor in patients):
        raise PatientMismatch(
            "A proposed appointment is for another patient than context.patientId; one call is about one patient."
        )


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
