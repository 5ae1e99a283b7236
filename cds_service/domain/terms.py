"""Closed vocabularies that are not facts of the chart: scenarios, ratings, grades, and the signals rules may name.

A *signal* is a word derived from facts and orders by :mod:`cds_service.clinical`; rule rows may test signals exactly as
they test facts. As with facts, an absent signal is unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from cds_service.domain.facts import FACTS, FactSpec, Kind

FHIR_BASE: Final = "https://pnet-cds.example.org/fhir"
"""Base of everything this project names in FHIR; the one place it is written in Python."""

SCENARIOS: Final = (
    "pnet-initial-staging",
    "pnet-local-staging",
    "pnet-untreated-followup",
    "pnet-post-resection-surveillance",
    "pnet-liver-dominant-followup",
    "pnet-non-liver-dominant-followup",
    "pnet-primary-localisation",
    "pnet-suspected-recurrence",
    "gepnet-other-site",
    "nen-unknown-primary",
    "pnet-treated-followup-undetermined",
    "insufficient-data",
    "out-of-scope",
)

USUALLY_APPROPRIATE: Final = "usually-appropriate"
MAY_BE_APPROPRIATE: Final = "may-be-appropriate"
MAY_BE_APPROPRIATE_DISAGREEMENT: Final = "may-be-appropriate-disagreement"
USUALLY_NOT_APPROPRIATE: Final = "usually-not-appropriate"
NOT_RATED: Final = "not-rated"
RATINGS: Final = (
    USUALLY_APPROPRIATE,
    MAY_BE_APPROPRIATE,
    MAY_BE_APPROPRIATE_DISAGREEMENT,
    USUALLY_NOT_APPROPRIATE,
    NOT_RATED,
)

APPROPRIATE_USE: Final = "appropriate-use"
"""SSTR PET is appropriate by its own criteria (RAT-08): beside the ratings, and none of them."""

WHO2010: Final = ("G1", "G2", "G3-NEC", "G1/G2-gap", "MANEC")
WHO2019: Final = ("NET-G1", "NET-G2", "NET-G3", "NEC", "MiNEN", "high-grade-undetermined")

CRITICAL: Final = "critical"
WARNING: Final = "warning"
INFO: Final = "info"
SEVERITIES: Final = (CRITICAL, WARNING, INFO)

STAGING_SYSTEMS: Final = ("enets", "ajcc7", "ajcc8", "ajcc9", "ajcc8-exocrine")
FOLLOWUP_STATUS: Final = ("too-early", "due", "overdue", "not-evaluated")


class Lack(StrEnum):
    """Why an input could not be had in full."""

    NOT_SENT = "not-sent"
    SENT_AS_ERROR = "sent-as-error"
    UNREADABLE = "unreadable"
    MORE_PAGES = "more-pages"
    SUMMARY_ONLY = "summary-only"
    NOT_GRANTED = "not-granted"
    SERVER_NOT_ALLOWED = "server-not-allowed"
    ADDRESS_REFUSED = "address-refused"
    UNREACHABLE = "unreachable"
    UNAUTHORISED = "unauthorised"
    NOT_OFFERED = "not-offered"
    GONE = "gone"
    REDIRECTED = "redirected"
    BUSY = "busy"
    SERVER_ERROR = "server-error"
    TIMED_OUT = "timed-out"
    CUT_OFF = "cut-off"
    NOT_FHIR = "not-fhir"
    TOO_LARGE = "too-large"
    TOO_MANY_PAGES = "too-many-pages"
    FOREIGN_LINK = "foreign-link"


LACK_WORDS: Final[Mapping[Lack, str]] = {
    Lack.NOT_SENT: "not sent with the call",
    Lack.SENT_AS_ERROR: "the EHR sent an error instead",
    Lack.UNREADABLE: "part of it is damaged",
    Lack.MORE_PAGES: "only the first page was sent",
    Lack.SUMMARY_ONLY: "only a summary of it was sent",
    Lack.NOT_GRANTED: "not granted to this service",
    Lack.SERVER_NOT_ALLOWED: "this service may not read that FHIR server",
    Lack.ADDRESS_REFUSED: "the address of the FHIR server is refused",
    Lack.UNREACHABLE: "the FHIR server cannot be reached",
    Lack.UNAUTHORISED: "the FHIR server does not authorise it",
    Lack.NOT_OFFERED: "the FHIR server does not offer it",
    Lack.GONE: "the FHIR server no longer has it",
    Lack.REDIRECTED: "the FHIR server redirects elsewhere",
    Lack.BUSY: "the FHIR server is too busy",
    Lack.SERVER_ERROR: "the FHIR server reports an error",
    Lack.TIMED_OUT: "not read in time",
    Lack.CUT_OFF: "the answer of the FHIR server was cut off",
    Lack.NOT_FHIR: "the FHIR server answered with something else",
    Lack.TOO_LARGE: "too large",
    Lack.TOO_MANY_PAGES: "too many pages",
    Lack.FOREIGN_LINK: "the next page is on another server",
}
"""The same for people."""

SUBSETTED: Final = "SUBSETTED"
"""Tag of resources of which a server left something out (``_summary``, ``_elements``)."""

CHANGES: Final = ("scenario", "grade", "stage", "rating", "suggestion", "safety", "followup", "auc")
"""Parts of an answer that knowing one more fact may change."""
LEVELS: Final = ("critical-safety", "scenario", "rating", "grade", "stage", "followup", "advice")
"""How much would change, most first: a blocked study or suggestion; the scenario; rating, suggestion or a warning; the
grade; the stage; the schedule; the SSTR-PET overlay or safety information only."""
BASES: Final = ("seed", "public", "derived", "reading", "engineering-default")

_PATIENT_SIGNALS: Final = (
    FactSpec("scenario", Kind.WORD, SCENARIOS),
    FactSpec("gep_site", Kind.FLAG),
    FactSpec("counted_treatment", Kind.FLAG),
    FactSpec("dominance", Kind.WORD, ("liver", "non-liver")),
    FactSpec("grade_2010", Kind.WORD, WHO2010),
    FactSpec("grade_2019", Kind.WORD, WHO2019),
    FactSpec("grade_warnings", Kind.WORDS),
    FactSpec("t_not_assessable", Kind.FLAG),
    FactSpec("n_not_assessable", Kind.FLAG),
    FactSpec("m_unknown", Kind.FLAG),
    FactSpec("distant_metastases", Kind.FLAG),
    FactSpec("followup_trigger", Kind.FLAG),
    FactSpec("orders_cover_chest", Kind.FLAG),
)
_ORDER_SIGNALS: Final = (
    FactSpec("order", Kind.WORD),
    FactSpec("order_modality", Kind.WORD, ("mri", "ct", "pet-ct", "scintigraphy", "ultrasound", "endoscopy")),
    FactSpec("order_mr", Kind.FLAG),
    FactSpec("order_ionising", Kind.FLAG),
    FactSpec("order_gadolinium", Kind.FLAG),
    FactSpec("order_iodinated", Kind.FLAG),
    FactSpec("order_sstr", Kind.FLAG),
    FactSpec("order_abdominal", Kind.FLAG),
    FactSpec("order_too_early", Kind.FLAG),
)

ORDER_SIGNALS: Final = frozenset(spec.name for spec in _ORDER_SIGNALS)
"""A row that tests one of these speaks about an order; the others speak about the patient."""

ORDER_FACTS: Final = frozenset({"order_intent", "days_since_same_procedure"})
"""Facts of the chart that belong to one order."""

NAMES: Final[dict[str, FactSpec]] = FACTS | {spec.name: spec for spec in _PATIENT_SIGNALS + _ORDER_SIGNALS}
"""Everything a condition may name."""
