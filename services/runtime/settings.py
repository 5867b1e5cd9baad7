"""What every service can be told by its environment.

A service subclasses `ServiceSettings` in its `config.py`, with its own prefix (`EVENKEEL_POLICY_`). Settings are read
once, in `main.py`, and checked there; a missing optional one means the safe behaviour.
"""

import re
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from services.runtime.credentials import ClientCredentials

# With this begins the name of a variable that is common to services.
_OURS = "EVENKEEL_"
_SCHEMA = re.compile(r"[a-z][a-z_]{0,30}")


class ServiceSettings(BaseSettings):
    """Environment variables that all services share; each adds its prefix."""

    model_config = SettingsConfigDict(frozen=True, hide_input_in_errors=True, extra="ignore", populate_by_name=True)

    # Where the service keeps its state: postgresql://role:password@host:port/database.
    database_url: SecretStr
    # The schema that belongs to this service alone; also its name in records.
    database_schema: str
    # Who may change tables, when that is another login than the one above; used by `migrate` only.
    database_owner_url: SecretStr | None = None
    # Connections for requests and workers together; health has one of its own.
    database_pool_size: int = Field(default=10, ge=1, le=200)
    # Longest wait for a free connection, in seconds; then the call is answered UNAVAILABLE.
    database_pool_wait_s: float = Field(default=5.0, gt=0, le=60)
    # Longest run of one statement, in seconds, whatever the deadline of the call.
    database_statement_s_max: float = Field(default=60.0, gt=0, le=3600)
    # `pgbouncer` when a pooler in transaction mode stands before the database.
    database_pooler: Literal["none", "pgbouncer"] = "none"

    # Where to listen, host:port; port 0 takes a free one. `unix:/path` works too.
    listen_address: str = "127.0.0.1:0"
    # Where health alone is served too, without TLS, for probes that speak none, as Kubernetes does: host:port.
    health_address: str | None = None
    # A file to write the bound port to once the service listens.
    port_file: Path | None = Field(default=None, validation_alias="EVENKEEL_PORT_FILE")

    # Certificate, key and the authority that signs clients' certificates, as PEM files: all three or none. They are
    # read again when they change. None: no TLS, for one machine only.
    tls_certificate_file: Path | None = None
    tls_private_key_file: Path | None = None
    tls_client_ca_file: Path | None = None

    # Where the keys are that sign callers' tokens: file:/path or https://host/path.
    jwks_url: str = Field(pattern=r"^(file:/|https://).+")
    # Who must have issued a token.
    token_issuer: str = Field(min_length=1)
    # For whom a token must be meant.
    token_audience: str = "evenkeel"  # noqa: S105 - a name, no secret
    # This service's own token, for calls to others; read again when the file changes.
    service_token_file: Path | None = None

    # Where audit listens, as gRPC names targets (dns:///host:port, host:port, unix:/path).
    audit_address: str | None = None
    # How long events stay in the outbox after audit took them, and how long a repeated `request_id` gets its first
    # answer; in seconds. Not for audit, which removes nothing.
    events_kept_s: float = Field(default=30 * 86_400.0, gt=0, le=3650 * 86_400)
    answers_kept_s: float = Field(default=30 * 86_400.0, gt=0, le=3650 * 86_400)
    # The authority that signs the certificates of the services we call; needed with TLS.
    peer_ca_file: Path | None = None

    # Largest message in or out, in bytes.
    message_bytes_max: int = Field(default=16 * 1024 * 1024, ge=64 * 1024, le=512 * 1024 * 1024)
    # Calls served at once; one more is answered RESOURCE_EXHAUSTED.
    concurrent_calls_max: int = Field(default=256, ge=1, le=100_000)
    # Deadline of a call whose caller set none, in seconds; and of a streaming one.
    call_s_max: float = Field(default=60.0, gt=0, le=3600)
    stream_s_max: float = Field(default=3600.0, gt=0, le=86_400)
    # After a stop signal: how long health says NOT_SERVING before new calls are refused, then how long calls may take.
    drain_notice_s: float = Field(default=0.0, ge=0, le=60)
    drain_s: float = Field(default=10.0, ge=0, le=600)
    # How often the service asks itself whether it can serve, in seconds.
    health_period_s: float = Field(default=1.0, gt=0, le=60)
    # Whether the server describes its contracts to whoever asks (`buf curl --list-methods`).
    reflection: bool = True

    # Seconds added to the computer's clock to tell the market's time; recorded instants are never shifted.
    clock_offset_s: float = 0.0

    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @classmethod
    def from_environment(cls, **values: Any) -> Self:  # noqa: ANN401 - whatever the fields take
        """Return the settings of this process; `values` win over the environment.

        Raises:
            pydantic.ValidationError: A setting is missing or outside its range.
        """
        return cls(**values)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - given by its name
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - likewise
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return where settings come from: what is given, then the environment, and no file."""
        if not isinstance(env_settings, EnvSettingsSource):
            raise TypeError(f"must be the environment, was {type(env_settings).__name__}")
        prefix = settings_cls.model_config.get("env_prefix", "").upper()
        if not any(name.upper().startswith((prefix, _OURS)) for name in env_settings.env_vars):
            # Nothing is said there, and looking each setting up takes longer than all the rest.
            return (init_settings,)
        return init_settings, env_settings

    @property
    def tls(self) -> bool:
        """Whether the service serves, and calls others, with mutual TLS."""
        return self.tls_certificate_file is not None

    @property
    def peer_credentials(self) -> ClientCredentials:
        """How this service proves to others who it is."""
        return ClientCredentials(
            token_file=self.service_token_file,
            ca_file=(self.peer_ca_file or self.tls_client_ca_file) if self.tls else None,
            certificate_file=self.tls_certificate_file,
            private_key_file=self.tls_private_key_file,
        )

    @field_validator("database_schema")
    @classmethod
    def _plain_name(cls, value: str) -> str:
        # It becomes part of statements, where nothing is quoted for us.
        if not _SCHEMA.fullmatch(value):
            raise ValueError("must be 1 to 31 lower-case letters and underscores, a letter first")
        return value

    @model_validator(mode="after")
    def _all_of_tls_or_none(self) -> Self:
        files = (self.tls_certificate_file, self.tls_private_key_file, self.tls_client_ca_file)
        if any(files) and not all(files):
            raise ValueError("set tls_certificate_file, tls_private_key_file and tls_client_ca_file, or none of them")
        return self
