"""The launch over HTTP, from the card's link to the story, and everything that must not get one."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from itsdangerous import TimestampSigner
from structlog.testing import capture_logs

from cds_service.store.clients import open_clients
from cds_service.store.connect import open_engine
from cds_service.web import smart_cookie
from tests.smart.ehr import Ehr, running
from tests.smart.world import World, chart_of
from tests.web.test_edge import Protected

NAME: Final = "Lindqvist"
"""Of the patient; on no page but the story."""
HOSTILE: Final = '"><script>alert(1)</script><img src=x onerror=alert(2)> {{ 7*7 }}'
MESSAGING: Final = {"smart_web_messaging_handle": "handle-1", "smart_web_messaging_origin": "http://127.0.0.1:1"}

# --- what is asked and shown ------------------------------------------------------------------------------------------


def link_of(card: Any) -> Any:
    """The link to the app on a card, if there is one."""
    return next((link for link in card["links"] if link["type"] == "smart"), None)


def test_from_the_card_to_the_story(world: World) -> None:
    """CH-104, PM-014: the card's link opens the app, its context comes back with the token, and the card is shown."""
    (card,) = world.order_select()["cards"]
    link = link_of(card)
    assert link["url"] == f"{world.app}/smart/launch"
    assert link["appContext"] == card["uuid"], "a handle, and nothing else"
    page = world.open(appContext=link["appContext"])
    assert (page.status_code, world.ehr.problems) == (200, [])
    assert NAME in page.text
    assert "The card this was opened from" in page.text
    assert "Endoscopic ultrasound" in page.text or "EUS" in page.text
    assert "usually not appropriate" in page.text
    assert "MRI abdomen and pelvis without and with IV contrast" in page.text


def test_the_page_says_what_the_hooks_say(world: World) -> None:
    """One reader for both: grade and scenario are those of the card's assessment."""
    found = world.order_select()["extension"]["org.pnet-cds.assessment"]
    page = world.open().text
    assert f"WHO 2019/2022: {found['grade']['who2019'].replace('-', ' ')}" in page
    assert f"/guideline/scenarios/{found['scenario']}" in page


def test_only_reading_is_asked_for_and_only_of_what_is_used(world: World) -> None:
    """Scopes of version 2 or 1 as the server has them; no identity, no refresh, nothing to write."""
    world.open()
    (first,) = asked_for(world)
    assert first[0] == "launch"
    assert first[-1] == "messaging/scratchpad"
    assert {"patient/Patient.rs", "patient/Condition.rs", "patient/ImagingStudy.rs"} <= set(first)
    assert all(re.fullmatch(r"patient/[A-Za-z]+\.rs", scope) for scope in first[1:-1])
    world.ehr.configuration = {"capabilities": ["permission-v1"], "scopes_supported": ["patient/*.read"]}
    assert world.open().status_code == 200
    assert set(asked_for(world)[1]) == {scope.replace(".rs", ".read") for scope in first[:-1]}


def asked_for(world: World) -> list[list[str]]:
    """Scopes of every request for access."""
    paths = [path for path in world.ehr.asked if path.startswith("/authorize")]
    return [parse_qs(urlsplit(path).query)["scope"][0].split() for path in paths]


def test_a_standalone_launch_lets_the_ehr_ask_for_the_patient(world: World) -> None:
    """Without a launch handle the patient is chosen at the EHR."""
    page = world.browser.get(f"{world.app}/smart/launch", params={"iss": world.ehr.fhir}, timeout=30)
    assert (page.status_code, world.ehr.problems) == (200, [])
    assert NAME in page.text
    (scopes,) = asked_for(world)
    assert scopes[0] == "launch/patient"
    assert "messaging/scratchpad" not in scopes


def test_a_base_url_is_one_however_it_is_written(world: World) -> None:
    """With a slash at the end it is the same server."""
    begun = world.get("/smart/launch", params={"iss": f"{world.ehr.fhir}/", "launch": world.ehr.launch()})
    assert begun.status_code == 302


def test_two_launches_at_once_do_not_disturb_each_other(world: World) -> None:
    """Each has a cookie of its own."""
    begun = [world.get("/smart/launch", params={"iss": world.ehr.fhir, "launch": world.ehr.launch()}) for _ in "12"]
    for answer in begun:
        there = world.browser.get(answer.headers["Location"], allow_redirects=False, timeout=30)
        assert world.browser.get(there.headers["Location"], timeout=30).status_code == 200


def test_what_could_not_be_read_is_said_and_not_read_as_absent(world: World) -> None:
    """Scopes that were not granted leave gaps, which stand on the page."""
    whole = world.open().text
    assert "Not the whole chart" not in whole
    part = world.open(scope="launch patient/Patient.rs patient/Condition.rs patient/Observation.rs").text
    assert "Not the whole chart" in part
    assert "allergies" in part
    world.ehr.broken["/fhir/AllergyIntolerance"] = (500, "{}")
    assert "allergies" in world.open().text.split("Not the whole chart")[1].split("</p>")[0]


def test_nothing_of_a_launch_is_left(world: World) -> None:
    """Neither the token nor the chart is in the store, in the log, or on the page; the way back is good for once."""
    with capture_logs() as logs:
        page = world.open(**MESSAGING)
    (token,) = world.ehr.tokens
    assert token not in page.text + json.dumps(logs, default=str) + str(page.headers)
    assert NAME not in json.dumps(logs, default=str)
    engine = open_engine(str(world.clients.engine.url))
    with engine.connect() as connection:
        dump = "\n".join(connection.connection.driver_connection.iterdump())  # type: ignore[union-attr]
    engine.dispose()
    assert token not in dump
    assert NAME not in dump
    assert not [cookie for cookie in world.browser.cookies if "launch" in cookie.name], "ended"
    assert_refused(world.browser.get(page.url, timeout=30), 400, "launch-unknown")


def test_the_card_of_another_patient_is_not_shown(world: World) -> None:
    """CH-104: a context that was guessed or mixed up shows nothing: the card was about somebody else."""
    uuid = world.order_select()["cards"][0]["uuid"]
    with running(Ehr(chart_of("pacemaker-mri"))) as other:
        other.redirect_uri, other.client_id = world.ehr.redirect_uri, world.ehr.client_id
        world.change(fhir_servers=(world.ehr.fhir, other.fhir))
        page = world.browser.get(other.start(world.app, appContext=uuid), timeout=30)
    assert page.status_code == 200
    assert "not on record here for this patient" in page.text
    assert "The card this was opened from</h2>" not in page.text


# --- cards ------------------------------------------------------------------------------------------------------------


def test_a_card_offers_no_launch_that_would_fail(world: World) -> None:
    """PM-014: no link where the call names no FHIR server, another one, or where the EHR has not registered the app."""
    assert link_of(world.order_select()["cards"][0])
    assert not link_of(world.order_select(fhirServer=None)["cards"][0])
    assert not link_of(world.order_select(fhirServer="https://other.example.org/fhir")["cards"][0])
    world.change(smart_client_id=None)
    assert not link_of(world.order_select()["cards"][0])


# --- refusals ---------------------------------------------------------------------------------------------------------


def assert_refused(page: requests.Response, status: int, slug: str) -> None:
    """A page that says why, by a slug, with nothing of the patient, to be framed by the EHR only."""
    assert (page.status_code, re.findall('id="slug">([a-z-]+)<', page.text)) == (status, [slug]), page.text[:2000]
    assert NAME not in page.text
    assert "itl-patient" not in page.text
    assert "<script" not in page.text
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert page.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "issuer",
    [
        "",
        "{fhir}/other",
        "{fhir}?x=1",
        "{base}",
        "https://evil.example.org/fhir",
        "http://user@127.0.0.1/fhir",
        "{fhir}/..",
        "//x",
    ],
)
def test_an_unknown_issuer_is_asked_for_nothing(world: World, issuer: str) -> None:
    """The allow-list comes before any request, and no redirect leads anywhere."""
    named = issuer.format(fhir=world.ehr.fhir, base=world.ehr.base)
    assert_refused(world.get("/smart/launch", params={"iss": named, "launch": "x"}), 403, "issuer-unknown")
    assert world.ehr.asked == []


@pytest.mark.parametrize(
    "changes", [{"smart_client_id": None}, {"enabled": False}, {"fhir_servers": ("https://x.example",)}]
)
def test_a_registration_ends_launches_at_once(world: World, changes: dict[str, Any]) -> None:
    """Also those under way."""
    begun = world.get("/smart/launch", params={"iss": world.ehr.fhir, "launch": world.ehr.launch()})
    back = world.browser.get(begun.headers["Location"], allow_redirects=False, timeout=30).headers["Location"]
    world.change(**changes)
    assert_refused(world.get("/smart/launch", params={"iss": world.ehr.fhir}), 403, "issuer-unknown")
    assert_refused(world.browser.get(back, timeout=30), 403, "issuer-unknown")
    assert not [path for path in world.ehr.asked if path == "/token"]


@pytest.mark.parametrize(
    "changes",
    [
        {"authorization_endpoint": None},
        {"token_endpoint": None},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": "http://ehr.example.org/authorize"},
        {"authorization_endpoint": 7},
        {"token_endpoint": "https://user:pass@ehr.example.org/token"},
        {"token_endpoint": "https://ehr.example.org/token#x"},
    ],
)
def test_endpoints_that_cannot_be_used_end_the_launch(world: World, changes: dict[str, Any]) -> None:
    """What the configuration names is an address, over https unless on this machine."""
    world.ehr.configuration = changes
    assert_refused(world.open(), 502, "launch-failed")


@pytest.mark.parametrize(("status", "body"), [(404, "{}"), (200, "[]"), (200, "<html>"), (500, ""), (302, "{}")])
def test_without_a_configuration_there_is_no_launch(world: World, status: int, body: str) -> None:
    """A server that says nothing of SMART."""
    world.ehr.broken["/fhir/.well-known/smart-configuration"] = (status, body)
    assert_refused(world.open(), 502, "launch-failed")


def test_the_token_endpoint_lies_where_the_policy_allows(world: World) -> None:
    """An address of this network that nobody allowed is not called, whatever the configuration says."""
    with socket.create_server(("127.0.1.1", 0)) as inside:
        inside.settimeout(0.2)
        world.ehr.configuration = {"token_endpoint": f"http://127.0.1.1:{inside.getsockname()[1]}/token"}
        assert_refused(world.open(), 502, "launch-failed")
        with pytest.raises(TimeoutError):
            inside.accept()


def test_the_ehr_may_refuse(world: World) -> None:
    """Its code is repeated, its words are not."""
    world.ehr.refuses = "access_denied"
    page = world.open()
    assert_refused(page, 403, "launch-denied")
    assert "(access_denied)" in page.text
    assert "<b>x" not in page.text
    world.ehr.refuses = "<script>alert(1)</script>"
    assert_refused(world.open(), 403, "launch-denied")


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, '{"error": "invalid_grant"}', (403, "launch-denied")),
        (401, "{}", (403, "launch-denied")),
        (500, "{}", (502, "launch-failed")),
        (200, "no json", (502, "launch-failed")),
        (200, '{"access_token": "a\\nb", "token_type": "Bearer", "patient": "1"}', (502, "launch-failed")),
        (200, '{"access_token": "a", "token_type": "mac", "patient": "1"}', (502, "launch-failed")),
        (200, '{"access_token": 5, "token_type": "Bearer", "patient": "1"}', (502, "launch-failed")),
        (200, "[" * 100_000, (502, "launch-failed")),
    ],
)
def test_without_a_token_there_is_no_story(world: World, status: int, body: str, expected: tuple[int, str]) -> None:
    """Whatever the token endpoint answers with."""
    world.ehr.broken["/token"] = (status, body)
    assert_refused(world.open(), *expected)


@pytest.mark.parametrize("patient", [None, "", 7, "a b", "../x", "1,2", "x" * 65])
def test_without_a_patient_there_is_no_story(world: World, patient: Any) -> None:
    """Nothing that is no id is put into an address."""
    assert_refused(world.open(patient=patient), 400, "launch-without-patient")
    assert not [path for path in world.ehr.asked if path.startswith("/fhir/P")]


@pytest.mark.parametrize("scope", ["launch", "launch patient/Patient.rs", "patient/Condition.rs", "patient/*.c"])
def test_without_the_scopes_it_needs_there_is_no_story(world: World, scope: str) -> None:
    """Whose it is and whether there is a tumour: less is no story."""
    assert_refused(world.open(scope=scope), 403, "scopes-missing")


@pytest.mark.parametrize(
    ("path", "status", "body", "expected"),
    [
        ("/fhir/Condition", 403, "{}", (403, "scopes-missing")),
        ("/fhir/Condition", 500, "{}", (502, "chart-unreadable")),
        ("/fhir/Patient/itl-patient", 404, "{}", (502, "chart-unreadable")),
        ("/fhir/Patient/itl-patient", 200, '{"resourceType": "Patient", "id": "other"}', (502, "chart-unreadable")),
        ("/fhir/Condition", 200, '{"resourceType": "Patient", "id": "other"}', (502, "chart-unreadable")),
    ],
)
def test_a_chart_that_cannot_be_read_is_no_story(
    world: World, path: str, status: int, body: str, expected: tuple[int, str]
) -> None:
    """Nor is one of somebody else."""
    world.ehr.broken[path] = (status, body)
    assert_refused(world.open(), *expected)


@pytest.mark.parametrize(
    "told", [{}, {"state": "x"}, {"state": "{other}"}, {"state": "{own}x"}, {"state": "\u00e4" * 43}]
)
def test_only_the_browser_that_began_may_end_a_launch(world: World, told: dict[str, str]) -> None:
    """A code that was stolen or planted is worth nothing: no state, another one, or one of another browser."""
    states = []
    for _ in "12":
        begun = requests.get(f"{world.app}/smart/launch", {"iss": world.ehr.fhir}, allow_redirects=False, timeout=30)
        states.append(parse_qs(urlsplit(begun.headers["Location"]).query)["state"][0])
    world.get("/smart/launch", params={"iss": world.ehr.fhir})
    given = {name: value.format(other=states[0], own=states[1]) for name, value in told.items()}
    assert_refused(world.get("/smart/callback", params={"code": "x"} | given), 400, "launch-unknown")
    assert "/token" not in world.ehr.asked


@pytest.mark.parametrize("damage", ["changed", "expired", "swapped"])
def test_what_a_launch_remembers_cannot_be_changed_or_kept(
    world: World, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is signed, dated, and about one state."""
    begun = world.get("/smart/launch", params={"iss": world.ehr.fhir, "launch": world.ehr.launch()})
    back = world.browser.get(begun.headers["Location"], allow_redirects=False, timeout=30).headers["Location"]
    (cookie,) = (found for found in world.browser.cookies if "launch" in found.name)
    assert cookie.value is not None
    if damage == "changed":
        value = ("A" if cookie.value[0] != "A" else "B") + cookie.value[1:]
    elif damage == "swapped":
        other = requests.get(f"{world.app}/smart/launch", {"iss": world.ehr.fhir}, allow_redirects=False, timeout=30)
        value = next(iter(other.cookies.values()))
    else:
        value = cookie.value
        later = TimestampSigner.get_timestamp
        monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda self: later(self) + smart_cookie.SECONDS + 1)
    answer = requests.get(back, cookies={cookie.name: value}, timeout=30)
    assert_refused(answer, 400, "launch-unknown")
    assert "/token" not in world.ehr.asked


# --- browsers ---------------------------------------------------------------------------------------------------------


def test_pages_are_for_the_frames_of_the_ehr_only(world: World) -> None:
    """frame-ancestors names the origins the EHR registered, on the story and on refusals; scripts are our own."""
    world.change(frame_origins=("https://pages.example.org",))
    allowed = "frame-ancestors 'self' https://pages.example.org"
    for page in (world.open(), world.get("/smart/callback"), world.get("/smart/launch")):
        policy = page.headers["Content-Security-Policy"]
        assert policy.endswith(allowed)
        assert "script-src 'self'; style-src 'self';" in policy
        assert "unsafe" not in policy
        assert page.headers["Referrer-Policy"] == "no-referrer"


def test_text_of_a_record_and_of_the_ehr_is_never_markup(world: World) -> None:
    """Names, codes, and what the token response says."""
    for found in world.ehr.chart:
        for name in ("code", "valueCodeableConcept"):
            if isinstance(found.get(name), dict):
                found[name]["text"] = HOSTILE
        if found["resourceType"] == "Patient":
            found["name"] = [{"family": HOSTILE, "given": [HOSTILE]}]
    told = MESSAGING | {"smart_web_messaging_handle": HOSTILE}
    page = world.open(appContext=HOSTILE, **told)
    assert page.status_code == 200
    assert re.findall("<script[^>]*>", page.text) == ['<script type="module" src="/smart/static/handback.js">']
    assert "<img" not in page.text
    assert "{{ 7*7 }}" in page.text


@pytest.mark.parametrize(
    "page", ["javascript:alert(1)", "*", "http://ehr.example.org", "https://ehr.example.org/x", 7, None]
)
def test_messages_go_to_an_origin_or_nowhere(world: World, page: Any) -> None:
    """What is no origin gets no orders."""
    text = world.open(**MESSAGING | {"smart_web_messaging_origin": page}).text
    assert "handback" not in text
    assert "Change the draft order" in world.open(**MESSAGING).text


def test_the_way_back_is_the_registered_one(world: World) -> None:
    """The redirect goes to the EHR with an address of our own to come back to, whoever asks for another."""
    query = {"iss": world.ehr.fhir, "launch": "x", "redirect_uri": "https://evil.example.org", "scope": "user/*.*"}
    there = urlsplit(world.get("/smart/launch", params=query).headers["Location"])
    assert f"{there.scheme}://{there.netloc}" == world.ehr.base
    asked = parse_qs(there.query)
    assert asked["redirect_uri"] == [f"{world.app}/smart/callback"]
    assert "user/" not in asked["scope"][0]


def test_launches_are_counted(tmp_path: Path) -> None:
    """Each makes the service call an EHR, so nobody may ask for any number of them."""
    protected = Protected(f"sqlite:///{tmp_path}/store.sqlite", open_clients(f"sqlite:///{tmp_path}/store.sqlite"))
    protected.register("ehr")
    client = protected.app(rate_limit="2/minute").test_client()
    assert [client.get("/smart/launch?iss=x").status_code for _ in "123"] == [403, 403, 429]
    protected.clients.release()
