"""Draft orders: which study each asks for, what belongs together, and what is left alone."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any, Final

import pytest

from cds_service.domain.facts import FACTS
from cds_service.domain.findings import DraftOrder
from cds_service.errors import PatientMismatch, UnsupportedFhirVersion
from cds_service.knowledge import load_knowledge
from cds_service.service import Booking
from fhir_profiles.appointments import imaging_bookings
from fhir_profiles.orders import imaging_orders, indications, planned_studies, with_history
from fhir_profiles.reading import labels
from fhir_profiles.terminology import CodeRow, load_terminology
from tests.profiles.charts import HOSTILE, PATIENT, Resource, concept, expand, patient, pnet, read, resource

TERMS: Final = load_terminology()
TEXTS: Final[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "cases" / "profiles" / "text-orders.json").read_text(encoding="utf-8")
)
URIS: Final = TERMS.uris | {"rpid": "http://radlex.org"}

KEY_OF: Final = {
    "mri-abdomen-pelvis-wo-w": "mri-abd-pel-wwo",
    "mri-abdomen-pelvis-wo": "mri-abd-pel-wo",
    "mri-abdomen-wo-w": "mri-abd-wwo",
    "mri-abdomen-wo": "mri-abd-wo",
    "ct-abdomen-pelvis-w": "ct-abd-pel-w",
    "ct-abdomen-pelvis-wo-w": "ct-abd-pel-wwo",
    "ct-abdomen-pelvis-wo": "ct-abd-pel-wo",
    "ct-chest-abdomen-pelvis-w": "ct-cap-w",
    "ct-chest-wo": "ct-chest-wo",
    "sstr-pet-ct": "pet-ct-sstr",
    "fdg-pet-ct": "pet-ct-fdg",
    "fdg-pet-ct-whole-body": "pet-ct-fdg",
    "fdopa-pet": "pet-ct-fdopa",
    "octreoscan": "srs-octreotide",
    "bone-scan": "bone-scan",
    "pet-naf-bone": "bone-scan",
    "eus": "eus",
    "eus-fna": "eus",
    "eus-lower": "eus",
    "us-abdomen": "us-abd",
    "ceus": "ceus",
    "mrcp": "mrcp",
    "mri-liver-hepatobiliary-agent": "mri-liver-hb",
    "mri-spine": "mri-spine",
    "mri-whole-body": "mri-whole-body",
    "mri-brain-wo-w": "mri-brain",
    "mri-brain-wo": "mri-brain",
    "mri-brain-w": "mri-brain",
    "ct-head": "ct-head",
    "mri-pelvis-wo-w": "mri-pelvis",
    "mri-pelvis-w": "mri-pelvis",
    "mri-pelvis-wo": "mri-pelvis",
    "mri-pelvis-nos": "mri-pelvis",
    "ct-enterography": "ct-enterography",
    "mr-enterography": "mr-enterography",
}
"""Procedure key by concept: section 5 of the fact mapping."""
CT_ABDOMEN: Final = {
    "74160": "ct-abd-w",
    "79103-8": "ct-abd-w",
    "32962002": "ct-abd-w",
    "RPID5": "ct-abd-w",
    "74150": "ct-abd-wo",
    "36424-0": "ct-abd-wo",
    "396101000119105": "ct-abd-wo",
    "RPID3": "ct-abd-wo",
    "74170": None,
    "36267-3": None,
    "41806-1": None,
}
"""CT of the abdomen, by the contrast of the single code; without-then-with has no key."""
KEYLESS: Final = {
    "36134-5": {"mr", "gadolinium", "abdominal"},
    "74182": {"mr", "gadolinium", "abdominal"},
    "24556-3": {"mr", "abdominal"},
    "97393-3": {"mr", "gadolinium", "abdominal"},
    "91524-9": {"mr", "gadolinium", "abdominal", "chest"},
    "91525-6": {"mr", "abdominal", "chest"},
    "30670-4": {"mr", "gadolinium"},
    "30669-6": {"mr"},
    "36385-3": {"mr", "gadolinium"},
    "36515-5": {"mr"},
    "44115-4": {"ionising", "abdominal"},
    "74170": {"ionising", "iodinated", "abdominal"},
    "41806-1": {"ionising", "abdominal"},
    "72193": {"ionising", "iodinated"},
    "72192": {"ionising"},
    "30614-2": {"ionising", "iodinated"},
    "30613-4": {"ionising"},
    "24815-3": {"ionising", "iodinated"},
    "71260": {"ionising", "iodinated", "chest"},
    "24627-2": {"ionising", "chest"},
    "72253-8": {"ionising", "abdominal", "chest"},
    "72252-0": {"ionising", "iodinated", "abdominal", "chest"},
    "78815": {"ionising", "chest"},
    "78816": {"ionising", "chest"},
    "78812": {"ionising"},
    "sstr-pet-mr": {"ionising", "mr", "sstr"},
    "89631-6": {"ionising"},
    "24859-1": set(),
}
"""Attributes of studies without a key, by code."""
_FALSE_FRIENDS: Final = "mr-ct-broad-false-friends"
STUDIES: Final = [
    (key, row)
    for key, entry in TERMS.concepts.items()
    for row in entry.codes
    if entry.kind == "procedure-imaging" and key != _FALSE_FRIENDS
]
CERTAIN: Final = [(key, row) for key, row in STUDIES if row.use == "alone" and row.status != "unverified"]


def order(*tokens: str, text: str = "", **members: Any) -> Resource:
    """A draft order."""
    given: Resource = {"id": "o1", "status": "draft", "intent": "order", "code": concept(*tokens, text=text)}
    return resource("ServiceRequest", **(given | members))


def found(*orders: Resource) -> tuple[DraftOrder, ...]:
    """The imaging orders among these."""
    return imaging_orders(orders, PATIENT, TERMS)


def one(*tokens: str, text: str = "", **members: Any) -> DraftOrder:
    """The single order, which must be recognised."""
    (draft,) = found(order(*tokens, text=text, **members))
    return draft


def key_of(*tokens: str, text: str = "", **members: Any) -> str | None:
    """The procedure key of an order that must be recognised."""
    return one(*tokens, text=text, **members).order.procedure


def token(row: CodeRow) -> str:
    """The row as a coding, without its display."""
    return f"@{URIS[row.system]}|{row.code}"


# --- codes ------------------------------------------------------------------------------------------------------------


def test_every_procedure_key_has_a_test() -> None:
    """The tables here speak of every key of the knowledge, by code or by text."""
    spoken = {*KEY_OF.values(), *CT_ABDOMEN.values(), *TEXTS["named"].values()} - {None}
    assert spoken == set(load_knowledge().procedures)


@pytest.mark.parametrize(("key", "row"), CERTAIN, ids=[f"{row.system} {row.code}" for _, row in CERTAIN])
def test_every_verified_code_names_its_study(key: str, row: CodeRow) -> None:
    """A code that is enough alone gives the key of its concept, or a study without one."""
    expected = CT_ABDOMEN[row.code] if key == "ct-abdomen" else KEY_OF.get(key)
    draft = one(token(row))
    assert draft.order.procedure == expected
    assert (draft.reference, draft.order.id, draft.group) == (
        "ServiceRequest/o1",
        "ServiceRequest/o1",
        ("ServiceRequest/o1",),
    )
    assert not (expected and draft.open_question)


_KEYLESS_ROWS: Final = [row for _, row in CERTAIN if row.code in KEYLESS]


@pytest.mark.parametrize("row", _KEYLESS_ROWS, ids=[row.code for row in _KEYLESS_ROWS])
def test_studies_without_a_key_have_their_attributes(row: CodeRow) -> None:
    """What matters for safety is known even of a study that is not rated."""
    draft = one(token(row))
    assert draft.order.procedure is None
    assert draft.order.attributes == frozenset(KEYLESS[row.code])
    assert draft.name


def test_every_keyless_study_has_a_test() -> None:
    """The table of attributes speaks of a code of every concept that has no key."""
    without = {
        key
        for key, row in CERTAIN
        if (CT_ABDOMEN.get(row.code, "") if key == "ct-abdomen" else KEY_OF.get(key)) is None
    }
    assert {row.code for row in _KEYLESS_ROWS} == set(KEYLESS)
    assert without <= {key for key, row in CERTAIN if row.code in KEYLESS} | {"ct-pelvis"}


_WITH_TEXT: Final = [(key, row) for key, row in STUDIES if row.use == "with-text"]


@pytest.mark.parametrize(("key", "row"), _WITH_TEXT, ids=[f"{row.system} {row.code}" for _, row in _WITH_TEXT])
def test_codes_that_need_text_have_no_key_alone(key: str, row: CodeRow) -> None:
    """An unspecific or unverified code is imaging, but of what kind stays open."""
    assert key_of(token(row)) is None, key


@pytest.mark.parametrize("code", ["@cpt|78804", "@cpt|78802", "@cpt|78803", "@loinc|81599-3", "@rpid|RPID6338"])
def test_tumour_localisation_with_pentetreotide(code: str) -> None:
    """Codes that name no agent are an octreotide scan when text or detail says so."""
    assert key_of(code, text="Octreotide scan") == "srs-octreotide"
    assert key_of(code, text="Octreoscan, In-111 pentetreotide") == "srs-octreotide"
    assert key_of(code, orderDetail=["@hcpcs|A9572"]) == "srs-octreotide"
    assert key_of(code, text="MIBG scan") is None


@pytest.mark.parametrize(
    "code", ["@cpt|76498", "@sct|113091000119100", "@cpt|76498|Unlisted magnetic resonance procedure"]
)
def test_whole_body_mri_with_text(code: str) -> None:
    """The unlisted MR procedure is a whole-body MRI when its text says so, and nothing else."""
    assert key_of(code, text="Whole-body MRI") == "mri-whole-body"
    assert key_of(code, text="MR enterography") != "mri-whole-body"
    assert key_of(code, text="MR elastography") is None


@pytest.mark.parametrize("code", ["74183", "97392-5", "41806-1"])
def test_without_a_system_only_telling_codes_count(code: str) -> None:
    """A CPT number without its system says nothing; a LOINC code does."""
    drafts = found(order(f"@|{code}"))
    assert bool(drafts) is ("-" in code)


@pytest.mark.parametrize("system", ["https://loinc.org", "http://loinc.org ", "urn:oid:2.16.840.1.113883.6.1"])
def test_orders_are_read_in_every_spelling_of_a_system(system: str) -> None:
    """Aliases of the system's address are understood."""
    draft = one(code={"coding": [{"system": system, "code": "36813-4"}]})
    assert draft.order.procedure == "ct-abd-pel-w"


# --- several codings --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tokens", "key"),
    [
        (["@loinc|36813-4", "@sct|1148701004", "@cpt|74177"], "ct-abd-pel-w"),
        (["@loinc|36813-4", "@house|CTAP1"], "ct-abd-pel-w"),
        (["@loinc|58740-2", "@cpt|74181"], "mrcp"),
        (["@sct|314635004", "@cpt|74183"], "mrcp"),
        (["@loinc|72250-4", "@cpt|74177"], "ct-enterography"),
        (["@local|mri-liver-hepatobiliary-agent", "@cpt|74183"], "mri-liver-hb"),
        (["@local|mri-liver-hepatobiliary-agent", "@loinc|30670-4", "@cpt|74183"], "mri-liver-hb"),
        (["@loinc|81554-8", "@cpt|78815"], "pet-ct-fdg"),
        (["@loinc|81555-5", "@cpt|78816"], "pet-ct-fdg"),
        (["@local|sstr-pet-ct-skull-base-mid-thigh", "@cpt|78815"], "pet-ct-sstr"),
        (["@local|fdopa-pet-ct", "@cpt|78815"], "pet-ct-fdopa"),
        (["@loinc|97392-5", "@cpt|74183", "@cpt|72197"], "mri-abd-pel-wwo"),
        (["@loinc|72254-6", "@cpt|71260", "@cpt|74177"], "ct-cap-w"),
    ],
    ids=str,
)
def test_billing_codes_beside_the_specific_one(tokens: list[str], key: str) -> None:
    """Codings that agree, or under which the study is merely billed, leave the specific study."""
    assert key_of(*tokens) == key
    assert key_of(*reversed(tokens)) == key


@pytest.mark.parametrize(
    "tokens",
    [
        ["@loinc|36813-4", "@cpt|74176"],
        ["@loinc|36813-4", "@loinc|97392-5"],
        ["@cpt|74183", "@cpt|72197"],
        ["@loinc|29252-4", "@sct|45036003"],
    ],
    ids=str,
)
def test_codings_that_disagree_are_told(tokens: list[str]) -> None:
    """When codings name different studies none is believed, and the question is asked."""
    draft = one(*tokens)
    assert draft.order.procedure is None
    assert "different studies" in draft.open_question


def test_a_pancreas_protocol_billed_as_abdomen_stays_keyless() -> None:
    """CT of the pancreas is not turned into the CT of the abdomen it is billed as."""
    draft = one("@loinc|30614-2", "@cpt|74178")
    assert draft.order.procedure is None
    assert draft.order.attributes == {"ionising", "iodinated"}


def test_a_code_goes_before_the_text() -> None:
    """Coded first, text second."""
    assert key_of("@loinc|36813-4", text="CT abdomen and pelvis without contrast") == "ct-abd-pel-w"


@pytest.mark.parametrize("code", ["@loinc|41806-1", "@loinc|44115-4", "@loinc|24556-3"])
def test_contrast_not_stated_is_asked(code: str) -> None:
    """A study without a word on contrast is named, and contrast is asked for."""
    draft = one(code)
    assert draft.order.procedure is None
    assert "contrast" in draft.open_question


# --- PET/CT and its tracer --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["@cpt|78815", "@cpt|78816"])
@pytest.mark.parametrize(
    ("detail", "key"),
    [
        ("@hcpcs|A9552", "pet-ct-fdg"),
        ("@sct|35321007", "pet-ct-fdg"),
        ("@sct|724025002", "pet-ct-sstr"),
        ("@hcpcs|A9587", "pet-ct-sstr"),
        ("@sct|5811000122108", "pet-ct-fdopa"),
    ],
)
def test_a_tracer_in_the_detail_names_the_study(code: str, detail: str, key: str) -> None:
    """PET/CT with a coded tracer, whatever the field of view."""
    assert key_of(code, orderDetail=[detail]) == key


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("PET/CT with Ga-68 DOTATATE", "pet-ct-sstr"),
        ("68Ga-DOTATOC PET/CT", "pet-ct-sstr"),
        ("SSTR PET/CT", "pet-ct-sstr"),
        ("FDG PET/CT skull base to mid-thigh", "pet-ct-fdg"),
        ("F-18 DOPA PET/CT", "pet-ct-fdopa"),
    ],
)
def test_a_tracer_in_words_names_the_study(text: str, key: str) -> None:
    """In the order's text or in a detail."""
    assert key_of("@cpt|78815", text=text) == key
    assert key_of("@cpt|78815", orderDetail=[{"text": text}]) == key
    assert key_of("@cpt|78815", text="PET/CT", orderDetail=[{"text": "PET/CT"}, {"text": text}]) == key


@pytest.mark.parametrize("code", ["@cpt|78815", "@cpt|78816", "@cpt|78812", "@sct|450436003"])
def test_without_a_tracer_it_is_asked_for(code: str) -> None:
    """PET/CT that names no tracer is "tracer not stated"."""
    draft = one(code)
    assert (draft.order.procedure, draft.order.modality) == (None, "pet-ct")
    assert "ionising" in draft.order.attributes
    assert "tracer" in draft.open_question


def test_two_tracers_leave_it_open() -> None:
    """FDG and DOTATATE in one order are not one study."""
    draft = one("@cpt|78815", orderDetail=["@hcpcs|A9552", "@hcpcs|A9587"])
    assert draft.order.procedure is None
    assert "tracer" in draft.open_question
    assert key_of("@cpt|78815", text="FDG or DOTATATE PET/CT") is None


@pytest.mark.parametrize("code", ["A9592", "C9067"])
def test_an_unverified_tracer_counts_with_its_text_only(code: str) -> None:
    """Tracer codes nobody could confirm need their name beside them."""
    assert key_of("@cpt|78815", orderDetail=[f"@hcpcs|{code}"]) is None
    assert key_of("@cpt|78815", orderDetail=[f"@hcpcs|{code}|Dotatate, PET tracer"]) == "pet-ct-sstr"


def test_another_tracer_is_not_asked_for_again() -> None:
    """A tracer that was stated, and is none of ours, is no open question."""
    draft = one("@cpt|78815", orderDetail=["@hcpcs|A9593"])
    assert (draft.order.procedure, draft.open_question) == (None, "")


# --- two orders that are one study ------------------------------------------------------------------------------------

PAIRS: Final = {
    "mri-abd-pel-wwo": ("@cpt|74183", "@cpt|72197"),
    "mri-abd-pel-wo": ("@cpt|74181", "@cpt|72195"),
    "ct-cap-w": ("@cpt|71260", "@cpt|74177"),
}
_ONE: Final = {"system": "https://ehr.example.org/requisitions", "value": "r-1"}
_TWO: Final = {"system": "https://ehr.example.org/requisitions", "value": "r-2"}
_OTHER: Final = {"system": "https://lab.example.org/requisitions", "value": "r-1"}


def pair(tokens: tuple[str, str], first: Resource | None, second: Resource | None) -> tuple[DraftOrder, ...]:
    """Two orders, each under a requisition or none."""
    return found(
        order(tokens[0], id="a", requisition=first),
        order(tokens[1], id="b", requisition=second),
    )


@pytest.mark.parametrize(("key", "tokens"), PAIRS.items())
def test_orders_under_one_requisition_are_one_study(key: str, tokens: tuple[str, str]) -> None:
    """Both carry the joint key and name each other, in whichever order they come."""
    for given in (tokens, (tokens[1], tokens[0])):
        drafts = pair(given, _ONE, dict(_ONE))
        assert [draft.order.procedure for draft in drafts] == [key, key]
        assert {draft.group for draft in drafts} == {("ServiceRequest/a", "ServiceRequest/b")}
        assert [draft.reference for draft in drafts] == ["ServiceRequest/a", "ServiceRequest/b"]


@pytest.mark.parametrize(
    ("first", "second"),
    [(None, None), (_ONE, None), (_ONE, _TWO), (_ONE, _OTHER), ({"system": "x"}, {"system": "x"})],
    ids=["none", "one only", "different", "of another system", "without values"],
)
@pytest.mark.parametrize("tokens", PAIRS.values(), ids=list(PAIRS))
def test_without_a_shared_requisition_they_are_two(
    tokens: tuple[str, str], first: Resource | None, second: Resource | None
) -> None:
    """Orders that nothing links stay what each of them says."""
    drafts = pair(tokens, first, second)
    assert [draft.order.procedure for draft in drafts] == [key_of(code) for code in tokens]
    assert [len(draft.group) for draft in drafts] == [1, 1]


def test_contrast_must_be_the_same_in_both() -> None:
    """Abdomen with and pelvis without contrast are no joint study."""
    drafts = pair(("@cpt|74183", "@cpt|72195"), _ONE, _ONE)
    assert [draft.order.procedure for draft in drafts] == ["mri-abd-wwo", "mri-pelvis"]


def test_a_pair_leaves_other_orders_of_the_requisition_alone() -> None:
    """A third order under the same requisition keeps its own key; two pairs do not mix."""
    drafts = found(
        order("@cpt|74183", id="a", requisition=_ONE),
        order("@cpt|71250", id="b", requisition=_ONE),
        order("@cpt|72197", id="c", requisition=_ONE),
        order("@cpt|72197", id="d", requisition=_TWO),
        order("@cpt|74183", id="e", requisition=_TWO),
    )
    assert [draft.order.procedure for draft in drafts] == [
        "mri-abd-pel-wwo",
        "ct-chest-wo",
        "mri-abd-pel-wwo",
        "mri-abd-pel-wwo",
        "mri-abd-pel-wwo",
    ]
    groups = [{reference.rpartition("/")[2] for reference in draft.group} for draft in drafts]
    assert groups == [{"a", "c"}, {"b"}, {"a", "c"}, {"d", "e"}, {"d", "e"}]


def test_linked_orders_may_be_coded_otherwise() -> None:
    """LOINC codes of abdomen and pelvis are a pair as CPT codes are."""
    drafts = pair(("@loinc|24557-1", "@loinc|30674-6"), _ONE, _ONE)
    assert [draft.order.procedure for draft in drafts] == ["mri-abd-pel-wwo", "mri-abd-pel-wwo"]


# --- text only --------------------------------------------------------------------------------------------------------

_LABELS: Final = [(name, label.procedure) for label in labels().study for name in label.names]


@pytest.mark.parametrize(("name", "key"), _LABELS, ids=[name for name, _ in _LABELS])
def test_every_reviewed_name_is_understood(name: str, key: str) -> None:
    """Reviewed names give their key in any case and with any punctuation, also behind a code of the house."""
    assert key_of(text=name) == key
    assert key_of(text=f"  {name.upper()}. ") == key
    assert key_of("@house|4711|RAD4711", text=name) == key


@pytest.mark.parametrize(("text", "key"), TEXTS["named"].items())
def test_names_people_use(text: str, key: str) -> None:
    """Spellings as clinicians and catalogues write them."""
    draft = one(text=text)
    assert (draft.order.procedure, draft.open_question, draft.name) == (key, "", text)
    assert key_of("@house|4711|Imaging order 4711", text=text) == key


def test_a_name_may_stand_in_the_display() -> None:
    """A code of the house is read by its display."""
    assert key_of("@house|4711|CT abdomen and pelvis with contrast") == "ct-abd-pel-w"


@pytest.mark.parametrize(("text", "expected"), TEXTS["recognised"].items())
def test_other_imaging_is_recognised(text: str, expected: list[Any]) -> None:
    """Abdominal imaging whose name is not reviewed has no key, but its modality, attributes and open question."""
    modality, found_attributes, question = expected
    draft = one(text=text)
    assert draft.order.procedure is None
    assert sorted(draft.order.attributes) == found_attributes
    assert draft.order.modality == modality
    assert (question in draft.open_question) if question else not draft.open_question


@pytest.mark.parametrize(("text", "expected"), TEXTS["elsewhere"].items())
def test_studies_of_other_regions_that_have_keys_are_recognised(text: str, expected: list[str]) -> None:
    """Chest, head, brain and spine are imaging the coded orders know: contrast and radiation matter in words too."""
    drafts = found(order(text=text))
    assert len(drafts) == 1
    procedure = load_knowledge().procedures.get(drafts[0].order.procedure or "")
    known = procedure.attributes if procedure else drafts[0].order.attributes
    assert set(expected) <= known | drafts[0].order.attributes


@pytest.mark.parametrize("text", TEXTS["left_alone"])
def test_other_orders_are_left_alone(text: str) -> None:
    """What is no imaging study of interest is none of our business."""
    assert found(order(text=text)) == ()


@pytest.mark.parametrize(
    "given",
    [
        order("@loinc|24323-8|Comprehensive metabolic panel"),
        order("@cpt|47000|Needle biopsy of liver"),
        order("@sct|116241004|Pancreaticoduodenectomy"),
        order("@loinc|88931-1"),
        order(code=None),
        order(code={}),
        order(code={"coding": []}),
        resource("MedicationRequest", status="draft", intent="order", medicationCodeableConcept="@rxnorm|68092"),
        resource("Condition", code="@icd|C25.4"),
    ],
    ids=lambda given: json.dumps(given.get("code", given["resourceType"]))[:60],
)
def test_other_coded_orders_are_left_alone(given: Resource) -> None:
    """Laboratory, operations, medicines, empty codes."""
    assert found(given) == ()


@pytest.mark.parametrize(
    "members", [{"status": "revoked"}, {"status": "entered-in-error"}, {"status": "completed"}, {"doNotPerform": True}]
)
def test_orders_that_will_not_be_done_are_left_alone(members: Resource) -> None:
    """Revoked, mistaken and finished orders, and orders not to do something."""
    assert found(order("@loinc|36813-4", **members)) == ()
    assert found(order("@loinc|36813-4", status="DRAFT", doNotPerform=False))


# --- patient, version, damage -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "subject", ["Patient/p2", "https://ehr.example.org/fhir/Patient/p11", "Group/p1", "urn:uuid:1"]
)
def test_an_order_for_another_patient_is_refused(subject: str) -> None:
    """One call is about one patient; the error names neither of them."""
    with pytest.raises(PatientMismatch) as error:
        found(order("@loinc|36813-4", subject={"reference": subject}))
    assert subject not in str(error.value)


@pytest.mark.parametrize(
    "subject",
    [
        {"reference": "https://ehr.example.org/fhir/Patient/p1"},
        {"reference": "Patient/p1/_history/2"},
        {"reference": "urn:uuid:p1"},
        None,
        {"display": "x"},
    ],
)
def test_every_spelling_of_the_patient_is_understood(subject: Resource | None) -> None:
    """Absolute, versioned or left out."""
    assert len(found(order("@loinc|36813-4", subject=subject))) == 1


@pytest.mark.parametrize("kind", ["ProcedureRequest", "DiagnosticOrder", "ReferralRequest", "MedicationOrder"])
def test_orders_of_older_versions_are_refused(kind: str) -> None:
    """A type R4 does not have is an error, not an order to ignore."""
    with pytest.raises(UnsupportedFhirVersion, match=kind):
        found(order("@loinc|36813-4", resourceType=kind))


@pytest.mark.parametrize(
    "name",
    [
        "id",
        "status",
        "intent",
        "code",
        "subject",
        "requisition",
        "orderDetail",
        "reasonCode",
        "bodySite",
        "doNotPerform",
    ],
)
def test_damaged_members_are_survived(name: str) -> None:
    """A wrong type in any member raises nothing but what is meant."""
    for hostile in HOSTILE:
        good = order("@cpt|74177", text="CT", requisition=_ONE, reasonCode=["@icd|C25.4"])
        drafts = found(good | {name: hostile}, order("@cpt|71260", id="b", requisition=_ONE))
        assert drafts[-1].reference == "ServiceRequest/b"
        assert isinstance(indications(drafts, TERMS), list)


def test_an_order_without_an_id_is_still_read() -> None:
    """EHRs send drafts that were never stored."""
    draft = one("@loinc|36813-4", id=None)
    assert (draft.reference, draft.order.procedure) == ("", "ct-abd-pel-w")


# --- intent, indication, history --------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", FACTS["order_intent"].words)
def test_the_intent_is_read_from_the_reason(word: str) -> None:
    """A word of the local code system in any reason."""
    reasons = [concept("@icd|C25.4"), concept("@house|1", f"@local|{word}")]
    assert one("@loinc|36813-4", reasonCode=reasons).order.intent == word


def test_the_intent_is_read_from_the_plain_address_too() -> None:
    """http and https mean the same code system."""
    system = TERMS.uris["local"].replace("https", "http")
    reason = {"coding": [{"system": system, "code": "follow-up"}]}
    assert one("@loinc|36813-4", reasonCode=[reason]).order.intent == "follow-up"


@pytest.mark.parametrize(
    "reason",
    ["@local|curiosity", "@house|follow-up", "@|follow-up", {"text": "follow-up"}, {"coding": ["@local|"]}],
    ids=str,
)
def test_other_reasons_give_no_intent(reason: object) -> None:
    """Unknown words, other systems and mere text leave the intent open."""
    assert one("@loinc|36813-4", reasonCode=[reason]).order.intent is None


def test_the_intent_belongs_to_its_order() -> None:
    """Two orders of one call keep their own intents."""
    drafts = found(
        order("@loinc|36813-4", id="a", reasonCode=["@local|follow-up"]),
        order("@loinc|97392-5", id="b", reasonCode=["@local|local-staging"]),
        order("@loinc|29252-4", id="c"),
    )
    assert [draft.order.intent for draft in drafts] == ["follow-up", "local-staging", None]


def test_an_indication_makes_the_tumour_suspected() -> None:
    """PM-002: a tumour named only as the reason of an order is suspected, and cites the order."""
    drafts = found(order("@loinc|36813-4", reasonCode=["@icd|C25.4"], authoredOn="2026-11-20"))
    chart = read(patient(), indications=indications(drafts, TERMS))
    assert (chart.facts.nen_status, chart.facts.primary_site) == ("highly-suspected", "pancreas")
    assert chart.evidence["nen_status"][0].source == "ServiceRequest/o1"


def test_an_indication_does_not_date_the_diagnosis() -> None:
    """The year of an order is not the year of a diagnosis."""
    drafts = found(order("@loinc|36813-4", reasonCode=["@icd|C25.4"], authoredOn="2026-11-20"))
    assert read(patient(), indications=indications(drafts, TERMS)).facts.diagnosis_year is None
    undated = pnet(recordedDate=None)
    assert read(patient(), undated, indications=indications(drafts, TERMS)).facts.diagnosis_year is None


def test_an_indication_loses_to_the_record_and_is_told() -> None:
    """A reason at another site loses to the tumour on record, which stays confirmed; the difference is not hidden."""
    drafts = found(order("@loinc|36813-4", reasonCode=["@icd|C7A.012"], authoredOn="2026-11-20"))
    chart = read(patient(), pnet(), indications=indications(drafts, TERMS))
    assert (chart.facts.nen_status, chart.facts.primary_site) == ("confirmed", "pancreas")
    assert [(item.fact, item.value) for item in chart.alternatives] == [("primary_site", "jejunum-ileum")]


@pytest.mark.parametrize(
    "reason", ["@icd|R10.9", "@sct|94354002", "@icd|C78.7", {"text": "Neuroendocrine tumour?"}], ids=str
)
def test_other_reasons_are_no_indication(reason: object) -> None:
    """Pain, another cancer, text: no tumour is read into them."""
    assert indications(found(order("@loinc|36813-4", reasonCode=[reason])), TERMS) == []


def test_days_since_the_same_study_travel_with_the_order() -> None:
    """Each order learns when its own study was last done."""
    drafts = with_history(found(order("@loinc|36813-4", id="a"), order("@cpt|78815", id="b")), {"ct-abd-pel-w": 12.0})
    assert [draft.order.days_since_same_procedure for draft in drafts] == [12.0, None]


def test_imaging_on_order_is_known_by_its_key() -> None:
    """Active orders count as planned; drafts, finished ones, other services and other patients' orders do not."""
    orders = [
        order("@loinc|36813-4", status="active"),
        order("@loinc|97392-5", status="draft"),
        order("@loinc|29252-4", status="completed"),
        order(text="EUS", status="active"),
        order(text="Physiotherapy", status="active"),
        order("@cpt|78815", status="active"),
        order("@loinc|97392-5", status="active", subject={"reference": "Patient/someone-else"}),
    ]
    assert planned_studies(orders, "p1", TERMS) == {"ct-abd-pel-w", "eus"}


# --- appointments -----------------------------------------------------------------------------------------------------


def booked(*orders: Resource, **members: Any) -> tuple[Booking, ...]:
    """The imaging among one proposed appointment, in a chart with these orders."""
    given: Resource = {"id": "a1", "status": "proposed", "start": "2026-12-01T09:00:00Z"} | members
    chart = {item["id"]: item for item in orders}
    return imaging_bookings([{"resourceType": "Appointment", **expand(given)}], "p1", chart, TERMS)


@pytest.mark.parametrize(
    "members",
    [
        {"serviceType": ["@loinc|36813-4"]},
        {"serviceType": [{"text": "CT abdomen and pelvis with contrast"}]},
        {"basedOn": [{"reference": "ServiceRequest/o1"}]},
        {"description": "CT abdomen and pelvis with contrast"},
        {
            "serviceType": [{"text": "Radiology"}],
            "basedOn": [{"reference": "https://ehr.example.org/fhir/ServiceRequest/o1"}],
        },
    ],
    ids=str,
)
def test_an_appointment_says_its_study(members: Resource) -> None:
    """By service type, by the order behind it, or by its description."""
    (booking,) = booked(order("@loinc|36813-4"), **members)
    assert (booking.reference, booking.procedure) == ("Appointment/a1", "ct-abd-pel-w")
    assert booking.starts == date(2026, 12, 1)


def test_an_appointment_knows_the_tracer_of_its_order() -> None:
    """The detail of the order behind it counts as it does for the order itself."""
    behind = order("@cpt|78815", orderDetail=["@hcpcs|A9587"])
    (booking,) = booked(behind, basedOn=[{"reference": "ServiceRequest/o1"}])
    assert booking.procedure == "pet-ct-sstr"


@pytest.mark.parametrize(
    ("when", "starts"),
    [
        ({"start": "2026-12-01T09:00:00Z"}, date(2026, 12, 1)),
        ({"start": None, "requestedPeriod": [{"start": "2027-01-05", "end": "2027-01-20"}]}, date(2027, 1, 5)),
        ({"start": None, "requestedPeriod": [{"start": "2027-01"}]}, None),
        ({"start": None}, None),
        ({"start": "soon"}, None),
    ],
    ids=str,
)
def test_an_appointment_begins_on_a_known_day(when: Resource, starts: date | None) -> None:
    """The start, else the start of the requested period, where the day is known."""
    (booking,) = booked(serviceType=["@loinc|36813-4"], **when)
    assert booking.starts == starts


@pytest.mark.parametrize(
    "members",
    [
        {"status": "cancelled", "serviceType": ["@loinc|36813-4"]},
        {"status": "fulfilled", "serviceType": ["@loinc|36813-4"]},
        {"serviceType": [{"text": "Physiotherapy"}]},
        {"basedOn": [{"reference": "ServiceRequest/unknown"}]},
        {"serviceType": 7, "basedOn": "x", "description": ["y"]},
        {},
    ],
    ids=str,
)
def test_other_appointments_are_left_alone(members: Resource) -> None:
    """Cancelled ones, other services, and damage."""
    assert booked(order("@loinc|36813-4"), **members) == ()


def actor(reference: str) -> Resource:
    """A participant of an appointment."""
    return {"actor": {"reference": reference}, "status": "tentative"}


def test_an_appointment_for_another_patient_is_refused() -> None:
    """CH-076: an imaging appointment that names patients, but not the one of the call, is about somebody else."""
    imaging: Resource = {"serviceType": ["@loinc|36813-4"]}
    others = [actor("Location/ct"), actor("https://ehr.example.org/fhir/Patient/p2")]
    with pytest.raises(PatientMismatch) as error:
        booked(**imaging, participant=others)
    assert "p2" not in str(error.value)
    assert booked(serviceType=[{"text": "Physiotherapy"}], participant=others) == ()
    for participant in ([], [actor("Location/ct")], [*others, actor("Patient/p1")], ["x", {"actor": 7}]):
        assert booked(**imaging, participant=participant)
