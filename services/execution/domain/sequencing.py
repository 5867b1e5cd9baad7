"""When may a buy leave? In a cash account, when there is money for it.

A plan sells some things to buy others. Its buys wait until the account's cash, and what its sells have brought for
certain so far, less a haircut, cover them; a sell that is partly filled releases part. What is released is counted at
more than it should cost, so a price that runs away does not overdraw the account; when it is filled, what was not
needed is free for the next. When nothing is on its way any more and the money is not enough, the rest of the buys is
given up.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal

from services.kernel.ids import OrderId

BPS = Decimal(10_000)


@dataclass(frozen=True, slots=True)
class Funding:
    """The money of one account for the buys of one plan, in the account's currency.

    `available_cash` may be spent at once; below 0 it is missing, and sells must bring it first. `proceeds` is what
    sells brought for certain, fees deducted; of it, `settling` comes from blocks that are not finished. `committed` is
    what buys have cost, or may cost while under way.
    """

    available_cash: Decimal
    proceeds: Decimal
    settling: Decimal
    committed: Decimal

    def budget(self, haircut_bps: Decimal) -> Decimal:
        """Return what may be spent now, 0 or more; `haircut_bps` of what is not final is kept back."""
        kept_back = self.settling * haircut_bps / BPS
        return max(self.available_cash + self.proceeds - kept_back - self.committed, Decimal(0))


@dataclass(frozen=True, slots=True)
class WaitingBuy:
    """A buy, or the rest of one, that has not been released.

    `unit_cost_max` is the most one unit can cost, fees included; `rank` says which buy goes first, 0 before 1.
    """

    order_id: OrderId
    quantity: Decimal
    increment: Decimal
    unit_cost_max: Decimal
    rank: int


@dataclass(frozen=True, slots=True)
class Release:
    """What may leave now of one buy."""

    order_id: OrderId
    quantity: Decimal
    cost_max: Decimal


def release(buys: Iterable[WaitingBuy], *, budget: Decimal, part_amount_min: Decimal) -> tuple[Release, ...]:
    """Return what of `buys` the `budget` covers, by rank.

    A buy is released whole when the budget covers it, else in part when that part is worth `part_amount_min` or more:
    a few increments at a time would only cost fees. A part that is too small leaves the budget for the buys after it.
    """
    released = []
    left = budget
    for buy in sorted(buys, key=lambda buy: (buy.rank, buy.order_id)):
        quantity = buy.quantity
        if quantity * buy.unit_cost_max > left:
            increments = (left / (buy.unit_cost_max * buy.increment)).to_integral_value(rounding=ROUND_FLOOR)
            quantity = increments * buy.increment
            if quantity * buy.unit_cost_max < part_amount_min:
                continue
        if quantity <= 0:
            continue
        cost = quantity * buy.unit_cost_max
        released.append(Release(buy.order_id, quantity, cost))
        left -= cost
    return tuple(released)
