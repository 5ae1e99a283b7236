"""What each hook's context must hold (CH-155 to CH-162)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class ContextShape:
    """Required members of a hook's context.

    Attributes:
        required: members without which the call cannot be answered safely (400).
        expected: further members the definition requires but whose absence is merely logged (CH-034).
    """

    required: tuple[str, ...]
    expected: tuple[str, ...] = ("userId",)


CONTEXTS: Final[Mapping[str, ContextShape]] = {
    "patient-view": ContextShape(("patientId",)),
    "order-select": ContextShape(("patientId", "selections", "draftOrders")),
    "order-sign": ContextShape(("patientId", "draftOrders")),
    "order-dispatch": ContextShape(("patientId", "dispatchedOrders"), ("performer",)),
    "appointment-book": ContextShape(("patientId", "appointments")),
    "encounter-discharge": ContextShape(("patientId",), ("userId", "encounterId")),
}
