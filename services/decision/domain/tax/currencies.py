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
    History,
    Receipt,
    Transfer,
    cents,
)
from services.decision.domain.tax.events import Row
from services.decision.domain.tax.laws import CurrencyWithoutRate, Law, check_currencies
from services.decision.domain.tax.redeeming import units_held
from services.kernel.decimals import EXACT
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
                return replace(row, cost=self.amount(row.account_id, row.day, row.cost, sent))
            case Disposal():
                return replace(row, proceeds=self.amount(row.account_id, row.day, row.proceeds, sent))
            case CostChange() | Dividend():
                return replace(row, amount=self.amount(row.account_id, row.day, row.amount, sent))
            case Gift():
                return replace(row, value=self.amount(row.account_id, row.day, row.value, sent))
            case Transfer():
                worth = None if row.value is None else self.amount(row.account_id, row.day, row.value, sent)
                return replace(row, value=worth)
            case Receipt():
                cost, since = row.giver_cost, row.giver_date or row.day
                return replace(
                    row,
                    value=self.amount(row.account_id, row.day, row.value, sent),
                    giver_cost=None if cost is None else self.amount(row.account_id, since, cost),
                )
            case _:  # What happens to an asset says what was paid in each currency.
                return row

    def prices(self, prices: Mapping[str, Decimal], day: date, history: History) -> Mapping[str, Decimal]:
        """Return prices of a day in the tax currency, exactly: those of what accounts in another one hold are turned.

        Args:
            prices: Of one unit of each asset, in the currency of the accounts that hold it.
            day: Whose rate counts.
            history: Of the accounts; what they hold at its end.

        Raises:
            CurrencyWithoutRate: The rate of the day is not known.
        """
        turned = {
            asset: EXACT.multiply(prices[asset], self._rate(account_id, day))
            for (account_id, asset), units in sorted(units_held(history).items())
            if units and asset in prices and self.kept[account_id] != self.currency
        }
        return {**prices, **turned}

    def amount(self, account_id: str, day: date, amount: Decimal, sent: Money | None = None) -> Decimal:
        """Return an amount of an account at the rate of a day, in whole cents, half to even; or as it was `sent`.

        Raises:
            CurrencyWithoutRate: The rate of the day is not known.
        """
        if self.kept[account_id] == self.currency or not amount:
            return amount
        if sent is not None and sent.currency == self.currency:
            return sent.amount
        return cents(Fraction(amount) * Fraction(self._rate(account_id, day)))

    def _rate(self, account_id: str, day: date) -> Decimal:
        kept = self.kept[account_id]
        rate = self.rates.get((day, kept))
        if rate is None:
            said = f"must be kept in {self.currency}, or the rates of its days be known, was in {kept}"
            said = f"{said}: there is none of {day}"
            raise CurrencyWithoutRate(
                f"account {account_id} {said}",
                violations=[FieldViolation("account_id", said)],
                account_id=account_id,
            )
        return rate


def tax_currency(law: Law, kept: Mapping[str, str], rates: DayRates | None) -> TaxCurrency | None:
    """Return what turns the amounts of accounts into the law's currency; None when all are kept in it.

    Args:
        law: By which the accounts are taxed.
        kept: In which each account is kept, by its id.
        rates: Of days and currencies into the law's; none when None or empty.

    Raises:
        CurrencyWithoutRate: An account is kept in another currency, and there are no rates.
    """
    if all(each == law.currency for each in kept.values()):
        return None
    if not rates:
        check_currencies(law.code, kept)
    return TaxCurrency(law.currency, kept, rates or {})
