"""Studies that may be handed back: what the rules allow for the chart, and nothing where there is nothing to advise."""

from __future__ import annotations

from typing import Any

import pytest

from cds_service.consult import WHOLE, Gaps, about_options
from cds_service.domain.terms import USUALLY_APPROPRIATE, Lack
from cds_service.knowledge import Knowledge
from cds_service.story.offers import Offer, offers
from fhir_profiles.synthetic import synthetic_patients
from fhir_profiles.terminology import Terminology
from tests.builders import AS_OF

BUNDLES = {patient.slug: patient.bundle for patient in synthetic_patients()}


def offered(bundle: Any, knowledge: Knowledge, terminology: Terminology, gaps: Gaps = WHOLE) -> dict[str, Offer]:
    """By name."""
    found = offers(bundle, "enc-1", AS_OF, knowledge, terminology, gaps)
    return {offer.label: offer for offer in found}


@pytest.mark.parametrize("slug", BUNDLES)
def test_offers_are_appropriate_and_blocked_by_nothing(
    slug: str, knowledge: Knowledge, terminology: Terminology
) -> None:
    """Each is rated usually appropriate in its scenario, no critical rule fires for it, and the others are told."""
    found = offered(BUNDLES[slug], knowledge, terminology)
    assessed = about_options(BUNDLES[slug], AS_OF, knowledge, terminology).assessed.assessment.orders
    by_label = {knowledge.procedures[o.order.procedure].label: o for o in assessed if o.order.procedure}
    for label, offer in found.items():
        order = by_label[label]
        assert (order.rating, order.blocked_by) == (USUALLY_APPROPRIATE, ())
        assert len(offer.mind) == len(order.safety)
        for written in offer.orders:
            assert written["status"] == "draft"
            assert written["encounter"] == {"reference": "Encounter/enc-1"}
            assert written["subject"]["reference"].startswith("Patient/")
            assert "extension" not in written, "the EHR's hook rates it"


def test_what_is_dangerous_is_not_offered(knowledge: Knowledge, terminology: Terminology) -> None:
    """Gadolinium after a severe reaction, magnets with a device that forbids them, radiation in pregnancy."""
    mri, ct = "MRI abdomen and pelvis without and with IV contrast", "CT abdomen and pelvis with IV contrast"
    assert mri in offered(BUNDLES["incidental-tail-lesion"], knowledge, terminology)
    for slug, blocked in (("gadolinium-reaction", mri), ("pacemaker-mri", mri), ("pregnancy-ct", ct)):
        found = offered(BUNDLES[slug], knowledge, terminology)
        assert found, slug
        assert blocked not in found, slug


def test_where_there_is_nothing_to_advise_nothing_is_offered(knowledge: Knowledge, terminology: Terminology) -> None:
    """Another tumour, a chart whose Conditions could not be read, somebody who has died."""
    assert offered(BUNDLES["pancreatic-adenocarcinoma"], knowledge, terminology) == {}
    bare = {"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Patient", "id": "1"}}]}
    assert offered(bare, knowledge, terminology, Gaps({"conditions": Lack.TIMED_OUT})) == {}
    chart = BUNDLES["incidental-tail-lesion"]
    dead = [
        {"resource": entry["resource"] | ({"deceasedBoolean": True} if "birthDate" in entry["resource"] else {})}
        for entry in chart["entry"]
    ]
    assert offered({**chart, "entry": dead}, knowledge, terminology) == {}
