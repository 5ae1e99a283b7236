"""Words for what an unknown fact would change: its values as a range or list, and each change in a few words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from cds_service.cards import wording
from cds_service.cards.markdown import escape
from cds_service.domain.findings import Change
from cds_service.domain.terms import NOT_RATED
from cds_service.knowledge.model import FollowupRow, Knowledge, SafetyRow
from cds_service.knowledge.ranges import Range

_MOST_WORDS: Final = 4
_STATUS: Final = {"due": "due", "overdue": "overdue", "too-early": "not yet due", "not-evaluated": "not to be timed"}


def values(fact: str, given: Sequence[Any]) -> str:
    """``above 20 %``, ``liver or bone``, ``yes``; long lists are cut."""
    if given and isinstance(given[0], Range):
        return " or ".join(_range(fact, limits) for limits in _joined(given))
    singles = {value[0] for value in given if isinstance(value, tuple) and len(value) == 1}
    told = [_value(fact, value) for value in given if not _says_more(value, singles)]
    rest = len(told) - _MOST_WORDS
    if rest > 1:
        return f"{', '.join(told[:_MOST_WORDS])} or {rest} others"
    return " or ".join(filter(None, (", ".join(told[:-1]), told[-1])))


def _says_more(value: object, singles: set[str]) -> bool:
    """A list of several words one of which is there alone."""
    return isinstance(value, tuple) and len(value) > 1 and not singles.isdisjoint(value)


def _value(fact: str, value: Any) -> str:
    if isinstance(value, tuple):
        return " and ".join(escape(word.replace("-", " ")) for word in value) or "none"
    return wording.fact_value(fact, value)


def _joined(ranges: Iterable[Range]) -> list[Range]:
    """Ranges that touch as one."""
    found: list[Range] = []
    for limits in sorted(ranges, key=_low):
        last = found[-1] if found else None
        if last is not None and (limits.above, limits.at_least) in ((last.at_most, None), (None, last.below)):
            found[-1] = Range(above=last.above, at_least=last.at_least, below=limits.below, at_most=limits.at_most)
        else:
            found.append(limits)
    return found


def _low(limits: Range) -> float:
    bounds = [bound for bound in (limits.above, limits.at_least) if bound is not None]
    return bounds[0] if bounds else float("-inf")


def _range(fact: str, limits: Range) -> str:
    if limits.at_least is not None and limits.at_least == limits.at_most:
        return f"exactly {wording.fact_value(fact, float(limits.at_least))}"
    if limits.at_least is not None and limits.at_most is not None:
        return f"{limits.at_least:g} to {wording.fact_value(fact, float(limits.at_most))}"
    if limits == Range(at_least=0):
        return "any"
    named = (
        ("above", limits.above),
        ("from", limits.at_least),
        ("below", limits.below),
        ("up to", limits.at_most),
    )
    return " and ".join(
        f"{word} {wording.fact_value(fact, float(bound))}" for word, bound in named if bound is not None
    )


def changes(given: Sequence[Change], knowledge: Knowledge) -> list[str]:
    """Each change in a few words; of two editions of a grade the newer one speaks for both."""
    newer = any((each.what, each.about) == ("grade", "who2019") for each in given)
    told = [
        change(each, knowledge) for each in given if not (newer and (each.what, each.about) == ("grade", "who2010"))
    ]
    return list(dict.fromkeys(told))


def change(given: Change, knowledge: Knowledge) -> str:
    """One change in a few words."""
    return _WORDS[given.what](given, knowledge)


def _scenario(given: Change, knowledge: Knowledge) -> str:
    return f"scenario: {knowledge.scenarios[given.after or ''].label}"


def _grade(given: Change, _: Knowledge) -> str:
    if given.after is None:
        return "no grade"
    return given.after.replace("-", " ") + (" (WHO 2010)" if given.about == "who2010" else "")


def _stage(given: Change, _: Knowledge) -> str:
    if given.after is None:
        return "stage undetermined"
    return given.after if given.after.startswith("T") else f"stage {given.after}"


def _rating(given: Change, _: Knowledge) -> str:
    return f"rating: {wording.RATING[given.after or NOT_RATED]}"


def _suggestion(given: Change, knowledge: Knowledge) -> str:
    return f"suggestion: {knowledge.procedures[given.after].short}" if given.after else "no suggestion"


def _safety(given: Change, knowledge: Knowledge) -> str:
    about = f" (suggested {knowledge.procedures[given.about].short})" if given.about else ""
    return ("" if given.after else "no longer: ") + safety_rule(given.after or given.before or "", knowledge, about)


def safety_rule(rule: str, knowledge: Knowledge, about: str = "") -> str:
    """``severe reaction to gadolinium contrast on record (SAF-03, critical)``."""
    row = knowledge.rows[rule]
    headline = row.headline if isinstance(row, SafetyRow) else row.statement
    severity = f", {row.severity}" if isinstance(row, SafetyRow) else ""
    return f"{headline}{about} ({rule}{severity})"


def _followup(given: Change, knowledge: Knowledge) -> str:
    if given.about != "interval":
        name = "SSTR imaging" if given.about == "sstr-status" else "follow-up imaging"
        return f"{name} {_STATUS[given.after or 'not-evaluated']}"
    row = knowledge.rows.get(given.after or "")
    if not isinstance(row, FollowupRow):
        return "no schedule"
    if row.interval is None:
        return f"no interval stated ({row.rule_id})"
    low, high = row.interval
    return f"imaging every {low:g}{'' if low == high else f' to {high:g}'} months ({row.rule_id})"


def _auc(given: Change, _: Knowledge) -> str:
    return f"SSTR PET (separate rating): {(given.after or NOT_RATED).replace('-', ' ')}"


_WORDS: Final = {
    "scenario": _scenario,
    "grade": _grade,
    "stage": _stage,
    "rating": _rating,
    "suggestion": _suggestion,
    "safety": _safety,
    "followup": _followup,
    "auc": _auc,
}
