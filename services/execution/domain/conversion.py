"""How much foreign money must be bought or sold after fills, and what each account's trade was in its own money?

An account in dollars that trades in euros owes, or has, so many euros when its trade is filled, and not before. So the
legs that turn them into dollars are sized by the fills: for each order of the block what it owes, fees included, less
what legs have bought for it so far. Where that is not nothing a leg is formed: for partial fills of a leg, for a leg
that the venue refused, and for fills that were corrected or busted alike. When nothing is missing, each order has paid
its dollars, and its allocation is told in dollars.

Amounts are signed by what the accounts need: above 0 is foreign money to be bought, below 0 to be sold. They are whole
cents, counted as integers, so that sums are exact. What a bust costs because the rate moved between a leg and its
reversal is not the account's: its money follows the legs in the direction of its trade.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_EVEN, Decimal

from services.execution.domain.allocation import Allocation, DayFills, Statement, Traded, allocate, share_money
from services.execution.domain.blocks import Terms
from services.execution.domain.order import AVERAGE_PRICE_QUANTUM
from services.execution.domain.words import Side
from services.kernel.ids import OrderId
from services.kernel.money import CENT, in_cents

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Leg:
    """A block that turned money: what its orders were to get, and its live fills by day."""

    side: Side
    statement: Statement
    days: Sequence[DayFills]


@dataclass(frozen=True, slots=True)
class Turned:
    """What legs of one direction did for an order: `foreign` cents, 0 or more; `paid` for them and in `fees`."""

    foreign: int = 0
    paid: Decimal = ZERO
    fees: Decimal = ZERO


def owed(allocations: Iterable[Allocation], side: Side) -> dict[OrderId, int]:
    """Return the foreign cents that each order needs for its part of a block's fills, fees included."""
    needs: dict[OrderId, int] = {}
    for each in allocations:
        net = each.gross_amount + each.fee if side is Side.BUY else each.fee - each.gross_amount
        needs[each.order_id] = needs.get(each.order_id, 0) + int(net / CENT)
    return needs


def turned(legs: Iterable[Leg]) -> dict[Side, dict[OrderId, Turned]]:
    """Return what finished legs did for each order, by direction."""
    done: dict[Side, dict[OrderId, Turned]] = {side: {} for side in Side}
    for leg in legs:
        mine = done[leg.side]
        for each in allocate(leg.statement, leg.days)[0]:
            was = mine.get(each.order_id, Turned())
            mine[each.order_id] = Turned(
                was.foreign + int(each.quantity / CENT), was.paid + each.gross_amount, was.fees + each.fee
            )
    return done


def missing(needs: Mapping[OrderId, int], done: Mapping[Side, Mapping[OrderId, Turned]]) -> dict[OrderId, int]:
    """Return the foreign cents that must still be bought, or below 0 sold, for each order; without those that are 0."""
    bought, sold = done[Side.BUY], done[Side.SELL]
    rest = {
        name: needs.get(name, 0) - bought.get(name, Turned()).foreign + sold.get(name, Turned()).foreign
        for name in sorted({*needs, *bought, *sold})
    }
    return {name: cents for name, cents in rest.items() if cents}


def in_account_currency(
    allocations: Sequence[Allocation], terms: Terms, done: Mapping[Side, Mapping[OrderId, Turned]]
) -> tuple[Allocation, ...]:
    """Return a block's allocations in the accounts' own currency, with what was traded beside; nothing may be missing.

    For each order the amount with the fees is what its legs moved, to the cent. Its fees are the venue's at the legs'
    rate, and the legs' own.

    Raises:
        ValueError: An order owes foreign money and has no leg in the direction of its trade.
    """
    by_order: dict[OrderId, list[Allocation]] = {}
    for each in allocations:
        by_order.setdefault(each.order_id, []).append(each)
    told: list[Allocation] = []
    for name, days in sorted(by_order.items()):
        needs = owed(days, terms.side)[name]
        # Where fees eat all of a sale, money is bought for it.
        direction = Side.BUY if needs > 0 else Side.SELL
        legs = done[direction].get(name, Turned())
        if needs and not legs.foreign:
            raise ValueError(f"order {name} owes {needs} cents, and no leg turned any")
        share = Decimal(abs(needs)) / legs.foreign if legs.foreign else ZERO
        paid, fees = in_cents(legs.paid * share), in_cents(legs.fees * share)
        rate = paid / (abs(needs) * CENT) if needs else ZERO
        weights = [abs(owed([each], terms.side)[name]) for each in days]
        names = [each.trade_date.isoformat() for each in days]
        parts = share_money(paid if needs > 0 else -paid, weights, names, name)
        leg_fees = share_money(fees, weights, names, name)
        told.extend(
            _told(each, terms, moved, leg_fee, rate) for each, moved, leg_fee in zip(days, parts, leg_fees, strict=True)
        )
    return tuple(told)


def difference(allocations: Sequence[Allocation], side: Side, done: Mapping[Side, Mapping[OrderId, Turned]]) -> Decimal:
    """Return what all legs cost the firm: what they paid and took in fees, less what the accounts' trades were told."""
    paid = sum((each.paid + each.fees for each in done[Side.BUY].values()), ZERO)
    got = sum((each.paid - each.fees for each in done[Side.SELL].values()), ZERO)
    sign = 1 if side is Side.BUY else -1
    accounts = sum((sign * each.gross_amount + each.fee for each in allocations), ZERO)
    return paid - got - accounts


def _told(each: Allocation, terms: Terms, moved: Decimal, leg_fee: Decimal, rate: Decimal) -> Allocation:
    """Return an allocation in the account's money, of which `moved` was paid, or below 0 got, for it and its fees."""
    fee = (each.fee * rate).quantize(CENT, rounding=ROUND_HALF_EVEN)
    amount = moved - fee if terms.side is Side.BUY else fee - moved
    price = (amount / each.quantity).quantize(AVERAGE_PRICE_QUANTUM, rounding=ROUND_HALF_EVEN)
    traded = Traded(terms.currency, each.average_price, each.gross_amount, each.fee)
    return replace(each, average_price=price, gross_amount=amount, fee=fee + leg_fee, traded=traded)
