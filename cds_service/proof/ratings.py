"""No two ratings of a study in a scenario conflict, on any day (RAT rules).

A day is one on which some rating begins or ends, or the day before it: between those days nothing changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from functools import partial

from cds_service.clinical.imaging import rating
from cds_service.domain.terms import NOT_RATED, RATINGS
from cds_service.errors import KnowledgeError
from cds_service.knowledge.model import Knowledge, RatingRow
from cds_service.proof.explore import Failed, attempt
from cds_service.proof.findings import Proof, Trial


def ratings(knowledge: Knowledge) -> Proof:
    """Every study has one category at most in every scenario on every day, and the answer is the row in force."""
    trial = Trial("ratings", "no rating conflicts, on any day")
    reached: set[str] = set()
    for day in days(knowledge):
        reached |= _on(trial, day, knowledge)
    for row in knowledge.rating_rows:
        trial.expect(row.id in reached, {}, "a day and a study that the row rates", "none: the row is dead", [row.id])
    return trial.proof()


def days(knowledge: Knowledge) -> Iterator[date]:
    """The days on which another set of ratings may be in force than on the day before, and those before them."""
    ends = {row.valid_from for row in knowledge.rating_rows} | {row.valid_until for row in knowledge.rating_rows}
    for end in sorted(ends - {""}):
        day = date.fromisoformat(end)
        yield from (day - timedelta(days=1), day)


def _on(trial: Trial, day: date, knowledge: Knowledge) -> set[str]:
    """Try every scenario and study on one day; the rows that gave a rating."""
    try:
        that_day = knowledge.on(day)
    except KnowledgeError:
        return set()  # before the first edition nothing is answered at all
    reached: set[str] = set()
    for scenario in that_day.scenarios:
        for study in (None, *that_day.procedures):
            trial.covered()
            found = attempt(partial(rating, scenario, study, that_day, _named_agent(that_day)))
            facts = {"day": day.isoformat(), "scenario": scenario}
            if isinstance(found, Failed):
                trial.expect(False, facts, "a category or not-rated", found.reason, order=study)
                continue
            category, row = found
            reached.add(row.id)
            trial.expect(category in RATINGS, facts, f"one of {', '.join(RATINGS)}", category, [row.id], study)
            candidates = that_day.scenarios[scenario].candidates
            if candidates:
                _agreed(trial, facts, study, category, candidates, that_day)
            else:
                _in_force(trial, facts, study, category, _rows(scenario, study, day, knowledge))
    return reached


def _named_agent(knowledge: Knowledge) -> str | None:
    """A ligand that the sources name: without class equivalence no other one is rated (RAT-07)."""
    return next(iter(knowledge.principles["RAT-07"].agents), None)


def _rows(scenario: str, study: str | None, day: date, knowledge: Knowledge) -> list[RatingRow]:
    """The rating rows in force for the study on the day."""
    return [
        row
        for row in knowledge.rating_rows
        if row.scenario == scenario and study in row.procedures and row.in_force(day.isoformat())
    ]


def _in_force(trial: Trial, facts: dict[str, str], study: str | None, found: str, rows: list[RatingRow]) -> None:
    names = [row.id for row in rows]
    categories = ", ".join(row.rating for row in rows)
    trial.expect(len(rows) <= 1, facts, "one rating row in force at most", f"{len(rows)}: {categories}", names, study)
    expected = rows[0].rating if rows else NOT_RATED
    trial.expect(found == expected or len(rows) > 1, facts, expected, found, names or ["RAT-02"], study)


def _agreed(
    trial: Trial, facts: dict[str, str], study: str | None, found: str, candidates: list[str], knowledge: Knowledge
) -> None:
    """RAT-04: the category that all candidate scenarios give, else none."""
    given = {rating(name, study, knowledge, _named_agent(knowledge))[0] for name in candidates}
    expected = given.pop() if len(given) == 1 else NOT_RATED
    trial.expect(found == expected, facts, f"{expected}, as {' and '.join(candidates)} say", found, ["RAT-04"], study)
