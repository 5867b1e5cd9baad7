"""Federal tax of the United States on securities held by individuals, as far as choosing trades needs it.

Sources:
    Holding period: 26 U.S.C. § 1222 (more than one year) and Rev. Rul. 66-7 (it begins the day after acquisition
    and is counted in calendar months).
    Wash sales: 26 U.S.C. § 1091(a), Treas. Reg. 1.1091-1(a): 30 days before to 30 days after; Rev. Rul. 56-602
    (shares of the same purchase that are kept are no replacement of those sold).
    Netting: 26 U.S.C. § 1222(5) to (11): short against short, long against long, then the two nets.
    Losses: § 1211(b), up to 3,000 a year are taken off other income; § 1212(b), the rest is carried into later years.
    Brackets, where a policy tells the taxpayer's income and filing status: `us_brackets.py`.

Our readings: without brackets other income is taxed at the short-term rate. A carried loss is worth the lower of the
two rates, because it meets later gains of either kind. An account whose policy does not say which part of the 3,000 it
may use takes all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from services.decision.domain.brackets import Brackets, Scale
from services.decision.domain.decision import Character, Trade
from services.decision.domain.problem import ONE, ZERO, AccountProblem, Holding, LotMethod, LotState, TaxProfile
from services.decision.domain.tax import us_brackets
from services.decision.domain.tax.assessment import us_years
from services.decision.domain.tax.jurisdiction import Bracket, GainsCount, LotTax, Taxpayer, TaxView, TaxYear
from services.decision.domain.tax.liability import NOTHING_OWED, Curve, Liability, added, liability_of
from services.decision.domain.tax.windows import Purchase, at_loss, bars_on_buying, denied_losses, others, purchases

# 26 U.S.C. § 1211(b)(1), in dollars a year, since 1978; half of it for the married who file separately.
LOSS_CAP = Decimal(3000)
WASH_SALE_SOURCE = "26 U.S.C. § 1091(a)"
SHORT_SOURCE = "26 U.S.C. § 1222(1), (2)"
LONG_SOURCE = "26 U.S.C. § 1222(3), (4)"


def long_term_from(acquired_date: date) -> date:
    """Return the first day on which a sale is long-term.

    The holding period begins the day after acquisition, and a year later it has lasted one year; what is sold on
    that day is held for more than one. A purchase on the last day of a month is so long-term from the first of the
    thirteenth month after it, as Rev. Rul. 66-7 says, and one on 28 February of a leap year from 1 March.
    """
    begin = acquired_date + timedelta(days=1)
    if (begin.month, begin.day) == (2, 29):
        return date(begin.year + 1, 3, 1)
    return begin.replace(year=begin.year + 1)


def marginal_rates(profile: TaxProfile) -> tuple[Decimal, Decimal]:
    """Return what one more unit of short-term and of long-term gain costs, after the year so far and carried losses.

    While the year nets to a loss, a gain only uses up a loss that would be carried into later years; that is valued
    at the lower rate, because carried losses meet later gains of either kind.
    """
    short, long = profile.realized_short - profile.carried_short, profile.realized_long - profile.carried_long
    if short >= 0 and long >= 0:
        return profile.short_rate, profile.long_rate
    if short + long <= 0:
        lower = min(profile.short_rate, profile.long_rate)
        return lower, lower
    rate = profile.long_rate if short < 0 else profile.short_rate
    return rate, rate


def _so_far(profile: TaxProfile) -> tuple[Decimal, Decimal]:
    """Return the year's net short-term and long-term gain so far, carried losses taken off."""
    return profile.realized_short - profile.carried_short, profile.realized_long - profile.carried_long


def _loss_cap(profile: TaxProfile) -> Decimal:
    """Return the most loss that other income meets in the year."""
    if profile.allowance is not None:
        return profile.allowance
    return LOSS_CAP if profile.brackets is None else profile.brackets.loss_cap


def carried(short: Decimal, long: Decimal, deducted: Decimal) -> tuple[Decimal, Decimal]:
    """Return the short-term and the long-term loss that go on to the next year, each 0 or more.

    26 U.S.C. § 1212(b): what was deducted is taken off the short-term loss first, and a gain of one kind off the loss
    of the other.
    """
    if short + long >= 0:
        return ZERO, ZERO
    short_loss = max(-short - max(long, ZERO), ZERO)
    long_loss = max(-long - max(short, ZERO), ZERO)
    from_short = min(deducted, short_loss)
    return short_loss - from_short, long_loss - (deducted - from_short)


@dataclass(frozen=True, slots=True)
class UnitedStates(GainsCount):
    """The jurisdiction `US`."""

    # Wash sales as they are since 1988 (Pub. L. 100-647), for which years the rest is older.
    first_year: int = 1989
    last_year: int = 2026
    terms: bool = True
    pots: bool = False
    lot_method: LotMethod | None = None
    netting_source: str = "26 U.S.C. § 1222, § 1211(b), § 1212(b)"
    locked_days: int = 31
    locked_source: str = WASH_SALE_SOURCE

    def tax_year(self, day: date) -> int:
        """Return the calendar year."""
        return day.year

    def year_of_trades(self, day: date) -> int:
        """Return the tax year of the day."""
        return self.tax_year(day)

    def costed(self, lots: Sequence[LotState]) -> tuple[LotState, ...]:
        """Return the lots as they are: each has its own cost."""
        return tuple(lots)

    def view(self, problem: AccountProblem) -> TaxView:
        """Return character, marginal rate and wash-sale bars for the account's lots and instruments."""
        liability, recent = self.liability(problem.tax), purchases(problem)
        on_top = problem.tax.taxable and problem.tax.brackets is not None
        rates = liability.marginal(ZERO, ZERO) if on_top else marginal_rates(problem.tax)
        return TaxView(
            lots={
                lot.lot_id: _lot_tax(problem, holding, lot, rates, recent.get(holding.identity, ()))
                for holding in problem.holdings
                for lot in holding.lots
            },
            no_buy=bars_on_buying(problem, "wash sale") if problem.tax.taxable else {},
            liability=liability,
        )

    @property
    def by_income(self) -> bool:
        """Gains lie on top of income: 26 U.S.C. § 1(h)(1)."""
        return True

    def bracket(self, day: date, taxpayer: Taxpayer, amounts: Mapping[int, Mapping[str, Decimal]]) -> Bracket | None:
        """Return the brackets of the year and status on top of the income; None where no status is told."""
        year, status = self.tax_year(day), taxpayer.filing_status
        rules = us_years.TABLE.year(amounts[year]) if year in amounts else us_years.YEARS.get(year)
        if rules is None or status is None:
            return None
        of = rules[status]
        brackets = Brackets(
            income=taxpayer.income,
            ordinary=Scale(of.ordinary_tops, of.ordinary_rates),
            long_term=Scale(of.long_term_tops, of.long_term_rates),
            investment_rate=of.investment_income_rate,
            investment_threshold=of.investment_income_threshold,
            state_rate=taxpayer.state_rate,
            loss_cap=of.loss_cap,
        )
        return Bracket(ZERO, ZERO, min(brackets.rates[1], ONE), min(brackets.rates[0], ONE), brackets)

    def liability(self, profile: TaxProfile) -> Liability:
        """Return what the gains of a plan come to on top of the year's so far.

        With x and y the net short-term and long-term gain, and the short-term rate the higher: while y is a gain, x
        costs the difference of the rates where it is a gain too, and x + y the lower rate. While y is a loss, or both
        together are, only x + y counts: what is left of a gain is short-term. The lesser of the two is the law.
        """
        if not profile.taxable:
            return NOTHING_OWED
        if profile.brackets is not None:
            return liability_of(us_brackets.pieces(profile.brackets, _loss_cap(profile)), *_so_far(profile))
        lower, higher = sorted((profile.short_rate, profile.long_rate))
        dearer = Curve((ZERO, higher - lower), (ZERO,))
        both_gain = dearer.convex(*((ONE, ZERO) if profile.short_rate >= profile.long_rate else (ZERO, ONE)))
        netted = Curve((lower, profile.short_rate, higher), (-_loss_cap(profile), ZERO))
        pieces = (*added(both_gain, Curve((lower,)).convex(ONE, ONE)), *netted.convex(ONE, ONE))
        return liability_of(pieces, *_so_far(profile))

    def year(self, profile: TaxProfile, short: Decimal, long: Decimal) -> TaxYear:
        """Return what the year comes to when a plan adds net gains to it."""
        worth = min(profile.short_rate, profile.long_rate)
        if not profile.taxable:
            return TaxYear(ZERO, ZERO, ZERO)
        so_far = _so_far(profile)
        short, long = short + so_far[0], long + so_far[1]
        net = short + long
        if profile.brackets is not None:
            cap = _loss_cap(profile)
            tax = us_brackets.owed(profile.brackets, short, long, cap)
            return TaxYear(tax, max(-net - cap, ZERO), us_brackets.worth(profile.brackets))
        if net < 0:
            deducted = min(-net, _loss_cap(profile))
            return TaxYear(-deducted * profile.short_rate, -net - deducted, worth)
        if short < 0:
            return TaxYear(net * profile.long_rate, ZERO, worth)
        if long < 0:
            return TaxYear(net * profile.short_rate, ZERO, worth)
        return TaxYear(short * profile.short_rate + long * profile.long_rate, ZERO, worth)

    def carried_on(self, profile: TaxProfile) -> tuple[Decimal, Decimal]:
        """Return the unused losses that the year leaves to the next, each of its kind."""
        if not profile.taxable:
            return ZERO, ZERO
        short, long = _so_far(profile)
        return carried(short, long, min(max(-short - long, ZERO), _loss_cap(profile)))

    def broken_rules(self, problem: AccountProblem, trades: Sequence[Trade]) -> tuple[str, ...]:
        """Return every purchase that would disallow a loss, of this plan or of the last 30 days, and the reverse."""
        return denied_losses(problem, trades, looks_back=True) if problem.tax.taxable else ()


def _lot_tax(
    problem: AccountProblem,
    holding: Holding,
    lot: LotState,
    rates: tuple[Decimal, Decimal],
    recent: Sequence[Purchase],
) -> LotTax:
    gain_per_unit = holding.price - lot.basis_total / lot.quantity
    if not problem.tax.taxable:
        return LotTax(Character.EXEMPT, gain_per_unit, ZERO)
    short_rate, long_rate = rates
    long_from = long_term_from(lot.acquired_date)
    held_long = problem.as_of_date >= long_from
    again = others(recent, holding, lot.acquired_date, lot.lot_id) if at_loss(holding, lot) else []
    return LotTax(
        character=Character.LONG if held_long else Character.SHORT,
        gain_per_unit=gain_per_unit,
        rate=long_rate if held_long else short_rate,
        no_sell=f"wash sale: bought again on {max(again)}" if again else None,
        source=WASH_SALE_SOURCE if again else LONG_SOURCE if held_long else SHORT_SOURCE,
        long_from=None if held_long else long_from,
    )
