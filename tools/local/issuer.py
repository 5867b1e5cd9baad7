"""Issues the tokens that callers show, on one machine: in place of a company's identity provider.

Signs with Ed25519 and publishes its key as a JWKS file, which the services read like that of any provider.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tools.local import files

ISSUER = "https://issuer.evenkeel.local"
AUDIENCE = "evenkeel"


@dataclass(frozen=True, slots=True)
class TokenIssuer:
    """Vouches for people and workloads of one machine."""

    directory: Path
    _key: Ed25519PrivateKey
    _key_id: str

    @classmethod
    def at(cls, directory: Path) -> Self:
        """Return the issuer that keeps its key in `directory`, a new one when there is none; publishes its JWKS."""
        key_file = directory / "issuer.key"
        if key_file.exists():
            loaded = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
            if not isinstance(loaded, Ed25519PrivateKey):
                raise ValueError(f"{key_file} must hold an Ed25519 key")
            key = loaded
        else:
            key = Ed25519PrivateKey.generate()
            pem = key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            files.write(key_file, pem)
        public = _public_jwk(key)
        issuer = cls(directory, key, _thumbprint(public))
        published = {"keys": [{**public, "kid": issuer._key_id, "use": "sig", "alg": "EdDSA"}]}
        files.write(issuer.jwks_file, json.dumps(published, indent=2).encode(), mode=files.PUBLIC)
        return issuer

    @property
    def jwks_file(self) -> Path:
        """The public key that checks the tokens."""
        return self.directory / "jwks.json"

    def token(
        self,
        subject: str,
        roles: Sequence[str],
        lifetime: timedelta,
        *,
        now: datetime | None = None,
        audience: str = AUDIENCE,
        nodes: Sequence[str] | None = None,
    ) -> str:
        """Return a token that says who `subject` is and which roles it has, valid from `now` for `lifetime`.

        With `nodes`, it may change something only at and below these policy nodes.
        """
        now = now or datetime.now(UTC)
        claims = {
            "iss": ISSUER,
            "aud": audience,
            "sub": subject,
            "roles": list(roles),
            "iat": int(now.timestamp()),
            "exp": int((now + lifetime).timestamp()),
        }
        if nodes is not None:
            claims["nodes"] = list(nodes)
        return jwt.encode(claims, self._key, algorithm="EdDSA", headers={"kid": self._key_id})

    def write_token(self, path: Path, subject: str, roles: Sequence[str], lifetime: timedelta) -> None:
        """Write a fresh token to a file that only its owner can read; a reader sees the old one or the new one."""
        files.write(path, self.token(subject, roles, lifetime).encode())


def _public_jwk(key: Ed25519PrivateKey) -> dict[str, str]:
    """Return the public key as RFC 8037 writes it."""
    raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return {"crv": "Ed25519", "kty": "OKP", "x": _base64url(raw)}


def _thumbprint(jwk: dict[str, str]) -> str:
    """Return the key's name, derived from itself (RFC 7638: its required members, sorted, without spaces)."""
    return _base64url(hashlib.sha256(json.dumps(jwk, sort_keys=True, separators=(",", ":")).encode()).digest())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
