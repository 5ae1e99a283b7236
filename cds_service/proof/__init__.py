"""Proof of the tables: the rules hold together over every state that rows can tell apart.

What is proven, and what is not, is written in ``docs/proof.md``. The proof calls the functions of
:mod:`cds_service.clinical` with the knowledge given, never a copy of them, and reads the states off the rows
themselves, so a new row is covered without a change here.
"""

from __future__ import annotations

from collections.abc import Iterator

from cds_service.knowledge.model import Knowledge
from cds_service.proof.findings import CounterExample, Proof
from cds_service.proof.grading import grading
from cds_service.proof.ratings import ratings
from cds_service.proof.safety import safety
from cds_service.proof.selection import selection
from cds_service.proof.staging import staging
from cds_service.proof.suggestions import suggestions

__all__ = ["CounterExample", "Proof", "prove", "proving"]


def proving(knowledge: Knowledge) -> Iterator[Proof]:
    """Every property in turn, each as soon as it was tried."""
    yield selection(knowledge)
    yield ratings(knowledge)
    yield staging(knowledge)
    yield suggestions(knowledge)
    yield from safety(knowledge)
    yield grading(knowledge)


def prove(knowledge: Knowledge) -> tuple[Proof, ...]:
    """Every property of the knowledge given; ratings on every day, the others for the rows it holds."""
    return tuple(proving(knowledge))
