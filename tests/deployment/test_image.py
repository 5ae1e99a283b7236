"""The image without a container engine: its commands are carried out here, and what it starts runs as it would there.

As root on Linux: in a mount namespace whose root is read-only, under the user of the image.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import Final

import pytest
import requests

from cds_service import __version__
from tests.deployment.dockerfile import ROOT, Instruction, all_of, environment, stages
from tests.requirement import missing
from tests.serving import free_port
from tests.signing import key_set, public_jwk

_PREFIX: Final = "/opt/pnet-cds"
_STATE: Final = "/var/lib/pnet-cds"
_PORT: Final = "8080"
_SECONDS: Final = 300
_CONFINED: Final = """
set -e
mount -o remount,bind,ro /
mount -t tmpfs -o mode=0700,uid={user},gid={user} tmpfs "$STATE"
mount -t tmpfs -o mode=1777 tmpfs "$TMPDIR"
cd "$STATE"
exec setpriv --reuid={user} --regid={user} --clear-groups --no-new-privs {reading} "$@"
"""
_READING: Final = (
    "--inh-caps=-all,+dac_read_search --ambient-caps=-all,+dac_read_search --bounding-set=-all,+dac_read_search"
)
"""The one right it has here and not there: to read, because Python may be in the home of root."""


@dataclass(frozen=True)
class Image:
    """What an engine would have built."""

    folder: Path
    build: list[Instruction]
    final: list[Instruction]

    def here(self, text: str) -> str:
        """A text of the Dockerfile with places as they are here."""
        return text.replace(_PREFIX, f"{self.folder}/prefix").replace(_STATE, f"{self.folder}/state")

    def environment(self) -> dict[str, str]:
        """The variables of a container, which has no others."""
        path = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
        own = {name: self.here(value).replace("$PATH", path) for name, value in environment(self.final).items()}
        return {"STATE": self.here(_STATE), "TMPDIR": str(self.folder / "tmp"), **own}

    def confined(self, *command: str) -> list[str]:
        """A command under the user of the image, with a root it cannot write to."""
        (user,) = {instruction.arguments.partition(":")[0] for instruction in all_of("USER", self.final)}
        assert int(user) > 0
        return ["unshare", "--mount", "sh", "-c", _CONFINED.format(user=user, reading=_READING), "sh", *command]


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    """The first stage, carried out."""
    if os.geteuid() != 0 or subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        missing("REQUIRE_DEPLOYMENT", "only root on Linux can confine the service as an engine would")
    build, final = stages()
    folder = Path(tempfile.mkdtemp(prefix="pnet-image-", dir="/tmp"))
    folder.chmod(0o755)
    made = Image(folder, build, final)
    try:
        for name in ("source", "state", "tmp"):
            (folder / name).mkdir()
        for instruction in all_of("COPY", build):
            *sources, target = instruction.arguments.split()
            copy(sources, folder / "source" / target)
        for instruction in all_of("RUN", build):
            run(made, instruction)
        yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def copy(sources: list[str], target: Path) -> None:
    """As COPY does: the contents of a folder, or files into a folder."""
    for source in map(ROOT.joinpath, sources):
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)


def run(image: Image, instruction: Instruction) -> None:
    """A command of the first stage."""
    path = f"{Path(sys.executable).resolve().parent}:{os.environ['PATH']}"
    command = image.here(instruction.arguments).replace("--no-cache-dir ", "")  # the cache spares CI a download
    ran = subprocess.run(
        ["sh", "-e", "-c", command],
        cwd=image.folder / "source",
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
    )
    if "NewConnectionError" in ran.stderr or "No matching distribution" in ran.stderr:
        missing("REQUIRE_DEPLOYMENT", f"packages cannot be installed: {ran.stderr[-500:]}")
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_image_holds_no_tools_to_build_with(image: Image) -> None:
    """Neither pip nor setuptools, tests or sources: the packages and what they need."""
    commands = {path.name for path in (image.folder / "prefix" / "bin").iterdir()}
    assert "pnet-cds" in commands
    assert not any(name.startswith("pip") for name in commands)
    (site,) = (image.folder / "prefix" / "lib").glob("python*/site-packages")
    installed = {path.name for path in site.iterdir()}
    assert {"cds_service", "psycopg", "redis"} <= installed
    assert not installed & {"pip", "setuptools", "tests", "benchmarks", "pytest"}
    copied = [instruction.arguments for instruction in all_of("COPY", image.final)]
    assert copied == [f"--from=build {_PREFIX} {_PREFIX}"]


def test_every_version_in_the_image_is_written_down(image: Image) -> None:
    """What is installed is what deploy/constraints.txt lists, and nothing beside it but the service."""
    (site,) = (image.folder / "prefix" / "lib").glob("python*/site-packages")
    installed = {f"{found.name}=={found.version}" for found in distributions(path=[str(site)])}
    listed = (ROOT / "deploy" / "constraints.txt").read_text("utf-8").split()
    assert installed - {f"pnet-cds=={__version__}"} == set(listed)


def test_the_image_starts_confined_and_says_that_it_is_well(image: Image) -> None:
    """With a read-only root and no rights: it starts, passes its own health check, and stops when told to."""
    (entry,), (command,) = all_of("ENTRYPOINT", image.final), all_of("CMD", image.final)
    (health,) = all_of("HEALTHCHECK", image.final)
    port = str(free_port())
    keys = image.folder / "keys.json"
    keys.write_bytes(key_set(public_jwk("ehr")))
    settings = image.environment() | {"PNET_CDS_PUBLIC_URL": "https://cds.example.org", "PNET_CDS_PORT": port}
    first = f'pnet-cds client add ehr --issuer https://ehr.example.org --keys {keys} && exec "$@"'
    started = image.confined("sh", "-c", first, "sh", *entry.command(), *command.command())
    checked = [part.replace(_PORT, port) for part in health.command()]

    def well() -> bool:
        return subprocess.run(checked, env=settings, capture_output=True, check=False, timeout=30).returncode == 0

    assert not well()
    with (image.folder / "log").open("wb") as log:
        process = subprocess.Popen(started, env=settings, cwd="/", stdout=log, stderr=log)
    try:
        until = time.monotonic() + 60
        while not well():
            assert process.poll() is None, (image.folder / "log").read_text("utf-8")
            assert time.monotonic() < until, (image.folder / "log").read_text("utf-8")
            time.sleep(0.2)
        status = Path(f"/proc/{process.pid}/status").read_text("ascii")
        (user,) = [line.split()[1:] for line in status.splitlines() if line.startswith("Uid:")]
        assert set(user) == {"10001"}
        mounts = Path(f"/proc/{process.pid}/mountinfo").read_text("utf-8").splitlines()
        (root,) = [line.split()[5].split(",") for line in mounts if line.split()[4] == "/"]
        assert "ro" in root
        assert requests.get(f"http://127.0.0.1:{port}/cds-services", timeout=30).status_code == 401
    finally:
        process.send_signal(signal.SIGTERM)
        status_at_end = process.wait(60)
    assert status_at_end == 0
    assert not well()
    assert settings["PNET_CDS_HOST"] == "0.0.0.0"  # noqa: S104 - inside a container
