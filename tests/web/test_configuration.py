"""Options a client may set (Da Vinci CRD): offered in discovery, honoured in a call, never required."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest

from cds_service.protocol.configuration import MOST, OPTIONS, RECORD, VALUES
from hooks import SERVICES
from tests.calling import InProcess, MakeApp, OverHttp, Service, drafts, post, synthetic_request, without_ids
from tests.validity import assert_valid_response

Json = Any
Advertised = dict[str, dict[str, str]]
SLUG: Final = "incidental-tail-lesion"
BLOCKED: Final = "pacemaker-mri"
_GRAVITY: Final = ["critical", "warning", "info"]


def offered(service: Service) -> dict[str, list[Json]]:
    """The options of every hook's service, from discovery."""
    entries = service.request("GET", "/cds-services").json()["services"]
    return {entry["hook"]: entry["extension"][OPTIONS] for entry in entries}


def answered(service: Service, request: Json, values: Json) -> Json:
    """The valid answer to a call with these values; None sends no extension."""
    hook = request["hook"]
    sent = request if values is None else {**request, "extension": {VALUES: values}}
    return assert_valid_response(post(service, hook, sent), request)


@pytest.fixture
def call(advertised: Advertised) -> Json:
    """An endoscopic ultrasound for staging, about to be signed."""
    return synthetic_request(SLUG, "order-sign", advertised)


def two_orders(advertised: Advertised, hook: str) -> Json:
    """A call whose answer has two cards, the graver one last: a CT that is merely not ideal, and a blocked MRI."""
    request = synthetic_request(BLOCKED, hook, advertised)
    (mri,) = drafts(request)
    other = {**mri, "id": "other", "code": {"text": "Endoscopic ultrasound of the pancreas"}}
    request["context"]["draftOrders"]["entry"] = [{"resource": other}, {"resource": mri}]
    return request


def test_options_are_well_formed_and_unique(live: OverHttp) -> None:
    """CR-001, CH-021: codes, names and descriptions are unique within a service; defaults have the
    type of the option.
    """
    for found in offered(live).values():
        for member in ("code", "name", "description"):
            assert len({option[member] for option in found}) == len(found)
        for option in found:
            kind = {"boolean": bool, "integer": int}[option["type"]]
            assert type(option.get("default", kind())) is kind


def test_versions_are_told_only_where_they_are_asked_for(live: OverHttp, make_app: MakeApp) -> None:
    """CH-019, CH-020, CH-180: members of draft 3.0 behind a switch, and nothing else changes."""
    plain = live.request("GET", "/cds-services").json()["services"]
    told = InProcess(make_app(draft_members=True)).request("GET", "/cds-services").json()["services"]
    versions = {entry["hook"]: (entry.pop("version"), entry.pop("hookVersion")) for entry in told}
    assert told == plain
    assert set(versions.values()) == {("2.0.1", "1.0"), ("2.0.1", "1.1")}
    assert versions["order-dispatch"] == ("2.0.1", "1.1")


@pytest.mark.parametrize("hook", [service.hook for service in SERVICES])
def test_every_kind_of_card_has_its_switch(hook: str, live: OverHttp, advertised: Advertised) -> None:
    """CR-001, CR-002, CR-004: each topic that a service sends is one of its options, and switched off there is no such
    card.
    """
    options = {option["code"] for option in offered(live)[hook] if option["type"] == "boolean"}
    for slug in (SLUG, BLOCKED, "early-mri-after-prrt", "one-year-after-resection"):
        request = synthetic_request(slug, hook, advertised)
        for card in answered(live, request, None)["cards"]:
            topic = card["source"]["topic"]["code"]
            assert topic in options
            left = answered(live, request, {topic: False})["cards"]
            assert topic not in {other["source"]["topic"]["code"] for other in left}
            assert answered(live, request, {topic: True})["cards"]


@pytest.mark.parametrize(("most", "expected"), [(0, []), (1, ["critical"]), (2, None), (9, None)])
def test_the_gravest_cards_are_kept(
    most: int, expected: list[str] | None, live: OverHttp, advertised: Advertised
) -> None:
    """CR-002: a limit on cards never hides danger behind a lesser remark; what is kept stays in order."""
    request = two_orders(advertised, "order-sign")
    everything = [card["indicator"] for card in answered(live, request, None)["cards"]]
    assert sorted(everything, key=_GRAVITY.index) != everything
    found = [card["indicator"] for card in answered(live, request, {MOST: most})["cards"]]
    assert found == (everything if expected is None else expected)


def test_ratings_are_recorded_unless_the_client_declines(live: OverHttp, call: Json) -> None:
    """CH-116: system actions only as agreed; cards are not touched."""
    declined = answered(live, call, {RECORD: False})
    assert "systemActions" not in declined
    assert len(declined["cards"]) == 1
    assert len(answered(live, call, {RECORD: True})["systemActions"]) == 1


def test_a_client_may_ask_for_ratings_while_choosing(
    live: OverHttp, make_app: MakeApp, tmp_path: Path, advertised: Advertised
) -> None:
    """PM-001: order-select records where the client asks, or where the site wants it and the client is silent."""
    request = synthetic_request(SLUG, "order-select", advertised)
    assert "systemActions" not in answered(live, request, None)
    assert len(answered(live, request, {RECORD: True})["systemActions"]) == 1
    file = tmp_path / "site.toml"
    file.write_text("[pama]\norder_select = true\n", encoding="utf-8")
    service = InProcess(make_app(site_file=str(file)))
    assert "systemActions" not in answered(service, request, {RECORD: False})
    for instance, default in ((live, False), (service, True)):
        defaults = {option["code"]: option.get("default") for option in offered(instance)["order-select"]}
        assert defaults[RECORD] is default


@pytest.mark.parametrize(
    "values",
    [
        {},
        [],
        "x",
        {"appropriate-use": None, RECORD: "no"},
        {"appropriate-use": "false", MOST: "1"},
        {MOST: -1},
        {MOST: True},
        {MOST: 0.5},
        {"coverage": False},
    ],
)
def test_values_that_mean_nothing_change_nothing(values: Json, live: OverHttp, call: Json) -> None:
    """CR-002, CH-111: unsupported options are ignored, nonsense is handled gracefully."""
    assert without_ids(answered(live, call, values)) == without_ids(answered(live, call, None))


@pytest.mark.parametrize("extension", [None, [], "x", 1, {}])
def test_an_extension_of_any_shape_is_survived(extension: Json, live: OverHttp, call: Json) -> None:
    """CH-111, CH-040: an extension never makes a call fail."""
    plain = without_ids(answered(live, call, None))
    found = post(live, "order-sign", {**call, "extension": extension})
    assert without_ids(assert_valid_response(found, call)) == plain
