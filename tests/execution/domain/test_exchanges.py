from datetime import UTC, date, datetime, timedelta

import pytest

from services.execution.domain import market_days
from services.execution.domain.exchanges import exchange
from services.execution.domain.trading_hours import Outside, TradingHours
from services.execution.domain.words import TimeInForce
from tools.checks import calendars

NYSE = exchange("XNYS")


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def hours(outside=Outside.CARRY, cut_off_s=0):
    return TradingHours(NYSE, outside, timedelta(seconds=cut_off_s))


def test_a_session_lasts_from_the_opening_to_the_close_in_the_exchanges_time():
    session = NYSE.session_after(at("2025-07-02T12:00"))

    assert (session.open_time, session.close_time) == (at("2025-07-02T13:30"), at("2025-07-02T20:00"))


@pytest.mark.parametrize(
    ("mic", "day", "closes"),
    [
        ("XNYS", date(2025, 7, 3), at("2025-07-03T17:00")),
        ("XNYS", date(2026, 11, 27), at("2026-11-27T18:00")),
        ("XLON", date(2025, 12, 24), at("2025-12-24T12:30")),
        ("XPAR", date(2025, 12, 31), at("2025-12-31T13:05")),
    ],
)
def test_some_days_close_early(mic, day, closes):
    assert exchange(mic).session_of(day).close_time == closes


@pytest.mark.parametrize(
    ("instant", "day"),
    [
        (at("2025-07-02T20:00"), date(2025, 7, 3)),  # The close is outside.
        (at("2025-07-03T17:00"), date(2025, 7, 7)),  # After the early close come the holiday and the weekend.
        (at("2025-01-09T15:00"), date(2025, 1, 10)),  # A day of mourning, known to nobody's rule.
        (at("2012-10-29T15:00"), date(2012, 10, 31)),  # Hurricane Sandy, two days.
    ],
)
def test_days_without_a_session_are_passed_over(instant, day):
    assert NYSE.session_after(instant).day == day


def test_beyond_what_is_known_nothing_is_guessed():
    with pytest.raises(ValueError, match="known from 2010-01-01 to 2030-12-31"):
        NYSE.trades_on(date(2031, 1, 2))
    with pytest.raises(ValueError, match=r"must be one of .*, was XXXX"):
        exchange("XXXX")


@pytest.mark.parametrize(
    ("instant", "cut_off_s", "leaves"),
    [
        (at("2025-07-03T13:29"), 0, False),
        (at("2025-07-03T13:30"), 0, True),
        (at("2025-07-03T16:59"), 0, True),
        (at("2025-07-03T17:00"), 0, False),
        (at("2025-07-03T16:49"), 600, True),
        (at("2025-07-03T16:50"), 600, False),
        (at("2025-07-04T15:00"), 0, False),
    ],
)
def test_orders_leave_while_the_exchange_is_open_and_until_the_cut_off(instant, cut_off_s, leaves):
    assert hours(cut_off_s=cut_off_s).open_at(instant) is leaves
    assert hours(Outside.SEND, cut_off_s).open_at(instant)


def test_what_is_canceled_at_the_cut_off_expires_there_and_says_so():
    canceling, plans = hours(Outside.CANCEL, 600), at("2025-07-03T23:00")

    expires = canceling.expire_time(at("2025-07-03T14:00"), plans, TimeInForce.DAY)

    assert expires == at("2025-07-03T16:50")
    assert canceling.is_cut_off(expires)
    assert not canceling.is_cut_off(plans)
    # An order that comes too late has until the cut-off of the next session, or its plan's end.
    assert canceling.expire_time(at("2025-07-03T16:55"), plans, TimeInForce.DAY) == plans
    assert canceling.expire_time(at("2025-07-03T14:00"), plans, TimeInForce.AT_THE_CLOSE) == plans
    assert hours().expire_time(at("2025-07-03T14:00"), plans, TimeInForce.DAY) == plans


def test_the_written_days_are_those_of_the_version_that_is_installed():
    assert f"exchange_calendars {calendars.version('exchange_calendars')}" == market_days.SOURCE


@pytest.mark.chaos
def test_the_written_days_are_those_of_their_source():
    assert calendars.WRITTEN.read_text() == calendars.written()
