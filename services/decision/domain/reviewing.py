"""Is an account too far off, or too risky, for a machine alone?

Three limits look at the same volatility σ of the account after the plan, by the risk model, in the units in which
people think: as it is; as the loss of bad years, for returns that are normal and, to be cautious, expected to be zero,
φ(z)/(1 − α)·σ at α = 95 % (Rockafellar and Uryasev 2000, proposition 1); and as the fall from a highest to a later
lowest value that is to be expected within a year, √(π/2)·σ, of a Brownian motion without drift (Magdon-Ismail and
others 2004, "On the maximum drawdown of a Brownian motion", section 3).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from math import exp, pi, sqrt
from statistics import NormalDist

import numpy as np

from services.decision.domain.decision import Decision, Trade
from services.decision.domain.policy import Policy
from services.decision.domain.problem import ZERO, AccountProblem, LimitKind, RiskModel, Side
from services.kernel.decimals import plain
from services.kernel.ids import InstrumentId

# Part of the years whose losses count.
TAIL = 0.05
# Per unit of volatility; 2.0627 and 1.2533.
TAIL_LOSS = exp(-(NormalDist().inv_cdf(TAIL) ** 2) / 2) / sqrt(2 * pi) / TAIL
DRAWDOWN = sqrt(pi / 2)


def too_far(policy: Policy, problem: AccountProblem) -> str | None:
    """Return why the account is not traded, because a weight is farther off its target than the policy believes."""
    limit = policy.safety.pause_drift
    if limit is None:
        return None
    for holding in problem.holdings:
        drift = abs(holding.mix_value / problem.mix_value - holding.target_weight)
        if drift > limit:
            return (
                f"The policy holds this account: {holding.instrument_id} is {drift:.4f} away from its target, more "
                f"than {plain(limit)}; somebody must look first."
            )
    return None


def risk_reasons(policy: Policy, problem: AccountProblem, risk_model: RiskModel, decision: Decision) -> tuple[str, ...]:
    """Return why the plan waits for a person: the account would be riskier than the policy allows."""
    limits = (
        ("volatility {:.4f} a year", policy.volatility_limit, 1.0),
        (f"the expected loss of {{:.4f}} in the worst {TAIL:.0%} of years", policy.tail_loss_limit, TAIL_LOSS),
        ("the largest fall of {:.4f} to be expected in a year", policy.drawdown_limit, DRAWDOWN),
    )
    if all(limit is None for _, limit, _ in limits):
        return ()
    volatility = volatility_after(problem, risk_model, decision.trades)
    return tuple(
        f"{words.format(volatility * times)} after the plan exceeds {plain(limit)}"
        for words, limit, times in limits
        if limit is not None and volatility * times > float(limit)
    )


def stress_reasons(policy: Policy, problem: AccountProblem, decision: Decision) -> tuple[str, ...]:
    """Return why the plan waits for a person: what the market took beyond a limit of a stress is still beyond it."""
    if not policy.stress_limits:
        return ()
    values = _values_after(problem, decision.trades)
    limits = {limit.name: limit.loss_limit for limit in policy.stress_limits}
    reasons: list[str] = []
    for group in problem.limits.groups:
        if group.kind is LimitKind.STRESS:
            loss = sum((each * values[name] for name, each in group.exposure_of.items()), ZERO) / problem.mix_value
            if loss > limits[group.name]:
                reasons.append(
                    f"the loss of {loss:.4f} in the stress {group.name} after the plan exceeds "
                    f"{plain(limits[group.name])}"
                )
    return tuple(reasons)


def within_budget(policy: Policy, problem: AccountProblem, risk_model: RiskModel) -> AccountProblem:
    """Return the problem; without deferring gains where the account is riskier than its client's profile allows."""
    budget = policy.risk_budget
    if not problem.tax.defer_short_term_gains or budget is None:
        return problem
    if volatility_after(problem, risk_model, ()) <= float(budget):
        return problem
    return replace(problem, tax=replace(problem.tax, defer_short_term_gains=False))


def volatility_after(problem: AccountProblem, risk_model: RiskModel, trades: Sequence[Trade]) -> float:
    """Return the yearly volatility of the account after trades, √(wᵀ(D + FFᵀ)w); cash has none."""
    values = _values_after(problem, trades)
    row = {instrument_id: place for place, instrument_id in enumerate(risk_model.instrument_ids)}
    weights = np.zeros(len(row))
    for instrument_id, value in values.items():
        weights[row[instrument_id]] = float(value / problem.mix_value)
    factors = risk_model.exposures.T @ weights
    return float(np.sqrt(factors @ factors + risk_model.specific_variance @ weights**2))


def _values_after(problem: AccountProblem, trades: Sequence[Trade]) -> Mapping[InstrumentId, Decimal]:
    """Return what is held of each instrument after trades, in currency."""
    values = {holding.instrument_id: holding.mix_value for holding in problem.holdings}
    for trade in trades:
        sign = 1 if trade.side is Side.BUY else -1
        values[trade.instrument_id] += sign * trade.quantity * trade.price
    return values
