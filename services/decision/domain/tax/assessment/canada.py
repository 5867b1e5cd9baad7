"""Capital gains of individuals in Canada: average cost, and losses that are superficial.

Sources:
    Average cost: Income Tax Act s. 47(1), over all of the taxpayer's own accounts that are not registered plans.
    Superficial loss: s. 54 ("superficial loss"), s. 40(2)(g)(i); the part denied is the least of units sold, units
    acquired in the 61 days and units held at their end, over units sold (IT-456R paragraph 12; CRA document
    2004-0073011E5). The denied loss joins the cost of what replaced it: s. 53(1)(f). CRA document 2022-0940941C6: all
    affiliated persons are looked at as one, and the denied loss is shared by the replacing units that each of them
    holds at the end; what falls to a registered plan is lost, as nothing there has a cost that counts.
    Mergers and spin-offs: s. 85.1, s. 86, s. 86.1: what was paid goes along. With money beside the new shares none of
    these holds (s. 85.1(2)(d)): everything is disposed of at fair value, unless both sides elect under s. 85, whose
    amounts must be sent as purchases and sales.
    Gifts, death and registered plans: `settling.py`.
    Half of a gain is taxable: s. 38(a). Net losses of other years: s. 111(1)(b).

Our reading: shares are bought and sold on the exchange's settlement date (CRA document 2012-0468931C6, as IT-133 said
before). Days are taken as they are sent; what execution reported counts when it settles. The denied loss is added to
the cost on the day of the first replacing purchase, or on the day of the sale if that came later. Units received in a
merger or spin-off are held from then on, and are no purchase that could replace anything. Only units of one asset are
identical property (s. 248(12); IT-387R2): sets that the book or a policy names count in the United States. Plans are
more careful, and buy nothing that such a set names.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction

from services.decision.domain.problem import ZERO
from services.decision.domain.tax.assessment.canadian_averages import Average, Received
from services.decision.domain.tax.assessment.canadian_years import YEARS, YearRules
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
from services.decision.domain.tax.assessment.settling import CANADA, settled


@dataclass(frozen=True, slots=True)
class Canada(AssetsAlike):
    """The rules, and what they must know of the taxpayer.

    Attributes:
        marginal_rate: Federal and provincial rate on the next dollar of income, 0 to 1.
        net_losses_brought_forward: Net capital losses of other years at today's inclusion, 0 or more.
        years: The law's amounts by year.
    """

    marginal_rate: Decimal = ZERO
    net_losses_brought_forward: Decimal = ZERO
    years: Mapping[int, YearRules] = field(default_factory=lambda: YEARS, repr=False)

    @property
    def code(self) -> str:
        """ISO 3166-1 code of the country."""
        return "CA"

    def assess(self, history: History, tax_year: int) -> Assessment:
        """Return what the history comes to in the calendar year `tax_year`, in Canadian dollars.

        Raises:
            SoldMoreThanHeld: The history sells what it never bought.
            TaxYearUnknown: No amounts of the year are in force.
        """
        check_year("CA", tax_year, self.years)
        history = self.settled(history)
        disposals: list[AssessedDisposal] = []
        remaining: list[Remaining] = []
        lost = ZERO
        received: Received = defaultdict(list)
        for asset in history.assets_in_order:
            average = Average(history, asset)
            average.run(received)
            disposals += average.disposals
            remaining += average.remaining()
            lost = total((lost, average.lost))
        disposals.sort(key=lambda each: (each.day, each.asset, each.disposal_ids))
        remaining.sort(key=lambda each: (each.asset, each.account_id or ""))
        walked = Assessment(
            jurisdiction="CA",
            tax_year=tax_year,
            currency="CAD",
            first_date=date(tax_year, 1, 1),
            last_date=date(tax_year, 12, 31),
            disposals=tuple(disposals),
            remaining=tuple(remaining),
            lines=(),
            permanently_lost=lost,
            review=review_of(history),
        )
        return self.in_year(walked, tax_year)

    def in_year(self, walked: Assessment, tax_year: int) -> Assessment:
        """Return what a history that was walked comes to in a year by these rules."""
        check_year("CA", tax_year, self.years)
        of_year = replace(walked, tax_year=tax_year, first_date=date(tax_year, 1, 1), last_date=date(tax_year, 12, 31))
        return replace(of_year, lines=self._lines([each.counted_gain for each in of_year.of_year()], tax_year))

    def settled(self, history: History) -> History:
        """Return the history with gifts, deaths and moves into registered plans as acquisitions and dispositions."""
        return settled(history, CANADA)

    def tax_with(self, assessment: Assessment, extra: Sequence[AssessedDisposal]) -> Decimal:
        """Return the tax of the assessed year if the disposals of `extra` had been made in it too."""
        counted = [each.counted_gain for each in (*assessment.of_year(), *extra)]
        return self._lines(counted, assessment.tax_year)[-1].amount

    def with_years(self, years: Years) -> "Canada":
        """Return the rules with other amounts of law."""
        return replace(self, years=years)

    def after(self, earlier: Assessment) -> "Canada":
        """Return the rules for the next year, with the net losses of `earlier` brought forward."""
        return replace(self, net_losses_brought_forward=earlier.amount("net_losses_carried_forward"))

    def carried_into(self, history: History, tax_year: int) -> "Canada":
        """Return the rules with the unused losses of the history's earlier years added to those stated."""
        return self.carried_and_assessed(history, tax_year)[0]

    def carried_and_assessed(self, history: History, tax_year: int) -> tuple["Canada", Assessment]:
        """Return `carried_into`, and what `assess` says by it: of a history that is walked once for all its years."""
        walked, earlier = self.assess(history, tax_year), replace(self, net_losses_brought_forward=ZERO)
        first = min((row.day.year for row in self.settled(history).disposals), default=tax_year)
        for year in range(max(first, min(self.years)), tax_year):
            earlier = earlier.after(earlier.in_year(walked, year))
        rules = replace(
            self,
            net_losses_brought_forward=self.net_losses_brought_forward + earlier.net_losses_brought_forward,
        )
        return rules, rules.in_year(walked, tax_year)

    def brought_forward(self) -> tuple[Line, ...]:
        """Return the losses that are brought forward, each with the name of the line that carries it on."""
        return (Line("net_losses_carried_forward", self.net_losses_brought_forward, "ITA s. 111(1)(b)"),)

    def _lines(self, counted: list[Decimal], tax_year: int) -> tuple[Line, ...]:
        gained = total(gain for gain in counted if gain > 0)
        lost = total(-gain for gain in counted if gain < 0)
        net_taxable = cents(Fraction(gained - lost) * Fraction(self.years[tax_year].inclusion))
        used = min(self.net_losses_brought_forward, max(net_taxable, ZERO))
        taxable = max(net_taxable, ZERO) - used
        forward = self.net_losses_brought_forward - used + max(-net_taxable, ZERO)
        return (
            Line("gains", gained, "ITA s. 39(1)(a)"),
            Line("losses", lost, "ITA s. 39(1)(b)"),
            Line("net_taxable_gain", max(net_taxable, ZERO), "ITA s. 38(a), s. 3(b)"),
            Line("net_losses_used", used, "ITA s. 111(1)(b)"),
            Line("taxable_gain", taxable, "ITA s. 3(b)"),
            Line("net_losses_carried_forward", forward, "ITA s. 111(1)(b)"),
            Line("tax", cents(Fraction(taxable) * Fraction(self.marginal_rate)), "ITA s. 117 and the province's act"),
        )
