"""Germany, as far as choosing trades needs it: the oldest units of a depot go first, and no loss is denied.

Sources:
    EStG § 20 Abs. 4 Satz 7 (first in, first out in each depot), § 32d Abs. 1 (one rate), § 20 Abs. 6 (loss pots).

Our readings: the rate is the policy's long-term rate, with solidarity surcharge and church tax in it, and, for a
portfolio of funds, after partial exemption. Of the saver's allowance (EStG § 20 Abs. 9) a plan uses the part that the
policy gives the account (an exemption order, EStG § 44a Abs. 2), none where it says nothing; losses of earlier years
meet gains before it does. A carried loss is worth the rate. The rule against abuse (AO § 42) bars no purchase: the
courts let a loss stand when the same shares are bought again at the market's price (BFH IX R 60/07).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from services.decision.domain.decision import Character, Trade
from services.decision.domain.problem import ZERO, AccountProblem, LotMethod, LotState, TaxProfile
from services.decision.domain.tax.jurisdiction import LotTax, TaxView, TaxYear
from services.decision.domain.tax.liability import Liability
from services.decision.domain.tax.pools import above_allowance


def _so_far(profile: TaxProfile) -> Decimal:
    return profile.realized_short + profile.realized_long - profile.carried_short - profile.carried_long


@dataclass(frozen=True, slots=True)
class GermanyPlanning:
    """The jurisdiction `DE`."""

    # Unternehmensteuerreformgesetz 2008: the present tax holds since 2009.
    first_year: int = 2009
    last_year: int = 2026
    terms: bool = False
    lot_method: LotMethod | None = LotMethod.FIRST_IN_FIRST_OUT
    netting_source: str = "EStG § 20 Abs. 6, Abs. 9"
    locked_days: int = 0
    locked_source: str = "BFH IX R 60/07"

    def tax_year(self, day: date) -> int:
        """Return the calendar year."""
        return day.year

    def costed(self, lots: Sequence[LotState]) -> tuple[LotState, ...]:
        """Return the lots as they are: each has its own cost."""
        return tuple(lots)

    def view(self, problem: AccountProblem) -> TaxView:
        """Return the rate of the account's lots; nothing is forbidden."""
        taxable = problem.tax.taxable
        character = Character.ANY if taxable else Character.EXEMPT
        rate = problem.tax.long_rate if taxable else ZERO
        return TaxView(
            lots={
                lot.lot_id: LotTax(
                    character, holding.price - lot.basis_total / lot.quantity, rate, source="EStG § 20 Abs. 2, 4"
                )
                for holding in problem.holdings
                for lot in holding.lots
            },
            no_buy={},
            liability=self.liability(problem.tax),
        )

    def liability(self, profile: TaxProfile) -> Liability:
        """Return what the gains of a plan come to on top of the year's so far."""
        return above_allowance(profile, _so_far(profile))

    def year(self, profile: TaxProfile, short: Decimal, long: Decimal) -> TaxYear:
        """Return what the year comes to when a plan adds net gains to it."""
        if not profile.taxable:
            return TaxYear(ZERO, ZERO, ZERO)
        net = short + long + _so_far(profile)
        taxed = max(net - (profile.allowance or ZERO), ZERO)
        return TaxYear(taxed * profile.long_rate, max(-net, ZERO), profile.long_rate)

    def carried_on(self, profile: TaxProfile) -> tuple[Decimal, Decimal]:
        """Return the unused losses that the year leaves to the next."""
        return self.year(profile, ZERO, ZERO).carried, ZERO

    def broken_rules(self, problem: AccountProblem, trades: Sequence[Trade]) -> tuple[str, ...]:
        """Return every sale that leaves something of an older lot than it takes."""
        if not problem.tax.taxable:
            return ()
        holdings = {holding.instrument_id: holding for holding in problem.holdings}
        found: list[str] = []
        for trade in trades:
            sold = {sale.lot_id: sale.quantity for sale in trade.lot_sales}
            lots = holdings[trade.instrument_id].lots
            youngest = max((lot.acquired_date for lot in lots if lot.lot_id in sold), default=date.min)
            found += [
                f"lot {lot.lot_id} of {trade.instrument_id} is older than what is sold"
                for lot in lots
                if lot.acquired_date < youngest and sold.get(lot.lot_id, ZERO) < lot.quantity
            ]
        return tuple(sorted(found))
