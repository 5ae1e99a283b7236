"""Frozen values with some of their members changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")


def altered(value: T, changes: Mapping[str, object]) -> T:
    """The same value but for the members given.

    Dozens are made per call, so the members are copied together and not, as ``dataclasses.replace`` does, one by one;
    the class must have no slots.
    """
    made = object.__new__(type(value))
    vars(made).update(vars(value))
    vars(made).update(changes)
    return made
