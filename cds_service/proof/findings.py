"""What a proof answers with, and how it collects what speaks against it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

_SHOWN = 8
"""Most counter-examples shown for one property; what else is wrong is often the same thing again."""


@dataclass(frozen=True, slots=True)
class CounterExample:
    """A state in which the property does not hold.

    Attributes:
        facts: the facts of the state; None is unknown, and a fact that is not named does not matter.
        order: procedure key of the ordered study, where the property is about one.
        rules: ids of the rules or rows concerned.
    """

    facts: Mapping[str, Any]
    expected: str
    found: str
    rules: tuple[str, ...] = ()
    order: str | None = None

    def lines(self) -> tuple[str, ...]:
        """The counter-example as a person reads it."""
        return (
            *(f"{name} = {_shown(value)}" for name, value in self.facts.items()),
            *((f"order: {self.order}",) if self.order else ()),
            f"expected: {self.expected}",
            f"found: {self.found}",
            *((f"rules: {', '.join(self.rules)}",) if self.rules else ()),
        )

    def as_object(self) -> dict[str, Any]:
        """The counter-example as JSON."""
        facts = {name: list(value) if isinstance(value, tuple) else value for name, value in self.facts.items()}
        return {
            "facts": facts,
            "order": self.order,
            "expected": self.expected,
            "found": self.found,
            "rules": list(self.rules),
        }


def _shown(value: object) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(value)}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True, slots=True)
class Proof:
    """What came out of one property.

    Attributes:
        name: the property as a slug.
        title: the same in words.
        states: states covered.
        runs: times the functions were run for it; a run may stand for many states.
        counter_examples: empty when the property holds.
    """

    name: str
    title: str
    states: int
    runs: int
    counter_examples: tuple[CounterExample, ...] = ()

    def __str__(self) -> str:
        return f"{self.title}: {self.states:,} states"

    def as_object(self) -> dict[str, Any]:
        """The proof as JSON."""
        return {
            "property": self.name,
            "states": self.states,
            "runs": self.runs,
            "counter_examples": [example.as_object() for example in self.counter_examples],
        }


@dataclass(slots=True)
class Trial:
    """Counts states and collects counter-examples while a property is tried."""

    name: str
    title: str
    states: int = 0
    runs: int = 0
    against: dict[tuple[object, ...], CounterExample] = field(default_factory=dict)

    def covered(self, states: int = 1, runs: int = 1) -> None:
        """Note states that were tried."""
        self.states += states
        self.runs += runs

    def expect(
        self,
        holds: object,
        facts: Mapping[str, Any],
        expected: str,
        found: object,
        rules: Iterable[str] = (),
        order: str | None = None,
    ) -> None:
        """Note a counter-example unless the condition holds; of those that say the same, the first."""
        rules = tuple(rules)
        key = (expected, rules, order)
        if not holds and key not in self.against and len(self.against) < _SHOWN:
            self.against[key] = CounterExample(dict(facts), expected, str(found), rules, order)

    def proof(self) -> Proof:
        """What came out."""
        return Proof(self.name, self.title, self.states, self.runs, tuple(self.against.values()))
