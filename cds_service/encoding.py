"""The assessment object as it goes over the wire: without empty members, and what many answers share encoded once."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import msgspec

from cds_service.domain.findings import Assessment, PatientFacts, WhatIf
from cds_service.domain.same import Same
from cds_service.interchange import (
    LongMembers,
    assessment_object,
    evidence_object,
    knowledge_object,
    known,
    object_of,
    plain,
    rule_object,
    would_change_object,
)
from cds_service.knowledge.model import Knowledge

_EMPTY: Final[tuple[Any, ...]] = (None, "", [], {})
_RULES: Final = 4096
"""Rules with the rows that applied that are held in memory; there are some 300, with few rows each."""
_LISTS: Final = 512
"""Lists of what would change that are held in memory."""
_KNOWLEDGES: Final = 32
_encode: Final = msgspec.json.Encoder().encode


def written_assessment(
    assessment: Assessment, chart: PatientFacts, knowledge: Knowledge, what_if: WhatIf
) -> dict[str, Any]:
    """The assessment object for the encoder, without null, empty strings, lists and objects (CH-005)."""
    ids = [order.order.id for order in assessment.orders]
    written: dict[str, Any]
    if not all(ids):  # changes of an order without an id name none, which no place holder can say
        written = without_empty(assessment_object(assessment, chart, knowledge, what_if))
        return written
    same = Same(knowledge)
    long = LongMembers(
        _would_change(Same(what_if), ids) if what_if.entries else None,
        list(what_if.unexamined),
        _facts(assessment, chart),
        [_rule(rule, assessment.applied.get(rule, ()), same) for rule in assessment.rules],
        _knowledge(same),
    )
    written = without_empty(object_of(assessment, chart, long))
    return written


def without_empty(value: Any) -> Any:
    """The same JSON without null, empty strings, lists and objects, at any level (CH-005)."""
    kind = type(value)
    if kind is dict:
        pruned = {name: without_empty(item) for name, item in value.items()}
        return {name: item for name, item in pruned.items() if item or item not in _EMPTY}
    if kind is list:
        return [item for item in map(without_empty, value) if item or item not in _EMPTY]
    return value


def _raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(_encode(without_empty(value)))


def _facts(assessment: Assessment, chart: PatientFacts) -> msgspec.Raw:
    """The facts of the patient; neither a value nor evidence has anything empty within."""
    found: dict[str, dict[str, Any]] = {}
    for name, value in known(assessment.facts):
        shown, evidence = plain(value), chart.evidence.get(name)
        fact = found[name] = {"value": shown} if shown or shown not in _EMPTY else {}
        if evidence:
            fact["evidence"] = [evidence_object(item) for item in evidence]
        if not fact:
            del found[name]
    return msgspec.Raw(_encode(found))


@lru_cache(maxsize=_RULES)
def _rule(rule: str, applied: tuple[str, ...], same: Same[Knowledge]) -> msgspec.Raw:
    return _raw(rule_object(rule, applied, same.value))


@lru_cache(maxsize=_KNOWLEDGES)
def _knowledge(same: Same[Knowledge]) -> msgspec.Raw:
    return _raw(knowledge_object(same.value))


def _would_change(same: Same[WhatIf], ids: list[str]) -> msgspec.Raw:
    """What would change, the same for all patients of a kind but for the ids of their orders."""
    written = _would_change_of_numbers(same)
    for number, identifier in enumerate(ids, start=1):
        written = written.replace(_encode(_place_of(str(number))), _encode(identifier))
    return msgspec.Raw(written)


@lru_cache(maxsize=_LISTS)
def _would_change_of_numbers(same: Same[WhatIf]) -> bytes:
    return _encode([without_empty(would_change_object(entry, _place_of)) for entry in same.value.entries])


def _place_of(number: str) -> str:
    """What stands where the id of an order belongs: no text of ours has a null character."""
    return f"\0{number}" if number else ""
