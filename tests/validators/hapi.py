"""HAPI's validator, which knows the whole of R4 and is offline: a process that answers line by line."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.hapi.java import command, running
from tests.validators.finding import Finding, Validator


class HapiValidator(Validator):
    """The running validator."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    @classmethod
    @contextmanager
    def started(cls, folder: Path, own: Sequence[Path] = ()) -> Iterator[HapiValidator]:
        """A validator that knows what these folders and packages (``.tgz``) define; its log goes to the folder."""
        with running(folder / "hapi-validator.log", "Validate", *map(str, own)) as (process, _):
            yield cls(process)

    def findings(self, resource: Mapping[str, Any], profile: str | None = None) -> list[Finding]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"resource": resource, "profile": profile}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return [
            Finding(said["severity"], said["location"] or "", said["messageId"] or "", said["message"])
            for said in answer
        ]


def write_snapshots(definitions: Path, into: Path, own: Sequence[Path] = ()) -> None:
    """Write each StructureDefinition of a folder with its generated snapshot, the same bytes on every run."""
    subprocess.run(
        command("Validate", "--snapshots", str(definitions), str(into), *map(str, own)), check=True, capture_output=True
    )
