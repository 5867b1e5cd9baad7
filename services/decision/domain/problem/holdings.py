"""What an account holds, or may hold: an instrument, its lots and its band, exactly and in the account's currency."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from typing import NewType

from services.decision.domain.asset_kinds import AssetKind
from services.kernel.ids import InstrumentId

LotId = NewType("LotId", str)
ZERO = Decimal(0)
ONE = Decimal(1)
# Finest increment that any venue we know trades: a billionth of a share.
QUANTITY_DECIMALS_MAX = 9


class Side(StrEnum):
    """Which way a trade goes."""

    BUY = "BUY"
    SELL = "SELL"


@dataclass(frozen=True, slots=True)
class LotState:
    """Units bought together, as they stand now. `quantity` is positive; `basis_total` is the cost of all of them."""

    lot_id: LotId
    acquired_date: date
    quantity: Decimal
    basis_total: Decimal

    def __reduce__(self) -> tuple[type["LotState"], tuple[LotId, date, Decimal, Decimal]]:
        """Return what makes it again: lots are sent to computing processes by the ten thousand."""
        return LotState, (self.lot_id, self.acquired_date, self.quantity, self.basis_total)


@dataclass(frozen=True, slots=True)
class Band:
    """How far a weight may be from its target, either side, edges included, as absolute weights.

    Attributes:
        trigger: Farther than this and the account is rebalanced.
        destination: A rebalance brings the weight at least this near, if that is worth its price.
    """

    trigger: Decimal
    destination: Decimal


@dataclass(frozen=True)  # Without slots, so that what is added up is kept.
class Holding:
    """One instrument that the account holds, may hold, or has a target for.

    Attributes:
        price: Of one unit, in the account's currency; positive.
        quantity_increment: Quantities traded are whole multiples of it: 1 for whole shares, 0.000000001 at the finest.
        lots: What is held now; empty when only targeted.
        target_weight: 0 to 1.
        spread_bps: Full quoted spread; a trade pays half of it.
        commission_bps: Of the traded value.
        commission_per_trade: In currency, once for every trade.
        average_daily_value: Traded in the market per day, in currency; None leaves market impact out.
        minimum_trade: A trade is worth at least this much, in currency, or is not made. Selling all of it is exempt.
        minimum_position: After a trade the lots are worth at least this much, in currency, or all of them are sold.
            What is not traded may be smaller.
        held_away_value: Value of the same instrument held elsewhere: counts in the mix, is never traded.
        weight_max: Purchases never take the weight above it; None for no limit. A weight that the market took above
            it is not bought, and is brought back by its band, not by force.
        identity_set: Instruments with the same one are substantially identical to tax rules; None when it is alone.
        no_buy: Why it may not be bought; None when it may. Wash-sale windows are added by the tax rules, not here.
        no_sell: Why it may not be sold; None when it may.
        asset_kind: What it is to tax laws that ask: whether losses on it are kept apart, what of its gains is exempt.
    """

    instrument_id: InstrumentId
    price: Decimal
    quantity_increment: Decimal
    target_weight: Decimal
    band: Band
    lots: tuple[LotState, ...] = ()
    spread_bps: Decimal = ZERO
    commission_bps: Decimal = ZERO
    commission_per_trade: Decimal = ZERO
    average_daily_value: Decimal | None = None
    minimum_trade: Decimal = ZERO
    minimum_position: Decimal = ZERO
    held_away_value: Decimal = ZERO
    weight_max: Decimal | None = None
    identity_set: str | None = None
    no_buy: str | None = None
    no_sell: str | None = None
    asset_kind: AssetKind = AssetKind.OTHER

    @property
    def share(self) -> bool:
        """Whether it is a share in a company, for laws that keep losses on shares apart."""
        return self.asset_kind is AssetKind.SHARE

    @property
    def identity(self) -> str:
        """The name of what it is identical to: its set, or itself."""
        return self.identity_set or self.instrument_id

    @cached_property
    def quantity(self) -> Decimal:
        """Units held in all lots."""
        return sum((lot.quantity for lot in self.lots), ZERO)

    @cached_property
    def value(self) -> Decimal:
        """What the lots are worth at `price`."""
        return self.quantity * self.price

    @cached_property
    def mix_value(self) -> Decimal:
        """What counts in the mix: the lots and what is held away."""
        return self.value + self.held_away_value
