"""Does the custodian's record agree with ours? Trades one by one, and positions and cash from statement to statement.

Nothing is invented to make them agree: every difference has a kind, and is shown as it is. A trade that one side has
and the other lacks is looked at once more, because most of them are one trade that was written down differently: on
another side, in another account, on another day. What moved otherwise (`movements`) explains positions and cash, and
never a trade.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from enum import StrEnum

from services.execution.domain.movements import Delta
from services.execution.domain.words import Side
from services.kernel.decimals import plain
from services.kernel.ids import AccountId, InstrumentId

ZERO = Decimal(0)


class BreakKind(StrEnum):
    """What does not agree with the custodian."""

    MISSING_TRADE = "MISSING_TRADE"  # We have it, the custodian does not.
    EXTRA_TRADE = "EXTRA_TRADE"  # The custodian has it, we do not.
    LATE_BUST = "LATE_BUST"  # The custodian still has what the venue busted.
    DUPLICATE = "DUPLICATE"  # The custodian has one trade twice.
    SIDE = "SIDE"
    ACCOUNT = "ACCOUNT"
    TRADE_DATE = "TRADE_DATE"
    QUANTITY = "QUANTITY"
    PRICE = "PRICE"
    FEE = "FEE"
    SETTLEMENT_DATE = "SETTLEMENT_DATE"
    POSITION = "POSITION"
    CASH = "CASH"


@dataclass(frozen=True, slots=True)
class Trade:
    """What changed hands for an account in one instrument, one way, on one day; sums of whoever says so.

    `amount` excludes `fees`; both in the account's currency. `reference` names a custodian's trade; empty for ours.
    `busted`: of ours, that all of it was taken back, and what is said here is what it had been.
    """

    account_id: AccountId
    instrument_id: InstrumentId
    side: Side
    trade_date: date
    settlement_date: date
    quantity: Decimal
    amount: Decimal
    fees: Decimal
    reference: str = ""
    busted: bool = False

    @property
    def cash_change(self) -> Decimal:
        """Return what it does to the account's cash."""
        return self.amount - self.fees if self.side is Side.SELL else -self.amount - self.fees

    @property
    def units_change(self) -> Decimal:
        """Return what it does to the account's units."""
        return self.quantity if self.side is Side.BUY else -self.quantity


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that does not agree: what we have and what the custodian has, in words.

    No instrument for cash; no `trade_date` for cash and positions.
    """

    kind: BreakKind
    account_id: AccountId
    instrument_id: InstrumentId | None
    ours: str
    theirs: str
    about: str
    trade_date: date | None = None


@dataclass(frozen=True, slots=True)
class Holdings:
    """An account as a custodian says it: units by instrument, and cash; both by trade date."""

    positions: Mapping[InstrumentId, Decimal]
    cash: Decimal


@dataclass(frozen=True, slots=True)
class Spoken:
    """What a custodian said of an account last, of which day, and of which day it spoke first."""

    day: date
    holdings: Holdings
    first_day: date


def compare_trades(ours: Iterable[Trade], theirs: Iterable[Trade]) -> list[Difference]:
    """Return how the custodian's trades differ from ours, by account, instrument, and kind.

    Args:
        ours: Ours of the days that are compared; those that were busted whole are marked.
        theirs: The custodian's, one for each of its references.
    """
    found = list(_duplicates(theirs := list(theirs)))
    once = {trade.reference: trade for trade in theirs}.values()
    mine = _together(trade for trade in ours if not trade.busted)
    busted = _together(trade for trade in ours if trade.busted)
    others = _together(once)
    for key in sorted(mine.keys() & others.keys()):
        found += _differences(mine.pop(key), others.pop(key))
    found += _written_differently(mine, others)
    for key, trade in sorted(others.items()):
        kind = BreakKind.LATE_BUST if key in busted else BreakKind.EXTRA_TRADE
        found.append(_difference(kind, trade, "none", _words(trade)))
    found += [_difference(BreakKind.MISSING_TRADE, trade, _words(trade), "none") for _, trade in sorted(mine.items())]
    return sorted(found, key=lambda each: (each.account_id, each.instrument_id or "", each.kind, each.about))


def compare_holdings(
    account_id: AccountId, before: Holdings, trades: Iterable[Trade], moved: Iterable[Delta], now: Holdings
) -> list[Difference]:
    """Return how an account differs from what it was, plus what we traded since and what else moved.

    Args:
        account_id: Which account.
        before: What it should have had when the custodian spoke last.
        trades: Ours with a trade date after `before` and up to `now`.
        moved: What the custodian says moved otherwise and is not in `before`.
        now: As the custodian says it now.
    """
    units, cash = dict(before.positions), before.cash
    for trade in trades:
        units[trade.instrument_id] = units.get(trade.instrument_id, ZERO) + trade.units_change
        cash += trade.cash_change
    for each in moved:
        if each.instrument_id is None:
            cash += each.amount
        else:
            units[each.instrument_id] = units.get(each.instrument_id, ZERO) + each.amount
    found = [
        Difference(BreakKind.POSITION, account_id, name, plain(expected), plain(has), name)
        for name in sorted({*units, *now.positions})
        if (expected := units.get(name, ZERO)) != (has := now.positions.get(name, ZERO))
    ]
    if cash != now.cash:
        found.append(Difference(BreakKind.CASH, account_id, None, plain(cash), plain(now.cash), "cash"))
    return found


_Key = tuple[AccountId, InstrumentId, Side, date]


def _key(trade: Trade) -> _Key:
    return trade.account_id, trade.instrument_id, trade.side, trade.trade_date


def _together(trades: Iterable[Trade]) -> dict[_Key, Trade]:
    """Return trades of the same thing as one: a block's and the next one's are one to a custodian."""
    sums: dict[_Key, Trade] = {}
    for trade in trades:
        known = sums.get(_key(trade))
        sums[_key(trade)] = (
            trade
            if known is None
            else replace(
                known,
                quantity=known.quantity + trade.quantity,
                amount=known.amount + trade.amount,
                fees=known.fees + trade.fees,
            )
        )
    return sums


def _duplicates(theirs: Sequence[Trade]) -> Iterable[Difference]:
    counts = Counter(trade.reference for trade in theirs)
    first = {trade.reference: trade for trade in reversed(theirs)}
    for reference, count in sorted(counts.items()):
        if count > 1:
            trade = first[reference]
            yield _difference(BreakKind.DUPLICATE, trade, "1", str(count), about=reference)


def _differences(ours: Trade, theirs: Trade) -> Iterable[Difference]:
    pairs = [
        (BreakKind.QUANTITY, plain(ours.quantity), plain(theirs.quantity)),
        (BreakKind.PRICE, plain(ours.amount), plain(theirs.amount)),
        (BreakKind.FEE, plain(ours.fees), plain(theirs.fees)),
        (BreakKind.SETTLEMENT_DATE, ours.settlement_date.isoformat(), theirs.settlement_date.isoformat()),
    ]
    # Another quantity makes another amount: that is one break, not two.
    other = ours.quantity != theirs.quantity
    return [
        _difference(kind, ours, mine, others)
        for kind, mine, others in pairs
        if mine != others and not (other and kind is BreakKind.PRICE)
    ]


def _written_differently(mine: dict[_Key, Trade], others: dict[_Key, Trade]) -> Iterable[Difference]:
    """Yield trades that both have but for one thing, and take them out of what is left of both."""
    ways: tuple[tuple[BreakKind, Callable[[Trade], tuple[object, ...]]], ...] = (
        (BreakKind.SIDE, lambda trade: (trade.account_id, trade.instrument_id, trade.trade_date, trade.quantity)),
        (BreakKind.TRADE_DATE, lambda trade: (trade.account_id, trade.instrument_id, trade.side, trade.quantity)),
        (BreakKind.ACCOUNT, lambda trade: (trade.instrument_id, trade.side, trade.trade_date, trade.quantity)),
    )
    found = []
    for kind, alike in ways:
        by_likeness = {alike(trade): key for key, trade in sorted(others.items(), reverse=True)}
        for key, trade in sorted(mine.items()):
            match = by_likeness.pop(alike(trade), None)
            if match is not None:
                found.append(_difference(kind, trade, _words(trade), _words(others[match])))
                del mine[key], others[match]
    return found


def _difference(kind: BreakKind, trade: Trade, ours: str, theirs: str, about: str = "") -> Difference:
    named = about or f"{trade.side} {trade.trade_date.isoformat()}"
    return Difference(kind, trade.account_id, trade.instrument_id, ours, theirs, named, trade.trade_date)


def _words(trade: Trade) -> str:
    return f"{trade.account_id} {trade.side} {plain(trade.quantity)} on {trade.trade_date.isoformat()}"
