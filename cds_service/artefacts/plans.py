"""The guideline as PlanDefinitions: one per scenario, one that chooses the scenario, and the studies they lead to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from cds_service.artefacts.expressions import LANGUAGE, Expressions, known_false, known_true
from cds_service.artefacts.naming import Stamp, canonical, header
from cds_service.clinical.conditions import satisfies
from cds_service.clinical.imaging import rating
from cds_service.domain.terms import CRITICAL, USUALLY_NOT_APPROPRIATE
from cds_service.knowledge.model import Condition, Knowledge, RatingRow, Row, Rule, SafetyRow, ScenarioRow, Test
from fhir_profiles.drafts import study_code
from fhir_profiles.terminology import LOCAL_SYSTEM, Terminology

CHOICE: Final = "imaging-scenario-choice"
"""The plan that chooses the scenario."""
RATING_EXTENSION: Final = canonical("StructureDefinition", "appropriateness-rating")
RADIATION_EXTENSION: Final = canonical("StructureDefinition", "relative-radiation-level")
SUGGESTED_PROFILE: Final = canonical("StructureDefinition", "suggested-order")
LIBRARY: Final = "imaging-knowledge"
_PLAN_TYPES: Final = "http://terminology.hl7.org/CodeSystem/plan-definition-type"
_HOOKS: Final = ("order-select", "order-sign")
_NOT_RECOMMENDED: Final = "not-recommended"


def plans(knowledge: Knowledge, marked: Stamp) -> Iterator[dict[str, Any]]:
    """The plan that chooses the scenario, and one plan per scenario."""
    expressions = Expressions(knowledge)
    yield _choosing(knowledge, expressions, marked)
    for row in knowledge.scenarios.values():
        yield _plan(row, knowledge, expressions, marked)


def activities(knowledge: Knowledge, terminology: Terminology, marked: Stamp) -> Iterator[dict[str, Any]]:
    """One ActivityDefinition per study."""
    for key, procedure in knowledge.procedures.items():
        code = study_code(key, procedure.label, terminology)
        about = f"An order for: {procedure.label}. Whether it is the right study is said by the PlanDefinition."
        yield header("ActivityDefinition", key, procedure.label, about, marked) | {
            "kind": "ServiceRequest",
            "profile": SUGGESTED_PROFILE,
            "code": code,
            "intent": "proposal",
        }


def _choosing(knowledge: Knowledge, expressions: Expressions, marked: Stamp) -> dict[str, Any]:
    """The decision list as actions of which the first with a true condition counts."""
    return (
        header(
            "PlanDefinition",
            CHOICE,
            "Choice of the imaging scenario",
            "A decision list: the first action whose condition is true names the scenario. What is unknown does not "
            "count as true.",
            marked,
        )
        | _common(knowledge, (rule.row for rule in knowledge.selection))
        | {
            "action": [
                {
                    "title": "Choose the scenario",
                    "trigger": _triggers(),
                    "groupingBehavior": "logical-group",
                    "selectionBehavior": "at-most-one",
                    "action": [_choice(rule, expressions) for rule in knowledge.selection],
                }
            ]
        }
    )


def _choice(rule: Rule[Any], expressions: Expressions) -> dict[str, Any]:
    row = rule.row
    return {
        "prefix": row.id,
        "title": row.scenario,
        "description": row.statement,
        "condition": [_condition(row.id, row.statement, known_true(expressions.condition(rule.condition)))],
        "definitionCanonical": canonical("PlanDefinition", row.scenario),
    }


def _plan(row: ScenarioRow, knowledge: Knowledge, expressions: Expressions, marked: Stamp) -> dict[str, Any]:
    studies = _studies(row.scenario, knowledge)
    members = header("PlanDefinition", row.scenario, row.label[:1].upper() + row.label[1:], row.statement, marked)
    if row.excludes:
        members["usage"] = f"Not for: {row.excludes}"
    applies = _first_true(row.scenario, knowledge, expressions)
    chosen = {
        "title": row.label,
        "description": row.statement,
        "trigger": _triggers(),
        "condition": [_condition(f"is-{row.scenario}", row.statement, applies)],
        "groupingBehavior": "logical-group",
        "selectionBehavior": "any",
        "action": [_study(rated, key, knowledge, expressions) for key, rated in studies.items()],
    }
    cited: Iterable[Row] = (row, *studies.values())
    return members | _common(knowledge, cited) | {"action": [{k: v for k, v in chosen.items() if v}]}


def _common(knowledge: Knowledge, rows: Iterable[Row]) -> dict[str, Any]:
    """Type, library and the sources behind the rows, each once."""
    sources = {source.key: source for row in rows for source in knowledge.sources_of(row)}
    return {
        "type": {"coding": [{"system": _PLAN_TYPES, "code": "eca-rule"}]},
        "library": [canonical("Library", LIBRARY)],
        "relatedArtifact": [
            {"type": "citation", "label": source.key, "display": source.label, "citation": source.citation}
            | ({"url": source.url} if source.url else {})
            for source in sources.values()
        ],
    }


def _triggers() -> list[dict[str, str]]:
    return [{"type": "named-event", "name": hook} for hook in _HOOKS]


def _condition(name: str, description: str, expression: str) -> dict[str, Any]:
    return {
        "kind": "applicability",
        "expression": {"description": description, "name": name, "language": LANGUAGE, "expression": expression},
    }


def _first_true(scenario: str, knowledge: Knowledge, expressions: Expressions) -> str:
    """Whether the decision list ends at the scenario: the list from its end, as nested choices."""
    said = "false"
    for rule in reversed(knowledge.selection):
        here = "true" if rule.row.scenario == scenario else "false"
        if said != here:
            said = f"iif({expressions.condition(rule.condition)}, {here}, {said})"
    return said


def _studies(scenario: str, knowledge: Knowledge) -> Mapping[str, RatingRow]:
    """The rated studies of a scenario, those preferred first; of candidates what all of them rate alike (RAT-04)."""
    origin = (knowledge.scenarios[scenario].candidates or [scenario])[0]
    rated = {
        key: row
        for (name, key), row in knowledge.ratings.items()
        if name == origin and rating(scenario, key, knowledge)[0] == row.rating
    }
    preference = knowledge.preferences.get(scenario)
    first = [key for key in (preference.preference if preference else ()) if key in rated]
    return {key: rated[key] for key in (*first, *rated)}


def _study(row: RatingRow, key: str, knowledge: Knowledge, expressions: Expressions) -> dict[str, Any]:
    procedure = knowledge.procedures[key]
    conditions = list(_safety(key, knowledge, expressions))
    if row.rating == USUALLY_NOT_APPROPRIATE:
        conditions.append(_condition(_NOT_RECOMMENDED, "Rated as usually not appropriate.", "false"))
    action: dict[str, Any] = {
        "id": key,
        "extension": rating_extensions(row),
        "prefix": row.id,
        "title": procedure.label,
        "description": row.statement,
        "documentation": citations(row),
    }
    if conditions:
        action["condition"] = conditions
    return action | {"definitionCanonical": canonical("ActivityDefinition", key)}


def citations(row: Row) -> list[dict[str, str]]:
    """The places a row cites."""
    return [{"type": "citation", "label": cite.partition(":")[0], "citation": cite} for cite in row.cite]


def rating_extensions(row: RatingRow) -> list[dict[str, Any]]:
    """The category as reported, and the radiation as the source states it."""
    coding = {"system": LOCAL_SYSTEM, "code": row.rating}
    return [
        {"url": RATING_EXTENSION, "valueCodeableConcept": {"coding": [coding]}},
        {"url": RADIATION_EXTENSION, "valueString": row.radiation},
    ]


def _safety(key: str, knowledge: Knowledge, expressions: Expressions) -> Iterator[dict[str, Any]]:
    """What blocks the study, as conditions it must not meet; an unknown fact does not block."""
    for rule in knowledge.safety:
        left = _for_study(rule.condition, key, knowledge)
        if _blocks(rule.row) and left is not None and expressions.can_say(left):
            yield _condition(rule.row.id, rule.row.statement, known_false(expressions.condition(left)))


def _blocks(row: SafetyRow) -> bool:
    return row.enabled and row.severity == CRITICAL


def _for_study(condition: Condition, key: str, knowledge: Knowledge) -> Condition | None:
    """What is left of a condition once the study is known; None when it can never hold for it."""
    procedure = knowledge.procedures[key]
    seen = {f"order_{name}": name in procedure.attributes for name in _ATTRIBUTES}
    situation: dict[str, Any] = seen | {"order": key, "order_modality": procedure.modality}
    when = _left(condition.when, situation)
    alternatives = [tests for part in condition.any if (tests := _left(part, situation)) is not None]
    if when is None or (condition.any and not alternatives):
        return None
    return Condition(when, () if () in alternatives else tuple(alternatives))


_ATTRIBUTES: Final = ("mr", "ionising", "gadolinium", "iodinated", "sstr", "abdominal")


def _left(tests: Iterable[Test], situation: Mapping[str, Any]) -> tuple[Test, ...] | None:
    left = []
    for test in tests:
        if test.name not in situation:
            left.append(test)
        elif not satisfies(test, situation[test.name]):
            return None
    return tuple(left)
