"""The only importer of fhir.resources: checks what this service writes against the R4B models.

Never used on other people's data: one odd member makes the models refuse a whole resource, and their error texts quote
the data. Reading is the business of :mod:`fhir_profiles.reading`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fhir_core.fhirabstractmodel import FHIRAbstractModel

FHIRAbstractModel.set_global_model_config(hide_input_in_errors=True)

from fhir.resources.R4B import get_fhir_model_class  # noqa: E402 - the setting above must come first
from pydantic import ValidationError  # noqa: E402


def problems(resource: Mapping[str, Any]) -> list[str]:
    """What the R4B models object to; an empty list when nothing. Values are never quoted."""
    kind = resource.get("resourceType")
    if not isinstance(kind, str):
        return ["no resourceType"]
    try:
        get_fhir_model_class(kind).model_validate(dict(resource))
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False)
        return [".".join(map(str, item["loc"])) + ": " + item["msg"] for item in found]
    except (KeyError, ValueError):
        return [f"unknown resource type {kind!r}, or one inside"]
    return []
