"""The clock of the tests themselves."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from services.kernel.clock import FixedClock

NOON = datetime(2026, 3, 5, 12, tzinfo=UTC)


def test_a_fixed_clock_moves_only_when_told():
    clock = FixedClock(NOON)

    assert clock.now() == clock.now() == NOON
    clock.advance(timedelta(seconds=1))
    assert clock.now() == NOON + timedelta(seconds=1)


def test_a_fixed_clock_tells_utc():
    tokyo = NOON.astimezone(timezone(timedelta(hours=9)))

    assert FixedClock(tokyo).now().tzinfo is UTC


def test_a_clock_refuses_a_naive_instant_and_the_way_back():
    with pytest.raises(ValueError, match="aware"):
        FixedClock(datetime(2026, 3, 5, 12))
    with pytest.raises(ValueError, match="does not go back"):
        FixedClock(NOON).advance(timedelta(microseconds=-1))
