"""Are these prices ones that can be? Checked whole and exactly, before anything of them is kept.

A wrong price trades a thousand accounts the wrong way, so what is missing, not positive, crossed or out of line with
the set before is refused, and everything wrong is named at once: field, row, value and limit.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from services.decision.domain.columns import EPOCH, SCALE_MAX, Numbers, plain_number
from services.decision.domain.instruments import ID, ID_RULE, InstrumentUnknown
from services.decision.domain.prices.columns import HistoryColumns, PriceColumns
from services.decision.domain.prices.quotes import PriceHistory, PriceHistoryId, PriceSet, PriceSetId, Quote
from services.kernel.canonical import canonical_json, content_hash
from services.kernel.errors import Invalid, Violations
from services.kernel.ids import InstrumentId

# A sender's clock may be this much ahead of ours.
CLOCK_AHEAD_MAX = timedelta(minutes=5)
# Before it, nobody sends us anything true.
AS_OF_DATE_MIN = date(1900, 1, 1)
# Fewer days say too little about risk.
HISTORY_DAYS_MIN = 60
# 5,000 instruments over 40 years of 252 days.
HISTORY_CLOSES_MAX = 50_400_000

_ID_DIGITS = 32


class PricesInvalid(Invalid):
    """A price is missing, not positive, or out of line."""

    reason = "PRICES_INVALID"


@dataclass(frozen=True, slots=True)
class JumpRule:
    """Which moves since the set before are believed.

    Attributes:
        before: Price of each instrument in the newest set that is not later than this one.
        limit: A larger move either way, as a fraction of the price before, is refused; exactly this much is not.
        confirmed: Instruments whose jump, or absence, was looked at and is real.
    """

    before: Mapping[InstrumentId, Decimal]
    limit: Decimal
    confirmed: Collection[str] = ()


def checked_price_set(
    columns: PriceColumns,
    *,
    known: Collection[InstrumentId],
    jumps: JumpRule | None,
    now: datetime,
    record_time: datetime,
) -> PriceSet:
    """Return the price set that `columns` are.

    Args:
        columns: As they came.
        known: Instruments that the book knows, of those named.
        jumps: None when moves are not checked.
        now: The business instant; no price is later.
        record_time: When the set is recorded.

    Raises:
        InstrumentUnknown: Nothing is wrong but instruments that the book does not know.
        PricesInvalid: Something else is wrong.
    """
    found = Violations()
    _check_origin(found, columns.source, columns.as_of_time, now, "price_set.provenance")
    _check_ids(found, columns.instrument_ids, "price_set.instrument_ids")
    if _columns_fit(found, columns):
        _check_quotes(found, columns)
        if jumps is not None:
            _check_jumps(found, columns, jumps)
    found.raise_if_any(PricesInvalid)
    for row, instrument_id in enumerate(columns.instrument_ids):
        if instrument_id not in known:
            found.add(f"price_set.instrument_ids[{row}]", f"must be an instrument of the book, was {instrument_id}")
    found.raise_if_any(InstrumentUnknown)
    return _price_set(columns, record_time)


def checked_history(columns: HistoryColumns, *, now: datetime, record_time: datetime) -> PriceHistory:
    """Return the price history that `columns` are.

    Args:
        columns: As they came.
        now: The business instant; no day is later.
        record_time: When the history is recorded.

    Raises:
        PricesInvalid: Something is wrong.
    """
    found = Violations()
    _check_origin(found, columns.source, columns.as_of_time, now, "provenance")
    _check_ids(found, columns.instrument_ids, "instrument_ids")
    _check_days(found, columns, now.date())
    closes = _closes(found, columns)
    found.raise_if_any(PricesInvalid)
    dates = tuple(EPOCH + timedelta(days=day) for day in columns.days)
    instruments = tuple(InstrumentId(each) for each in columns.instrument_ids)
    header = canonical_json(
        {
            "source": columns.source,
            "as_of_time": columns.as_of_time,
            "instrument_ids": instruments,
            "dates": dates,
            "scale": columns.closes.scale,
        }
    )
    name = content_hash(header + b"\0" + closes.astype("<i8").tobytes())
    return PriceHistory(
        price_history_id=PriceHistoryId(_derived("history", name)),
        content_hash=name,
        instrument_ids=instruments,
        dates=dates,
        units=closes,
        scale=columns.closes.scale,
        source=columns.source,
        as_of_time=columns.as_of_time,
        record_time=record_time,
    )


def _check_origin(found: Violations, source: str, as_of_time: datetime, now: datetime, field: str) -> None:
    if not source:
        found.add(f"{field}.source", "must not be empty")
    if as_of_time > now + CLOCK_AHEAD_MAX:
        found.add(f"{field}.as_of_time", f"must not be after {now.isoformat()}, was {as_of_time.isoformat()}")
    if as_of_time.date() < AS_OF_DATE_MIN:
        found.add(f"{field}.as_of_time", f"must be {AS_OF_DATE_MIN} or later, was {as_of_time.date()}")


def _check_ids(found: Violations, instrument_ids: Collection[str], field: str) -> None:
    if not instrument_ids:
        found.add(field, "must have at least one instrument, had none")
    seen: set[str] = set()
    for row, instrument_id in enumerate(instrument_ids):
        if not ID.fullmatch(instrument_id):
            found.add(f"{field}[{row}]", f"{ID_RULE}, was {instrument_id[:80]!r}")
        elif instrument_id in seen:
            found.add(f"{field}[{row}]", f"must be there once, {instrument_id} is there again")
        seen.add(instrument_id)


def _columns_fit(found: Violations, columns: PriceColumns) -> bool:
    before = len(found)
    rows = len(columns.instrument_ids)
    for name in ("prices", "bids", "asks", "average_daily_volumes"):
        column: Numbers | None = getattr(columns, name)
        if column is None:
            continue
        if len(column.units) != rows:
            found.add(f"price_set.{name}", f"must have {rows} rows, had {len(column.units)}")
        if not 0 <= column.scale <= SCALE_MAX:
            found.add(f"price_set.{name}.scale", f"must be 0 to {SCALE_MAX}, was {column.scale}")
    return len(found) == before


def _check_quotes(found: Violations, columns: PriceColumns) -> None:
    for name, least in (("prices", 1), ("bids", 1), ("asks", 1), ("average_daily_volumes", 0)):
        column: Numbers | None = getattr(columns, name)
        for row, units in enumerate(column.units if column is not None else ()):
            if column is not None and units < least:
                limit = "must be above 0" if least else "must be 0 or more"
                was = plain_number(units, column.scale)
                found.add(f"price_set.{name}.units[{row}]", f"{limit}, was {was} ({columns.instrument_ids[row]})")
    if columns.bids is not None and columns.asks is not None:
        for row, (bid, ask) in enumerate(zip(columns.bids.finest, columns.asks.finest, strict=True)):
            if bid > ask:
                limit = f"must be at most the ask, {plain_number(ask, SCALE_MAX)}"
                was = plain_number(bid, SCALE_MAX)
                found.add(f"price_set.bids.units[{row}]", f"{limit}, was {was} ({columns.instrument_ids[row]})")


def _check_jumps(found: Violations, columns: PriceColumns, jumps: JumpRule) -> None:
    if not jumps.limit.is_finite() or jumps.limit <= 0:
        found.add("jump_limit", f"must be above 0, was {jumps.limit}")
        return
    for row, (instrument_id, price) in enumerate(zip(columns.instrument_ids, columns.prices.decimals, strict=True)):
        before = jumps.before.get(InstrumentId(instrument_id))
        if before is None or instrument_id in jumps.confirmed:
            continue
        if abs(price - before) > jumps.limit * before:
            limit = f"must be within {jumps.limit} of {before} as a fraction, or be confirmed"
            found.add(f"price_set.prices.units[{row}]", f"{limit}, was {price} ({instrument_id})")
    for instrument_id in sorted(jumps.before.keys() - set(columns.instrument_ids) - set(jumps.confirmed)):
        limit = "must have every instrument of the set before, or be confirmed to lack it"
        found.add("price_set.instrument_ids", f"{limit}, {instrument_id} is missing")


def _price_set(columns: PriceColumns, record_time: datetime) -> PriceSet:
    given = (columns.bids, columns.asks, columns.average_daily_volumes)
    rows = len(columns.instrument_ids)
    rest = [column.decimals if column is not None else [None] * rows for column in given]
    quotes = {
        InstrumentId(instrument_id): Quote(price, bid, ask, volume)
        for instrument_id, price, bid, ask, volume in sorted(
            zip(columns.instrument_ids, columns.prices.decimals, *rest, strict=True), key=lambda row: str(row[0])
        )
    }
    name = content_hash(
        canonical_json(
            {
                "source": columns.source,
                "as_of_time": columns.as_of_time,
                "quotes": [
                    [instrument_id, quote.price, quote.bid, quote.ask, quote.average_daily_volume]
                    for instrument_id, quote in quotes.items()
                ],
            }
        )
    )
    return PriceSet(
        price_set_id=PriceSetId(_derived("prices", name)),
        content_hash=name,
        source=columns.source,
        as_of_time=columns.as_of_time,
        record_time=record_time,
        quotes=quotes,
    )


def _check_days(found: Violations, columns: HistoryColumns, last: date) -> None:
    days = columns.days
    if len(days) < HISTORY_DAYS_MIN:
        found.add("dates", f"must be at least {HISTORY_DAYS_MIN} days, were {len(days)}")
    first_day, last_day = (AS_OF_DATE_MIN - EPOCH).days, (last - EPOCH).days
    for row, day in enumerate(days):
        if not first_day <= day <= last_day:
            limit = f"must be from {AS_OF_DATE_MIN} ({first_day}) to {last} ({last_day})"
            found.add(f"dates.days[{row}]", f"{limit}, was {day}")
        elif row and day <= days[row - 1]:
            found.add(f"dates.days[{row}]", f"must be after the day before it, {days[row - 1]}, was {day}")


def _closes(found: Violations, columns: HistoryColumns) -> NDArray[np.int64]:
    shape = (len(columns.instrument_ids), len(columns.days))
    count = shape[0] * shape[1]
    units, scale = columns.closes.units, columns.closes.scale
    if len(units) != count or count > HISTORY_CLOSES_MAX:
        limit = f"must be one for each instrument and day, {count}, and at most {HISTORY_CLOSES_MAX}"
        found.add("closes.units", f"{limit}, were {len(units)}")
        return np.zeros((0, 0), dtype=np.int64)
    if not 0 <= scale <= SCALE_MAX:
        found.add("closes.scale", f"must be 0 to {SCALE_MAX}, was {scale}")
        return np.zeros((0, 0), dtype=np.int64)
    closes = np.fromiter(units, dtype=np.int64, count=count)
    for place in np.flatnonzero(closes <= 0).tolist():
        row, column = divmod(place, shape[1])
        was = f"{plain_number(int(closes[place]), scale)} ({columns.instrument_ids[row]}, {_day(columns.days[column])})"
        found.add(f"closes.units[{place}]", f"must be above 0, was {was}")
    return closes.reshape(shape)


def _day(days: int) -> str:
    # Days are checked elsewhere, and may still be none of the calendar.
    try:
        return (EPOCH + timedelta(days=days)).isoformat()
    except OverflowError:
        return f"day {days}"


def _derived(prefix: str, name: str) -> str:
    return f"{prefix}-{name.removeprefix('sha256:')[:_ID_DIGITS]}"
