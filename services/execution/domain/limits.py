"""How much may be ordered: of one order, and in a day by account, household, instrument, venue and firm.

Counted at the prices that plans were checked with, in their currency (in kind, SEC rule 15c3-5).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from services.execution.domain.plan import Plan
from services.execution.domain.words import Side
from services.kernel.ids import InstrumentId, VenueId

ZERO = Decimal(0)


class LimitKind(StrEnum):
    """What a day's limit counts over."""

    FIRM = "FIRM"
    HOUSEHOLD = "HOUSEHOLD"
    ACCOUNT = "ACCOUNT"
    VENUE = "VENUE"
    INSTRUMENT = "INSTRUMENT"


# A plan of ten trades looks up and adds these a hundred times, which tuples do without a call into Python.
class LimitKey(NamedTuple):
    """One thing whose orders of a day are counted; `subject_id` is empty for the firm."""

    kind: LimitKind
    subject_id: str = ""


class Usage(NamedTuple):
    """How many orders a day has seen, and their value at the prices they were checked with; of it, what was sold."""

    orders: int = 0
    amount: Decimal = ZERO
    sold: Decimal = ZERO

    @property
    def turnover(self) -> Decimal:
        """Return the lesser of what was bought and what was sold: what only changed its shape (form N-1A, item 13)."""
        return min(self.amount - self.sold, self.sold)

    def plus(self, other: "Usage | None") -> "Usage":
        """Return both together; None is nothing."""
        if other is None:
            return self
        return Usage(self.orders + other.orders, self.amount + other.amount, self.sold + other.sold)


@dataclass(frozen=True, slots=True)
class DayLimit:
    """The most that may be ordered in one day, edges inside; `turnover_max` None where it is not limited."""

    orders_max: int
    amount_max: Decimal
    turnover_max: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What an order, an account, an instrument and the firm may not exceed.

    `collar_bps`: how far a price may be from our reference, either way, edge inside. `price_age_max`: the oldest
    reference that counts. `cost_buffer_bps`: how much more than reference or limit is set aside for a buy, with fees.
    """

    order_quantity_max: Decimal
    order_amount_max: Decimal
    trades_per_plan_max: int
    days: Mapping[LimitKind, DayLimit]
    collar_bps: Decimal
    price_age_max: timedelta
    cost_buffer_bps: Decimal


def usage_of(
    plan: Plan, venue_id: VenueId, pairs: Mapping[InstrumentId, InstrumentId] | None = None
) -> dict[LimitKey, Usage]:
    """Return what `plan` adds to the day's counts, by what is counted; its orders would go to `venue_id`.

    A trade abroad counts twice, once as the leg that turns its money: what is filled must be turned, so whether that is
    too much is asked before anything is sent. No household is counted for an account that has none.

    Args:
        plan: What is to be ordered.
        venue_id: Where.
        pairs: The pair that turns the money of each instrument which is traded in another currency than the plan's.
    """
    instruments: dict[LimitKey, Usage] = {}
    for trade in plan.trades:
        one = Usage(1, trade.amount, trade.amount if trade.side is Side.SELL else ZERO)
        for name in (trade.instrument_id, pairs.get(trade.instrument_id) if pairs else None):
            if name is not None:
                key = LimitKey(LimitKind.INSTRUMENT, name)
                instruments[key] = instruments[key].plus(one) if key in instruments else one
    if not instruments:
        return {}
    together = Usage(
        sum(each.orders for each in instruments.values()),
        sum((each.amount for each in instruments.values()), ZERO),
        sum((each.sold for each in instruments.values()), ZERO),
    )
    whole = [
        LimitKey(LimitKind.FIRM),
        LimitKey(LimitKind.ACCOUNT, plan.account_id),
        LimitKey(LimitKind.VENUE, venue_id),
    ]
    if plan.household_id is not None:
        whole.append(LimitKey(LimitKind.HOUSEHOLD, plan.household_id))
    return dict.fromkeys(whole, together) | instruments
