"""Files that prove who we are, read again when they change.

Certificates and tokens are replaced while a service runs. So nothing keeps their content: it keeps a `WatchedFile`,
which looks at the file's time stamp and reads it anew when that moved.
"""

import time
from dataclasses import dataclass
from pathlib import Path

# How long a look at the time stamp is good for; a call more often costs nothing.
LOOK_AGAIN_S = 1.0


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """What a client shows: a bearer token, and with TLS a certificate.

    Without `ca_file` the channel is not encrypted.
    """

    token_file: Path | None = None
    ca_file: Path | None = None
    certificate_file: Path | None = None
    private_key_file: Path | None = None


class WatchedFile:
    """The content of a file, as it is now."""

    def __init__(self, path: Path) -> None:
        """Watch `path`; it is first read when first asked for."""
        self.path = path
        self._content = b""
        self._stamp: tuple[int, int, int] | None = None
        self._look_time_s = float("-inf")

    def read(self) -> bytes:
        """Return the content, at most a second old.

        Raises:
            OSError: The file cannot be read.
        """
        self.changed()
        return self._content

    def changed(self) -> bool:
        """Read the file if it changed since the last look, and return whether it did.

        Raises:
            OSError: The file cannot be read.
        """
        now_s = time.monotonic()
        if now_s - self._look_time_s < LOOK_AGAIN_S:
            return False
        status = self.path.stat()
        stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
        self._look_time_s = now_s
        if stamp == self._stamp:
            return False
        self._content = self.path.read_bytes()
        self._stamp = stamp
        return True
