"""Charts damaged in one place: every field of every resource that matters, in every way of a list. Deterministic.

A resource matters when the assessment is another one without it. A field is any member or element, at any depth.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

Resource = dict[str, Any]
Path = tuple[str | int, ...]
_DATE: Final = re.compile(r"\d{4}-\d{2}")
_GONE: Final = object()
_OTHER_TYPE: Final = {bool: "true", int: "seven", float: "seven", str: 7, dict: "an object", list: "a list"}


def _deep(depth: int) -> Any:
    nested: Any = "x"
    for _ in range(depth):
        nested = [nested]
    return nested


def _always(value: Any) -> Callable[[Path, Any], Any]:
    return lambda _path, _value: copy.deepcopy(value)


def _number(changed: Callable[[Any], Any]) -> Callable[[Path, Any], Any]:
    def damage(_path: Path, value: Any) -> Any:
        return changed(value) if isinstance(value, int | float) and not isinstance(value, bool) else _GONE

    return damage


def _text(changed: Callable[[str], str]) -> Callable[[Path, Any], Any]:
    return lambda _path, value: changed(value) if isinstance(value, str) else _GONE


def _date(changed: Callable[[str], str]) -> Callable[[Path, Any], Any]:
    return lambda _path, value: changed(value) if isinstance(value, str) and _DATE.match(value) else _GONE


def _code(path: Path, _value: Any) -> Any:
    return "no-such-code" if path[-1] == "code" and "coding" in path else _GONE


def _unit(path: Path, _value: Any) -> Any:
    return "[foz_us]/[pt]" if path[-1] in ("unit", "code") and "coding" not in path else _GONE


DAMAGES: Final[Mapping[str, Callable[[Path, Any], Any]]] = {
    "null": _always(None),
    "wrong type": lambda _path, value: _OTHER_TYPE.get(type(value), _GONE),
    "empty string": _always(""),
    "empty list": _always([]),
    "empty object": _always({}),
    "garbage": _always("\u0000\ufffd%%% <b>x</b>"),
    "nested garbage": _always({"coding": [[{"code": [None]}]], "value": {"value": [7]}, "reference": {}}),
    "deep nesting": _always(_deep(60)),
    "lone surrogate": _text(lambda _value: "\ud800"),
    "huge number": _number(lambda _value: 10**400),
    "large number": _number(lambda _value: 1e200),
    "negative number": _number(lambda value: -abs(value) - 1),
    "not a number": _number(lambda _value: "NaN"),
    "infinite": _number(lambda _value: "Infinity"),
    "year only": _date(lambda value: value[:4]),
    "half a date": _date(lambda value: value[:6]),
    "no such date": _date(lambda value: f"{value[:4]}-13-45"),
    "unknown code": _code,
    "unknown unit": _unit,
}
"""What is put in a field's place, by the name of the damage; not every damage fits every field."""


_LESS: Final = frozenset({"removed", "null", "empty string", "empty list", "empty object", "year only"})
_ABOUT: Final = frozenset({"resourceType", "code", "medicationCodeableConcept", "medicationReference"})


@dataclass(frozen=True)
class Damage:
    """What is done to one place of a resource.

    Attributes:
        kind: name of the damage.
        path: the field; empty for the whole resource.
        value: what is put there; for the whole resource, the members that are replaced.
    """

    kind: str
    path: Path
    value: Any

    @property
    def where(self) -> str:
        """The field, for people."""
        return ".".join(map(str, self.path)) or "the resource"

    @property
    def pattern(self) -> str:
        """The field without its place in lists."""
        return ".".join(str(name) for name in self.path if isinstance(name, str))

    def of(self, resource: Resource) -> Resource:
        """The resource with the damage done."""
        changed = copy.deepcopy(resource)
        if not self.path:
            return {**changed, **self.value}
        holder: Any = changed
        for name in self.path[:-1]:
            holder = holder[name]
        if self.value is _GONE:
            del holder[self.path[-1]]
        else:
            holder[self.path[-1]] = self.value
        return changed

    @property
    def says_less(self) -> bool:
        """Whether what is left is a chart that says less, and nothing in it is unreadable.

        A member that is absent, null or empty was not recorded, and a year is a date; unless the member says what the
        resource is about, for a resource about nothing is damaged.
        """
        about = self.where in _ABOUT or re.fullmatch(r"(code|medicationCodeableConcept)\.coding\.\d+\.code", self.where)
        return self.kind in _LESS and not about


def fields(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every member and element below a value."""
    if path:
        yield path, value
    members: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in members:
        yield from fields(item, (*path, name))


def damages(resource: Resource) -> Iterator[Damage]:
    """Everything that can be done to a resource, field by field, and to it as a whole."""
    for path, value in fields(resource):
        if path[0] == "id":
            continue  # without its name nothing can be told about it
        yield Damage("removed", path, _GONE)
        for kind, change in DAMAGES.items():
            changed = change(path, value)
            if changed is not _GONE:
                yield Damage(kind, path, changed)
    yield from _as_a_whole(resource)


def _as_a_whole(resource: Resource) -> Iterator[Damage]:
    """Damage that makes the whole resource something else."""
    subject = next((name for name in ("subject", "patient") if name in resource), "")
    wholes: dict[str, Resource] = {"another type": {"resourceType": "Basic"}}
    if subject:
        wholes["another patient"] = {subject: {"reference": "Patient/someone-else"}}
    if resource["resourceType"] in ("Condition", "AllergyIntolerance"):
        wholes["entered in error"] = {"verificationStatus": {"coding": [{"code": "entered-in-error"}]}}
    elif "status" in resource:
        wholes["entered in error"] = {"status": "entered-in-error"}
    if resource["resourceType"] == "Observation":
        wholes["absent"] = {"dataAbsentReason": {"coding": [{"code": "unknown"}]}}
    for kind, members in wholes.items():
        yield Damage(kind, (), members)


def more_confident(
    intact: Mapping[str, Any], broken: Mapping[str, Any] | None, source: str, key: str, damage: Damage
) -> list[str]:
    """What the answer about a damaged chart says with more confidence than the one about the intact chart.

    More confident is an answer in which

    * nothing speaks for a neoplasm any more, and nothing is said about that (no assessment at all);
    * a fact is known that was not, or is another one than before, and only the damaged resource says so;
    * something is lost (a fact, a scenario, a critical or warning rule of safety, a missing fact that was named) or
      rated that was not, and the damaged resource, or the input it came with, is not named as unusable; this does not
      hold for damage after which the chart merely says less.

    A lost value whose place another, intact source takes is no loss as long as the damage is told.

    Args:
        intact: the assessment of the intact chart.
        broken: the assessment of the damaged one; None when there is none.
        source: reference of the damaged resource.
        key: prefetch key it came under.
        damage: what was done to it.
    """
    if broken is None:
        return ["nothing is said any more"]
    found = [
        f"{name} became {fact.get('value')}"
        for name, fact in broken["facts"].items()
        if fact.get("value") != intact["facts"].get(name, {"value": _GONE}).get("value")
        and name not in _SHIFTING
        and fact.get("value") != "unknown"
        and not _said_elsewhere(fact, source)
    ]
    told = {item["source"] for item in broken.get("unusable", ())}
    if damage.says_less or told & {source, key}:
        return found
    found += [f"{name} is lost" for name in intact["facts"].keys() - broken["facts"].keys() - _SHIFTING]
    found += [f"the scenario is {broken['scenario']}"] if broken["scenario"] != intact["scenario"] else []
    found += [f"{rule} is gone" for rule in _safety(intact) - _safety(broken)]
    found += [f"{procedure} is rated" for procedure in _rated(broken) - _rated(intact)]
    return found


_SHIFTING: Final = frozenset({"current_treatments", "prior_treatments"})
"""A treatment whose state cannot be read any more is history: it still counts as one, which is what rules ask."""


def _said_elsewhere(fact: Mapping[str, Any], source: str) -> bool:
    sources = {item["source"] for item in fact.get("evidence", ())}
    return not sources or bool(sources - {source})


def _safety(assessment: Mapping[str, Any]) -> set[str]:
    return {rule for order in assessment.get("orders", ()) for rule in order.get("warnings", ()) if rule[:4] == "SAF-"}


def _rated(assessment: Mapping[str, Any]) -> set[str]:
    return {str(order.get("procedure")) for order in assessment.get("orders", ()) if order.get("rating") != "not-rated"}
