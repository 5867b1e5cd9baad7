"""Minimum trades in accounts of 500 names: ours beside a minute of SCIP, HiGHS and CBC, by what each finds.

SCIP takes the quadratic objective as it is. HiGHS and CBC take integers with a linear objective only, so their user
puts tangents below every square; what they find is then valued by the true objective. Values of ours are those of its
plan in whole cents, costs rounded up; theirs are of weights.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version

import numpy as np
import pulp
import scipy
import scipy.sparse as sp
from scipy.optimize import Bounds, LinearConstraint, milp

from services.decision.domain.bulk.columns import HOLD, PRIMAL
from services.decision.domain.bulk.road import decide_columns
from services.decision.domain.convex import BPS_PER_ONE
from tests.bench.accounts import LARGE, exact_columns
from tests.bench.mintrade import B500_ACCOUNTS, LARGE_MINIMUM, Weights, account_of, by_scip, weights_of
from tests.bench.results import Result

PEER_S_MAX = 60.0
# Of the accounts of `mintrade.b500`: one in which the minimum trade is twice the usual position, and one in which it is
# half of it.
COMPARED = (4, 9)
# Tangents below each square, from the deviation without trades to as much on the other side.
TANGENTS = 21


def against_solvers() -> Sequence[Result]:
    """Value the plans of accounts of 500 names with a minimum trade."""
    inputs = exact_columns(B500_ACCOUNTS, 5, minimum_cents=LARGE_MINIMUM, size=replace(LARGE, lots=50.0), lots_max=4)
    decide_columns(account_of(inputs, COMPARED[0]))
    taken, scip, highs, cbc = [], [], [], []
    for account in COMPARED:
        part = account_of(inputs, account)
        started = time.process_time()
        told = decide_columns(part).accounts[0]
        value, hold = told[PRIMAL] / 1e6, told[HOLD] / 1e6
        taken.append(time.process_time() - started)
        # Who finds nothing does nothing.
        scip.append(min(by_scip(part, PEER_S_MAX)[1], hold) - value)
        weights = weights_of(part)
        model = _model(weights, part.exposures, part.specific_variance)
        for found, solve in ((highs, by_highs), (cbc, by_cbc)):
            trades = solve(model, PEER_S_MAX)
            found.append(_value(weights, part.exposures, part.specific_variance, *trades) - value)
    said = ", ".join(
        f"{name} {np.mean(worse):+.2f} bp (least {np.min(worse):+.2f})"
        for name, worse in (("SCIP", scip), ("HiGHS with tangents", highs), ("CBC with tangents", cbc))
    )
    seconds = float(np.max(taken))
    versions = {"scipy": scipy.__version__, "pulp": version("pulp")}
    return [
        Result(
            "decision.minimum500.s",
            seconds,
            f"s an account at most; from ours: {said}",
            f"each of them, {PEER_S_MAX:.0f} s",
            PEER_S_MAX,
            PEER_S_MAX / seconds,
            versions,
        )
    ]


@dataclass(frozen=True, slots=True, eq=False)
class _Model:
    """A mixed-integer linear program: costs · x, rows of matrices with bounds; first come the trades."""

    costs: np.ndarray
    integer: np.ndarray
    low: np.ndarray
    high: np.ndarray
    rows: Sequence[tuple[sp.csr_matrix, object, object]]
    lots: int
    instruments: int

    def trades(self, x: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Return what is sold of each lot and bought of each instrument; nothing where nothing was found."""
        x = np.zeros(len(self.costs)) if x is None else x
        return x[: self.lots], x[self.lots : self.lots + self.instruments]


def by_highs(model: _Model, seconds_max: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the trades that HiGHS finds."""
    found = milp(
        model.costs,
        integrality=model.integer,
        bounds=Bounds(model.low, model.high),
        constraints=[LinearConstraint(matrix, lower, upper) for matrix, lower, upper in model.rows],
        options={"time_limit": seconds_max},
    )
    return model.trades(found.x)


def by_cbc(model: _Model, seconds_max: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the trades that CBC finds, by the program that PuLP brings."""
    problem = pulp.LpProblem("minimum_trades", pulp.LpMinimize)
    bounds = zip(model.low, model.high, model.integer, strict=True)
    names = [
        pulp.LpVariable(
            f"x{at}",
            None if low == -np.inf else float(low),
            None if high == np.inf else float(high),
            pulp.LpInteger if whole else pulp.LpContinuous,
        )
        for at, (low, high, whole) in enumerate(bounds)
    ]
    problem += pulp.LpAffineExpression({names[at]: float(model.costs[at]) for at in np.flatnonzero(model.costs)})
    for matrix, lower, upper in model.rows:
        lows, highs = (np.broadcast_to(np.asarray(each, dtype=float), matrix.shape[0]) for each in (lower, upper))
        for row in range(matrix.shape[0]):
            part = slice(matrix.indptr[row], matrix.indptr[row + 1])
            terms = zip(matrix.indices[part].tolist(), matrix.data[part].tolist(), strict=True)
            left = pulp.LpAffineExpression({names[at]: factor for at, factor in terms})
            if np.isfinite(lows[row]):
                problem += left >= float(lows[row])
            if np.isfinite(highs[row]):
                problem += left <= float(highs[row])
    problem.solve(pulp.PULP_CBC_CMD(msg=False, timeLimit=seconds_max, threads=1))
    # Without integers that fit it answers with the relaxation, which is no trade.
    if problem.sol_status not in (pulp.LpSolutionOptimal, pulp.LpSolutionIntegerFeasible):
        return model.trades(None)
    return model.trades(np.array([each.varValue or 0.0 for each in names], dtype=np.float64))


def _model(account: Weights, exposures: np.ndarray, variance: np.ndarray) -> _Model:
    """Return an account as a user of those solvers writes it.

    Variables: sold of each lot, bought, "sells", "buys", what is outside the band, factors, and a square of each
    deviation and factor.
    """
    m, n, k = len(account.cap), len(account.start), exposures.shape[1]
    lots_of = sp.csr_matrix((np.ones(m), (account.row, np.arange(m))), shape=(n, m))
    one, none = sp.identity(n, format="csr"), sp.csr_matrix
    away = account.start - account.target
    full = lots_of @ account.cap
    at = np.cumsum([0, m, n, n, n, n, k, k, n])

    def row(blocks: dict[int, sp.csr_matrix], height: int) -> sp.csr_matrix:
        return sp.hstack([blocks.get(part, none((height, at[part + 1] - at[part]))) for part in range(8)], format="csr")

    sold, bought, sells, buys, excess, factor, of_factor, of_name = range(8)
    ones = np.ones((1, m)), np.ones((1, n))
    raised, spent = none(ones[0] - account.cost[account.row]), none(ones[1] + account.cost)
    smallest_sale = np.minimum(account.smallest, full)
    rows = [
        (row({sells: one, buys: one}, n), -np.inf, 1.0),
        (row({bought: one, buys: -one}, n), -np.inf, 0.0),
        (row({bought: one, buys: -account.smallest * one}, n), 0.0, np.inf),
        (row({sold: lots_of, sells: -sp.diags(full, format="csr")}, n), -np.inf, 0.0),
        (row({sold: lots_of, sells: -sp.diags(smallest_sale, format="csr")}, n), 0.0, np.inf),
        (row({sold: -lots_of, bought: one, excess: -one}, n), -np.inf, account.band - away),
        (row({sold: lots_of, bought: -one, excess: -one}, n), -np.inf, account.band + away),
        (
            row({sold: -none(exposures.T @ lots_of), bought: none(exposures.T), factor: -sp.identity(k)}, k),
            -exposures.T @ away,
            -exposures.T @ away,
        ),
        (row({sold: raised, bought: -spent}, 1), account.floor - account.cash, np.inf),
        (row({sold: none(ones[0]), bought: none(ones[1])}, 1), -np.inf, account.turnover),
    ]
    for share in np.linspace(-1.0, 1.0, TANGENTS):
        # λ/2 · v · x² is at least λ/2 · v · (2 p x − p²).
        p = share * np.abs(away)
        slope, back = account.aversion * variance * p, 0.5 * account.aversion * variance * p * p
        by = sp.diags(slope, format="csr")
        rows.append((row({sold: -by @ lots_of, bought: by, of_name: -one}, n), -np.inf, back - slope * away))
        p = share * np.abs(exposures.T @ away)
        by = sp.diags(account.aversion * p, format="csr")
        rows.append((row({factor: by, of_factor: -sp.identity(k)}, k), -np.inf, 0.5 * account.aversion * p * p))
    costs = np.zeros(at[-1])
    costs[at[sold] : at[bought]] = account.tax + account.cost[account.row]
    costs[at[bought] : at[sells]] = account.cost
    costs[at[excess] : at[factor]] = account.band_price
    costs[at[of_factor] :] = 1.0
    low, high, integer = np.zeros(at[-1]), np.full(at[-1], np.inf), np.zeros(at[-1])
    high[: at[bought]] = account.cap
    high[at[bought] : at[sells]] = account.may_buy
    high[at[sells] : at[excess]] = 1.0
    integer[at[sells] : at[excess]] = 1.0
    low[at[factor] : at[of_factor]] = -np.inf
    return _Model(costs, integer, low, high, rows, m, n)


def _value(
    account: Weights, exposures: np.ndarray, variance: np.ndarray, sold: np.ndarray, bought: np.ndarray
) -> float:
    amount = np.bincount(account.row, sold, minlength=len(bought))
    d = account.start - account.target + bought - amount
    y = exposures.T @ d
    deviation = 0.5 * account.aversion * float(variance @ (d * d) + y @ y)
    outside = account.band_price * float(np.maximum(np.abs(d) - account.band, 0.0).sum())
    return BPS_PER_ONE * (deviation + outside + float(account.cost @ (amount + bought)) + float(account.tax @ sold))
