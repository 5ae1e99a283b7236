"""What the tests of faults share."""

from __future__ import annotations

from typing import Any

import pytest

from tests.calling import synthetic_request


@pytest.fixture
def call(advertised: dict[str, dict[str, str]]) -> dict[str, Any]:
    """A call that is answered with a card."""
    return synthetic_request("incidental-tail-lesion", "order-sign", advertised)
