"""What decision asks us to do for one account: read from the signed bytes, and from nothing else."""

from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import assert_never

from services.execution.domain.words import Algorithm, Side
from services.kernel.ids import (
    AccountId,
    HouseholdId,
    InstrumentId,
    OrderId,
    PlanId,
    PolicyHash,
    RunId,
    VenueId,
    derived_id,
)
from services.kernel.money import CENT

BPS = Decimal(10_000)


@dataclass(frozen=True, slots=True)
class Trade:
    """One trade of a plan: becomes one order.

    `price` is what decision reckoned with, `trading_cost` what it predicted, `held_quantity` what the account held
    then. `rank` is the place in the plan: among buys, who goes first when money is short.
    """

    instrument_id: InstrumentId
    side: Side
    quantity: Decimal
    increment: Decimal
    price: Decimal
    trading_cost: Decimal
    held_quantity: Decimal
    rank: int

    @property
    def amount(self) -> Decimal:
        """Return what the trade is worth at the price decision reckoned with."""
        return self.quantity * self.price


@dataclass(frozen=True, slots=True)
class Preferences:
    """How an account wants its trades sent.

    `aggregation_consent`: they may travel with other accounts' orders. `limit_distance_bps`: how far limits are from
    the plan's price; None for market orders. `venue_id`: None lets execution choose. `participation_limit`: the largest
    share of what is traded that may be theirs; None for any. `crossing_consent`: they may meet opposite orders of other
    clients.
    """

    aggregation_consent: bool
    limit_distance_bps: Decimal | None
    venue_id: VenueId | None
    algorithm: Algorithm = Algorithm.IMMEDIATE
    participation_limit: Decimal | None = None
    crossing_consent: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """The trades decision signed for one account.

    `available_cash` may be spent before anything is sold; `cash_shortfall` is missing to what must be kept, and what
    sells bring fills it up before any buy may use it. At most one of them is above 0.
    """

    plan_id: PlanId
    plan_hash: str
    run_id: RunId
    account_id: AccountId
    household_id: HouseholdId | None
    custodian: str
    currency: str
    available_cash: Decimal
    policy_version_hashes: tuple[PolicyHash, ...]
    policy_hash: PolicyHash
    approver: str
    expire_time: datetime
    trades: tuple[Trade, ...]
    preferences: Preferences
    cash_shortfall: Decimal = Decimal(0)

    @property
    def opening_cash(self) -> Decimal:
        """What buys may use before anything is sold; below 0, what must be sold before they may use anything."""
        return self.available_cash - self.cash_shortfall

    @property
    def crossing_client(self) -> str | None:
        """In whose name its orders may meet opposite ones of other clients; None when they may not."""
        agreed = self.preferences.aggregation_consent and self.preferences.crossing_consent
        return (self.household_id or self.account_id) if agreed else None


def order_id(plan_id: PlanId, trade: Trade) -> OrderId:
    """Return the id of the order that `trade` becomes: the same however often the plan arrives."""
    return OrderId(derived_id("order", plan_id, str(trade.rank)))


def limit_price(plan: Plan, trade: Trade) -> Decimal | None:
    """Return the worst price at which `trade` may be filled; None for a market order.

    Rounded to whole cents in the account's favor.
    """
    distance = plan.preferences.limit_distance_bps
    if distance is None:
        return None
    match trade.side:
        case Side.BUY:
            return (trade.price * (BPS + distance) / BPS).quantize(CENT, rounding=ROUND_FLOOR)
        case Side.SELL:
            return (trade.price * (BPS - distance) / BPS).quantize(CENT, rounding=ROUND_CEILING)
        case _:
            assert_never(trade.side)
