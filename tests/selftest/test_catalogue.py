"""The checks as a whole: what they rest on, that each is tried by a fault, and that the page tells them all."""

from __future__ import annotations

from cds_service.selftest.catalogue import CHECKS, requirements
from cds_service.selftest.check import Level
from docs.selftest import PAGE, TOPICS, page
from tests.conformance.table import requirements as table
from tests.selftest.test_faults import FAULTS

RELEASED = {"2.0", "2.0.1"}
NEVER_PLANTED = {
    "security-https": "tests serve this machine only; test_hostile looks at it without a network",
    "feedback-without-reason": "it is the plain report; without it there is no feedback to speak of",
    "feedback-repeated": "it is the plain report again",
}
"""Checks without a fault of their own among the planted ones, and why."""


def test_ids_are_unique_and_begin_with_their_topic() -> None:
    """A check has one name, in a topic that the page has a heading for."""
    ids = [check.id for check in CHECKS]
    assert len(set(ids)) == len(ids)
    assert {check.topic for check in CHECKS} == set(TOPICS)


def test_requirements_are_those_of_the_table_of_conformance() -> None:
    """Number, level and source are the same in both; every one is used and every used one is there."""
    known = {row.number: (row.level, row.source) for row in table()}
    assert {n: (one.level, one.source) for n, one in requirements().items()} == {n: known[n] for n in requirements()}
    assert {n for check in CHECKS for n in check.requirements} == set(requirements())


def test_only_a_released_text_can_fail_a_service() -> None:
    """A check that binds rests on a requirement of CDS Hooks itself, not on a draft, a guide or our own habits."""
    for check in CHECKS:
        if check.level is Level.SHALL:
            assert {requirements()[n].source for n in check.requirements} & RELEASED, check.id


def test_every_check_finds_a_planted_fault() -> None:
    """No check is there that nothing could ever fail."""
    found = {name for fault in FAULTS for name in fault.checks}
    assert {check.id for check in CHECKS} - found == set(NEVER_PLANTED)


def test_sentences_are_sentences() -> None:
    """What a check says is one line that ends."""
    for text in (*(check.says for check in CHECKS), *(one.text for one in requirements().values())):
        assert text == " ".join(text.split())
        assert text.endswith(".")
        assert "|" not in text


def test_the_page_is_what_the_checks_say() -> None:
    """docs/selftest.md is what docs/selftest.py would write now."""
    assert PAGE.read_text(encoding="utf-8") == page()
