"""The Java side of the tests: built once by Maven, started without it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import select
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.requirement import missing

FOLDER: Final = Path(__file__).parent
_TARGET: Final = FOLDER / "target"
_CLASS_PATH: Final = _TARGET / "classpath"
_BUILT: Final = _TARGET / "built"
"""What was built last, as a hash of its sources."""
_PACKAGE: Final = "org.pnetcds.hapi"
_QUICK_START: Final = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
_BUILD_SECONDS: Final = 900
_START_SECONDS: Final = 180


def command(program: str, *arguments: str) -> list[str]:
    """What runs one of the programs of this folder, which is built if it has to be."""
    java, maven = shutil.which("java"), shutil.which("mvn")
    if java is None or maven is None:
        missing("REQUIRE_JAVA", "Java 17 or newer and Maven are needed for HAPI")
    with (FOLDER / "pom.xml").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # test processes run side by side, and only one may build
        if not _is_built():
            _build(maven)
    class_path = os.pathsep.join((str(_TARGET / "classes"), _CLASS_PATH.read_text(encoding="utf-8")))
    return [java, *_QUICK_START, "-cp", class_path, f"{_PACKAGE}.{program}", *arguments]


def _sources() -> str:
    files = [FOLDER / "pom.xml", *sorted((FOLDER / "src").rglob("*.java"))]
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def _is_built() -> bool:
    if not _BUILT.is_file() or _BUILT.read_text(encoding="utf-8") != _sources():
        return False
    return all(Path(jar).is_file() for jar in _CLASS_PATH.read_text(encoding="utf-8").split(os.pathsep))


def _build(maven: str) -> None:
    """Without the network where everything was fetched before."""
    for offline in (["--offline"], []):
        ran = subprocess.run(
            [maven, "--quiet", "--batch-mode", *offline, "clean", "compile"],
            cwd=FOLDER,
            capture_output=True,
            text=True,
            timeout=_BUILD_SECONDS,
            check=False,
        )
        if ran.returncode == 0:
            _BUILT.write_text(_sources(), encoding="utf-8")
            return
    missing("REQUIRE_JAVA", f"Maven could not build tests/hapi: {ran.stdout[-2000:]}")


@contextmanager
def running(log: Path, program: str, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A program of this folder and the line with which it said that it is ready; it ends with the block."""
    with log.open("w+", encoding="utf-8") as errors:
        process = subprocess.Popen(
            command(program, *arguments), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            ready, _, _ = select.select([process.stdout], [], [], _START_SECONDS)
            line = process.stdout.readline() if ready else ""
            if not line:
                errors.seek(0)
                pytest.fail(f"HAPI's {program} did not start: {errors.read()[-3000:]}")
            yield process, line
        finally:
            process.kill()
            process.wait()
            process.stdin.close()
            process.stdout.close()
