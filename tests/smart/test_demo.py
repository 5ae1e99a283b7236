"""The demo plays both sides of a launch, and its EHR gives out nothing but invented patients."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlencode

import pytest
import requests
from flask import Flask

from cds_service.errors import StoreError
from cds_service.issuing import APP_LABEL
from cds_service.knowledge import Knowledge
from cds_service.smart.chart import KINDS
from cds_service.store.base import ConsultRecord, SyntheticPatient, Waiting
from cds_service.web.story import story_page
from fhir_profiles.synthetic import is_draft, resources, synthetic_patients
from fhir_profiles.terminology import Terminology
from tests.builders import AS_OF
from tests.calling import MakeApp, OverHttp, post, synthetic_request
from tests.conftest import served
from tests.serving import free_port
from tests.smart.test_launch import assert_refused, link_of
from tests.smart.world import SLUG
from tests.web.test_edge import PUBLIC

CHOSEN: Final = "pacemaker-mri"
CHALLENGE: Final = {"code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", "code_challenge_method": "S256"}
VERIFIER: Final = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
"""The example of RFC 7636, appendix B."""


@pytest.fixture(scope="module")
def demo(make_app: MakeApp) -> Iterator[OverHttp]:
    """The demo at the address it believes in."""
    port = free_port()
    yield from served(make_app(port=port, fhir_seconds=20.0), port)


def get(demo: OverHttp, path: str, **query: Any) -> requests.Response:
    """What a browser gets, wherever it is sent."""
    return demo.session.get(f"{demo.base}{path}", params=query, timeout=30)


def launched(demo: OverHttp, slug: str, context: str = "") -> requests.Response:
    """A launch from the EHR's page."""
    told = get(demo, f"/demo/ehr/launch/{slug}", appContext=context).json()
    return get(demo, "/smart/launch", iss=told["iss"], launch=told["launch"])


def sections(html: str) -> dict[str, str]:
    """What stands under the headings and at a glance, whether or not links leave a frame."""
    there = html.replace(' target="_blank" rel="noopener"', "")
    parts = re.findall(r'<section aria-labelledby="(\w+)">(.*?)</section>', there, re.DOTALL)
    return dict(parts + re.findall(r'<(?:p|dl) class="(lead|glance)">(.*?)</(?:p|dl)>', there, re.DOTALL))


@pytest.mark.parametrize("patient", synthetic_patients(), ids=lambda patient: patient.slug)
def test_every_story_opens_and_is_that_of_the_chart(
    patient: SyntheticPatient, demo: OverHttp, app: Flask, knowledge: Knowledge, terminology: Terminology
) -> None:
    """What is read behind a launch is told as if the chart were at hand; drafts are in no FHIR server, and medications
    that others refer to are not asked for.
    """
    opened = launched(demo, patient.slug)
    assert opened.status_code == 200
    assert "Not the whole chart" not in opened.text
    held = [found for found in resources(patient.bundle) if found["resourceType"] in KINDS and not is_draft(found)]
    chart = {**patient.bundle, "entry": [{"resource": found} for found in held]}
    with app.test_request_context("/"):
        whole = story_page(chart, AS_OF, knowledge, terminology, "").get_data(as_text=True)
    assert sections(opened.text) == sections(whole) != {}


def test_a_card_of_the_demo_opens_the_app(demo: OverHttp) -> None:
    """The call of the order-entry page names the demo's FHIR server, and the link leads to the card."""
    call = get(demo, f"/demo/requests/{SLUG}", hook="order-select").json()
    url = f"{demo.base}/cds-services/pnet-order-select"
    assert link_of(demo.session.post(url, json=call, timeout=30).json()["cards"][0]) is None
    call["fhirServer"] = f"{demo.base}/demo/ehr/fhir"
    link = link_of(demo.session.post(url, json=call, timeout=30).json()["cards"][0])
    assert link["url"] == f"{demo.base}/smart/launch"
    assert "The card this was opened from</h2>" in launched(demo, SLUG, link["appContext"]).text
    assert "not on record here for this patient" in launched(demo, CHOSEN, link["appContext"]).text


def test_on_its_own_the_patient_is_chosen(demo: OverHttp) -> None:
    """The EHR asks, and the story of whoever is chosen opens."""
    choices = get(demo, "/smart/launch", iss=f"{demo.base}/demo/ehr/fhir")
    assert "Whose story" in choices.text
    (target,) = re.findall(rf'href="(\?[^"]*patient={CHOSEN})"', choices.text)
    page = demo.session.get(choices.url.partition("?")[0] + target.replace("&amp;", "&"), timeout=30)
    assert page.status_code == 200
    assert "pacemaker" in page.text.lower()
    assert "handback" not in page.text


def test_other_servers_of_this_machine_are_not_launched_from(demo: OverHttp) -> None:
    """Whoever opens the demo cannot send it anywhere."""
    with requests.Session() as browser:
        page = browser.get(f"{demo.base}/smart/launch?{urlencode({'iss': 'http://127.0.0.1:1/fhir'})}", timeout=30)
    assert_refused(page, 403, "issuer-unknown")


def asked(demo: OverHttp, **changes: Any) -> dict[str, Any]:
    """A good request for access, but for the changes."""
    usual = {"redirect_uri": f"{demo.base}/smart/callback", "aud": f"{demo.base}/demo/ehr/fhir", "state": "s"}
    return {name: value for name, value in (usual | CHALLENGE | {"patient": SLUG} | changes).items() if value}


@pytest.mark.parametrize(
    "changes",
    [
        {"redirect_uri": "https://evil.example.org/"},
        {"redirect_uri": None},
        {"aud": "https://elsewhere.example.org"},
        {"code_challenge": None},
        {"code_challenge_method": "plain"},
        {"launch": "forged"},
    ],
)
def test_the_demo_ehr_knows_one_app(demo: OverHttp, changes: dict[str, Any]) -> None:
    """It sends nobody anywhere else, and wants PKCE."""
    answer = get(demo, "/demo/ehr/authorize", **asked(demo, **changes))
    assert answer.status_code == 400
    assert answer.history == []


def test_a_code_needs_its_verifier_and_a_token_its_patient(demo: OverHttp) -> None:
    """As at any EHR; a handle for one thing is none for another."""
    url = f"{demo.base}/demo/ehr/authorize"
    sent = demo.session.get(url, params=asked(demo, scope="patient/*.rs"), allow_redirects=False, timeout=30)
    (code,) = re.findall("code=([^&]+)", sent.headers["Location"])

    def token(**form: str) -> requests.Response:
        return demo.session.post(f"{demo.base}/demo/ehr/token", data=form, timeout=30)

    assert token(code=code, code_verifier="wrong").json() == {"error": "invalid_grant"}
    assert token(code="forged", code_verifier=VERIFIER).status_code == 400
    assert token().status_code == 400
    granted = token(code=code, code_verifier=VERIFIER).json()
    assert "smart_web_messaging_handle" not in granted

    def read(path: str, bearer: str = granted["access_token"]) -> int:
        headers = {"Authorization": f"Bearer {bearer}"}
        return demo.session.get(f"{demo.base}/demo/ehr/fhir/{path}", headers=headers, timeout=30).status_code

    assert read(f"Patient/{granted['patient']}") == 200
    assert read("Patient/pacemaker-patient") == 404
    assert read(f"Patient/{granted['patient']}", code) == 400
    assert read(f"Condition?patient={granted['patient']}") == 200
    assert read("Condition?_has=x") == 400


def test_without_an_id_the_demo_has_no_app(make_app: MakeApp) -> None:
    """PNET_CDS_SMART_CLIENT_ID="" switches it off."""
    client = make_app(smart_client_id="", port=8080).test_client()
    answer = client.get("/smart/launch", query_string={"iss": "http://127.0.0.1:8080/demo/ehr/fhir"})
    assert answer.status_code == 403


def test_the_cookie_over_https(make_app: MakeApp) -> None:
    """For this host only, out of reach of scripts, over https only, and in frames of other sites kept apart by page."""
    port = free_port()
    for running in served(make_app(port=port), port):
        ehr = f"{running.base}/demo/ehr/fhir"
        client = make_app(public_url=PUBLIC, fhir_servers=ehr).test_client()
        (cookie,) = client.get("/smart/launch", query_string={"iss": ehr}).headers.getlist("Set-Cookie")
    name, *attributes = cookie.split("; ")
    assert name.startswith("__Host-pnet-cds-launch-")
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=None", "Partitioned", "Max-Age=600"} <= set(attributes)
    assert not [attribute for attribute in attributes if attribute.startswith("Domain")]


class _FullStore:
    """A store that can keep nothing."""

    def record(self, _consult: ConsultRecord) -> None:
        raise StoreError("The disk is full.")

    def consult_of_card(self, _card_uuid: str) -> ConsultRecord | None:
        raise StoreError("The disk is full.")

    def pseudonym_key(self) -> bytes:
        return b"key"

    def synthetic(self) -> tuple[SyntheticPatient, ...]:
        return synthetic_patients()

    def waiting(self) -> Waiting:
        return Waiting(0, 0)

    def release(self) -> None:
        """Hold nothing."""


def test_while_the_store_fails_the_app_opens_without_the_card(
    make_app: MakeApp, advertised: dict[str, dict[str, str]]
) -> None:
    """CH-104: no handle is in the world that the store does not know, and one of earlier shows nothing."""
    port = free_port()
    for running in served(make_app(store=_FullStore(), port=port, fhir_seconds=20.0), port):
        call = synthetic_request(SLUG, "order-select", advertised) | {"fhirServer": f"{running.base}/demo/ehr/fhir"}
        (card,) = post(running, "order-select", call).json()["cards"]
        assert "uuid" not in card
        assert link_of(card) == {"label": APP_LABEL, "url": f"{running.base}/smart/launch", "type": "smart"}
        page = launched(running, SLUG, "e6a2c3f0-0000-4000-8000-000000000000")
        assert page.status_code == 200
        assert "not on record here for this patient" in page.text
