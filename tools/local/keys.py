"""The keys that sign plans and the audit log's checkpoints, made once and kept.

In a cluster they come from secrets, and the names of the settings are the same.
"""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.audit.domain.signed_note import VerifierKey
from services.kernel.signing import read_private_key
from tools.local import files

LOG_ORIGIN = "evenkeel.local/log"


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """What each service is told about the keys, and how anybody checks the audit log."""

    # Settings without their prefix, by service.
    settings: Mapping[str, Mapping[str, str]]
    # The audit log's public key, as C2SP signed-note writes it.
    log_verifier_key: str


def prepare(directory: Path) -> SigningKeys:
    """Return the keys in `directory`; those that are not there are made."""
    plan_key = directory / "plan.key"
    plan_public = _public_bytes(_kept(plan_key))
    plan_key_id = f"decision-{hashlib.sha256(plan_public).hexdigest()[:16]}"
    # Everything in this folder is trusted, under its file's name; so a new key can come before the old one goes.
    trusted = directory / "plan-trusted"
    files.write(trusted / f"{plan_key_id}.pem", _public_pem(_kept(plan_key)), mode=files.PUBLIC)
    log_key = directory / "log.key"
    log_public = _public_bytes(_kept(log_key))
    return SigningKeys(
        settings={
            "decision": {"PLAN_KEY_FILE": str(plan_key), "PLAN_KEY_ID": plan_key_id},
            "execution": {"PLAN_KEYS_DIRECTORY": str(trusted)},
            "audit": {
                "LOG_KEY_FILE": str(log_key),
                "LOG_ORIGIN": LOG_ORIGIN,
                "SUBJECT_KEYS_FILE": str(_kept_secret(directory / "subject-keys.key")),
            },
        },
        log_verifier_key=str(VerifierKey(LOG_ORIGIN, log_public)),
    )


def _kept(file: Path) -> Ed25519PrivateKey:
    if not file.exists():
        pem = Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        files.write(file, pem)
    return read_private_key(file.read_bytes())


def _kept_secret(file: Path) -> Path:
    """Return `file`, which holds 32 random bytes in hexadecimal digits."""
    if not file.exists():
        files.write(file, secrets.token_hex(32).encode())
    return file


def _public_bytes(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


def _public_pem(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
