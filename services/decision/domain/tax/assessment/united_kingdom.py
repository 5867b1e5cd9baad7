"""Capital gains tax of the United Kingdom on shares and fund units held by individuals.

Sources:
    Matching: Taxation of Chargeable Gains Act 1992 s. 105(1) (all of one day is one transaction; same day first),
    s. 106A(5), (5ZA) (then the 30 days after, earliest purchase first), s. 104 (then the pool). HMRC Capital Gains
    Manual CG51555, CG51560.
    Exempt amount and losses: TCGA s. 1K (losses of earlier years are used only down to the exempt amount; losses of the
    year itself in full), s. 1H, 1I (rates; a gain uses the basic-rate band that income left).
    Accounts that are sheltered (ISA, SIPP) stand outside: reg. 34 of the ISA Regulations 1998 keeps their units apart,
    so that a purchase there is no match for a sale outside.
    Mergers and spin-offs: TCGA s. 127, s. 130, s. 136: the new holding stands in the place of the old, and what the old
    had cost is shared between them.

Our reading: a sale of more than is held is refused, although s. 105(2) would match it with purchases after the 30 days;
such a history is a broken one. Exempt amount and losses meet the gains of the highest rate first, as s. 1E(5) lets the
taxpayer choose.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TypeAlias

from services.decision.domain.problem import ZERO
from services.decision.domain.tax.assessment.history import Disposal, History, Owner, cents, fraction_of, part, total
from services.decision.domain.tax.assessment.results import (
    AssessedDisposal,
    Assessment,
    Line,
    MatchRule,
    Piece,
    Remaining,
    SoldMoreThanHeld,
    TaxYearUnknown,
    returned_capital,
    review_of,
)
from services.kernel.errors import FieldViolation

# TCGA 1992 s. 106A(5): "within the period of thirty days after the disposal"; day 30 is inside.
MATCHED_AFTER = timedelta(days=30)

SAME_DAY_SOURCE = "TCGA 1992 s. 105(1)(b)"
THIRTY_DAYS_SOURCE = "TCGA 1992 s. 106A(5)"
POOL_SOURCE = "TCGA 1992 s. 104"
RETURNED_SOURCE = "TCGA 1992 s. 122(4)"


@dataclass(frozen=True, slots=True)
class Rates:
    """Rates on gains other than residential property, from a day on."""

    from_date: date
    basic: Decimal
    higher: Decimal


@dataclass(frozen=True, slots=True)
class YearRules:
    """What Parliament set for the tax year that begins on 6 April."""

    exempt_amount: Decimal
    basic_rate_band: Decimal


# TCGA 1992 s. 1K(2) as amended: Finance Act 2021 s. 40 (12,300), Finance Act 2023 s. 8 (6,000, then 3,000).
# Basic-rate band: Income Tax Act 2007 s. 10 as set for the year.
YEARS: dict[int, YearRules] = {
    2016: YearRules(Decimal(11_100), Decimal(32_000)),
    2017: YearRules(Decimal(11_300), Decimal(33_500)),
    2018: YearRules(Decimal(11_700), Decimal(34_500)),
    2019: YearRules(Decimal(12_000), Decimal(37_500)),
    2020: YearRules(Decimal(12_300), Decimal(37_500)),
    2021: YearRules(Decimal(12_300), Decimal(37_700)),
    2022: YearRules(Decimal(12_300), Decimal(37_700)),
    2023: YearRules(Decimal(6_000), Decimal(37_700)),
    2024: YearRules(Decimal(3_000), Decimal(37_700)),
    2025: YearRules(Decimal(3_000), Decimal(37_700)),
    2026: YearRules(Decimal(3_000), Decimal(37_700)),
}

# Finance Act 2016 s. 83 (10 and 20 %), Finance Act 2025 s. 7 (18 and 24 % for disposals from 30 October 2024).
RATES: tuple[Rates, ...] = (
    Rates(date(2016, 4, 6), Decimal("0.10"), Decimal("0.20")),
    Rates(date(2024, 10, 30), Decimal("0.18"), Decimal("0.24")),
)


@dataclass(frozen=True, slots=True)
class UnitedKingdom:
    """The rules, and what they must know of the taxpayer.

    Attributes:
        taxable_income: Income of the year after allowances, in pounds; it uses the basic-rate band first.
        losses_brought_forward: Allowable losses of earlier years not used yet, 0 or more.
    """

    taxable_income: Decimal = ZERO
    losses_brought_forward: Decimal = ZERO

    def assess(self, history: History, tax_year: int) -> Assessment:
        """Return what the history comes to in the tax year that begins on 6 April of `tax_year`, in pounds.

        Raises:
            SoldMoreThanHeld: The history sells what it never bought.
            TaxYearUnknown: The year is not in `YEARS`.
        """
        rules = YEARS.get(tax_year)
        if rules is None:
            description = f"must be {min(YEARS)} to {max(YEARS)} for GB, was {tax_year}"
            raise TaxYearUnknown(f"tax_year {description}", violations=[FieldViolation("tax_year", description)])
        first, last = date(tax_year, 4, 6), date(tax_year + 1, 4, 5)
        disposals: list[AssessedDisposal] = []
        remaining: list[Remaining] = []
        received: _Received = defaultdict(list)
        for asset in history.assets_in_order:
            assessed, left = _matched(history, asset, received)
            disposals += assessed
            remaining += left
        disposals.sort(key=lambda each: (each.day, each.asset))
        remaining.sort(key=lambda each: each.asset)
        of_year = [each for each in disposals if first <= each.day <= last]
        return Assessment(
            jurisdiction="GB",
            tax_year=tax_year,
            currency="GBP",
            first_date=first,
            last_date=last,
            disposals=tuple(disposals),
            remaining=tuple(remaining),
            lines=self._lines(of_year, rules),
            review=review_of(history),
        )

    def tax_with(self, assessment: Assessment, extra: Sequence[AssessedDisposal]) -> Decimal:
        """Return the tax of the assessed year if the disposals of `extra` had been made in it too."""
        return self._lines([*assessment.of_year(), *extra], YEARS[assessment.tax_year])[-1].amount

    def after(self, earlier: Assessment) -> "UnitedKingdom":
        """Return the rules for the next year, with the losses of `earlier` brought forward."""
        return replace(self, losses_brought_forward=earlier.amount("losses_carried_forward"))

    def carried_into(self, history: History, tax_year: int) -> "UnitedKingdom":
        """Return the rules with the unused losses of the history's earlier years added to those stated."""
        earlier = replace(self, losses_brought_forward=ZERO)
        first = min((tax_year_of(row.day) for row in history.disposals), default=tax_year)
        for year in range(max(first, min(YEARS)), tax_year):
            earlier = earlier.after(earlier.assess(history, year))
        return replace(
            self,
            losses_brought_forward=self.losses_brought_forward + earlier.losses_brought_forward,
        )

    def brought_forward(self) -> tuple[Line, ...]:
        """Return the losses that are brought forward, each with the name of the line that carries it on."""
        return (Line("losses_carried_forward", self.losses_brought_forward, "TCGA 1992 s. 1(3)(b)"),)

    def _lines(self, of_year: Sequence[AssessedDisposal], rules: YearRules) -> tuple[Line, ...]:
        gains = [(each.day, each.counted_gain) for each in of_year if each.counted_gain > 0]
        gained = total(gain for _, gain in gains)
        lost = total(-each.counted_gain for each in of_year if each.counted_gain < 0)
        net = max(gained - lost, ZERO)
        # s. 1K(5): losses of earlier years only bring the gains down to the exempt amount.
        brought = min(self.losses_brought_forward, max(net - rules.exempt_amount, ZERO))
        exempt = min(rules.exempt_amount, net - brought)
        taxable = net - brought - exempt
        unused = self.losses_brought_forward - brought + max(lost - gained, ZERO)
        return (
            Line("gains", gained, "TCGA 1992 s. 1(1)"),
            Line("losses_of_the_year", lost, "TCGA 1992 s. 1(3)(a)"),
            Line("losses_brought_forward_used", brought, "TCGA 1992 s. 1(3)(b), s. 1K(5)"),
            Line("annual_exempt_amount_used", exempt, "TCGA 1992 s. 1K"),
            Line("taxable_gains", taxable, "TCGA 1992 s. 1K(1)"),
            Line("losses_carried_forward", unused, "TCGA 1992 s. 1(3)(b)"),
            Line("tax", self._tax(gains, gained - taxable, rules), "TCGA 1992 s. 1H, s. 1I"),
        )

    def _tax(self, gains: Sequence[tuple[date, Decimal]], relieved: Decimal, rules: YearRules) -> Decimal:
        """Return the tax on `gains` of which `relieved` is not taxed: relief meets the highest rate first."""
        by_rates: dict[Rates, Decimal] = defaultdict(lambda: ZERO)
        for day, gain in gains:
            by_rates[_rates(day)] += gain
        band = max(rules.basic_rate_band - self.taxable_income, ZERO)
        tax = ZERO
        left: list[tuple[Rates, Decimal]] = []
        for rates in sorted(by_rates, key=lambda each: -each.higher):
            used = min(relieved, by_rates[rates])
            relieved -= used
            left.append((rates, by_rates[rates] - used))
        # The basic-rate band goes where it saves most: s. 1I leaves the order to the taxpayer.
        for rates, taxable in sorted(left, key=lambda each: -(each[0].higher - each[0].basic)):
            basic = min(taxable, band)
            band -= basic
            tax += basic * rates.basic + (taxable - basic) * rates.higher
        return cents(Fraction(tax))


def tax_year_of(day: date) -> int:
    """Return the tax year of a day, by the year in which it begins: on 6 April."""
    return day.year if day >= date(day.year, 4, 6) else day.year - 1


def _rates(day: date) -> Rates:
    return [rates for rates in RATES if rates.from_date <= day][-1]


@dataclass(slots=True)
class _Bought:
    """What is left of all purchases of one day."""

    units: Fraction
    cost: Decimal

    def take(self, units: Fraction) -> Decimal:
        """Take `units` out, and return what they cost."""
        cost = part(self.cost, units, self.units)
        self.units -= units
        self.cost = total((self.cost, cost.copy_negate()))
        return cost


@dataclass(slots=True)
class _Sold:
    """All sales of one day: what of them is not matched yet, and what was matched: units, cost and how."""

    rows: list[Disposal]
    units: Fraction
    unmatched: Fraction
    matches: list[tuple[MatchRule, Fraction, Decimal, date | None, str]]

    def match(self, bought: _Bought, rule: MatchRule, day: date | None, source: str) -> None:
        """Match as many units as both have."""
        units = min(self.unmatched, bought.units)
        if units > 0:
            self.matches.append((rule, units, bought.take(units), day, source))
            self.unmatched -= units


def _matched(history: History, asset: str, received: "_Received") -> tuple[list[AssessedDisposal], list[Remaining]]:
    """Match one asset; what it becomes is put into `received` for the assets that come later."""
    bought, sold = _by_day(history, asset)
    _match_purchases(bought, sold)
    pool = _Bought(Fraction(0), ZERO)
    gains: list[AssessedDisposal] = []
    changes: dict[date, Decimal] = defaultdict(lambda: ZERO)
    for change in history.cost_changes:
        if change.asset == asset and _counts(history, change.account_id):
            changes[change.day] += change.amount
    arrived: dict[date, list[tuple[Fraction, Decimal]]] = defaultdict(list)
    for day, units, cost in received.pop(asset, ()):
        arrived[day].append((units, cost))
    leaves = {each.day: each for each in history.reorganizations if each.asset == asset}
    for day in sorted({*bought, *sold, *changes, *arrived, *leaves}):
        for units, cost in arrived.get(day, ()):
            pool.units += units
            pool.cost = total((pool.cost, cost))
        if day in leaves and pool.units:
            row = leaves[day]
            cost = fraction_of(pool.cost, row.cost_part)
            received[row.new_asset].append((day, history.become(row, pool.units), cost))
            pool.cost = total((pool.cost, cost.copy_negate()))
            pool.units = Fraction(0) if row.ends_old else pool.units
        if day in bought:
            pool.units += bought[day].units
            pool.cost = total((pool.cost, bought[day].cost))
        pool.cost = total((pool.cost, changes.get(day, ZERO)))
        if pool.cost < 0:
            gains.append(returned_capital(day, asset, pool.cost.copy_negate(), RETURNED_SOURCE))
            pool.cost = ZERO
        if day in sold:
            sale = sold[day]
            if sale.unmatched > pool.units:
                missing = history.quantity_on(asset, day, sale.unmatched - pool.units)
                raise SoldMoreThanHeld(
                    f"{asset}: {missing} units sold on {day} were never bought", asset=asset, date=day, missing=missing
                )
            sale.match(pool, MatchRule.POOL, None, POOL_SOURCE)
    assessed = [*gains, *(_assessed(history, asset, day, sale) for day, sale in sold.items())]
    left = [Remaining(None, asset, history.quantity_on(asset, date.max, pool.units), pool.cost)] if pool.units else []
    return assessed, left


def _match_purchases(bought: dict[date, _Bought], sold: dict[date, _Sold]) -> None:
    """Match what was bought on the day of a sale, over all days, and then what was bought in the 30 days after."""
    for day, sale in sold.items():
        if day in bought:
            sale.match(bought[day], MatchRule.SAME_DAY, day, SAME_DAY_SOURCE)
    days = list(bought)
    for day, sale in sold.items():
        if sale.unmatched:
            for bought_day in days[bisect_right(days, day) : bisect_right(days, day + MATCHED_AFTER)]:
                sale.match(bought[bought_day], MatchRule.THIRTY_DAYS, bought_day, THIRTY_DAYS_SOURCE)


# What becomes of other assets: by asset, the day, the units and what they cost.
_Received: TypeAlias = dict[str, list[tuple[date, Fraction, Decimal]]]


def _by_day(history: History, asset: str) -> tuple[dict[date, _Bought], dict[date, _Sold]]:
    bought: dict[date, _Bought] = defaultdict(lambda: _Bought(Fraction(0), ZERO))
    for acquisition in history.acquisitions:
        if acquisition.asset == asset and _counts(history, acquisition.account_id):
            purchase = bought[history.pool_day(acquisition)]
            purchase.units += history.units(acquisition)
            purchase.cost = total((purchase.cost, acquisition.cost))
    sold: dict[date, _Sold] = {}
    for disposal in history.disposals:
        if disposal.asset == asset and _counts(history, disposal.account_id):
            sale = sold.setdefault(disposal.day, _Sold([], Fraction(0), Fraction(0), []))
            sale.rows.append(disposal)
            sale.units += history.units(disposal)
            sale.unmatched += history.units(disposal)
    return dict(sorted(bought.items())), dict(sorted(sold.items()))


def _counts(history: History, account_id: str) -> bool:
    account = history.account[account_id]
    return account.owner is Owner.TAXPAYER and not account.sheltered


def _assessed(history: History, asset: str, day: date, sale: _Sold) -> AssessedDisposal:
    proceeds = total(row.proceeds for row in sale.rows)
    pieces: list[Piece] = []
    units_left, proceeds_left = sale.units, proceeds
    for rule, units, cost, acquired, source in sale.matches:
        share = part(proceeds_left, units, units_left)
        units_left -= units
        proceeds_left = total((proceeds_left, share.copy_negate()))
        quantity = history.quantity_on(asset, day, units)
        pieces.append(Piece(rule, quantity, share, cost, source, acquired_date=acquired))
    return AssessedDisposal(
        disposal_ids=tuple(sorted(row.disposal_id for row in sale.rows)),
        day=day,
        asset=asset,
        quantity=history.quantity_on(asset, day, sale.units),
        proceeds=proceeds,
        pieces=tuple(pieces),
    )
