"""Capital gains tax of the United Kingdom on shares and fund units held by individuals.

Sources:
    Matching: Taxation of Chargeable Gains Act 1992 s. 105(1) (all of one day is one transaction; same day first),
    s. 106A(5), (5ZA) (then the 30 days after, earliest purchase first), s. 104 (then the pool). HMRC Capital Gains
    Manual CG51555, CG51560.
    Exempt amount and losses: TCGA s. 1K (losses of earlier years are used only down to the exempt amount; losses of the
    year itself in full), s. 1H, 1I (rates; a gain uses the basic-rate band that income left; those
    of a Scottish taxpayer are the same: Scotland Act 2016 s. 15(4)).
    Accounts that are sheltered (ISA, SIPP) stand outside: reg. 34 of the ISA Regulations 1998 keeps their units apart,
    so that a purchase there is no match for a sale outside.
    Mergers and spin-offs: TCGA s. 127, s. 130, s. 136: the new holding stands in the place of the old, and what the old
    had cost is shared between them. Money beside the new holding: s. 128(3), s. 129 (a part disposal), s. 122(2) (small
    money is taken off the cost instead; small is 5 % or 3,000 pounds at most: HMRC Capital Gains Manual CG57836).
    Gifts, spouses, charities and death: `settling.py`. They are matched like sales: s. 105, s. 106A.

Our reading: a sale of more than is held is refused, although s. 105(2) would match it with purchases after the 30 days;
such a history is a broken one. What is sold and what is given on one day is one transaction (s. 105(1)(a)), whose cost
is shared by units. Of units that were sold before a merger or spin-off and are identified with a purchase after it, the
pool still has what they cost, but nobody held them: they are no "original shares" (s. 126(1)(a), CG51730), get nothing
and keep their cost whole; that of the units held goes the way of s. 127 to s. 130. A history that sold more than it
held over such a day is refused. Exempt amount and losses meet the gains of the highest rate first, as s. 1E(5) lets the
taxpayer choose.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction

from services.decision.domain.problem import ZERO
from services.decision.domain.tax.assessment.history import History, cents, total
from services.decision.domain.tax.assessment.law_table import Years
from services.decision.domain.tax.assessment.results import (
    AssessedDisposal,
    Assessment,
    AssetsAlike,
    Line,
    Remaining,
    check_year,
    review_of,
)
from services.decision.domain.tax.assessment.settling import UNITED_KINGDOM, settled
from services.decision.domain.tax.assessment.uk_matching import Received, matched
from services.decision.domain.tax.assessment.uk_years import YEARS, Rates, YearRules


@dataclass(frozen=True, slots=True)
class UnitedKingdom(AssetsAlike):
    """The rules, and what they must know of the taxpayer.

    Attributes:
        taxable_income: Income of the year after allowances, in pounds; it uses the basic-rate band first.
        losses_brought_forward: Allowable losses of earlier years not used yet, 0 or more.
        scottish: Whether income is taxed at Scotland's rates; gains never are.
        years: The law's amounts by tax year.
    """

    taxable_income: Decimal = ZERO
    losses_brought_forward: Decimal = ZERO
    scottish: bool = False
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
        history = self.settled(history)
        disposals: list[AssessedDisposal] = []
        remaining: list[Remaining] = []
        received: Received = defaultdict(list)
        for asset in history.assets_in_order:
            assessed, left = matched(history, asset, received)
            disposals += assessed
            remaining += left
        disposals.sort(key=lambda each: (each.day, each.asset, each.disposal_ids))
        remaining.sort(key=lambda each: each.asset)
        lost = total(piece.disallowed_loss for each in disposals for piece in each.pieces)
        walked = Assessment(
            jurisdiction="GB",
            tax_year=tax_year,
            currency="GBP",
            first_date=date(tax_year, 4, 6),
            last_date=date(tax_year + 1, 4, 5),
            disposals=tuple(disposals),
            remaining=tuple(remaining),
            lines=(),
            permanently_lost=lost,
            review=review_of(history),
        )
        return self.in_year(walked, tax_year)

    def in_year(self, walked: Assessment, tax_year: int) -> Assessment:
        """Return what a history that was walked comes to in a year by these rules."""
        check_year("GB", tax_year, self.years)
        of_year = replace(
            walked, tax_year=tax_year, first_date=date(tax_year, 4, 6), last_date=date(tax_year + 1, 4, 5)
        )
        return replace(of_year, lines=self._lines(of_year.of_year(), self.years[tax_year]))

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
        return self.carried_and_assessed(history, tax_year)[0]

    def carried_and_assessed(self, history: History, tax_year: int) -> tuple["UnitedKingdom", Assessment]:
        """Return `carried_into`, and what `assess` says by it: of a history that is walked once for all its years."""
        walked, earlier = self.assess(history, tax_year), replace(self, losses_brought_forward=ZERO)
        disposals = self.settled(history).disposals
        first = min((tax_year_of(row.day) for row in disposals), default=tax_year)
        for year in range(max(first, min(self.years)), tax_year):
            earlier = earlier.after(earlier.in_year(walked, year))
        rules = replace(self, losses_brought_forward=self.losses_brought_forward + earlier.losses_brought_forward)
        return rules, rules.in_year(walked, tax_year)

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
