"""Conditions of rows as FHIRPath over abstracted facts.

The context of an expression is a Bundle of abstracted-fact Observations, one per fact that is known. FHIRPath's empty
collection is our *unknown*, and its ``and`` and ``or`` treat it as the rows do, so an expression is true,
false or empty exactly where the row is true, false or unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from cds_service.artefacts.local_codes import LOCAL
from cds_service.artefacts.naming import canonical
from cds_service.clinical.staging import SITE_NOT_STATED
from cds_service.domain.facts import FACTS, FactSpec, Kind
from cds_service.knowledge.model import Condition, Conjunction, Knowledge, Op, Test
from cds_service.knowledge.ranges import Range

LANGUAGE: Final = "text/fhirpath"
_NONE: Final = "none"
_BOUNDS: Final = {"above": ">", "at_least": ">=", "below": "<", "at_most": "<="}


def known_true(expression: str) -> str:
    """True where the expression is true, false where it is false or unknown."""
    return f"iif({expression}, true, false)"


def known_false(expression: str) -> str:
    """False where the expression is true, true where it is false or unknown."""
    return f"iif({expression}, false, true)"


class Expressions:
    """Writes conditions as FHIRPath, with the signals that choosing a scenario needs."""

    def __init__(self, knowledge: Knowledge) -> None:
        self._signals: dict[str, str] = {
            "counted_treatment": _counted_treatment(knowledge.principles["SEL-T"].not_counted),
            "dominance": _dominance(knowledge.principles["SEL-D"].liver_tumour_share_percent),
        }

    def can_say(self, condition: Condition) -> bool:
        """Whether the condition speaks about facts and these signals only."""
        return all(name in FACTS or name in self._signals for name in condition.names)

    def condition(self, condition: Condition) -> str:
        """The condition: true, false, or empty where it is unknown."""
        parts = [self._test(test) for test in condition.when]
        if condition.any:
            parts.append(_joined("or", [self._conjunction(tests) for tests in condition.any]))
        return _joined("and", parts) or "true"

    def _conjunction(self, tests: Conjunction) -> str:
        return _joined("and", [self._test(test) for test in tests])

    def _test(self, test: Test) -> str:
        signal = self._signals.get(test.name)
        spec = FACTS.get(test.name)
        if spec is not None and spec.kind is Kind.WORDS:
            return _of_list(words(spec), test)
        return _of_value(signal if signal is not None else value(FACTS[test.name]), test)


def observation(spec: FactSpec) -> str:
    """The Observation that states a fact."""
    code = f"system = '{canonical('CodeSystem', LOCAL)}' and code = '{spec.code}'"
    return f"entry.resource.where(code.coding.where({code}).exists())"


def value(spec: FactSpec) -> str:
    """The value of a fact that is a word, a number or a flag."""
    member = {Kind.WORD: "value.coding.code", Kind.NUMBER: "value.value", Kind.FLAG: "value"}[spec.kind]
    return f"{observation(spec)}.{member}"


def words(spec: FactSpec) -> str:
    """The words of a list; the one word ``none`` for an empty list."""
    said = observation(spec)
    return f"({said}.component.value.coding.code | {said}.value.coding.code)"


def literal(given: object) -> str:
    """A word, number or flag as FHIRPath writes it."""
    if isinstance(given, bool):
        return "true" if given else "false"
    return f"'{given}'" if isinstance(given, str) else f"{given:g}"


def _choice(operand: Iterable[Any]) -> str:
    return " | ".join(literal(item) for item in sorted(operand, key=str))


def _among(found: str, operand: Iterable[Any]) -> str:
    """Whether one value is among some; empty while it is not known."""
    options = sorted(operand, key=str)
    return f"{found} = {literal(options[0])}" if len(options) == 1 else f"{found} in ({_choice(options)})"


def _of_value(found: str, test: Test) -> str:
    return _VALUE_TESTS[test.op](found, test.operand)


def _between(found: str, limits: Range) -> str:
    bounds = [(sign, getattr(limits, name)) for name, sign in _BOUNDS.items()]
    return _joined("and", [f"{found} {sign} {literal(bound)}" for sign, bound in bounds if bound is not None])


def _known(found: str, operand: bool) -> str:
    return f"{found}.exists()" if operand else f"{found}.empty()"


_VALUE_TESTS: Final[dict[Op, Callable[[str, Any], str]]] = {
    Op.IN: _among,
    Op.NOT: lambda found, operand: f"({_among(found, operand)}).not()",
    Op.UNLESS: lambda found, operand: known_false(_among(found, operand)),
    Op.RANGE: _between,
    Op.KNOWN: _known,
}


def _of_list(found: str, test: Test) -> str:
    """A test of a list, empty while the list is not known."""
    if test.op is Op.KNOWN:
        return _known(found, test.operand)
    said = _LIST_TESTS[test.op](found, test.operand)
    return f"iif({found}.exists(), {said}, {{}})"


_LIST_TESTS: Final[dict[Op, Callable[[str, Any], str]]] = {
    Op.CONTAINS: lambda found, operand: f"{found}.where({_among('$this', operand)}).exists()",
    Op.LACKS: lambda found, operand: f"{found}.where({_among('$this', operand)}).empty()",
    Op.CONTAINS_ALL: lambda found, operand: _joined(
        "and", [f"{found}.where($this = {literal(item)}).exists()" for item in sorted(operand)]
    ),
    Op.ONLY: lambda found, operand: f"{found}.where(({_among('$this', operand)}).not()).empty()",
    Op.EMPTY: lambda found, operand: f"{found}.where($this != '{_NONE}').{'empty' if operand else 'exists'}()",
}


def _joined(operator: str, parts: list[str]) -> str:
    return f" {operator} ".join(parts if len(parts) == 1 else [f"({part})" for part in parts])


def _counted_treatment(not_counted: Iterable[str]) -> str:
    """SEL-T: any treatment on record but those that do not count; none on record counts as none given."""
    given = " | ".join(words(FACTS[name]) for name in ("prior_treatments", "current_treatments"))
    return f"({given}).where(({_among('$this', [*not_counted, _NONE])}).not()).exists()"


def _dominance(half: float | None) -> str:
    """SEL-D: as recorded, else by the share of the liver, else by the sites of the metastases."""
    said, share = value(FACTS["disease_dominance"]), value(FACTS["liver_tumour_share_percent"])
    sites, resected = words(FACTS["metastases"]), value(FACTS["curative_resection"])
    only_liver = f"iif({sites}.count() = 1 and {resected} = true, 'liver', {{}})"
    no_liver = f"iif({sites}.where($this = '{SITE_NOT_STATED}').exists(), {{}}, 'non-liver')"
    by_sites = f"iif({sites}.empty(), {{}}, iif({sites}.where($this = 'liver').exists(), {only_liver}, {no_liver}))"
    by_share = f"iif({share} > {literal(half)}, 'liver', iif({share} < {literal(half)}, 'non-liver', {{}}))"
    return f"iif({said}.exists(), {said}, iif({share}.exists(), {by_share}, {by_sites}))"
