"""Calls with a few hostile changes, the same in every run: what the fuzzer does for longer, without its guidance."""

from __future__ import annotations

import json
from itertools import product

import pytest

from fhir_profiles.synthetic import synthetic_patients
from tests.calling import InProcess, post, synthetic_request
from tests.fuzz.mutation import mutated
from tests.property.strategies import HOOKS, TEMPLATES
from tests.validity import assert_answered_or_refused

STORIES = list(product([patient.slug for patient in synthetic_patients()], HOOKS))
EACH = 3


@pytest.mark.parametrize(("slug", "hook"), STORIES)
def test_a_mutated_call_is_answered_or_refused(slug: str, hook: str, local: InProcess) -> None:
    """Whatever a few members become, the answer is a valid response or says what to mend."""
    call = json.dumps(synthetic_request(slug, hook, TEMPLATES)).encode()
    number = STORIES.index((slug, hook))
    for seed in range(number * EACH, (number + 1) * EACH):
        body = mutated(call, seed)
        assert body != call
        assert_answered_or_refused(post(local, hook, body), json.loads(body))
