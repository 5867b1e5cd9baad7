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

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

from services.decision.domain.problem import ZERO
from services.decision.domain.tax.assessment.history import total
from services.decision.domain.tax.assessment.results import Term, gain_on
from services.decision.domain.tax.assessment.united_states import UnitedStatesYear
from services.decision.domain.tax.situation import Explained, Parcel, Situation, part_of

# Amounts that are searched for are found to the cent.
CENT = Decimal("0.01")
# Gains by kind: short-term, all others.
Gains = tuple[Fraction, Fraction]


@dataclass(frozen=True, slots=True)
class _Way:
    """A share of each parcel, and what they gain together."""

    shares: tuple[Fraction, ...]
    gains: Gains


@dataclass(frozen=True, slots=True)
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
        return total(each.parcel.value for each in self.explained if self._gain(each) <= 0)

    def least_tax(self, amount: Decimal) -> tuple[Parcel, ...]:
        """Return the parts of parcels that raise an amount, at most `most`, at least tax."""
        best = self._best(amount)
        return tuple(
            each.parcel if share == 1 else part_of(each.parcel, _money(share * Fraction(each.parcel.value)))
            for each, share in zip(self.explained, best.shares, strict=True)
            if share > 0
        )

    def _best(self, amount: Decimal) -> _Way:
        ways = list(self._edge(Fraction(amount)))
        found = [(self._tax(way), number, way) for number, way in enumerate(ways)]
        for one, other in pairwise(ways):
            for share in self._corners_between(one, other):
                mixed = _mixed(one, other, share)
                found.append((self._tax(mixed), len(found), mixed))
        return min(found, key=lambda each: each[:2])[2]

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

        def order(number: int) -> tuple[Fraction, Fraction, int]:
            each = self.explained[number]
            gain, value = self._gain(each), Fraction(each.parcel.value)
            own = short if each.term is Term.SHORT else long
            return own * gain / value, gain / value, number

        shares = [Fraction(0)] * len(self.explained)
        left = amount
        for number in sorted(range(len(self.explained)), key=order):
            if left <= 0:
                break
            value = Fraction(self.explained[number].parcel.value)
            shares[number] = min(left / value, Fraction(1))
            left -= shares[number] * value
        return _Way(tuple(shares), self._gains(shares))

    def _gains(self, shares: Sequence[Fraction]) -> Gains:
        short = other = Fraction(0)
        for each, share in zip(self.explained, shares, strict=True):
            if each.term is Term.SHORT:
                short += share * self._gain(each)
            else:
                other += share * self._gain(each)
        return short, other

    def _gain(self, each: Explained) -> Fraction:
        return Fraction(each.parcel.gain) + Fraction(each.disallowed_loss)

    def _tax(self, way: _Way) -> Decimal:
        """Return what a way adds to the year's tax."""
        gains: dict[tuple[str, Term], Fraction] = {}
        for each, share in zip(self.explained, way.shares, strict=True):
            key = each.parcel.asset, each.term
            gains[key] = gains.get(key, Fraction(0)) + share * self._gain(each)
        made = [
            gain_on(self.situation.today, _money(gain), term, asset) for (asset, term), gain in gains.items() if gain
        ]
        with_it = self.situation.rules.tax_with(self.situation.assessment, made)
        return total((with_it, self.situation.tax.copy_negate()))

    def _corners_between(self, one: _Way, other: _Way) -> Iterator[Fraction]:
        """Yield the shares of the second way, mixed with the first, at which the law has a corner."""
        rules, assessment = self.situation.rules, self.situation.assessment
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
    shares = tuple((1 - share) * a + share * b for a, b in zip(one.shares, other.shares, strict=True))
    short, long = ((1 - share) * a + share * b for a, b in zip(one.gains, other.gains, strict=True))
    return replace(one, shares=shares, gains=(short, long))


def _money(amount: Fraction) -> Decimal:
    return (Decimal(amount.numerator) / Decimal(amount.denominator)).quantize(CENT)
