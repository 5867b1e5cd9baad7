"""Many accounts at once: packed end to end, solved one after the other by compiled code, unpacked.

What the kernel does not take, or does not bring to its optimum, it says, and its caller asks the reference model: an
account without risk aversion, whose optimum is not unique; one that is torn, because something must choose a way
first; one with limits that weigh their instruments, or a tax with several hinges; one whose prices do not settle.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from services.decision.domain.convex import BPS_PER_ONE, ConvexProblem, ConvexSolution, Floats, Prices, no_limit
from services.decision.domain.kernel.arrays import HINGE_PRICE, Batch, Integers, Results, check_layout
from services.decision.domain.kernel.newton import run
from services.decision.domain.kernel.room import CASH, CEILING, GAINS, GROUPS, HINGE, TURNOVER, room_for

# Newton's method needs five on average; this ends what will not end.
ITERATIONS_MAX = 200


class Status(StrEnum):
    """What became of an account."""

    OPTIMAL = "OPTIMAL"
    # No optimum was reached: there may be no plan, or the prices are degenerate beyond the arithmetic.
    NOT_REACHED = "NOT_REACHED"
    # The account has no risk aversion, is torn, or has limits that weigh their instruments, or several hinges.
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
    taken = [index for index, convex in enumerate(problems) if is_taken(convex)]
    answers = [Answer(Status.NOT_TAKEN, 0, -np.inf) for _ in problems]
    if taken:
        batch = pack([problems[index] for index in taken])
        for index, answer in zip(taken, unpack(batch, solve_columns(batch)), strict=True):
            answers[index] = answer
    return answers


def is_taken(convex: ConvexProblem) -> bool:
    """Return whether the kernel takes the account."""
    few = len(convex.hinge_price) <= 1
    return convex.risk_aversion > 0 and few and not convex.weighted and not bool(convex.torn.any())


def solve_columns(batch: Batch) -> Results:
    """Return what the kernel finds for the accounts of a batch, all of which it takes.

    Raises:
        ValueError: The arrays are not laid out as the kernel reads them.
    """
    check_layout(batch)
    accounts, rows = len(batch.accounts), batch.exposures.shape[1] + GROUPS
    results = Results(
        prices=np.zeros((accounts, rows + 2 * int(np.diff(batch.group_at).max(initial=0)))),
        bought=np.zeros(batch.instruments.shape[1]),
        sold=np.zeros(batch.lots.shape[1]),
        duals=np.zeros(accounts),
        iterations=np.zeros(accounts, dtype=np.int64),
        optimal=np.zeros(accounts, dtype=np.bool_),
    )
    lots = batch.lot_at[batch.instrument_at]
    room = room_for(
        instruments=int(np.diff(batch.instrument_at).max(initial=0)),
        lots=int(np.diff(lots).max(initial=0)),
        factors=batch.exposures.shape[1],
        rows=results.prices.shape[1],
    )
    run(batch, 0, accounts, room, ITERATIONS_MAX, results)
    return results


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


def unpack(batch: Batch, results: Results) -> list[Answer]:
    """Return each account's answer out of the columns."""
    k = batch.exposures.shape[1]
    instrument_at, lot_at = batch.instrument_at.tolist(), batch.lot_at[batch.instrument_at].tolist()
    groups = np.diff(batch.group_at).tolist()
    duals, iterations, optimal = results.duals.tolist(), results.iterations.tolist(), results.optimal.tolist()
    limits = results.prices[:, k : k + GROUPS].tolist()
    answers = []
    for account, y in enumerate(limits):
        if not optimal[account]:
            answers.append(Answer(Status.NOT_REACHED, iterations[account], duals[account]))
            continue
        first, g = k + GROUPS, groups[account]
        solution = ConvexSolution(
            sold=results.sold[lot_at[account] : lot_at[account + 1]],
            bought=results.bought[instrument_at[account] : instrument_at[account + 1]],
            prices=Prices(
                cash=y[CASH],
                ceiling=y[CEILING],
                turnover=y[TURNOVER],
                gains=y[GAINS],
                group_min=results.prices[account, first : first + g],
                group_max=results.prices[account, first + g : first + 2 * g],
                hinges=np.array([y[HINGE]]) if batch.accounts[account, HINGE_PRICE] > 0.0 else np.zeros(0),
            ),
        )
        answers.append(Answer(Status.OPTIMAL, iterations[account], duals[account], solution))
    return answers


def pack(problems: Sequence[ConvexProblem]) -> Batch:
    """Return the accounts end to end. Factors are padded with zeros to the most that one has."""
    sizes = np.array([len(convex.start) for convex in problems])
    lots = [np.bincount(convex.lot_instrument, minlength=len(convex.start)) for convex in problems]
    groups = np.array([len(convex.group_min) for convex in problems])
    exposure_at, exposures = _exposures(problems)

    def joined(name: str) -> Floats:
        return np.concatenate([getattr(convex, name) for convex in problems])

    def each(name: str) -> Floats:
        return np.array([getattr(convex, name) for convex in problems], dtype=np.float64)

    unlimited = np.array([no_limit(convex.start) for convex in problems])
    # At most one each.
    hinged = np.concatenate(
        [convex.hinge_lots[0] if len(convex.hinge_price) else np.zeros(len(convex.lot_cap)) for convex in problems]
    )
    return Batch(
        instrument_at=_offsets(sizes),
        lot_at=_offsets(np.concatenate(lots)),
        group_at=_offsets(groups),
        member_at=_offsets(np.repeat(sizes, groups)),
        member=np.concatenate([convex.groups.ravel() for convex in problems]),
        accounts=np.column_stack(
            [
                *(each(name) for name in ("cash", "cash_floor", "cash_ceiling")),
                np.minimum(each("turnover"), unlimited),
                np.minimum(each("gain_budget"), unlimited),
                *(BPS_PER_ONE * each(name) for name in ("band_price", "cost_weight", "risk_aversion")),
                np.array([convex.hinge_above.sum() for convex in problems]),
                BPS_PER_ONE * np.array([convex.hinge_price.sum() for convex in problems]),
                BPS_PER_ONE * each("tax_constant"),
            ]
        ),
        instruments=np.stack(
            [joined(name) for name in ("start", "target", "specific_variance", "band", "cost", "impact", "buy_cap")]
        ),
        lots=np.stack([joined("lot_cap"), BPS_PER_ONE * joined("lot_tax"), joined("lot_gain"), hinged]),
        groups=np.column_stack([joined("group_min"), joined("group_max")]),
        exposure_at=exposure_at,
        exposures=exposures,
    )


def _exposures(problems: Sequence[ConvexProblem]) -> tuple[Integers, Floats]:
    """Return each instrument's row, and the rows; accounts that share an array share its rows."""
    k = max(convex.exposures.shape[1] for convex in problems)
    first_of: dict[int, int] = {}
    parts: list[Floats] = []
    rows = 0
    for convex in problems:
        own = convex.exposures
        if id(own) not in first_of:
            first_of[id(own)] = rows
            rows += len(own)
            parts.append(own if own.shape[1] == k else np.pad(own, ((0, 0), (0, k - own.shape[1]))))
    at = [first_of[id(convex.exposures)] + np.arange(len(convex.start)) for convex in problems]
    return np.concatenate(at), np.ascontiguousarray(np.concatenate(parts))


def _offsets(sizes: Integers) -> Integers:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
