"""What the audit service can be told by its environment."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.runtime.settings import ServiceSettings


class AuditSettings(ServiceSettings):
    """Environment variables `EVENKEEL_AUDIT_*`."""

    model_config = SettingsConfigDict(env_prefix="EVENKEEL_AUDIT_")

    # The schema that `store/` reads and writes by this name.
    database_schema: str = Field(default="audit", pattern="^audit$")

    # The name of the log, in every checkpoint for ever; a URL without its scheme, such as audit.example.com/log.
    log_origin: str = Field(min_length=1, max_length=200, pattern=r"^[^\s+]+$")
    # The Ed25519 private key that signs checkpoints, as PEM (PKCS 8).
    log_key_file: Path

    # Events that may wait for a commit; more are answered RESOURCE_EXHAUSTED.
    queue_events_max: int = Field(default=20_000, ge=1_000, le=1_000_000)
    # How often a process that does not hold the log tries to get it, in seconds.
    election_interval_s: float = Field(default=1.0, gt=0, le=60)
    # How often a follower looks for entries that another process wrote, in seconds.
    follow_poll_s: float = Field(default=0.5, gt=0, le=60)
    # How often the process that holds the log checks everything that is stored, in seconds.
    scrub_interval_s: float = Field(default=86_400.0, ge=1, le=31 * 86_400)
