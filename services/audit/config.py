"""What the audit service can be told by its environment, and with which keys it signs by that."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints
from pydantic_settings import SettingsConfigDict

from services.audit.domain.checkpoint import open_checkpoint
from services.audit.domain.logs import EVENTS, LOG_NAME_PATTERN, OWN, default_origin
from services.audit.domain.signed_note import SigningKey, VerifierKey
from services.kernel.signing import read_private_key
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


def continued_key(settings: AuditSettings, name: str = EVENTS) -> VerifierKey | None:
    """Return the key of the origin that the log `name` continues; None when it continues none.

    A log whose origin follows that of `events` continues with it, and its old key is derived as the new one is.
    """
    if settings.log_continues is None:
        return None
    continued = VerifierKey.parse(settings.log_continues)
    said = settings.logs.get(name)
    if name == EVENTS:
        return continued
    if said is not None and said.origin is not None:
        return None
    events = SigningKey(settings.log_origin, read_private_key(settings.log_key_file.read_bytes()))
    return events.derived(default_origin(continued.name, name)).verifier_key


def last_note(settings: AuditSettings) -> str | None:
    """Return the last checkpoint that the continued origin is known to have published.

    Raises:
        NoteInvalid: It is not signed by that origin.
    """
    key, file = continued_key(settings), settings.log_continues_checkpoint_file
    if key is None or file is None:
        return None
    note = file.read_text()
    open_checkpoint(note, origin=key.name, keys=[key])
    return note


def signing_keys(settings: AuditSettings) -> Mapping[str, SigningKey]:
    """Return the key that signs each log's checkpoints, by the log's name; the key's name is the log's origin."""
    events = SigningKey(settings.log_origin, read_private_key(settings.log_key_file.read_bytes()))
    keys = {EVENTS: events}
    for name in {*OWN, *settings.logs} - {EVENTS}:
        said = settings.logs.get(name)
        origin = (said and said.origin) or default_origin(settings.log_origin, name)
        if said is not None and said.key_file is not None:
            keys[name] = SigningKey(origin, read_private_key(said.key_file.read_bytes()))
        else:
            keys[name] = events.derived(origin)
    return dict(sorted(keys.items()))
