"""A real Chromium in front of a real server, with one more patient whose record is hostile."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from cds_service.app import create_app
from cds_service.settings import load_settings
from cds_service.store.archive import Archive
from cds_service.store.base import ShownCard, SyntheticPatient
from cds_service.store.connect import open_engine
from cds_service.store.migrate import migrate
from cds_service.store.sql import SqlStore
from fhir_profiles.synthetic import resources, synthetic_patients
from tests.builders import AS_OF
from tests.conftest import served
from tests.requirement import missing
from tests.serving import free_port

PROGRAMS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
)
DESKTOP: Final = (1366, 768)
PHONE: Final = (360, 740)
HOSTILE: Final = "<img src=x onerror=\"window.stolen='image'\"><script>window.stolen='script'</script>"
EUS: Final = {"system": "http://snomed.info/sct", "code": "450556004", "display": "Endoscopic ultrasonography"}
HOSTILE_PATIENT: Final = "hostile-record"

_PATIENCE: Final = 20_000
"""Milliseconds to wait for what must come; machines may be busy."""

expect.set_options(timeout=_PATIENCE)

_TELL_VIOLATIONS: Final = """
document.addEventListener("securitypolicyviolation", (e) => console.error("policy: " + e.violatedDirective));
"""


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The browser; without one on the machine the tests that need it are skipped, on our CI they fail."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        missing("REQUIRE_CHROMIUM", "Chromium is not installed on this machine (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        yield browser
        browser.close()


def hostile_patient() -> SyntheticPatient:
    """A patient whose name, problem and order hold markup and scripts."""
    model = next(patient for patient in synthetic_patients() if patient.slug == "incidental-tail-lesion")
    bundle: dict[str, Any] = copy.deepcopy(dict(model.bundle))
    for resource in resources(bundle):
        if resource["resourceType"] == "Patient":
            resource["name"] = [{"family": HOSTILE, "given": [HOSTILE]}]
        if resource["resourceType"] in ("Condition", "DiagnosticReport"):
            resource["code"] = {**resource["code"], "text": HOSTILE}
        if resource["resourceType"] == "ServiceRequest":
            resource["code"] = {"coding": [EUS], "text": HOSTILE}
    return replace(model, slug=HOSTILE_PATIENT, title=HOSTILE, story=HOSTILE, bundle=bundle)


@dataclass(frozen=True)
class Site:
    """The running service and its store."""

    base: str
    database: str

    def card(self, uuid: str) -> ShownCard:
        """A card as the store holds it."""
        engine = open_engine(self.database)
        try:
            return next(card for card in Archive(engine).shown(None, None) if card.uuid == uuid)
        finally:
            engine.dispose()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The demo on the day of the stories."""
    folder: Path = tmp_path_factory.mktemp("browser")
    database = f"sqlite:///{folder}/store.sqlite"
    engine = open_engine(database)
    migrate(engine)
    store = SqlStore(engine)
    store.load_synthetic((*synthetic_patients(), hostile_patient()))
    port = free_port()
    app = create_app(load_settings(demo=True, database_url=database, port=port), store=store, today=lambda: AS_OF)
    for running in served(app, port):
        yield Site(running.base, database)


@contextmanager
def quiet_page(browser: Browser, base: str, size: tuple[int, int], expected: tuple[str, ...] = ()) -> Iterator[Page]:
    """A page in a context of its own, on which nothing may go wrong but what is expected to."""
    context: BrowserContext = browser.new_context(base_url=base, viewport={"width": size[0], "height": size[1]})
    context.set_default_timeout(_PATIENCE)
    context.add_init_script(_TELL_VIOLATIONS)
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    try:
        yield page
        assert [line for line in said if not line.startswith(expected or ("\0",))] == []
    finally:
        context.close()


@pytest.fixture
def page(chromium: Browser, site: Site) -> Iterator[Page]:
    """A page as wide as a clinician's screen."""
    with quiet_page(chromium, site.base, DESKTOP) as opened:
        yield opened
