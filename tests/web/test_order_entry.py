"""Order entry without a browser: who gets the page, what it may load, and the studies on offer."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Final

import pytest
from flask import Flask

from cds_service.knowledge import Knowledge
from cds_service.store.clients import open_clients
from cds_service.web.order_entry import FILES, POLICY
from fhir_profiles.inputs.studies import study
from fhir_profiles.terminology import Terminology
from tests.calling import InProcess, MakeApp
from tests.web.test_edge import Protected
from tests.web.test_guideline import Page

FOLDER: Final = Path(__file__).parents[2] / "cds_service/web/static/order-entry"
BROWSER: Final = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
MARKDOWN_IT: Final = "d5432491790141da046b1197353705db03264f40b5727f3b4b591f5aba193e30"
"""Of dist/browser/markdown-it.esm.min.mjs in markdown-it 15.0.3 of npm."""


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (BROWSER, "text/html; charset=utf-8"),
        ("application/json", "application/json"),
        ("application/json, text/html;q=0.9", "application/json"),
        ("*/*", "application/json"),
        (None, "application/json"),
        ("image/png", "application/json"),
    ],
)
def test_browsers_get_the_page_and_programs_json(accept: str | None, media_type: str, app: Flask) -> None:
    """By what they ask for; caches are told that it matters."""
    answer = app.test_client().get("/", headers={"Accept": accept} if accept else {})
    assert answer.content_type == media_type
    assert "Accept" in answer.headers["Vary"]


def test_outside_demo_mode_there_is_no_page(tmp_path: Path) -> None:
    """Nothing of the demo is there, whoever asks."""
    url = f"sqlite:///{tmp_path}/store.sqlite"
    protected = Protected(url, open_clients(url))
    protected.register("ehr")
    client = protected.app().test_client()
    protected.clients.release()
    assert client.get("/", headers={"Accept": BROWSER}).content_type == "application/json"
    static = [f"{folder}/{name}" for name in FILES for folder in ("/demo/static", "/guideline/static/order-entry")]
    for path in ("/demo/studies", *static):
        assert client.get(path).status_code == 404
    assert client.post("/demo/charts", json={"fhirServer": "http://localhost", "patientId": "p"}).status_code == 404


def test_the_page_loads_its_own_files_and_nothing_else(app: Flask) -> None:
    """No script or style in the page, no other host, and every file that is named is there."""
    client = app.test_client()
    answer = client.get("/", headers={"Accept": BROWSER})
    assert answer.headers["Content-Security-Policy"] == POLICY
    assert "unsafe" not in POLICY
    shown = Page(answer.get_data(as_text=True))
    scripts = shown.all("script")
    assert [set(script) for script in scripts] == [{"type", "src"}]
    assert not shown.all("style")
    assert not [attributes for _, attributes in shown.tags if "style" in attributes or "onclick" in attributes]
    loaded = [str(script["src"]) for script in scripts] + [str(link["href"]) for link in shown.all("link")]
    for path in loaded:
        assert client.get(path, buffered=True).status_code == 200


def test_links_keep_the_path_a_proxy_adds(make_app: MakeApp) -> None:
    """Files, links and calls of the page begin with the path of the public URL."""
    client = make_app(public_url="https://cds.example.org/imaging").test_client()
    shown = Page(client.get("/", headers={"Accept": BROWSER}).get_data(as_text=True))
    places = [attributes.get("href") or attributes.get("src") for _, attributes in shown.tags]
    assert all(place.startswith(("/imaging/", "#")) for place in places if place)
    assert [attributes["data-base"] for _, attributes in shown.tags if "data-base" in attributes] == ["/imaging"]


def test_every_study_can_be_ordered_and_is_read_as_itself(
    local: InProcess, knowledge: Knowledge, terminology: Terminology
) -> None:
    """The catalogue is complete, and a draft made from an entry is understood as that study."""
    listed = local.request("GET", "/demo/studies").json()
    assert [entry["study"] for entry in listed] == list(knowledge.procedures)
    for entry in listed:
        read = study({**entry["code"], "text": entry["label"]}, terminology)
        assert read is not None
        assert read.procedure == entry["study"]


def test_scripts_make_no_markup_from_text() -> None:
    """Beside the policy that stops it, nobody writes it."""
    sinks = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|DOMParser")
    ours = [path for path in FOLDER.glob("*.js") if path.name != "markdown-it.js"]
    assert ours
    assert [path.name for path in ours if sinks.search(path.read_text(encoding="utf-8"))] == []


def test_the_library_is_the_one_that_is_named() -> None:
    """markdown-it is unchanged, and its licence is beside it."""
    library = (FOLDER / "markdown-it.js").read_bytes()
    assert hashlib.sha256(library).hexdigest() == MARKDOWN_IT
    assert b"markdown-it 15.0.3" in library[:80]
    assert "Vitaly Puzrin" in (FOLDER / "markdown-it.LICENSE.txt").read_text(encoding="utf-8")
