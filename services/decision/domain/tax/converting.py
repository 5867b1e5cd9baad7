"""Is it better to turn a traditional IRA, or a part of it, into a Roth IRA now?

What is converted is income of the year, the 10 % of § 72(t) are not due, and nothing that comes out of the Roth IRA
later is taxed, if five tax years have passed since its first contribution and the owner is 59½. Compared is what is
left of both accounts, emptied at the end of each scenario, after the tax that is due now, which grows as the assets do.

Sources: 26 U.S.C. § 408A(d)(3)(A)(i) (income of the year), (ii) (no § 72(t)), (F) (the 10 % after all on what left the
Roth IRA within five tax years of the conversion, before 59½), (d)(4)(B) (what was converted comes out untaxed, after
contributions and before what was earned), § 408(d)(2) and § 72(e)(8) (contributions from taxed income, in their part).

Our readings: parts of an IRA up to the end of each bracket of ordinary income are tried, and all of it. The Roth IRA is
the taxpayer's first by id, or a new one. The tax is paid from other money.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction

from services.decision.domain.book import TaxWrapper
from services.decision.domain.problem import ZERO
from services.decision.domain.tax.assessment.history import cents, total
from services.decision.domain.tax.assessment.united_states import UnitedStatesYear
from services.decision.domain.tax.drawing import LONGEST_MONTH, DrawingWish, later_rate_of
from services.decision.domain.tax.income import tax_of_income, with_income
from services.decision.domain.tax.projection import Projected, Scenario
from services.decision.domain.tax.situation import Situation
from services.decision.domain.tax.wrappers import EARLY_RATE, ROTH_YEARS, Drawn, Wrapped, early, wrapper_law

SOURCE = "26 U.S.C. § 408A(d)(3)(A)"


@dataclass(frozen=True, slots=True)
class Conversion:
    """A part of a traditional IRA, or all of it, turned into a Roth IRA.

    Attributes:
        into: The Roth IRA; empty for a new one.
        amount: What is converted, above 0.
        income: What of it is income of the year.
        tax: What it adds to this year's tax.
        projected: What is left of both accounts in each scenario.
        advantage: In each scenario, over leaving both as they are.
    """

    account_id: str
    into: str
    amount: Decimal
    income: Decimal
    tax: Decimal
    projected: tuple[Projected, ...]
    advantage: tuple[Decimal, ...]
    sentence: str


def conversions(situation: Situation, wish: DrawingWish, scenarios: Sequence[Scenario]) -> tuple[Conversion, ...]:
    """Return what converting would come to, the best in the first scenario first; none where the law knows none.

    Raises:
        TaxYearUnknown: The brackets of the year are not known.
    """
    if not isinstance(situation.rules, UnitedStatesYear):
        return ()
    roths = sorted((each for each in wish.wrapped if each.kind is TaxWrapper.EXEMPT), key=lambda each: each.account_id)
    case = _Case(situation, situation.rules, wish, tuple(scenarios), roths[0] if roths else None)
    made = [
        case.made(each, amount)
        for each in wish.wrapped
        if each.kind is TaxWrapper.DEFERRED and each.value > 0
        for amount in case.amounts(each)
    ]
    return tuple(sorted(made, key=lambda each: (-each.advantage[0], each.account_id, each.amount)))


@dataclass(frozen=True, slots=True)
class _Case:
    situation: Situation
    rules: UnitedStatesYear
    wish: DrawingWish
    scenarios: tuple[Scenario, ...]
    roth: Wrapped | None

    def amounts(self, ira: Wrapped) -> Sequence[Decimal]:
        """Return what fills each bracket of ordinary income that the IRA reaches the end of, and all of it."""
        law = self.rules.years[self.situation.tax_year][self.rules.filing_status]
        taxed = Fraction(self._drawn(ira, ira.value).income) / Fraction(ira.value)
        rooms = [top - max(self.rules.ordinary_income, ZERO) for top in law.ordinary_tops]
        fills = [cents(Fraction(room) / taxed) for room in rooms if room > 0] if taxed else []
        return sorted({*(each for each in fills if each < ira.value), ira.value})

    def made(self, ira: Wrapped, amount: Decimal) -> Conversion:
        """Return what converting an amount would come to."""
        drawn, year = self._drawn(ira, amount), self.situation.tax_year
        rules = with_income(self.rules, year, drawn.income)
        after = replace(self.situation, rules=rules).tax
        own = tax_of_income(self.rules, year, drawn.income)
        tax = total((after, self.situation.tax.copy_negate(), own))
        roth = self.roth or Wrapped("", TaxWrapper.EXEMPT, ZERO, ZERO, year)
        into = replace(roth, value=roth.value + amount, contributions=roth.contributions + amount)
        shown = tuple(self._projected(drawn.left, into, each, tax, drawn.income) for each in self.scenarios)
        stays = tuple(self._projected(ira, roth, each, ZERO, ZERO) for each in self.scenarios)
        advantage = tuple(total((one.after_tax, -rest.after_tax)) for one, rest in zip(shown, stays, strict=True))
        name = self.roth.account_id if self.roth is not None else "a new Roth IRA"
        said = (
            f"{amount} of {ira.account_id} go into {name}: {drawn.income} of income, which adds {tax} to this year's "
            f"tax, and what comes out later is untaxed ({SOURCE})."
        )
        return Conversion(ira.account_id, roth.account_id, amount, drawn.income, tax, shown, advantage, said)

    def _drawn(self, wrapped: Wrapped, amount: Decimal, day: date | None = None) -> Drawn:
        law = wrapper_law(self.rules.code, wrapped.kind)
        if law is None:
            raise ValueError(f"the law of {self.rules.code} knows no {wrapped.kind} wrapper")
        return law.drawn(wrapped, amount, self.wish.saver, day or self.situation.today)

    def _projected(
        self, ira: Wrapped, roth: Wrapped, scenario: Scenario, tax: Decimal, converted: Decimal
    ) -> Projected:
        growth = Fraction(1 + scenario.growth) ** scenario.years
        today = self.situation.today
        end = date(today.year + scenario.years, today.month, min(today.day, LONGEST_MONTH))
        rate = Fraction(later_rate_of(self.situation, self.wish))
        worth, owed = [ZERO], [cents(Fraction(tax) * growth)]
        for each in (ira, roth):
            value = cents(Fraction(each.value) * growth)
            if value > 0:
                drawn = self._drawn(replace(each, value=value), value, end)
                worth.append(value)
                owed += [cents(Fraction(drawn.income) * rate), drawn.charge]
        if converted and scenario.years < ROTH_YEARS and early(self.wish.saver, end):
            # § 408A(d)(3)(F): of what was income, at most what is there.
            owed.append(cents(Fraction(min(converted, worth[-1])) * Fraction(EARLY_RATE)))
        return Projected(scenario, total(worth), total(owed), total((*worth, *(each.copy_negate() for each in owed))))
