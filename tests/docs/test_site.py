"""The documentation site: it builds without a warning, needs no other host, and has every page in its navigation."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

import pytest

from docs import clinical_content
from docs.api_reference import interface

DOCS: Final = Path(__file__).parents[2] / "docs"
_LOADING: Final = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    into = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-d", f"{into}-trees", str(DOCS), str(into)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return into


class _Loads(HTMLParser):
    """What a page makes a browser fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        address = dict(attrs).get(_LOADING.get(tag, ""))
        if address:
            self.found.append(address)


def loads(page: Path) -> Iterator[str]:
    """Addresses of what a page loads."""
    parser = _Loads()
    parser.feed(page.read_text(encoding="utf-8"))
    yield from parser.found


def test_every_page_is_built_and_reached(site: Path) -> None:
    """Each page of the folder is in the site, and in its navigation."""
    index = (site / "index.html").read_text(encoding="utf-8")
    for page in DOCS.glob("*.md"):
        assert (site / page.with_suffix(".html").name).is_file()
        assert page.stem == "index" or f'href="{page.stem}.html"' in index, page.stem


def test_nothing_comes_from_another_host(site: Path) -> None:
    """Scripts, styles and pictures are those of the site."""
    for page in site.rglob("*.html"):
        assert [address for address in loads(page) if re.match(r"(https?:)?//", address)] == [], page.name


def test_the_interface_is_on_its_page(site: Path) -> None:
    """Every operation of the OpenAPI document but preflights, with its statuses, and every schema, at an address."""
    html = (site / "api.html").read_text(encoding="utf-8")
    text = " ".join(unescape(re.sub(r"<[^>]+>", "", html)).split())
    shown = interface()
    for _, _, operations in shown.subjects:
        for one in operations:
            assert (f"{one.method} {one.path}" in text) == (one.method != "OPTIONS"), one.name
            assert one.method == "OPTIONS" or one.summary in text
    for schema in shown.schemas:
        assert f'id="schema-{schema.name.lower().replace(".", "-")}"' in html, schema.name


def test_the_clinical_page_is_current() -> None:
    """It is what docs/clinical_content.py would write now."""
    written = clinical_content.PAGE.read_text(encoding="utf-8")
    assert written == clinical_content.page(), "run PYTHONPATH=. python docs/clinical_content.py"


def test_the_architecture_names_every_room() -> None:
    """Each package of the tree is in the table, and none that is not there."""
    table = (DOCS / "architecture.md").read_text(encoding="utf-8").partition("|---|")[2].partition("\n\n")[0]
    told = {
        room for first in re.findall(r"^\| (.+?) \|", table, re.MULTILINE) for room in re.findall(r"`(\w+)`", first)
    }
    folders = {path.parent.name for path in (DOCS.parent / "cds_service").glob("*/__init__.py")}
    assert told == folders | {"fhir_profiles", "hooks"}
