"""Amounts of accounts that are kept in another currency than the law reckons in: each at the rate of its own day.

Sources: what was paid and what came in are turned into the tax currency on the day of each (26 U.S.C. § 988, § 1012
with Rev. Rul. 54-105; Capcount Trading v Evans [1993] STC 11; ITA s. 261(2); EStG § 20 Abs. 4 Satz 1 Halbsatz 2), so a
change of the rate between both is part of the gain. What was sent in the tax currency itself is taken as it was sent.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction

from services.decision.domain.tax.assessment.history import (
    Acquisition,
    CostChange,
    Disposal,
    Dividend,
    Gift,
    Receipt,
    Transfer,
    cents,
)
from services.decision.domain.tax.events import Row
from services.decision.domain.tax.laws import CurrencyWithoutRate
from services.kernel.errors import FieldViolation
from services.kernel.money import Money

# By day and currency: what one unit was worth in the tax currency.
DayRates = Mapping[tuple[date, str], Decimal]


@dataclass(frozen=True, slots=True)
class TaxCurrency:
    """Turns rows of accounts into the tax currency.

    Attributes:
        currency: In which the law reckons, ISO 4217.
        kept: In which each account is kept, by its id.
    """

    currency: str
    kept: Mapping[str, str]
    rates: DayRates

    def row(self, row: Row, sent: Money | None = None) -> Row:
        """Return a row with its amounts in the tax currency; `sent` is its amount as it was sent, where in another.

        Raises:
            CurrencyWithoutRate: The rate of a day is not known.
        """
        match row:
            case Acquisition():
                return replace(row, cost=self._amount(row.account_id, row.day, row.cost, sent))
            case Disposal():
                return replace(row, proceeds=self._amount(row.account_id, row.day, row.proceeds, sent))
            case CostChange() | Dividend():
                return replace(row, amount=self._amount(row.account_id, row.day, row.amount, sent))
            case Gift():
                return replace(row, value=self._amount(row.account_id, row.day, row.value, sent))
            case Transfer():
                worth = None if row.value is None else self._amount(row.account_id, row.day, row.value, sent)
                return replace(row, value=worth)
            case Receipt():
                cost, since = row.giver_cost, row.giver_date or row.day
                return replace(
                    row,
                    value=self._amount(row.account_id, row.day, row.value, sent),
                    giver_cost=None if cost is None else self._amount(row.account_id, since, cost),
                )
            case _:  # What happens to an asset says what was paid in each currency.
                return row

    def _amount(self, account_id: str, day: date, amount: Decimal, sent: Money | None = None) -> Decimal:
        kept = self.kept[account_id]
        if kept == self.currency or not amount:
            return amount
        if sent is not None and sent.currency == self.currency:
            return sent.amount
        rate = self.rates.get((day, kept))
        if rate is None:
            said = f"must be kept in {self.currency}, or the rates of its days be known, was in {kept}"
            missing = f": there is none of {day}" if self.rates else ""
            raise CurrencyWithoutRate(
                f"account {account_id} {said}{missing}",
                violations=[FieldViolation("account_id", f"{said}{missing}")],
                account_id=account_id,
            )
        return cents(Fraction(amount) * Fraction(rate))
