"""What validators have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_ERRORS: Final = ("fatal", "error")


@dataclass(frozen=True, slots=True)
class Finding:
    """One remark of a validator.

    Attributes:
        severity: fatal, error, warning or information.
        where: FHIRPath of the place.
        code: the validator's own name for this kind of remark.
        message: the remark in words.
    """

    severity: str
    where: str
    code: str
    message: str


class Validator(ABC):
    """A validator of FHIR R4."""

    @abstractmethod
    def findings(self, resource: Mapping[str, Any], profile: str | None = None) -> list[Finding]:
        """Everything it has to say about a resource, held against its type, ``meta.profile`` and this profile."""

    def problems(self, resource: Mapping[str, Any], profile: str | None = None) -> list[Finding]:
        """The errors alone."""
        return [found for found in self.findings(resource, profile) if found.severity in _ERRORS]
