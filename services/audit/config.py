"""What the audit service can be told by its environment."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints
from pydantic_settings import SettingsConfigDict

from services.audit.domain.logs import LOG_NAME_PATTERN
from services.runtime.settings import ServiceSettings

_ORIGIN_PATTERN = r"^[^\s+]+$"

LogName = Annotated[str, StringConstraints(pattern=LOG_NAME_PATTERN)]


class LogSettings(BaseModel):
    """What differs for one log from what it would be called and signed with by itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # Its name in every checkpoint; `<log_origin>/<name>` when not given.
    origin: str | None = Field(default=None, min_length=1, max_length=200, pattern=_ORIGIN_PATTERN)
    # The Ed25519 private key that signs its checkpoints; derived from the key of `events` when not given.
    key_file: Path | None = None


class WitnessSettings(BaseModel):
    """A witness outside our administration."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # Its public key, as C2SP writes it: `<name>+<key id>+<base64>`.
    key: str = Field(min_length=1, max_length=500)
    # Its address before `/add-checkpoint`.
    url: str = Field(pattern=r"^https?://[^\s]+$", max_length=500)


class AuditSettings(ServiceSettings):
    """Environment variables `EVENKEEL_AUDIT_*`."""

    model_config = SettingsConfigDict(env_prefix="EVENKEEL_AUDIT_")

    # The schema that `store/` reads and writes by this name.
    database_schema: str = Field(default="audit", pattern="^audit$")

    # The name of the log, in every checkpoint for ever; a URL without its scheme, such as audit.example.com/log.
    log_origin: str = Field(min_length=1, max_length=200, pattern=_ORIGIN_PATTERN)
    # The Ed25519 private key that signs checkpoints, as PEM (PKCS 8).
    log_key_file: Path
    # The public key of the origin that `events` continues after a restore that lost published entries (docs/audit.md).
    log_continues: str | None = Field(default=None, min_length=1, max_length=500)
    # The last checkpoint that it is known to have published, as a witness or another holder keeps it.
    log_continues_checkpoint_file: Path | None = None
    # Logs beside `events`, by name, as JSON: {"tenant_a": {}, "access": {"key_file": "/keys/access.key"}}. `access` and
    # `records` are always there; `migrate` makes the tables of the others.
    logs: Mapping[LogName, LogSettings] = Field(default={}, max_length=64)

    # Where the keeper connects: the login that destroys what two people decided to destroy, and has the keys of
    # personal data.
    keeper_database_url: SecretStr
    # The key under which those keys are wrapped: 64 hexadecimal digits. In no database and in no backup of one.
    subject_keys_file: Path

    # The producers that must speak, and how long each may be silent before that is an alarm, in seconds. Relays speak
    # every ten seconds.
    expected_producers: tuple[str, ...] = ("policy", "decision", "execution")
    silent_after_s: float = Field(default=60.0, ge=15, le=86_400)
    # How often our clock is compared with the others, in seconds, and a time server to compare it with: host or
    # host:port. Without one, nothing says how far we are from UTC.
    clock_check_interval_s: float = Field(default=900.0, ge=1, le=86_400)
    ntp_server: str | None = Field(default=None, min_length=1, max_length=255)

    # Events that may wait for a commit; more are answered RESOURCE_EXHAUSTED.
    queue_events_max: int = Field(default=20_000, ge=1_000, le=1_000_000)
    # How often a process that does not hold the log tries to get it, in seconds.
    election_interval_s: float = Field(default=1.0, gt=0, le=60)
    # How often a follower looks for entries that another process wrote, in seconds.
    follow_poll_s: float = Field(default=0.5, gt=0, le=60)
    # How often the process that holds the log checks everything that is stored, in seconds.
    scrub_interval_s: float = Field(default=86_400.0, ge=1, le=31 * 86_400)
    # Processes beside the service that check it, with a connection each and what processor time nobody else wants. With
    # 0 the service does it itself, twenty times as slowly.
    scrub_processes: int = Field(default=1, ge=0, le=64)
    # How often the process that holds the log looks whether a day has ended and must be closed, in seconds.
    close_look_s: float = Field(default=60.0, ge=1, le=3_600)

    # Who is shown each checkpoint of every log, as JSON: [{"key": "…", "url": "https://witness.example"}].
    witnesses: tuple[WitnessSettings, ...] = Field(default=(), max_length=32)
    # How many of them make a checkpoint witnessed; more than half when not given.
    witness_quorum: int | None = Field(default=None, ge=1, le=32)
    # How many of them must answer before a process that just got the log signs anything. With 0 it asks them all, but
    # does not wait for those that are away.
    witness_answers_min: int = Field(default=0, ge=0, le=32)
    # How often the newest checkpoint is shown, in seconds.
    witness_interval_s: float = Field(default=1.0, gt=0, le=3_600)
    # From this age of the newest witnessed checkpoint on there is an alarm, in seconds.
    witness_age_s_max: float = Field(default=60.0, gt=0, le=86_400)
