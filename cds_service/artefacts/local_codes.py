"""CodeSystems for what this project names itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final

from cds_service.artefacts.naming import Stamp, header
from cds_service.cards.reasons import KINDS, override_reasons
from cds_service.domain.facts import FACTS, FactSpec, Kind
from cds_service.domain.terms import APPROPRIATE_USE, NOT_RATED
from cds_service.errors import PnetCdsError
from cds_service.knowledge.model import Knowledge, Rule
from cds_service.protocol.contexts import CONTEXTS
from fhir_profiles.terminology import Terminology

STUDY: Final = "imaging-study"
SCENARIO: Final = "imaging-scenario"
LOCAL: Final = "pnet-cds-local"
_OUTCOMES: Final = {
    NOT_RATED: "Not rated by any source available",
    APPROPRIATE_USE: "Supported by appropriate-use criteria",
}
_GROWTH: Final = {
    "d1-mm": "Earlier sum of target diameters, mm",
    "d2-mm": "Later sum of target diameters, mm",
    "months": "Months between two measurements",
}
_SHAPES: Final = {
    Kind.WORD: "a word of this CodeSystem",
    Kind.FLAG: "true or false",
    Kind.WORDS: "one component per word of this CodeSystem; the word none for an empty list",
    Kind.GROWTH: "components d1-mm, d2-mm and months",
}


def code_systems(knowledge: Knowledge, terminology: Terminology, marked: Stamp) -> Iterator[dict[str, Any]]:
    """All CodeSystems of this project, complete."""
    yield _system(
        LOCAL,
        "Local codes",
        "Facts that can be stated as Observations with a code of this project, the words they take, and the categories "
        "of appropriateness as sources report them. A standard code is preferred wherever one exists.",
        _local_concepts(knowledge, terminology),
        marked,
    )
    yield _system(
        STUDY,
        "Imaging studies",
        "The studies the guideline rows speak about. The ConceptMap imaging-study-codes leads to standard codes.",
        {key: (procedure.label, "") for key, procedure in knowledge.procedures.items()},
        marked,
    )
    yield _system(
        SCENARIO,
        "Imaging scenarios",
        "The clinical situations for which imaging studies are rated, and those in which nothing is rated.",
        {key: (row.label, row.statement) for key, row in knowledge.scenarios.items()},
        marked,
    )
    yield _system(
        "override-reason",
        "Reasons for not following a card",
        "Offered on cards and recorded with feedback.",
        {reason.code: (reason.display, "") for kind in KINDS for reason in override_reasons(kind)},
        marked,
    )
    yield _system(
        "errors",
        "Errors",
        "What an OperationOutcome of this service says went wrong.",
        dict(sorted([*_errors(PnetCdsError), *_http_errors()])),
        marked,
    )
    yield _system(
        "hook", "Hooks", "The hook that an audited call was made for.", {hook: (hook, "") for hook in CONTEXTS}, marked
    )
    yield _argonaut(terminology, marked)


def _argonaut(terminology: Terminology, marked: Stamp) -> dict[str, Any]:
    """The three codes of the Argonaut project, which publishes no CodeSystem; under its URL, so that they are known."""
    concepts = {row.code: (row.display, "") for row in terminology.codes("pama-rating")}
    about = "The three codes of the Argonaut project for PAMA ratings, which it defines in words only."
    found = _system("argonaut-pama-rating", "PAMA ratings of the Argonaut project", about, concepts, marked)
    return found | {"url": terminology.uris["pama"]}


def _system(
    identifier: str, title: str, description: str, concepts: Mapping[str, tuple[str, str]], marked: Stamp
) -> dict[str, Any]:
    return header("CodeSystem", identifier, title, description, marked) | {
        "caseSensitive": True,
        "content": "complete",
        "count": len(concepts),
        "concept": [
            {"code": code, "display": display} | ({"definition": definition} if definition else {})
            for code, (display, definition) in concepts.items()
        ],
    }


def _local_concepts(knowledge: Knowledge, terminology: Terminology) -> dict[str, tuple[str, str]]:
    """Code, display and definition; a code that is both a fact and a word is one concept."""
    rows = (row for concept in terminology.concepts.values() for row in concept.codes if row.system == "local")
    found = {row.code: (row.display, "") for row in rows}
    for spec in FACTS.values():
        display, _ = found.get(spec.code, (_words(spec.code), ""))
        found[spec.code] = (display, f"Fact: {_shape(spec)}.")
    for code, display in {**_GROWTH, **_OUTCOMES}.items():
        found.setdefault(code, (display, ""))
    for word in _vocabulary(knowledge, terminology):
        found.setdefault(word, (_words(word), ""))
    return found


def _errors(root: type[PnetCdsError]) -> Iterator[tuple[str, tuple[str, str]]]:
    """Slug of every error below one, with its words and what it means."""
    for error in root.__subclasses__():
        yield from _errors(error)
        yield error.slug, (_words(error.slug), (error.__doc__ or "").partition("\n")[0])


def _http_errors() -> Iterator[tuple[str, tuple[str, str]]]:
    """Slugs of errors that are found before a call is understood, or that are failures of the service itself."""
    yield "internal", ("internal", "The service failed on this call.")
    for status in HTTPStatus:
        if status >= HTTPStatus.BAD_REQUEST:
            yield f"http-{int(status)}", (status.phrase, "")


def _words(code: str) -> str:
    return code.replace("-", " ")


def _shape(spec: FactSpec) -> str:
    return f"a number in {spec.unit}" if spec.kind is Kind.NUMBER else _SHAPES[spec.kind]


def _vocabulary(knowledge: Knowledge, terminology: Terminology) -> Iterator[str]:
    """Every word a fact can take; of the open lists those that a code or a rule names."""
    yield "none"
    for spec in FACTS.values():
        yield from words_of(spec, knowledge, terminology)


def words_of(spec: FactSpec, knowledge: Knowledge, terminology: Terminology) -> tuple[str, ...]:
    """The words of a fact, in a stable order."""
    if spec.words or spec.kind is not Kind.WORDS:
        return spec.words
    return tuple(sorted({*_in_codes(spec.name, terminology), *_in_rules(spec.name, knowledge)}))


def _in_codes(fact: str, terminology: Terminology) -> Iterator[str]:
    for concept in terminology.concepts.values():
        for given in (concept.facts, *(row.facts for row in concept.codes)):
            value = given.get(fact)
            yield from value if isinstance(value, list) else ()


def _in_rules(fact: str, knowledge: Knowledge) -> Iterator[str]:
    rules: Iterable[Rule[Any]] = (
        *knowledge.selection,
        *knowledge.overlay,
        *knowledge.advice,
        *knowledge.safety,
        *knowledge.followup,
        *knowledge.staging_warnings,
        *(rule for table in knowledge.staging.values() for rule in table),
    )
    for rule in rules:
        for tests in (rule.condition.when, *rule.condition.any):
            for test in tests:
                if test.name == fact and isinstance(test.operand, frozenset):
                    yield from test.operand
