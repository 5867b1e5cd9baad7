"""What gains cost an account, by the rates of its policy or by the law on top of the income that the policy tells."""

from datetime import date
from decimal import Decimal

from services.decision.domain.gain_rules import GainRules
from services.decision.domain.market import Market
from services.decision.domain.policy import Policy
from services.decision.domain.problem import (
    ZERO,
)
from services.decision.domain.tax import JURISDICTIONS
from services.decision.domain.tax.jurisdiction import Bracket, Taxpayer


def bracket_of(policy: Policy, market: Market, day: date) -> Bracket | None:
    """Return what gains cost on top of the income that a policy tells; None where its rates are the rates."""
    rules, income = JURISDICTIONS.get(policy.tax.jurisdiction or ""), policy.tax.taxable_income
    if rules is None or income is None:
        return None
    named = ((name.split(" "), amounts) for name, amounts in market.amounts.items())
    known = {int(year): amounts for (code, year), amounts in named if code == policy.tax.jurisdiction}
    return rules.bracket(day, Taxpayer(income.amount, policy.tax.filing_status, policy.tax.state_rate), known)


def first_short_rate(policy: Policy, bracket: Bracket | None) -> Decimal:
    """Return what the first short-term gain costs, 0 to 1."""
    told = None if bracket is None else bracket.short_rate
    return (policy.tax.short_term_rate or ZERO) if told is None else told


def gain_rules(policy: Policy, market: Market, day: date) -> GainRules:
    """Return what a policy, whose money is in the account's currency, asks about gains of any year from a day on."""
    tax, bracket = policy.tax, bracket_of(policy, market, day)
    return GainRules(
        long_rate=(tax.long_term_rate or ZERO) if bracket is None else bracket.rate,
        gain_budget=None if tax.gain_budget is None else tax.gain_budget.amount,
        gain_budgets={year: yearly.amount for year, yearly in tax.gain_budgets.items()},
        harvest_room=None if tax.gain_harvest_room is None else tax.gain_harvest_room.amount,
        harvest_importance=tax.gain_harvest_importance,
        later_rate=None if bracket is None or bracket.brackets is None else tax.long_term_rate,
    )
