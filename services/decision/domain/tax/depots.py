"""Germany, as far as choosing trades needs it: the oldest units of a depot go first, and no loss is denied.

Sources:
    EStG § 20 Abs. 4 Satz 7 (first in, first out in each depot), § 32d Abs. 1 (one rate), § 20 Abs. 6 (loss pots): a
    loss on shares meets gains on shares only (Satz 4), any other loss meets everything (Satz 2), and § 20 Abs. 9: the
    allowance comes last.
    InvStG § 20 Abs. 1 to 3, § 21: of gains and of losses on funds a part does not count, by the kind of fund.

Our readings: the rate is the policy's long-term rate, with solidarity surcharge and church tax in it, and before
partial exemption: that follows from what each fund is (`asset_kinds`), as in the assessment. Of the saver's allowance a
plan uses the part that the policy gives the account (an exemption order, EStG § 44a Abs. 2), none where it says
nothing; losses of earlier years meet gains before it does. A carried loss is worth the rate, one on shares too: later
gains on shares meet it. An instrument of which nobody said what it is counts as no share and no fund. The rule against
abuse (AO § 42) bars no purchase: the courts let a loss stand when the same shares are bought again at the market's
price (BFH IX R 60/07).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from services.decision.domain.asset_kinds import exempt_part
from services.decision.domain.decision import Character, Trade
from services.decision.domain.problem import ONE, ZERO, AccountProblem, Holding, LotMethod, LotState, TaxProfile
from services.decision.domain.tax.jurisdiction import LotTax, PolicysRates, TaxView, TaxYear
from services.decision.domain.tax.liability import NOTHING_OWED, Hinge, Liability, Piece, liability_of

SOURCE = "EStG § 20 Abs. 2, 4"
FUND_SOURCE = "EStG § 20 Abs. 2, 4; InvStG § 20, § 21"
SHARE_SOURCE = "EStG § 20 Abs. 2 Satz 1 Nr. 1, Abs. 4, Abs. 6 Satz 4"


def _so_far(profile: TaxProfile) -> tuple[Decimal, Decimal]:
    """Return the net gain of the year so far on shares and on all else, carried losses of each taken off."""
    return profile.realized_short - profile.carried_short, profile.realized_long - profile.carried_long


@dataclass(frozen=True, slots=True)
class GermanyPlanning(PolicysRates):
    """The jurisdiction `DE`."""

    # Unternehmensteuerreformgesetz 2008: the present tax holds since 2009.
    first_year: int = 2009
    last_year: int = 2026
    terms: bool = False
    pots: bool = True
    lot_method: LotMethod | None = LotMethod.FIRST_IN_FIRST_OUT
    netting_source: str = "EStG § 20 Abs. 6, Abs. 9"
    locked_days: int = 0
    locked_source: str = "BFH IX R 60/07"

    def tax_year(self, day: date) -> int:
        """Return the calendar year."""
        return day.year

    def year_of_trades(self, day: date) -> int:
        """Return the tax year of the day."""
        return self.tax_year(day)

    def costed(self, lots: Sequence[LotState]) -> tuple[LotState, ...]:
        """Return the lots as they are: each has its own cost."""
        return tuple(lots)

    def exempt_part(self, holding: Holding) -> Decimal:
        """Return what of a fund's gains and losses is exempt, by its kind."""
        return exempt_part(holding.asset_kind)

    def view(self, problem: AccountProblem) -> TaxView:
        """Return the rate of the account's lots; nothing is forbidden."""
        return TaxView(
            lots={lot.lot_id: _lot_tax(problem, holding, lot) for holding in problem.holdings for lot in holding.lots},
            no_buy={},
            liability=self.liability(problem.tax),
        )

    def liability(self, profile: TaxProfile) -> Liability:
        """Return what the gains of a plan come to on top of the year's so far.

        With x the net gain on shares, y that on all else and A the allowance, both with carried losses taken off, the
        tax is rate · max(max(x, 0) + y − A, 0); x below nothing is carried on as losses on shares, max(x, 0) + y below
        nothing as other losses, and both are worth the rate. With u = max(x, 0) + y and min(x, 0) = x − max(x, 0),

            liability / rate = max(u − A, 0) + min(u, 0) + min(x, 0) = min(u, max(u − A, 0)) + min(x, 0)
                             = min(x + y,  x + max(y − A, 0),  max(x + y − A, 0)),

        because u + min(x, 0) = x + y and max(u − A, 0) + min(x, 0) = max(x + y − A, min(x, 0)).
        """
        if not profile.taxable:
            return NOTHING_OWED
        rate, free = profile.long_rate, profile.allowance or ZERO
        pieces = (
            Piece(rate, rate),
            Piece(rate, ZERO, (Hinge(rate, ZERO, ONE, free),)),
            Piece(ZERO, ZERO, (Hinge(rate, ONE, ONE, free),)),
        )
        # Without an allowance the first is nowhere above the others; without a rate they are all nothing.
        return liability_of(pieces if free and rate else pieces[:1], *_so_far(profile))

    def year(self, profile: TaxProfile, short: Decimal, long: Decimal) -> TaxYear:
        """Return what the year comes to when a plan adds net gains to it."""
        if not profile.taxable:
            return TaxYear(ZERO, ZERO, ZERO)
        shares, others = _so_far(profile)
        shares, others = shares + short, others + long
        net = max(shares, ZERO) + others
        taxed = max(net - (profile.allowance or ZERO), ZERO)
        return TaxYear(taxed * profile.long_rate, max(-shares, ZERO) + max(-net, ZERO), profile.long_rate)

    def carried_on(self, profile: TaxProfile) -> tuple[Decimal, Decimal]:
        """Return the unused losses that the year leaves to the next: on shares, and all others."""
        if not profile.taxable:
            return ZERO, ZERO
        shares, others = _so_far(profile)
        return max(-shares, ZERO), max(-max(shares, ZERO) - others, ZERO)

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


def _lot_tax(problem: AccountProblem, holding: Holding, lot: LotState) -> LotTax:
    gain_per_unit = holding.price - lot.basis_total / lot.quantity
    if not problem.tax.taxable:
        return LotTax(Character.EXEMPT, gain_per_unit, ZERO)
    if holding.share:
        return LotTax(Character.SHARE, gain_per_unit, problem.tax.long_rate, source=SHARE_SOURCE)
    exempt = exempt_part(holding.asset_kind)
    source, counted = FUND_SOURCE if exempt else SOURCE, gain_per_unit * (ONE - exempt)
    return LotTax(Character.ANY, counted, problem.tax.long_rate, source=source, exempt=exempt)
