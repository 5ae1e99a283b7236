"""Against HAPI: the answer is the same however much of the chart came as prefetch, whatever ways HAPI has of its own."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from fhir_profiles.synthetic import resources
from tests.calling import InProcess, post
from tests.fhir.hapi_server import HapiServer, referred_to, running
from tests.fhir.reading import (
    DISPATCHED,
    HOOKS,
    SLUGS,
    call,
    same,
    stories,
)

PAGE: Final = 20
"""The most that HAPI gives in one page here, so that every chart needs several."""
OBSERVATIONS: Final = 400
Templates = dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A FHIR package with one definition."""
    files = {
        "package.json": {
            "name": "org.example.tiny",
            "version": "1.0.0",
            "fhirVersions": ["4.0.1"],
            "type": "Conformance",
        },
        "CodeSystem-tiny.json": {
            "resourceType": "CodeSystem",
            "id": "tiny",
            "url": "https://example.org/fhir/CodeSystem/tiny",
            "version": "1.0.0",
            "status": "active",
            "content": "complete",
            "concept": [{"code": "one", "display": "The one code"}],
        },
    }
    path = tmp_path_factory.mktemp("package") / "tiny.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            data = json.dumps(content).encode()
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


@pytest.fixture(scope="module")
def hapi(tmp_path_factory: pytest.TempPathFactory, package: Path) -> Iterator[HapiServer]:
    """HAPI with every synthetic patient; once more with the orders sent, and once with a chart of many pages."""
    with running(tmp_path_factory.mktemp("hapi"), package, page=PAGE) as server:
        held = [resources(story) for story in stories(OBSERVATIONS)]
        server.load(referred_to(resource for story in held for resource in story))
        for story in held:
            server.load(story)
        yield server


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("slug", SLUGS)
def test_without_prefetch_the_answer_is_the_same(
    slug: str, hook: str, reading: InProcess, advertised_here: Templates, hapi: HapiServer
) -> None:
    """CH-062: prefetch only, a mixture, and reading only give one answer, for every patient and service."""
    full = call(slug, hook, DISPATCHED if hook == "order-dispatch" else "", advertised_here, hapi.url)
    expected = post(reading, hook, full)
    keys = list(full["prefetch"])
    same(expected, post(reading, hook, full | {"prefetch": {key: full["prefetch"][key] for key in keys[::2]}}))
    same(expected, post(reading, hook, {name: value for name, value in full.items() if name != "prefetch"}))
