"""The CDS services, in discovery order. Add a service by adding a module and a line here."""

from cds_service.service import HookService
from hooks import (
    appointment_book,
    encounter_discharge,
    order_dispatch,
    order_select,
    order_sign,
    patient_view,
)

SERVICES: tuple[HookService, ...] = (
    patient_view.SERVICE,
    order_select.SERVICE,
    order_sign.SERVICE,
    order_dispatch.SERVICE,
    appointment_book.SERVICE,
    encounter_discharge.SERVICE,
)
