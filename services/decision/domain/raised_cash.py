"""What would the money of a withdrawal cost out of another kind of account than the one that a plan raises it in?

The plan's own figure is what its sales add to the year's tax. Of the country's other wrappers it is what leaves them as
income, at the policy's rate on income where it has one (the short-term rate of the United States, 26 U.S.C. § 1222 with
§ 1(j)), with the owner's age reached and every waiting period over; what is charged before is told beside it. Which
accounts the household has, and what each would cost exactly, `CompareTaxActions` answers.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from services.decision.domain.book import TaxWrapper
from services.decision.domain.decision import Decision
from services.decision.domain.problem import ZERO, AccountProblem
from services.decision.domain.tax.wrappers import Saver, Wrapped, wrapper_law
from services.decision.domain.words import cents, money

# Of whom every age and every waiting period is over; whose age is unknown, and so not.
_OLD, _UNKNOWN = Saver(date.min), Saver()
_FIRST_YEAR = 1


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The same money out of another wrapper of the country.

    Attributes:
        income: What of it is income.
        tax: On that at the policy's rate; None where the policy has no rate on income.
        early: Charged beside it while the owner's age is not reached.
        early_income: Income while the owner's age is not reached.
    """

    wrapper: str
    income: Decimal
    tax: Decimal | None
    early: Decimal
    early_income: Decimal
    source: str
    early_source: str


@dataclass(frozen=True, slots=True)
class RaisedCash:
    """Money that a plan raises for a withdrawal, what its sales add to the year's tax, and the alternatives."""

    amount: Decimal
    tax: Decimal
    elsewhere: tuple[Elsewhere, ...]
    sentence: str


def raised_cash(problem: AccountProblem, decision: Decision, wrapper: TaxWrapper) -> RaisedCash | None:
    """Return what a plan raises for a withdrawal, or None where nothing is to leave or nothing is sold for it."""
    amount = problem.cash_rule.withdrawal
    sold = any(trade.lot_sales for trade in decision.trades)
    if amount <= 0 or not sold:
        return None
    taxes = decision.explanation.summary.taxes
    tax = ZERO if taxes is None else taxes.tax
    code = problem.tax.jurisdiction
    rate = problem.tax.short_rate if code == "US" and problem.tax.taxable else None
    kinds = [each for each in (TaxWrapper.DEFERRED, TaxWrapper.EXEMPT) if each is not wrapper]
    others = tuple(found for kind in kinds if (found := _elsewhere(code, kind, amount, rate, problem.as_of_date)))
    return RaisedCash(amount, tax, others, _told(amount, tax, others, problem.currency))


def _elsewhere(code: str, kind: TaxWrapper, amount: Decimal, rate: Decimal | None, day: date) -> Elsewhere | None:
    law = wrapper_law(code, kind)
    if law is None:
        return None
    whole = Wrapped("", kind, amount, first_year=_FIRST_YEAR)
    late, soon = law.drawn(whole, amount, _OLD, day), law.drawn(whole, amount, _UNKNOWN, day)
    tax = None if rate is None else cents(late.income * rate)
    return Elsewhere(law.name, late.income, tax, soon.charge, soon.income, late.source, soon.source)


def _told(amount: Decimal, tax: Decimal, others: tuple[Elsewhere, ...], currency: str) -> str:
    parts = [
        f"{money(amount, currency)} are raised for a withdrawal; the plan's sales add {money(tax, currency)} of tax"
    ]
    for each in others:
        said = f"out of a {each.wrapper} {money(each.income, currency)} of it would be income"
        if each.tax is not None:
            said += f", which costs {money(each.tax, currency)} at the policy's rate"
        said += f" ({each.source})"
        if each.early:
            said += (
                f", and before the owner's age is reached {money(each.early_income, currency)} with a charge of "
                f"{money(each.early, currency)} ({each.early_source})"
            )
        parts.append(said)
    return f"{'; '.join(parts)}."
