"""The worked clinical cases as data, and the comparison of an assessment with what a case expects.

The form of the files is described in ``tests/cases/README.md``. Nothing here knows how an assessment is made, so the
same cases serve the rules alone, the FHIR path and the HTTP path.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cds_service.domain.facts import FACTS

_CASES: Final = Path(__file__).parent / "cases"
_NULL: Final = "null"
_KEYS: Final = frozenset({"id", "name", "why", "rules", "orders", "facts", "expected"})


@dataclass(frozen=True)
class Case:
    """One patient at one moment, and what must be concluded.

    Attributes:
        id: stable identifier.
        name: what the case is, in a few words.
        why: why the expectation is right, in one sentence.
        rules: ids of the rules exercised.
        orders: procedure keys of the studies ordered, in order.
        facts: plain facts; one left out is unknown.
        expected: the parts of the assessment that are asserted, with None for null.
    """

    id: str
    name: str
    why: str
    rules: tuple[str, ...]
    orders: tuple[str, ...]
    facts: dict[str, Any]
    expected: dict[str, Any]


def clinical_cases() -> tuple[Case, ...]:
    """All worked cases that a chart can tell, sorted by id.

    Raises:
        ValueError: a case has a missing or unknown key, an unknown fact or expectation, or an id already used.
    """
    return _cases(_CASES / "clinical")


def plain_cases() -> tuple[Case, ...]:
    """The few cases that only plain facts can tell, sorted by id.

    Raises:
        ValueError: as for the others.
    """
    return _cases(_CASES / "plain")


def _cases(folder: Path) -> tuple[Case, ...]:
    cases: dict[str, Case] = {}
    for path in sorted(folder.glob("*.toml")):
        for raw in tomllib.loads(path.read_text(encoding="utf-8"))["case"]:
            case = _case(raw, path.name)
            if case.id in cases:
                msg = f"{path.name}: the id {case.id} is used twice"
                raise ValueError(msg)
            cases[case.id] = case
    return tuple(cases[case_id] for case_id in sorted(cases))


def mismatches(case: Case, assessment: dict[str, Any]) -> list[str]:
    """What in the assessment contradicts the case, one readable line each; an empty list when nothing does.

    Only what the case lists is compared. A member that the assessment leaves out counts as null.
    """
    found: list[str] = []
    for key, expected in case.expected.items():
        found += _COMPARISONS[key](key, expected, assessment)
    return found


def _case(raw: Mapping[str, Any], file: str) -> Case:
    label = f"{file}: {raw.get('id', 'case without id')}"
    for what, names, known in (
        ("keys", _KEYS.symmetric_difference(raw), frozenset[str]()),
        ("facts", frozenset(raw.get("facts", {})), frozenset(FACTS)),
        ("expectations", frozenset(raw.get("expected", {})), frozenset(_COMPARISONS)),
    ):
        if wrong := sorted(names - known):
            msg = f"{label}: unknown or missing {what}: {', '.join(wrong)}"
            raise ValueError(msg)
    return Case(
        id=raw["id"],
        name=raw["name"],
        why=raw["why"],
        rules=tuple(raw["rules"]),
        orders=tuple(raw["orders"]),
        facts=dict(raw["facts"]),
        expected={key: _with_none(value) for key, value in raw["expected"].items()},
    )


def _with_none(value: Any) -> Any:
    """The value with every string ``"null"`` inside it turned into None."""
    if isinstance(value, dict):
        return {key: _with_none(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_none(inner) for inner in value]
    return None if value == _NULL else value


def _say(value: Any) -> str:
    return "null" if value is None else str(value)


def _differs(expected: Any, actual: Any) -> bool:
    """Whether two values differ: truth values only equal truth values, expected fractions have two decimals."""
    if isinstance(expected, bool) or isinstance(actual, bool):
        return expected is not actual
    if isinstance(expected, list) and isinstance(actual, list | tuple):
        return len(expected) != len(actual) or any(map(_differs, expected, actual))
    if isinstance(expected, float) and isinstance(actual, int | float):
        return bool(round(actual, 2) != expected)
    return bool(expected != actual)


def _value(path: str, expected: Any, actual: Any) -> list[str]:
    if _differs(expected, actual):
        return [f"{path}: expected {_say(expected)}, got {_say(actual)}"]
    return []


def _members(path: str, expected: Mapping[str, Any], actual: Mapping[str, Any] | None) -> list[str]:
    found = actual or {}
    return [line for key, value in expected.items() for line in _value(f"{path}.{key}", value, found.get(key))]


def _same(key: str, expected: Any, assessment: Mapping[str, Any]) -> list[str]:
    return _value(key, expected, assessment.get(key))


def _same_members(key: str, expected: Any, assessment: Mapping[str, Any]) -> list[str]:
    return _members(key, expected, assessment.get(key))


def _systems(key: str, expected: Any, assessment: Mapping[str, Any]) -> list[str]:
    computed = assessment.get(key) or {}
    found: list[str] = []
    for system, category in expected.items():
        if system in computed:
            found += _members(f"{key}.{system}", category, computed[system])
        else:
            found.append(f"{key}.{system}: expected a result, got none; computed: {_list(computed)}")
    return found


def _no_systems(key: str, expected: Any, assessment: Mapping[str, Any]) -> list[str]:
    computed = assessment.get("tnm") or {}
    return [
        f"{key}: {system} must not be computed, got {computed[system]}" for system in expected if system in computed
    ]


def _ratings(key: str, expected: Any, assessment: Mapping[str, Any]) -> list[str]:
    orders = assessment.get("orders") or []
    found: list[str] = []
    for procedure, rating in expected.items():
        given = [order.get("rating") for order in orders if order.get("procedure") == procedure]
        if not given:
            known = _list(str(order.get("procedure")) for order in orders)
            found.append(f"{key}.{procedure}: expected {rating}, but no such order is assessed; orders: {known}")
        found += [line for actual in given for line in _value(f"{key}.{procedure}", rating, actual)]
    return found


def _first_suggestion(key: str, expected: Any, assessment: Mapping[str, Any]) -> list[str]:
    orders = assessment.get("orders") or []
    if not orders:
        return [f"{key}: expected {_say(expected)}, but no order is assessed"]
    return _value(key, expected, orders[0].get("suggestion"))


def _list(names: Any) -> str:
    return ", ".join(names) or "none"


def _present(of: str) -> Callable[[str, Any, Mapping[str, Any]], list[str]]:
    def compare(_: str, expected: Any, assessment: Mapping[str, Any]) -> list[str]:
        given = assessment.get(of) or []
        return [f"{of}: {name} is expected, got: {_list(given)}" for name in expected if name not in given]

    return compare


def _absent(of: str) -> Callable[[str, Any, Mapping[str, Any]], list[str]]:
    def compare(_: str, expected: Any, assessment: Mapping[str, Any]) -> list[str]:
        given = assessment.get(of) or []
        return [f"{of}: {name} must not be there" for name in expected if name in given]

    return compare


_COMPARISONS: Final[dict[str, Callable[[str, Any, Mapping[str, Any]], list[str]]]] = {
    "scenario": _same,
    "grade": _same_members,
    "tnm": _systems,
    "tnm_absent": _no_systems,
    "tnm_primary_system": _same,
    "ratings": _ratings,
    "suggest_first": _first_suggestion,
    "auc": _same,
    "warnings_include": _present("warnings"),
    "warnings_exclude": _absent("warnings"),
    "advice_include": _present("advice"),
    "advice_exclude": _absent("advice"),
    "missing_include": _present("missing"),
    "followup": _same_members,
    "markers": _same_members,
    "eligibility": _same_members,
}
