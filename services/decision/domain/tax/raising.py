"""How is money raised at least tax?

What a sale adds to the year's tax depends on all sales together, but only through two sums: their short-term and their
long-term gain. The tax never falls when either grows. So of all ways to raise an amount only those matter of which
neither sum can be lower without the other being higher: the lower left edge of a polygon, whose corners are found by
selling in the order of weighted gain for its value, for one pair of weights after the other (Dantzig 1957 for one
weight; the corners between two corners are found by asking in the direction across them). Between two corners the tax
is linear but where the law has a corner, so its least is at one of those. All are tried by the exact assessment.

Where the law knows no terms there is one sum, and the order of gain for value is best by itself.

An amount above that of all parcels without a gain takes more tax the larger it is, so the most for a given tax is found
by bisection. A loss is counted as far as it would count if its parcel alone were sold; where one sale
frees another's loss, the exact tax is less than what was reckoned with.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from itertools import pairwise

from services.decision.domain.problem import ZERO
from services.decision.domain.tax.assessment.history import total
from services.decision.domain.tax.assessment.results import TaxRules, Term, gain_on
from services.decision.domain.tax.assessment.united_states import UnitedStatesYear
from services.decision.domain.tax.situation import Explained, Parcel, Situation, part_of

# Amounts that are searched for are found to the cent.
CENT = Decimal("0.01")
# Gains by kind: short-term, all others.
Gains = tuple[Fraction, Fraction]


@dataclass(frozen=True, slots=True)
class _Way:
    """A share of each parcel that is sold, by its number; what they gain together, and in each group of the raiser."""

    shares: Mapping[int, Fraction]
    gains: Gains
    by_group: tuple[Fraction, ...]


@dataclass(frozen=True)  # Without slots, so that what each parcel gains is worked out once.
class Raiser:
    """A taxpayer's parcels that may be sold, with the gain of each that counts."""

    situation: Situation
    explained: tuple[Explained, ...]

    @classmethod
    def of(cls, situation: Situation, explained: Sequence[Explained]) -> "Raiser":
        """Return the raiser of those that are worth something."""
        return cls(situation, tuple(each for each in explained if each.parcel.value > 0))

    @property
    def most(self) -> Decimal:
        """What everything is worth."""
        return total(each.parcel.value for each in self.explained)

    @property
    def without_gain(self) -> Decimal:
        """What all is worth of which a sale makes no gain: up to here, more raised need not be more taxed."""
        gains = zip(self.explained, self._gain, strict=True)
        return total(each.parcel.value for each, gain in gains if gain <= 0)

    def least_tax(self, amount: Decimal, rules: TaxRules | None = None) -> tuple[Parcel, ...]:
        """Return the parts of parcels that raise an amount, at most `most`, at least tax.

        Args:
            amount: Above 0.
            rules: By which the year is taxed, where another income came beside the gains; None for the situation's.
        """
        shares = self._best(amount, rules or self.situation.rules)[1].shares
        return tuple(
            each.parcel if shares[number] == 1 else part_of(each.parcel, _money(shares[number] * self._value[number]))
            for number, each in enumerate(self.explained)
            if shares.get(number)
        )

    def least(self, amount: Decimal, rules: TaxRules) -> Decimal:
        """Return the least tax that raising an amount, 0 to `most`, makes by `rules`, less that of the situation."""
        return self._best(amount, rules)[0]

    def _best(self, amount: Decimal, rules: TaxRules) -> tuple[Decimal, _Way]:
        ways = list(self._edge(Fraction(amount)))
        found = [(self._tax(way, rules), number, way) for number, way in enumerate(ways)]
        for one, other in pairwise(ways):
            for share in self._corners_between(one, other, rules):
                mixed = _mixed(one, other, share)
                found.append((self._tax(mixed, rules), len(found), mixed))
        tax, _, way = min(found, key=lambda each: each[:2])
        return tax, way

    @cached_property
    def _value(self) -> tuple[Fraction, ...]:
        return tuple(Fraction(each.parcel.value) for each in self.explained)

    @cached_property
    def _gain(self) -> tuple[Fraction, ...]:
        """What of each parcel's gain counts, as if it were sold alone."""
        return tuple(Fraction(each.parcel.gain) + Fraction(each.disallowed_loss) for each in self.explained)

    @cached_property
    def _ratio(self) -> tuple[float, ...]:
        """Gain over value. A float orders parcels; whatever is counted is exact."""
        return tuple(float(gain / value) for gain, value in zip(self._gain, self._value, strict=True))

    @cached_property
    def _groups(self) -> tuple[tuple[str, Term], ...]:
        """What the law may tell apart: each asset and term once."""
        return tuple(dict.fromkeys((each.parcel.asset, each.term) for each in self.explained))

    @cached_property
    def _group(self) -> tuple[int, ...]:
        """The group of each parcel."""
        places = {group: place for place, group in enumerate(self._groups)}
        return tuple(places[each.parcel.asset, each.term] for each in self.explained)

    def _edge(self, amount: Fraction) -> Iterator[_Way]:
        """Yield the corners of the lower left edge, from the least short-term gain to the least of the others."""
        first, last = self._filled(amount, 1, 0), self._filled(amount, 0, 1)
        yield first
        if first.gains != last.gains:
            yield from self._between(amount, first, last)
            yield last

    def _between(self, amount: Fraction, one: _Way, other: _Way) -> Iterator[_Way]:
        across = one.gains[1] - other.gains[1], other.gains[0] - one.gains[0]
        if across[0] <= 0 or across[1] <= 0:
            return
        found = self._filled(amount, *across)
        lower = sum(a * (b - c) for a, b, c in zip(across, one.gains, found.gains, strict=True))
        if lower > 0:
            yield from self._between(amount, one, found)
            yield found
            yield from self._between(amount, found, other)

    def _filled(self, amount: Fraction, short: Fraction | int, long: Fraction | int) -> _Way:
        """Return the way that raises an amount with the least weighted gain; of equals, that with less of the other."""
        weight = [float(short) if term is Term.SHORT else float(long) for _, term in self._groups]
        ratio, group = self._ratio, self._group

        def order(number: int) -> tuple[float, float, int]:
            return weight[group[number]] * ratio[number], ratio[number], number

        shares: dict[int, Fraction] = {}
        by_group = [Fraction(0)] * len(self._groups)
        left = amount
        for number in sorted(range(len(self.explained)), key=order):
            if left <= 0:
                break
            value, gain = self._value[number], self._gain[number]
            shares[number] = Fraction(1) if left >= value else left / value
            by_group[group[number]] += gain if left >= value else shares[number] * gain
            left -= value
        return self._way(shares, by_group)

    def _way(self, shares: Mapping[int, Fraction], by_group: Sequence[Fraction]) -> _Way:
        gains = zip(self._groups, by_group, strict=True)
        short = sum((gain for (_, term), gain in gains if term is Term.SHORT), Fraction(0))
        return _Way(shares, (short, sum(by_group, Fraction(0)) - short), tuple(by_group))

    def _tax(self, way: _Way, rules: TaxRules) -> Decimal:
        """Return what a way adds to the year's tax."""
        made = [
            gain_on(self.situation.today, _money(gain), term, asset)
            for (asset, term), gain in zip(self._groups, way.by_group, strict=True)
            if gain
        ]
        with_it = rules.tax_with(self.situation.assessment, made)
        return total((with_it, self.situation.tax.copy_negate()))

    def _corners_between(self, one: _Way, other: _Way, rules: TaxRules) -> Iterator[Fraction]:
        """Yield the shares of the second way, mixed with the first, at which the law has a corner."""
        assessment = self.situation.assessment
        if not isinstance(rules, UnitedStatesYear):
            return
        year = rules.years[assessment.tax_year][rules.filing_status]
        ordinary, qualified = assessment.amount("ordinary_dividends"), assessment.amount("qualified_dividends")
        base = rules.ordinary_income + ordinary
        tops = (ZERO, *year.ordinary_tops, *year.long_term_tops, year.investment_income_threshold)
        edges = {top - base - extra for top in tops for extra in (ZERO, qualified)}
        edges |= {ZERO, year.loss_cap.copy_negate(), (rules.investment_income + ordinary + qualified).copy_negate()}
        short, long = Fraction(assessment.amount("net_short_term")), Fraction(assessment.amount("net_long_term"))
        for a, b in ((1, 0), (0, 1), (1, 1)):
            begin = a * (short + one.gains[0]) + b * (long + one.gains[1])
            end = a * (short + other.gains[0]) + b * (long + other.gains[1])
            for edge in edges:
                if begin != end and 0 < (Fraction(edge) - begin) / (end - begin) < 1:
                    yield (Fraction(edge) - begin) / (end - begin)


def _mixed(one: _Way, other: _Way, share: Fraction) -> _Way:
    def mixed(first: Fraction, second: Fraction) -> Fraction:
        return (1 - share) * first + share * second

    none = Fraction(0)
    numbers = {*one.shares, *other.shares}
    shares = {each: mixed(one.shares.get(each, none), other.shares.get(each, none)) for each in sorted(numbers)}
    by_group = tuple(mixed(*each) for each in zip(one.by_group, other.by_group, strict=True))
    short, long = (mixed(*each) for each in zip(one.gains, other.gains, strict=True))
    return _Way(shares, (short, long), by_group)


def _money(amount: Fraction) -> Decimal:
    return (Decimal(amount.numerator) / Decimal(amount.denominator)).quantize(CENT)
