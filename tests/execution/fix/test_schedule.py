from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.execution.config import ExecutionSettings
from services.execution.fix.protocol.actions import BegunAnew, Close, Send
from services.execution.fix.protocol.config import Role, SessionConfig
from services.execution.fix.protocol.schedule import ALWAYS, WEEKDAYS, Period, Schedule
from services.execution.fix.protocol.session import Session
from services.execution.fix.protocol.state import State
from services.execution.fix.protocol.store import Numbers
from tests.execution.fix.wire import fix

NEW_YORK = Schedule(time(8), time(17), "America/New_York", WEEKDAYS)
NIGHT = Schedule(time(18), time(17), "America/Chicago")
WEEK = Schedule(time(17), time(16), "America/New_York", frozenset({6}), days=5)


def at(*parts):
    return datetime(*parts, tzinfo=UTC)


def test_a_day_has_its_edges_inside_and_outside():
    opens, closes = at(2026, 11, 30, 13), at(2026, 11, 30, 22)

    assert NEW_YORK.period(opens) == Period(opens, closes)
    assert NEW_YORK.period(opens - timedelta(microseconds=1)) is None
    assert NEW_YORK.period(closes - timedelta(microseconds=1)) == Period(opens, closes)
    assert NEW_YORK.period(closes) is None
    assert NEW_YORK.next_start(closes) == at(2026, 12, 1, 13)


def test_no_period_starts_on_a_weekend():
    assert NEW_YORK.period(at(2026, 11, 28, 15)) is None
    assert NEW_YORK.next_start(at(2026, 11, 27, 23)) == at(2026, 11, 30, 13)


def test_summer_time_moves_the_period_with_the_counterpartys_clocks():
    assert NEW_YORK.next_start(at(2026, 3, 6, 0)) == at(2026, 3, 6, 13)
    assert NEW_YORK.next_start(at(2026, 3, 9, 0)) == at(2026, 3, 9, 12)


def test_a_period_may_last_over_midnight_or_a_week():
    assert NIGHT.period(at(2026, 11, 30, 12)) == Period(at(2026, 11, 30, 0), at(2026, 11, 30, 23))
    assert NIGHT.period(at(2026, 11, 30, 23, 30)) is None
    assert WEEK.period(at(2026, 12, 3, 12)) == Period(at(2026, 11, 29, 22), at(2026, 12, 4, 21))
    assert WEEK.period(at(2026, 12, 5, 12)) is None


@given(st.datetimes(at(2020, 1, 1).replace(tzinfo=None), at(2035, 1, 1).replace(tzinfo=None), timezones=st.just(UTC)))
def test_the_next_start_is_the_start_of_a_period_and_not_before_the_present_one_ends(now):
    for schedule in (NEW_YORK, NIGHT, WEEK):
        start = schedule.next_start(now)
        present = schedule.period(now)

        assert start > now
        assert schedule.period(start).start == start
        assert present is None or present.end <= start


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"starts_on": frozenset()}, "must start on weekdays 0 to 6"),
        ({"days": 8}, "must end within 7 days, was 8"),
        ({"days": 5}, "must start once a week"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(options, why):
    with pytest.raises(ValueError, match=why):
        Schedule(time(8), time(17), **options)


def settings(**given):
    nowhere = {
        "database_url": "postgresql://nobody@nowhere/none",
        "jwks_url": "file:///nonexistent/jwks.json",
        "token_issuer": "https://issuer.test",
        "plan_keys_directory": "/nonexistent",
        "policy_address": "nowhere:1",
    }
    return ExecutionSettings(**nowhere, **given)


def test_settings_say_when_a_session_is_up():
    assert settings().fix_schedule() is ALWAYS
    daily = settings(fix_opens="08:00", fix_closes="17:00", fix_time_zone="America/New_York", fix_weekdays=range(5))
    assert daily.fix_schedule() == NEW_YORK
    weekly = settings(
        fix_opens="17:00", fix_closes="16:00", fix_time_zone="America/New_York", fix_weekdays=[6], fix_days=5
    )
    assert weekly.fix_schedule() == WEEK


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"fix_opens": "08:00"}, "must be given together"),
        ({"fix_opens": "08:00", "fix_closes": "17:00", "fix_time_zone": "Mars/Base"}, "was Mars/Base"),
        ({"fix_opens": "08:00", "fix_closes": "17:00", "fix_weekdays": []}, "must start on weekdays 0 to 6"),
        ({"fix_opens": "08:00", "fix_closes": "17:00", "fix_weekdays": [7]}, "less than or equal to 6"),
        ({"fix_opens": "08:00", "fix_closes": "17:00", "fix_weekdays": [0, 1], "fix_days": 3}, "once a week"),
    ],
)
def test_settings_that_no_session_can_have_are_refused(given, why):
    with pytest.raises(ValueError, match=why):
        settings(**given)


def a_session(numbers, now, role=Role.INITIATOR, schedule=NEW_YORK, **options):
    return Session(SessionConfig("US", "THEM", role, schedule=schedule, **options), numbers, now)


def test_numbers_begin_anew_at_the_start_of_a_period_and_at_no_other_time():
    opens = at(2026, 11, 30, 13)
    numbers = Numbers(4, 17, 23, opens - timedelta(days=3))
    fresh = a_session(numbers, opens)

    assert fresh.numbers == Numbers(5, 1, 1, opens)
    began, logon = fresh.connect(opens)
    assert isinstance(began, BegunAnew)
    assert b"\x01141=" not in logon.entry.data
    assert a_session(Numbers(5, 17, 23, opens), opens + timedelta(hours=8)).numbers.next_out == 17
    # Between periods nothing begins, and nobody connects.
    assert a_session(numbers, opens - timedelta(hours=1)).numbers == numbers
    (closed,) = a_session(numbers, opens - timedelta(hours=1)).connect(opens - timedelta(hours=1))
    assert isinstance(closed, Close)
    assert a_session(numbers, opens, schedule=ALWAYS).numbers == numbers


def test_the_first_logon_of_a_period_may_say_so():
    opens = at(2026, 11, 30, 13)
    first = a_session(Numbers(0, 5, 5, at(2026, 11, 27, 13)), opens, announce_reset=True)
    frames = [each.entry.data for each in first.connect(opens) if isinstance(each, Send)]

    assert b"\x01141=Y\x01" in frames[0]


def test_a_session_ends_with_its_period():
    noon, closes = at(2026, 11, 30, 17), at(2026, 11, 30, 22)
    session = a_session(Numbers(0, 1, 1, noon), noon, Role.ACCEPTOR)
    logon = "8=FIX.4.4|35=A|34=1|49=THEM|52=20261130-17:00:00|56=US|98=0|108=0"
    session.receive(fix(logon), noon)

    assert session.state is State.ACTIVE
    assert session.due() == closes
    (goodbye,) = session.tick(closes)
    assert goodbye.entry.msg_type == "5"
    assert session.state is State.LOGGING_OUT
    (closed,) = session.tick(session.due())
    assert closed.why == "no Logout came in time"


def test_a_logon_between_periods_is_refused_with_the_reason():
    night = at(2026, 11, 30, 23)
    session = a_session(Numbers(0, 1, 1, night), night, Role.ACCEPTOR)
    logon = "8=FIX.4.4|35=A|34=1|49=THEM|52=20261130-23:00:00|56=US|98=0|108=0"
    goodbye, closed = session.receive(fix(logon), night)

    assert b"58=the session is closed at this time" in goodbye.entry.data
    assert isinstance(closed, Close)
