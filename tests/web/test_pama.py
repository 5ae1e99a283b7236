"""Ratings recorded on orders: the system actions of order-sign and order-select, as a client receives them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from fhir.resources.R4B import get_fhir_model_class
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from structlog.testing import capture_logs

from cds_service.errors import SiteError, StoreError
from cds_service.store.base import ConsultRecord, Waiting
from cds_service.store.connect import open_engine
from cds_service.store.tables import consult
from fhir_profiles.pama import CONSULT, CRITERION, NOT_QUALIFIED, QCDSM, RATING
from tests.calling import (
    Answer,
    InProcess,
    MakeApp,
    OverHttp,
    Service,
    assessment,
    drafts,
    encoded,
    entries,
    post,
    synthetic_request,
    without_ids,
)
from tests.validity import assert_valid_response, without_rating

Json = Any
Advertised = dict[str, dict[str, str]]
PAMA: Final = "http://fhir.org/argonaut/CodeSystem/pama-rating"
LOCAL: Final = "https://pnet-cds.example.org/fhir/CodeSystem/pnet-cds-local"
URN: Final = re.compile(r"urn:uuid:([0-9a-f-]{36})")
STAGING: Final = "incidental-tail-lesion"
PAIR: Final = "tail-lesion-contrast-mri"
TREATED: Final = "liver-dominant-after-tace"


def answered(service: Service, request: Json, hook: str = "order-sign") -> Json:
    """The valid answer to a call."""
    return assert_valid_response(post(service, hook, request), request)


def rated(body: Json) -> dict[str, Json]:
    """The rated orders of an answer by id."""
    return {action["resource"]["id"]: action["resource"] for action in body.get("systemActions", [])}


def value(order: Json, url: str) -> Json:
    """The value of the one extension with this URL; None without one."""
    found = [item for item in order.get("extension", []) if item["url"] == url]
    assert len(found) <= 1, f"{url} is there {len(found)} times"
    return next((item[name] for item in found for name in item if name != "url"), None)


def codes(order: Json) -> tuple[str, ...]:
    """The PAMA code of an order and, behind it, the category."""
    codings = value(order, RATING)["coding"]
    assert [coding["system"] for coding in codings] == [PAMA, LOCAL][: len(codings)]
    return tuple(coding["code"] for coding in codings)


def imaging(text: str, number: str = "added", **members: Json) -> Json:
    """A draft ordered as text."""
    return {
        "resourceType": "ServiceRequest",
        "id": number,
        "status": "draft",
        "intent": "order",
        "code": {"text": text},
        "subject": {"reference": "Patient/itl-patient"},
        **members,
    }


def ordered(request: Json, *orders: Json) -> Json:
    """The call with other draft orders."""
    request["context"]["draftOrders"]["entry"] = [{"resource": order} for order in orders]
    return request


@pytest.fixture
def call(advertised: Advertised) -> Json:
    """Staging of a new tumour: an endoscopic ultrasound is about to be signed."""
    return synthetic_request(STAGING, "order-sign", advertised)


# --- what is recorded -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("MRI abdomen and pelvis without and with IV contrast", ("appropriate", "usually-appropriate")),
        ("FDG PET/CT", ("appropriate", "may-be-appropriate")),
        ("Endoscopic ultrasound of the pancreas", ("not-appropriate", "usually-not-appropriate")),
        ("MRI abdomen with contrast", ("no-criteria-apply",)),
    ],
)
def test_each_category_has_its_code_and_stands_beside_it(
    text: str, expected: tuple[str, ...], live: OverHttp, call: Json
) -> None:
    """PM-004, PM-006, PM-002: one PAMA code; the reported category, where there is one, as a coding
    of our own system.
    """
    order = rated(answered(live, ordered(call, imaging(text))))["added"]
    assert codes(order) == expected
    criterion = value(order, CRITERION)
    assert bool(criterion) is (expected[0] != "no-criteria-apply")
    assert criterion is None or re.search(r"/guideline/rules/R01-\d+$", criterion)
    get_fhir_model_class("ServiceRequest").model_validate(order)


def test_the_text_says_who_reports_the_rating(live: OverHttp, call: Json) -> None:
    """A code alone would hide that the rating is restated."""
    text = value(rated(answered(live, call))["itl-sr-eus"], RATING)["text"]
    assert text.startswith("Usually not appropriate, as reported by ")


def test_a_limitation_travels_with_the_rating(live: OverHttp, advertised: Advertised) -> None:
    """RAT-06: the scenarios were written for well-differentiated tumours, and the order says so."""
    body = answered(live, synthetic_request("pancreatic-nec", "order-sign", advertised))
    (order,) = rated(body).values()
    assert "with limitations" in value(order, RATING)["text"]


def test_criteria_for_sstr_pet_are_recorded_without_a_category(live: OverHttp, advertised: Advertised) -> None:
    """RAT-08: appropriate by criteria of their own, which are no ACR-style category; the text says whose they are."""
    request = synthetic_request("suspected-insulinoma", "order-sign", advertised)
    (order,) = rated(answered(live, request)).values()
    assert codes(order) == ("appropriate",)
    assert value(order, CRITERION).endswith("/AUC-06")
    assert "no ACR-style category, as reported by" in value(order, RATING)["text"]


def test_the_consult_id_is_the_one_in_the_store(make_app: MakeApp, tmp_path: Path, call: Json) -> None:
    """PM-009: unique per call, and the handle under which the call is recorded."""
    address = f"sqlite:///{tmp_path / 'consults.sqlite'}"
    service = InProcess(make_app(database_url=address, store_mode="strict"))
    ids = []
    for _ in range(2):
        found = URN.fullmatch(value(rated(answered(service, call))["itl-sr-eus"], CONSULT))
        assert found is not None
        ids.append(found[1])
    engine = open_engine(address)
    with engine.connect() as connection:
        assert set(ids) == set(connection.scalars(select(consult.c.id)))
    engine.dispose()
    assert len(set(ids)) == 2


def test_two_drafts_of_one_study_and_another_study_each_get_their_rating(
    live: OverHttp, advertised: Advertised
) -> None:
    """PM-002: a CPT pair is one study on two orders; a second study in the same call has its own rating; one consult
    id.
    """
    request = synthetic_request(PAIR, "order-sign", advertised)
    subject = drafts(request)[0]["subject"]
    ordered(request, *drafts(request), imaging("Endoscopic ultrasound of the pancreas", subject=subject))
    found = rated(answered(live, request))
    assert {key: codes(order)[0] for key, order in found.items()} == {
        "tlm-sr-mri-abdomen": "appropriate",
        "tlm-sr-mri-pelvis": "appropriate",
        "added": "not-appropriate",
    }
    assert len({value(order, CONSULT) for order in found.values()}) == 1


def test_an_order_blocked_for_safety_keeps_its_rating(live: OverHttp, advertised: Advertised) -> None:
    """SAF-20: the rating stays visible beside the card that warns."""
    body = answered(live, synthetic_request("pacemaker-mri", "order-sign", advertised))
    assert [card["indicator"] for card in body["cards"]] == ["critical"]
    assert [codes(order)[0] for order in rated(body).values()] == ["appropriate"]


def test_a_good_order_is_rated_in_silence(live: OverHttp, advertised: Advertised) -> None:
    """CH-117: what is recorded is not said again on a card."""
    body = answered(live, synthetic_request(PAIR, "order-sign", advertised))
    assert body["cards"] == []
    assert len(rated(body)) == 2


def test_the_assessment_shows_what_is_recorded(live: OverHttp, call: Json) -> None:
    """The same code in the assessment object, with the row of the mapping."""
    (order,) = assessment(post(live, "order-sign", call))["orders"]
    assert order["pama"] == {"rating": "not-appropriate", "rule": "PAM-04"}


def test_the_suggested_order_is_rated_already(live: OverHttp, call: Json) -> None:
    """PM-013: with the same consult id, and the rating that the next call will give it."""
    body = answered(live, call)
    actions = body["cards"][0]["suggestions"][0]["actions"]
    (created,) = [action["resource"] for action in actions if action["type"] == "create"]
    assert codes(created) == ("appropriate", "usually-appropriate")
    assert value(created, CONSULT) == value(rated(body)["itl-sr-eus"], CONSULT)
    again = rated(answered(live, ordered(call, {**created, "id": "taken"})))["taken"]
    assert without_ids(again) == without_ids({**created, "id": "taken"})


# --- nothing else changes ---------------------------------------------------------------------------------------------


def test_earlier_ratings_are_replaced(live: OverHttp, call: Json) -> None:
    """PM-011: all four extensions, repeated ones and those of another service included."""
    other = {"url": "https://ehr.example.org/room", "valueString": "CT1"}
    earlier = [
        {"url": RATING, "valueCodeableConcept": {"coding": [{"system": PAMA, "code": "appropriate"}]}},
        {"url": CONSULT, "valueUri": "urn:uuid:00000000-0000-4000-8000-000000000000"},
        {"url": QCDSM, "valueString": "G-OTHER"},
        other,
        {"url": CONSULT, "valueUri": "urn:uuid:00000000-0000-4000-8000-000000000001"},
        {"url": CRITERION, "valueUri": "https://other.example.org/17"},
        {"url": RATING, "valueCodeableConcept": {"coding": [{"system": PAMA, "code": "no-guidelines-apply"}]}},
    ]
    drafts(call)[0]["extension"] = earlier
    order = rated(answered(live, call))["itl-sr-eus"]
    assert [item["url"] for item in order["extension"]] == [other["url"], RATING, QCDSM, CONSULT, CRITERION]
    assert codes(order)[0] == "not-appropriate"
    assert value(order, QCDSM) == NOT_QUALIFIED


@pytest.mark.parametrize("slug", [STAGING, PAIR, "ileal-net-liver-metastases"])
def test_rating_a_rated_order_changes_the_consult_id_alone(slug: str, live: OverHttp, advertised: Advertised) -> None:
    """PM-011: on re-evaluation nothing piles up and nothing moves."""
    request = synthetic_request(slug, "order-sign", advertised)
    first = rated(answered(live, request))
    second = rated(answered(live, ordered(request, *first.values())))
    assert first
    assert list(without_ids(first).items()) == list(without_ids(second).items())
    assert all(list(first[key]) == list(second[key]) for key in first)


def _exact(text: bytes) -> Json:
    """JSON with members in order and numbers as they are written."""
    return json.loads(text, object_pairs_hook=list, parse_float=_Number, parse_int=_Number)


class _Number(str):
    """A number as it is written."""

    __slots__ = ()


_NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?", fullmatch=True)
_SCALARS = st.one_of(st.sampled_from(["null", "true", "false"]), _NUMBERS, st.text(max_size=20).map(json.dumps))
_NAMES = st.text(min_size=1, max_size=12)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda items: f"[{', '.join(items)}]"),
        st.dictionaries(_NAMES, inner, max_size=4).map(
            lambda items: "{" + " ,".join(f"{json.dumps(name)}: {item}" for name, item in items.items()) + "}"
        ),
    ),
    max_leaves=12,
)
"""JSON as text, so that the spelling of numbers is kept."""


@settings(deadline=None, max_examples=60)
@given(members=st.dictionaries(_NAMES.map(lambda name: f"org.example.{name}"), _VALUES, max_size=5), extension=_VALUES)
def test_everything_else_is_kept_to_the_letter(
    local: InProcess, advertised: Advertised, members: dict[str, str], extension: str
) -> None:
    """CH-099, PM-007: unknown members and extensions of any shape come back as they were, in order, numbers with all
    their digits.
    """
    call = synthetic_request(STAGING, "order-sign", advertised)
    foreign = f'{{"url": "https://ehr.example.org/any", "valueDecimal": 1.50, "any": {extension}}}'
    own = encoded(drafts(call)[0])[1:-1].decode()
    more = "".join(f", {json.dumps(name)}: {text}" for name, text in members.items())
    written = f'{{"extension": [{foreign}], {own}{more}, "quantityQuantity": {{"value": 2.00}}}}'.encode()
    ordered(call, "@")
    answer = post(local, "order-sign", encoded(call).replace(b'"@"', written))
    resource = _updated(answer)
    assert answer.status == 200
    assert [pair for pair in resource if pair[0] != "extension"] == [
        pair for pair in _exact(written) if pair[0] != "extension"
    ]
    assert [name for name, _ in resource] == [name for name, _ in _exact(written)]
    assert dict(resource)["extension"][0] == _exact(foreign.encode())


def _updated(answer: Answer) -> list[tuple[str, Json]]:
    """The one updated resource of an answer, exactly."""
    (action,) = dict(_exact(answer.body))["systemActions"]
    found: list[tuple[str, Json]] = dict(action)["resource"]
    return found


def test_bytes_are_kept(live: OverHttp, call: Json) -> None:
    """CH-099: each member goes back as the bytes it came in as: spaces, escapes and digits."""
    odd = rb'{"a"  : [1.50,  -0.0, 1E2, 12345678901234567890.10], "b":"\u00e9\/"}'
    drafts(call)[0]["org.example.odd"] = "@"
    answer = post(live, "order-sign", encoded(call).replace(b'"@"', odd))
    assert odd in answer.body


# --- no rating --------------------------------------------------------------------------------------------------------


def _nameless_site(call: Json) -> None:
    """The diagnosis without a primary site (SCN-12)."""
    for name in ("conditions", "laboratory", "imagingResults", "procedures", "reports"):
        call["prefetch"][name] = None
    code = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "C7A.8"}]}
    subject = {"reference": "Patient/itl-patient"}
    condition = {"resourceType": "Condition", "id": "c", "code": code, "subject": subject}
    call["prefetch"]["conditions"] = {"resourceType": "Bundle", "entry": [{"resource": condition}]}
    del drafts(call)[0]["reasonCode"]


def _undetermined(call: Json) -> None:
    """Treated, and nobody says where most of the disease is; CT is rated differently in the two tables (RAT-04)."""
    subject = {"reference": "Patient/itl-patient"}
    ordered(call, imaging("CT abdomen and pelvis with contrast"))
    given = {
        "resourceType": "Observation",
        "id": "treated",
        "status": "final",
        "code": {"coding": [{"system": LOCAL, "code": "prior-treatments"}]},
        "valueCodeableConcept": {"coding": [{"system": LOCAL, "code": "prrt"}]},
        "effectiveDateTime": "2026-09-01",
        "subject": subject,
    }
    entries(call, "laboratory").append({"resource": given})


def _tracer(call: Json) -> None:
    """PET/CT without its tracer."""
    code = {"coding": [{"system": "http://www.ama-assn.org/go/cpt", "code": "78815"}]}
    ordered(call, imaging("", code=code))


def _unreadable(call: Json) -> None:
    """The treatments are there and cannot be read."""
    call["prefetch"]["procedures"] = {"resourceType": "OperationOutcome", "issue": [{"severity": "error"}]}


def _not_sent(call: Json) -> None:
    """The EHR does not send what was done before."""
    del call["prefetch"]["procedures"]


@pytest.mark.parametrize("change", [_nameless_site, _undetermined, _tracer, _unreadable, _not_sent])
def test_where_information_does_not_suffice_a_card_says_so_instead(
    change: Callable[[Json], None], live: OverHttp, call: Json
) -> None:
    """PM-005, CH-049: 200, nothing recorded, and a card with what settles it."""
    change(call)
    body = answered(live, call)
    assert rated(body) == {}
    (card,) = body["cards"]
    assert "No rating is recorded on the order until this is settled" in card["detail"]
    (order,) = body["extension"]["org.pnet-cds.assessment"]["orders"]
    assert order["pama"]["rule"] == "PAM-06"
    assert "rating" not in order["pama"]


@pytest.mark.parametrize("slug", ["pancreatic-adenocarcinoma"])
def test_other_patients_get_no_rating(slug: str, live: OverHttp, advertised: Advertised) -> None:
    """PM-003: out of scope there is neither rating nor noise."""
    assert answered(live, synthetic_request(slug, "order-sign", advertised)) == {"cards": []}


def test_orders_that_are_no_imaging_are_left_alone(live: OverHttp, call: Json) -> None:
    """CH-169: a blood count beside the study is none of our business."""
    ordered(call, *drafts(call), imaging("Complete blood count"))
    assert set(rated(answered(live, call))) == {"itl-sr-eus"}


@pytest.mark.parametrize("name", ["id", "status", "intent", "subject"])
def test_an_incomplete_draft_is_not_updated(name: str, live: OverHttp, local: InProcess, call: Json) -> None:
    """What is no R4 order as it stands, or names no patient, is not sent back to be stored; the log says why."""
    del drafts(call)[0][name]
    assert rated(answered(live, call)) == {}
    with capture_logs() as lines:
        answered(local, call)
    assert [line["client_defects"] for line in lines] == [[f"CH-158 draft order without {name}"]]


def test_drafts_that_share_an_id_are_not_updated(live: OverHttp, call: Json) -> None:
    """Nobody could say which of them an update is for."""
    again = {**drafts(call)[0], "note": [{"text": "another"}]}
    ordered(call, *drafts(call), again)
    assert rated(answered(live, call)) == {}


@pytest.mark.parametrize(("given", "kept"), [(None, 0), ([], 0), ({"url": "x"}, None), ("x", None)])
def test_extensions_that_are_no_list(given: Json, kept: int | None, local: InProcess, call: Json) -> None:
    """Null and an empty list are no extensions; anything else could not be kept, so the order is left alone."""
    drafts(call)[0]["extension"] = given
    found = rated(answered(local, call))
    assert bool(found) is (kept is not None)


def test_what_is_not_recorded_is_not_handed_out(make_app: MakeApp, call: Json) -> None:
    """With the store down the clinician still gets the card, but no rating whose consult nobody could find."""

    class Down:
        def record(self, _consult: ConsultRecord) -> None:
            raise StoreError("The disk is full.")

        def load_synthetic(self, _patients: object) -> None: ...

        def pseudonym_key(self) -> bytes:
            return b"key"

        def release(self) -> None: ...

        def waiting(self) -> Waiting:
            return Waiting()

    for placement in ("standard", "both"):
        service = InProcess(make_app(store=Down(), pama_placement=placement))
        answer = post(service, "order-sign", call)
        assert len(answer.json()["cards"]) == 1
        assert b"pama-rating" not in answer.body


# --- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("placement", "places"), [("standard", (1, 0)), ("argonaut", (0, 1)), ("both", (1, 1))])
def test_a_client_finds_the_ratings_where_it_looks(
    placement: str, places: tuple[int, int], make_app: MakeApp, call: Json
) -> None:
    """PM-012, CH-115, CH-118: at the top, in the extension of the response, or both alike; left out otherwise."""
    body = answered(InProcess(make_app(pama_placement=placement)), call)
    top, inside = body.get("systemActions", []), body["extension"].get("systemActions", [])
    assert (len(top), len(inside)) == places
    assert placement != "both" or top == inside


def test_order_select_records_only_where_the_site_wants_it(
    make_app: MakeApp, tmp_path: Path, advertised: Advertised
) -> None:
    """PM-001: order-sign is the place; a site may want ratings earlier, on the selected orders."""
    file = tmp_path / "site.toml"
    file.write_text("[pama]\norder_select = true\n", encoding="utf-8")
    request = synthetic_request(STAGING, "order-select", advertised)
    other = imaging("MRI abdomen and pelvis without and with IV contrast")
    ordered(request, *drafts(request), other)
    assert rated(answered(InProcess(make_app()), request, "order-select")) == {}
    assert set(rated(answered(InProcess(make_app(site_file=str(file))), request, "order-select"))) == {"itl-sr-eus"}


def test_the_mechanism_is_what_the_deployer_states_and_nothing_is_claimed_without(
    make_app: MakeApp, tmp_path: Path, live: OverHttp, call: Json
) -> None:
    """PM-008: required, so without a value it says that there is none."""
    file = tmp_path / "site.toml"
    file.write_text('[pama]\nqcdsm = "G-EXAMPLE"\n', encoding="utf-8")
    stated = rated(answered(InProcess(make_app(site_file=str(file))), call))["itl-sr-eus"]
    assert value(stated, QCDSM) == "G-EXAMPLE"
    assert value(rated(answered(live, call))["itl-sr-eus"], QCDSM) == "none: pnet-cds is not a qualified mechanism"


@pytest.mark.parametrize("text", ['qcdsm = " G1"', 'qcdsm = "a\\nb"', "placement = 'both'", "order_select = 1"])
def test_a_site_file_that_does_not_fit_is_refused(text: str, make_app: MakeApp, tmp_path: Path) -> None:
    """As everywhere in the site file."""
    file = tmp_path / "site.toml"
    file.write_text(f"[pama]\n{text}\n", encoding="utf-8")
    with pytest.raises(SiteError):
        make_app(site_file=str(file))


def test_the_same_call_gets_the_same_bytes_but_for_ids(live: OverHttp, call: Json) -> None:
    """Determinism, ratings included."""
    first, second = (without_ids(post(live, "order-sign", call).json()) for _ in range(2))
    assert msgspec.json.encode(first) == msgspec.json.encode(second)


def test_the_other_services_do_nothing_by_themselves(live: OverHttp, advertised: Advertised) -> None:
    """CH-116: only ratings, and only where an order is being signed."""
    for hook in advertised:
        if hook != "order-sign":
            request = synthetic_request(STAGING, hook, advertised)
            assert "systemActions" not in answered(live, request, hook)


def test_a_rated_order_is_otherwise_the_order_that_came_in(live: OverHttp, advertised: Advertised) -> None:
    """PM-011: for a real draft with all its parts."""
    request = synthetic_request(TREATED, "order-sign", advertised)
    sent = {draft["id"]: draft for draft in drafts(request)}
    found = rated(answered(live, request))
    assert {key: without_rating(order) for key, order in found.items()} == sent
