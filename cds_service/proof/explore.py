"""Runs a function over every state of some axes, asking for a fact only when the function does.

The function gets a situation in which nothing is decided yet. When it reads a fact, the run is given up and repeated
once for each value of that fact. A run that comes to an end therefore stands for every state that agrees with it on the
facts it read: whatever the other facts are, the answer is the same. That is how millions of states are covered by some
thousand runs, and it shows at the same time which facts do not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any, Generic, TypeVar

from cds_service.proof.axes import Axes

T = TypeVar("T")


class _Asked(Exception):
    """The function read a fact that is not decided yet."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class _Undecided(Mapping[str, Any]):
    """A situation that knows some facts and tells which other one was read."""

    def __init__(self, decided: Mapping[str, Any]) -> None:
        self.decided = decided

    def __getitem__(self, name: str) -> Any:
        if name not in self.decided:
            raise _Asked(name)
        return self.decided[name]

    def __iter__(self) -> Iterator[str]:
        raise TypeError("a function that is explored reads facts by name")

    def __len__(self) -> int:
        raise TypeError("a function that is explored reads facts by name")


@dataclass(frozen=True, slots=True)
class Run(Generic[T]):
    """One run that came to an end.

    Attributes:
        facts: the facts the function read, with their values.
        states: how many states of the axes agree with them.
    """

    facts: Mapping[str, Any]
    outcome: T
    states: int


FAULTS = (ArithmeticError, AssertionError, AttributeError, LookupError, StopIteration, TypeError, ValueError)
"""What a function may stumble over when a table has a hole; caught here, and a counter-example."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The function ended without an answer."""

    reason: str


def attempt(function: Callable[[], T]) -> T | Failed:
    """The answer of a function, or why it has none."""
    try:
        return function()
    except FAULTS as fault:
        return Failed(f"{type(fault).__name__}: {fault}")


def explore(function: Callable[[Mapping[str, Any]], T], axes: Axes) -> Iterator[Run[T | Failed]]:
    """Every run of the function that differs in a fact it reads; together they cover all states of the axes."""
    pending: list[dict[str, Any]] = [{}]
    while pending:
        facts = pending.pop()
        try:
            outcome = attempt(lambda given=facts: function(_Undecided(given)))  # type: ignore[misc]
        except _Asked as asked:
            pending += [{**facts, asked.name: value} for value in axes[asked.name]]
            continue
        yield Run(facts, outcome, prod(len(values) for name, values in axes.items() if name not in facts))


def grid(axes: Axes) -> Iterator[dict[str, Any]]:
    """Every state of the axes, one by one."""
    for chosen in product(*axes.values()):
        yield dict(zip(axes, chosen, strict=True))


def size(axes: Axes) -> int:
    """How many states the axes have."""
    return prod(len(values) for values in axes.values())
