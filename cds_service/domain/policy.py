"""What a site may decide about reading charts and writing orders, as values that FHIR code is handed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Windows:
    """How long a record speaks for today, in days, and what counts as a rise."""

    egfr_days: float
    pregnancy_days: float
    pregnancy_test_days: float
    treatment_cycle_days: float
    chromogranin_rise_factor: float


@dataclass(frozen=True, slots=True)
class OrderWriting:
    """How a suggested order is written.

    Attributes:
        code_systems: systems to write, the preferred one first; a study that the preferred system codes as several is
            written as several orders under one requisition.
        sstr_tracer: concept of the SSTR PET tracer in use.
    """

    code_systems: tuple[str, ...] = ("loinc", "sct", "cpt", "local")
    sstr_tracer: str = "tracer-ga68-dotatate"


DEFAULT_WRITING = OrderWriting()
