"""The artefacts against the rows they are made from: nothing missing, nothing more, nothing that leads nowhere."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from cds_service.artefacts import artefacts
from cds_service.artefacts.guide import SERVED
from cds_service.artefacts.package import package_files
from cds_service.artefacts.plans import CHOICE
from cds_service.domain.facts import FACTS, Kind
from cds_service.domain.terms import FHIR_BASE
from cds_service.knowledge import load_knowledge
from fhir_profiles.definitions import structure_definitions
from fhir_profiles.resources import problems
from fhir_profiles.terminology import LOCAL_SYSTEM, load_terminology

KNOWLEDGE: Final = load_knowledge()
TERMINOLOGY: Final = load_terminology()
MADE: Final = artefacts(KNOWLEDGE, TERMINOLOGY)
OURS: Final = re.compile(re.escape(FHIR_BASE) + r"/([A-Z]\w+)/([A-Za-z0-9.-]+)")
Resource = Mapping[str, Any]


def of(kind: str) -> dict[str, Resource]:
    """The artefacts of a type by id."""
    return {one["id"]: one for one in MADE if one["resourceType"] == kind}


def codes(value_set: Resource) -> set[tuple[str, str]]:
    """System and code of all that a ValueSet lists."""
    return {
        (include["system"], concept["code"])
        for include in value_set["compose"]["include"]
        for concept in include.get("concept", ())
    }


def strings(value: object) -> Iterator[str]:
    """Every string in a value."""
    if isinstance(value, str):
        yield value
    for item in value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ():
        yield from strings(item)


# --- the whole --------------------------------------------------------------------------------------------------------


def test_nothing_leads_nowhere() -> None:
    """Every canonical of ours that is written in an artefact or example is that of an artefact."""
    there = {one["url"] for one in MADE}
    named = {
        found[0] for one in (*MADE, *MADE.examples.values()) for text in strings(one) for found in OURS.finditer(text)
    }
    named = {f"{FHIR_BASE}/{kind}/{identifier}" for text in named for kind, identifier in OURS.findall(text)}
    assert named - there == set()


def test_all_carry_the_stamp_of_the_knowledge() -> None:
    """Version with the hash of the rows, date, publisher; other rows, another version and nothing else."""
    assert {one["version"] for one in MADE} == {f"{KNOWLEDGE.version}-{KNOWLEDGE.hash}"}
    assert {one["date"] for one in MADE} == {KNOWLEDGE.editions[0].date}
    other = artefacts(replace(KNOWLEDGE, hash="0" * 16), TERMINOLOGY)
    assert {one["version"] for one in other} == {f"{KNOWLEDGE.version}-{'0' * 16}"}
    assert json.dumps(list(other)).replace("0" * 16, KNOWLEDGE.hash) == json.dumps(list(MADE))


@pytest.mark.parametrize("kind", SERVED)
def test_models_accept_all(kind: str) -> None:
    """The models of fhir.resources find nothing wrong, and there is at least one of each type served."""
    assert of(kind)
    assert {name: problems(one) for name, one in of(kind).items() if problems(one)} == {}


def test_no_other_type_is_made() -> None:
    """What is made can be read from the service."""
    assert {one["resourceType"] for one in MADE} == set(SERVED)


def test_the_guide_lists_everything() -> None:
    """Every artefact but the guide itself, and every example that has an id."""
    (guide,) = of("ImplementationGuide").values()
    listed = [entry["reference"]["reference"] for entry in guide["definition"]["resource"]]
    made = [f"{one['resourceType']}/{one['id']}" for one in MADE if one is not guide]
    shown = [f"{one['resourceType']}/{one['id']}" for one in MADE.examples.values() if "id" in one]
    assert sorted(listed) == sorted([*made, *shown])


# --- codes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("concept", TERMINOLOGY.concepts.values(), ids=lambda concept: concept.key)
def test_a_value_set_holds_what_the_service_matches(concept: Any) -> None:
    """Each code of it is read as the concept for certain, and each code that is read so is in it."""
    value_set = of("ValueSet").get(concept.key)
    listed = codes(value_set) if value_set else set()
    for system, code in listed:
        match = TERMINOLOGY.match(system, code)
        assert match is not None
        assert (match.concept, match.certain) == (concept.key, True)
    expected = set()
    for row in concept.codes:
        match = TERMINOLOGY.match(TERMINOLOGY.uris[row.system] or None, row.code)
        if TERMINOLOGY.uris[row.system] and match and match.concept == concept.key and match.certain:
            expected.add((TERMINOLOGY.uris[row.system], row.code))
    assert listed == expected


def test_no_description_of_the_ama_is_written() -> None:
    """CPT codes come without their text."""
    cpt = TERMINOLOGY.uris["cpt"]
    for value_set in of("ValueSet").values():
        for include in value_set["compose"]["include"]:
            assert include["system"] != cpt or not any("display" in concept for concept in include["concept"])


def test_suggested_orders_hold_preferred_codes_only() -> None:
    """Nothing but what a row marks as preferred; false friends and codes for input are not among them."""
    allowed = {
        (TERMINOLOGY.uris[label], code)
        for concept in TERMINOLOGY.concepts.values()
        if concept.preferred
        for label in ("loinc", "sct", "cpt", "local")
        for code in getattr(concept.preferred, label)
    }
    assert codes(of("ValueSet")["suggested-order"]) == allowed


@pytest.mark.parametrize("spec", FACTS.values(), ids=lambda spec: spec.name)
def test_every_fact_and_word_is_a_local_code(spec: Any) -> None:
    """The CodeSystem knows the fact; its words are in it and in the ValueSet of the fact."""
    known = {concept["code"] for concept in of("CodeSystem")["pnet-cds-local"]["concept"]}
    assert {spec.code, *spec.words} <= known
    assert (LOCAL_SYSTEM, spec.code) in codes(of("ValueSet")["abstracted-fact"])
    if spec.kind in (Kind.WORD, Kind.WORDS):
        listed = {code for _, code in codes(of("ValueSet")[f"fact-{spec.code}"])}
        assert listed >= set(spec.words)
        assert listed <= known


def test_a_code_stands_once() -> None:
    """No CodeSystem holds a code twice, and its count is right."""
    for system in of("CodeSystem").values():
        held = [concept["code"] for concept in system["concept"]]
        assert len(held) == len(set(held)) == system["count"], system["id"]


def test_maps_of_studies_say_what_the_service_reads() -> None:
    """Both ways: a code is mapped to the study it is read as; equivalent is what is written."""
    outward, inward = of("ConceptMap")["imaging-study-codes"], of("ConceptMap")["imaging-codes-study"]
    pairs = {
        (group["target"], target["code"], element["code"], target["equivalence"] == "equivalent")
        for group in outward["group"]
        for element in group["element"]
        for target in element["target"]
    }
    back = {
        (group["source"], element["code"], target["code"], target["equivalence"] == "equivalent")
        for group in inward["group"]
        for element in group["element"]
        for target in element["target"]
    }
    assert pairs == back
    preferred = codes(of("ValueSet")["suggested-order"])
    for system, code, key, written in pairs:
        match = TERMINOLOGY.match(system, code)
        assert match is not None
        assert match.procedure == key
        assert match.certain
        assert not written or (system, code) in preferred
    rated = {key for _, key in KNOWLEDGE.ratings}
    assert rated - {key for _, _, key, _ in pairs} == {"pet-ct-sstr"}, "no code says PET with such a tracer by itself"


def test_the_map_to_pama_is_that_of_the_rows() -> None:
    """Each category with its code, and none that records nothing."""
    (group,) = of("ConceptMap")["appropriateness-pama"]["group"]
    mapped = {element["code"]: element["target"][0]["code"] for element in group["element"]}
    assert mapped == {category: row.code for category, row in KNOWLEDGE.pama.items() if category}


# --- plans ------------------------------------------------------------------------------------------------------------


def rated(plan: Resource) -> dict[str, str]:
    """Rating by study, as a plan says it."""
    return {
        study["id"]: study["extension"][0]["valueCodeableConcept"]["coding"][0]["code"]
        for study in plan["action"][0].get("action", [])
    }


@pytest.mark.parametrize("scenario", KNOWLEDGE.scenarios)
def test_a_plan_rates_what_the_sources_rate(scenario: str) -> None:
    """Every study that is rated in the scenario, as it is rated, and no other; preferred ones come first."""
    expected: dict[str, str] = {key: row.rating for (name, key), row in KNOWLEDGE.ratings.items() if name == scenario}
    candidates = KNOWLEDGE.scenarios[scenario].candidates
    for key in {key for _, key in KNOWLEDGE.ratings} if candidates else ():
        found = {KNOWLEDGE.ratings[name, key].rating if (name, key) in KNOWLEDGE.ratings else "" for name in candidates}
        if len(found) == 1 and "" not in found:
            expected[key] = found.pop()
    plan = of("PlanDefinition")[scenario]
    assert rated(plan) == expected
    preference = KNOWLEDGE.preferences.get(scenario)
    first = [key for key in (preference.preference if preference else ()) if key in expected]
    assert list(rated(plan))[: len(first)] == first


def test_what_is_not_recommended_is_never_offered() -> None:
    """An engine that runs a plan offers no study that is usually not appropriate."""
    for plan in of("PlanDefinition").values():
        for study in plan["action"][0].get("action", []):
            expressions = [condition["expression"]["expression"] for condition in study.get("condition", [])]
            if plan["id"] != CHOICE:
                assert ("false" in expressions) == (rated(plan)[study["id"]] == "usually-not-appropriate")


def test_every_plan_names_its_sources() -> None:
    """Sources of the scenario, and of each rating the place in its source."""
    for scenario, plan in of("PlanDefinition").items():
        cited = {artefact["label"] for artefact in plan["relatedArtifact"]}
        assert cited <= set(KNOWLEDGE.sources)
        assert cited
        for study in plan["action"][0].get("action", []) if scenario != CHOICE else ():
            assert {place["label"] for place in study["documentation"]} <= cited


@pytest.mark.parametrize("key", KNOWLEDGE.procedures)
def test_a_study_is_ordered_by_codes_that_may_be_written(key: str) -> None:
    """Its ActivityDefinition has text and, where there is a verified code, that code."""
    code = of("ActivityDefinition")[key]["code"]
    assert code["text"] == KNOWLEDGE.procedures[key].label
    preferred = codes(of("ValueSet")["suggested-order"])
    for coding in code.get("coding", ()):
        assert (coding["system"], coding["code"]) in preferred
        match = TERMINOLOGY.match(coding["system"], coding["code"])
        assert match is not None
        assert match.procedure == key


# --- the package ------------------------------------------------------------------------------------------------------


def exported(folder: Path, *options: str) -> bytes:
    """What the command writes, in a process of its own."""
    command = [sys.executable, "-m", "cds_service", "export-fhir", str(folder), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert f"version {MADE.stamp.version}" in done.stdout
    return (folder / "package.tgz").read_bytes()


def test_the_package_is_the_same_every_time(tmp_path: Path) -> None:
    """Two processes write the same bytes, without time or owner in them; the single files are those of the package."""
    first = exported(tmp_path / "one", "--loose")
    assert first == exported(tmp_path / "deep" / "two")
    with tarfile.open(fileobj=io.BytesIO(first)) as archive:
        held = {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]
        assert {(member.mtime, member.uid, member.uname) for member in archive} == {(0, 0, "")}
    assert held == package_files(MADE)
    loose = {str(path.relative_to(tmp_path / "one")): path.read_bytes() for path in (tmp_path / "one").rglob("*.json")}
    assert loose == held


def test_the_package_says_what_it_is() -> None:
    """Name, version and base for installers, and an index of exactly what is in it."""
    files = package_files(MADE)
    manifest = json.loads(files["package/package.json"])
    assert (manifest["name"], manifest["version"]) == ("org.pnet-cds.imaging", MADE.stamp.version)
    assert manifest["fhirVersions"] == ["4.0.1"]
    for folder, count in (("package", len(MADE.by_key)), ("package/example", len(MADE.examples))):
        index = json.loads(files[f"{folder}/.index.json"])
        here = {name for name in files if name.rpartition("/")[0] == folder and name.endswith(".json")}
        names = {f"{folder}/{entry['filename']}" for entry in index["files"]}
        assert names == here - {f"{folder}/.index.json", f"{folder}/package.json"}
        assert len(names) == count


def test_profiles_have_snapshots_and_the_r4_they_constrain() -> None:
    """Each differential names elements that its snapshot has, in its order."""
    for profile in structure_definitions():
        elements = [element["id"] for element in profile["snapshot"]["element"]]
        changed = [element["id"] for element in profile["differential"]["element"]]
        assert set(changed) <= set(elements), profile["id"]
        assert sorted(changed, key=elements.index) == changed, profile["id"]
