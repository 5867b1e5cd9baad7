"""The same accounts for general solvers: one quadratic program of fixed shape, as a user of those solvers writes it.

Variables are lots sold s, instruments bought b, deviations d, factor exposures y, and the excess e over the band. Every
instrument gets as many lots as the account with most, empty ones of size zero, so that one set-up serves all accounts:
what differs between accounts is then only vectors, which is the best case of a parametrised problem.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import clarabel
import cvxpy as cp
import numpy as np
import piqp
import scipy.sparse as sp

from services.decision.domain.convex import BPS_PER_ONE, ConvexProblem, ConvexSolution, Floats
from tests.support.convex_cases import doing

# A solver that was set up for a batch, asked about one account.
Peer = Callable[[ConvexProblem], ConvexSolution]
INFINITE = np.inf
# Gap and feasibility that each is asked for; the kernel's are far below.
TOLERANCE = 1e-8


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """What all accounts of a batch share: ½ xᵀP x + qᵀx, A x = b, G x ≤ h, low ≤ x ≤ high, with x = (s, b, d, y, e)."""

    convex: ConvexProblem
    lots: int

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Padded lots, instruments, factors."""
        n, k = self.convex.exposures.shape
        return n * self.lots, n, k

    def matrices(self) -> tuple[sp.csc_matrix, sp.csc_matrix, sp.csc_matrix]:
        """Return P, A and G."""
        convex = self.convex
        m, n, k = self.sizes
        risk = BPS_PER_ONE * convex.risk_aversion
        p = sp.diags(np.concatenate([np.zeros(m + n), risk * convex.specific_variance, np.full(k, risk), np.zeros(n)]))
        lots_of = sp.kron(sp.eye(n), np.ones((1, self.lots)))
        one, none = sp.eye(n), sp.csc_matrix
        a = sp.bmat(
            [
                [lots_of, -one, one, none((n, k)), none((n, n))],
                [none((k, m)), none((k, n)), -sp.csc_matrix(convex.exposures.T), sp.eye(k), none((k, n))],
            ]
        )
        kappa = np.repeat(convex.cost, self.lots)
        rest = none((1, n + k + n))
        g = sp.bmat(
            [
                [sp.csc_matrix((kappa - 1.0)[None]), sp.csc_matrix((convex.cost + 1.0)[None]), rest],
                [sp.csc_matrix(np.ones((1, m))), sp.csc_matrix(np.ones((1, n))), rest],
            ]
        )
        band = sp.bmat(
            [
                [none((n, m + n)), one, none((n, k)), -one],
                [none((n, m + n)), -one, none((n, k)), -one],
            ]
        )
        return sp.csc_matrix(p), sp.csc_matrix(a), sp.csc_matrix(sp.vstack([g, band]))

    def place(self, convex: ConvexProblem) -> np.ndarray:
        """Return where each lot of an account is among the padded ones."""
        row = convex.lot_instrument
        first = np.searchsorted(row, np.arange(len(convex.start)))
        return row * self.lots + np.arange(len(row)) - first[row]

    def vectors(self, convex: ConvexProblem) -> tuple[Floats, Floats, Floats, Floats]:
        """Return q, b, h and high."""
        m, n, k = self.sizes
        place = self.place(convex)
        tax, cap = np.zeros(m), np.zeros(m)
        tax[place], cap[place] = convex.lot_tax, convex.lot_cap
        kappa = np.repeat(convex.cost, self.lots)
        price = np.full(n, convex.band_price)
        q = BPS_PER_ONE * np.concatenate([tax + kappa, convex.cost, np.zeros(n + k), price])
        b = np.concatenate([convex.start - convex.target, np.zeros(k)])
        h = np.concatenate([[convex.cash - convex.cash_floor, convex.turnover], convex.band, convex.band])
        high = np.concatenate([cap, convex.buy_cap, np.full(n + k, INFINITE), np.full(n, INFINITE)])
        return q, b, h, high

    def solution(self, convex: ConvexProblem, x: Floats) -> ConvexSolution:
        """Return the trades in x, within their bounds."""
        m, n, _ = self.sizes
        sold = np.clip(x[:m][self.place(convex)], 0.0, convex.lot_cap)
        return doing(convex, sold, np.clip(x[m : m + n], 0.0, convex.buy_cap))

    @property
    def low(self) -> Floats:
        """Lower bounds of x."""
        m, n, k = self.sizes
        return np.concatenate([np.zeros(m + n), np.full(n + k, -INFINITE), np.zeros(n)])


def shape_of(problems: Sequence[ConvexProblem]) -> Shape:
    """Return the shape that serves all accounts."""
    widest = max(int(np.bincount(each.lot_instrument).max()) for each in problems)
    return Shape(problems[0], widest)


def by_cvxpy(shape: Shape, solver: str, **settings: Any) -> Peer:
    """Return cvxpy with parameters (DPP): compiled once, then fed."""
    m, n, k = shape.sizes
    p, a, g = shape.matrices()
    convex = shape.convex
    risk = BPS_PER_ONE * convex.risk_aversion
    q, b, h, high = cp.Parameter(p.shape[0]), cp.Parameter(n + k), cp.Parameter(2 + 2 * n), cp.Parameter(m + n)
    x = cp.Variable(p.shape[0])
    d, y = x[m + n : m + 2 * n], x[m + 2 * n : m + 2 * n + k]
    deviation = 0.5 * risk * (cp.sum_squares(cp.multiply(np.sqrt(convex.specific_variance), d)) + cp.sum_squares(y))
    limits = [a @ x == b, g @ x <= h, x[: m + n] >= 0, x[: m + n] <= high, x[m + 2 * n + k :] >= 0]
    problem = cp.Problem(cp.Minimize(deviation + q @ x), limits)

    def solve(account: ConvexProblem) -> ConvexSolution:
        q.value, b.value, h.value, top = shape.vectors(account)
        high.value = top[: m + n]
        problem.solve(solver=solver, **settings)
        return shape.solution(account, x.value)

    return solve


def by_clarabel(shape: Shape) -> Peer:
    """Return Clarabel without cvxpy, its matrices made once."""
    m, n, _ = shape.sizes
    p, a, g = shape.matrices()
    size = p.shape[0]
    boxed = sp.vstack([sp.eye(m + n, size), -sp.eye(m + n, size), -sp.eye(n, size, k=size - n)])
    rows = sp.csc_matrix(sp.vstack([a, g, boxed]))
    cones = [clarabel.ZeroConeT(a.shape[0]), clarabel.NonnegativeConeT(g.shape[0] + boxed.shape[0])]
    settings = clarabel.DefaultSettings()
    settings.verbose, settings.max_threads = False, 1
    upper = sp.triu(p).tocsc()

    def solve(account: ConvexProblem) -> ConvexSolution:
        q, b, h, high = shape.vectors(account)
        right = np.concatenate([b, h, high[: m + n], np.zeros(m + n), np.zeros(n)])
        return shape.solution(
            account, np.array(clarabel.DefaultSolver(upper, q, rows, right, cones, settings).solve().x)
        )

    return solve


def by_piqp(shape: Shape) -> Peer:
    """Return PIQP, set up once and then updated."""
    p, a, g = shape.matrices()
    solver = piqp.SparseSolver()
    solver.settings.eps_abs = solver.settings.eps_rel = TOLERANCE
    started = False

    def solve(account: ConvexProblem) -> ConvexSolution:
        nonlocal started
        q, b, h, high = shape.vectors(account)
        lowest = np.full(len(h), -INFINITE)
        if started:
            solver.update(c=q, b=b, h_l=lowest, h_u=h, x_l=shape.low, x_u=high)
        else:
            solver.setup(p, q, a, b, g, lowest, h, shape.low, high)
            started = True
        solver.solve()
        return shape.solution(account, np.array(solver.result.x))

    return solve
