"""Two validators that disagree in useful ways, both with our own definitions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import fhir_profiles
from tests.validators.finding import Validator
from tests.validators.hapi import HapiValidator
from tests.validators.pyrofile import PyrofileValidator

DEFINITIONS = Path(fhir_profiles.__file__).parent / "definitions"


@pytest.fixture(scope="session")
def own_definitions() -> list[Path]:
    """Folders and packages with definitions of our own."""
    return [place for place in (DEFINITIONS,) if place.exists()]


@pytest.fixture(scope="session")
def hapi(tmp_path_factory: pytest.TempPathFactory, own_definitions: list[Path]) -> Iterator[HapiValidator]:
    """HAPI's validator."""
    with HapiValidator.started(tmp_path_factory.mktemp("hapi"), own_definitions) as validator:
        yield validator


@pytest.fixture(scope="session")
def pyrofile(tmp_path_factory: pytest.TempPathFactory, own_definitions: list[Path]) -> PyrofileValidator:
    """pyrofile's validator."""
    return PyrofileValidator(tmp_path_factory.mktemp("pyrofile"), own_definitions)


@pytest.fixture(scope="session")
def validators(hapi: HapiValidator, pyrofile: PyrofileValidator) -> Mapping[str, Validator]:
    """Both, by name."""
    return {"hapi": hapi, "pyrofile": pyrofile}
