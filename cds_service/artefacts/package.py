"""The artefacts as the files of a FHIR package: what other tools install."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from cds_service.artefacts.collection import Artefacts
from cds_service.artefacts.naming import FHIR_VERSION, PACKAGE, PUBLISHER
from cds_service.domain.terms import FHIR_BASE

_EXAMPLES: Final = "package/example"
_INDEXED: Final = ("resourceType", "id", "url", "version", "kind", "type")


def package_files(held: Artefacts) -> dict[str, bytes]:
    """Content by path within the package; the same artefacts give the same bytes."""
    resources = {f"{one['resourceType']}-{one['id']}.json": one for one in held}
    examples = {f"{one['resourceType']}-{name}.json": one for name, one in held.examples.items()}
    files = {"package/package.json": _written(_manifest(held)), "package/.index.json": _written(_index(resources))}
    files |= {f"package/{name}": _written(one) for name, one in resources.items()}
    files |= {f"{_EXAMPLES}/{name}": _written(one) for name, one in examples.items()}
    return files | {f"{_EXAMPLES}/.index.json": _written(_index(examples))}


def _manifest(held: Artefacts) -> dict[str, Any]:
    return {
        "name": PACKAGE,
        "version": held.stamp.version,
        "type": "IG",
        "title": "pnet-cds implementation guide",
        "description": "Profiles, value sets and the computable imaging guideline of pnet-cds.",
        "author": PUBLISHER,
        "license": "Apache-2.0",
        "canonical": FHIR_BASE,
        "fhirVersions": [FHIR_VERSION],
        "date": held.stamp.date.replace("-", "") + "000000",
        "dependencies": {"hl7.fhir.r4.core": FHIR_VERSION},
        "directories": {"lib": "package", "example": "example"},
    }


def _index(resources: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {"index-version": 1, "files": [{"filename": name} | _indexed(one) for name, one in resources.items()]}


def _indexed(resource: Mapping[str, Any]) -> dict[str, Any]:
    return {name: resource[name] for name in _INDEXED if isinstance(resource.get(name), str)}


def _written(content: Mapping[str, Any] | Iterable[Any]) -> bytes:
    return (json.dumps(content, ensure_ascii=False, indent=2) + "\n").encode()
