"""Timing of follow-up: when the next study is due, what an appointment misses, what is still to be ordered."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

from cds_service.cards import detail
from cds_service.cards.markdown import cut, document, escape, section
from cds_service.cards.open_points import open_points
from cds_service.cards.order import topic
from cds_service.cards.reasons import override_reasons
from cds_service.cards.suggestions import creates
from cds_service.domain.findings import Followup
from cds_service.domain.terms import INFO, WARNING
from cds_service.protocol.response import SUMMARY_LIMIT, Card, Source, Suggestion
from cds_service.service import Booking, Consultation
from fhir_profiles.drafts import CONCEPT_OF, suggested_orders
from fhir_profiles.terminology import load_terminology

_DAYS_PER_MONTH: Final = 30.4375
SOURCE: Final = Source("pnet-cds follow-up schedule", topic=topic("clinical-reminder"))


def day_in(months: float, today: date) -> date:
    """The day some months of 30.4375 days from today."""
    return today + timedelta(days=round(months * _DAYS_PER_MONTH))


def window(consultation: Consultation) -> tuple[date, date] | None:
    """First and last day on which the next anatomical study is neither early nor late."""
    months = consultation.assessment.followup.window_months
    if months is None:
        return None
    return day_in(months[0], consultation.today), day_in(months[1], consultation.today)


def sstr_window(consultation: Consultation) -> tuple[date, date] | None:
    """The same for the SSTR column of the schedule."""
    months = consultation.assessment.followup.sstr_window_months
    if months is None:
        return None
    return day_in(months[0], consultation.today), day_in(months[1], consultation.today)


def section_of(consultation: Consultation) -> str:
    """Where the patient stands on the schedule, with the rule and the window."""
    return section("Follow-up", lines_of(consultation))


def lines_of(consultation: Consultation) -> list[str]:
    """The same line by line; none where no schedule applies."""
    followup = consultation.assessment.followup
    if followup.row is None:
        return []
    lines = [_status(followup), *_dates(consultation)]
    if followup.sstr_interval_months:
        lines.append(_sstr(followup, sstr_window(consultation)))
    return [*lines, detail.statement(followup.row, consultation.knowledge)]


def _months(interval: tuple[float, float]) -> str:
    low, high = interval
    return f"every {low:g} months" if low == high else f"every {low:g} to {high:g} months"


def _status(followup: Followup) -> str:
    interval = f", {_months(followup.interval_months)}" if followup.interval_months else ""
    elapsed = "" if followup.elapsed_months is None else f", {followup.elapsed_months:.1f} months since the last"
    return f"{followup.status.replace('-', ' ')}{interval}{elapsed}"


def _dates(consultation: Consultation) -> list[str]:
    due = window(consultation)
    if due is None:
        return []
    lines = [f"due between {due[0]} and {due[1]}"]
    if due[1] < consultation.today:
        late = (consultation.today - due[1]).days / _DAYS_PER_MONTH
        lines.append(f"overdue by {late:.1f} months")
    return lines


def _sstr(followup: Followup, due: tuple[date, date] | None) -> str:
    interval = followup.sstr_interval_months
    shown = f"SSTR imaging {_months(interval)}" if interval else "SSTR imaging"
    if due is None:
        return f"{shown}; no earlier SSTR study on record, so its date cannot be reckoned"
    return f"{shown}: {followup.sstr_status.replace('-', ' ')}, next between {due[0]} and {due[1]}"


def best_study(consultation: Consultation) -> str | None:
    """The leading rated study of the scenario that nothing blocks, when a source rates one."""
    preference = consultation.knowledge.preferences.get(consultation.assessment.scenario)
    blocked = consultation.assessment.blocked_studies
    if preference is None:
        return None
    return next((key for key in preference.preference if key not in blocked and key in CONCEPT_OF), None)


def to_order(consultation: Consultation) -> str | None:
    """The follow-up study that is still to be ordered; None where no schedule applies or a rated study is on order."""
    if consultation.assessment.followup.window_months is None:
        return None
    preference = consultation.knowledge.preferences.get(consultation.assessment.scenario)
    if preference is None or consultation.planned.intersection(preference.preference):
        return None
    return best_study(consultation)


def order_suggestion(consultation: Consultation, procedure: str) -> Suggestion:
    """Create the follow-up order for its due window."""
    due = window(consultation)
    label = consultation.knowledge.procedures[procedure].label
    if due is not None:
        due = (max(due[0], consultation.today), max(due[1], consultation.today))
    said: dict[str, object] = {}
    if consultation.chart.indication is not None:
        said["reasonCode"] = [consultation.chart.indication]
    if consultation.encounter_id:
        said["encounter"] = {"reference": f"Encounter/{consultation.encounter_id}"}
    writing = consultation.knowledge.order_writing
    written = suggested_orders(procedure, label, "", said, consultation.patient_id, load_terminology(), writing, due)
    when = f" between {due[0]} and {due[1]}" if due else ""
    return Suggestion(f"Order {label}{when}", creates(written), recommended=True)


def discharge_card(consultation: Consultation, procedure: str) -> Card:
    """Follow-up imaging that should be ordered before the patient leaves."""
    due = window(consultation)
    short = consultation.knowledge.procedures[procedure].short
    overdue = consultation.assessment.followup.status == "overdue"
    when = "now, it is overdue" if overdue else f"for {due[0]} to {due[1]}" if due else "as scheduled"
    return _card(
        consultation,
        f"Order follow-up before discharge: {short}, {when}",
        WARNING if overdue else INFO,
        [section_of(consultation)],
        (order_suggestion(consultation, procedure),),
    )


def booking_card(consultation: Consultation, booking: Booking, due: tuple[date, date], verdict: str) -> Card:
    """An appointment that misses its window."""
    span = f"{due[0]} to {due[1]}"
    name = f"**Appointment:** {escape(booking.name)}" + (f" on {booking.starts}" if booking.starts else "")
    return _card(
        consultation,
        f"Move this imaging appointment into {span}: on {booking.starts} it is {verdict}",
        WARNING,
        [name, section_of(consultation)],
        (),
        (booking.reference,) if booking.reference else (),
    )


def _card(
    consultation: Consultation,
    summary: str,
    indicator: str,
    parts: list[str],
    suggestions: tuple[Suggestion, ...],
    associated: tuple[str, ...] = (),
) -> Card:
    rule = consultation.assessment.followup.rule
    rules = (rule, consultation.knowledge.tolerance.id) if rule else ()
    return Card(
        summary=cut(summary, SUMMARY_LIMIT),
        indicator=indicator,
        source=SOURCE,
        detail=document(
            [
                *parts,
                detail.reasons(consultation, consultation.assessment.scenario),
                open_points(consultation),
                detail.data_problems(consultation),
                detail.sources(rules, consultation.knowledge),
                detail.DISCLAIMER,
            ]
        ),
        suggestions=suggestions,
        override_reasons=override_reasons("followup"),
        links=detail.links(rules, consultation, consultation.assessment.scenario),
        rules=rules,
        associated=associated,
    )
