"""What a site may decide: which studies exist there, how orders are coded, the follow-up profile, engineering defaults.

A site never edits guideline rows. Rows name engineering defaults as ``"@key"`` and in statements as ``{key}``; here the
value in force is put in, and the row remembers which ones it uses, so that explanations can say "site setting".
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from cds_service.domain.facts import FACTS
from cds_service.domain.policy import DEFAULT_WRITING
from cds_service.errors import SiteError
from cds_service.knowledge.ranges import Range

Value = float | bool | str | list[str]
"""A number, a switch, a word or a list of words."""

FollowupProfile = Literal["default", "commnets", "esmo", "norway"]
CodeSystem = Literal["loinc", "cpt", "sct", "local"]

_PLACEHOLDER = re.compile(r"\{([a-z0-9_]+)\}")
_TEXTS = frozenset({"statement", "headline"})


class EngineeringDefault(Range, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A value of this project that a site may change within limits.

    Attributes:
        unit: UCUM unit of a number.
        words: words a word may be.
        fact: fact whose words a list may hold.
        rules: ids of the rules it decides.
    """

    key: str
    value: Value
    meaning: str
    rules: list[str]
    unit: str = ""
    words: tuple[str, ...] = ()
    fact: str = ""

    def refusal(self, value: object) -> str:
        """Why a site may not set this value; empty when it may."""
        if isinstance(self.value, bool):
            return "" if isinstance(value, bool) else "expected true or false"
        if isinstance(self.value, str):
            return "" if value in self.words else f"expected one of {', '.join(self.words)}"
        if isinstance(self.value, list):
            words = FACTS[self.fact].words
            fits = isinstance(value, list) and all(word in words for word in value)
            return "" if fits else f"expected a list of: {', '.join(words)}"
        if isinstance(value, bool) or not isinstance(value, int | float):
            return "expected a number"
        return "" if self.holds(value) else f"outside its limits ({self.limits})"

    @property
    def limits(self) -> str:
        """The numbers accepted, for people."""
        bounds = {"above": self.above, "at least": self.at_least, "below": self.below, "at most": self.at_most}
        return ", ".join(f"{name} {bound:g}" for name, bound in bounds.items() if bound is not None)


class SiteStudies(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What exists here.

    Attributes:
        unavailable: procedure keys or modalities that cannot be done here; they are never suggested.
        sstr_tracer: concept of the SSTR PET tracer that suggested orders name.
    """

    unavailable: list[str] = []
    sstr_tracer: str = DEFAULT_WRITING.sstr_tracer

    @property
    def sstr_agent(self) -> str:
        """Ligand of the tracer: dotatate, dotatoc, dotanoc."""
        return self.sstr_tracer.rpartition("-")[2]


class SiteOrders(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How suggested orders are coded.

    Attributes:
        code_systems: systems to write, the preferred one first; a study that the preferred system codes as two is
            written as two orders under one requisition.
    """

    code_systems: tuple[CodeSystem, ...] = ("loinc", "sct", "cpt", "local")


class SiteFollowup(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The schedule after curative resection."""

    profile: FollowupProfile = "default"


class SitePama(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ratings recorded on orders.

    Attributes:
        qcdsm: identifier of the mechanism that the deployer states was consulted; empty for none.
        order_select: whether ratings are recorded while the clinician is still choosing, not only at signing.
    """

    qcdsm: Annotated[str, msgspec.Meta(max_length=200, pattern=r"^(\S+( \S+)*)?$")] = ""
    order_select: bool = False


class Site(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The policy of one site. Everything has a default; a site file names what differs.

    Attributes:
        hash: identifies the file's content; empty without a file.
    """

    name: str = ""
    studies: SiteStudies = SiteStudies()
    orders: SiteOrders = SiteOrders()
    followup: SiteFollowup = SiteFollowup()
    pama: SitePama = SitePama()
    defaults: dict[str, Value] = {}
    hash: str = ""


DEFAULT_SITE = Site()
"""No site file: nothing is restricted and every engineering default is in force."""


def load_site(path: str | Path) -> Site:
    """The policy in a site file (TOML); what it names is checked against the knowledge when that is loaded.

    Raises:
        SiteError: the file cannot be read or holds something that is not part of a site file.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise SiteError(f"The site file cannot be read: {error.strerror}.") from None
    try:
        site = msgspec.toml.decode(data, type=Site)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SiteError(f"The site file does not fit: {error}") from None
    if site.hash:
        raise SiteError("The site file does not fit: hash is computed, not written.")
    if not site.orders.code_systems:
        raise SiteError("The site file does not fit: orders.code_systems is empty.")
    return msgspec.structs.replace(site, hash=hashlib.sha256(data).hexdigest()[:16])


@dataclass(frozen=True, slots=True)
class Settings:
    """The engineering defaults in force: the project's own, and what the site set instead.

    Attributes:
        values: value in force by key.
        changed: keys that the site set to another value.
    """

    values: Mapping[str, Value]
    changed: frozenset[str]

    def number(self, key: str) -> float:
        """A number in force."""
        value = self.values[key]
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"{key} is no number")
        return value

    def fill(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The row with the values in force, and the names of those it uses under ``uses``.

        Raises:
            KeyError: the row names an engineering default that does not exist.
        """
        used: dict[str, None] = {}
        filled = {name: self._value(name, value, used) for name, value in row.items()}
        return filled | ({"uses": list(used)} if used else {})

    def _value(self, name: str, value: Any, used: dict[str, None]) -> Any:
        if isinstance(value, dict):
            return {key: self._value(key, inner, used) for key, inner in value.items()}
        if isinstance(value, list):
            return [self._value(name, inner, used) for inner in value]
        if not isinstance(value, str):
            return value
        if value.startswith("@"):
            return self._use(value[1:], used)
        if name in _TEXTS:
            return _PLACEHOLDER.sub(lambda found: shown(self._use(found[1], used)), value)
        return value

    def _use(self, key: str, used: dict[str, None]) -> Value:
        used[key] = None
        return self.values[key]


def settings_at(site: Site, defaults: Mapping[str, EngineeringDefault]) -> Settings:
    """The engineering defaults as they hold at a site.

    Raises:
        SiteError: an unknown name or a value outside its limits; all problems at once.
    """
    problems = [
        f"defaults.{key}: " + (defaults[key].refusal(value) if key in defaults else "no such engineering default")
        for key, value in site.defaults.items()
        if key not in defaults or defaults[key].refusal(value)
    ]
    if problems:
        raise SiteError("The site file does not fit: " + "; ".join(problems) + ".")
    values = {key: site.defaults.get(key, row.value) for key, row in defaults.items()}
    return Settings(values, frozenset(key for key, row in defaults.items() if values[key] != row.value))


def shown(value: Value) -> str:
    """A value for people."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(value) or "none"
    return f"{value:g}" if isinstance(value, float | int) else value
