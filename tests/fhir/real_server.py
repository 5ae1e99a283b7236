"""The real FHIR R4 server of the tests: started once, loaded with the synthetic patients."""

from __future__ import annotations

import fcntl
import json
import select
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.requirement import missing

FOLDER: Final = Path(__file__).parents[1] / "fhir_server"
TOKEN: Final = "token-of-this-call-only"  # noqa: S105 - invented
_INSTALL_SECONDS: Final = 300
_START_SECONDS: Final = 60


def install() -> str:
    """The Node that runs the server, its packages installed from the lock file."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        missing("REQUIRE_FHIR_SERVER", "Node.js 20.19 or newer with npm is needed for the FHIR test server")
    with (FOLDER / "package-lock.json").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # test processes run side by side, and only one may install
        if not (FOLDER / "node_modules" / ".package-lock.json").is_file():
            ran = subprocess.run([npm, "ci"], cwd=FOLDER, capture_output=True, timeout=_INSTALL_SECONDS, check=False)
            if ran.returncode:
                missing("REQUIRE_FHIR_SERVER", "npm ci failed in tests/fhir_server")
    return node


@contextmanager
def running(*bundles: Path, page: int, token: str = TOKEN) -> Iterator[str]:
    """Base URL of a server that holds these Bundles and answers to the token only, or to everybody without one."""
    node = install()
    command = [node, "server.mjs", "--page", str(page), "--token", token, *map(str, bundles)]
    with (bundles[0].parent / "server.log").open("w+", encoding="utf-8") as log:
        process = subprocess.Popen(command, cwd=FOLDER, stdout=subprocess.PIPE, stderr=log, text=True)
        assert process.stdout is not None
        try:
            ready, _, _ = select.select([process.stdout], [], [], _START_SECONDS)
            line = process.stdout.readline() if ready else ""
            if not line:
                log.seek(0)
                missing("REQUIRE_FHIR_SERVER", f"the FHIR test server did not start: {log.read()[-300:]}")
            yield str(json.loads(line)["url"])
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


def renamed(bundle: Mapping[str, Any], prefix: str) -> Any:
    """The same story about a patient of another name: every id and every relative reference gets the prefix."""

    def change(value: Any) -> Any:
        if isinstance(value, list):
            return [change(item) for item in value]
        if not isinstance(value, dict):
            return value
        changed = {name: change(item) for name, item in value.items()}
        if "resourceType" in changed and "id" in changed:
            changed["id"] = prefix + changed["id"]
        kind, slash, identifier = str(changed.get("reference", "")).partition("/")
        if slash and kind.isalpha():
            changed["reference"] = f"{kind}/{prefix}{identifier}"
        return changed

    return change(dict(bundle))
