"""Which messages are in this stream of bytes, however it was cut?

A frame is `8=FIX…|9=n|35=…` with a trailer `10=ccc|` exactly n bytes after BodyLength and the right sum. Everything
else is garbled: reported and skipped. Where the declared length does not lead to a trailer, that many bytes are
skipped before the next message is looked for, as the public acceptance definitions expect (2m): the sequence number
of what is lost with it shows the gap, and it is sent again.

At most one message of `body_max` bytes is kept, and no byte is looked at more than a few times, however slowly it
comes.

Source: FIX specification 4.4, volume 2, "Message format" and "Garbled message processing".
"""

import re
from dataclasses import dataclass

from services.execution.fix.protocol.codec import checksum

BODY_MAX_DEFAULT = 256 * 1024

# BeginString and BodyLength: `8=FIXT.1.1|9=123456789|` and some room.
_HEAD = re.compile(rb"8=FIX([^\x01=]{0,12})\x019=([0-9]{1,9})\x01")
_HEAD_MAX = 5 + 12 + 3 + 9 + 1
_TRAILER = re.compile(rb"10=([0-9]{3})\x01")
_TRAILER_SIZE = len(b"10=000|")
_MSG_TYPE = b"35="
# Enough to recognise the message in a log.
_SHOWN_MAX = 256


@dataclass(frozen=True, slots=True)
class Garbled:
    """Bytes that are no message.

    Attributes:
        why: What is wrong with them.
        size: How many were skipped.
        sample: Their beginning.
    """

    why: str
    size: int
    sample: bytes


class Framer:
    """Cuts one connection's stream into frames."""

    def __init__(self, body_max: int = BODY_MAX_DEFAULT) -> None:
        """Accept bodies of at most `body_max` bytes."""
        self._body_max = body_max
        self._buffer = bytearray()
        # Below this size there is nothing new to see.
        self._needed = 0

    @property
    def held(self) -> int:
        """Return how many bytes wait for the rest of their message."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[bytes | Garbled]:
        """Return what is complete with `data`, in its order."""
        buffer = self._buffer
        buffer += data
        if len(buffer) < self._needed:
            return []
        out: list[bytes | Garbled] = []
        at = 0
        while (step := self._next(buffer, at, out)) is not None:
            at = step
        del buffer[:at]
        return out

    def _next(self, buffer: bytearray, at: int, out: list[bytes | Garbled]) -> int | None:
        """Add the frame or the garbage at `at`, and return where to go on; None when more bytes are needed."""
        head = _HEAD.match(buffer, at) or _HEAD.search(buffer, at)
        if head is None:
            # A head may still be growing at the end; all before it is garbage.
            spare = len(buffer) - at - (_HEAD_MAX - 1)
            self._needed = 0
            if spare <= 0:
                return None
            _skip(buffer, at, at + spare, "no message begins here", out)
            return at + spare
        if head.start() > at:
            _skip(buffer, at, head.start(), "no message begins here", out)
        start, body = head.start(), head.end()
        size = int(head[2])
        if size > self._body_max:
            return _skip(buffer, start, body, f"BodyLength must be at most {self._body_max}, was {size}", out)
        if not _MSG_TYPE.startswith(buffer[body : body + len(_MSG_TYPE)]):
            return _skip(buffer, start, body, "the third field must be MsgType (35)", out)
        trailer = body + size
        end = trailer + _TRAILER_SIZE
        if len(buffer) < end:
            self._needed = end - start
            if head.start() > at:
                # The garbage before it was reported: let it go.
                return head.start()
            return None
        self._needed = 0
        found = _TRAILER.match(buffer, trailer)
        if found is None or size < len(_MSG_TYPE) or buffer[trailer - 1] != 1:
            return _skip(buffer, start, trailer, f"no CheckSum {size} bytes after BodyLength", out)
        frame = bytes(buffer[start:end])
        if (total := checksum(frame[: trailer - start])) != int(found[1]):
            return _skip(buffer, start, end, f"CheckSum must be {total:03d}, was {found[1].decode()}", out)
        out.append(frame)
        return end


def _skip(buffer: bytearray, start: int, end: int, why: str, out: list[bytes | Garbled]) -> int:
    out.append(Garbled(why, end - start, bytes(buffer[start : min(end, start + _SHOWN_MAX)])))
    return end
