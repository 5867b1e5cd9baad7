"""Is an account too far off, or too volatile, for a machine alone?"""

import numpy as np

from services.decision.domain.decision import Decision
from services.decision.domain.policy import Policy
from services.decision.domain.problem import ZERO, AccountProblem, RiskModel, Side
from services.kernel.decimals import plain


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


def volatility_reasons(
    policy: Policy, problem: AccountProblem, risk_model: RiskModel, decision: Decision
) -> tuple[str, ...]:
    """Return why the plan waits for a person: the account would be more volatile than the policy allows."""
    limit = policy.volatility_limit
    if limit is None:
        return ()
    volatility = volatility_after(problem, risk_model, decision)
    if volatility <= float(limit):
        return ()
    return (f"volatility {volatility:.4f} a year after the plan exceeds {plain(limit)}",)


def volatility_after(problem: AccountProblem, risk_model: RiskModel, decision: Decision) -> float:
    """Return the yearly volatility of the account after the plan, √(wᵀ(D + FFᵀ)w); cash has none."""
    traded = dict.fromkeys((holding.instrument_id for holding in problem.holdings), ZERO)
    for trade in decision.trades:
        sign = 1 if trade.side is Side.BUY else -1
        traded[trade.instrument_id] += sign * trade.quantity * trade.price
    row = {instrument_id: place for place, instrument_id in enumerate(risk_model.instrument_ids)}
    weights = np.zeros(len(row))
    for holding in problem.holdings:
        value = holding.mix_value + traded[holding.instrument_id]
        weights[row[holding.instrument_id]] = float(value / problem.mix_value)
    factors = risk_model.exposures.T @ weights
    return float(np.sqrt(factors @ factors + risk_model.specific_variance @ weights**2))
