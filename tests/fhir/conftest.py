"""The FHIR server the service reads from in tests."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from fhir_profiles.large_chart import large_chart
from fhir_profiles.synthetic import is_draft, resources, synthetic_patients
from tests.fhir.real_server import renamed, running

PAGE = 20
"""Small pages, so that every chart needs several."""
LARGE = "large-"
DISPATCHED = "dispatched-"
OBSERVATIONS = 6000


@pytest.fixture(scope="session")
def fhir_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real FHIR server with every synthetic patient; once more with the orders sent, and once with a large chart."""
    folder = tmp_path_factory.mktemp("bundles")
    stories = [patient.bundle for patient in synthetic_patients()]
    stories += [renamed(story, DISPATCHED) for story in stories]
    stories.append(renamed(large_chart(OBSERVATIONS), LARGE))
    for story in stories:
        for resource in resources(story):
            if is_draft(resource) and resource["id"].startswith(DISPATCHED):
                resource["status"] = "active"
    files = [folder / f"{number:02d}.json" for number in range(len(stories))]
    for file, story in zip(files, stories, strict=True):
        file.write_text(json.dumps(story), encoding="utf-8")
    with running(*files, page=PAGE) as url:
        yield url
