"""Germany's tax on capital income (Abgeltungsteuer) on shares and investment funds held privately.

Sources:
    First in, first out in each depot: Einkommensteuergesetz (EStG) § 20 Abs. 4 Satz 7.
    Loss pots: EStG § 20 Abs. 6 Satz 4: losses on shares meet gains on shares only; other losses meet everything.
    Saver's allowance: EStG § 20 Abs. 9. Rate: EStG § 32d Abs. 1; solidarity surcharge: SolzG § 3 Abs. 1
    Nr. 1 and 5, § 4 (fractions of a cent do not count, Satz 3); church tax lowers the rate by the formula of § 32d
    Abs. 1 Satz 3 to 5.
    Partial exemption by the kind of fund: Investmentsteuergesetz (InvStG) § 20 Abs. 1 to 3.
    Mergers, spin-offs and moves to another depot: EStG § 20 Abs. 4a Satz 1 and 7, § 43a Abs. 2 Satz 3: cost goes along.
    Money beside the new units of a merger is income in full, and the cost goes along whole: § 20 Abs. 4a Satz 2. It is
    no gain on shares, so losses on shares do not meet it. Where it exceeds a tenth of what the new units are worth, the
    whole is a sale for money and units: BMF letter of 2023 (BStBl I S. 1471), Rz. 100a, after BFH BStBl 2022 II S. 636.
    Gifts and inheritances: `settling.py`.
    Advance lump sum (Vorabpauschale): InvStG § 18; it counts on the first working day of the next year, and what was
    taxed so is taken off the gain of the units when they are sold: § 19 Abs. 1 Satz 3 and 4.

Our reading: the advance lump sum of a year is worked out for the lots held at the year's end, each by its own months;
foreign tax credits (§ 32d Abs. 5) are left to the return.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction

from services.decision.domain.asset_kinds import FUNDS, AssetKind, exempt_part
from services.decision.domain.fund_years import FundYear, lump_sum_of
from services.decision.domain.problem import ZERO
from services.decision.domain.tax.assessment.german_depots import Depots, Lot
from services.decision.domain.tax.assessment.german_years import YEARS, YearRules
from services.decision.domain.tax.assessment.history import (
    History,
    cents,
    total,
)
from services.decision.domain.tax.assessment.law_table import Years
from services.decision.domain.tax.assessment.results import (
    AssessedDisposal,
    Assessment,
    Line,
    MatchRule,
    Remaining,
    check_year,
    review_of,
)
from services.decision.domain.tax.assessment.settling import GERMANY, settled


@dataclass(frozen=True, slots=True)
class Walked:
    """What happened in all years. `lump_sums`: by the year in which they are income, after partial exemption."""

    disposals: tuple[AssessedDisposal, ...]
    remaining: tuple[Remaining, ...]
    lump_sums: Mapping[int, Decimal]
    review: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Germany:
    """The rules, and what they must know of the taxpayer and the assets.

    Attributes:
        kinds: Of every asset; one that is missing is `OTHER`.
        fund_years: For the advance lump sums; a fund's year that is missing has none.
        joint: Whether spouses are assessed together: the allowance counts twice.
        church_rate: Of the church tax, 0, 0.08 or 0.09.
        share_losses_brought_forward: Unused losses on shares of earlier years, 0 or more.
        other_losses_brought_forward: Unused other losses of earlier years, 0 or more.
        years: The law's amounts by year.
    """

    kinds: Mapping[str, AssetKind] = field(default_factory=dict)
    fund_years: tuple[FundYear, ...] = ()
    joint: bool = False
    church_rate: Decimal = ZERO
    share_losses_brought_forward: Decimal = ZERO
    other_losses_brought_forward: Decimal = ZERO
    years: Mapping[int, YearRules] = field(default_factory=lambda: YEARS, repr=False)

    @property
    def code(self) -> str:
        """ISO 3166-1 code of the country."""
        return "DE"

    def assess(self, history: History, tax_year: int) -> Assessment:
        """Return what the history comes to in the calendar year `tax_year`, in euros.

        Raises:
            SoldMoreThanHeld: A depot sells what it never bought.
            TaxYearUnknown: No amounts of the year are in force.
        """
        check_year("DE", tax_year, self.years)
        return self.in_year(self._walked(history, tax_year), tax_year)

    def _walked(self, history: History, tax_year: int) -> "Walked":
        """Return what happens until the end of a year, which says every year until then."""
        history = self.settled(history)
        disposals: list[AssessedDisposal] = []
        remaining: list[Remaining] = []
        lump_sums: dict[int, Decimal] = defaultdict(lambda: ZERO)
        received: dict[str, list[tuple[date, str, list[Lot]]]] = defaultdict(list)
        for asset in history.assets_in_order:
            depots = Depots(self, history, asset)
            depots.run(date(tax_year, 12, 31), received)
            disposals += depots.disposals
            remaining += depots.remaining()
            for year, income in depots.lump_sums.items():
                lump_sums[year] = total((lump_sums[year], income))
        disposals.sort(key=lambda each: (each.day, each.asset, each.disposal_ids))
        remaining.sort(key=lambda each: (each.asset, each.account_id or "", each.lot_id or ""))
        return Walked(tuple(disposals), tuple(remaining), lump_sums, review_of(history))

    def in_year(self, walked: "Walked", tax_year: int) -> Assessment:
        """Return what a history that was walked comes to in a year by these rules."""
        check_year("DE", tax_year, self.years)
        first, last = date(tax_year, 1, 1), date(tax_year, 12, 31)
        of_year = [each for each in walked.disposals if first <= each.day <= last]
        return Assessment(
            jurisdiction="DE",
            tax_year=tax_year,
            currency="EUR",
            first_date=first,
            last_date=last,
            disposals=walked.disposals,
            remaining=walked.remaining,
            lines=self._lines(of_year, walked.lump_sums.get(tax_year, ZERO), tax_year),
            review=walked.review,
        )

    def settled(self, history: History) -> History:
        """Return the history with gifts and inheritances as purchases and sales at the giver's cost."""
        return settled(history, GERMANY)

    def tax_with(self, assessment: Assessment, extra: Sequence[AssessedDisposal]) -> Decimal:
        """Return the tax of the assessed year if the disposals of `extra` had been made in it too."""
        lump_sums = assessment.amount("advance_lump_sums")
        return self._lines([*assessment.of_year(), *extra], lump_sums, assessment.tax_year)[-1].amount

    def with_years(self, years: Years) -> "Germany":
        """Return the rules with other amounts of law."""
        return replace(self, years=years)

    def with_kinds(self, kinds: Mapping[str, AssetKind]) -> "Germany":
        """Return the rules that know what assets are, besides those of which they were told already."""
        return replace(self, kinds={**kinds, **self.kinds})

    def with_fund_years(self, fund_years: Sequence[FundYear]) -> "Germany":
        """Return the rules that know years of funds, besides those of which they were told already."""
        told = {(each.asset, each.year) for each in self.fund_years}
        kept = tuple(each for each in fund_years if (each.asset, each.year) not in told)
        return replace(self, fund_years=(*self.fund_years, *kept))

    def after(self, earlier: Assessment) -> "Germany":
        """Return the rules for the next year, with both loss pots of `earlier` brought forward."""
        return replace(
            self,
            share_losses_brought_forward=earlier.amount("share_losses_carried_forward"),
            other_losses_brought_forward=earlier.amount("other_losses_carried_forward"),
        )

    def kind(self, asset: str) -> AssetKind:
        """Return what the asset is to the tax."""
        return self.kinds.get(asset, AssetKind.OTHER)

    def exempt_part(self, asset: str) -> Decimal:
        """Return the part of the asset's income that is not taxed."""
        return exempt_part(self.kind(asset))

    def lump_sum(self, asset: str, year: int, acquired_date: date) -> Fraction:
        """Return the advance lump sum of one unit for `year`, before partial exemption; 0 when none is due."""
        found = [each for each in self.fund_years if each.asset == asset and each.year == year]
        if not found or year not in self.years or self.kind(asset) not in FUNDS:
            return Fraction(0)
        return lump_sum_of(found[0], self.years[year].base_rate, acquired_date)

    def carried_into(self, history: History, tax_year: int) -> "Germany":
        """Return the rules with the unused losses of the history's earlier years added to those stated."""
        return self.carried_and_assessed(history, tax_year)[0]

    def carried_and_assessed(self, history: History, tax_year: int) -> tuple["Germany", Assessment]:
        """Return `carried_into`, and what `assess` says by it: of a history that is walked once for all its years."""
        check_year("DE", tax_year, self.years)
        walked = self._walked(history, tax_year)
        earlier = replace(self, share_losses_brought_forward=ZERO, other_losses_brought_forward=ZERO)
        first = min((row.day.year for row in self.settled(history).disposals), default=tax_year)
        for year in range(max(first, min(self.years)), tax_year):
            earlier = earlier.after(earlier.in_year(walked, year))
        rules = replace(
            self,
            share_losses_brought_forward=self.share_losses_brought_forward + earlier.share_losses_brought_forward,
            other_losses_brought_forward=self.other_losses_brought_forward + earlier.other_losses_brought_forward,
        )
        return rules, rules.in_year(walked, tax_year)

    def brought_forward(self) -> tuple[Line, ...]:
        """Return the losses that are brought forward, each with the name of the line that carries it on."""
        return (
            Line("share_losses_carried_forward", self.share_losses_brought_forward, "EStG § 20 Abs. 6 Satz 4"),
            Line("other_losses_carried_forward", self.other_losses_brought_forward, "EStG § 20 Abs. 6 Satz 3"),
        )

    def on_shares(self, disposal: AssessedDisposal) -> bool:
        """Return whether it counts in the pot of gains on shares; money beside new units does not."""
        return self.kind(disposal.asset) is AssetKind.SHARE and all(
            piece.rule is not MatchRule.EXCHANGED for piece in disposal.pieces
        )

    def _lines(self, of_year: list[AssessedDisposal], lump_sums: Decimal, tax_year: int) -> tuple[Line, ...]:
        shares = total(each.counted_gain for each in of_year if self.on_shares(each))
        others = total(each.counted_gain for each in of_year if not self.on_shares(each))
        share_used = min(self.share_losses_brought_forward, max(shares, ZERO))
        share_income = max(shares, ZERO) - share_used
        other_income = others + lump_sums
        other_used = min(self.other_losses_brought_forward, max(share_income + other_income, ZERO))
        net = share_income + other_income - other_used
        allowance = min(max(net, ZERO), self._allowance(tax_year))
        taxable = max(net, ZERO) - allowance
        tax, solidarity, church = self._taxes(taxable, self.years[tax_year])
        return (
            Line("gains_on_shares", shares, "EStG § 20 Abs. 2 Satz 1 Nr. 1"),
            Line("gains_on_others", others, "EStG § 20 Abs. 2, Abs. 4a Satz 2; InvStG § 16 Abs. 1 Nr. 3, § 20"),
            Line("advance_lump_sums", lump_sums, "InvStG § 18"),
            Line("share_losses_used", share_used, "EStG § 20 Abs. 6 Satz 4"),
            Line("other_losses_used", other_used, "EStG § 20 Abs. 6 Satz 2"),
            Line("allowance_used", allowance, "EStG § 20 Abs. 9"),
            Line("taxable_income", taxable, "EStG § 20, § 32d"),
            Line(
                "share_losses_carried_forward",
                self.share_losses_brought_forward - share_used + max(-shares, ZERO),
                "EStG § 20 Abs. 6 Satz 4",
            ),
            Line(
                "other_losses_carried_forward",
                self.other_losses_brought_forward - other_used + max(-net, ZERO),
                "EStG § 20 Abs. 6 Satz 3",
            ),
            Line("income_tax", tax, "EStG § 32d Abs. 1"),
            Line("solidarity_surcharge", solidarity, "SolzG § 4"),
            Line("church_tax", church, "EStG § 32d Abs. 1 Satz 4, § 51a Abs. 2b"),
            Line("tax", total((tax, solidarity, church)), "EStG § 32d Abs. 1, SolzG § 4"),
        )

    def _taxes(self, taxable: Decimal, year: YearRules) -> tuple[Decimal, Decimal, Decimal]:
        """Return income tax, solidarity surcharge and church tax, each in whole cents.

        § 32d Abs. 1 Satz 4: tax = e / (4 + k), with e the income and k the church's rate; 4 is one over the tax's rate.
        """
        tax = Fraction(taxable) / (1 / Fraction(year.rate) + Fraction(self.church_rate)) if year.rate else Fraction(0)
        # Of the tax that is levied, in whole cents; fractions of a cent of the surcharge do not count.
        surcharge = Fraction(cents(tax)) * Fraction(year.solidarity)
        return cents(tax), Decimal(math.floor(surcharge * 100)).scaleb(-2), cents(tax * Fraction(self.church_rate))

    def _allowance(self, tax_year: int) -> Decimal:
        single = self.years[tax_year].allowance
        return single * 2 if self.joint else single
