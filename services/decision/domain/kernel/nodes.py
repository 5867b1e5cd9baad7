"""A node of the search over states, compiled: what each state leaves an instrument, solved, and what that proves.

States: FREE: both ways, any size that may be. NONE: no trade. SELL and BUY: at least the least trade. DOWN: no
purchase. UP: no sale.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.decision.domain.batch_certificate import bound_below
from services.decision.domain.compiling import part
from services.decision.domain.convex import Floats
from services.decision.domain.kernel.arrays import RISK, START, Batch
from services.decision.domain.kernel.newton import solved
from services.decision.domain.kernel.room import FROM, LEAST_BOUGHT, LEAST_SOLD, MIXED, TO, Room, Z

States = NDArray[np.int8]

FREE, NONE, SELL, BUY, DOWN, UP = 0, 1, 2, 3, 4, 5

# Open nodes that are remembered at once, per instrument.
OPEN_PER_INSTRUMENT = 8


class Tree(NamedTuple):
    """Where one account is searched.

    Attributes:
        open: States of the nodes to look at, shape (nodes, n); `bounds` below each of them, shape (nodes,); `at`, the
            prices at which to begin, shape (nodes, rows).
        state: Of the node looked at, shape (n,); `best` of the best plan found, and `best_at` its prices.
        net: What the last node trades, bought less sold, shape (n,).
        wanted: The same at the root, shape (n,).
        start: Prices at the root, shape (rows,).
        least: Least weight that a sale and a purchase of each instrument have, infinite where none can be made, then
            zeros, shape (3, n).
        tried: Whether another way of it was tried since the plan in `best` was found, shape (n,).
        torn: Whether it goes one way only, with all that are identical to it, shape (n,).
        identity: The first of those that are identical, shape (n,).
        sizes: What a node's states leave of `least`, and what standing still costs there, shape (3, n).
        room: For the certificate, shape (7, n); `factor` likewise, shape (k,); `order` of lots, shape (m,).
    """

    open: States
    bounds: Floats
    at: Floats
    state: States
    best: States
    best_at: Floats
    net: Floats
    wanted: Floats
    start: Floats
    least: Floats
    tried: NDArray[np.bool_]
    torn: NDArray[np.bool_]
    identity: NDArray[np.int64]
    sizes: Floats
    room: Floats
    factor: Floats
    order: NDArray[np.int64]


def tree_for(instruments: int, lots: int, factors: int, rows: int) -> Tree:
    """Return room for a search over at most so many of each."""
    nodes = OPEN_PER_INSTRUMENT * instruments + 64
    return Tree(
        np.zeros((nodes, instruments), dtype=np.int8),
        np.zeros(nodes),
        np.zeros((nodes, rows)),
        np.zeros(instruments, dtype=np.int8),
        np.zeros(instruments, dtype=np.int8),
        np.zeros(rows),
        np.zeros(instruments),
        np.zeros(instruments),
        np.zeros(rows),
        np.zeros((3, instruments)),
        np.zeros(instruments, dtype=np.bool_),
        np.zeros(instruments, dtype=np.bool_),
        np.zeros(instruments, dtype=np.int64),
        np.zeros((3, instruments)),
        np.zeros((7, instruments)),
        np.zeros(factors),
        np.zeros(lots, dtype=np.int64),
    )


@part
def possible(tree: Tree, row: int, state: int) -> bool:
    """Return whether an instrument can be in a state."""
    if state == BUY:
        return bool(tree.least[1, row] < np.inf)
    if state == SELL:
        return bool(tree.least[0, row] < np.inf)
    return True


@part
def solve_node(
    b: Batch, account: int, room: Room, tree: Tree, iterations_max: int, enough: float
) -> tuple[float, float, bool]:
    """Solve the account in the states of `tree.state` from the room's prices, or until the dual value is `enough`.

    Returns the dual value, what the certificate makes of its prices, and whether they are the best.
    """
    i0, n = b.instrument_at[account], b.instrument_at[account + 1] - b.instrument_at[account]
    for row in range(n):
        i = i0 + row
        start, state = b.instruments[START, i], tree.state[row]
        sale = np.inf if state in (NONE, BUY, UP) else tree.least[0, row]
        purchase = np.inf if state in (NONE, SELL, DOWN) else tree.least[1, row]
        tree.sizes[0, row], tree.sizes[1, row] = sale, purchase
        tree.sizes[2, row] = np.inf if state in (SELL, BUY) else 0.0
        low = -np.inf if sale < np.inf else start
        high = np.inf if purchase < np.inf else start
        if state == SELL:
            high = start - sale
        elif state == BUY:
            low = start + purchase
        room.bounds[FROM, row], room.bounds[TO, row] = low, high
        room.bounds[LEAST_SOLD, row] = sale if sale < np.inf else 0.0
        room.bounds[LEAST_BOUGHT, row] = purchase if purchase < np.inf else 0.0
        room.bounds[MIXED, row] = 1.0 if state == FREE and tree.torn[row] else 0.0
    value, _, optimal = solved(b, account, room, iterations_max, enough)
    base = b.lot_at[i0]
    for row in range(n):
        net = room.bought[row]
        for lot in range(b.lot_at[i0 + row], b.lot_at[i0 + row + 1]):
            net -= room.sold[lot - base]
        tree.net[row] = net
    return value, proven_by(b, account, room, tree), optimal


@part
def proven_by(b: Batch, account: int, room: Room, tree: Tree) -> float:
    """Return what the certificate's code says that no plan in the node's states is below, at the room's prices."""
    n = b.instrument_at[account + 1] - b.instrument_at[account]
    k = b.exposures.shape[1]
    root = np.sqrt(b.accounts[account, RISK])
    for row in range(n):
        tree.room[0, row], tree.room[3, row] = max(-tree.net[row], 0.0), max(tree.net[row], 0.0)
    for f in range(k):
        # The tangent of a factor's own term has its price for a slope.
        tree.factor[f] = room.prices[Z, f] / root
    bound: float = bound_below(b, account, room.prices[Z, k:], tree.room, tree.factor, tree.order, tree.sizes)
    return bound
