"""The order a suggestion writes: valid R4 whatever the draft holds, preferred codes only, nothing said is lost."""

from __future__ import annotations

import copy
from datetime import date
from typing import Any, Final

import pytest
from fhir.resources.R4B import get_fhir_model_class
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cds_service.domain.policy import OrderWriting
from cds_service.errors import SiteError
from cds_service.knowledge import load_knowledge
from fhir_profiles.drafts import ANSWERED_BY, CONCEPT_OF, check_tracer, suggested_orders, suggested_test
from fhir_profiles.orders import imaging_orders, requested_concepts
from fhir_profiles.terminology import load_terminology
from tests.profiles.charts import HOSTILE, PATIENT, SYSTEMS, TODAY, Resource, coding, concept, resource

TERMS: Final = load_terminology()
EACH: Final = pytest.mark.parametrize("procedure", list(CONCEPT_OF))
CODES: Final = {
    "mri-abd-pel-wwo": {("loinc", "97392-5")},
    "ct-abd-pel-w": {("loinc", "36813-4"), ("sct", "1148701004"), ("cpt", "74177")},
    "ct-cap-w": {("loinc", "72254-6"), ("sct", "1148700003")},
    "pet-ct-sstr": {("local", "sstr-pet-ct-skull-base-mid-thigh"), ("cpt", "78815")},
}
"""All codes an order of each suggested study is written with; two CPT numbers would be two orders."""
TRACER: Final = ("hcpcs", "A9587")
PATTERN: Final = resource(
    "ServiceRequest",
    id="draft-1",
    status="draft",
    intent="order",
    code="@cpt|76705",
    encounter={"reference": "Encounter/e1", "display": "Ward visit"},
    requester={"reference": "Practitioner/dr-1", "display": "Dr One"},
    priority="urgent",
    reasonCode=[
        concept("@icd|C25.4|Malignant neoplasm of endocrine pancreas", "@sct|735735001", text="pNET, tail"),
        {"text": "staging"},
    ],
    reasonReference=[{"reference": "Condition/c1"}, {"reference": "https://ehr.example.org/fhir/Condition/c2"}],
)


def write(procedure: str, draft: Resource, detail: str = "Pancreas protocol") -> Resource:
    """The suggested order in place of a draft."""
    (order,) = suggested_orders(procedure, "The better study", detail, draft, PATIENT, TERMS)
    return order


def check(order: Resource) -> None:
    """It is a valid draft for the patient, and its codes are those of the preferred lists."""
    get_fhir_model_class("ServiceRequest").model_validate(order)
    assert (order["resourceType"], order["status"]) == ("ServiceRequest", "draft")
    assert order["subject"] == {"reference": f"Patient/{PATIENT}"}
    assert "id" not in order


def written(codeable: Resource) -> set[tuple[str, str]]:
    """Codings as system name and code."""
    names = {uri: name for name, uri in SYSTEMS.items()}
    return {(names[item["system"]], item["code"]) for item in codeable.get("coding", [])}


# --- codes ------------------------------------------------------------------------------------------------------------


def test_everything_that_may_be_suggested_can_be_written() -> None:
    """Each study of a preference list has codes here, and the tables of this test speak of each."""
    wanted = {key for row in load_knowledge().on(TODAY).preferences.values() for key in row.preference}
    assert wanted
    assert wanted <= set(CONCEPT_OF)
    assert set(CODES) == set(CONCEPT_OF)


@EACH
def test_only_preferred_codes_are_written(procedure: str) -> None:
    """The codings are exactly the preferred ones, one per system, with the text; never two CPT numbers."""
    order = write(procedure, PATTERN)
    assert written(order["code"]) == CODES[procedure]
    assert order["code"]["text"] == "The better study"
    systems = [item["system"] for item in order["code"]["coding"]]
    assert len(systems) == len(set(systems))
    preferred = TERMS.concepts[CONCEPT_OF[procedure]].preferred
    assert preferred is not None
    listed = {(name, code) for name in ("loinc", "sct", "cpt", "local") for code in getattr(preferred, name)}
    assert written(order["code"]) <= listed


@EACH
def test_displays_are_the_codes_own(procedure: str) -> None:
    """A display that is written is that of the code's row; CPT numbers carry none, for their licence."""
    for item in write(procedure, {})["code"]["coding"]:
        match = TERMS.match(item["system"], item["code"])
        assert match is not None
        if item["system"] == SYSTEMS["cpt"]:
            assert "display" not in item
        else:
            assert item.get("display") == match.display


@EACH
def test_the_tracer_is_named(procedure: str) -> None:
    """PET/CT for receptors says its tracer in a detail; other studies name none."""
    details = write(procedure, {}).get("orderDetail", [])
    tracers = {code for detail in details for code in written(detail)}
    assert tracers == ({TRACER} if procedure == "pet-ct-sstr" else set())


@EACH
def test_protocol_text_stands_in_the_detail(procedure: str) -> None:
    """Phases and agents have no order code: they are text in ``orderDetail``; an empty one is left out."""
    assert {"text": "Pancreas protocol"} in write(procedure, {})["orderDetail"]
    assert {"text": ""} not in write(procedure, {}, detail="").get("orderDetail", [])


@EACH
def test_the_written_order_is_read_as_what_it_is(procedure: str) -> None:
    """What this service writes, this service understands."""
    (draft,) = imaging_orders([write(procedure, PATTERN) | {"id": "new"}], PATIENT, TERMS)
    assert (draft.order.procedure, draft.open_question) == (procedure, "")


@EACH
def test_a_due_window_is_written(procedure: str) -> None:
    """A study that is due later says when."""
    window = (date(2027, 1, 5), date(2027, 2, 5))
    (order,) = suggested_orders(procedure, "x", "", {}, PATIENT, TERMS, window=window)
    check(order)
    assert order["occurrencePeriod"] == {"start": "2027-01-05", "end": "2027-02-05"}
    assert "occurrencePeriod" not in write(procedure, {})


# --- how the site wants orders coded ----------------------------------------------------------------------------------


def coded(procedure: str, writing: OrderWriting) -> list[Resource]:
    """The orders of a study, as a site writes them."""
    return list(suggested_orders(procedure, "The better study", "", PATTERN, PATIENT, TERMS, writing))


def test_a_study_of_two_cpt_codes_is_two_orders_under_one_requisition() -> None:
    """CH-095: the site prefers CPT: each order holds one code, both the same requisition, and together they are the
    study.
    """
    pair = coded("mri-abd-pel-wwo", OrderWriting(("cpt", "loinc")))
    assert [order["code"]["coding"][0]["code"] for order in pair] == ["74183", "72197"]
    assert len({str(order["requisition"]) for order in pair}) == 1
    for order in pair:
        check(order)
        assert len(order["code"]["coding"]) == 1
    numbered = [order | {"id": str(number)} for number, order in enumerate(pair)]
    drafts = imaging_orders(numbered, PATIENT, TERMS)
    assert {draft.order.procedure for draft in drafts} == {"mri-abd-pel-wwo"}
    assert {draft.group for draft in drafts} == {("ServiceRequest/0", "ServiceRequest/1")}
    assert coded("mri-abd-pel-wwo", OrderWriting(("cpt", "loinc"))) == pair


def test_only_the_systems_of_the_site_are_written_in_its_order() -> None:
    """The preferred system comes first and one that is left out is not written."""
    (order,) = coded("ct-abd-pel-w", OrderWriting(("sct", "cpt")))
    assert [coding["code"] for coding in order["code"]["coding"]] == ["1148701004", "74177"]
    (only_text,) = coded("mri-abd-pel-wwo", OrderWriting(("sct",)))
    assert only_text["code"] == {"text": "The better study"}


def test_the_tracer_of_the_site_is_named() -> None:
    """With its code where one may be written, by name alone where none is verified."""
    named = {
        tracer: coded("pet-ct-sstr", OrderWriting(sstr_tracer=tracer))[0]["orderDetail"][0]
        for tracer in ("tracer-ga68-dotatate", "tracer-ga68-dotatoc", "tracer-cu64-dotatate")
    }
    assert named["tracer-ga68-dotatate"]["coding"][0]["code"] == "A9587"
    assert named["tracer-ga68-dotatoc"] == {"text": "Gallium-68 DOTATOC"}
    assert named["tracer-cu64-dotatate"] == {"text": "Copper-64 DOTATATE"}


@pytest.mark.parametrize("tracer", ["tracer-fdg", "dotatate", ""])
def test_a_tracer_of_another_kind_is_refused(tracer: str) -> None:
    """A site cannot have SSTR PET ordered with something else."""
    with pytest.raises(SiteError, match="tracer-ga68-dotatate"):
        check_tracer(OrderWriting(sstr_tracer=tracer), TERMS)


# --- what is carried over ---------------------------------------------------------------------------------------------


@EACH
def test_what_the_clinician_said_is_kept(procedure: str) -> None:
    """Encounter, requester, priority, reasons and their references stand in the new order as in the old."""
    order = write(procedure, PATTERN)
    check(order)
    for name in ("encounter", "requester", "priority", "reasonCode", "reasonReference", "intent"):
        assert order[name] == PATTERN[name]


@pytest.mark.parametrize("name", ["encounter", "requester", "priority", "reasonCode", "reasonReference"])
def test_what_was_not_said_is_not_made_up(name: str) -> None:
    """A member the draft lacks stays away, and the others are kept."""
    left = {key: item for key, item in PATTERN.items() if key != name}
    order = write("ct-abd-pel-w", left)
    assert name not in order
    assert len(order) == len(write("ct-abd-pel-w", PATTERN)) - 1


@pytest.mark.parametrize("priority", ["routine", "urgent", "asap", "stat"])
def test_every_priority_is_kept(priority: str) -> None:
    """All four of R4."""
    assert write("ct-abd-pel-w", {"priority": priority})["priority"] == priority


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("proposal", "proposal"),
        ("plan", "plan"),
        ("order", "order"),
        ("option", "order"),
        (None, "order"),
        (["order"], "order"),
    ],
)
def test_the_intent_is_one_a_draft_may_have(sent: object, kept: str) -> None:
    """An intent of the draft is kept when a new order may have it."""
    assert write("ct-abd-pel-w", {"intent": sent})["intent"] == kept


def test_the_replaced_study_is_not_carried_over() -> None:
    """Identifier, codes, details, requisition and notes of the old order belong to the old order."""
    draft = PATTERN | {
        "identifier": [{"value": "x"}],
        "orderDetail": [{"text": "old detail"}],
        "requisition": {"value": "r-1"},
        "note": [{"text": "old note"}],
        "bodySite": [{"text": "Abdomen"}],
        "performer": [{"reference": "Organization/o"}],
    }
    order = write("ct-abd-pel-w", draft)
    assert order == write("ct-abd-pel-w", PATTERN)


def test_a_logical_reference_is_kept() -> None:
    """A requester known by an identifier only is a requester in R4."""
    requester = {"identifier": {"system": "http://hl7.org/fhir/sid/us-npi", "value": "1234567893"}, "display": "Dr One"}
    order = write("ct-abd-pel-w", {"requester": requester})
    check(order)
    assert order["requester"]["identifier"] == requester["identifier"]


@pytest.mark.parametrize("reference", ["#contained", "", "  ", "Encounter/e 1", None, 7])
def test_references_that_lead_nowhere_are_left_out(reference: object) -> None:
    """A reference into the old draft, or none at all, is not passed on."""
    order = write(
        "ct-abd-pel-w", {"encounter": {"reference": reference}, "reasonReference": [{"reference": reference}]}
    )
    assert "encounter" not in order
    assert "reasonReference" not in order


def test_the_draft_is_not_changed() -> None:
    """Writing the new order leaves the old one as it was sent, and shares nothing with it."""
    before = copy.deepcopy(PATTERN)
    order = write("ct-abd-pel-w", PATTERN)
    order["reasonCode"][0]["coding"][0]["code"] = "changed"
    order["encounter"]["reference"] = "changed"
    assert before == PATTERN


def test_good_reasons_survive_bad_neighbours() -> None:
    """One damaged coding or reason takes neither the others nor their order away."""
    reasons = [
        7,
        {"coding": [{"code": "a  b"}, coding("@icd|C25.4"), None]},
        {},
        {"text": "staging"},
    ]
    order = write("ct-abd-pel-w", {"reasonCode": reasons})
    check(order)
    assert order["reasonCode"] == [{"coding": [coding("@icd|C25.4")]}, {"text": "staging"}]


# --- hostile drafts ---------------------------------------------------------------------------------------------------

_MEMBERS: Final = (
    "intent",
    "status",
    "code",
    "subject",
    "encounter",
    "requester",
    "priority",
    "reasonCode",
    "reasonReference",
)


@EACH
@pytest.mark.parametrize("name", _MEMBERS)
def test_a_wrong_type_in_any_member_is_survived(name: str, procedure: str) -> None:
    """Whatever stands in one member of the draft, the new order is valid and the rest is kept."""
    for hostile in HOSTILE:
        order = write(procedure, PATTERN | {name: hostile})
        check(order)
        assert written(order["code"]) == CODES[procedure]
        kept = {"encounter", "requester", "priority", "reasonCode", "reasonReference"} - {name}
        assert {key: order[key] for key in kept} == {key: PATTERN[key] for key in kept}


_WORDS: Final = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        [
            "",
            " ",
            "a b",
            "a  b",
            "\t",
            "x\x0by",
            "\x00",
            "é",
            "urgent",
            "STAT",
            "Patient/p2",
            "#x",
            "\u2028",
            "a\u00a0b",
        ]
    ),
)
_JSON: Final = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), _WORDS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_WORDS, inner, max_size=3)),
    max_leaves=6,
)


def _mostly(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """What belongs there, or anything."""
    return st.one_of(strategy, strategy, _JSON)


def _object(**members: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return _mostly(st.fixed_dictionaries({}, optional=members))


_CODING: Final = _object(system=_WORDS, version=_JSON, code=_WORDS, display=_WORDS, userSelected=_JSON, extension=_JSON)
_CONCEPT: Final = _object(coding=_mostly(st.lists(_CODING, max_size=3)), text=_WORDS, id=_JSON)
_REFERENCE: Final = _object(reference=_WORDS, display=_WORDS, type=_JSON, identifier=_JSON)
_DRAFT: Final = st.fixed_dictionaries(
    {},
    optional={
        "resourceType": _JSON,
        "intent": _WORDS,
        "priority": _mostly(st.sampled_from(["routine", "stat", "Urgent"])),
        "encounter": _REFERENCE,
        "requester": _REFERENCE,
        "reasonCode": _mostly(st.lists(_CONCEPT, max_size=3)),
        "reasonReference": _mostly(st.lists(_REFERENCE, max_size=3)),
        "orderDetail": _JSON,
        "code": _CONCEPT,
        "subject": _REFERENCE,
        "occurrencePeriod": _JSON,
    },
)


@settings(
    max_examples=250, deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
@given(draft=_DRAFT, procedure=st.sampled_from(sorted(CONCEPT_OF)))
@example(draft={"reasonCode": [{"text": "x\x0by"}]}, procedure="ct-abd-pel-w")
@example(draft={"requester": {"reference": "Practitioner/1", "display": "\x85"}}, procedure="ct-abd-pel-w")
def test_hostile_drafts_always_give_a_valid_order(draft: Resource, procedure: str) -> None:
    """No member of the draft, however damaged, makes the new order invalid or changes its codes."""
    order = write(procedure, draft)
    check(order)
    assert written(order["code"]) == CODES[procedure]
    assert order == write(procedure, copy.deepcopy(draft))


# --- tests that tell a fact -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fact", list(ANSWERED_BY))
def test_a_test_is_ordered_with_its_preferred_code_and_what_the_draft_says(fact: str) -> None:
    """The order is valid, carries exactly the preferred codes, all fit to be written, and reason and encounter."""
    order = suggested_test(fact, PATTERN, PATIENT, TERMS)
    check(order)
    concept = TERMS.concepts[ANSWERED_BY[fact].concept]
    assert concept.preferred is not None
    assert written(order["code"]) == {("loinc", code) for code in concept.preferred.loinc}
    assert {code.code for code in concept.codes if code.emit and code.status == "verified"} >= set(
        concept.preferred.loinc
    )
    for name in ("encounter", "requester", "priority", "reasonCode", "reasonReference"):
        assert order[name] == PATTERN[name]


def test_a_test_that_is_on_order_is_known_by_its_concept() -> None:
    """What is drafted or active for the patient is on order, whatever its code; revoked or forbidden is not."""
    creatinine, egfr = coding("@loinc|2160-0"), coding("@loinc|98979-8")
    on_order: list[Resource] = [
        {"resourceType": "ServiceRequest", "status": "active", "code": {"coding": [creatinine]}},
        {"resourceType": "ServiceRequest", "status": "revoked", "code": {"coding": [egfr]}},
        {"resourceType": "ServiceRequest", "status": "active", "doNotPerform": True, "code": {"coding": [egfr]}},
    ]
    somebody_else: Resource = {"subject": {"reference": "Patient/somebody-else"}, "status": "active"}
    on_order.append({"resourceType": "ServiceRequest", **somebody_else, "code": {"coding": [egfr]}})
    found = requested_concepts(on_order, PATIENT, TERMS)
    assert found == {"creatinine"}
    assert not ANSWERED_BY["egfr"].concepts.isdisjoint(found)
