"""The wheel holds everything and nothing else, and runs in an environment of its own beside folders of our names."""

from __future__ import annotations

import configparser
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path
from types import ModuleType
from typing import Final

import pytest

from cds_service import __version__
from cds_service.errors import InstallationError
from cds_service.installation import check_installation
from cds_service.knowledge import load_knowledge
from fhir_profiles.synthetic import synthetic_patients

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = ("cds_service", "fhir_profiles", "hooks")
_LEFT_OUT: Final = shutil.ignore_patterns("__pycache__", "*.pyc", "*.egg-info", "build", "dist")
_TIMEOUT: Final = 120


def clean_environment() -> dict[str, str]:
    """The environment without anything that would change what is imported."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PNET_CDS_"))}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the tree with the build tools at hand."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for package in PACKAGES:
        shutil.copytree(ROOT / package, source / package, ignore=_LEFT_OUT)
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    (source / "tests").mkdir()
    (source / "tests" / "__init__.py").write_text("", encoding="utf-8")
    built = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder / "dist"), str(source)],
        capture_output=True,
        text=True,
        check=False,
        timeout=_TIMEOUT,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    (made,) = (folder / "dist").iterdir()
    return made


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel in it, and a folder with decoys to start from."""

    python: Path
    command: Path
    site: Path
    decoys: Path

    def run(self, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run something from the folder with the decoys."""
        return subprocess.run(
            [str(argument) for argument in arguments],
            cwd=self.decoys,
            env=clean_environment() | environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT,
        )


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel installed without its dependencies, which are taken from this environment."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "env")], check=True, timeout=_TIMEOUT)
    python = folder / "env" / "bin" / "python"
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "--python",
            str(python),
            "install",
            "--quiet",
            "--no-deps",
            "--no-index",
            str(wheel),
        ],
        check=True,
        timeout=_TIMEOUT,
    )
    (site,) = (folder / "env" / "lib").glob("python*/site-packages")
    paths = sysconfig.get_paths()
    (site / "dependencies.pth").write_text(f"{paths['purelib']}\n{paths['platlib']}\n", encoding="utf-8")
    decoys = folder / "decoys"
    for package in ("hooks", "fhir_profiles"):
        (decoys / package).mkdir(parents=True)
        (decoys / package / "__init__.py").write_text(f"DECOY = {package!r}\n", encoding="utf-8")
    return Installed(python, folder / "env" / "bin" / "pnet-cds", site, decoys)


def tree_files() -> set[str]:
    """Every file of the packages in the tree."""
    return {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def wheel_files(wheel: Path) -> set[str]:
    """Every file of the wheel but its own records."""
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def record(wheel: Path, name: str) -> str:
    """One of the wheel's own records."""
    with zipfile.ZipFile(wheel) as archive:
        (found,) = (entry for entry in archive.namelist() if entry.endswith(f".dist-info/{name}"))
        return archive.read(found).decode("utf-8")


def test_the_wheel_holds_the_packages_and_nothing_else(wheel: Path) -> None:
    """Every module and data file of the three packages is in the wheel, and no test, database or build folder is."""
    assert wheel_files(wheel) == tree_files()


@pytest.mark.parametrize("ending", [".toml", ".json", ".mako", ".html", ".css", "py.typed"])
def test_data_files_travel(wheel: Path, ending: str) -> None:
    """Tables, schemas, examples, templates, the style sheet and the type markers are packaged, all of them."""
    packaged = {name for name in wheel_files(wheel) if name.endswith(ending)}
    assert packaged == {name for name in tree_files() if name.endswith(ending)}
    assert packaged


def test_the_packages_are_typed(wheel: Path) -> None:
    """Each of the three packages says that it is typed."""
    assert {f"{package}/py.typed" for package in PACKAGES} <= wheel_files(wheel)


def test_the_metadata_is_that_of_the_project(wheel: Path) -> None:
    """Name, version, Python, licence and command are those of the tree."""
    metadata = HeaderParser().parsestr(record(wheel, "METADATA"))
    assert (metadata["Name"], metadata["Version"]) == ("pnet-cds", __version__)
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-File"] == "LICENSE"
    assert metadata["Description-Content-Type"] == "text/markdown"
    entries = configparser.ConfigParser()
    entries.read_string(record(wheel, "entry_points.txt"))
    assert dict(entries["console_scripts"]) == {"pnet-cds": "cds_service.cli:main"}
    assert set(record(wheel, "top_level.txt").split()) == set(PACKAGES)


OPTIONAL: Final = {"opentelemetry", "redis"}
"""Imported only where a setting asks for it; declared by an extra, which is named when it is missing."""


def test_every_import_is_a_declared_dependency(wheel: Path) -> None:
    """What the modules import beside themselves and the standard library is declared, and nothing else is."""
    from tests.architecture.test_layers import imports  # noqa: PLC0415 - the imports as the layers see them

    distributions = {
        "fhir": "fhir.resources",
        "fhir_core": "fhir.resources",
        "flask_limiter": "flask-limiter",
        "jwt": "pyjwt[crypto]",
        "limits": "flask-limiter",
        "markupsafe": "flask",
        "prometheus_client": "prometheus-client",
        "pydantic": "pydantic-settings",
        "pydantic_settings": "pydantic-settings",
        "werkzeug": "flask",
    }
    imported = {found.module.split(".")[0] for found in imports()} - set(PACKAGES) - sys.stdlib_module_names
    imported -= OPTIONAL
    needed = {distributions.get(name, name) for name in imported}
    metadata = HeaderParser().parsestr(record(wheel, "METADATA"))
    declared = {
        entry.split(">")[0].strip().lower()
        for entry in metadata.get_all("Requires-Dist", [])
        if "extra ==" not in entry
    }
    assert needed == declared


def test_the_check_passes_beside_decoys(installed: Installed) -> None:
    """Started by its command from a folder with ``hooks/``, the service is its own, with the same knowledge."""
    ran = installed.run(installed.command, "check", "--quick", "--json")
    assert (ran.returncode, ran.stderr) == (0, "")
    knowledge = load_knowledge()
    assert json.loads(ran.stdout)["knowledge"] == {"version": knowledge.version, "hash": knowledge.hash}


def test_a_decoy_that_wins_is_said(installed: Installed) -> None:
    """Started in a way that puts the folder first, the command stops and says which package comes from where."""
    ran = installed.run(installed.python, "-m", "cds_service", "check", "--quick")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "[installation-mixed]" in ran.stderr
    assert str(installed.decoys) in ran.stderr


def test_a_decoy_of_hooks_alone_is_said(installed: Installed, tmp_path: Path) -> None:
    """A folder that stands in for ``hooks`` only is named with its place."""
    (tmp_path / "hooks").mkdir()
    (tmp_path / "hooks" / "__init__.py").write_text("", encoding="utf-8")
    beside = Installed(installed.python, installed.command, installed.site, tmp_path)
    ran = beside.run(installed.python, "-m", "cds_service", "check", "--quick")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "[installation-mixed]" in ran.stderr
    assert str(tmp_path) in ran.stderr
    safe = beside.run(installed.python, "-m", "cds_service", "check", "--quick", PYTHONSAFEPATH="1")
    assert (safe.returncode, safe.stderr) == (0, "")


def test_a_decoy_stops_the_service_too(installed: Installed, tmp_path: Path) -> None:
    """``serve`` checks the installation before anything else."""
    (tmp_path / "hooks").mkdir()
    (tmp_path / "hooks" / "__init__.py").write_text("SERVICES = ()\n", encoding="utf-8")
    beside = Installed(installed.python, installed.command, installed.site, tmp_path)
    ran = beside.run(installed.python, "-m", "cds_service", "serve", "--demo")
    assert ran.returncode == 1
    assert "[installation-mixed]" in ran.stderr
    assert not (tmp_path / "var").exists()


def test_another_owner_of_a_name_is_said(installed: Installed) -> None:
    """When another distribution installed one of our names, the check names it and what to do."""
    other = installed.site / "other_hooks-1.0.dist-info"
    other.mkdir()
    try:
        (other / "METADATA").write_text("Metadata-Version: 2.1\nName: other-hooks\nVersion: 1.0\n", encoding="utf-8")
        (other / "top_level.txt").write_text("hooks\n", encoding="utf-8")
        ran = installed.run(installed.command, "check", "--quick")
    finally:
        shutil.rmtree(other)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "'hooks' is installed by other-hooks, pnet-cds" in ran.stderr
    assert "environment of its own" in ran.stderr


def test_the_installed_service_makes_its_store(installed: Installed, tmp_path: Path) -> None:
    """The packaged migrations and examples are found by the installed package: a demo store is made and filled."""
    script = (
        "from cds_service.app import open_store; from cds_service.settings import Settings; "
        f"store = open_store(Settings(demo=True, database_url='sqlite:///{tmp_path}/x.sqlite')); "
        "print(store.ready(), len(store.synthetic()))"
    )
    ran = installed.run(installed.python, "-P", "-c", script)
    assert (ran.stdout, ran.stderr) == (f"True {len(synthetic_patients())}\n", "")


def test_the_installed_service_shows_its_pages(installed: Installed, tmp_path: Path) -> None:
    """Templates, style sheet and schemas are found by the installed package."""
    script = (
        "from cds_service.app import create_app; from cds_service.settings import Settings; "
        f"app = create_app(Settings(demo=True, database_url='sqlite:///{tmp_path}/x.sqlite')); "
        "client = app.test_client(); "
        "paths = ('/guideline/scenarios/pnet-initial-staging', '/guideline/static/guideline.css', '/docs', "
        "'/demo/static/app.js'); "
        "print([client.get(path).status_code for path in paths])"
    )
    ran = installed.run(installed.python, "-P", "-c", script)
    assert (ran.stdout, ran.stderr) == ("[200, 200, 200, 200]\n", "")


def test_the_installed_command_assesses(installed: Installed) -> None:
    """The installed command answers a patient and an order."""
    given = {"facts": {"nen_status": "confirmed", "primary_site": "pancreas"}, "orders": ["eus"]}
    path = installed.decoys / "facts.json"
    path.write_text(json.dumps(given), encoding="utf-8")
    ran = installed.run(installed.command, "assess", "--facts", path)
    assert ran.returncode == 0
    assert json.loads(ran.stdout)["orders"][0]["rating"] == "usually-not-appropriate"


def test_this_installation_is_sound() -> None:
    """The environment the tests run in is one of its own."""
    check_installation()


def test_a_folder_without_code_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bare folder that was imported under one of our names is no installation."""
    bare = ModuleType("hooks")
    bare.__file__ = None
    monkeypatch.setitem(sys.modules, "hooks", bare)
    with pytest.raises(InstallationError, match="'hooks' is a folder without code"):
        check_installation()
