"""A site file that is damaged while the service runs: it goes on by what it has read, and says so at the next start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.faults.running import SERVICE, running
from tests.instance import eventually


def test_a_damaged_site_file_changes_nothing_until_the_next_start(tmp_path: Path, call: dict[str, Any]) -> None:
    """After SIGHUP new processes answer by the file as it was; a start with the damaged one is refused and says why."""
    site = tmp_path / "site.toml"
    site.write_text("", encoding="utf-8")
    with running(tmp_path, "--demo", site_file=str(site)) as service:
        before, workers = service.ask("/readyz").json(), set(service.workers())
        site.write_text("this is no [toml", encoding="utf-8")
        service.process.send_signal(signal.SIGHUP)
        eventually(lambda: bool(service.workers()) and not workers & set(service.workers()), "nothing was reloaded")
        eventually(lambda: service.ask("/readyz").ok, "it does not answer")
        assert service.ask("/readyz").json() == before
        assert service.ask(SERVICE, call).json()["cards"]
    environment = {**os.environ, "PNET_CDS_SITE_FILE": str(site), "PNET_CDS_DATABASE_URL": f"sqlite:///{tmp_path}/x"}
    started = subprocess.run(
        [sys.executable, "-m", "cds_service", "serve", "--demo"],
        env=environment, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert started.returncode == 1
    assert "[site-invalid]" in started.stderr
