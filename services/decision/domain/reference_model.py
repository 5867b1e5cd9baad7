"""The definition: the account's problem in cvxpy, to be read beside the formula of `convex`.

Any faster solver must agree with this one. It follows the rules of disciplined parametrized programming, so a problem
is compiled once per shape and then only fed: sizes are rounded up to powers of two, and what fills a shape up are
instruments without weight and lots without units, which change nothing.

cvxpy takes a second to import, and a process that decides by the kernel may never need it: the first problem imports
it, unless `load` did.

Lots enter as the share sold of each, 0 to 1, and purchases as the share of the most that may be bought, so that what
may not be traded (of size zero) leaves the solver's feasible set with an interior.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.decision.domain.convex import (
    BPS_PER_ONE,
    NO_LIMIT,
    ConvexProblem,
    ConvexSolution,
    Floats,
    Prices,
    Solve,
    SolveStatus,
    no_limit,
)

SOLVER = "CLARABEL"
# Clarabel's own default for gap and feasibility. Tighter ones are below what its arithmetic reaches once impact is in;
# at this one the objective, a few basis points, is known to a millionth of a basis point.
TOLERANCE = 1e-8
# Compiled problems kept by one process, about a megabyte each at 20 instruments.
SHAPES_KEPT_MAX = 64
# Which limit gives way first when they conflict, weight for weight: what an owner gives up most easily, cash last.
RELAXATION_PRICES = {"turnover": 1.0, "gains": 2.0, "group_min": 3.0, "group_max": 3.0, "cash": 4.0}
# Padding every instrument to the largest number of lots may waste this factor before each gets its own size.
PADDING_MAX = 4


def load() -> None:
    """Import cvxpy."""
    import cvxpy  # noqa: F401, PLC0415 - see above


@dataclass(frozen=True, slots=True, eq=False)
class Relaxation:
    """The cheapest change of limits, as weights, that leaves some plan possible; zero or more each."""

    cash: float
    turnover: float
    gains: float
    group_min: Floats
    group_max: Floats


@dataclass(frozen=True, slots=True)
class Shape:
    """Padded sizes: `lots` has one number per instrument; `impact` adds 3/2-power terms, `hinges` those of the tax."""

    lots: tuple[int, ...]
    factors: int
    groups: int
    impact: bool
    hinges: int = 0


class ReferenceModel:
    """The problem of one shape. Symbols as in `convex`; the objective is in basis points."""

    def __init__(self, shape: Shape) -> None:
        """State the problem."""
        import cvxpy as cp  # noqa: PLC0415 - see above
        import scipy.sparse as sp  # noqa: PLC0415 - see above

        n, m = len(shape.lots), sum(shape.lots)
        self.shape = shape
        self.lock = Lock()
        self.data = p = _parameters(n, m, shape.factors, shape.groups, shape.hinges)
        lots_of = sp.csr_matrix((np.ones(m), (np.repeat(np.arange(n), shape.lots), np.arange(m))), shape=(n, m))

        self.share_sold = cp.Variable(m)
        self.share_bought = cp.Variable(n)
        sold, bought = cp.Variable(n), cp.Variable(n)
        d, y, excess, idle, cost = (
            cp.Variable(n),
            cp.Variable(shape.factors),
            cp.Variable(n),
            cp.Variable(),
            cp.Variable(),
        )

        deviation = 0.5 * (cp.sum_squares(y) + cp.sum(cp.multiply(p["specific_variance"], cp.square(d))))
        outside_band = p["band_price"] * (cp.sum(excess) + idle)
        # In basis points, like the objective: so scaled the solver ends at the tolerance, with and without impact.
        traded_cost = linear_cost = p["cost"] @ (sold + bought)
        if shape.impact:
            # The coefficient goes under the power: DPP wants it there, and solvers mind a power that has no price.
            traded_cost += cp.sum(cp.power(cp.multiply(p["impact_root"], sold), 1.5))
            traded_cost += cp.sum(cp.power(cp.multiply(p["impact_root"], bought), 1.5))
        tax = p["lot_tax"] @ self.share_sold
        self.hinges = None
        if shape.hinges:
            over_hinge = cp.Variable(shape.hinges, nonneg=True)
            tax += p["hinge_price"] @ over_hinge
            self.hinges = over_hinge >= p["hinge_lots"] @ self.share_sold - p["hinge_above"]

        definitions = [
            sold == lots_of @ cp.multiply(p["lot_cap"], self.share_sold),
            bought == cp.multiply(p["buy_cap"], self.share_bought),
            d == p["start_gap"] + bought - sold,
            y == p["exposures"] @ d,
            self.share_sold >= 0,
            self.share_sold <= 1,
            self.share_bought >= 0,
            self.share_bought <= 1,
            excess >= 0,
            excess >= d - p["band"],
            excess >= -d - p["band"],
            idle >= 0,
            cost >= traded_cost,
        ]
        if self.hinges is not None:
            definitions.append(self.hinges)
        self.ceiling = idle >= p["cash_over_ceiling"] + cp.sum(sold - bought) - linear_cost / BPS_PER_ONE
        # Each hard limit as something that must not exceed zero.
        over = {
            "cash": cost / BPS_PER_ONE + cp.sum(bought - sold) - p["cash_over_floor"],
            "turnover": cp.sum(sold + bought) - p["turnover"],
            "gains": p["lot_gain"] @ self.share_sold - p["gain_budget"],
            "group_min": p["group_min_gap"] - p["groups"] @ (bought - sold),
            "group_max": p["groups"] @ (bought - sold) - p["group_max_gap"],
        }
        self.limits = {name: excess <= 0 for name, excess in over.items()}
        self.problem = cp.Problem(
            cp.Minimize(deviation + outside_band + p["cost_price"] * cost + tax),
            [*definitions, self.ceiling, *self.limits.values()],
        )

        # The same limits, each loosened by as little as possible: the answer to "what stands in the way?".
        self.loosened = {name: cp.Variable(excess.shape, nonneg=True) for name, excess in over.items()}
        self.elastic = cp.Problem(
            cp.Minimize(sum(RELAXATION_PRICES[name] * cp.sum(by) for name, by in self.loosened.items())),
            [*definitions, *(excess <= self.loosened[name] for name, excess in over.items())],
        )

    def feed(self, convex: ConvexProblem) -> None:
        """Set all parameters."""
        lots = self.slots(convex)
        n, m = len(self.shape.lots), sum(self.shape.lots)
        groups = _padded(convex.groups, (self.shape.groups, n))
        root = np.sqrt(convex.risk_aversion * BPS_PER_ONE)
        start = convex.groups @ convex.start
        values: Mapping[str, Floats | float] = {
            "start_gap": _padded(convex.start - convex.target, (n,)),
            "exposures": root * _padded(convex.exposures.T, (self.shape.factors, n)),
            "specific_variance": BPS_PER_ONE * convex.risk_aversion * _padded(convex.specific_variance, (n,), 1.0),
            "band": _padded(convex.band, (n,)),
            "band_price": BPS_PER_ONE * convex.band_price,
            "cost_price": convex.cost_weight,
            "cost": BPS_PER_ONE * _padded(convex.cost, (n,)),
            "impact_root": (BPS_PER_ONE * _padded(convex.impact, (n,))) ** (2 / 3),
            "buy_cap": _padded(convex.buy_cap, (n,)),
            "lot_cap": _scattered(convex.lot_cap, lots, m),
            "lot_tax": BPS_PER_ONE * _scattered(convex.lot_tax * convex.lot_cap, lots, m),
            "hinge_lots": np.stack([_scattered(each * convex.lot_cap, lots, m) for each in convex.hinge_lots])
            if self.shape.hinges
            else np.zeros((0, m)),
            "hinge_above": convex.hinge_above,
            "hinge_price": BPS_PER_ONE * convex.hinge_price,
            "lot_gain": _scattered(convex.lot_gain * convex.lot_cap, lots, m) * np.isfinite(convex.gain_budget),
            "cash_over_floor": convex.cash - convex.cash_floor,
            "cash_over_ceiling": convex.cash - convex.cash_ceiling,
            "turnover": min(convex.turnover, no_limit(convex.start)),
            "gain_budget": min(convex.gain_budget, no_limit(convex.start)),
            "groups": groups,
            "group_min_gap": _padded(convex.group_min - start, (self.shape.groups,), -NO_LIMIT),
            "group_max_gap": _padded(convex.group_max - start, (self.shape.groups,), NO_LIMIT),
        }
        for name, value in values.items():
            if name in self.data:
                self.data[name].value = value

    def slots(self, convex: ConvexProblem) -> NDArray[np.int64]:
        """Return where each lot stands among the padded ones, shape (m,)."""
        first = np.concatenate([[0], np.cumsum(self.shape.lots)[:-1]]).astype(np.int64)
        counts = np.bincount(convex.lot_instrument, minlength=len(convex.start))
        before = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int64)
        return first[convex.lot_instrument] + np.arange(len(convex.lot_cap)) - before[convex.lot_instrument]


def solve(convex: ConvexProblem, *, iterations_max: int, solver: str = SOLVER, tolerance: float = TOLERANCE) -> Solve:
    """Return the best trades of the convex problem.

    Args:
        convex: The account.
        iterations_max: The solver's limit.
        solver: Any of cvxpy's; others than the default are for tests, with that solver's own tolerances.
        tolerance: Of gap and feasibility.
    """
    import cvxpy as cp  # noqa: PLC0415 - see above

    model = _model(_shape(convex))
    with model.lock:
        model.feed(convex)
        try:
            # No warm start: what was solved before must not change a digit of this answer.
            model.problem.solve(solver=solver, warm_start=False, **_settings(solver, iterations_max, tolerance))
        except cp.SolverError as error:
            return Solve(SolveStatus.FAILED, str(error).splitlines()[0])
        status = model.problem.status
        if status in (cp.INFEASIBLE, cp.INFEASIBLE_INACCURATE):
            return Solve(SolveStatus.INFEASIBLE, status)
        if status not in (cp.OPTIMAL, cp.OPTIMAL_INACCURATE):
            return Solve(SolveStatus.FAILED, status)
        return Solve(SolveStatus.SOLVED, status, _solution(model, convex))


def least_relaxation(convex: ConvexProblem, *, iterations_max: int) -> Relaxation | None:
    """Return how far limits must give way before any plan is possible, or None when the solver fails."""
    import cvxpy as cp  # noqa: PLC0415 - see above

    model = _model(_shape(convex))
    with model.lock:
        model.feed(convex)
        try:
            model.elastic.solve(solver=SOLVER, warm_start=False, **_settings(SOLVER, iterations_max))
        except cp.SolverError:
            return None
        if model.elastic.status not in (cp.OPTIMAL, cp.OPTIMAL_INACCURATE):
            return None
        by = {name: np.maximum(variable.value, 0.0) for name, variable in model.loosened.items()}
        g = len(convex.group_min)
        return Relaxation(
            cash=float(by["cash"]),
            turnover=float(by["turnover"]),
            gains=float(by["gains"]),
            group_min=by["group_min"][:g],
            group_max=by["group_max"][:g],
        )


def _solution(model: ReferenceModel, convex: ConvexProblem) -> ConvexSolution:
    n, g = len(convex.start), len(convex.group_min)
    price = {name: np.maximum(limit.dual_value, 0.0) for name, limit in model.limits.items()}
    return ConvexSolution(
        sold=np.clip(model.share_sold.value[model.slots(convex)], 0.0, 1.0) * convex.lot_cap,
        bought=np.clip(model.share_bought.value[:n], 0.0, 1.0) * convex.buy_cap,
        prices=Prices(
            cash=float(price["cash"]),
            ceiling=float(np.clip(model.ceiling.dual_value, 0.0, BPS_PER_ONE * convex.band_price)),
            turnover=float(price["turnover"]),
            gains=float(price["gains"]),
            group_min=price["group_min"][:g],
            group_max=price["group_max"][:g],
            hinges=np.zeros(0) if model.hinges is None else np.maximum(model.hinges.dual_value, 0.0),
        ),
    )


@lru_cache(maxsize=SHAPES_KEPT_MAX)
def _model(shape: Shape) -> ReferenceModel:
    return ReferenceModel(shape)


def _shape(convex: ConvexProblem) -> Shape:
    """Return the smallest padded shape that the account fits in."""
    n = _power_of_two(len(convex.start))
    own = [_power_of_two(int(count)) for count in np.bincount(convex.lot_instrument, minlength=n)]
    widest = max(own)
    return Shape(
        lots=(widest,) * n if n * widest <= PADDING_MAX * sum(own) else tuple(own),
        factors=_power_of_two(convex.exposures.shape[1]),
        groups=_power_of_two(len(convex.group_min)),
        impact=bool(convex.impact.any()),
        hinges=len(convex.hinge_price),
    )


def _power_of_two(count: int) -> int:
    return 1 << max(count - 1, 0).bit_length()


def _parameters(n: int, m: int, k: int, g: int, h: int) -> dict[str, Any]:
    import cvxpy as cp  # noqa: PLC0415 - see above

    signed: dict[str, int | tuple[int, ...]] = {"start_gap": n, "exposures": (k, n), "lot_tax": m, "lot_gain": m}
    signed |= {"cash_over_floor": (), "cash_over_ceiling": (), "groups": (g, n), "group_min_gap": g, "group_max_gap": g}
    # Below zero where losses that are sold for certain are counted in it.
    signed |= {"gain_budget": ()}
    not_negative: dict[str, int | tuple[int, ...]] = {"specific_variance": n, "band": n, "band_price": ()}
    not_negative |= {
        "cost": n,
        "cost_price": (),
        "impact_root": n,
        "buy_cap": n,
        "lot_cap": m,
        "turnover": (),
    }
    if h:
        signed |= {"hinge_lots": (h, m), "hinge_above": h}
        not_negative["hinge_price"] = h
    parameters = {name: cp.Parameter(shape) for name, shape in signed.items()}
    return parameters | {name: cp.Parameter(shape, nonneg=True) for name, shape in not_negative.items()}


def _settings(solver: str, iterations_max: int, tolerance: float = TOLERANCE) -> dict[str, Any]:
    if solver != SOLVER:
        return {}
    tolerances = dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), tolerance)
    return {**tolerances, "max_iter": iterations_max, "max_threads": 1}


def _padded(values: Floats, shape: tuple[int, ...], fill: float = 0.0) -> Floats:
    padded = np.full(shape, fill)
    padded[tuple(slice(size) for size in values.shape)] = values
    return padded


def _scattered(values: Floats, places: NDArray[np.int64], size: int) -> Floats:
    scattered = np.zeros(size)
    scattered[places] = values
    return scattered
