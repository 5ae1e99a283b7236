"""appointment-book: an imaging appointment that misses the follow-up window."""

from __future__ import annotations

from datetime import date

from cds_service.cards.followup import booking_card, sstr_window, window
from cds_service.protocol.response import Card
from cds_service.service import Booking, Consultation, HookService, Subject
from hooks import orders


def _due(consultation: Consultation, booking: Booking) -> tuple[date, date] | None:
    """The window of the schedule's column that the booked study belongs to; other studies have none."""
    procedure = consultation.knowledge.procedures.get(booking.procedure or "")
    if procedure is None or booking.starts is None:
        return None
    if "sstr" in procedure.attributes:
        return sstr_window(consultation)
    return window(consultation) if "abdominal" in procedure.attributes else None


def respond(consultation: Consultation) -> tuple[Card, ...]:
    """One card for each appointment outside its window; a fitting one, or one a trigger asks for, passes in silence."""
    cards: list[Card] = []
    for booking in consultation.bookings:
        due = _due(consultation, booking)
        if due is None or booking.starts is None or due[0] <= booking.starts <= due[1]:
            continue
        early = booking.starts < due[0]
        if early and consultation.assessment.followup.status != "too-early" and consultation.today < due[0]:
            continue  # symptoms, markers or progression on record ask for imaging before its time
        cards.append(booking_card(consultation, booking, due, "too early" if early else "too late"))
    return tuple(cards)


SERVICE = HookService(
    id="pnet-appointment-book",
    hook="appointment-book",
    title="Neuroendocrine tumour: is this the right time?",
    description=(
        "Compares a proposed imaging appointment of a patient with a neuroendocrine neoplasm with the follow-up "
        "schedule, and speaks when it is too early or too late."
    ),
    usage_requirements=orders.USAGE,
    inputs=tuple(key for key in orders.INPUTS if key != "encounter"),
    required=orders.REQUIRED,
    respond=respond,
    subject=Subject.APPOINTMENTS,
    kinds=("clinical-reminder",),
)
