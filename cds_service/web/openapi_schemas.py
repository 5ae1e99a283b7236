"""The JSON schemas that validate, as components of the OpenAPI document: the same rules under other addresses.

A schema becomes one component, each of its definitions another (``Request.bundle``). What differs by hook in the
request schema becomes one component per service, so that a program need not evaluate conditions to know what a call
holds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

from cds_service.pipeline import prefetch_templates
from cds_service.service import HookService

Schema = dict[str, Any]

_COMPONENTS: Final = {
    "request": "Request",
    "response": "Response",
    "discovery": "Discovery",
    "feedback": "Feedback",
    "assessment": "Assessment",
    "rated-order": "RatedOrder",
    "outcome": "Outcome",
}
_OUTSIDE: Final = frozenset({"$schema", "$id", "$defs"})
"""Members that belong to a schema in a file of its own."""


def schemas(services: tuple[HookService, ...]) -> dict[str, Schema]:
    """Every schema by the name of its component."""
    found: dict[str, Schema] = {}
    for name, component in _COMPONENTS.items():
        loaded = _loaded(name)
        if name == "request":
            found |= {call_name(service): _call(loaded, service) for service in services}
        else:
            found[component] = _moved(loaded, component)
        found |= {f"{component}.{key}": _moved(held, component) for key, held in loaded.get("$defs", {}).items()}
    return found


def call_name(service: HookService) -> str:
    """Name of the component that says what a call of a service holds."""
    return f"Call.{service.hook}"


def reference(component: str) -> Schema:
    """A reference to a component."""
    return {"$ref": f"#/components/schemas/{component}"}


@cache
def _loaded(name: str) -> Mapping[str, Any]:
    text = (files("cds_service.protocol") / "schemas" / f"{name}.schema.json").read_text(encoding="utf-8")
    loaded: Mapping[str, Any] = json.loads(text)
    return loaded


def _moved(value: Any, component: str) -> Any:
    """A schema with its references led to components, and comments as descriptions, for people to read."""
    if isinstance(value, list):
        return [_moved(item, component) for item in value]
    if not isinstance(value, dict):
        return value
    moved = {name: _moved(item, component) for name, item in value.items() if name not in _OUTSIDE}
    if "$comment" in moved:
        comment = moved.pop("$comment")
        moved = {"description": comment} | moved
    if "$ref" in moved:
        moved |= reference(_target(moved["$ref"], component))
    return moved


def _target(address: str, component: str) -> str:
    """The component a reference in a schema file leads to."""
    if address.startswith("#/$defs/"):
        return f"{component}.{address.removeprefix('#/$defs/')}"
    return _COMPONENTS[address.removesuffix(".schema.json")]


def _call(request: Mapping[str, Any], service: HookService) -> Schema:
    """The request schema with what it says under the condition that the hook is this service's."""
    general = _moved(request, _COMPONENTS["request"])
    conditions = general.pop("allOf")
    meant = next(c["then"] for c in conditions if c["if"]["properties"]["hook"]["const"] == service.hook)
    properties = general["properties"]
    keys = _moved(request["$defs"]["prefetch"]["additionalProperties"], _COMPONENTS["request"])
    prefetch = {key: {"description": query, **keys} for key, query in prefetch_templates(service).items()}
    general["title"] = f"Call of {service.id}"
    general["properties"] = properties | {
        "hook": {"const": service.hook},
        "context": {"allOf": [properties["context"], meant["properties"]["context"]]},
        "prefetch": {"allOf": [properties["prefetch"]], "properties": prefetch},
    }
    return dict(general)
