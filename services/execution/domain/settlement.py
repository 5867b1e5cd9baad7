"""When do money and units of a trade change hands?

So many settlement days after the trade, and a day settles only when the exchange trades *and* the banks of the currency
are open. On Columbus Day and Veterans Day the New York Stock Exchange trades and dollars do not move; on Good Friday
the Federal Reserve is open and there is no exchange to settle a trade of.

How many days: in the United States one since 2024-05-28, two since 2017-09-05, three before (SEC rule 15c6-1, releases
34-96930 and 34-80295); in Canada the same, one since 2024-05-27 (National Instrument 24-101). In the European Union two
since 2014-10-06, and one from 2027-10-11 (Regulation (EU) No 909/2014, art. 5(2), as amended by Regulation (EU)
2025/2075); the United Kingdom and Switzerland go on the same days.
"""

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from functools import lru_cache

from services.execution.domain.exchanges import SATURDAY, Exchange, exchange

MONDAY, THURSDAY, SUNDAY = 0, 3, 6

# The Federal Reserve keeps it since 2022: in 2021 it became law two days before, on a Saturday that is not moved.
JUNETEENTH_FROM_YEAR = 2022

# Since which trade date a trade settles after so many days, latest first.
Cycle = tuple[tuple[date, int], ...]
_UNITED_STATES: Cycle = ((date(2024, 5, 28), 1), (date(2017, 9, 5), 2), (date.min, 3))
_CANADA: Cycle = ((date(2024, 5, 27), 1), (date(2017, 9, 5), 2), (date.min, 3))
_EUROPE: Cycle = ((date(2027, 10, 11), 1), (date(2014, 10, 6), 2), (date.min, 3))
_CYCLES: Mapping[str, Cycle] = {"XNYS": _UNITED_STATES, "XTSE": _CANADA}


def settlement_date(trade_date: date, at: Exchange, currency: str) -> date:
    """Return when a trade that was made on `trade_date` at an exchange, in this currency, settles.

    A trade of a day on which the exchange does not trade counts as made on the next on which it does.

    Raises:
        ValueError: The calendar of the exchange does not reach so far.
    """
    cycle = _CYCLES.get(at.mic, _EUROPE)
    days = next(days for since, days in cycle if trade_date >= since)
    settles = trade_date
    # A trade of a bank holiday on which the exchange trades counts from that day: it was made, money only moves later.
    while not at.trades_on(settles):
        settles += timedelta(days=1)
    for _ in range(days):
        settles = next_settlement_day(settles, at, currency)
    return settles


def turning_date(trade_date: date, at: Exchange, *, traded: str, account: str) -> date:
    """Return when money that was turned on `trade_date` for trades at an exchange changes hands.

    With those trades, which are in `traded`; where the banks of `account` are closed that day, on the first settlement
    day on which both are open.

    Raises:
        ValueError: The calendar of the exchange does not reach so far.
    """
    settles = settlement_date(trade_date, at, traded)
    while not bank_day(settles, account):
        settles = next_settlement_day(settles, at, traded)
    return settles


def next_settlement_day(day: date, at: Exchange, currency: str) -> date:
    """Return the first day after `day` on which the exchange trades and money moves."""
    later = day + timedelta(days=1)
    while not settlement_day(later, at, currency):
        later += timedelta(days=1)
    return later


def settlement_day(day: date, at: Exchange, currency: str) -> bool:
    """Return whether money and units can change hands on `day`."""
    return at.trades_on(day) and bank_day(day, currency)


def bank_day(day: date, currency: str) -> bool:
    """Return whether banks move money of this currency on `day`.

    Of a currency whose banks are not known here only the weekends are: then the exchange's own days decide.
    """
    if day.weekday() >= SATURDAY:
        return False
    closed = _BANKS.get(currency)
    return closed is None or not closed(day)


def _federal_reserve_closed(day: date) -> bool:
    """Holidays of the Federal Reserve Banks: a Sunday is kept on Monday, a Saturday is not moved."""
    return day in _federal_holidays(day.year)


def _target_closed(day: date) -> bool:
    """Closing days of T2, the euro's system, since 2002 (ECB, 14 December 2000)."""
    easter = _easter(day.year)
    moving = (easter - timedelta(days=2), easter + timedelta(days=1))
    return day in moving or (day.month, day.day) in ((1, 1), (5, 1), (12, 25), (12, 26))


def _closed_as(mic: str) -> Callable[[date], bool]:
    """Banks that close on the days of their exchange: bank holidays of England and Wales, of Switzerland."""
    return lambda day: not exchange(mic).trades_on(day)


def _lynx_closed(day: date) -> bool:
    """Canada's banks also close on two days on which Toronto trades: 30 September since 2021, and 11 November."""
    kept = [_moved(date(day.year, 11, 11))]
    if day.year >= 2021:  # Bill C-5, in force since 3 August 2021.
        kept.append(_moved(date(day.year, 9, 30)))
    return day in kept or not exchange("XTSE").trades_on(day)


_BANKS: Mapping[str, Callable[[date], bool]] = {
    "CAD": _lynx_closed,
    "CHF": _closed_as("XSWX"),
    "EUR": _target_closed,
    "GBP": _closed_as("XLON"),
    "USD": _federal_reserve_closed,
}


@lru_cache(maxsize=64)
def _federal_holidays(year: int) -> frozenset[date]:
    days = {
        _sunday_moved(date(year, 1, 1)),
        _nth(year, 1, MONDAY, 3),
        _nth(year, 2, MONDAY, 3),
        _last(year, 5, MONDAY),
        _sunday_moved(date(year, 7, 4)),
        _nth(year, 9, MONDAY, 1),
        _nth(year, 10, MONDAY, 2),
        _sunday_moved(date(year, 11, 11)),
        _nth(year, 11, THURSDAY, 4),
        _sunday_moved(date(year, 12, 25)),
    }
    if year >= JUNETEENTH_FROM_YEAR:
        days.add(_sunday_moved(date(year, 6, 19)))
    return frozenset(days)


def _sunday_moved(day: date) -> date:
    return day + timedelta(days=1) if day.weekday() == SUNDAY else day


def _moved(day: date) -> date:
    """Return the weekday on which a holiday is kept that moves to Monday from either day of a weekend."""
    return day + timedelta(days=7 - day.weekday()) if day.weekday() >= SATURDAY else day


def _nth(year: int, month: int, weekday: int, nth: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (nth - 1))


def _last(year: int, month: int, weekday: int) -> date:
    last = date(year, month + 1, 1) - timedelta(days=1)
    return last - timedelta(days=(last.weekday() - weekday) % 7)


@lru_cache(maxsize=64)
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
