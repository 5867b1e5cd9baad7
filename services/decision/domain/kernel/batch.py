"""Many accounts at once: packed end to end, solved one after the other by compiled code, unpacked.

What the kernel does not take, or does not bring to its optimum, it says, and its caller asks the reference model: an
account with market impact, whose 3/2 power is not piecewise taken; one that is torn, because something must choose
a way first; one whose prices do not settle.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from services.decision.domain.convex import BPS_PER_ONE, NO_LIMIT, ConvexProblem, ConvexSolution, Floats, Prices
from services.decision.domain.kernel.arrays import Batch, Integers, Move, Point, Results, Room
from services.decision.domain.kernel.newton import CASH, CEILING, GAINS, GROUPS, TURNOVER, run

# Newton's method needs five on average; this ends what will not end.
ITERATIONS_MAX = 200
# Price of a lot that may not be sold: above all others, so that its empty segment is not between two that are not.
UNSELLABLE = 1e12


class Status(StrEnum):
    """What became of an account."""

    OPTIMAL = "OPTIMAL"
    # No optimum was reached: there may be no plan, or the prices are degenerate beyond the arithmetic.
    NOT_REACHED = "NOT_REACHED"
    # The account has market impact or no risk aversion, or is torn.
    NOT_TAKEN = "NOT_TAKEN"


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """One account's answer; `solution` is there when the status is OPTIMAL, `dual_bps` is then its own bound."""

    status: Status
    iterations: int
    dual_bps: float
    solution: ConvexSolution | None = None


def solve_batch(problems: Sequence[ConvexProblem]) -> list[Answer]:
    """Return the answer of each account, in order. Accounts do not influence each other."""
    taken = [index for index, convex in enumerate(problems) if _taken(convex)]
    answers = [Answer(Status.NOT_TAKEN, 0, -np.inf) for _ in problems]
    if taken:
        solved = _solved([problems[index] for index in taken])
        for index, answer in zip(taken, solved, strict=True):
            answers[index] = answer
    return answers


def warm_up() -> None:
    """Compile, or load what was compiled: seconds that no request should wait for."""
    one, none = np.ones(1), np.zeros(0)
    smallest = ConvexProblem(
        risk_aversion=1.0,
        band_price=0.0,
        cost_weight=1.0,
        start=0.5 * one,
        target=one,
        exposures=np.zeros((1, 1)),
        specific_variance=one,
        band=0.0 * one,
        cost=0.0 * one,
        impact=0.0 * one,
        buy_cap=one,
        identity=np.zeros(1, dtype=np.int64),
        lot_instrument=np.zeros(1, dtype=np.int64),
        lot_cap=0.5 * one,
        lot_tax=0.0 * one,
        lot_gain=0.0 * one,
        lot_wash=np.zeros(1, dtype=np.bool_),
        cash=0.5,
        cash_floor=0.0,
        cash_ceiling=1.0,
        turnover=1.0,
        gain_budget=1.0,
        groups=np.zeros((0, 1)),
        group_min=none,
        group_max=none,
    )
    solve_batch([smallest])


def _taken(convex: ConvexProblem) -> bool:
    return convex.risk_aversion > 0 and not convex.impact.any() and not convex.torn.any()


def _solved(problems: Sequence[ConvexProblem]) -> list[Answer]:
    batch = pack(problems)
    k = batch.exposures.shape[1]
    groups = int(np.diff(batch.group_at).max())
    results = Results(
        z=np.zeros((len(problems), k + GROUPS + 2 * groups)),
        weights=np.empty(len(batch.instruments)),
        sold=np.empty(len(batch.lots)),
        duals=np.empty(len(problems)),
        iterations=np.empty(len(problems), dtype=np.int64),
        optimal=np.empty(len(problems), dtype=np.bool_),
    )
    run(batch, 0, len(problems), *_room(batch, results.z.shape[1]), ITERATIONS_MAX, results)
    answers = []
    for account, convex in enumerate(problems):
        if not results.optimal[account]:
            answers.append(Answer(Status.NOT_REACHED, int(results.iterations[account]), float(results.duals[account])))
            continue
        first, last = batch.instrument_at[account], batch.instrument_at[account + 1]
        lots = slice(batch.lot_at[first], batch.lot_at[last])
        solution = ConvexSolution(
            sold=results.sold[lots],
            bought=np.maximum(results.weights[first:last] - convex.start, 0.0),
            prices=_prices(results.z[account, k:], len(convex.group_min)),
        )
        answers.append(
            Answer(Status.OPTIMAL, int(results.iterations[account]), float(results.duals[account]), solution)
        )
    return answers


def _prices(y: Floats, groups: int) -> Prices:
    return Prices(
        cash=float(y[CASH]),
        ceiling=float(y[CEILING]),
        turnover=float(y[TURNOVER]),
        gains=float(y[GAINS]),
        group_min=y[GROUPS : GROUPS + groups],
        group_max=y[GROUPS + groups : GROUPS + 2 * groups],
    )


def pack(problems: Sequence[ConvexProblem]) -> Batch:
    """Return the accounts end to end; factors are padded with zeros to the most that one has."""
    k = max(convex.exposures.shape[1] for convex in problems)
    risk = np.array([BPS_PER_ONE * convex.risk_aversion for convex in problems])
    sizes = np.array([len(convex.start) for convex in problems])
    of_account = np.repeat(risk, sizes)
    exposures = np.zeros((sizes.sum(), k))
    at = _offsets(sizes)
    for convex, first in zip(problems, at[:-1], strict=True):
        exposures[first : first + len(convex.start), : convex.exposures.shape[1]] = convex.exposures
    lots = [np.bincount(convex.lot_instrument, minlength=len(convex.start)) for convex in problems]
    groups = np.array([len(convex.group_min) for convex in problems])

    def joined(name: str) -> Floats:
        return np.concatenate([getattr(convex, name) for convex in problems])

    def each(name: str) -> Floats:
        return np.array([getattr(convex, name) for convex in problems], dtype=np.float64)

    cap, gain = joined("lot_cap"), joined("lot_gain")
    return Batch(
        instrument_at=at,
        lot_at=_offsets(np.concatenate(lots)),
        group_at=_offsets(groups),
        member_at=_offsets(np.repeat(sizes, groups)),
        member=np.concatenate([convex.groups.ravel() for convex in problems]),
        accounts=np.column_stack(
            [
                *(each(name) for name in ("cash", "cash_floor", "cash_ceiling")),
                np.minimum(each("turnover"), NO_LIMIT),
                np.minimum(each("gain_budget"), NO_LIMIT),
                BPS_PER_ONE * each("band_price"),
                BPS_PER_ONE * each("cost_weight"),
            ]
        ),
        instruments=np.column_stack(
            [
                *(joined(name) for name in ("start", "target")),
                of_account * joined("specific_variance"),
                *(joined(name) for name in ("band", "cost", "buy_cap")),
            ]
        ),
        lots=np.column_stack(
            [cap, np.where(cap > 0.0, BPS_PER_ONE * joined("lot_tax"), UNSELLABLE), gain * (cap > 0.0)]
        ),
        groups=np.column_stack([joined("group_min"), joined("group_max")]),
        exposures=np.sqrt(of_account)[:, None] * exposures,
    )


def _room(batch: Batch, rows: int) -> tuple[Room, Point, Point, Move, Floats]:
    """Return the room in which the largest account of the batch is solved."""
    instruments = int(np.diff(batch.instrument_at).max())
    lots = int(np.diff(batch.lot_at[batch.instrument_at]).max())
    here, there = (
        Point(
            z=np.zeros(rows),
            gradient=np.zeros(rows),
            weight=np.zeros(instruments),
            place=np.zeros(instruments, dtype=np.int64),
            free=np.zeros(instruments, dtype=np.bool_),
        )
        for _ in range(2)
    )
    move = Move(np.zeros(rows, dtype=np.int64), *(np.zeros(rows) for _ in range(6)))
    return (
        Room(np.zeros(lots, dtype=np.int64), np.zeros((lots, 3)), np.zeros(1)),
        here,
        there,
        move,
        np.zeros((rows, rows)),
    )


def _offsets(sizes: Integers) -> Integers:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
