"""Portfolio libraries on the small accounts: what each can say of them, and how good its answer is.

PyPortfolioOpt takes weights of instruments and of cash, bounds, a limit of turnover, and any convex objective: so
deviation, bands and trading cost are said as they are. It knows no lots: each instrument gets one tax rate, the mean of
its lots' where that is above nothing, and what it sells is taken from the lots whose tax is least. Costs are not paid
out of cash. skfolio's estimators take samples of returns and know neither target weights with a price for deviation nor
taxes; cvxportfolio simulates trading of one portfolio and knows no lots: neither says this case.
"""

import time
from collections.abc import Sequence
from importlib.metadata import version

import cvxpy as cp
import numpy as np
from pypfopt import EfficientFrontier

from services.decision.domain.batch_certificate import certify
from services.decision.domain.certificate import terms
from services.decision.domain.convex import BPS_PER_ONE, ConvexProblem, Floats
from services.decision.domain.kernel.batch import pack, solve_columns
from tests.bench.accounts import SMALL, accounts
from tests.bench.results import Result, interleaved

ACCOUNTS, PEER_ACCOUNTS = 2000, 20


def against_pyportfolioopt() -> Sequence[Result]:
    """Solve small accounts with the kernel, and some of them with PyPortfolioOpt."""
    problems = accounts(SMALL, ACCOUNTS, seed=11)
    batch, some = pack(problems), problems[:PEER_ACCOUNTS]
    bounds = certify(batch, solve_columns(batch)).dual_bps[:PEER_ACCOUNTS]
    worse = [_value(each, by_pyportfolioopt(each)) - bound for each, bound in zip(some, bounds, strict=True)]

    def ours() -> float:
        started = time.process_time()
        solve_columns(batch)
        return (time.process_time() - started) / len(problems)

    def theirs() -> float:
        started = time.process_time()
        for each in some:
            by_pyportfolioopt(each)
        return (time.process_time() - started) / len(some)

    taken = interleaved(3, {"ours": ours, "theirs": theirs})
    said = f"PyPortfolioOpt, a rate for each instrument, mean gap {np.mean(worse):.1f} bp"
    return [
        Result(
            "decision.small.vs_pyportfolioopt",
            1e3 * taken["ours"],
            "ms",
            said,
            1e3 * taken["theirs"],
            taken["theirs"] / taken["ours"],
            {"pyportfolioopt": version("pyportfolioopt")},
        )
    ]


def by_pyportfolioopt(account: ConvexProblem) -> Floats:
    """Return the weights of an account's instruments, shape (n,)."""
    n = len(account.start)
    held = np.bincount(account.lot_instrument, account.lot_cap, minlength=n)
    owed = np.bincount(account.lot_instrument, account.lot_tax * account.lot_cap, minlength=n)
    rate = np.maximum(owed / np.where(held > 0.0, held, 1.0), 0.0)
    covariance = np.zeros((n + 1, n + 1))
    covariance[:n, :n] = account.exposures @ account.exposures.T + np.diag(account.specific_variance)
    low = np.append(account.start - held, account.cash_floor)
    high = np.append(account.start + account.buy_cap, 1.0)
    frontier = EfficientFrontier(None, covariance, weight_bounds=list(zip(low, np.maximum(low, high), strict=True)))
    if np.isfinite(account.turnover):
        frontier.add_constraint(lambda weights: cp.norm1(weights[:n] - account.start) <= account.turnover)

    def objective(weights: cp.Variable) -> cp.Expression:
        d, moved = weights[:n] - account.target, weights[:n] - account.start
        deviation = account.risk_aversion / 2 * cp.quad_form(d, cp.psd_wrap(covariance[:n, :n]))
        outside = account.band_price * cp.sum(cp.pos(cp.abs(d) - account.band))
        return BPS_PER_ONE * (deviation + outside + account.cost @ cp.abs(moved) + rate @ cp.pos(-moved))

    frontier.convex_objective(objective)
    return np.asarray(frontier.weights, dtype=np.float64)[:n]


def _value(account: ConvexProblem, weights: Floats) -> float:
    """Return the true objective of trading to weights, in basis points, each sale out of the lots of least tax."""
    sold, left = np.zeros(len(account.lot_cap)), np.maximum(account.start - weights, 0.0)
    for lot in np.argsort(account.lot_tax, kind="stable"):
        row = account.lot_instrument[lot]
        sold[lot] = min(left[row], account.lot_cap[lot])
        left[row] -= sold[lot]
    return terms(account, sold, np.clip(weights - account.start, 0.0, account.buy_cap)).total
