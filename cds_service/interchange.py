"""Plain facts in, the assessment object out: the one JSON shape used by the command line, the response and the log.

The shape is published as ``cds_service/protocol/schemas/assessment.schema.json``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from cds_service.domain.facts import FACTS, Facts, FactSpec, Kind, TumourGrowth
from cds_service.domain.findings import (
    Assessment,
    Change,
    Conflict,
    Evidence,
    Order,
    OrderAssessment,
    PamaRating,
    PatientFacts,
    Stage,
    WhatIf,
    WouldChange,
)
from cds_service.errors import FactsError
from cds_service.knowledge.model import Knowledge
from cds_service.knowledge.ranges import Range

UNKNOWN = "unknown"


def read_facts(given: Mapping[str, Any]) -> Facts:
    """Facts from a JSON object with the names and words of the vocabulary; ``null`` and absent are unknown.

    Raises:
        FactsError: an unknown name, or a value that does not fit; all problems at once.
    """
    problems: list[str] = []
    values: dict[str, Any] = {}
    for name, value in given.items():
        spec = FACTS.get(name)
        if spec is None:
            problems.append(f"{name}: no such fact")
            continue
        if value is None or (value == UNKNOWN and UNKNOWN not in spec.words):
            continue
        try:
            values[name] = _read(spec, value)
        except ValueError as error:
            problems.append(f"{name}: {error}")
    if problems:
        raise FactsError("; ".join(problems))
    return Facts(**values)


def _read(spec: FactSpec, value: Any) -> Any:
    if spec.kind is Kind.FLAG:
        if not isinstance(value, bool):
            raise ValueError("expected true or false")
        return value
    if spec.kind is Kind.NUMBER:
        return _read_number(value, spec.unit)
    if spec.kind is Kind.WORD:
        return _read_word(spec, value)
    if spec.kind is Kind.WORDS:
        if not isinstance(value, list):
            raise ValueError("expected a list of words")
        return tuple(dict.fromkeys(_read_word(spec, word) for word in value))
    return _read_growth(value)


def _read_number(value: Any, unit: str) -> float:
    """A finite number."""
    if not isinstance(value, bool) and isinstance(value, int | float):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
    raise ValueError(f"expected a number in {unit}")


def _read_word(spec: FactSpec, value: Any) -> str:
    if not isinstance(value, str) or not value or (spec.words and value not in spec.words):
        raise ValueError(f"expected one of {', '.join(spec.words) or 'the words in use'}")
    return value


def _read_growth(value: Any) -> TumourGrowth:
    if not isinstance(value, dict) or set(value) != {"d1_mm", "d2_mm", "months"}:
        raise ValueError("expected an object with the numbers d1_mm, d2_mm and months")
    return TumourGrowth(
        _read_number(value["d1_mm"], "mm"), _read_number(value["d2_mm"], "mm"), _read_number(value["months"], "mo")
    )


def read_orders(given: Any, facts: Facts, knowledge: Knowledge) -> tuple[Order, ...]:
    """Orders from a list of procedure keys.

    Raises:
        FactsError: not a list, or a key that does not exist.
    """
    if not isinstance(given, list):
        raise FactsError("orders: expected a list of procedure keys")
    unknown = [str(key) for key in given if not isinstance(key, str) or key not in knowledge.procedures]
    if unknown:
        raise FactsError(f"orders: no such procedure key: {', '.join(unknown)}")
    return tuple(
        Order(str(number), key, facts.order_intent, facts.days_since_same_procedure)
        for number, key in enumerate(given, start=1)
    )


class LongMembers(NamedTuple):
    """The members of the assessment object that make up most of it."""

    would_change: Any
    unexamined: Any
    facts: Any
    rules: Any
    knowledge: Any


def assessment_object(
    assessment: Assessment, chart: PatientFacts, knowledge: Knowledge, what_if: WhatIf
) -> dict[str, Any]:
    """The assessment as JSON. Absent knowledge is ``null`` or an empty list here; nothing is guessed."""
    long = LongMembers(
        [would_change_object(entry, assessment.order_id) for entry in what_if.entries],
        list(what_if.unexamined),
        {
            name: {"value": plain(value)} | _evidence(chart.evidence.get(name, ()))
            for name, value in known(assessment.facts)
        },
        [rule_object(rule, assessment.applied.get(rule, ()), knowledge) for rule in assessment.rules],
        knowledge_object(knowledge),
    )
    return object_of(assessment, chart, long)


def object_of(assessment: Assessment, chart: PatientFacts, long: LongMembers) -> dict[str, Any]:
    """The assessment object, put together."""
    return {
        "scenario": assessment.scenario,
        "scenario_rule": assessment.scenario_rule,
        "limited_applicability": assessment.limited_applicability,
        "grade": {
            "who2010": assessment.grade.who2010,
            "who2019": assessment.grade.who2019,
            "provisional": assessment.grade.provisional,
            "stated": assessment.grade.stated,
        },
        "tnm": {system: _stage(stage) for system, stage in assessment.tnm.items()},
        "tnm_primary_system": assessment.tnm_primary_system,
        "orders": [_order(order) for order in assessment.orders],
        "auc": assessment.auc,
        "warnings": list(assessment.warnings),
        "advice": list(assessment.advice),
        "missing": list(assessment.missing),
        "followup": {
            "status": assessment.followup.status,
            "rule": assessment.followup.rule,
            "interval_months": _interval(assessment.followup.interval_months),
            "elapsed_months": _rounded(assessment.followup.elapsed_months),
            "window_months": _interval(assessment.followup.window_months),
            "sstr_status": assessment.followup.sstr_status,
            "sstr_interval_months": _interval(assessment.followup.sstr_interval_months),
            "sstr_window_months": _interval(assessment.followup.sstr_window_months),
        },
        "markers": dict(assessment.markers),
        "eligibility": dict(assessment.eligibility),
        "would_change": long.would_change,
        "would_change_unexamined": long.unexamined,
        "conflicts": [_conflict(conflict) for conflict in assessment.conflicts],
        "unusable": [
            {"source": skipped.source, "reason": skipped.reason} | ({"fact": skipped.fact} if skipped.fact else {})
            for skipped in chart.skipped
        ],
        "unavailable": list(chart.unavailable),
        "unavailable_reasons": {key: str(chart.lacks[key]) for key in chart.unavailable if key in chart.lacks},
        "facts": long.facts,
        "rules": long.rules,
        "knowledge": long.knowledge,
    }


def known(facts: Facts) -> Iterator[tuple[str, Any]]:
    """The facts that are known, in the order of the record."""
    return ((name, value) for name, value in vars(facts).items() if value is not None)


def knowledge_object(knowledge: Knowledge) -> dict[str, Any]:
    """Which rows the assessment was made with, as JSON."""
    return {"version": knowledge.version, "hash": knowledge.hash} | _site(knowledge)


def _site(knowledge: Knowledge) -> dict[str, Any]:
    """What the site decided; nothing without a site file."""
    site = knowledge.site
    if not site.hash:
        return {}
    changed = {key: plain(knowledge.settings.values[key]) for key in sorted(knowledge.settings.changed)}
    return {"site": {"name": site.name, "hash": site.hash, "followup": site.followup.profile, "settings": changed}}


def plain(value: object) -> Any:
    """A fact's value as JSON: whole numbers without a decimal point, lists as lists."""
    if isinstance(value, float):
        rounded = round(value, 4)
        return int(rounded) if rounded.is_integer() else rounded
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, TumourGrowth):
        return {"d1_mm": plain(value.d1_mm), "d2_mm": plain(value.d2_mm), "months": plain(value.months)}
    return value


def _rounded(value: float | None) -> Any:
    return None if value is None else plain(round(value, 2))


def _interval(value: tuple[float, float] | None) -> list[Any] | None:
    return None if value is None else [plain(bound) for bound in value]


def _stage(stage: Stage) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "T": stage.t,
        "N": stage.n,
        "M": stage.m,
        "stage": stage.stage,
        "stage_if_M0": stage.stage_if_m0,
    }
    if stage.t_as_recorded:
        shown["T_as_recorded"] = True
    if stage.provisional:
        shown["provisional"] = True
    return shown


def _order(order: OrderAssessment) -> dict[str, Any]:
    return {
        "id": order.order.id,
        "procedure": order.order.procedure,
        "scenario": order.scenario,
        "rating": order.rating,
        "rating_rule": order.rating_rule,
        "suggestion": order.suggestion,
        "blocked_by": list(order.blocked_by),
        "warnings": list(order.warnings),
        "advice": list(order.advice),
        "pama": _pama(order.pama),
    }


def _pama(pama: PamaRating | None) -> dict[str, Any] | None:
    if pama is None:
        return None
    question = {"question": pama.question} if pama.question else {}
    return {"rating": pama.code, "rule": pama.rule, "lacking": list(pama.lacking)} | question


def _evidence(evidence: tuple[Evidence, ...]) -> dict[str, Any]:
    if not evidence:
        return {}
    return {"evidence": [evidence_object(item) for item in evidence]}


def evidence_object(item: Evidence) -> dict[str, Any]:
    """Evidence as JSON, without empty members."""
    shown = {"source": item.source, "date": item.date, "how": item.how, "label": item.label}
    return {name: value for name, value in shown.items() if value}


def _conflict(conflict: Conflict) -> dict[str, Any]:
    return {
        "fact": conflict.fact,
        **({"other_fact": conflict.other_fact} if conflict.other_fact else {}),
        "value": plain(conflict.value),
        "other_value": plain(conflict.other_value),
        "chosen": [evidence_object(item) for item in conflict.chosen],
        "other": evidence_object(conflict.other),
        "changes": list(conflict.changes),
    }


def rule_object(rule: str, applied: Iterable[str], knowledge: Knowledge) -> dict[str, Any]:
    """A rule that fired, the rows of it that applied when they have ids of their own, and what they cite."""
    rows = [knowledge.rows[row] for row in applied]
    if not rows:
        only = knowledge.rows.get(rule) or knowledge.rule_rows.get(rule)
        rows = [only] if only else []
    cited = list(dict.fromkeys(cite for row in rows for cite in row.cite))
    own = [row.id for row in rows if row.id != rule]
    return {"id": rule} | ({"rows": own} if own else {}) | {"cite": cited}


def would_change_object(entry: WouldChange, order_id: Callable[[str], str]) -> dict[str, Any]:
    """What a fact would change, as JSON; orders, which changes number, under their ids."""
    return {
        "fact": entry.fact,
        "values": [_limits(value) if isinstance(value, Range) else plain(value) for value in entry.values],
        "example": plain(entry.example),
        "level": entry.level,
        "changes": [_change(change, order_id) for change in entry.changes],
    }


def _limits(limits: Range) -> dict[str, Any]:
    named = ((name, getattr(limits, name)) for name in ("above", "at_least", "below", "at_most"))
    return {name: plain(limit) for name, limit in named if limit is not None}


def _change(change: Change, order_id: Callable[[str], str]) -> dict[str, Any]:
    shown = {"what": change.what, "order": order_id(change.order), "about": change.about}
    return {name: value for name, value in shown.items() if value} | {"from": change.before, "to": change.after}
