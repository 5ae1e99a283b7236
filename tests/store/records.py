"""Records the tests of the store share."""

from __future__ import annotations

from datetime import UTC, datetime

from cds_service.store.base import CardRecord, ConsultRecord, FeedbackRecord, SuggestedOrder

CARDS = (
    CardRecord(
        "card-1",
        "warning",
        ("R01-06", "PIT-02"),
        ("suggestion-1",),
        (
            SuggestedOrder(
                "suggestion-1",
                (("http://loinc.org", "97392-5", "MR Abdomen and Pelvis WO and W contrast IV"),),
                "MRI abdomen and pelvis without and with IV contrast",
            ),
        ),
    ),
    CardRecord("card-2", "info", ("R01-01",), ()),
)
CONSULT = ConsultRecord(
    id="consult-1",
    answered_at=datetime(2026, 11, 20, 9, 30, 15, 123456, tzinfo=UTC),
    service="pnet-order-sign",
    hook="order-sign",
    scenario="pnet-initial-staging",
    ratings={"eus": "usually-not-appropriate", "mri-abd-pel-wwo": "usually-appropriate"},
    rules=("SEL-10", "R01-06"),
    knowledge_version="2026.11",
    knowledge_hash="0123456789abcdef",
    skipped=2,
    duration_ms=12.345,
    cards=CARDS,
    client="https://ehr.example.org",
    patient="0f" * 32,
    unavailable=("implants",),
)
FEEDBACK = FeedbackRecord(
    client=CONSULT.client,
    service="pnet-order-sign",
    card="card-1",
    outcome="overridden",
    outcome_at=datetime(2026, 11, 20, 9, 31, tzinfo=UTC),
    received_at=datetime(2026, 11, 20, 9, 32, tzinfo=UTC),
    reason_system="https://pnet-cds.example.org/fhir/CodeSystem/override-reason",
    reason_code="discussed-at-board",
    reason_display="Decided at the tumour board",
    comment="in their own words",
)
