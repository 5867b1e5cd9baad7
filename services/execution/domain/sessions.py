"""When does the exchange trade? The regular sessions of the New York Stock Exchange."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from services.execution.domain.settlement import trading_day

EXCHANGE_ZONE = ZoneInfo("America/New_York")
OPEN = time(9, 30)
CLOSE = time(16)


@dataclass(frozen=True, slots=True)
class Session:
    """A day on which the exchange trades: from the opening auction to the closing one."""

    day: date
    open_time: datetime
    close_time: datetime


def session_after(instant: datetime) -> Session:
    """Return the session that ends next after `instant`."""
    day = instant.astimezone(EXCHANGE_ZONE).date()
    while True:
        if trading_day(day):
            session = session_of(day)
            if session.close_time > instant:
                return session
        day += timedelta(days=1)


def session_of(day: date) -> Session:
    """Return the session of a day on which the exchange trades."""
    return Session(day, datetime.combine(day, OPEN, EXCHANGE_ZONE), datetime.combine(day, CLOSE, EXCHANGE_ZONE))
