"""Portfolio libraries on the small accounts: what each can say of them, and how good its answer is.

Each takes weights of instruments and of cash, bounds and a limit of turnover, and a way to say deviation, bands and
trading cost: PyPortfolioOpt takes any convex objective; skfolio's `MeanRisk` takes samples of returns less the
target's, whose covariance is made to be ours, previous weights, costs, and more terms; cvxportfolio's
`SinglePeriodOptimization` takes the covariance, the target as its benchmark, costs, and limits that cost something when
they are passed. None knows lots: each instrument gets one tax rate, the mean of its lots' where that is above nothing,
and what is sold is taken from the lots whose tax is least. Costs are not paid out of cash. Every answer is valued by
the true objective and held to our certified bound.
"""

import os
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median

import cvxpy as cp
import numpy as np
from pypfopt import EfficientFrontier
from skfolio import RiskMeasure
from skfolio.optimization import MeanRisk, ObjectiveFunction

from services.decision.domain.batch_certificate import certify
from services.decision.domain.certificate import terms
from services.decision.domain.convex import BPS_PER_ONE, ConvexProblem, Floats
from services.decision.domain.kernel.batch import pack, solve_columns
from tests.bench.accounts import SMALL, accounts
from tests.bench.results import Result

ACCOUNTS, PEER_ACCOUNTS, ROUNDS = 2000, 10, 3
# Names a Python that has cvxportfolio, which brings packages that nothing else here needs.
CVXPORTFOLIO = "EVENKEEL_BENCH_CVXPORTFOLIO_PYTHON"


@dataclass(frozen=True, slots=True, eq=False)
class Mix:
    """An account as weights of instruments and, last, of cash.

    Attributes:
        covariance: Yearly, shape (n + 1, n + 1).
        rate: Tax on a unit sold of each instrument, shape (n + 1,); 0 of cash, as its `cost` and `band_price`.
        low: Least weights; `high` the most.
    """

    start: Floats
    target: Floats
    covariance: Floats
    risk_aversion: float
    band: Floats
    band_price: Floats
    cost: Floats
    rate: Floats
    low: Floats
    high: Floats
    turnover: float


# Returns weights of accounts, and the processor time of each account in seconds.
Library = Callable[[Sequence[Mix]], tuple[Sequence[Floats], float]]


def against_pyportfolioopt() -> Sequence[Result]:
    """Solve small accounts with the kernel, and some of them with PyPortfolioOpt."""
    return _against("pyportfolioopt", _timed(by_pyportfolioopt), {"pyportfolioopt": version("pyportfolioopt")})


def against_skfolio() -> Sequence[Result]:
    """Solve small accounts with the kernel, and some of them with skfolio."""
    return _against("skfolio", _timed(by_skfolio), {"skfolio": version("skfolio")})


def against_cvxportfolio() -> Sequence[Result]:
    """Solve small accounts with the kernel, and some of them with cvxportfolio, if there is one."""
    python = os.environ.get(CVXPORTFOLIO)
    return () if python is None else _against("cvxportfolio", lambda mixes: by_cvxportfolio(python, mixes), {})


def _against(name: str, solve: Library, versions: Mapping[str, str]) -> Sequence[Result]:
    problems = accounts(SMALL, ACCOUNTS, seed=11)
    batch, some = pack(problems), problems[:PEER_ACCOUNTS]
    bounds = certify(batch, solve_columns(batch)).dual_bps[:PEER_ACCOUNTS]
    mixes = [mix_of(each) for each in some]
    ours, theirs = list[float](), list[float]()
    weights: Sequence[Floats] = ()
    for _ in range(ROUNDS):
        started = time.process_time()
        solve_columns(batch)
        ours.append((time.process_time() - started) / len(problems))
        weights, spent = solve(mixes)
        theirs.append(spent)
    worse = [_value(each, found) - bound for each, found, bound in zip(some, weights, bounds, strict=True)]
    said = f"{name}, a rate for each instrument, mean gap {np.mean(worse):.1f} bp, {max(worse):.1f} at most"
    kernel, library = median(ours), median(theirs)
    figure = f"decision.small.vs_{name}"
    return [Result(figure, 1e3 * kernel, "ms", said, 1e3 * library, library / kernel, versions)]


def _timed(solve: Callable[[Mix], Floats]) -> Library:
    def all_of(mixes: Sequence[Mix]) -> tuple[Sequence[Floats], float]:
        started = time.process_time()
        weights = [solve(each) for each in mixes]
        return weights, (time.process_time() - started) / len(mixes)

    return all_of


def mix_of(account: ConvexProblem) -> Mix:
    """Return an account as the libraries see it."""
    n = len(account.start)
    held = np.bincount(account.lot_instrument, account.lot_cap, minlength=n)
    owed = np.bincount(account.lot_instrument, account.lot_tax * account.lot_cap, minlength=n)
    covariance = np.zeros((n + 1, n + 1))
    covariance[:n, :n] = account.exposures @ account.exposures.T + np.diag(account.specific_variance)
    low = np.append(account.start - held, account.cash_floor)
    high = np.append(account.start + account.buy_cap, 1.0)
    return Mix(
        start=np.append(account.start, account.cash),
        target=np.append(account.target, 1.0 - account.target.sum()),
        covariance=covariance,
        risk_aversion=account.risk_aversion,
        band=np.append(account.band, 1.0),
        band_price=np.append(np.broadcast_to(account.band_price, n), 0.0),
        cost=np.append(account.cost, 0.0),
        rate=np.append(np.maximum(owed / np.where(held > 0.0, held, 1.0), 0.0), 0.0),
        low=low,
        high=np.maximum(low, high),
        turnover=account.turnover,
    )


def _bands_and_tax(mix: Mix, weights: cp.Variable) -> cp.Expression:
    outside = mix.band_price @ cp.pos(cp.abs(weights - mix.target) - mix.band)
    return outside + mix.rate @ cp.pos(mix.start - weights)


def _within_turnover(mix: Mix, weights: cp.Variable) -> cp.Constraint:
    return cp.norm1(weights[:-1] - mix.start[:-1]) <= mix.turnover


def by_pyportfolioopt(mix: Mix) -> Floats:
    """Return weights."""
    bounds = list(zip(mix.low, mix.high, strict=True))
    frontier = EfficientFrontier(None, mix.covariance, weight_bounds=bounds)
    if np.isfinite(mix.turnover):
        frontier.add_constraint(lambda weights: _within_turnover(mix, weights))

    def objective(weights: cp.Variable) -> cp.Expression:
        deviation = mix.risk_aversion / 2 * cp.quad_form(weights - mix.target, cp.psd_wrap(mix.covariance))
        cost = mix.cost @ cp.abs(weights - mix.start)
        return BPS_PER_ONE * (deviation + cost + _bands_and_tax(mix, weights))

    frontier.convex_objective(objective)
    return np.asarray(frontier.weights, dtype=np.float64)


def by_skfolio(mix: Mix) -> Floats:
    """Return weights: the most utility of returns less the target's, which have no mean and our covariance."""
    model = MeanRisk(
        objective_function=ObjectiveFunction.MAXIMIZE_UTILITY,
        risk_measure=RiskMeasure.VARIANCE,
        risk_aversion=mix.risk_aversion / 2,
        min_weights=mix.low,
        max_weights=mix.high,
        previous_weights=mix.start,
        transaction_costs=mix.cost,
        add_objective=lambda weights: -_bands_and_tax(mix, weights),
        add_constraints=lambda weights: [_within_turnover(mix, weights)] if np.isfinite(mix.turnover) else [],
    )
    with warnings.catch_warnings():
        # Returns less the target's have a covariance of one rank less, which it says it repairs.
        warnings.simplefilter("ignore")
        model.fit(samples(mix))
    return np.asarray(model.weights_, dtype=np.float64)


def samples(mix: Mix) -> Floats:
    """Return returns less those of the target, of mean 0, whose sample covariance is that of `mix`."""
    n = len(mix.start)
    values, vectors = np.linalg.eigh(mix.covariance)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    # Rows of an orthogonal matrix without its constant column: independent, of mean 0 and equal variance.
    rows = 2 * n
    basis, _ = np.linalg.qr(np.column_stack([np.ones(rows), np.eye(rows)[:, 1 : n + 1]]))
    returns: Floats = np.sqrt(rows - 1) * basis[:, 1:] @ root.T
    return returns - (returns @ mix.target)[:, None]


def by_cvxportfolio(python: str, mixes: Sequence[Mix]) -> tuple[Sequence[Floats], float]:
    """Return weights and the time of each account, in a process of the Python that has it."""
    fields = Mix.__dataclass_fields__
    with tempfile.TemporaryDirectory() as folder:
        asked, told = Path(folder) / "asked.npz", Path(folder) / "told.npz"
        columns = {name: np.array([getattr(each, name) for each in mixes]) for name in fields}
        np.savez(asked, allow_pickle=False, **columns)
        script = Path(__file__).parent / "cvxportfolio_mixes.py"
        subprocess.run([python, "-W", "ignore", str(script), str(asked), str(told)], check=True)
        with np.load(told) as answer:
            return list(answer["weights"]), float(answer["spent"])


def _value(account: ConvexProblem, weights: Floats) -> float:
    """Return the true objective of trading to weights, in basis points, each sale out of the lots of least tax."""
    wanted = weights[:-1]
    sold, left = np.zeros(len(account.lot_cap)), np.maximum(account.start - wanted, 0.0)
    for lot in np.argsort(account.lot_tax, kind="stable"):
        row = account.lot_instrument[lot]
        sold[lot] = min(left[row], account.lot_cap[lot])
        left[row] -= sold[lot]
    return terms(account, sold, np.clip(wanted - account.start, 0.0, account.buy_cap)).total
