"""Where tax rules plug in.

The optimiser knows nothing of any country: a jurisdiction turns an account into data. Per lot it says how a sale
would be taxed and whether it may be sold at all; per instrument, whether it may be bought. A second method judges
a finished plan, from the trades alone, so that the checker need not believe what the first one said.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Protocol

from services.decision.domain.decision import Character, Trade
from services.decision.domain.problem import AccountProblem, LotId, LotMethod, LotState
from services.kernel.ids import InstrumentId


@dataclass(frozen=True, slots=True)
class LotTax:
    """How a sale out of one lot is taxed today.

    Attributes:
        gain_per_unit: Price minus basis of one unit, in currency; negative is a loss.
        rate: Marginal rate of the gain, 0 to 1. A sale's tax is quantity · gain_per_unit · rate, negative for a credit.
        no_sell: Why tax rules forbid the sale; None when they do not.
    """

    character: Character
    gain_per_unit: Decimal
    rate: Decimal
    no_sell: str | None = None


@dataclass(frozen=True, slots=True)
class TaxView:
    """What tax rules say about an account today. Every lot is in `lots`; `no_buy` has only what is forbidden."""

    lots: Mapping[LotId, LotTax]
    no_buy: Mapping[InstrumentId, str]


class Jurisdiction(Protocol):
    """The tax rules of one country, as far as choosing trades needs them."""

    @property
    def first_year(self) -> int:
        """First tax year whose law the rules are."""
        ...

    @property
    def last_year(self) -> int:
        """Last tax year whose law was reviewed with this release; later ones are refused until somebody did."""
        ...

    @property
    def terms(self) -> bool:
        """Whether the rate depends on how long units were held; without, the long-term rate is the rate."""
        ...

    @property
    def lot_method(self) -> LotMethod | None:
        """In which order the law takes lots; None where they may be chosen."""
        ...

    def tax_year(self, day: date) -> int:
        """Return the tax year of a day, by the year in which it begins."""
        ...

    def costed(self, lots: Sequence[LotState]) -> tuple[LotState, ...]:
        """Return the lots of one instrument with what the law says that they cost; their sum stays."""
        ...

    def view(self, problem: AccountProblem) -> TaxView:
        """Return what the rules say about every lot and instrument of the account."""
        ...

    def broken_rules(self, problem: AccountProblem, trades: Sequence[Trade]) -> tuple[str, ...]:
        """Return a sentence for each rule that the finished plan breaks, in a stable order."""
        ...
