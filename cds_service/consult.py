"""Assessments outside HTTP: from plain facts, or from the resources of a Bundle."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, Final

from cds_service.clinical.contradictions import Assessed, assess_chart
from cds_service.clinical.imaging import SSTR_PET
from cds_service.clinical.pama import with_pama
from cds_service.clinical.whatif import would_change
from cds_service.domain.findings import Order, PatientFacts, Skipped, WhatIf
from cds_service.domain.terms import Lack
from cds_service.errors import FactsError
from cds_service.interchange import assessment_object, read_facts, read_orders
from cds_service.knowledge.model import Knowledge
from fhir_profiles.facts import read_chart
from fhir_profiles.inputs import facts_held_in
from fhir_profiles.orders import imaging_orders, indications, with_history
from fhir_profiles.terminology import Terminology

_REQUIRED: Final = "conditions"
"""The input without which nobody knows whether there is a tumour."""


@dataclass(frozen=True, slots=True)
class Gaps:
    """What of a chart did not arrive, so that it is unknown and not absent. A whole chart has none.

    Attributes:
        lacks: inputs that could not be had in full, and why.
        damaged: entries that could not be taken apart.
    """

    lacks: Mapping[str, Lack] = field(default_factory=dict)
    damaged: tuple[Skipped, ...] = ()


WHOLE: Final = Gaps()


@dataclass(frozen=True, slots=True)
class Consulted:
    """An assessment with its id, as the command line prints it."""

    id: str | None
    assessed: Assessed
    knowledge: Knowledge

    def what_if(self) -> WhatIf:
        """What would change the answer."""
        return would_change(self.assessed.chart.facts, self.assessed.assessment, self.knowledge)

    def as_object(self) -> dict[str, Any]:
        """The assessment object, led by the id when there is one."""
        shown = assessment_object(self.assessed.assessment, self.assessed.chart, self.knowledge, self.what_if())
        return ({"id": self.id} if self.id is not None else {}) | shown


def from_facts(given: Any, knowledge: Knowledge) -> Consulted:
    """Assess one ``{"id"?, "facts", "orders"?}``.

    Raises:
        FactsError: the object, a fact or an order does not fit.
    """
    if not isinstance(given, Mapping) or not isinstance(given.get("facts"), Mapping):
        raise FactsError('expected an object with "facts" (an object) and, if any, "orders" (a list)')
    facts = read_facts(given["facts"])
    orders = read_orders(given.get("orders", []), facts, knowledge)
    chart = PatientFacts(facts, nen_evidence=True)
    identifier = given.get("id")
    assessed = with_pama(assess_chart(chart, orders, knowledge), knowledge)
    return Consulted(None if identifier is None else str(identifier), assessed, knowledge)


def from_bundle(
    bundle: Any,
    references: Sequence[str],
    today: date,
    knowledge: Knowledge,
    terminology: Terminology,
    gaps: Gaps = WHOLE,
) -> Consulted:
    """Assess the patient of a Bundle and its draft imaging orders, or those named.

    Raises:
        FactsError: no Bundle, not exactly one Patient, or an order that is not in it.
    """
    resources, patient_id = _chart(bundle)
    ordered = _ordered(resources, references)
    drafts = imaging_orders(ordered, patient_id, terminology)
    chart = _read(resources, ordered, patient_id, today, knowledge, terminology, indications(drafts, terminology), gaps)
    orders = tuple(draft.order for draft in with_history(drafts, chart.days_since))
    assessed = with_pama(assess_chart(chart, orders, knowledge), knowledge, facts_held_in(chart.unavailable))
    return Consulted(patient_id, assessed, knowledge)


def about_options(
    bundle: Any, today: date, knowledge: Knowledge, terminology: Terminology, gaps: Gaps = WHOLE
) -> Consulted:
    """Assess the patient of a Bundle for the question which studies there are: as if each rated one were ordered.

    Without any rated study there is one order, which names none.

    Raises:
        FactsError: no Bundle, or not exactly one Patient.
    """
    resources, patient_id = _chart(bundle)
    ordered = _ordered(resources, ())
    reasons = indications(imaging_orders(ordered, patient_id, terminology), terminology)
    chart = _read(resources, ordered, patient_id, today, knowledge, terminology, reasons, gaps)
    none = (Order("options", None),)
    agent = knowledge.site.studies.sstr_agent
    orders = tuple(
        Order(
            study.procedure,
            study.procedure,
            days_since_same_procedure=chart.days_since.get(study.procedure),
            agent=agent if study.procedure == SSTR_PET else None,
        )
        for study in assess_chart(chart, none, knowledge).assessment.orders[0].alternatives
    )
    return Consulted(patient_id, assess_chart(chart, orders or none, knowledge), knowledge)


def _chart(bundle: Any) -> tuple[list[dict[str, Any]], str]:
    """The resources of a Bundle, and the id of its only patient."""
    if not isinstance(bundle, Mapping) or bundle.get("resourceType") != "Bundle":
        raise FactsError("expected a FHIR Bundle")
    if _goes_on(bundle.get("link")):
        raise FactsError("expected the whole chart, and this Bundle is one page of it; put all pages into one Bundle")
    held = bundle.get("entry")
    entries = [
        entry.get("resource") for entry in (held if isinstance(held, list) else ()) if isinstance(entry, Mapping)
    ]
    resources = [resource for resource in entries if isinstance(resource, dict)]
    patients = [resource for resource in resources if resource.get("resourceType") == "Patient"]
    if len(patients) != 1:
        raise FactsError(f"expected exactly one Patient in the Bundle, found {len(patients)}")
    return resources, str(patients[0].get("id"))


def _goes_on(links: object) -> bool:
    """Whether a Bundle has a next page: what stands there would be taken for not on record."""
    listed = links if isinstance(links, list) else []
    return any(isinstance(link, Mapping) and link.get("relation") == "next" for link in listed)


def _read(
    resources: Sequence[dict[str, Any]],
    ordered: Sequence[dict[str, Any]],
    patient_id: str,
    today: date,
    knowledge: Knowledge,
    terminology: Terminology,
    indicated: Iterable[dict[str, Any]],
    gaps: Gaps,
) -> PatientFacts:
    """What the resources but the orders say about the patient."""
    encounter = next((str(r.get("id")) for r in resources if r.get("resourceType") == "Encounter"), None)
    chart = read_chart(
        [resource for resource in resources if resource not in ordered],
        patient_id=patient_id,
        encounter_id=encounter,
        today=today,
        terminology=terminology,
        attributes=knowledge.attributes,
        windows=knowledge.windows,
        complete=_REQUIRED not in gaps.lacks,
        unavailable=tuple(gaps.lacks),
        indications=indicated,
        damaged=gaps.damaged,
    )
    return replace(chart, lacks=gaps.lacks)


def _ordered(resources: list[dict[str, Any]], references: Sequence[str]) -> list[dict[str, Any]]:
    """The orders named, or every draft ServiceRequest when none is named."""
    requests = [resource for resource in resources if resource.get("resourceType") == "ServiceRequest"]
    if not references:
        return [resource for resource in requests if resource.get("status") == "draft"]
    by_id = {str(resource.get("id")): resource for resource in requests}
    unknown = [reference for reference in references if reference.rpartition("/")[2] not in by_id]
    if unknown:
        raise FactsError(f"no such ServiceRequest in the Bundle: {', '.join(unknown)}")
    return [by_id[reference.rpartition("/")[2]] for reference in references]
