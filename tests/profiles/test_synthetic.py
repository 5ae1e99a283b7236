"""The bundled synthetic patients, the calls made from them, and the large chart built on them."""

from __future__ import annotations

import copy
import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from importlib.resources import files
from typing import Any, Final

import pytest
from fhir.resources.R4B import get_fhir_model_class

from cds_service.consult import from_bundle
from cds_service.knowledge import load_knowledge
from cds_service.pipeline import prefetch_templates
from cds_service.service import HookService
from cds_service.store.base import SyntheticPatient
from fhir_profiles.inputs import READERS
from fhir_profiles.large_chart import LAST, large_chart
from fhir_profiles.synthetic import hook_request, is_draft, moved_to, resources, synthetic_patients
from fhir_profiles.terminology import load_terminology
from hooks import SERVICES
from tests.profiles.charts import SYSTEMS, Resource
from tests.profiles.test_terminology import mod10, verhoeff

PATIENTS: Final = synthetic_patients()
FOLDER: Final = files("fhir_profiles") / "examples"
INDEX: Final[list[dict[str, Any]]] = tomllib.loads((FOLDER / "index.toml").read_text(encoding="utf-8"))["patient"]
EXPECTED: Final = {entry["slug"]: entry for entry in INDEX}
EACH: Final = pytest.mark.parametrize("example", PATIENTS, ids=[example.slug for example in PATIENTS])
KNOWLEDGE: Final = load_knowledge()
CALL: Final = "6f2b1c1e-8a0f-4a52-9d2e-0c1f5a7b3d90"
ABOUT: Final = ("subject", "patient")
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}(T.*)?")


def inside(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every value at any depth with the name of its member."""
    yield name, value
    if isinstance(value, dict):
        for key, item in value.items():
            yield from inside(item, key)
    elif isinstance(value, list):
        for item in value:
            yield from inside(item, name)


def assess(bundle: Mapping[str, Any], today: date, *orders: str) -> dict[str, Any]:
    """The assessment of a bundle on a day, as plain data."""
    return from_bundle(bundle, orders, today, KNOWLEDGE.on(today), load_terminology()).as_object()


# --- the bundle -------------------------------------------------------------------------------------------------------


def test_there_are_at_least_twelve_patients() -> None:
    """Stories for every hook people can try, with different slugs and titles."""
    assert len(PATIENTS) >= 12
    assert len({example.slug for example in PATIENTS}) == len({example.title for example in PATIENTS}) == len(PATIENTS)
    assert {example.hook for example in PATIENTS} >= {"patient-view", "order-select", "order-sign"}


def test_index_and_files_match() -> None:
    """Each file has a story in the index, and each story a file."""
    names = {entry.name.removesuffix(".json") for entry in FOLDER.iterdir() if entry.name.endswith(".json")}
    assert names == set(EXPECTED) == {example.slug for example in PATIENTS}
    assert [example.slug for example in PATIENTS] == sorted(names)


@EACH
def test_every_resource_is_r4(example: SyntheticPatient) -> None:
    """The Bundle and each resource in it are valid."""
    get_fhir_model_class("Bundle").model_validate(dict(example.bundle))
    for resource in resources(example.bundle):
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)


def test_ids_are_unique_and_well_formed() -> None:
    """No resource of any bundle shares its id with another, so that all fit on one server."""
    ids = [resource["id"] for example in PATIENTS for resource in resources(example.bundle)]
    assert [name for name, count in Counter(ids).items() if count > 1] == []
    assert all(re.fullmatch(r"[A-Za-z0-9.-]{1,64}", name) for name in ids)


@EACH
def test_full_urls_name_their_resource(example: SyntheticPatient) -> None:
    """Each entry's address ends in the type and id of what it holds."""
    for entry in example.bundle["entry"]:
        resource = entry["resource"]
        assert entry["fullUrl"].endswith(f"/{resource['resourceType']}/{resource['id']}")


@EACH
def test_every_resource_is_about_the_one_patient(example: SyntheticPatient) -> None:
    """One Patient per bundle, and every other resource refers to it; every reference inside resolves."""
    chart = resources(example.bundle)
    (person,) = [resource for resource in chart if resource["resourceType"] == "Patient"]
    known = {f"{resource['resourceType']}/{resource['id']}" for resource in chart}
    for resource in chart:
        about = next((resource[name]["reference"] for name in ABOUT if name in resource), None)
        assert about == (None if resource["resourceType"] in ("Patient", "Medication") else f"Patient/{person['id']}")
        local = [value for name, value in inside(resource) if name == "reference" and isinstance(value, str)]
        kinds = {kind.partition("/")[0] for kind in known}
        contained = {f"#{inner['id']}" for inner in resource.get("contained", [])}
        for reference in local:
            if reference.partition("/")[0] in kinds:
                assert reference in known
            if reference.startswith("#"):
                assert reference in contained


@EACH
def test_codes_pass_their_check_digits(example: SyntheticPatient) -> None:
    """No SNOMED CT id or LOINC term in the stories is mistyped."""
    for _, value in inside(dict(example.bundle)):
        if isinstance(value, dict) and value.get("system") == SYSTEMS["sct"] and "code" in value:
            assert verhoeff(value["code"]), value
        if isinstance(value, dict) and value.get("system") == SYSTEMS["loinc"] and "-" in str(value.get("code")):
            number, _, digit = value["code"].partition("-")
            assert number.startswith("LA") or digit == str(mod10(number)), value


@EACH
def test_the_index_names_the_orders(example: SyntheticPatient) -> None:
    """The drafts of the bundle are the orders of the story."""
    drafts = [f"ServiceRequest/{resource['id']}" for resource in resources(example.bundle) if is_draft(resource)]
    assert drafts == EXPECTED[example.slug]["orders"]
    assert drafts


@EACH
def test_the_story_ends_as_told(example: SyntheticPatient) -> None:
    """On its day each story has the scenario, ratings, suggestion and warnings the index tells."""
    expected = EXPECTED[example.slug]["expected"]
    found = assess(example.bundle, date.fromisoformat(example.as_of))
    assert found["scenario"] == expected["scenario"]
    assert {order["id"]: order["rating"] for order in found["orders"]} == {
        f"ServiceRequest/{name}": rating for name, rating in expected["ratings"].items()
    }
    assert {order["suggestion"] or "" for order in found["orders"]} == {expected["suggestion"]}
    assert set(expected["warnings_include"]) <= {*found["warnings"], *found["advice"]}


@EACH
def test_nothing_in_a_story_is_unreadable_by_accident(example: SyntheticPatient) -> None:
    """Every type in a story has a reader, or is one that others refer to."""
    kinds = {resource["resourceType"] for resource in resources(example.bundle)}
    assert kinds <= {*READERS, "Medication"}


# --- moved in time ----------------------------------------------------------------------------------------------------

DAYS: Final = (date(2026, 11, 21), date(2027, 3, 1), date(2025, 6, 30), date(2031, 2, 28))


@EACH
@pytest.mark.parametrize("today", DAYS, ids=str)
def test_a_story_moves_as_a_whole(example: SyntheticPatient, today: date) -> None:
    """Every full date is shifted by the same days, times of day stay, everything else is untouched."""
    as_of = date.fromisoformat(example.as_of)
    before = copy.deepcopy(example.bundle)
    moved = moved_to(example.bundle, as_of, today)
    assert example.bundle == before
    pairs = list(zip(inside(dict(before)), inside(moved), strict=True))
    dates = 0
    for (name, old), (same, new) in pairs:
        assert name == same
        if isinstance(old, str) and _DAY.fullmatch(old):
            dates += 1
            assert date.fromisoformat(new[:10]) - date.fromisoformat(old[:10]) == today - as_of
            assert new[10:] == old[10:]
        elif not isinstance(old, dict | list):
            assert new == old
    assert dates > 5
    assert moved_to(moved, today, as_of) == before


@EACH
def test_a_story_moved_by_nothing_is_itself(example: SyntheticPatient) -> None:
    """On its own day nothing changes."""
    as_of = date.fromisoformat(example.as_of)
    assert moved_to(example.bundle, as_of, as_of) == example.bundle


@EACH
@pytest.mark.parametrize("today", [date(2026, 12, 24), date(2027, 11, 20)], ids=str)
def test_a_moved_story_has_the_same_end(example: SyntheticPatient, today: date) -> None:
    """A story told on another day leads to the same scenario, ratings, suggestions and warnings."""
    as_of = date.fromisoformat(example.as_of)
    before, after = assess(example.bundle, as_of), assess(moved_to(example.bundle, as_of, today), today)
    for name in ("scenario", "grade", "orders", "warnings", "advice", "followup", "conflicts"):
        assert _plain(after[name]) == _plain(before[name]), name


def _plain(value: Any) -> Any:
    """The value without the dates it cites."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if key not in ("date", "due", "from", "to")}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return round(value, 6) if isinstance(value, float) else value


# --- calls ------------------------------------------------------------------------------------------------------------


@EACH
@pytest.mark.parametrize("service", SERVICES, ids=[service.id for service in SERVICES])
def test_a_call_fills_what_discovery_advertises(example: SyntheticPatient, service: HookService) -> None:
    """Every advertised prefetch key is there and holds exactly the resources its query asks for."""
    templates = prefetch_templates(service)
    call = hook_request(example.bundle, service.hook, templates, CALL, starts="2026-12-01")
    assert (call["hook"], call["hookInstance"]) == (service.hook, CALL)
    assert list(call["prefetch"]) == list(templates)
    chart = [resource for resource in resources(example.bundle) if not is_draft(resource)]
    (person,) = [resource for resource in chart if resource["resourceType"] == "Patient"]
    assert call["context"]["patientId"] == person["id"]
    for key, template in templates.items():
        answer = call["prefetch"][key]
        kind = re.split(r"[/?]", template)[0]
        if "?" not in template:
            assert answer is None or answer["resourceType"] == kind
            continue
        get_fhir_model_class("Bundle").model_validate(answer)
        held = [entry["resource"] for entry in answer.get("entry", [])]
        assert {resource["resourceType"] for resource in held} <= {kind}
        category = re.search(r"category=([\w-]+)", template)
        wanted = [
            item for item in chart if item["resourceType"] == kind and (not category or category[1] in _named(item))
        ]
        if "status=" not in template:
            assert held == wanted


def _named(resource: Resource) -> set[str]:
    """Codes of a resource's categories."""
    held = resource.get("category", [])
    return {code["code"] for group in (held if isinstance(held, list) else [held]) for code in group.get("coding", [])}


@EACH
def test_no_evidence_is_lost_on_the_way(example: SyntheticPatient) -> None:
    """What order-sign asks for leads to the facts and the assessment that the whole chart leads to."""
    service = next(service for service in SERVICES if service.hook == "order-sign")
    call = hook_request(example.bundle, service.hook, prefetch_templates(service), CALL)
    answers = [answer for answer in call["prefetch"].values() if answer]
    received = [
        held for answer in answers for held in (resources(answer) if "entry" in answer else [answer]) if _is_data(held)
    ]
    sent = received + [entry["resource"] for entry in call["context"]["draftOrders"]["entry"]]
    today = date.fromisoformat(example.as_of)
    bundle = {"resourceType": "Bundle", "entry": [{"resource": resource} for resource in sent]}
    found, whole = assess(bundle, today), assess(example.bundle, today)
    assert _facts(found) == _facts(whole)
    assert {name: found[name] for name in found if name != "facts"} == {
        name: whole[name] for name in whole if name != "facts"
    }


def _facts(assessment: Mapping[str, Any]) -> dict[str, Any]:
    """Values by fact."""
    return {name: fact["value"] for name, fact in assessment["facts"].items()}


def _is_data(resource: Resource) -> bool:
    return bool(resource["resourceType"] != "Bundle")


@EACH
def test_drafts_travel_in_the_context_only(example: SyntheticPatient) -> None:
    """The orders about to be placed are not yet in the chart; order-select also says which are selected."""
    for service in SERVICES:
        if service.hook not in ("order-select", "order-sign"):
            continue
        call = hook_request(example.bundle, service.hook, prefetch_templates(service), CALL)
        drafts = [entry["resource"] for entry in call["context"]["draftOrders"]["entry"]]
        assert [f"ServiceRequest/{draft['id']}" for draft in drafts] == EXPECTED[example.slug]["orders"]
        assert ("selections" in call["context"]) == (service.hook == "order-select")
        held = json.dumps(call["prefetch"])
        assert all(f'"{draft["id"]}"' not in held for draft in drafts)


# --- the large chart --------------------------------------------------------------------------------------------------


def test_the_large_chart_is_the_same_each_time() -> None:
    """The same seed gives the same bytes; another seed gives others."""
    one, two = large_chart(200), large_chart(200)
    assert json.dumps(one) == json.dumps(two)
    assert json.dumps(large_chart(200, seed=8)) != json.dumps(one)


def test_the_large_chart_keeps_its_patient() -> None:
    """The example's own entries stand first and unchanged; the results follow, oldest first, all before the day."""
    base = next(example for example in PATIENTS if example.slug == "incidental-tail-lesion").bundle
    chart = large_chart(300)
    own = len(base["entry"])
    assert chart["entry"][:own] == base["entry"]
    added = [entry["resource"] for entry in chart["entry"][own:]]
    assert len(added) == 300
    times = [datetime.fromisoformat(resource["effectiveDateTime"]) for resource in added]
    assert times == sorted(times)
    assert times[-1] <= LAST
    assert times[0] > LAST - timedelta(days=16 * 366)
    ids = [entry["resource"]["id"] for entry in chart["entry"]]
    assert len(set(ids)) == len(ids)
    assert all(entry["fullUrl"].endswith(f"/Observation/{entry['resource']['id']}") for entry in chart["entry"][own:])


def test_the_added_results_are_r4() -> None:
    """Every added Observation is valid and about the patient."""
    chart = large_chart(60)
    person = next(item["id"] for item in resources(chart) if item["resourceType"] == "Patient")
    for resource in resources(chart)[-60:]:
        get_fhir_model_class("Observation").model_validate(resource)
        assert resource["subject"] == {"reference": f"Patient/{person}"}


@EACH
def test_the_added_results_change_nothing(example: SyntheticPatient) -> None:
    """Normal results, however many, lead to the same assessment as the patient without them."""
    today = date.fromisoformat(example.as_of)
    before = assess(example.bundle, today)
    after = assess(large_chart(400, slug=example.slug), today)
    for name in ("scenario", "grade", "tnm", "orders", "warnings", "advice", "followup", "conflicts"):
        assert after[name] == before[name], name


@pytest.mark.parametrize("slug", ["nobody", "index", ""])
def test_an_unknown_base_is_refused(slug: str) -> None:
    """There must be an example of that name."""
    with pytest.raises(FileNotFoundError):
        large_chart(1, slug=slug)


def test_an_empty_large_chart_is_the_example() -> None:
    """Nothing added is nothing changed."""
    base = next(example for example in PATIENTS if example.slug == "incidental-tail-lesion").bundle
    assert large_chart(0) == base
