"""The trades of a plan, with what each costs and how the gains of its lots are taxed.

Money is in the account's currency, rounded half-even to the cent where it is an estimate (`CENT`); quantities are
exact.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum

from services.decision.domain.problem import ZERO, LotId, Side
from services.kernel.ids import InstrumentId

CENT = Decimal("0.01")


class Character(StrEnum):
    """How a gain is taxed."""

    SHORT = "SHORT"
    LONG = "LONG"
    # Where the law does not ask how long the units were held.
    ANY = "ANY"
    # The same, and each unit costs the average of all that are held.
    POOLED = "POOLED"
    # Inside a wrapper that is not taxed.
    EXEMPT = "EXEMPT"
    # On a share, where losses on shares meet gains on shares only.
    SHARE = "SHARE"

    @property
    def apart(self) -> bool:
        """Whether it is of the kind that a liability takes first: short-term, or on shares. All else is of another."""
        return self in (Character.SHORT, Character.SHARE)


@dataclass(frozen=True, slots=True)
class LotSale:
    """Units sold out of one lot, and their tax.

    Attributes:
        gain: Proceeds before costs minus basis; negative is a loss.
        rate: What a unit of gain of that character costs on average in this plan, 0 to 1: gains and losses meet. Of
            what the law exempts it is less.
        tax: gain · rate, to the cent so that all lots of a plan sum to what it owes; negative is a credit.
        exempt_gain: What of the gain the law does not count, in cents; of a loss negative.
    """

    lot_id: LotId
    acquired_date: date
    quantity: Decimal
    proceeds: Decimal
    basis: Decimal
    gain: Decimal
    character: Character
    rate: Decimal
    tax: Decimal
    exempt_gain: Decimal = ZERO

    @property
    def counted_gain(self) -> Decimal:
        """The gain that the law counts."""
        return self.gain - self.exempt_gain


@dataclass(frozen=True, slots=True)
class TradeCost:
    """Estimated cost of one trade in currency, tax excluded; each part zero or more."""

    spread: Decimal
    commission: Decimal
    impact: Decimal

    @property
    def total(self) -> Decimal:
        """All parts."""
        return self.spread + self.commission + self.impact


@dataclass(frozen=True, slots=True)
class Trade:
    """A planned change of one position. `quantity` is positive, a multiple of the increment; `value` is at `price`."""

    instrument_id: InstrumentId
    side: Side
    quantity: Decimal
    price: Decimal
    value: Decimal
    cost: TradeCost
    lot_sales: tuple[LotSale, ...] = ()

    @property
    def tax(self) -> Decimal:
        """Estimated tax of all lots sold; negative is a credit."""
        return sum((sale.tax for sale in self.lot_sales), ZERO)
