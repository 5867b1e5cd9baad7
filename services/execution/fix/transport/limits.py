"""What a counterparty may cost us, at most."""

from dataclasses import dataclass

from services.execution.fix.protocol.framer import BODY_MAX_DEFAULT


@dataclass(frozen=True, slots=True)
class Limits:
    """Every bound of the transport.

    Attributes:
        body_bytes_max: The longest message body; a longer one is garbled.
        first_bytes_max: So many bytes may come before the Logon is complete.
        logon_s: So long may it take from the connection to the complete Logon; over TLS, from the end of the handshake,
            which may take as long.
        strangers_max: So many connections may wait for their Logon at once; further ones are closed. Those in their TLS
            handshake are not counted: what they may cost is `logon_s`, and a file descriptor each.
        inbox_bytes_max: So much is read ahead; then reading pauses, and TCP holds the counterparty back.
        turn_frames_max: So many messages share one transaction.
        turn_pace_s: Where nothing that comes is answered, turns of what comes begin so far apart: a busy session writes
            many reports at once, and leaves the database to orders. What comes to a quiet one waits for nothing.
        messages_per_s: A counterparty that sends more, over `burst` messages, is read more slowly.
        burst: See there.
        garbled_bytes_max: So many bytes that are no message, without one between, and we hang up.
        outbox_bytes_max: So much may wait for the socket; then sending waits.
        write_s: A counterparty that reads nothing for so long is hung up on.
        pending_max: So many requests to send may wait for their transaction; further callers wait.
    """

    body_bytes_max: int = BODY_MAX_DEFAULT
    first_bytes_max: int = 16 * 1024
    logon_s: float = 10.0
    strangers_max: int = 100
    inbox_bytes_max: int = 1024 * 1024
    turn_frames_max: int = 500
    turn_pace_s: float = 0.01
    messages_per_s: float = 20_000.0
    burst: int = 40_000
    garbled_bytes_max: int = 1024 * 1024
    outbox_bytes_max: int = 4 * 1024 * 1024
    write_s: float = 30.0
    pending_max: int = 10_000


class Bucket:
    """Says how long to wait so that a rate is kept, after a burst."""

    def __init__(self, per_s: float, burst: int) -> None:
        """Allow `per_s` on average, and `burst` at once."""
        self._per_s = per_s
        self._burst = float(burst)
        self._left = float(burst)
        self._at: float | None = None

    def take(self, count: int, now_s: float) -> float:
        """Take `count` at a monotonic instant, and return for how many seconds to take no more."""
        if self._at is not None:
            self._left = min(self._burst, self._left + (now_s - self._at) * self._per_s)
        self._at = now_s
        self._left -= count
        return max(0.0, -self._left / self._per_s)
