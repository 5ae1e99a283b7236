"""``/fhir``: the artefacts as a read-only FHIR endpoint, and ``$apply``.

Reads and searches of the types of :data:`SERVED`; a plan applied to the chart that comes with the call or, in demo
mode, to a synthetic patient. Nothing is written and nothing is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any, Final

import msgspec
from flask import Blueprint, Response, request

from cds_service.artefacts import Artefacts, artefacts
from cds_service.artefacts.apply import care_plan
from cds_service.artefacts.guide import SERVED, capability
from cds_service.artefacts.naming import stamp
from cds_service.artefacts.plans import CHOICE
from cds_service.clients import Caller
from cds_service.consult import about_options
from cds_service.domain.same import Same
from cds_service.errors import FactsError, InvalidRequest, NotJson, PatientMismatch, UnknownArtefact
from cds_service.knowledge.model import Knowledge
from cds_service.pipeline import Parts
from cds_service.web.access import FHIR, OPEN
from cds_service.web.caller import current_caller
from cds_service.web.fhir_search import FORMAT, searchset
from cds_service.web.services import read_body, require_json
from fhir_profiles.terminology import Terminology

_JSON: Final = "application/fhir+json"
_FORMATS: Final = frozenset({"json", "application/json", _JSON})
Charts = Callable[[str], Mapping[str, Any] | None]
"""The Bundle about a patient by id, where charts are held here."""


@dataclass(frozen=True, slots=True)
class _Served:
    """What one call is answered from: the artefacts of the client's knowledge on the day."""

    parts: Parts
    knowledge: Knowledge
    held: Artefacts
    day: date

    def artefact(self, kind: str, identifier: str) -> Mapping[str, Any]:
        found = self.held.by_key.get((kind, identifier))
        if found is None:
            raise UnknownArtefact(f"There is no such artefact; GET {FHIR} and its type lists what there is.")
        return found


def blueprint(parts_for: Callable[[Caller], Parts], shared: Parts, charts: Charts) -> Blueprint:
    """The routes of the endpoint."""
    routes = Blueprint("fhir", __name__)
    made = lru_cache(maxsize=8)(_made)

    def served() -> _Served:
        parts = parts_for(current_caller())
        day = parts.today()
        return _Served(parts, parts.knowledge.on(day), made(Same(parts.knowledge), parts.terminology, day), day)

    @routes.get(OPEN)
    def metadata() -> Response:
        return _fhir(capability(stamp(shared.knowledge), f"{shared.public_url}{FHIR}"))

    @routes.get(f"{FHIR}/<kind>/<identifier>")
    def read(kind: str, identifier: str) -> Response:
        return _fhir(served().artefact(kind, identifier))

    @routes.get(f"{FHIR}/<kind>")
    def search(kind: str) -> Response:
        if kind not in SERVED:
            raise UnknownArtefact(f"No resources of this type are served here; those served are {', '.join(SERVED)}.")
        on = served()
        return _fhir(searchset(kind, on.held, f"{on.parts.public_url}{FHIR}", request.args))

    @routes.route(f"{FHIR}/PlanDefinition/$apply", methods=["GET", "POST"])
    @routes.route(f"{FHIR}/PlanDefinition/<identifier>/$apply", methods=["GET", "POST"])
    def apply(identifier: str = CHOICE) -> Response:
        return _fhir(_applied(identifier, served(), charts))

    @routes.after_request
    def as_fhir(response: Response) -> Response:
        """Errors are OperationOutcomes, and here they are FHIR."""
        if response.mimetype == "application/json":
            response.content_type = _JSON
        return response

    return routes


def _made(same: Same[Knowledge], terminology: Terminology, day: date) -> Artefacts:
    return artefacts(same.value.on(day), terminology)


def _fhir(resource: Mapping[str, Any]) -> Response:
    asked = request.args.get(FORMAT)
    if asked is not None and asked.partition(";")[0].replace(" ", "+") not in _FORMATS:
        raise InvalidRequest("_format: this endpoint answers in JSON only.")
    response = Response(msgspec.json.encode(resource), content_type=_JSON)
    response.add_etag(weak=True)
    response.headers["Cache-Control"] = "private, no-cache"
    response.make_conditional(request)
    return response


def _applied(plan: str, on: _Served, charts: Charts) -> dict[str, Any]:
    """The CarePlan for the patient of the call."""
    on.artefact("PlanDefinition", plan)
    subject, chart = _asked() if request.method == "POST" else (request.args.get("subject", ""), None)
    patient = _patient_id(subject, chart)
    found = charts(patient) if chart is None else chart
    if found is None:
        raise UnknownArtefact("No chart of this patient is held here; POST it as the parameter data.")
    terminology = on.parts.terminology
    try:
        consulted = about_options(found, on.day, on.knowledge, terminology)
    except FactsError as error:
        raise InvalidRequest(f"data: {error}.") from None
    if patient and consulted.id != patient:
        raise PatientMismatch("The subject is not the patient of the data; one call is about one patient.")
    return care_plan(plan, consulted.assessed, f"Patient/{consulted.id}", on.day, on.knowledge, terminology)


def _asked() -> tuple[str, Mapping[str, Any] | None]:
    """Subject and chart of a POST: a Parameters resource with subject and data, or the Bundle alone."""
    require_json(request.mimetype)
    try:
        sent: Any = msgspec.json.decode(read_body())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise NotJson("The body is not JSON.") from None
    subject = request.args.get("subject", "")
    if not isinstance(sent, dict) or sent.get("resourceType") not in ("Bundle", "Parameters"):
        raise InvalidRequest("Send a Bundle with the chart, or Parameters with subject and data.")
    if sent["resourceType"] == "Bundle":
        return subject, sent
    sent = sent.get("parameter")
    given = {str(item.get("name")): item for item in (sent if isinstance(sent, list) else ()) if isinstance(item, dict)}
    chart = given.get("data", {}).get("resource")
    named = given.get("subject", {})
    reference = named.get("valueReference")
    said = reference.get("reference") if isinstance(reference, dict) else named.get("valueString")
    return str(said or subject), chart if isinstance(chart, dict) else None


def _patient_id(subject: str, chart: Mapping[str, Any] | None) -> str:
    """The id the subject names; it may be left out where the chart names the patient."""
    kind, slash, identifier = subject.rpartition("/")
    if subject and slash and kind.rpartition("/")[2] != "Patient":
        raise InvalidRequest("subject: expected a reference to a Patient.")
    if not subject and chart is None:
        raise InvalidRequest("subject: name the patient, as in subject=Patient/123.")
    return identifier
