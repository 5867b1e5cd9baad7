"""cvxportfolio's single-period optimisation of accounts that are given as weights.

PYTHON tests/bench/cvxportfolio_mixes.py ASKED.npz TOLD.npz     PYTHON has cvxportfolio

Risk is that of the deviation from the target, its benchmark. Bands are soft limits on that deviation. A sale's tax is a
soft limit too: weight times rate of each instrument should not fall. Its turnover limit counts half of what is traded.
"""

import sys
import time
from typing import Any

import cvxportfolio as cvx
import numpy as np
import pandas as pd

NOW = pd.Timestamp("2026-01-02")
VALUE = 1e6


def main() -> None:
    """Solve what is asked, and write weights and the processor time of each account."""
    with np.load(sys.argv[1]) as asked:
        columns = dict(asked)
    count = len(columns["start"])
    started = time.process_time()
    weights = [solved({name: column[row] for name, column in columns.items()}) for row in range(count)]
    spent = (time.process_time() - started) / count
    np.savez(sys.argv[2], weights=np.array(weights), spent=spent)


def solved(mix: dict[str, np.ndarray]) -> Any:
    """Return the weights of one account, cash last."""
    names = [f"i{row:03}" for row in range(len(mix["start"]) - 1)]
    of = {name: pd.Series(mix[name][:-1], names) for name in ("band", "cost", "rate", "low", "high")}
    universe = [*names, "cash"]
    target = pd.Series(mix["target"], universe)
    covariance = pd.DataFrame(mix["covariance"][:-1, :-1], names, names)
    beyond = cvx.SoftConstraint(cvx.MaxBenchmarkDeviation(of["band"]))
    below = cvx.SoftConstraint(cvx.MinBenchmarkDeviation(-of["band"]))
    # What a sale owes: what weight times rate falls by.
    rates = pd.DataFrame(np.diag(of["rate"]), names, names)
    owed = cvx.SoftConstraint(cvx.FactorMinLimit(rates, of["rate"] * mix["start"][:-1]))
    objective = (
        -float(mix["risk_aversion"]) / 2 * cvx.FullCovariance(covariance)
        - float(mix["band_price"][0]) * (beyond + below)
        - owed
        - cvx.TransactionCost(a=of["cost"], b=None)
    )
    limits = [cvx.MinWeights(of["low"]), cvx.MaxWeights(of["high"]), cvx.MinCashBalance(float(mix["low"][-1]) * VALUE)]
    if np.isfinite(mix["turnover"]):
        limits.append(cvx.TurnoverLimit(float(mix["turnover"]) / 2))
    policy = cvx.SinglePeriodOptimization(
        objective, limits, include_cash_return=False, benchmark=cvx.FixedWeights(target), solver="CLARABEL"
    )
    held = pd.Series(mix["start"] * VALUE, universe)
    trades, _, _ = policy.execute(held, market_data=None, t=NOW)
    return ((held + trades) / VALUE).to_numpy()


if __name__ == "__main__":
    main()
