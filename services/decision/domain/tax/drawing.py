"""From which accounts is money best taken: by selling taxed lots, or out of wrappers?

Each way raises the same before tax. What comes out of a wrapper as income is taxed on top of the other income and may
lift the rates of the gains of the same year; both are reckoned together by the exact assessment. What is left is
followed to the end of each scenario: taxed lots are sold and taxed then, each with its own cost and age; what is left
in wrappers leaves them by their law, as income at `later_rate`.

The way of least tax fills from the wrappers that cost least on average and sells taxed lots for the rest. How much of
each is found by trying shares of the amount and the ends of the law's brackets, and from the best of them to the cent
in between.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from functools import cached_property

from services.decision.domain.book import TaxWrapper
from services.decision.domain.problem import ZERO
from services.decision.domain.tax import uk_income
from services.decision.domain.tax.assessment.history import cents, total
from services.decision.domain.tax.assessment.results import TaxRules
from services.decision.domain.tax.assessment.united_kingdom import UnitedKingdom
from services.decision.domain.tax.assessment.united_states import UnitedStatesYear
from services.decision.domain.tax.income import tax_of_income, with_income
from services.decision.domain.tax.projection import Projected, Scenario, projected
from services.decision.domain.tax.raising import CENT, Raiser
from services.decision.domain.tax.situation import Explained, Parcel, Situation
from services.decision.domain.tax.wrappers import TAX_FREE_PART, Drawn, Saver, Wrapped, WrapperLaw, wrapper_law

# Shares of the amount that are tried from each kind of account, and steps between the best of them.
SHARES, STEPS_MAX = 12, 40
GOLDEN = Decimal("0.6180339887")
# So much more income shows at which rate it is taxed.
RATE_PROBE = Decimal(1000)
LONGEST_MONTH = 28


class Order(StrEnum):
    """Which accounts money is taken from, in which order."""

    # What adds least tax this year.
    LEAST_TAX = "LEAST_TAX"
    # Taxed accounts, then those taxed when money leaves, then those never taxed: the usual advice.
    TAXED_FIRST = "TAXED_FIRST"
    DEFERRED_FIRST = "DEFERRED_FIRST"
    EXEMPT_FIRST = "EXEMPT_FIRST"
    # Of each kind its part of all.
    PROPORTIONAL = "PROPORTIONAL"


# The kinds in each order; taxed accounts are None.
ORDERS: Mapping[Order, tuple[TaxWrapper | None, ...]] = {
    Order.TAXED_FIRST: (None, TaxWrapper.DEFERRED, TaxWrapper.EXEMPT),
    Order.DEFERRED_FIRST: (TaxWrapper.DEFERRED, None, TaxWrapper.EXEMPT),
    Order.EXEMPT_FIRST: (TaxWrapper.EXEMPT, None, TaxWrapper.DEFERRED),
}


@dataclass(frozen=True, slots=True)
class Drawing:
    """One way to raise money from accounts.

    Attributes:
        drawn: Out of wrappers, by account.
        parcels: Sold in taxed accounts, at least tax.
        raised: Before tax.
        income: What of it is income.
        tax: Added to this year's, with all charges.
        projected: What is left of everything in each scenario, the tax of this year with its growth taken off.
        advantage: In each scenario, over the way that leaves least in the first.
    """

    order: Order
    drawn: tuple[Drawn, ...]
    parcels: tuple[Parcel, ...]
    raised: Decimal
    income: Decimal
    tax: Decimal
    projected: tuple[Projected, ...]
    sentence: str
    advantage: tuple[Decimal, ...] = ()


@dataclass(frozen=True, slots=True)
class DrawingWish:
    """What is asked: money to raise, 0 for none, and what must be known of wrappers and their owner.

    Attributes:
        later_rate: At which income is taxed at the end of the scenarios, 0 to 1; None is that of the next income now.
    """

    amount: Decimal
    saver: Saver
    wrapped: tuple[Wrapped, ...]
    later_rate: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Drawings:
    """The ways to raise money, and what a person should look at, in sentences."""

    ways: tuple[Drawing, ...]
    review: tuple[str, ...]


def drawings(
    situation: Situation, explained: Sequence[Explained], wish: DrawingWish, scenarios: Sequence[Scenario]
) -> Drawings:
    """Return the ways to raise money from all accounts, the best after tax in the first scenario first.

    There are none where nothing is asked for or in a wrapper, or all accounts together have not so much.

    Raises:
        TaxYearUnknown: The bands of the year's tax on income are not known.
    """
    law = {each.account_id: wrapper_law(situation.rules.code, each.kind) for each in wish.wrapped}
    known = tuple(each for each in wish.wrapped if law[each.account_id] is not None and each.value > 0)
    review = _review(situation.rules.code, wish, law)
    case = _Case(situation, tuple(explained), replace(wish, wrapped=known), tuple(scenarios))
    if not known or not 0 < wish.amount <= case.taxed + total(each.value for each in known):
        return Drawings((), review)
    ways = [case.least()]
    for order, kinds in ORDERS.items():
        ways.append(case.way(order, *case.in_order(kinds)))
    ways.append(case.way(Order.PROPORTIONAL, *case.proportional()))
    names = list(Order)
    ways.sort(key=lambda each: (-each.projected[0].after_tax, names.index(each.order)))
    return Drawings(tuple(_over(each, ways[-1]) for each in ways), review)


def later_rate_of(situation: Situation, wish: DrawingWish) -> Decimal:
    """Return the rate at which income is taxed at the end of the scenarios.

    Raises:
        TaxYearUnknown: The bands of the year's tax on income are not known.
    """
    if wish.later_rate is not None:
        return wish.later_rate
    return tax_of_income(situation.rules, situation.tax_year, RATE_PROBE) / RATE_PROBE


def _over(each: Drawing, other: Drawing) -> Drawing:
    pairs = zip(each.projected, other.projected, strict=True)
    return replace(each, advantage=tuple(total((one.after_tax, -rest.after_tax)) for one, rest in pairs))


def _review(code: str, wish: DrawingWish, law: Mapping[str, WrapperLaw | None]) -> tuple[str, ...]:
    said: list[str] = []
    for each in wish.wrapped:
        found = law[each.account_id]
        if found is None:
            said.append(f"account {each.account_id}: the law of {code} knows no such wrapper, and it was left out")
        elif found.asks_age and wish.saver.birth_date is None:
            name = found.name
            said.append(f"account {each.account_id}: its owner's age is unknown, and the {name} was taken as before it")
    return tuple(said)


# What is taken of each wrapper, by account id, and raised by selling taxed lots.
_Taken = tuple[Mapping[str, Decimal], Decimal]


@dataclass(frozen=True)  # Without slots, so that what is worked out once is kept.
class _Case:
    situation: Situation
    explained: tuple[Explained, ...]
    wish: DrawingWish
    scenarios: tuple[Scenario, ...]

    @cached_property
    def raiser(self) -> Raiser:
        """Who sells taxed lots."""
        return Raiser.of(self.situation, self.explained)

    @property
    def taxed(self) -> Decimal:
        """What selling every taxed lot would bring."""
        return self.raiser.most

    @cached_property
    def later_rate(self) -> Decimal:
        """At which income is taxed at the end."""
        return later_rate_of(self.situation, self.wish)

    @cached_property
    def cheapest(self) -> tuple[Wrapped, ...]:
        """The wrappers, those first of which money costs least on average when all of the amount came from there."""

        def rate(each: Wrapped) -> Fraction:
            amount = min(self.wish.amount, each.value)
            return Fraction(self.cost((self._drawn(each, amount, self.wish.saver),))) / Fraction(amount)

        return tuple(sorted(self.wish.wrapped, key=lambda each: (rate(each), each.account_id)))

    def in_order(self, kinds: Iterable[TaxWrapper | None]) -> _Taken:
        """Return what is taken when each kind is used up before the next."""
        left, taken, sold = self.wish.amount, dict[str, Decimal](), ZERO
        for kind in kinds:
            if kind is None:
                sold = min(left, self.taxed)
                left -= sold
            for each in (one for one in self.wish.wrapped if one.kind is kind):
                taken[each.account_id] = min(left, each.value)
                left -= taken[each.account_id]
        return taken, sold

    def proportional(self) -> _Taken:
        """Return what is taken when each account gives its part of all."""
        whole = Fraction(self.taxed + total(each.value for each in self.wish.wrapped))
        taken = {
            each.account_id: min(cents(Fraction(self.wish.amount) * Fraction(each.value) / whole), each.value)
            for each in self.wish.wrapped
        }
        rest = self.wish.amount - total(taken.values())
        sold = min(max(rest, ZERO), self.taxed)
        for each in self.wish.wrapped:  # What rounding left, to the cent.
            more = min(max(rest - sold, ZERO), each.value - taken[each.account_id])
            taken[each.account_id] += more
            rest -= more
        return taken, sold

    def filled(self, sold: Decimal) -> _Taken:
        """Return what is taken when so much is sold, and the cheapest wrappers give the rest."""
        left, taken = self.wish.amount - sold, dict[str, Decimal]()
        for each in self.cheapest:
            taken[each.account_id] = min(left, each.value)
            left -= taken[each.account_id]
        return taken, sold

    def least(self) -> Drawing:
        """Return the way that adds least tax to the year's."""
        lowest = max(self.wish.amount - total(each.value for each in self.wish.wrapped), ZERO)
        highest = min(self.wish.amount, self.taxed)
        tried: dict[Decimal, Decimal] = {}

        def tax(sold: Decimal) -> Decimal:
            if sold not in tried:
                tried[sold] = self._reckoned(*self.filled(sold))
            return tried[sold]

        starts = {lowest + ((highest - lowest) * step / SHARES).quantize(CENT) for step in range(SHARES + 1)}
        starts |= {self.wish.amount - each for each in self._edges()} | {self.raiser.without_gain}
        points = sorted({min(max(each, lowest), highest) for each in starts})
        best = min(points, key=lambda each: (tax(each), each))
        place = points.index(best)
        low, high = points[max(place - 1, 0)], points[min(place + 1, len(points) - 1)]
        for _ in range(STEPS_MAX):  # Golden section: Kiefer 1953.
            if high - low <= 2 * CENT:
                break
            one, other = (edge + (far - edge) * GOLDEN for edge, far in ((high, low), (low, high)))
            one, other = one.quantize(CENT), other.quantize(CENT)
            low, high = (low, other) if tax(one) <= tax(other) else (one, high)
        found = min(tried, key=lambda each: (tried[each], each))
        return self.way(Order.LEAST_TAX, *self.filled(found))

    def _reckoned(self, taken: Mapping[str, Decimal], sold: Decimal) -> Decimal:
        """Return what is added to the year's tax, each loss counted as if its lot alone were sold."""
        drawn = self._all_drawn(taken)
        return total((self.raiser.least(sold, self._rules(drawn)), self.cost(drawn)))

    def _rules(self, drawn: Sequence[Drawn]) -> TaxRules:
        """Return the rules by which gains are taxed on top of the income that came."""
        income = total(each.income for each in drawn)
        if not income:
            return self.situation.rules
        return with_income(self.situation.rules, self.situation.tax_year, income)

    def _edges(self) -> set[Decimal]:
        """Return the amounts out of wrappers at which a bracket of the tax on income ends, or untaxed money does."""
        rules, year = self.situation.rules, self.situation.tax_year
        untaxed = [each for each in self.cheapest if self.cost((self._drawn(each, each.value, self.wish.saver),)) == 0]
        free = total(each.value for each in untaxed)
        paid_in = total(each.contributions for each in self.cheapest if each not in untaxed)
        tops: tuple[Decimal, ...] = ()
        if isinstance(rules, UnitedStatesYear):
            law = rules.years[year][rules.filing_status]
            tops = tuple(top - rules.ordinary_income for top in (*law.ordinary_tops, *law.long_term_tops))
        elif isinstance(rules, UnitedKingdom):
            tops = uk_income.edges(rules, year)
            tops += tuple((top / (1 - TAX_FREE_PART)).quantize(CENT) for top in tops)
        return {free, free + paid_in, *(free + top for top in tops if top > 0)}

    def _drawn(self, wrapped: Wrapped, amount: Decimal, saver: Saver, day: date | None = None) -> Drawn:
        law = wrapper_law(self.situation.rules.code, wrapped.kind)
        if law is None:
            raise ValueError(f"the law of {self.situation.rules.code} knows no {wrapped.kind} wrapper")
        return law.drawn(wrapped, amount, saver, day or self.situation.today)

    def _all_drawn(self, taken: Mapping[str, Decimal]) -> tuple[Drawn, ...]:
        saver, found = self.wish.saver, list[Drawn]()
        for each in self.wish.wrapped:
            if taken[each.account_id] > 0:
                found.append(self._drawn(each, taken[each.account_id], saver))
                saver = found[-1].saver
        return tuple(found)

    def cost(self, drawn: Sequence[Drawn]) -> Decimal:
        """Return the tax on the income that comes out of wrappers, gains left out, and the charges."""
        income = total(each.income for each in drawn)
        taxed = tax_of_income(self.situation.rules, self.situation.tax_year, income) if income else ZERO
        return total((taxed, *(each.charge for each in drawn)))

    def tax(self, taken: Mapping[str, Decimal], sold: Decimal) -> tuple[Decimal, tuple[Drawn, ...], tuple[Parcel, ...]]:
        """Return what is added to the year's tax, and what is drawn and sold."""
        drawn = self._all_drawn(taken)
        rules = self._rules(drawn)
        parcels = self.raiser.least_tax(sold, rules) if sold > 0 else ()
        after = replace(self.situation, rules=rules).with_sales(parcels)
        return total((after.tax, self.situation.tax.copy_negate(), self.cost(drawn))), drawn, parcels

    def way(self, order: Order, taken: Mapping[str, Decimal], sold: Decimal) -> Drawing:
        """Return what comes of a way."""
        tax, drawn, parcels = self.tax(taken, sold)
        after = self.situation.with_sales(parcels)
        # The tax on gains as if no income came is in what is projected; the rest is not.
        beside = total((tax, after.tax.copy_negate(), self.situation.tax))
        left = {each.wrapped.account_id: each.left for each in drawn}
        wrapped = tuple(left.get(each.account_id, each) for each in self.wish.wrapped)
        saver = drawn[-1].saver if drawn else self.wish.saver
        raised = total((*(each.amount for each in drawn), *(each.value for each in parcels)))
        income = total(each.income for each in drawn)
        made = tuple(self._projected(after, wrapped, saver, beside, each) for each in self.scenarios)
        return Drawing(order, drawn, parcels, raised, income, tax, made, _told(drawn, parcels, raised, tax))

    def _projected(
        self, after: Situation, wrapped: Sequence[Wrapped], saver: Saver, beside: Decimal, scenario: Scenario
    ) -> Projected:
        taxed = projected(after, scenario)
        growth = Fraction(1 + scenario.growth) ** scenario.years
        today = self.situation.today
        end = date(today.year + scenario.years, today.month, min(today.day, LONGEST_MONTH))
        worth, owed = [taxed.value], [taxed.taxes, cents(Fraction(beside) * growth)]
        for each in wrapped:
            value = cents(Fraction(each.value) * growth)
            if value <= 0:
                continue
            drawn = self._drawn(replace(each, value=value), value, saver, end)
            saver = drawn.saver
            worth.append(value)
            owed += [cents(Fraction(drawn.income) * Fraction(self.later_rate)), drawn.charge]
        return Projected(scenario, total(worth), total(owed), total((*worth, *(each.copy_negate() for each in owed))))


def _told(drawn: Sequence[Drawn], parcels: Sequence[Parcel], raised: Decimal, tax: Decimal) -> str:
    parts = [
        f"{each.amount} from {each.wrapped.account_id}, {each.income} of it income"
        + (f" and {each.charge} charged" if each.charge else "")
        + f" ({each.source})"
        for each in drawn
    ]
    if parcels:
        parts.insert(0, f"{total(each.value for each in parcels)} by selling taxed lots")
    return f"{raised} are raised: {'; '.join(parts)}. It adds {tax} to this year's tax."
