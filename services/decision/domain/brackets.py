"""What gains cost on top of a taxpayer's other income, where income fills brackets: those of one year, as values."""

from bisect import bisect_right
from dataclasses import dataclass
from decimal import Decimal

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Scale:
    """Rates of income by brackets, 0 to 1: the tops of all but the last, ascending, in currency."""

    tops: tuple[Decimal, ...]
    rates: tuple[Decimal, ...]

    def at(self, income: Decimal) -> Decimal:
        """Return what the next unit on top of an income costs; nothing while it is below 0."""
        return ZERO if income < 0 else self.rates[bisect_right(self.tops, income)]

    def tax(self, income: Decimal) -> Decimal:
        """Return the tax on an income; of one below 0 nothing."""
        owed, bottom = ZERO, ZERO
        for top, rate in zip((*self.tops, income), self.rates, strict=True):
            owed += max(min(top, income) - bottom, ZERO) * rate
            bottom = top
        return owed


@dataclass(frozen=True, slots=True)
class Brackets:
    """The federal law of the United States on top of an income, in currency.

    Attributes:
        income: Taxable, without these gains, 0 or more.
        ordinary: Of income and of short-term gains.
        long_term: Of long-term gains, which lie on top of all other income.
        investment_rate: Of net investment income above the threshold, 0 to 1.
        investment_threshold: Income from which on it is due.
        state_rate: Of the state on net gains, 0 to 1.
        loss_cap: Net loss of a year that other income meets at most, 0 or more.
    """

    income: Decimal
    ordinary: Scale
    long_term: Scale
    investment_rate: Decimal
    investment_threshold: Decimal
    state_rate: Decimal
    loss_cap: Decimal

    @property
    def highest(self) -> Decimal:
        """A rate that no unit of gain or loss exceeds, whatever else is realized."""
        return max(self.ordinary.rates) + max(self.long_term.rates) + self.investment_rate + self.state_rate

    @property
    def rates(self) -> tuple[Decimal, Decimal]:
        """What the first unit of short-term and of long-term gain costs."""
        others = self.state_rate + (self.investment_rate if self.income >= self.investment_threshold else ZERO)
        return self.ordinary.at(self.income) + others, self.long_term.at(self.income) + others
