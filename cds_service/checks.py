"""What ``pnet-cds check`` looks at besides loading: overdue reviews, written orders, bundled patients."""

from __future__ import annotations

from datetime import date

from cds_service.knowledge.model import Knowledge
from fhir_profiles.drafts import CONCEPT_OF, suggested_orders
from fhir_profiles.resources import problems
from fhir_profiles.synthetic import resources, synthetic_patients
from fhir_profiles.terminology import Terminology


def find_problems(knowledge: Knowledge, terminology: Terminology) -> list[str]:
    """Everything that is wrong with what this distribution writes and ships."""
    return [
        *_unwritable(knowledge),
        *_orders(knowledge, terminology),
        *_examples(),
    ]


def overdue(knowledge: Knowledge, today: date) -> list[str]:
    """Rows past their review date: not wrong, but to be looked at."""
    return [row.id for row in knowledge.expired(today)]


def _unwritable(knowledge: Knowledge) -> list[str]:
    wanted = {key for row in knowledge.preferences.values() for key in row.preference}
    return [f"{key} may be suggested but has no codes to write" for key in sorted(wanted - set(CONCEPT_OF))]


def _orders(knowledge: Knowledge, terminology: Terminology) -> list[str]:
    found: list[str] = []
    for key in CONCEPT_OF:
        label = knowledge.procedures[key].label
        for order in suggested_orders(key, label, "", {}, "check", terminology, knowledge.order_writing):
            found += [f"suggested order for {key}: {problem}" for problem in problems(order)]
    return found


def _examples() -> list[str]:
    return [
        f"example {patient.slug}, {resource.get('resourceType')}/{resource.get('id')}: {problem}"
        for patient in synthetic_patients()
        for resource in resources(patient.bundle)
        for problem in problems(resource)
    ]
