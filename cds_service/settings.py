"""Settings: environment variables ``PNET_CDS_*``, and files for those that are secret; read here and nowhere else."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path
from typing import Literal

from pydantic import DirectoryPath, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)

from cds_service.addresses import base_url, rate
from cds_service.errors import SettingsError


class Settings(BaseSettings):
    """Everything a deployment may set. Unset values have the defaults below."""

    model_config = SettingsConfigDict(env_prefix="PNET_CDS_", frozen=True, extra="ignore")

    database_url: str = Field(
        "sqlite:///var/pnet-cds.sqlite", description="Where consults are recorded; an SQLAlchemy URL."
    )
    store_mode: Literal["spool", "strict"] = Field(
        "spool", description="When a consult is in the database: a moment after the answer, or before it."
    )
    spool_dir: str = Field("", description="Folder in which records wait for the database; unset: beside it.")
    spool_bytes: int = Field(64 * 1024 * 1024, ge=1024 * 1024, description="Most that waits in each process, in bytes.")
    without_store: Literal["refuse", "answer"] = Field(
        "refuse", description="What becomes of the calls of clients while the database is away."
    )
    max_body_bytes: int = Field(32 * 1024 * 1024, ge=1024, description="Largest request body, in bytes.")
    site_file: str = Field("", description="Site policy (TOML); empty for none.")
    pama_placement: Literal["standard", "argonaut", "both"] = Field(
        "standard", description="Demo mode: where answers hold the ratings to be recorded; a client has its own."
    )
    draft_members: bool = Field(
        default=False, description="Discovery says which versions it follows, as the draft of CDS Hooks 3.0 wants."
    )
    demo: bool = Field(default=False, description="Open demo mode: no client authentication, loopback only.")
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8080, ge=1, le=65535, description="Port to listen on.")
    threads: int = Field(8, ge=1, le=64, description="Threads that answer calls.")
    workers: int = Field(1, ge=1, le=64, description="Processes that answer calls, each with its own threads.")
    public_url: str | None = Field(
        None, description="Address clients call; tokens must be issued for it, and links on cards lead to it."
    )
    token_skew_seconds: int = Field(60, ge=0, le=300, description="How far clocks of clients may be off, in seconds.")
    rate_limit: str = Field("600/minute", description="Calls allowed per client, or per address without one.")
    rate_limit_storage: str = Field("memory://", description="Where calls are counted: memory:// or a redis:// URL.")
    trusted_proxies: int = Field(0, ge=0, le=5, description="Proxies in front whose X-Forwarded headers are believed.")
    hash_key: SecretStr | None = Field(
        None, min_length=16, description="Secret key of the patient hashes; unset: a random one the store keeps."
    )
    store_comments: bool = Field(default=False, description="Keep clinicians' own words in feedback.")
    retention_days: int = Field(
        0, ge=0, le=99_999, description="Age in days at which db purge deletes; 0 keeps everything."
    )
    fhir_servers: str = Field("", description="FHIR servers that may be read with a call's token: base URLs.")
    fhir_open_servers: str = Field("", description="FHIR servers that may be read without a token: base URLs.")
    fhir_networks: str = Field("", description="Ranges of addresses, not public, where FHIR servers may be.")
    fhir_ca_file: str = Field("", description="Certificate authorities to trust for FHIR servers; a PEM file.")
    fhir_seconds: float = Field(3.0, gt=0, le=30, description="Time for all reads of one call together.")
    fhir_max_pages: int = Field(100, ge=1, description="Most pages read for one input.")
    fhir_max_bytes: int = Field(64 * 1024 * 1024, ge=1024, description="Most bytes read in one call, decompressed.")
    fhir_token: SecretStr | None = Field(
        None,
        description="Token of `call` and `sandbox` for the FHIR server they are given; the service has no use for it.",
    )
    smart_client_id: str = Field(
        "pnet-cds-demo",
        pattern="^[\\x21-\\x7e]{0,200}$",
        description="Demo mode: id of the SMART app at authorization servers, empty for no app; a client has its own.",
    )
    metrics: Literal["off", "open"] | None = Field(
        None, description="Who may read /metrics: nobody, or everybody who can reach it; unset: open in demo mode only."
    )
    tracing: Literal["off", "otlp"] = Field(
        "off", description="Traces for OpenTelemetry, set up by its own OTEL_… variables; needs pnet-cds[otel]."
    )
    secrets_dir: DirectoryPath | None = Field(
        None, description="Folder with a file for each setting that is a secret, named like its variable."
    )
    log_level: str = Field("info", pattern="^(debug|info|warning|error)$", description="Least severe log line written.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - there is no such file
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What is given, then the environment, then files in the folder that the environment names."""
        folder = env_settings().get("secrets_dir")
        files = (
            SecretsSettingsSource(settings_cls, folder) if folder and Path(folder).is_dir() else file_secret_settings
        )
        return init_settings, env_settings, files

    @field_validator("public_url")
    @classmethod
    def _base(cls, given: str | None) -> str | None:
        return None if given is None else base_url(given)

    @field_validator("rate_limit")
    @classmethod
    def _rate(cls, given: str) -> str:
        return rate(given)

    @property
    def public_base(self) -> str:
        """Base URL for links on cards, without a slash at the end; the demo has the address it listens on."""
        if self.public_url:
            return self.public_url
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def serves_metrics(self) -> bool:
        """Whether /metrics is there."""
        return self.demo if self.metrics is None else self.metrics == "open"

    @property
    def goes_on_without_store(self) -> bool:
        """Whether calls are answered while the database is away; the demo needs it for nothing but recording."""
        return self.demo or self.without_store == "answer"

    @property
    def spool_folder(self) -> Path:
        """Where records wait: one folder for each database, so that none is delivered to another one."""
        if self.spool_dir:
            return Path(self.spool_dir)
        if self.sqlite_path is not None:
            return self.sqlite_path.with_name(f"{self.sqlite_path.name}-spool")
        database = re.sub("//[^/@]*@", "//", self.database_url)  # whoever logs in, with whatever password
        return Path("var") / f"spool-{sha256(database.encode()).hexdigest()[:16]}"

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
