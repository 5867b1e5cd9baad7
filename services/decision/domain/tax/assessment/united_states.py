"""Federal tax of the United States on a year's gains and losses of an individual's securities.

Sources:
    Lots, wash sales and holding periods: `wash_sales.py`; gifts and inheritances: `settling.py`.
    Netting: 26 U.S.C. § 1222(5) to (11). Losses against income: § 1211(b). Carried losses keep their kind: § 1212(b),
    with the lines of IRS Schedule D's capital loss carryover worksheet.
    Rates: § 1(h), (j) by `us_years.py`; net investment income: § 1411. A state's tax is one rate on the net gain.

The tax of the lines is what gains and dividends add: the tax on the year's income with them, less the tax without them.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction

from services.decision.domain.problem import ZERO
from services.decision.domain.tax.assessment.dividends import assessed_dividends
from services.decision.domain.tax.assessment.history import (
    CostChange,
    Disposal,
    History,
    Owner,
    Reorganization,
    Transfer,
    cents,
    total,
)
from services.decision.domain.tax.assessment.law_table import Years
from services.decision.domain.tax.assessment.results import (
    AssessedDisposal,
    AssessedDividend,
    Assessment,
    AssetsAlike,
    Line,
    Remaining,
    Term,
    check_year,
    review_of,
)
from services.decision.domain.tax.assessment.settling import UNITED_STATES, settled
from services.decision.domain.tax.assessment.us_lots import Lot
from services.decision.domain.tax.assessment.us_years import YEARS, FilingStatus, StatusYear, YearRules
from services.decision.domain.tax.assessment.wash_sales import AssetLots
from services.decision.domain.tax.united_states import carried


@dataclass(frozen=True, slots=True)
class UnitedStatesYear(AssetsAlike):
    """The rules, and what they must know of the taxpayer.

    Attributes:
        filing_status: How the taxpayer files.
        ordinary_income: Taxable income of the year without these gains, deductions taken off, in dollars.
        short_brought_forward: Short-term loss carried into the year, 0 or more.
        long_brought_forward: Long-term loss carried into the year, 0 or more.
        investment_income: Other net investment income (dividends, interest) that is part of `ordinary_income`.
        state_rate: Rate of the state on net gains, 0 to 1.
        years: The law's amounts by year.
    """

    filing_status: FilingStatus = FilingStatus.SINGLE
    ordinary_income: Decimal = ZERO
    short_brought_forward: Decimal = ZERO
    long_brought_forward: Decimal = ZERO
    investment_income: Decimal = ZERO
    state_rate: Decimal = ZERO
    years: Mapping[int, YearRules] = field(default_factory=lambda: YEARS, repr=False)

    @property
    def code(self) -> str:
        """ISO 3166-1 code of the country."""
        return "US"

    def assess(self, history: History, tax_year: int) -> Assessment:
        """Return what the history comes to in the calendar year `tax_year`, in dollars.

        Raises:
            SoldMoreThanHeld: An account sells what it never bought.
            TaxYearUnknown: No amounts of the year are in force.
        """
        check_year("US", tax_year, self.years)
        history = self.settled(history)
        disposals: list[AssessedDisposal] = []
        remaining: list[Remaining] = []
        lost = ZERO
        received: dict[str, list[tuple[date, list[Lot]]]] = defaultdict(list)
        rates = self.marginal_rates(tax_year)
        for group in history.groups_in_order:
            assessed, lots = _walked(history, group, rates, received)
            disposals += assessed
            lost = total((lost, lots.permanently_lost))
            remaining += [
                Remaining(
                    lot.account_id,
                    lot.asset,
                    history.quantity_on(lot.asset, date.max, lot.units),
                    lot.basis,
                    lot_id=lot.purchase_id,
                    acquired_date=lot.acquired_date,
                    held_from_date=lot.held_from_date,
                    may_replace=lots.may_replace(lot),
                )
                for lot in lots.held()
            ]
        disposals.sort(key=lambda each: (each.day, each.asset, each.disposal_ids))
        first, last = date(tax_year, 1, 1), date(tax_year, 12, 31)
        taxed = [row for row in history.dividends if _taxed(history, row.account_id)]
        dividends = assessed_dividends(replace(history, dividends=tuple(taxed)), disposals, remaining)
        of_year = _Dividends.of(each for each in dividends if first <= each.dividend.day <= last)
        return Assessment(
            jurisdiction="US",
            tax_year=tax_year,
            currency="USD",
            first_date=first,
            last_date=last,
            disposals=tuple(disposals),
            remaining=tuple(sorted(remaining, key=lambda each: (each.asset, each.account_id or "", each.lot_id or ""))),
            lines=self._lines([each for each in disposals if first <= each.day <= last], tax_year, of_year),
            permanently_lost=lost,
            review=review_of(history),
            dividends=dividends,
        )

    def settled(self, history: History) -> History:
        """Return the history with nothing but purchases, sales and moves between accounts that are as one."""
        return settled(history, UNITED_STATES)

    def tax_with(self, assessment: Assessment, extra: Sequence[AssessedDisposal]) -> Decimal:
        """Return the tax of the assessed year if the disposals of `extra` had been made in it too."""
        lines = self._lines([*assessment.of_year(), *extra], assessment.tax_year, _of_year(assessment))
        return lines[-1].amount

    def with_years(self, years: Years) -> "UnitedStatesYear":
        """Return the rules with other amounts of law."""
        return replace(self, years=years)

    def after(self, earlier: Assessment) -> "UnitedStatesYear":
        """Return the rules for the next year, with the losses of `earlier` brought forward by their kind."""
        return replace(
            self,
            short_brought_forward=earlier.amount("short_term_carried_forward"),
            long_brought_forward=earlier.amount("long_term_carried_forward"),
        )

    def carried_into(self, history: History, tax_year: int) -> "UnitedStatesYear":
        """Return the rules with the unused losses of the history's earlier years added to those stated.

        Any earlier year carries: netting and the cap (§ 1211(b), 3,000 since 1978) ask for no brackets.
        """
        return self.carried_and_assessed(history, tax_year)[0]

    def carried_and_assessed(self, history: History, tax_year: int) -> tuple["UnitedStatesYear", Assessment]:
        """Return `carried_into`, and what `assess` says by it: of a history that is walked once for all its years."""
        walked = self.assess(history, tax_year)
        disposals = walked.disposals
        short = long = ZERO
        for year in range(min((each.day.year for each in disposals), default=tax_year), tax_year):
            of_year = [each for each in disposals if each.day.year == year]
            net = replace(self, short_brought_forward=short, long_brought_forward=long).net(of_year)
            short, long = carried(*net, self.deducted(*net, year))
        rules = replace(
            self,
            short_brought_forward=self.short_brought_forward + short,
            long_brought_forward=self.long_brought_forward + long,
        )
        return rules, rules.in_year(walked)

    def in_year(self, walked: Assessment) -> Assessment:
        """Return what a history that was walked comes to in the year of its assessment by these rules."""
        return replace(walked, lines=self._lines(list(walked.of_year()), walked.tax_year, _of_year(walked)))

    def brought_forward(self) -> tuple[Line, ...]:
        """Return the losses that are brought forward, each with the name of the line that carries it on."""
        return (
            Line("short_term_carried_forward", self.short_brought_forward, "26 U.S.C. § 1212(b)(1)(A)"),
            Line("long_term_carried_forward", self.long_brought_forward, "26 U.S.C. § 1212(b)(1)(B)"),
        )

    def net(self, of_year: Sequence[AssessedDisposal]) -> tuple[Decimal, Decimal]:
        """Return the year's net short-term and long-term gain, after what is brought forward."""
        pieces = [piece for each in of_year for piece in each.pieces]
        short = total(piece.counted_gain for piece in pieces if piece.term is Term.SHORT) - self.short_brought_forward
        long = total(piece.counted_gain for piece in pieces if piece.term is Term.LONG) - self.long_brought_forward
        return short, long

    def deducted(self, short: Decimal, long: Decimal, tax_year: int) -> Decimal:
        """Return what of a net loss is taken off other income, 0 or more; years before the first have its cap."""
        net, year = short + long, self.years.get(tax_year) or self.years[min(self.years)]
        return min(-net, year[self.filing_status].loss_cap) if net < 0 else ZERO

    def marginal_rates(self, tax_year: int) -> tuple[Decimal, Decimal]:
        """Return what the first dollar of short-term and of long-term gain costs on top of the other income."""
        year = self.years[tax_year][self.filing_status]
        income = max(self.ordinary_income, ZERO)
        over = self.ordinary_income >= year.investment_income_threshold
        others = self.state_rate + (year.investment_income_rate if over else ZERO)
        short = year.ordinary_rates[bisect_right(year.ordinary_tops, income)]
        return short + others, year.long_term_rates[bisect_right(year.long_term_tops, income)] + others

    def _lines(self, of_year: list[AssessedDisposal], tax_year: int, dividends: "_Dividends") -> tuple[Line, ...]:
        pieces = [piece for each in of_year for piece in each.pieces]
        disallowed = total(piece.disallowed_loss for piece in pieces)
        short, long = self.net(of_year)
        net = short + long
        deducted, year = self.deducted(short, long, tax_year), self.years[tax_year][self.filing_status]
        short_forward, long_forward = carried(short, long, deducted)
        federal = self._federal(short, long, deducted, year, dividends)
        counted = (net if net > 0 else -deducted) + dividends.ordinary + dividends.qualified
        investment = self._investment_income_tax(counted, year)
        state = cents(Fraction(counted) * Fraction(self.state_rate))
        return (
            Line("wash_sales_disallowed", disallowed, "26 U.S.C. § 1091(a)"),
            Line("net_short_term", short, "26 U.S.C. § 1222(5), (6)"),
            Line("net_long_term", long, "26 U.S.C. § 1222(7), (8)"),
            Line("net_gain", net, "26 U.S.C. § 1222(9) to (11)"),
            Line("loss_deducted", deducted, "26 U.S.C. § 1211(b)"),
            Line("short_term_carried_forward", short_forward, "26 U.S.C. § 1212(b)(1)(A)"),
            Line("long_term_carried_forward", long_forward, "26 U.S.C. § 1212(b)(1)(B)"),
            Line("ordinary_dividends", dividends.ordinary, "26 U.S.C. § 61(a)(7)"),
            Line("qualified_dividends", dividends.qualified, "26 U.S.C. § 1(h)(11)"),
            Line("income_tax", federal, "26 U.S.C. § 1(h), (j)"),
            Line("net_investment_income_tax", investment, "26 U.S.C. § 1411"),
            Line("state_tax", state, "the state's income tax"),
            Line("tax", total((federal, investment, state)), "26 U.S.C. § 1(h), (j), § 1411"),
        )

    def _federal(
        self, short: Decimal, long: Decimal, deducted: Decimal, year: StatusYear, dividends: "_Dividends"
    ) -> Decimal:
        """Return what gains and dividends add to the income tax; below 0 when the loss saves tax.

        § 1(h)(11)(A): qualified dividends join the net capital gain, and no loss is taken off them.
        """
        net_capital_gain = max(min(long, short + long), ZERO)
        ordinary = self.ordinary_income + max(short + long - net_capital_gain, ZERO) - deducted + dividends.ordinary
        with_gains = income_tax(ordinary, net_capital_gain + dividends.qualified, year)
        return cents(with_gains - income_tax(self.ordinary_income, ZERO, year))

    def _investment_income_tax(self, counted: Decimal, year: StatusYear) -> Decimal:
        """Return what `counted`, of gains and dividends, adds to the tax on net investment income."""
        threshold = year.investment_income_threshold

        def tax(investment: Decimal, income: Decimal) -> Fraction:
            return Fraction(max(min(investment, income - threshold), ZERO)) * Fraction(year.investment_income_rate)

        without = tax(self.investment_income, self.ordinary_income)
        return cents(tax(self.investment_income + counted, self.ordinary_income + counted) - without)


@dataclass(frozen=True, slots=True)
class _Dividends:
    """A year's dividends: those taxed as income, and those taxed like long-term gains."""

    ordinary: Decimal
    qualified: Decimal

    @classmethod
    def of(cls, dividends: Iterable[AssessedDividend]) -> "_Dividends":
        rows = list(dividends)
        qualified = total(each.qualified for each in rows)
        return cls(total((*(each.dividend.amount for each in rows), qualified.copy_negate())), qualified)


def _of_year(assessment: Assessment) -> _Dividends:
    first, last = assessment.first_date, assessment.last_date
    return _Dividends.of(each for each in assessment.dividends if first <= each.dividend.day <= last)


def income_tax(ordinary: Decimal, net_capital_gain: Decimal, year: StatusYear) -> Fraction:
    """Return the tax on `ordinary` taxable income with `net_capital_gain` on top of it, both in dollars.

    26 U.S.C. § 1(h)(1): the gain fills the brackets above ordinary income, at 0, 15 and 20 %. A negative ordinary
    income takes off the gain.
    """
    taxable_gain = max(net_capital_gain + min(ordinary, ZERO), ZERO)
    base = max(ordinary, ZERO)
    tax = _through(ZERO, base, year.ordinary_tops, year.ordinary_rates)
    return tax + _through(base, base + taxable_gain, year.long_term_tops, year.long_term_rates)


def _through(start: Decimal, end: Decimal, tops: tuple[Decimal, ...], rates: tuple[Decimal, ...]) -> Fraction:
    """Return the tax on income from `start` to `end` through brackets that end at `tops`."""
    tax = Fraction(0)
    bottom = ZERO
    for top, rate in zip((*tops, None), rates, strict=True):
        upper = end if top is None else min(end, top)
        tax += Fraction(max(upper - max(start, bottom), ZERO)) * Fraction(rate)
        bottom = bottom if top is None else top
    return tax


def _walked(
    history: History,
    group: tuple[str, ...],
    rates: tuple[Decimal, Decimal],
    received: dict[str, list[tuple[date, list[Lot]]]],
) -> tuple[list[AssessedDisposal], AssetLots]:
    """Walk the days of a group of identical assets; what they become is put into `received` for later groups."""
    lots = AssetLots(history, group, rates)
    days = _days(history, group)
    for asset in group:
        for day, made in received.pop(asset, ()):
            days[day].received += made
    assessed: list[AssessedDisposal] = []
    for day in sorted(days):
        of_day = days[day]
        lots.receive(of_day.received)
        for reorganization in sorted(of_day.reorganizations, key=lambda each: each.asset):
            made, gains = lots.reorganize(reorganization)
            assessed += [gain for account_id, gain in gains if _taxed(history, account_id)]
            if reorganization.new_asset in group:
                lots.receive(made)
            else:
                received[reorganization.new_asset].append((day, made))
        for transfer in sorted(of_day.transfers, key=lambda each: each.transfer_id):
            lots.transfer(transfer)
        for change in sorted(of_day.changes, key=lambda each: (each.account_id, each.asset, each.amount)):
            returned = lots.change_cost(change.account_id, change.asset, day, change.amount)
            assessed += returned if _taxed(history, change.account_id) else []
        pieces = lots.sell(of_day.sales)
        for sale in of_day.sales:
            if _taxed(history, sale.account_id):
                ids, of_sale = (sale.disposal_id,), pieces[sale.disposal_id]
                proceeds = total(piece.proceeds for piece in of_sale)
                assessed.append(AssessedDisposal(ids, day, sale.asset, sale.quantity, proceeds, of_sale))
    return assessed, lots


def _taxed(history: History, account_id: str) -> bool:
    account = history.account[account_id]
    return account.owner is Owner.TAXPAYER and not account.sheltered


def _days(history: History, group: tuple[str, ...]) -> "dict[date, _Day]":
    days: dict[date, _Day] = defaultdict(_Day)
    for change in history.cost_changes:
        if change.asset in group:
            days[change.day].changes.append(change)
    for reorganization in history.reorganizations:
        if reorganization.asset in group:
            days[reorganization.day].reorganizations.append(reorganization)
    for transfer in history.transfers:
        if transfer.asset in group:
            days[transfer.day].transfers.append(transfer)
    for disposal in history.disposals:
        if disposal.asset in group:
            days[disposal.day].sales.append(disposal)
    return days


@dataclass(slots=True)
class _Day:
    """What happens on one day, in the order in which it counts."""

    received: list[Lot] = field(default_factory=list)
    reorganizations: list[Reorganization] = field(default_factory=list)
    transfers: list[Transfer] = field(default_factory=list)
    changes: list[CostChange] = field(default_factory=list)
    sales: list[Disposal] = field(default_factory=list)
