"""Draft orders from what is typed: a study, a code, a file, or an order the FHIR server holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cds_service.ehr.files import json_in
from cds_service.ehr.remote import FhirServer, held
from cds_service.errors import CallInvalid
from fhir_profiles.inputs.studies import study
from fhir_profiles.reading import labels, member, objects
from fhir_profiles.terminology import CodeRow, ConceptRow, Terminology

_IMAGING: Final = "procedure-imaging"
_ORDER: Final = "ServiceRequest"
_PLACE: Final = {"loinc": 0, "sct": 1, "cpt": 2, "local": 3}
"""Code systems a study is written with, preferred first."""


@dataclass(frozen=True, slots=True)
class Chart:
    """Whom orders are for, and where orders that exist are read."""

    patient: str
    encounter: str | None
    server: FhirServer


def draft_orders(given: Iterable[str], chart: Chart, terminology: Terminology) -> list[dict[str, Any]]:
    """The orders as resources, each with an id.

    Raises:
        CallInvalid: something given names no order.
        RemoteError: an order of the server cannot be read.
    """
    found: list[dict[str, Any]] = []
    for name in given:
        for order in _orders(name, chart, terminology):
            found.append({"resourceType": _ORDER, "id": f"draft-{len(found) + 1}", **order})
    return found


def _orders(given: str, chart: Chart, terminology: Terminology) -> Iterator[dict[str, Any]]:
    if given.endswith(".json"):
        yield from (_for_patient(order, chart) for order in _in_file(Path(given)))
    elif given.startswith(f"{_ORDER}/"):
        yield chart.server.one(_ORDER, given.partition("/")[2])
    else:
        yield _for_patient(written_order(given, terminology), chart)


def _for_patient(order: dict[str, Any], chart: Chart) -> dict[str, Any]:
    """The order with what every draft has; what the file says stays."""
    usual: dict[str, Any] = {
        "status": "draft",
        "intent": "order",
        "subject": {"reference": f"Patient/{chart.patient}"},
    }
    if chart.encounter:
        usual["encounter"] = {"reference": f"Encounter/{chart.encounter}"}
    return usual | order


def _in_file(path: Path) -> list[dict[str, Any]]:
    value = json_in(path, "--order")
    inside = [held(entry) for entry in objects(member(value, "entry"))]
    orders = [found for found in [value, *inside] if member(found, "resourceType") == _ORDER]
    if not orders:
        raise CallInvalid(f"--order {path}: expected a ServiceRequest, or a Bundle with some.")
    return orders


def written_order(given: str, terminology: Terminology) -> dict[str, Any]:
    """Code, and where the study needs it order detail, for a study key such as ``ct-cap-w``, or for a code.

    Raises:
        CallInvalid: neither, or a code that several systems have.
    """
    system, bar, code = given.rpartition("|")
    if bar:
        return {"code": _of_system(system, code, terminology)}
    keys = _keys(terminology)
    return _of_study(given, terminology) if given in keys else {"code": _bare(given, terminology)}


def _keys(terminology: Terminology) -> set[str]:
    """Keys of studies that a code or a reviewed name stands for."""
    coded = {row.procedure or concept.procedure for concept, row in _codes(terminology)}
    return (coded | {label.procedure for label in labels().study if label.procedure}) - {""}


def _codes(terminology: Terminology) -> Iterator[tuple[ConceptRow, CodeRow]]:
    """The codes of imaging studies."""
    for concept in terminology.concepts.values():
        if concept.kind == _IMAGING:
            yield from ((concept, row) for row in concept.codes)


def _of_study(key: str, terminology: Terminology) -> dict[str, Any]:
    """The first way of writing a study that is read as that very study: preferred codes first, its name last."""
    rows = [row for concept, row in _codes(terminology) if key in (row.procedure, concept.procedure)]
    rows.sort(key=lambda row: (not row.emit, _PLACE.get(row.system, len(_PLACE))))
    names = [name for label in labels().study if label.procedure == key for name in label.names]
    written = [_concept(row, terminology) for row in rows] + [{"text": name} for name in names]
    for code in written:
        read = study(code, terminology)
        if read is not None and read.procedure == key:
            return {"code": code}
    raise CallInvalid(f"--order {key}: no code that stands for this study alone is known; send a file.")


def _concept(row: CodeRow, terminology: Terminology) -> dict[str, Any]:
    coding = {"system": terminology.uris[row.system], "code": row.code}
    if row.system != "cpt":  # its descriptors are licensed
        coding["display"] = row.display
    return {"coding": [coding]}


def _of_system(system: str, code: str, terminology: Terminology) -> dict[str, Any]:
    """A coding as it is named; the code may be one that no table holds, because EHRs send such codes too."""
    uri = terminology.uris.get(system) or system
    if "://" not in uri and not uri.startswith("urn:"):
        known = ", ".join(sorted(name for name, uri in terminology.uris.items() if uri))
        raise CallInvalid(f"--order {system}|{code}: the code system is a URI, or one of {known}.")
    match = terminology.match(uri, code)
    display = {"display": match.display} if match and terminology.system(uri) != "cpt" else {}
    return {"coding": [{"system": uri, "code": code} | display]}


def _bare(code: str, terminology: Terminology) -> dict[str, Any]:
    rows = {row.system: row for _, row in _codes(terminology) if row.code == code}
    if len(rows) > 1:
        raise CallInvalid(f"--order {code}: a code of {' and '.join(sorted(rows))}; write it as SYSTEM|{code}.")
    if not rows:
        raise CallInvalid(
            f"--order {code}: neither a file (*.json), nor ServiceRequest/ID, nor a code of the tables, nor one of "
            f"{', '.join(sorted(_keys(terminology)))}."
        )
    (row,) = rows.values()
    return _concept(row, terminology)
