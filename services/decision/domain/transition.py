"""How an account gets to its target over several tax years.

What is concentrated, or has grown for decades, is not sold in a day: the policy bounds the net gain of each tax year
(`gain_budget`, `gain_budgets`). So there is a step now and one at the beginning of each tax year after it. Each is
decided by the production engine on the account as the steps before it leave it: lots, cash, gains, losses that the law
carries on, and holding periods. Prices, risk model, rates and law stay those of today, because nobody knows later
ones; on its day each step is decided anew.
"""

from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal

from services.decision.domain.deciding import (
    AccountInputs,
    Basis,
    Check,
    Decide,
    asked_of,
    options_of,
    plan_outcome,
    policy_of,
)
from services.decision.domain.gain_rules import GainRules
from services.decision.domain.ladder import after
from services.decision.domain.plan import Draft, NothingDecided, PlanOutcome, PlanUnsafe
from services.decision.domain.problem import ZERO, AccountProblem, DecideOptions, RiskModel
from services.decision.domain.rates_of_gains import gain_rules
from services.decision.domain.tax import jurisdiction
from services.decision.domain.tax_years import in_year
from services.decision.domain.words import money, percent

BPS_PER_ONE = Decimal(10_000)


@dataclass(frozen=True, slots=True)
class TransitionStep:
    """What is meant for one tax year. Money is in the account's currency.

    Attributes:
        realized_gain: Net; negative for a loss.
        gain_budget: Most net gain of the year; None for no limit.
        tax: Of the step; negative for what losses save.
        drift_after: As a weight.
        tracking_error_after: Of a year, as a fraction.
    """

    step_date: date
    tax_year: int
    outcome: PlanOutcome
    bought_value: Decimal
    sold_value: Decimal
    realized_gain: Decimal
    gain_budget: Decimal | None
    tax: Decimal
    cost: Decimal
    drift_after: Decimal
    tracking_error_after: Decimal


@dataclass(frozen=True, slots=True)
class Transition:
    """The steps, in the order of time, and what they come to."""

    currency: str
    steps: tuple[TransitionStep, ...]

    @property
    def realized_gain(self) -> Decimal:
        """Net gain of all steps."""
        return sum((each.realized_gain for each in self.steps), ZERO)

    @property
    def tax(self) -> Decimal:
        """Tax of all steps."""
        return sum((each.tax for each in self.steps), ZERO)

    @property
    def cost(self) -> Decimal:
        """Cost of trading of all steps."""
        return sum((each.cost for each in self.steps), ZERO)

    @property
    def sentence(self) -> str:
        """What all steps come to, in words."""
        first, last = self.steps[0], self.steps[-1]
        tax, cost = money(self.tax, self.currency), money(self.cost, self.currency)
        return (
            f"From {first.step_date} to {last.step_date} gains of {money(self.realized_gain, self.currency)} are meant "
            f"to be realized, for {tax} of tax and {cost} of cost. Drift is {percent(first.drift_after)} after the "
            f"first step and {percent(last.drift_after)} after the last, the tracking error "
            f"{percent(first.tracking_error_after)} and {percent(last.tracking_error_after)}."
        )


def transition(inputs: AccountInputs, basis: Basis, tax_years: int, decide: Decide, check: Check) -> Transition:
    """Return how the account gets to its target.

    Args:
        inputs: Of the account, as it is now.
        basis: What it is decided on.
        tax_years: Steps, 1 or more.
        decide: The optimiser.
        check: The exact check of what it answers.

    Raises:
        PolicyNotInForce: No policy is in force.
        NothingDecided: The policy holds or pauses the account.
        Fact: The inputs are refused.
    """
    asked, policy = asked_of(inputs, basis), policy_of(inputs)
    if isinstance(asked, Draft):
        raise NothingDecided(asked.outline.sentence)
    options = replace(options_of(inputs, basis), ignore_triggers=True)
    said = gain_rules(policy, basis.market, basis.as_of_time.date())
    steps = steps_of(asked, basis.risk_model, options, said, tax_years, decide, check)
    return Transition(asked.currency, steps)


def steps_of(
    problem: AccountProblem,
    risk: RiskModel,
    options: DecideOptions,
    said: GainRules,
    tax_years: int,
    decide: Decide,
    check: Check,
) -> tuple[TransitionStep, ...]:
    """Return the steps of a transition, the first today; `said` is what the policy asks about gains of any year.

    Raises:
        PlanUnsafe: A step fails its exact check.
    """
    rules, steps = jurisdiction(problem.tax.jurisdiction), list[TransitionStep]()
    now = replace(problem, ladder=None, tax=in_year(problem.tax, said, rules.year_of_trades(problem.as_of_date)))
    while True:
        decision = decide(now, risk, options)
        if wrong := check(now, decision):
            raise PlanUnsafe(f"the step of {now.as_of_date} fails its exact check: {'; '.join(wrong)}")
        summary = decision.explanation.summary
        steps.append(
            TransitionStep(
                step_date=now.as_of_date,
                tax_year=rules.year_of_trades(now.as_of_date),
                outcome=plan_outcome(decision),
                bought_value=summary.bought_value,
                sold_value=summary.sold_value,
                realized_gain=summary.gain_short + summary.gain_long,
                gain_budget=now.tax.gain_budget,
                tax=summary.tax_realized - summary.tax_saved,
                cost=summary.cost,
                drift_after=summary.drift_after,
                tracking_error_after=summary.tracking_error_after_bps / BPS_PER_ONE,
            )
        )
        if len(steps) == tax_years:
            return tuple(steps)
        now = after(now, decision.trades, _days_to_next_year(now), said)


def _days_to_next_year(problem: AccountProblem) -> int:
    rules, days = jurisdiction(problem.tax.jurisdiction), 1
    this_year = rules.year_of_trades(problem.as_of_date)
    while rules.year_of_trades(problem.as_of_date + timedelta(days=days)) == this_year:
        days += 1
    return days
