"""docs/deployment.md names files, settings, services and numbers that exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from cds_service.server import DRAIN_SECONDS, KEEP_ALIVE_SECONDS
from cds_service.settings import Settings

ROOT: Final = Path(__file__).parents[2]
TEXT: Final = (ROOT / "docs" / "deployment.md").read_text("utf-8")


def test_every_file_exists() -> None:
    """Of this project: whatever is written as a path."""
    paths = set(
        re.findall(r"`((?:deploy|tests|docs|cds_service|benchmarks)/[\w./-]*|[A-Z]\w+file|compose\.yaml)`", TEXT)
    )
    assert len(paths) > 10
    assert {path for path in paths if not (ROOT / path).exists()} == set()


def test_every_file_of_a_deployment_is_told() -> None:
    """Nothing is handed out without a word about it."""
    files = {path.relative_to(ROOT).as_posix() for path in (ROOT / "deploy").rglob("*") if path.is_file()}
    untold = {path for path in files if path not in TEXT and f"{Path(path).parent.as_posix()}/`" not in TEXT}
    assert untold == set()


def test_every_setting_exists() -> None:
    """And no other is named."""
    known = {f"PNET_CDS_{name}".upper() for name in Settings.model_fields}
    assert set(re.findall(r"PNET_CDS_[A-Z_]+", TEXT)) <= known


def test_the_numbers_are_those_of_the_server() -> None:
    """How long an idle connection is kept, and how long a process may take to stop."""
    assert f"the service keeps them for {KEEP_ALIVE_SECONDS}" in TEXT
    assert f"after {DRAIN_SECONDS} seconds at the latest" in TEXT
