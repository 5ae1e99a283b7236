"""Two validators that disagree in useful ways, both with our own definitions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner

from cds_service.cli import cli
from tests.validators.finding import Validator
from tests.validators.hapi import HapiValidator
from tests.validators.pyrofile import PyrofileValidator


@pytest.fixture(scope="session")
def own_definitions(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The package that ``pnet-cds export-fhir`` writes."""
    folder = tmp_path_factory.mktemp("package")
    done = CliRunner().invoke(cli, ["export-fhir", str(folder)])
    assert done.exit_code == 0, done.output
    return [folder / "package.tgz"]


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
