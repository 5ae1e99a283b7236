"""Closed vocabularies that are not facts of the chart: scenarios, ratings, grades, and the signals rules may name.

A *signal* is a word derived from facts and orders by :mod:`cds_service.clinical`; rule rows may test signals exactly as
they test facts. As with facts, an absent signal is unknown.
"""

from __future__ import annotations

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
