"""Where the services are and who is calling: a small TOML file that `make up` writes and people can edit.

    [services]
    policy = "127.0.0.1:50051"      # and decision, execution, audit

    [tls]                           # absent: no TLS
    ca_file = "certificates/ca.pem"
    certificate_file = "certificates/client.pem"
    private_key_file = "certificates/client.key"

    [tokens]                        # a file with a bearer token for each person one may act as
    advisor = "tokens/advisor"

    [audit]
    verifier_key = "audit.example/events+1a2b3c4d+AX..."

Paths are relative to the file's own folder.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from services.kernel.errors import Invalid
from services.runtime.credentials import ClientCredentials

SERVICES = ("policy", "decision", "execution", "audit")


class ProfileUnusable(Invalid):
    """The profile file is missing, or does not say what is needed."""

    reason = "FIELD_INVALID"


@dataclass(frozen=True, slots=True)
class Profile:
    """Addresses, certificates and tokens; all paths absolute.

    Attributes:
        addresses: gRPC target of each service, by its name.
        ca_file: Authority that signs the services' certificates; None for no TLS.
        token_files: A bearer token for each person that one may act as, by name.
        verifier_key: The audit log's public key as C2SP signed-note writes it; None when not known.
    """

    addresses: Mapping[str, str]
    ca_file: Path | None = None
    certificate_file: Path | None = None
    private_key_file: Path | None = None
    token_files: Mapping[str, Path] = field(default_factory=dict)
    verifier_key: str | None = None

    @classmethod
    def load(cls, path: Path) -> "Profile":
        """Return the profile in the file `path`.

        Raises:
            ProfileUnusable: There is no such file, it is not TOML, or a service's address is missing.
        """
        try:
            tables = tomllib.loads(path.read_text())
        except FileNotFoundError as error:
            raise ProfileUnusable(f"no profile at {path}: start the services by `make up`, or name another") from error
        except tomllib.TOMLDecodeError as error:
            raise ProfileUnusable(f"the profile {path} is not TOML: {error}") from error
        addresses = tables.get("services", {})
        missing = [name for name in SERVICES if name not in addresses]
        if missing:
            raise ProfileUnusable(f"the profile {path} names no address for {', '.join(missing)}")
        tls = {name: path.parent / file for name, file in tables.get("tls", {}).items()}
        return cls(
            addresses=addresses,
            ca_file=tls.get("ca_file"),
            certificate_file=tls.get("certificate_file"),
            private_key_file=tls.get("private_key_file"),
            token_files={name: path.parent / file for name, file in tables.get("tokens", {}).items()},
            verifier_key=tables.get("audit", {}).get("verifier_key"),
        )

    def save(self, path: Path) -> None:
        """Write the profile to `path`, for its owner's eyes only."""
        lines = ["[services]"] + [f'{name} = "{address}"' for name, address in self.addresses.items()]
        if self.ca_file is not None:
            lines += ["", "[tls]", f'ca_file = "{self.ca_file}"']
            lines += [f'certificate_file = "{self.certificate_file}"'] if self.certificate_file else []
            lines += [f'private_key_file = "{self.private_key_file}"'] if self.private_key_file else []
        lines += ["", "[tokens]"] + [f'{name} = "{file}"' for name, file in self.token_files.items()]
        if self.verifier_key is not None:
            lines += ["", "[audit]", f'verifier_key = "{self.verifier_key}"']
        path.touch(mode=0o600)
        path.write_text("\n".join(lines) + "\n")

    def credentials(self, person: str) -> ClientCredentials:
        """Return what a call shows that is made as `person`.

        Raises:
            ProfileUnusable: The profile has no token for `person`.
        """
        if person not in self.token_files:
            known = ", ".join(sorted(self.token_files)) or "nobody"
            raise ProfileUnusable(f"the profile has no token for {person!r}; it has tokens for {known}")
        return ClientCredentials(
            token_file=self.token_files[person],
            ca_file=self.ca_file,
            certificate_file=self.certificate_file,
            private_key_file=self.private_key_file,
        )
