"""The FHIR server the service reads from in tests."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.calling import InProcess, MakeApp, templates
from tests.fhir.reading import stories
from tests.fhir.real_server import running

PAGE = 20
"""Small pages, so that every chart needs several."""
BUSY_MACHINE_SECONDS = 20.0
"""These tests ask for the same answer, not for a fast one."""
OBSERVATIONS = 6000


@pytest.fixture(scope="session")
def fhir_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real FHIR server with every synthetic patient; once more with the orders sent, and once with a large chart."""
    folder = tmp_path_factory.mktemp("bundles")
    held = stories(OBSERVATIONS)
    files = [folder / f"{number:02d}.json" for number in range(len(held))]
    for file, story in zip(files, held, strict=True):
        file.write_text(json.dumps(story), encoding="utf-8")
    with running(*files, page=PAGE) as url:
        yield url


@pytest.fixture(scope="session")
def reading(make_app: MakeApp) -> InProcess:
    """The service, with time enough to read on a busy machine."""
    return InProcess(make_app(fhir_seconds=BUSY_MACHINE_SECONDS))


@pytest.fixture(scope="session")
def advertised_here(reading: InProcess) -> dict[str, dict[str, str]]:
    """Prefetch templates by hook."""
    return templates(reading)
