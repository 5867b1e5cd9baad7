"""The United Kingdom and Canada, as far as choosing trades needs them: no lots, only what a unit costs on average.

Sources:
    United Kingdom: TCGA 1992 s. 104 (the pool), s. 105(1)(b) (what was bought the same day goes first), s. 106A(5) (a
    purchase within 30 days after a sale is what was sold, so that a loss comes to nothing).
    Canada: Income Tax Act s. 47(1) (average cost), s. 54 "superficial loss" and s. 40(2)(g)(i): 30 days before to 30
    days after.

Our readings: the rate is the policy's long-term rate, on the whole gain (in Canada half the marginal rate of income, as
half of a gain is taxable). Where a policy tells a British taxpayer's income, the rates are the law's (TCGA s. 1H, s.
1I): the basic one up to what the income leaves of the basic rate band. Of the annual exempt amount (TCGA 1992 s. 1K) a
plan uses the part that the policy gives the account, none where it says nothing; losses of earlier years are kept for
gains above it. A carried loss is worth the rate, the lower of the two where there are two. In Canada a loss is barred
as soon as anything of it would be denied, though only the least-of part is. Pools over several accounts are counted
account by account.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from services.decision.domain.decision import Character, Trade
from services.decision.domain.problem import ONE, ZERO, AccountProblem, Holding, LotMethod, LotState, TaxProfile
from services.decision.domain.tax.assessment import uk_years
from services.decision.domain.tax.canadian_settlement import settlement_year
from services.decision.domain.tax.jurisdiction import (
    Bracket,
    GainsCount,
    LotTax,
    PolicysRates,
    Taxpayer,
    TaxView,
    TaxYear,
)
from services.decision.domain.tax.liability import NOTHING_OWED, Curve, Liability, liability_of
from services.decision.domain.tax.pooling import pooled
from services.decision.domain.tax.windows import at_loss, bars_on_buying, denied_losses, purchases


@dataclass(frozen=True, slots=True)
class UnitedKingdomPlanning(GainsCount):
    """The jurisdiction `GB`."""

    # Finance Act 2008 schedule 2: the present pool, without indexation or taper.
    first_year: int = 2008
    last_year: int = 2026
    terms: bool = False
    pots: bool = False
    lot_method: LotMethod | None = None
    netting_source: str = "TCGA 1992 s. 1(3), s. 1K"
    locked_days: int = 31
    locked_source: str = "TCGA 1992 s. 106A(5)"

    def tax_year(self, day: date) -> int:
        """Return the year in which the tax year of a day begins, on 6 April."""
        return day.year if day >= date(day.year, 4, 6) else day.year - 1

    def year_of_trades(self, day: date) -> int:
        """Return the tax year of the day."""
        return self.tax_year(day)

    def costed(self, lots: Sequence[LotState]) -> tuple[LotState, ...]:
        """Return the lots, each unit at the average cost."""
        return pooled(lots)

    def view(self, problem: AccountProblem) -> TaxView:
        """Return the rate of the account's lots, and what may not be bought within 30 days of a loss."""
        return TaxView(
            lots={
                lot.lot_id: _lot_tax(
                    problem, holding, lot, _sold_first(problem, holding, lot), "TCGA 1992 s. 104, s. 105(1)(b)"
                )
                for holding in problem.holdings
                for lot in holding.lots
            },
            no_buy=bars_on_buying(problem, "30-day rule") if problem.tax.taxable else {},
            liability=self.liability(problem.tax),
        )

    @property
    def by_income(self) -> bool:
        """Gains lie on top of income: TCGA 1992 s. 1I."""
        return True

    def bracket(self, day: date, taxpayer: Taxpayer, amounts: Mapping[int, Mapping[str, Decimal]]) -> Bracket | None:
        """Return the rates of the day, and what the income leaves of the basic rate band."""
        year = self.tax_year(day)
        rules = uk_years.TABLE.year(amounts[year]) if year in amounts else uk_years.YEARS.get(year)
        if rules is None:
            return None
        rates = [each for each in rules.rates if each.from_date <= day][-1]
        return Bracket(rates.basic, max(rules.basic_rate_band - taxpayer.income, ZERO), rates.higher)

    def liability(self, profile: TaxProfile) -> Liability:
        """Return what the gains of a plan come to on top of the year's so far.

        Losses of earlier years meet what is above the exempt amount (s. 1K(5)), and what is left costs the lower rate
        while it is within the band: so a gain costs the lower rate from the exempt amount on up to the end of both.
        """
        if not profile.taxable or not profile.lower_room:
            return above_allowance(profile, profile.realized_short + profile.realized_long)
        free, carried = profile.allowance or ZERO, profile.carried_short + profile.carried_long
        lower, higher = _worth(profile), profile.long_rate
        edge = free + carried + profile.lower_room
        curve = Curve((lower, ZERO, lower, higher), (ZERO, free, edge)) if free else Curve((lower, higher), (edge,))
        return liability_of(curve.convex(ONE, ONE), ZERO, profile.realized_short + profile.realized_long)

    def year(self, profile: TaxProfile, short: Decimal, long: Decimal) -> TaxYear:
        """Return what the year comes to when a plan adds net gains to it."""
        if not profile.taxable:
            return TaxYear(ZERO, ZERO, ZERO)
        net = short + long + profile.realized_short + profile.realized_long
        carried, free = profile.carried_short + profile.carried_long, profile.allowance or ZERO
        worth = _worth(profile)
        if net <= free:
            return TaxYear(ZERO, carried + max(-net, ZERO), worth)
        used = min(carried, net - free)
        taxed = net - free - used
        lower = min(taxed, profile.lower_room)
        return TaxYear(lower * worth + (taxed - lower) * profile.long_rate, carried - used, worth)

    def carried_on(self, profile: TaxProfile) -> tuple[Decimal, Decimal]:
        """Return the unused losses that the year leaves to the next."""
        return self.year(profile, ZERO, ZERO).carried, ZERO

    def broken_rules(self, problem: AccountProblem, trades: Sequence[Trade]) -> tuple[str, ...]:
        """Return every purchase that would be matched with a loss, of this plan or of the last 30 days."""
        return denied_losses(problem, trades, looks_back=False) if problem.tax.taxable else ()


@dataclass(frozen=True, slots=True)
class CanadaPlanning(GainsCount, PolicysRates):
    """The jurisdiction `CA`."""

    # ITA s. 38(a): half of a gain since 18 October 2000.
    first_year: int = 2001
    last_year: int = 2026
    terms: bool = False
    pots: bool = False
    lot_method: LotMethod | None = None
    netting_source: str = "ITA s. 3(b), s. 38, s. 111(1)(b)"
    locked_days: int = 31
    locked_source: str = "ITA s. 54"

    def tax_year(self, day: date) -> int:
        """Return the calendar year."""
        return day.year

    def year_of_trades(self, day: date) -> int:
        """Return the calendar year in which they settle: CRA document 2012-0468931C6."""
        return settlement_year(day)

    def costed(self, lots: Sequence[LotState]) -> tuple[LotState, ...]:
        """Return the lots, each unit at the average cost."""
        return pooled(lots)

    def view(self, problem: AccountProblem) -> TaxView:
        """Return the rate of the account's lots, and what superficial losses forbid."""
        recent = purchases(problem)

        def no_sell(holding: Holding, lot: LotState) -> str | None:
            days = [each.day for each in recent.get(holding.identity, ())]
            return f"superficial loss: bought on {max(days)}" if days and at_loss(holding, lot) else None

        return TaxView(
            lots={
                lot.lot_id: _lot_tax(problem, holding, lot, no_sell(holding, lot), "ITA s. 47(1), s. 54")
                for holding in problem.holdings
                for lot in holding.lots
            },
            no_buy=bars_on_buying(problem, "superficial loss") if problem.tax.taxable else {},
            liability=self.liability(problem.tax),
        )

    def liability(self, profile: TaxProfile) -> Liability:
        """Return what the gains of a plan come to on top of the year's so far: the rate, of gains and of losses.

        ITA s. 38 counts the same part of both, and s. 111(1)(b) lets a loss meet the gains of any later year.
        """
        return above_allowance(replace(profile, allowance=None), ZERO)

    def year(self, profile: TaxProfile, short: Decimal, long: Decimal) -> TaxYear:
        """Return what the year comes to when a plan adds net gains to it."""
        if not profile.taxable:
            return TaxYear(ZERO, ZERO, ZERO)
        net = short + long + profile.realized_short + profile.realized_long
        net -= profile.carried_short + profile.carried_long
        return TaxYear(max(net, ZERO) * profile.long_rate, max(-net, ZERO), profile.long_rate)

    def carried_on(self, profile: TaxProfile) -> tuple[Decimal, Decimal]:
        """Return the unused losses that the year leaves to the next."""
        return self.year(profile, ZERO, ZERO).carried, ZERO

    def broken_rules(self, problem: AccountProblem, trades: Sequence[Trade]) -> tuple[str, ...]:
        """Return every purchase that would deny a loss, of this plan or of the last 30 days, and the reverse."""
        if not problem.tax.taxable:
            return ()
        recent = purchases(problem)
        holdings = {holding.instrument_id: holding for holding in problem.holdings}
        found: list[str] = []
        for trade in trades:
            holding = holdings[trade.instrument_id]
            days = [each.day for each in recent.get(holding.identity, ())]
            sold = {sale.lot_id for sale in trade.lot_sales}
            if days and any(at_loss(holding, lot) for lot in holding.lots if lot.lot_id in sold):
                found.append(f"{trade.instrument_id} is sold at a loss, and was bought on {max(days)}")
        return tuple(sorted({*found, *denied_losses(problem, trades, looks_back=False)}))


def _worth(profile: TaxProfile) -> Decimal:
    """Return the rate of the first taxed gain of a British year, which is what a carried loss is worth."""
    return min(profile.lower_rate, profile.long_rate) if profile.lower_room else profile.long_rate


def above_allowance(profile: TaxProfile, so_far: Decimal) -> Liability:
    """Return the liability of gains of which the first are free: the rate below nothing, and above the allowance.

    Args:
        profile: Whose allowance it is, none where it has none.
        so_far: Net gain of the year so far, as far as the allowance meets it.
    """
    if not profile.taxable:
        return NOTHING_OWED
    rate, free = profile.long_rate, profile.allowance or ZERO
    curve = Curve((rate, ZERO, rate), (ZERO, free)) if free else Curve((rate,))
    return liability_of(curve.convex(ONE, ONE), ZERO, so_far)


def _lot_tax(problem: AccountProblem, holding: Holding, lot: LotState, no_sell: str | None, source: str) -> LotTax:
    gain_per_unit = holding.price - lot.basis_total / lot.quantity
    if not problem.tax.taxable:
        return LotTax(Character.EXEMPT, gain_per_unit, ZERO)
    return LotTax(Character.POOLED, gain_per_unit, problem.tax.long_rate, no_sell, source)


def _sold_first(problem: AccountProblem, holding: Holding, lot: LotState) -> str | None:
    """Return why a lot may not be sold today: what was bought today is sold first."""
    today = problem.as_of_date
    if lot.acquired_date != today and any(each.acquired_date == today for each in holding.lots):
        return "same-day rule: what was bought today is sold first"
    return None
