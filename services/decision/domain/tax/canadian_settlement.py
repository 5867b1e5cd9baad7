"""In which calendar year does a trade on the Toronto Stock Exchange settle?

A trade settles after one session since 27 May 2024, two since 5 September 2017 and three before (National Instrument
24-101). Every weekday of the last days of December has a session but the two on which Christmas and Boxing Day are
kept: on a weekend they move to Monday and Tuesday. A test holds this to execution's calendar of the exchange.
"""

from datetime import date, timedelta

_CYCLES = ((date(2024, 5, 27), 1), (date(2017, 9, 5), 2), (date.min, 3))
_SATURDAY = 5


def settlement_year(trade_date: date) -> int:
    """Return the calendar year in which a trade of a day settles; one on a day without a session is of the next."""
    sessions = next(count for since, count in _CYCLES if trade_date >= since)
    last = date(trade_date.year, 12, 31)
    # Nothing but the last days of a year is near enough to the next.
    if last - trade_date > timedelta(days=14):
        return trade_date.year
    closed = _closed(trade_date.year)
    days = (trade_date + timedelta(days=each) for each in range((last - trade_date).days + 1))
    left = [day for day in days if day.weekday() < _SATURDAY and day not in closed]
    # The first of them is the trade's own.
    return trade_date.year if len(left) > sessions else trade_date.year + 1


def _closed(year: int) -> frozenset[date]:
    kept: list[date] = []
    for holiday in (date(year, 12, 25), date(year, 12, 26)):
        day = holiday
        while day.weekday() >= _SATURDAY or day in kept:
            day += timedelta(days=1)
        kept.append(day)
    return frozenset(kept)
