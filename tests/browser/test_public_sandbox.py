"""The public CDS Hooks Sandbox as a client: its part in the browser, played by a page of ours from another origin."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner
from flask import Flask
from playwright.sync_api import Browser, Page
from sqlalchemy import Engine, select

from cds_service.app import create_app
from cds_service.auth.keys import read_key_set
from cds_service.cli import cli
from cds_service.clients import Client
from cds_service.settings import load_settings
from cds_service.store.archive import Archive
from cds_service.store.base import ShownCard
from cds_service.store.clients import GIVEN, open_clients
from cds_service.store.connect import open_engine
from cds_service.store.tables import consult
from fhir_profiles.synthetic import synthetic_patients
from tests.browser.conftest import DESKTOP, quiet_page
from tests.builders import AS_OF
from tests.calling import ASSESSMENT, InProcess, post, synthetic_request, templates, without_ids
from tests.conftest import served
from tests.docs.following import blocks
from tests.fhir.real_server import TOKEN, running
from tests.serving import free_port, serving
from tests.signing import key_server, key_set, private_jwk, public_jwk

PAGE_FOLDER: Final = Path(__file__).parent / "public_sandbox"
ISSUER: Final = "https://sandbox.cds-hooks.org"
KEY: Final = "44823f3d-of-the-sandbox"
SMALL_PAGES: Final = 2
"""The sandbox sends first pages only, so that the service has to read on."""
PATIENT: Final = "itl-patient"
SLUG: Final = "incidental-tail-lesion"
CPT: Final = "http://www.ama-assn.org/go/cpt"
CT: Final = {"system": CPT, "code": "74176", "display": "CT abdomen and pelvis without contrast"}
HEART: Final = {"system": CPT, "code": "75561", "display": "Cardiac MRI"}
REASON: Final = {"system": "http://snomed.info/sct", "code": "126859007", "display": "Neoplasm of pancreas"}
SITE_FILE, RUN, REGISTER = blocks("docs/public-sandbox.md")
"""The site file, and the two ways to set the service up, as commands of the documentation."""

Json = dict[str, Any]


@dataclass
class World:
    """The three servers the sandbox talks to or comes from.

    Attributes:
        discovery: the address a user types into the sandbox.
        token: of the FHIR server; empty for an open one.
        key: what the sandbox signs with, and where it says its public half is.
    """

    service: str
    fhir: str
    page: str
    database: str
    token: str = ""
    key: Json = field(default_factory=dict)
    jku: str = ""

    @property
    def discovery(self) -> str:
        return f"{self.service}/cds-services"

    def configuration(self, **changes: Any) -> Json:
        """What the sandbox knows."""
        told = {"fhirServer": self.fhir, "token": self.token, "key": self.key, "issuer": ISSUER, "jku": self.jku}
        return {"patient": PATIENT, **told, **changes}

    def stored(self, uuid: str) -> ShownCard:
        """A card as the store holds it."""
        with self._store() as engine:
            return next(card for card in Archive(engine).shown(None, None) if card.uuid == uuid)

    def callers(self) -> set[str]:
        """The clients in whose name calls are recorded."""
        with self._store() as engine, engine.connect() as connection:
            return set(connection.execute(select(consult.c.client)).scalars())

    @contextmanager
    def _store(self) -> Iterator[Engine]:
        engine = open_engine(self.database)
        try:
            yield engine
        finally:
            engine.dispose()


class _Files(SimpleHTTPRequestHandler):
    """The page and nothing else."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def site_file_in(folder: Path) -> str:
    """The site file as the documentation writes it."""
    subprocess.run(["sh", "-c", SITE_FILE], cwd=folder, check=True, timeout=30)
    return str(folder / "site.toml")


def open_demo(world: World, database: str, site_file: str, placement: str) -> Flask:
    """The demo with the settings that matter here."""
    settings = load_settings(
        demo=True,
        database_url=database,
        public_url=world.service,
        fhir_open_servers=world.fhir,
        site_file=site_file,
        pama_placement=placement,
        fhir_seconds=20.0,
        store_mode="strict",  # what was answered can be looked up at once
    )
    return create_app(settings, today=lambda: AS_OF)


def documented_demo(world: World, folder: Path) -> Flask:
    """The demo as the documentation starts it."""
    placement = re.findall(r"PNET_CDS_PAMA_PLACEMENT=(\w+)", RUN)
    assert "PNET_CDS_SITE_FILE=site.toml" in RUN
    assert "PNET_CDS_FHIR_OPEN_SERVERS=" in RUN
    return open_demo(world, world.database, site_file_in(folder), placement[0])


def protected(world: World, folder: Path) -> Flask:
    """A service whose only clients are one that is of no matter, and the sandbox as the documentation registers it."""
    addresses = {f"{ISSUER}/.well-known/jwks.json": world.jku, "https://fhir.example.org/r4": world.fhir}
    command = REGISTER.replace(f"--cors-origin {ISSUER}", f"--cors-origin {world.page}")
    for given, here in addresses.items():
        command = command.replace(given, here)
    arguments = shlex.split(command.replace("site.toml", site_file_in(folder)).replace("\\\n", ""))
    added = CliRunner().invoke(cli, arguments[1:], env={"PNET_CDS_DATABASE_URL": world.database})
    assert added.exit_code == 0, added.output
    clients = open_clients(world.database)
    clients.add(Client("other", "https://other.example.org", cors_origins=("https://pages.example.org",)))
    clients.give_keys("other", read_key_set(key_set(public_jwk("other")), GIVEN).keys)
    clients.release()
    settings = load_settings(
        demo=False,
        database_url=world.database,
        public_url=world.service,
        fhir_networks="127.0.0.0/8",  # the test server is on this machine
        fhir_seconds=20.0,
        store_mode="strict",  # what was answered can be looked up at once
    )
    return create_app(settings, today=lambda: AS_OF)


@pytest.fixture(scope="module", params=["open", "registered"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Everybody may call and read, or registered clients with tokens only."""
    folder = tmp_path_factory.mktemp(request.param)
    charts = [folder / f"{patient.slug}.json" for patient in synthetic_patients()]
    for chart, patient in zip(charts, synthetic_patients(), strict=True):
        chart.write_text(json.dumps(patient.bundle), encoding="utf-8")
    token = TOKEN if request.param == "registered" else ""
    pages, port = partial(_Files, directory=str(PAGE_FOLDER)), free_port()
    with running(*charts, page=SMALL_PAGES, token=token) as fhir, serving(pages) as page, key_server() as keys:  # type: ignore[arg-type]
        jku = keys.publish("/.well-known/jwks.json", public_jwk(KEY, use="sig", alg="ES384"))
        database = f"sqlite:///{folder}/store.sqlite"
        made = World(f"http://127.0.0.1:{port}", fhir, page, database, token, private_jwk(KEY), jku)
        app = protected(made, folder) if token else documented_demo(made, folder)
        for _ in served(app, port):
            yield made


@contextmanager
def sandbox_page(browser: Browser, world: World, *, expected: tuple[str, ...] = (), **changes: Any) -> Iterator[Page]:
    """The sandbox in a browser, not yet told of any service."""
    with quiet_page(browser, world.page, DESKTOP, expected) as page:
        page.goto("/index.html")
        page.evaluate("(site) => { window.sandbox = new Sandbox(site); }", world.configuration(**changes))
        yield page


@pytest.fixture
def sandbox(chromium: Browser, world: World) -> Iterator[Page]:
    """The sandbox after the service was added to it."""
    with sandbox_page(chromium, world) as page:
        page.evaluate("(url) => sandbox.discover(url)", world.discovery)
        yield page


def fire(sandbox: Page, hook: str, **context: Any) -> Json:
    """The one answer to a hook."""
    answers = sandbox.evaluate("([hook, context]) => sandbox.fire(hook, context)", [hook, context])
    return only(answers)


def choose(sandbox: Page, **chosen: Any) -> Json:
    """The answer to a change on the imaging screen."""
    return only(sandbox.evaluate("(chosen) => sandbox.choose(chosen)", chosen))


def only(answers: list[Json]) -> Json:
    """The one answer, which is a good one."""
    (answer,) = answers
    assert answer["status"] == 200, answer
    return answer


def rating(sandbox: Page) -> str:
    """What the imaging screen shows."""
    return str(sandbox.evaluate("sandbox.rating"))


# --- discovery --------------------------------------------------------------------------------------------------------


def test_every_service_is_found_by_its_own_address(sandbox: Page, world: World) -> None:
    """One definition per id, found again under the same addresses when the page is opened anew."""
    found = sandbox.evaluate("Object.entries(sandbox.services).map(([url, { id, hook }]) => [url, id, hook])")
    assert {url for url, _, _ in found} == {f"{world.discovery}/{identifier}" for _, identifier, _ in found}
    assert len({identifier for _, identifier, _ in found}) == len(found) == 6
    hooks = {hook for _, _, hook in found}
    assert {"patient-view", "order-select", "order-sign"} < hooks
    again = sandbox.evaluate("(url) => sandbox.discover(url)", world.discovery)
    assert sorted(again) == sorted(url for url, _, _ in found)


# --- patient-view -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("slug", "patient"), [(SLUG, PATIENT), ("one-year-after-resection", "yar-patient")])
def test_the_chart_is_prefetched_by_the_sandbox_and_read_to_its_end(
    slug: str, patient: str, chromium: Browser, world: World, local: InProcess
) -> None:
    """First pages arrive, and the cards are those of an EHR that sends everything."""
    with sandbox_page(chromium, world, patient=patient) as sandbox:
        sandbox.evaluate("(url) => sandbox.discover(url)", world.discovery)
        answer = fire(sandbox, "patient-view")
    sent = answer["request"]["prefetch"]
    assert any(link["relation"] == "next" for link in sent["laboratory"]["link"]), "some pages are left to be read"
    whole = post(local, "patient-view", synthetic_request(slug, "patient-view", templates(local)))
    assert told(answer["body"]) == told(whole.json())
    assert facts(answer["body"]) == facts(whole.json())


def told(body: Json) -> list[tuple[str, str]]:
    """What cards say."""
    return [(card["summary"], card["indicator"]) for card in body["cards"]]


def facts(body: Json) -> Any:
    """The facts the answer rests on."""
    return without_ids(body["extension"][ASSESSMENT]["facts"])


def test_a_search_that_cannot_be_posted_is_asked_by_get(chromium: Browser, world: World) -> None:
    """Some servers refuse ``_search``; the sandbox then asks as it did before, and the answer is the same."""
    with sandbox_page(chromium, world, expected=("Failed to load resource",)) as sandbox:
        sandbox.evaluate("(url) => sandbox.discover(url)", world.discovery)
        posted = fire(sandbox, "patient-view")
        sandbox.route("**/_search", lambda route: route.abort())
        asked = fire(sandbox, "patient-view")
    assert set(asked["request"]["prefetch"]) == set(posted["request"]["prefetch"])
    assert told(asked["body"]) == told(posted["body"])


# --- the imaging screen -----------------------------------------------------------------------------------------------


def test_half_empty_orders_are_answered_and_nothing_is_invented(sandbox: Page) -> None:
    """Nothing chosen, a reason alone, a study of the heart, a study alone: a rating is there only for the last."""
    opened = choose(sandbox)
    (entry,) = opened["request"]["context"]["draftOrders"]["entry"]
    assert entry["resource"]["code"] == {"coding": [{}]}
    assert opened["body"]["cards"] == []
    assert choose(sandbox, reasons=[REASON])["body"]["cards"] == []
    assert choose(sandbox, study=HEART)["body"]["cards"] == []
    assert rating(sandbox) == "unknown"
    choose(sandbox, study=CT, reasons=[])
    assert rating(sandbox) == "not-appropriate"


def test_a_suggestion_is_taken_and_the_rating_follows(sandbox: Page, world: World) -> None:
    """The study and its reason change on the screen, the order is rated anew, and the feedback is in the store."""
    answer = choose(sandbox, study=CT, reasons=[REASON])
    assert answer["body"]["extension"]["systemActions"], "the sandbox looks nowhere else"
    assert rating(sandbox) == "not-appropriate"
    (card,) = answer["body"]["cards"]
    suggestion = card["suggestions"][0]
    taken = sandbox.evaluate("(given) => sandbox.accept(...given)", [answer["url"], card, suggestion])
    assert taken["status"] == 200
    kept = world.stored(card["uuid"])
    assert (kept.outcome, kept.service) == ("accepted", "pnet-order-select")
    chosen = sandbox.evaluate("[sandbox.study, sandbox.reasons]")
    assert chosen == [suggestion["actions"][1]["resource"]["code"]["coding"][0], [REASON, REASON]]
    choose(sandbox)
    assert rating(sandbox) == "appropriate"


def test_signing_rates_the_order_too(sandbox: Page) -> None:
    """Older versions of the sandbox, and others built on it, sign."""
    sandbox.evaluate("(study) => { sandbox.study = study; }", CT)
    only(sandbox.evaluate("sandbox.sign()"))
    assert rating(sandbox) == "not-appropriate"


@pytest.mark.parametrize("with_reason", [True, False], ids=["reason", "no-reason"])
def test_a_card_is_dismissed(with_reason: bool, sandbox: Page, world: World) -> None:
    """With a reason of the card, given back without its display, or without any."""
    answer = choose(sandbox, study=CT)
    (card,) = answer["body"]["cards"]
    reason = card["overrideReasons"][0] if with_reason else None
    told = sandbox.evaluate("(given) => sandbox.dismiss(...given)", [answer["url"], card, reason])
    assert told["status"] == 200
    kept = world.stored(card["uuid"])
    assert (kept.outcome, kept.reason_code) == ("overridden", reason["code"] if reason else None)


def test_medication_screens_get_silence(sandbox: Page) -> None:
    """They fire the same hooks with a half-empty prescription that has no id."""
    resource = {"resourceType": "MedicationRequest", "status": "draft", "subject": {"reference": f"Patient/{PATIENT}"}}
    drafts = {"resourceType": "Bundle", "entry": [{"resource": resource}]}
    chosen = fire(sandbox, "order-select", selections=["MedicationRequest/undefined"], draftOrders=drafts)
    assert chosen["body"] == {"cards": []}
    assert fire(sandbox, "order-sign", draftOrders=drafts)["body"] == {"cards": []}


def test_links_lead_somewhere(sandbox: Page, world: World) -> None:
    """The sandbox opens an absolute link as it is."""
    (card,) = choose(sandbox, study=CT)["body"]["cards"]
    absolute = [link["url"] for link in card["links"] if link["type"] == "absolute"]
    ours = [url for url in absolute if url.startswith(world.service)]
    assert ours
    assert [sandbox.request.get(url).status for url in ours] == [200] * len(ours)


def test_a_chart_of_an_older_version_is_refused_so_that_the_page_can_say_why(chromium: Browser, world: World) -> None:
    """The sandbox comes with a server of DSTU2; what it sends from there must not be misread as R4."""
    condition = {"resourceType": "Condition", "id": "old", "clinicalStatus": "active", "patient": {"reference": "x"}}
    chart = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": condition}]}
    with sandbox_page(chromium, world, expected=("Failed to load resource",)) as sandbox:
        sandbox.evaluate("(url) => sandbox.discover(url)", world.discovery)
        headers = {"Access-Control-Allow-Origin": "*"}
        sandbox.route("**/Condition/_search", lambda route: route.fulfill(json=chart, headers=headers))
        (answer,) = sandbox.evaluate("sandbox.fire('patient-view')")
    assert answer["status"] == 400
    assert answer["body"]["issue"][0]["details"]["coding"][0]["code"] == "fhir-version-unsupported"


# --- who may call -----------------------------------------------------------------------------------------------------


def test_calls_are_made_in_the_name_of_the_client(sandbox: Page, world: World) -> None:
    """In the demo nobody is named; otherwise tokens say who it is."""
    fire(sandbox, "patient-view")
    assert world.callers() == {"sandbox" if world.token else ""}


@pytest.mark.parametrize("world", ["registered"], indirect=True)
def test_tokens_of_another_key_are_refused_and_the_page_is_told(world: World, chromium: Browser) -> None:
    """The refusal can be read by the page, which is of a client's origin; that is all it learns."""
    with sandbox_page(chromium, world, expected=("Failed to load resource",), key=private_jwk("stranger")) as sandbox:
        status = sandbox.evaluate(
            """async (url) => {
              try { await sandbox.discover(url); } catch (error) { return error.message; }
            }""",
            world.discovery,
        )
    assert status == "no services"


@pytest.mark.parametrize("world", ["registered"], indirect=True)
def test_a_page_from_elsewhere_may_not_use_the_clients_tokens(world: World, chromium: Browser) -> None:
    """The browser keeps the answer from it, although the token is good."""
    elsewhere = world.page.replace("127.0.0.1", "localhost")
    blocked = ("Access to fetch", "Failed to load resource")
    with quiet_page(chromium, elsewhere, DESKTOP, blocked) as page:
        page.goto("/index.html")
        found = page.evaluate(
            """([site, url]) => new Sandbox(site).discover(url).then(() => "answered", (error) => error.message)""",
            [world.configuration(), world.discovery],
        )
    assert found == "Failed to fetch"


# --- how it has to be set up ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("site_file", "placement", "shown"),
    [(True, "argonaut", "not-appropriate"), (False, "both", "unknown"), (True, "standard", "unknown")],
    ids=["both-settings", "not-at-order-select", "not-where-it-looks"],
)
@pytest.mark.parametrize("world", ["open"], indirect=True)
def test_both_settings_are_needed_for_a_rating_to_be_seen(
    site_file: bool, placement: str, shown: str, world: World, chromium: Browser, tmp_path: Path
) -> None:
    """The sandbox fires order-select only, and looks in one place only; cards come in any case."""
    file = site_file_in(tmp_path) if site_file else ""
    app = open_demo(world, f"sqlite:///{tmp_path}/store.sqlite", file, placement)
    for running_service in served(app):
        with sandbox_page(chromium, world) as sandbox:
            sandbox.evaluate("(url) => sandbox.discover(url)", f"{running_service.base}/cds-services")
            assert len(choose(sandbox, study=CT)["body"]["cards"]) == 1
            assert rating(sandbox) == shown
