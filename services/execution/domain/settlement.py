"""When does a trade settle, and which days count?

The United States settle equities and funds one business day after the trade since 2024-05-28, two before (SEC rule
15c6-1). Business days here are the days on which both the exchange trades and money moves: no weekends, no holidays of
the New York Stock Exchange, and no bank holidays on which stocks trade but dollars do not (Columbus Day, Veterans Day).
"""

from datetime import date, timedelta
from functools import lru_cache

# SEC release 34-96930: compliance from this trade date on.
ONE_DAY_FROM = date(2024, 5, 28)

# The New York Stock Exchange observes it since 2022.
JUNETEENTH_FROM_YEAR = 2022
# Third Monday in January; a stock exchange holiday since 1998.
KING_DAY_FROM_YEAR = 1998

MONDAY, THURSDAY, SATURDAY, SUNDAY = 0, 3, 5, 6


def settlement_date(trade_date: date) -> date:
    """Return when a US equity or fund traded on `trade_date` settles.

    A trade on a day that is no business day counts as made on the next one.
    """
    days = 1 if trade_date >= ONE_DAY_FROM else 2
    settles = trade_date
    while not business_day(settles):
        settles += timedelta(days=1)
    for _ in range(days):
        settles = next_business_day(settles)
    return settles


def next_business_day(day: date) -> date:
    """Return the first business day after `day`."""
    later = day + timedelta(days=1)
    while not business_day(later):
        later += timedelta(days=1)
    return later


def trading_day(day: date) -> bool:
    """Return whether the New York Stock Exchange trades on `day`."""
    return day.weekday() < SATURDAY and (day not in _holidays(day.year) or day in _bank_only(day.year))


def _bank_only(year: int) -> frozenset[date]:
    """Holidays on which banks are closed and the exchange trades: Columbus Day and Veterans Day."""
    return frozenset({_nth(year, 10, MONDAY, 2), _observed(date(year, 11, 11))})


def business_day(day: date) -> bool:
    """Return whether money and shares can change hands on `day` in the United States."""
    return day.weekday() < SATURDAY and day not in _holidays(day.year)


@lru_cache(maxsize=256)
def _holidays(year: int) -> frozenset[date]:
    easter = _easter(year)
    days = {
        _observed(date(year, 1, 1)),
        _nth(year, 2, MONDAY, 3),
        easter - timedelta(days=2),
        _last(year, 5, MONDAY),
        _observed(date(year, 7, 4)),
        _nth(year, 9, MONDAY, 1),
        _nth(year, 10, MONDAY, 2),
        _observed(date(year, 11, 11)),
        _nth(year, 11, THURSDAY, 4),
        _observed(date(year, 12, 25)),
    }
    if year >= KING_DAY_FROM_YEAR:
        days.add(_nth(year, 1, MONDAY, 3))
    if year >= JUNETEENTH_FROM_YEAR:
        days.add(_observed(date(year, 6, 19)))
    return frozenset(days)


def _observed(day: date) -> date:
    """Return the weekday on which a holiday is kept.

    A Sunday moves to Monday. A Saturday moves to Friday, but not New Year's Day: the exchange does not close in the old
    year (rule 7.2), and banks do not move Saturdays at all.
    """
    if day.weekday() == SUNDAY:
        return day + timedelta(days=1)
    if day.weekday() == SATURDAY and (day.month, day.day) not in ((1, 1), (11, 11)):
        return day - timedelta(days=1)
    return day


def _nth(year: int, month: int, weekday: int, nth: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (nth - 1))


def _last(year: int, month: int, weekday: int) -> date:
    last = date(year, month + 1, 1) - timedelta(days=1)
    return last - timedelta(days=(last.weekday() - weekday) % 7)


def _easter(year: int) -> date:
    """Return Easter Sunday by the anonymous Gregorian computus (Nature, 20 April 1876)."""
    a, b, c = year % 19, year // 100, year % 100
    d, e = divmod(b, 4)
    g = (b - (b + 8) // 25 + 1) // 3
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    m = (32 + 2 * e + 2 * i - h - k) % 7
    n = (a + 11 * h + 22 * m) // 451
    month, day = divmod(h + m - 7 * n + 114, 31)
    return date(year, month, day + 1)
