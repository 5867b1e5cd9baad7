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
    had cost is shared between them. Money beside the new holding: s. 128(3), s. 129 (a part disposal), s. 122(2) (small
    money is taken off the cost instead; small is 5 % or 3,000 pounds at most: HMRC Capital Gains Manual CG57836).
    Gifts, spouses, charities and death: `settling.py`. They are matched like sales: s. 105, s. 106A.

Our reading: a sale of more than is held is refused, although s. 105(2) would match it with purchases after the 30 days;
such a history is a broken one. What is sold and what is given on one day is one transaction (s. 105(1)(a)), whose cost
is shared by units. Exempt amount and losses meet the gains of the highest rate first, as s. 1E(5) lets the taxpayer
choose.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TypeAlias

from services.decision.domain.problem import ZERO
from services.decision.domain.tax.assessment.history import (
    Disposal,
    History,
    Owner,
    Reorganization,
    cents,
    fraction_of,
    part,
    total,
)
from services.decision.domain.tax.assessment.law_table import AmountKind, Named, Years
from services.decision.domain.tax.assessment.results import (
    AssessedDisposal,
    Assessment,
    AssetsAlike,
    Line,
    MatchRule,
    Piece,
    Remaining,
    SoldMoreThanHeld,
    check_year,
    money_received,
    returned_capital,
    review_of,
    treated,
)
from services.decision.domain.tax.assessment.settling import UNITED_KINGDOM, settled

# TCGA 1992 s. 106A(5): "within the period of thirty days after the disposal"; day 30 is inside.
MATCHED_AFTER = timedelta(days=30)

SAME_DAY_SOURCE = "TCGA 1992 s. 105(1)(b)"
THIRTY_DAYS_SOURCE = "TCGA 1992 s. 106A(5)"
POOL_SOURCE = "TCGA 1992 s. 104"
RETURNED_SOURCE = "TCGA 1992 s. 122(4)"
EXCHANGED_SOURCE = "TCGA 1992 s. 128(3), s. 129"
# HMRC Capital Gains Manual CG57836: money is small up to this part of what the holding is worth, or up to the amount.
SMALL_PART = Fraction(1, 20)
SMALL_AMOUNT = Decimal(3000)


@dataclass(frozen=True, slots=True)
class Rates:
    """Rates on gains other than residential property, from a day on."""

    from_date: date
    basic: Decimal
    higher: Decimal


@dataclass(frozen=True, slots=True)
class YearRules:
    """What Parliament set for the tax year that begins on 6 April; `rates` are those of its days, by day."""

    exempt_amount: Decimal
    basic_rate_band: Decimal
    rates: tuple[Rates, ...]


# Finance Act 2016 s. 83 (10 and 20 %), Finance Act 2025 s. 7 (18 and 24 % for disposals from 30 October 2024).
_BEFORE = Rates(date.min, Decimal("0.10"), Decimal("0.20"))
_SINCE = Rates(date.min, Decimal("0.18"), Decimal("0.24"))


def _year(exempt_amount: int, basic_rate_band: int, *rates: Rates) -> YearRules:
    return YearRules(Decimal(exempt_amount), Decimal(basic_rate_band), rates)


# TCGA 1992 s. 1K(2) as amended: Finance Act 2021 s. 40 (12,300), Finance Act 2023 s. 8 (6,000, then 3,000).
# Basic-rate band: Income Tax Act 2007 s. 10 as set for the year.
YEARS: dict[int, YearRules] = {
    2016: _year(11_100, 32_000, _BEFORE),
    2017: _year(11_300, 33_500, _BEFORE),
    2018: _year(11_700, 34_500, _BEFORE),
    2019: _year(12_000, 37_500, _BEFORE),
    2020: _year(12_300, 37_500, _BEFORE),
    2021: _year(12_300, 37_700, _BEFORE),
    2022: _year(12_300, 37_700, _BEFORE),
    2023: _year(6_000, 37_700, _BEFORE),
    2024: _year(3_000, 37_700, _BEFORE, replace(_SINCE, from_date=date(2024, 10, 30))),
    2025: _year(3_000, 37_700, _SINCE),
    2026: _year(3_000, 37_700, _SINCE),
}


@dataclass(frozen=True, slots=True)
class UnitedKingdomTable:
    """The amounts by name; rates may change within a year."""

    years: Mapping[int, YearRules]

    @property
    def names(self) -> tuple[Named, ...]:
        """Every amount that a year has."""
        return (
            Named("exempt_amount", AmountKind.MONEY),
            Named("basic_rate_band", AmountKind.MONEY),
            Named("basic_rate", AmountKind.RATE, dated=True),
            Named("higher_rate", AmountKind.RATE, dated=True, after="basic_rate"),
        )

    def first_date(self, tax_year: int) -> date:
        """Return 6 April of the year."""
        return date(tax_year, 4, 6)

    def amounts(self, year: YearRules) -> Mapping[str, Decimal]:
        """Return a year's amounts by name."""
        found = {"exempt_amount": year.exempt_amount, "basic_rate_band": year.basic_rate_band}
        for number, each in enumerate(year.rates):
            at = f"@{each.from_date}" if number else ""
            found |= {f"basic_rate{at}": each.basic, f"higher_rate{at}": each.higher}
        return found

    def year(self, amounts: Mapping[str, Decimal]) -> YearRules:
        """Return the year of checked amounts."""
        basic, higher = amounts["basic_rate"], amounts["higher_rate"]
        rates = [Rates(date.min, basic, higher)]
        for day in sorted({name.partition("@")[2] for name in amounts if "@" in name}):
            basic, higher = amounts.get(f"basic_rate@{day}", basic), amounts.get(f"higher_rate@{day}", higher)
            rates.append(Rates(date.fromisoformat(day), basic, higher))
        return YearRules(amounts["exempt_amount"], amounts["basic_rate_band"], tuple(rates))


TABLE = UnitedKingdomTable(YEARS)


@dataclass(frozen=True, slots=True)
class UnitedKingdom(AssetsAlike):
    """The rules, and what they must know of the taxpayer.

    Attributes:
        taxable_income: Income of the year after allowances, in pounds; it uses the basic-rate band first.
        losses_brought_forward: Allowable losses of earlier years not used yet, 0 or more.
        years: The law's amounts by tax year.
    """

    taxable_income: Decimal = ZERO
    losses_brought_forward: Decimal = ZERO
    years: Mapping[int, YearRules] = field(default_factory=lambda: YEARS, repr=False)

    @property
    def code(self) -> str:
        """ISO 3166-1 code of the country."""
        return "GB"

    def assess(self, history: History, tax_year: int) -> Assessment:
        """Return what the history comes to in the tax year that begins on 6 April of `tax_year`, in pounds.

        Raises:
            SoldMoreThanHeld: The history sells what it never bought.
            TaxYearUnknown: No amounts of the year are in force.
        """
        check_year("GB", tax_year, self.years)
        rules = self.years[tax_year]
        first, last = date(tax_year, 4, 6), date(tax_year + 1, 4, 5)
        history = self.settled(history)
        disposals: list[AssessedDisposal] = []
        remaining: list[Remaining] = []
        received: _Received = defaultdict(list)
        for asset in history.assets_in_order:
            assessed, left = _matched(history, asset, received)
            disposals += assessed
            remaining += left
        disposals.sort(key=lambda each: (each.day, each.asset, each.disposal_ids))
        remaining.sort(key=lambda each: each.asset)
        lost = total(piece.disallowed_loss for each in disposals for piece in each.pieces)
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
            permanently_lost=lost,
            review=review_of(history),
        )

    def settled(self, history: History) -> History:
        """Return the history with gifts, deaths and moves out of wrappers as acquisitions and disposals."""
        return settled(history, UNITED_KINGDOM)

    def tax_with(self, assessment: Assessment, extra: Sequence[AssessedDisposal]) -> Decimal:
        """Return the tax of the assessed year if the disposals of `extra` had been made in it too."""
        return self._lines([*assessment.of_year(), *extra], self.years[assessment.tax_year])[-1].amount

    def with_years(self, years: Years) -> "UnitedKingdom":
        """Return the rules with other amounts of law."""
        return replace(self, years=years)

    def after(self, earlier: Assessment) -> "UnitedKingdom":
        """Return the rules for the next year, with the losses of `earlier` brought forward."""
        return replace(self, losses_brought_forward=earlier.amount("losses_carried_forward"))

    def carried_into(self, history: History, tax_year: int) -> "UnitedKingdom":
        """Return the rules with the unused losses of the history's earlier years added to those stated."""
        earlier = replace(self, losses_brought_forward=ZERO)
        disposals = self.settled(history).disposals
        first = min((tax_year_of(row.day) for row in disposals), default=tax_year)
        for year in range(max(first, min(self.years)), tax_year):
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
            by_rates[[each for each in rules.rates if each.from_date <= day][-1]] += gain
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


@dataclass(frozen=True, slots=True)
class _Match:
    """Units sold that found what they were bought as; `day` is that of the purchase, None out of the pool."""

    rule: MatchRule
    units: Fraction
    cost: Decimal
    day: date | None
    source: str


@dataclass(slots=True)
class _Sold:
    """All disposals of one day: what of them is not matched yet, and what was matched."""

    rows: list[Disposal]
    units: Fraction
    unmatched: Fraction
    matches: list[_Match]

    def match(self, bought: _Bought, rule: MatchRule, day: date | None, source: str) -> None:
        """Match as many units as both have."""
        units = min(self.unmatched, bought.units)
        if units > 0:
            self.matches.append(_Match(rule, units, bought.take(units), day, source))
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
            if row.money:
                gains += _exchange(history, row, pool)
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
    assessed = [*gains, *(each for day, sale in sold.items() for each in _assessed(history, asset, day, sale))]
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


def _exchange(history: History, row: Reorganization, pool: _Bought) -> list[AssessedDisposal]:
    """Take what the money of a merger stands for off the pool's cost, and return the gain; none when it is small."""
    units = pool.units / history.scale(row.asset, row.day)
    money = cents(Fraction(row.money) * units)
    worth = cents(Fraction(row.new_value or ZERO) * units * row.ratio)
    small = money <= max(SMALL_AMOUNT, cents(SMALL_PART * Fraction(money + worth)))
    if small and money <= pool.cost:
        pool.cost = total((pool.cost, money.copy_negate()))
        return []
    cost = cents(Fraction(pool.cost) * Fraction(money) / Fraction(money + worth))
    pool.cost = total((pool.cost, cost.copy_negate()))
    return [money_received(row.day, row.asset, money, cost, EXCHANGED_SOURCE)]


def _assessed(history: History, asset: str, day: date, sale: _Sold) -> list[AssessedDisposal]:
    """Return the day's disposals, those of one treatment as one: what was matched is shared among them by units."""
    kinds = sorted({(row.treatment, row.source) for row in sale.rows})
    matches, units_left = sale.matches, sale.units
    found: list[AssessedDisposal] = []
    for treatment, source in kinds:
        rows = [row for row in sale.rows if (row.treatment, row.source) == (treatment, source)]
        units = sum((history.units(row) for row in rows), Fraction(0))
        of_kind, matches = _shared(matches, units, units_left)
        units_left -= units
        found.append(_disposal(history, asset, day, rows, of_kind))
    return found


def _shared(matches: Sequence[_Match], units: Fraction, of: Fraction) -> tuple[list[_Match], list[_Match]]:
    """Return the part of the matches that `units` of `of` bear, and the rest."""
    borne, rest = [], []
    for match in matches:
        taken = match.units * units / of
        cost = part(match.cost, taken, match.units)
        borne.append(replace(match, units=taken, cost=cost))
        rest.append(replace(match, units=match.units - taken, cost=total((match.cost, cost.copy_negate()))))
    return borne, rest


def _disposal(
    history: History, asset: str, day: date, rows: Sequence[Disposal], matches: Sequence[_Match]
) -> AssessedDisposal:
    treatment, source = rows[0].treatment, rows[0].source
    units_left = units = sum((history.units(row) for row in rows), Fraction(0))
    proceeds_left = total(row.proceeds for row in rows)
    pieces: list[Piece] = []
    for match in matches:
        share = part(proceeds_left, match.units, units_left)
        units_left -= match.units
        proceeds_left = total((proceeds_left, share.copy_negate()))
        quantity = history.quantity_on(asset, day, match.units)
        piece = Piece(match.rule, quantity, share, match.cost, match.source, acquired_date=match.day)
        pieces.append(treated(piece, treatment, source))
    return AssessedDisposal(
        disposal_ids=tuple(sorted(row.disposal_id for row in rows)),
        day=day,
        asset=asset,
        quantity=history.quantity_on(asset, day, units),
        proceeds=total(piece.proceeds for piece in pieces),
        pieces=tuple(pieces),
    )
