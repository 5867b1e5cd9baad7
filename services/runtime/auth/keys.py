"""The public keys of those who issue tokens (RFC 7517), as they are now.

A file is read again when it changes. An https address is asked again when a token names a key that is not known yet,
and when what we have is old; but not more often than every few seconds, so that invented key names cost the issuer
nothing.
"""

import asyncio
import json
import time
import urllib.request
from pathlib import Path
from urllib.parse import unquote, urlparse

from jwt import PyJWK, PyJWKSet
from jwt.exceptions import PyJWTError

from services.kernel.errors import Unreachable
from services.runtime.credentials import WatchedFile
from services.runtime.logging import get_logger

# A key that was taken back is refused at the latest after this time.
KEYS_AGE_S_MAX = 300.0
# Shortest time between two questions to the issuer.
ASK_AGAIN_S = 5.0
ASK_TIMEOUT_S = 5.0
# Far more keys than anyone rotates through.
KEYS_BYTES_MAX = 256 * 1024

log = get_logger()


class IssuerUnreachable(Unreachable):
    """Whoever issues tokens does not say which keys it uses, so no token can be checked."""

    reason = "PEER_UNREACHABLE"


class Keys:
    """The keys that may sign tokens, by their id. `version` grows when they change."""

    def __init__(self, url: str) -> None:
        """Take the keys from `url`: `file:/path` or `https://host/path`; they are first read when first needed."""
        parsed = urlparse(url)
        self._url = url
        self._file = WatchedFile(Path(unquote(parsed.path))) if parsed.scheme == "file" else None
        self._keys: dict[str, PyJWK] = {}
        self._asked_s = float("-inf")
        self._asking = asyncio.Lock()
        self.version = 0

    async def refresh(self) -> None:
        """Notice a changed file, or ask the issuer again when what we have is old.

        Raises:
            IssuerUnreachable: There are no keys at all.
        """
        if self._file is not None:
            self._read_file(self._file)
        elif time.monotonic() - self._asked_s > KEYS_AGE_S_MAX:
            await self._ask()
        if not self._keys:
            raise IssuerUnreachable("the keys that sign tokens cannot be read")

    async def find(self, key_id: str) -> PyJWK | None:
        """Return the key named `key_id`; None when the issuer has none.

        Raises:
            IssuerUnreachable: There are no keys at all.
        """
        await self.refresh()
        key = self._keys.get(key_id)
        if key is None and self._file is None and time.monotonic() - self._asked_s > ASK_AGAIN_S:
            await self._ask()
            key = self._keys.get(key_id)
        return key

    def _read_file(self, file: WatchedFile) -> None:
        try:
            if file.changed():
                self._take(file.read())
        except (OSError, ValueError, PyJWTError) as error:
            # A file that is being replaced; the keys we have stay good until the next look.
            log.warning("signing keys not read", path=str(file.path), error=str(error))

    async def _ask(self) -> None:
        async with self._asking:
            if time.monotonic() - self._asked_s <= ASK_AGAIN_S:
                return
            self._asked_s = time.monotonic()
            try:
                self._take(await asyncio.to_thread(_fetch, self._url))
            except (OSError, ValueError, PyJWTError) as error:
                log.warning("signing keys not fetched", url=self._url, error=str(error))

    def _take(self, content: bytes) -> None:
        published = json.loads(content)
        if not isinstance(published, dict):
            raise ValueError("keys must be published as a JSON object")
        keys = PyJWKSet.from_dict(published).keys
        self._keys = {key.key_id: key for key in keys if key.key_id}
        self.version += 1


def _fetch(url: str) -> bytes:
    # The scheme was checked when the settings were read.
    with urllib.request.urlopen(url, timeout=ASK_TIMEOUT_S) as answer:  # noqa: S310 - https only, by the setting
        content: bytes = answer.read(KEYS_BYTES_MAX + 1)
    if len(content) > KEYS_BYTES_MAX:
        raise ValueError(f"keys must be at most {KEYS_BYTES_MAX} bytes")
    return content
