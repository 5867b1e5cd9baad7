"""When does an exchange trade? Its sessions, with the days on which it is closed or closes early.

The days are those of `market_days`. They are known from `FIRST_DAY` to `LAST_DAY`; who asks beyond is refused, because
a guess would send an order into a closed market or settle it on a holiday.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from services.execution.domain import market_days

FIRST_DAY, LAST_DAY = date(market_days.FIRST_YEAR, 1, 1), date(market_days.LAST_YEAR, 12, 31)
SATURDAY = 5


@dataclass(frozen=True, slots=True)
class Session:
    """A day on which an exchange trades: from the opening auction to the closing one."""

    day: date
    open_time: datetime
    close_time: datetime


@dataclass(frozen=True, slots=True)
class Exchange:
    """When one exchange trades.

    `mic` is its market identifier code, ISO 10383. `closed` are weekdays without a session, `early` the close of those
    that end before `closes`; times are of `zone`.
    """

    mic: str
    zone: ZoneInfo
    opens: time
    closes: time
    closed: frozenset[date]
    early: Mapping[date, time]

    def date_at(self, instant: datetime) -> date:
        """Return the exchange's date at an instant."""
        return instant.astimezone(self.zone).date()

    def trades_on(self, day: date) -> bool:
        """Return whether there is a session on `day`.

        Raises:
            ValueError: The day is outside what is known.
        """
        if not FIRST_DAY <= day <= LAST_DAY:
            raise ValueError(f"the days of {self.mic} are known from {FIRST_DAY} to {LAST_DAY}, was {day}")
        return day.weekday() < SATURDAY and day not in self.closed

    def session_of(self, day: date) -> Session:
        """Return the session of a day on which the exchange trades."""
        closes = self.early.get(day, self.closes)
        return Session(day, datetime.combine(day, self.opens, self.zone), datetime.combine(day, closes, self.zone))

    def session_after(self, instant: datetime) -> Session:
        """Return the session that ends next after `instant`: the present one while there is one."""
        day = self.date_at(instant)
        while True:
            if self.trades_on(day):
                session = self.session_of(day)
                if session.close_time > instant:
                    return session
            day += timedelta(days=1)


@lru_cache(maxsize=len(market_days.HOURS))
def exchange(mic: str) -> Exchange:
    """Return the exchange with this market identifier code.

    Raises:
        ValueError: Its days are not known.
    """
    if mic not in market_days.HOURS:
        raise ValueError(f"an exchange must be one of {', '.join(sorted(market_days.HOURS))}, was {mic}")
    zone, opens, closes = market_days.HOURS[mic]
    return Exchange(
        mic=mic,
        zone=ZoneInfo(zone),
        opens=time.fromisoformat(opens),
        closes=time.fromisoformat(closes),
        closed=frozenset(_days(market_days.CLOSED[mic])),
        early={day: time.fromisoformat(at) for day, at in _days(market_days.EARLY[mic]).items()},
    )


def _days(said: str) -> dict[date, str]:
    """Return the days of lines such as `2025 0703=1300 1225`, each with what is said of it."""
    found = {}
    for line in said.split("\n"):
        year, *days = line.split() or [""]
        for each in days:
            month_and_day, _, rest = each.partition("=")
            found[date(int(year), int(month_and_day[:2]), int(month_and_day[2:]))] = rest
    return found
