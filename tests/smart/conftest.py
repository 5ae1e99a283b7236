"""An EHR with one chart, and the service that is registered with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.smart.ehr import Ehr, running
from tests.smart.world import SLUG, World, a_world, chart_of


@pytest.fixture
def ehr() -> Iterator[Ehr]:
    """An EHR with the chart of one story."""
    with running(Ehr(chart_of(SLUG))) as made:
        yield made


@pytest.fixture
def world(ehr: Ehr, tmp_path: Path) -> Iterator[World]:
    """The two, each knowing the other."""
    with a_world(ehr, tmp_path) as made:
        yield made
