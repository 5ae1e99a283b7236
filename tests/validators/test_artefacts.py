"""Every artefact, every example and every applied plan before both validators, which know the exported package."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from typing import Any, Final

import pytest

from cds_service.artefacts import artefacts
from cds_service.artefacts.apply import care_plan
from cds_service.artefacts.plans import CHOICE
from cds_service.consult import about_options
from cds_service.knowledge import load_knowledge
from fhir_profiles.definitions import invalid_examples, structure_definitions, valid_examples
from fhir_profiles.synthetic import synthetic_patients
from fhir_profiles.terminology import load_terminology
from tests.validators.false_alarms import alarm
from tests.validators.finding import Finding, Validator
from tests.validators.snapshots import SNAPSHOTS, generated, written

Validators = Mapping[str, Validator]
MADE: Final = artefacts(load_knowledge(), load_terminology())
KINDS: Final = sorted({kind for kind, _ in MADE.by_key})
UNSEEN_BY_PYROFILE: Final = {
    "abstracted-fact--as-string": "it does not look at the types a profile leaves of value[x]",
    "ki67-index--in-words": "the same",
    "imaging-order--about-a-device": "it does not look at what a reference may lead to",
    "nen-condition--about-a-group": "the same",
    "rated-order--unknown-rating": "it takes slices inside an extension for the whole, and so says something else",
}
"""Invalid examples that one validator lets through; HAPI's lets none."""


def errors(resource: Mapping[str, Any], validators: Validators, profile: str | None = None) -> list[str]:
    """What validators object to, but for the listed false alarms."""
    return [
        f"{name}: {resource['resourceType']} {resource.get('id')} {found.where}: {found.message} ({found.code})"
        for name, validator in validators.items()
        for found in validator.problems(resource, profile)
        if alarm(name, found) is None
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_artefacts(kind: str, validators: Validators) -> None:
    """Everything in the package is R4."""
    made = [one for one in MADE if one["resourceType"] == kind]
    assert [said for one in made for said in errors(one, validators)] == []


@pytest.mark.parametrize("name", valid_examples())
def test_valid_examples(name: str, validators: Validators) -> None:
    """Each conforms to the profile it names."""
    example = valid_examples()[name]
    assert example["meta"]["profile"]
    assert errors(example, validators) == []


@pytest.mark.parametrize("name", invalid_examples())
def test_invalid_examples(name: str, validators: Validators) -> None:
    """Each is refused for the reason it is named after; what a validator cannot see is listed."""
    example, reason = invalid_examples()[name]
    for validator, held in validators.items():
        refused = any(names(found, reason) for found in held.problems(example) if alarm(validator, found) is None)
        assert refused is (validator != "pyrofile" or name not in UNSEEN_BY_PYROFILE), (validator, name)


def names(found: Finding, reason: str) -> bool:
    """Whether a remark is about an element or an invariant."""
    return any(reason in said for said in (found.where, found.code, found.message))


def test_every_profile_has_examples() -> None:
    """Profiles of resources have a valid example and, but for the common one, one that misses it."""
    profiles = {one["id"] for one in structure_definitions() if one["type"] != "Extension"}
    shown = {example["meta"]["profile"][0].rpartition("/")[2] for example in valid_examples().values()}
    missed = {name.partition("--")[0] for name in invalid_examples()}
    assert shown == missed == profiles - {"nen-observation"}


@pytest.mark.parametrize("plan", [CHOICE, "pnet-initial-staging"])
@pytest.mark.parametrize("patient", synthetic_patients(), ids=lambda patient: patient.slug)
def test_applied_plans(plan: str, patient: Any, validators: Validators) -> None:
    """What $apply answers about every story, whether the plan applies or not."""
    day = date.fromisoformat(patient.as_of)
    knowledge, terminology = load_knowledge(), load_terminology()
    consulted = about_options(patient.bundle, day, knowledge, terminology)
    made = care_plan(plan, consulted.assessed, f"Patient/{consulted.id}", day, knowledge, terminology)
    assert errors(made, validators) == []


def test_snapshots_are_those_of_the_differentials(validators: Validators) -> None:
    """Nobody edited a snapshot, and nobody changed a profile without ``make snapshots``."""
    assert validators  # Java is there
    fresh = generated()
    kept = {file.stem: file.read_text(encoding="utf-8") for file in sorted(SNAPSHOTS.glob("*.json"))}
    assert {name: written(elements) for name, elements in fresh.items()} == kept
    assert all(json.loads(text) for text in kept.values())
