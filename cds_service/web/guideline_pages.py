"""What each page of the guideline text shows: rows picked and put into words. Decides nothing clinical."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from cds_service.cards import wording
from cds_service.cards.sentences import BASIS, condition_in_words
from cds_service.clinical.imaging import rating
from cds_service.domain.terms import NOT_RATED, RATINGS
from cds_service.knowledge.model import (
    AdviceRow,
    Change,
    ConditionalRow,
    Edition,
    Knowledge,
    Op,
    PamaRow,
    Procedure,
    RatingRow,
    Row,
    Rule,
    SafetyRow,
    ScenarioRow,
    SelectionRow,
    Source,
    StagingRow,
    Test,
)
from cds_service.knowledge.site import shown

TABLE: Final = {
    "scenarios": "Scenarios",
    "procedures": "Studies",
    "selection": "Choice of the scenario",
    "ratings": "Reported ratings",
    "overlay": "SSTR-PET appropriate use (a separate rating)",
    "advice": "Advice (not a rating)",
    "safety": "Safety of a study",
    "suggestions": "Preference lists",
    "principles": "Principles",
    "grading": "Grading",
    "staging-pancreas": "Staging, pancreas",
    "staging-gut": "Staging, gut",
    "staging-notes": "Staging, warnings and principles",
    "followup": "Follow-up",
    "markers": "Markers and treatment eligibility",
    "context": "Context facts",
    "pama": "Ratings recorded on orders",
}
_ADVICE: Final = {
    "PRO-": "Protocol",
    "PIT-": "Pitfalls",
    "NXT-": "Next steps",
    "MOD-": "Choice of modality",
    "HER-": "Heredity",
    "RSP-": "Assessment of response",
}


@dataclass(frozen=True, slots=True)
class RowView:
    """One row for people.

    Attributes:
        conditional: whether the row depends on the patient or the order by a condition of its own.
        conditions: what must all hold; ``alternatives`` are lists of which one must hold.
        refers_to: rules it points to.
    """

    row: Row
    table: str
    details: tuple[tuple[str, str], ...]
    conditional: bool
    conditions: tuple[str, ...]
    alternatives: tuple[tuple[str, ...], ...]
    citations: tuple[tuple[Source, str], ...]
    basis: tuple[str, ...]
    refers_to: tuple[str, ...]
    in_force: bool


@dataclass(frozen=True, slots=True)
class Rated:
    """A study a source rates in the scenario."""

    procedure: Procedure
    rating: str
    radiation: str
    rows: tuple[RatingRow, ...]
    sources: str


@dataclass(frozen=True, slots=True)
class ScenarioView:
    """Everything about one scenario."""

    row: ScenarioRow
    candidates: tuple[ScenarioRow, ...]
    chosen_by: tuple[RowView, ...]
    rated: tuple[Rated, ...]
    preference: tuple[Procedure, ...]
    advice: Mapping[str, tuple[Row, ...]]
    overlay: tuple[Row, ...]
    followup: tuple[Row, ...]
    context: Mapping[str, tuple[Row, ...]]


def row_view(row: Row, knowledge: Knowledge, day: str) -> RowView:
    """A row with its conditions in words."""
    conditions, alternatives = condition_in_words(row, knowledge) if isinstance(row, ConditionalRow) else ((), ())
    cites = (cite.partition(":") for cite in row.cite)
    points_to = [*row.see, *([row.refers_to] if isinstance(row, AdviceRow) and row.refers_to else [])]
    return RowView(
        row=row,
        table=TABLE[knowledge.tables[row.id]],
        details=tuple(_details(row, knowledge)),
        conditional=isinstance(row, ConditionalRow) and not (isinstance(row, StagingRow) and row.axis == "stage"),
        conditions=conditions,
        alternatives=alternatives,
        citations=tuple((knowledge.sources[key], place.strip()) for key, _, place in cites),
        basis=tuple(BASIS[basis] for basis in row.basis),
        refers_to=tuple(points_to),
        in_force=row.in_force(day),
    )


def _details(row: Row, knowledge: Knowledge) -> Iterable[tuple[str, str]]:
    """What a row of a kind says besides its statement."""
    if isinstance(row, RatingRow | SelectionRow):
        yield "Scenario", knowledge.scenarios[row.scenario].label
    if isinstance(row, RatingRow):
        yield "Studies", "; ".join(knowledge.procedures[key].label for key in row.procedures)
        yield "Rating as reported", wording.RATING[row.rating]
        yield "Radiation level", row.radiation
    if isinstance(row, PamaRow) and row.code:
        yield "Recorded as", row.code
    if isinstance(row, SafetyRow):
        yield "Severity", row.severity
        yield "In use", "yes" if row.enabled else "no, switched off"
    if isinstance(row, StagingRow):
        yield "System", wording.SYSTEM[row.system]
        yield "Primary sites", ", ".join(wording.word(site) for site in row.sites)
        yield "Gives", f"stage {row.value}" if row.axis == "stage" else row.value
        for axis in ("t", "n", "m"):
            if getattr(row, axis):
                yield f"When {axis.upper()} is", " or ".join(getattr(row, axis))
    for key in row.uses:
        value = shown(knowledge.settings.values[key])
        kind = "Site setting" if key in knowledge.settings.changed else "Engineering default"
        yield kind, f"{knowledge.engineering_defaults[key].meaning} Here: {value}"
    if row.executed_by:
        yield "Carried out by", row.executed_by


def rule_views(rule: str, knowledge: Knowledge, day: str) -> tuple[RowView, ...]:
    """The rows of a rule, or the one row of that id; none when there is no such thing."""
    rows = [row for row in knowledge.rows.values() if rule in (row.rule_id, row.id)]
    return tuple(row_view(row, knowledge, day) for row in rows)


def cited_views(named: Iterable[str], knowledge: Knowledge, day: str) -> dict[str, tuple[RowView, ...]]:
    """What a card cites, by the id it gives: one row, or all rows of a rule. Unknown ids are left out."""
    found: dict[str, tuple[RowView, ...]] = {}
    for name in named:
        row = knowledge.rows.get(name)
        views = (row_view(row, knowledge, day),) if row else rule_views(name, knowledge, day)
        if views:
            found[name] = views
    return found


def changed_in(rule: str, knowledge: Knowledge) -> list[tuple[Edition, Change]]:
    """Published changes that name the rule or one of its rows, newest first."""
    ids = {rule, *(row.id for row in knowledge.rows.values() if row.rule_id == rule)}
    return [(edition, change) for edition in knowledge.editions for change in edition.change if ids & {*change.rows}]


def scenario_view(name: str, knowledge: Knowledge, day: str) -> ScenarioView:
    """A scenario with everything that can be said in it."""
    row = knowledge.scenarios[name]
    # of rows with the same statement the first is shown
    can_fire = {rule.row.statement: rule.row for rule in reversed(knowledge.advice) if _can_fire(rule, name, knowledge)}
    advice = list(reversed(can_fire.values()))
    facts = [fact for fact in knowledge.context if name in fact.scenarios]
    return ScenarioView(
        row=row,
        candidates=tuple(knowledge.scenarios[candidate] for candidate in row.candidates),
        chosen_by=tuple(
            row_view(rule.row, knowledge, day) for rule in knowledge.selection if rule.row.scenario == name
        ),
        rated=tuple(_rated(name, knowledge)),
        preference=tuple(knowledge.procedures[key] for key in _preference(name, knowledge)),
        advice={
            title: tuple(found)
            for prefix, title in _ADVICE.items()
            if (found := [row for row in advice if row.id.startswith(prefix)])
        },
        overlay=tuple(rule.row for rule in knowledge.overlay if _can_fire(rule, name, knowledge)),
        followup=tuple(rule.row for rule in knowledge.followup if _names_scenario(rule, name)),
        context={
            topic: tuple(fact for fact in facts if fact.topic == topic)
            for topic in dict.fromkeys(fact.topic for fact in facts)
        },
    )


def _preference(scenario: str, knowledge: Knowledge) -> list[str]:
    row = knowledge.preferences.get(scenario)
    return row.preference if row else []


def _rated(scenario: str, knowledge: Knowledge) -> Iterable[Rated]:
    """Rated studies, best first and in the order of the tables; candidates are rated where they agree (RAT-04)."""
    found: list[Rated] = []
    names = knowledge.scenarios[scenario].candidates or [scenario]
    for procedure in knowledge.procedures.values():
        category, _ = rating(scenario, procedure.key, knowledge)
        if category != NOT_RATED:
            rows = tuple(knowledge.ratings[name, procedure.key] for name in names)
            radiation = " / ".join(dict.fromkeys(row.radiation for row in rows))
            reported = "; ".join(dict.fromkeys(wording.reported_by(row, knowledge) for row in rows))
            found.append(Rated(procedure, category, radiation, rows, reported))
    ids = list(knowledge.rows)
    return sorted(found, key=lambda rated: (RATINGS.index(rated.rating), ids.index(rated.rows[0].id)))


def _can_fire(rule: Rule[Row], scenario: str, knowledge: Knowledge) -> bool:
    """Whether some conjunction of the rule leaves room for the scenario and the primaries that lead to it."""
    sites = _sites(scenario, knowledge)
    parts = rule.condition.any or ((),)
    return any(
        _allows((*rule.condition.when, *part), "scenario", {scenario})
        and (sites is None or _allows((*rule.condition.when, *part), "primary_site", sites))
        for part in parts
    )


def _names_scenario(rule: Rule[Row], scenario: str) -> bool:
    """Whether a row of the schedule is about this scenario by name."""
    tests = [test for test in rule.condition.when if test.name == "scenario"]
    return bool(tests) and _allows(rule.condition.when, "scenario", {scenario})


def _allows(tests: Iterable[Test], name: str, values: set[str]) -> bool:
    """Whether the tests of one name can be true for at least one of the values."""
    left = set(values)
    for test in tests:
        if test.name == name and test.op is Op.IN:
            left &= test.operand
        elif test.name == name and test.op is Op.NOT:
            left -= test.operand
    return bool(left)


def _sites(scenario: str, knowledge: Knowledge) -> set[str] | None:
    """Primary sites from which the scenario is chosen; None when the choice does not go by the site."""
    found: set[str] = set()
    for rule in knowledge.selection:
        if rule.row.scenario != scenario:
            continue
        for part in rule.condition.any or ((),):
            named = [t for t in (*rule.condition.when, *part) if t.name == "primary_site" and t.op is Op.IN]
            if not named:
                return None
            found.update(*(test.operand for test in named))
    return found or None


def by_table(rows: Iterable[Row], knowledge: Knowledge) -> dict[str, list[Row]]:
    """Rows under the titles of their tables, in the order of the titles."""
    found: dict[str, list[Row]] = {title: [] for title in TABLE.values()}
    for row in rows:
        found[TABLE[knowledge.tables[row.id]]].append(row)
    return {title: listed for title, listed in found.items() if listed}


def search(query: str, knowledge: Knowledge) -> list[Row]:
    """Rows of which id, statement or a cited source holds every word of the query."""
    words = query.casefold().split()
    if not words:
        return []
    found: list[Row] = []
    for row in knowledge.rows.values():
        cited = " ".join(source.label for source in knowledge.sources_of(row))
        text = f"{row.id} {row.rule_id} {row.statement} {cited}".casefold()
        if all(word in text for word in words):
            found.append(row)
    return found


@dataclass(frozen=True, slots=True)
class Cell:
    """What the sources say about one study in one scenario."""

    category: str
    rule: str
    radiation: str


@dataclass(frozen=True, slots=True)
class Matrix:
    """Scenarios across, studies down: those of which a source rates at least one pair, and the names of the others."""

    scenarios: tuple[ScenarioRow, ...]
    lines: tuple[tuple[Procedure, tuple[Cell, ...]], ...]
    unrated_scenarios: tuple[ScenarioRow, ...]
    unrated_studies: tuple[Procedure, ...]


def matrix(knowledge: Knowledge) -> Matrix:
    """Every reported rating; a line or column without any is named instead of being shown empty."""
    cells = {(name, key): _cell(name, key, knowledge) for name in knowledge.scenarios for key in knowledge.procedures}
    rated = {pair for pair, cell in cells.items() if cell.category != NOT_RATED}
    scenarios = {name for name, _ in rated}
    studies = {key for _, key in rated}
    shown = tuple(row for name, row in knowledge.scenarios.items() if name in scenarios)
    return Matrix(
        scenarios=shown,
        lines=tuple(
            (procedure, tuple(cells[row.scenario, key] for row in shown))
            for key, procedure in knowledge.procedures.items()
            if key in studies
        ),
        unrated_scenarios=tuple(row for name, row in knowledge.scenarios.items() if name not in scenarios),
        unrated_studies=tuple(procedure for key, procedure in knowledge.procedures.items() if key not in studies),
    )


def _cell(scenario: str, procedure: str, knowledge: Knowledge) -> Cell:
    category, row = rating(scenario, procedure, knowledge)
    names = knowledge.scenarios[scenario].candidates or [scenario]
    rated = [knowledge.ratings[name, procedure] for name in names if (name, procedure) in knowledge.ratings]
    return Cell(category, row.rule_id, " / ".join(dict.fromkeys(found.radiation for found in rated)))


def cited_by(knowledge: Knowledge) -> dict[str, list[str]]:
    """Rule ids by source, for the list of sources."""
    found: dict[str, dict[str, None]] = {key: {} for key in knowledge.sources}
    for row in knowledge.rows.values():
        for source in knowledge.sources_of(row):
            found[source.key][row.rule_id] = None
    return {key: list(rules) for key, rules in found.items()}
