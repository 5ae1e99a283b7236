"""What a call gets wrong without harm, by requirement number (CH-034).

Notes are logged, so that the maker of a client can be told what to mend; they change nothing in the answer. They name
members and never what stands in them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from cds_service.protocol.contexts import CONTEXTS

OLDER_NAMES: Final[Mapping[str, tuple[str, ...]]] = {"dispatchedOrders": ("dispatched-orders", "order")}
"""Members as older versions of a hook call them (CH-159)."""

_OPTIONAL: Final = ("encounterId", "fulfillmentTasks")
_SIGNED: Final = ("id", "status", "intent", "subject")
"""Members without which an order that is signed is no order of R4, and cannot be given back with a rating."""

Resources = tuple[dict[str, Any], ...]


def deviations(context: Mapping[str, Any], hook: str, drafts: Resources, appointments: Resources) -> list[str]:
    """What is wrong with a context, as it was sent, and with the resources in it."""
    return [*_members(context, hook), *_selections(context, hook, drafts), *_resources(hook, drafts, appointments)]


def _members(context: Mapping[str, Any], hook: str) -> Iterator[str]:
    for name in CONTEXTS[hook].expected:
        value = context.get(name)
        if not isinstance(value, str) or not value.strip():
            yield f"CH-151 context.{name}"
        elif name != "encounterId" and "/" not in value:
            yield f"CH-151 context.{name} is no reference"
    for name in _OPTIONAL:
        if name in context and context[name] in (None, "", [], {}) and name not in CONTEXTS[hook].expected:
            yield f"CH-005 context.{name} is empty"
    for name, older in OLDER_NAMES.items():
        if name in CONTEXTS[hook].required and any(context.get(alias) for alias in older):
            yield f"CH-159 context.{name} under an older name"


def _selections(context: Mapping[str, Any], hook: str, drafts: Resources) -> Iterator[str]:
    if hook != "order-select" or not isinstance(context.get("selections"), list):
        return
    chosen = [item.strip() for item in context["selections"] if isinstance(item, str)]
    if any("/" not in item for item in chosen):
        yield "CH-156 selections hold a bare id"
    drafted = {str(draft.get("id")).strip() for draft in drafts}
    if any(item.rpartition("/")[2] not in drafted for item in chosen):
        yield "CH-156 a selection names no draft"


def _resources(hook: str, drafts: Resources, appointments: Resources) -> Iterator[str]:
    if hook == "order-select" and any(draft.get("status") != "draft" for draft in drafts):
        yield "CH-157 an order that is being chosen is no draft"
    if hook == "order-sign":
        orders = [draft for draft in drafts if draft.get("resourceType") == "ServiceRequest"]
        lacking = [name for name in _SIGNED if any(not order.get(name) for order in orders)]
        yield from (f"CH-158 draft order without {name}" for name in lacking)
    if any(appointment.get("status") != "proposed" for appointment in appointments):
        yield "CH-162 an appointment is not proposed"


def of_extension(raw: msgspec.Raw) -> list[str]:
    """What is wrong with the extension of a call: it is an object with members, or it is left out."""
    try:
        extension = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
    if extension is None or (isinstance(extension, dict) and extension):
        return []
    return ["CH-005 extension is empty" if isinstance(extension, dict) else "CH-110 extension is no object"]
