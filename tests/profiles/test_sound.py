"""A resource is called sound only if the comparison with its R4 shape finds nothing in it, whatever was done to it."""

from __future__ import annotations

import json
from contextlib import suppress
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_profiles.dates import parse, parse_slowly
from fhir_profiles.facts import LOOKED_INTO
from fhir_profiles.large_chart import large_chart
from fhir_profiles.shape import damaged_members
from fhir_profiles.sound import is_sound
from fhir_profiles.synthetic import resources, synthetic_patients
from tests.damage import damages
from tests.fuzz.mutation import mutated
from tests.property.strategies import steady

CHARTS = {
    **{patient.slug: resources(patient.bundle) for patient in synthetic_patients()},
    "large": resources(large_chart(12)),
}


@pytest.mark.parametrize("name", CHARTS)
def test_nothing_damaged_is_called_sound(name: str) -> None:
    """Every field of every resource, damaged in every way."""
    damaged = [damage.of(resource) for resource in CHARTS[name] for damage in damages(resource)]
    found = [resource for resource in damaged if any(damaged_members(resource, LOOKED_INTO))]
    assert found
    assert not [resource for resource in found if is_sound(resource)]


@pytest.mark.parametrize("name", CHARTS)
def test_nothing_mutated_at_random_is_called_sound(name: str) -> None:
    """Members that move, come twice or turn hostile, also several at once."""
    random = Random(name)  # noqa: S311 - reproducible, not secret
    for seed in range(600):
        body = mutated(json.dumps(random.choice(CHARTS[name])).encode(), seed)
        with suppress(msgspec.DecodeError):
            resource = msgspec.json.decode(body)
            assert not is_sound(resource) or not list(damaged_members(resource, LOOKED_INTO))


def test_nearly_every_resource_is_sound() -> None:
    """Otherwise nothing is gained by asking."""
    every = [resource for chart in CHARTS.values() for resource in chart]
    assert sum(map(is_sound, every)) > 0.95 * len(every)


@steady(2000)
@given(st.from_regex(r"\s?[0-2]\d{3}(-[01]\d(-[0-3]\d)?)?(T.{0,8}|\s.{0,3}|)", fullmatch=True))
def test_a_remembered_date_is_the_date_that_is_read(written: str) -> None:
    """Days are remembered by their first ten characters; what follows decides whether it is a date at all."""
    assert parse(written) == parse_slowly(written)
