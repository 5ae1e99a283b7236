"""Settings that are secrets may stand in files, as container platforms hand them out."""

from __future__ import annotations

from pathlib import Path

import pytest

from cds_service.errors import SettingsError
from cds_service.settings import load_settings


def test_secrets_are_read_from_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file for each, without the line feed at its end; the environment goes before."""
    (tmp_path / "pnet_cds_database_url").write_text("postgresql://user:word@db/name\n", "utf-8")
    (tmp_path / "pnet_cds_hash_key").write_text("k" * 32 + "\n", "utf-8")
    monkeypatch.setenv("PNET_CDS_SECRETS_DIR", str(tmp_path))
    settings = load_settings()
    assert settings.database_url == "postgresql://user:word@db/name"
    assert settings.hash_key is not None
    assert settings.hash_key.get_secret_value() == "k" * 32
    monkeypatch.setenv("PNET_CDS_DATABASE_URL", "sqlite:///other.sqlite")
    assert load_settings().database_url == "sqlite:///other.sqlite"


def test_a_folder_that_is_not_there_stops_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather than running with the defaults: a file of its own would take records that belong elsewhere."""
    monkeypatch.setenv("PNET_CDS_SECRETS_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(SettingsError, match="PNET_CDS_SECRETS_DIR"):
        load_settings()
