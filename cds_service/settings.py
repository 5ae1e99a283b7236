"""Settings: environment variables ``PNET_CDS_*``, read here and nowhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from cds_service.errors import SettingsError


class Settings(BaseSettings):
    """Everything a deployment may set. Unset values have the defaults below."""

    model_config = SettingsConfigDict(env_prefix="PNET_CDS_", frozen=True, extra="ignore")

    database_url: str = Field(
        "sqlite:///var/pnet-cds.sqlite", description="Where consults are recorded; an SQLAlchemy URL."
    )
    max_body_bytes: int = Field(32 * 1024 * 1024, ge=1024, description="Largest request body, in bytes.")
    site_file: str = Field("", description="Site policy (TOML); empty for none.")
    pama_placement: Literal["standard", "argonaut", "both"] = Field(
        "standard", description="Where answers hold the ratings to be recorded: as CDS Hooks 2.0 or as Argonaut wants."
    )
    draft_members: bool = Field(
        default=False, description="Discovery says which versions it follows, as the draft of CDS Hooks 3.0 wants."
    )
    demo: bool = Field(default=False, description="Open demo mode: no client authentication, loopback only.")
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8080, ge=1, le=65535, description="Port to listen on.")
    threads: int = Field(4, ge=1, le=64, description="Threads that answer calls.")
    log_level: str = Field("info", pattern="^(debug|info|warning|error)$", description="Least severe log line written.")

    @property
    def sqlite_path(self) -> Path | None:
        """File of the default store, or None for another database."""
        prefix = "sqlite:///"
        return Path(self.database_url.removeprefix(prefix)) if self.database_url.startswith(prefix) else None


def load_settings(**given: object) -> Settings:
    """Settings from the environment, overridden by what is given.

    Raises:
        SettingsError: one or more values cannot be used; all of them are named.
    """
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        problems = "; ".join(
            f"PNET_CDS_{'_'.join(map(str, item['loc'])).upper()}: {item['msg']}"
            for item in error.errors(include_input=False, include_url=False)
        )
        raise SettingsError(problems) from None
