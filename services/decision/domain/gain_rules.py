"""What a policy asks about gains, whatever the year: a year's `TaxProfile` follows from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

ONE = Decimal(1)


@dataclass(frozen=True, slots=True)
class GainRules:
    """Amounts are in the account's currency, 0 or more.

    Attributes:
        long_rate: Of long-term gains, 0 to 1, where no room without tax is left.
        gain_budget: Most net gain of a tax year that `gain_budgets` does not name; None for no limit.
        gain_budgets: By the calendar year in which a tax year begins.
        harvest_room: Net gain of a tax year on which no tax falls due; None where gains are not harvested.
        harvest_importance: What counts of the tax that such a gain saves later, 0 to 1.
        later_rate: What a gain harvested now would cost later, 0 to 1; None for `long_rate`.
    """

    long_rate: Decimal
    gain_budget: Decimal | None = None
    gain_budgets: Mapping[int, Decimal] = field(default_factory=dict)
    harvest_room: Decimal | None = None
    harvest_importance: Decimal = ONE
    later_rate: Decimal | None = None

    def budget(self, tax_year: int) -> Decimal | None:
        """Return the most net gain of a tax year; None for no limit."""
        return self.gain_budgets.get(tax_year, self.gain_budget)
