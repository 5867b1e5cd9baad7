"""Clocks are read as RFC 5905 says, and a server that cannot be believed is not."""

import asyncio
import struct
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.audit.clients.clocks import ClockUnreachable, NtpClock, instant, ntp_stamp
from services.audit.domain.monitoring import ahead
from services.runtime.clock import SystemClock

AHEAD = timedelta(milliseconds=1234)
instants = st.datetimes(datetime(1990, 1, 1), datetime(2150, 1, 1), timezones=st.just(UTC))


class TimeServer(asyncio.DatagramProtocol):
    """A time server whose clock is ahead by `AHEAD`."""

    def __init__(self, *, stratum=2, mode=4, leap=0, echo=True):
        self.stratum, self.mode, self.leap, self.echo = stratum, mode, leap, echo

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        now = ntp_stamp(SystemClock().now() + AHEAD)
        origin = struct.unpack_from("!Q", data, 40)[0] if self.echo else 1
        flags = self.leap << 6 | 4 << 3 | self.mode
        # Root delay 1/64 s, dispersion 1/128 s.
        answer = struct.pack("!BBbbII4sQQQQ", flags, self.stratum, 0, -20, 1024, 512, b"GPS\0", now, origin, now, now)
        self.transport.sendto(answer, address)


async def measured(**options):
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: TimeServer(**options), local_addr=("127.0.0.1", 0))
    try:
        host, port = transport.get_extra_info("sockname")
        return await NtpClock(f"{host}:{port}", SystemClock()).measure()
    finally:
        transport.close()


async def test_a_time_server_is_read():
    found = await measured()

    assert abs(found.offset_us + 1_234_000) <= found.uncertainty_us
    # Half the round trip, half the server's own, and its dispersion: 1/128 s and 1/128 s.
    assert found.uncertainty_us >= 15_625
    assert found.stratum == 2


@pytest.mark.parametrize("options", [{"stratum": 0}, {"stratum": 16}, {"mode": 5}, {"leap": 3}, {"echo": False}])
async def test_a_server_that_cannot_be_believed_is_not(options):
    with pytest.raises(ClockUnreachable):
        await measured(**options)


async def test_a_server_that_is_not_there_is_said_to_be():
    with pytest.raises(ClockUnreachable, match="does not answer"):
        await NtpClock("127.0.0.1:1", SystemClock()).measure()


@given(instants)
def test_a_stamp_is_read_as_it_was_written_also_in_the_next_era(at):
    assert abs(instant(ntp_stamp(at), at) - at) <= timedelta(microseconds=1)


@given(st.integers(-(10**9), 10**9), st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6))
def test_the_truth_is_within_the_uncertainty(true_us, there_us, inside_us, back_us):
    sent = datetime(2026, 1, 1, tzinfo=UTC)
    received = sent + timedelta(microseconds=there_us + true_us)
    answered = received + timedelta(microseconds=inside_us)
    returned = sent + timedelta(microseconds=there_us + inside_us + back_us)

    offset_us, uncertainty_us = ahead(sent, received, answered, returned)

    assert abs(offset_us - true_us) <= uncertainty_us
