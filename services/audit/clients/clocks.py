"""Asks other clocks what time it is."""

import asyncio
import struct
from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from services.audit.domain.monitoring import ClockKind, Measurement, ahead
from services.kernel.clock import Clock
from services.kernel.errors import Unreachable
from services.runtime.database import Database

# RFC 5905: seconds are counted from 1900.
_NTP_EPOCH = datetime(1900, 1, 1, tzinfo=UTC)
_ERA = timedelta(seconds=1 << 32)
# Leap 0, version 4, mode 3 (client).
_CLIENT = 0x23
_PACKET = struct.Struct("!BBbb I I 4s QQQQ")
_SERVER_MODE = 4
# A server that is not synchronised says 16, and 0 to send us away.
_STRATUM_MAX = 15
ANSWER_S_MAX = 2.0


class ClockUnreachable(Unreachable):
    """A clock does not answer, or not usably."""

    reason = "PEER_UNREACHABLE"


class DatabaseClock:
    """The clock of the database server."""

    def __init__(self, database: Database, clock: Clock) -> None:
        """Compare `clock` with that of `database`."""
        self._database = database
        self._clock = clock

    async def measure(self) -> Measurement:
        """Return how far ours is ahead of it."""
        async with self._database.read() as connection:
            sent = self._clock.now()
            its: datetime = (await connection.execute(text("select clock_timestamp()"))).scalar_one()
            returned = self._clock.now()
        offset_us, uncertainty_us = ahead(sent, its, its, returned)
        return Measurement("database", ClockKind.DATABASE, -offset_us, uncertainty_us, returned)


class NtpClock:
    """A time server, asked by SNTP (RFC 5905, section 14)."""

    def __init__(self, server: str, clock: Clock) -> None:
        """Compare `clock` with that of `server`, host or host:port."""
        host, _, port = server.partition(":")
        self._host, self._port = host, int(port or 123)
        self._clock = clock

    async def measure(self) -> Measurement:
        """Return how far ours is ahead of it.

        Raises:
            ClockUnreachable: It does not answer in time, is not synchronised, or answers something else.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[tuple[bytes, datetime]] = loop.create_future()
        clock = self._clock

        class Asking(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, _: tuple[str, int]) -> None:
                if not answer.done():
                    answer.set_result((data, clock.now()))

            def error_received(self, error: Exception) -> None:
                if not answer.done():
                    answer.set_exception(error)

        try:
            transport, _ = await loop.create_datagram_endpoint(Asking, remote_addr=(self._host, self._port))
            try:
                sent = clock.now()
                asked = ntp_stamp(sent)
                transport.sendto(_PACKET.pack(_CLIENT, 0, 0, 0, 0, 0, b"", 0, 0, 0, asked))
                data, returned = await asyncio.wait_for(answer, ANSWER_S_MAX)
            finally:
                transport.close()
        except (OSError, TimeoutError) as error:
            raise ClockUnreachable(f"the time server {self._host} does not answer") from error
        return self._measurement(data, asked, sent, returned)

    def _measurement(self, data: bytes, asked: int, sent: datetime, returned: datetime) -> Measurement:
        if len(data) < _PACKET.size:
            raise ClockUnreachable(f"the time server {self._host} answers {len(data)} bytes")
        flags, stratum, _, _, delay, dispersion, _, _, origin, received, answered = _PACKET.unpack_from(data)
        # An answer to something else, or from a server that does not know the time itself.
        if origin != asked or flags & 7 != _SERVER_MODE or flags >> 6 == 3 or not 1 <= stratum <= _STRATUM_MAX:
            raise ClockUnreachable(f"the time server {self._host} is not synchronised, or did not answer us")
        offset_us, uncertainty_us = ahead(sent, instant(received, sent), instant(answered, sent), returned)
        # What the server itself may be off: half its own round trip and its dispersion, as 16.16 seconds.
        root_us = -(-(delay + 2 * dispersion) * 1_000_000 // (2 << 16))
        return Measurement(self._host, ClockKind.NTP, -offset_us, uncertainty_us + root_us, returned, stratum)


def ntp_stamp(at: datetime) -> int:
    """Return an instant as 32.32 seconds since 1900, without its era."""
    microseconds = (at - _NTP_EPOCH) // timedelta(microseconds=1)
    return (microseconds << 32) // 1_000_000 & (1 << 64) - 1


def instant(stamp: int, near: datetime) -> datetime:
    """Return the instant that a stamp says, in the era that is nearest to `near`."""
    found = _NTP_EPOCH + timedelta(microseconds=(stamp * 1_000_000 + (1 << 31)) >> 32)
    while near - found > _ERA / 2:
        found += _ERA
    return found
