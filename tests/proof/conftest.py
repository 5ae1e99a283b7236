"""The proof of the packaged knowledge, run once."""

from __future__ import annotations

import pytest

from cds_service.knowledge import Knowledge
from cds_service.proof import Proof, prove


@pytest.fixture(scope="session")
def proofs(knowledge: Knowledge) -> tuple[Proof, ...]:
    """Every property of the packaged knowledge."""
    return prove(knowledge)
