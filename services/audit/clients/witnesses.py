"""Calls witnesses, over HTTP (C2SP tlog-witness 1.0)."""

import asyncio
import urllib.error
import urllib.request
from urllib.parse import urlsplit

from services.audit.app.witnesses import Seen, WitnessAnswer
from services.audit.domain.cosignature import WitnessKey
from services.audit.domain.errors import WitnessSilent
from services.audit.domain.signed_note import NoteInvalid, parse
from services.audit.domain.witness import AddCheckpoint, Status

# A witness answers within milliseconds; one that does not is asked again later.
ANSWER_S_MAX = 5.0
ANSWER_BYTES_MAX = 65_536


class HttpWitness:
    """A witness at an address."""

    def __init__(self, key: WitnessKey, url: str) -> None:
        """Call the witness whose signatures `key` checks at `url`, the address before `/add-checkpoint`.

        Raises:
            ValueError: `url` is no http address.
        """
        if urlsplit(url).scheme not in {"http", "https"}:
            raise ValueError(f"a witness has an http or https address, was {url}")
        self.key = key
        self._url = f"{url.rstrip('/')}/add-checkpoint"

    async def add(self, request: AddCheckpoint) -> WitnessAnswer:
        """Send a checkpoint, and return what the witness answers.

        Raises:
            WitnessSilent: It does not answer, or nothing that the protocol knows.
        """
        code, body = await asyncio.to_thread(self._post, request.text().encode())
        if code == Status.COSIGNED:
            return self._cosigned(request, body)
        if code == Status.HELD and body.strip().isdecimal():
            return WitnessAnswer(Status.HELD, held_size=int(body.strip()))
        if code in set(Status):
            return WitnessAnswer(Status(code), why=body.strip()[:500])
        raise WitnessSilent(f"witness {self.key.name} answers {code}", witness=self.key.name)

    def _cosigned(self, request: AddCheckpoint, body: str) -> WitnessAnswer:
        text, _ = parse(request.note)
        try:
            _, signatures = parse(f"{text}\n{body}")
            for line, signature in zip(body.splitlines(keepends=True), signatures, strict=True):
                if (signature.name, signature.key_id) == (self.key.name, self.key.key_id):
                    return WitnessAnswer(Status.COSIGNED, seen=Seen(line, self.key.seen_time_s(text, signature)))
        except (NoteInvalid, ValueError) as error:
            raise WitnessSilent(f"witness {self.key.name} answers nonsense: {error}", witness=self.key.name) from error
        raise WitnessSilent(f"witness {self.key.name} signs by another key", witness=self.key.name)

    def _post(self, body: bytes) -> tuple[int, str]:
        request = urllib.request.Request(self._url, data=body, method="POST")  # noqa: S310 - http by the constructor
        request.add_header("Content-Type", "text/plain; charset=utf-8")
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_S_MAX) as answer:  # noqa: S310 - as above
                return answer.status, answer.read(ANSWER_BYTES_MAX).decode("utf-8", "replace")
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read(ANSWER_BYTES_MAX).decode("utf-8", "replace")
        except OSError as error:
            raise WitnessSilent(f"witness {self.key.name} does not answer", witness=self.key.name) from error
