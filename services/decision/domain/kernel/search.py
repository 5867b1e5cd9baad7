"""Which way does each instrument go, and which trades are too small to make? A branch and bound, compiled.

Two things are not convex. A trade is at least so large, or is not made. And an instrument with a loss to sell goes one
way, with all that are identical to it: to sell the loss and buy the instrument back is a wash sale. So every instrument
has a *state*, which bounds its final weight; where a state leaves something open, the kernel solves the convex function
below it, and its dual value bounds every plan in that state (Land and Doig 1960; the hull of lots and purchase together
is the least convex bound of both ways). A node of the tree costs the kernel a few steps of Newton's method, so most
accounts are proven in a millisecond. What is left unproven when the nodes run out is said: the bound then is the least
of those still open.

States: FREE: both ways, any size. NONE: no trade. SELL and BUY: at least the smallest trade. DOWN: no purchase. UP: no
sale.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.decision.domain.compiling import part
from services.decision.domain.convex import Floats
from services.decision.domain.kernel.arrays import (
    BAND,
    BAND_PRICE,
    CAP,
    GAIN,
    HINGED,
    START,
    TARGET,
    TAX,
    Batch,
)
from services.decision.domain.kernel.newton import (
    END,
    FIRST,
    FROM,
    LEFT,
    MIXED,
    RIGHT,
    SELLABLE,
    SLOPE,
    TO,
    VALUE,
    Q,
    Room,
    Z,
    enter,
    solved,
)

States = NDArray[np.int8]

FREE, NONE, SELL, BUY, DOWN, UP = 0, 1, 2, 3, 4, 5

# In weight: a trade smaller than this is none, and a trade misses its least size by no less.
NOISE = 1e-9
# Of the value, in basis points: a relaxation nearer than this to the truth is the truth.
EXACT_BPS = 1e-7
# Open nodes that are remembered at once, per instrument.
OPEN_PER_INSTRUMENT = 8
# Shares of the smallest trade from which on a trade is rounded up to it, tried in turn.
ROUND_UP_FROM = (0.5, 0.25, 0.9)


class Tree(NamedTuple):
    """Where one account is searched.

    Attributes:
        open: States of the nodes to look at, shape (nodes, n); `bounds` below each of them, shape (nodes,).
        state: Of the node looked at, shape (n,); `best` of the best plan found.
        net: What the last node trades, bought less sold, shape (n,).
        wanted: The same at the root, shape (n,).
        start: Prices at the root, where every node begins, shape (rows,).
        least: Least weight that a sale and a purchase of each instrument have, infinite where none can be made, shape
            (2, n).
        torn: Whether it goes one way only, with all that are identical to it, shape (n,).
        identity: The first of those that are identical, shape (n,).
    """

    open: States
    bounds: Floats
    state: States
    best: States
    net: Floats
    wanted: Floats
    start: Floats
    least: Floats
    torn: NDArray[np.bool_]
    identity: NDArray[np.int64]


def tree_for(instruments: int, rows: int) -> Tree:
    """Return room for a search over at most so many instruments and prices."""
    nodes = OPEN_PER_INSTRUMENT * instruments + 64
    return Tree(
        np.zeros((nodes, instruments), dtype=np.int8),
        np.zeros(nodes),
        np.zeros(instruments, dtype=np.int8),
        np.zeros(instruments, dtype=np.int8),
        np.zeros(instruments),
        np.zeros(instruments),
        np.zeros(rows),
        np.zeros((2, instruments)),
        np.zeros(instruments, dtype=np.bool_),
        np.zeros(instruments, dtype=np.int64),
    )


@part
def possible(tree: Tree, row: int, state: int) -> bool:
    """Return whether an instrument can be in a state."""
    if state == BUY:
        return tree.least[1, row] < np.inf
    if state == SELL:
        return tree.least[0, row] < np.inf
    return True


@part
def solve_node(b: Batch, account: int, room: Room, tree: Tree, iterations_max: int) -> tuple[float, int, bool]:
    """Solve the account in the states of `tree.state`, beginning at the root's prices."""
    i0, n = b.instrument_at[account], b.instrument_at[account + 1] - b.instrument_at[account]
    for r in range(room.prices.shape[1]):
        room.prices[Z, r] = tree.start[r]
    for row in range(n):
        i = i0 + row
        start, state = b.instruments[START, i], tree.state[row]
        low, high = -np.inf, np.inf
        if state == NONE:
            low = high = start
        elif state == SELL:
            high = start - tree.least[0, row]
        elif state == BUY:
            low = start + tree.least[1, row]
        elif state == DOWN:
            high = start
        elif state == UP:
            low = start
        room.bounds[FROM, row], room.bounds[TO, row] = low, high
        room.bounds[MIXED, row] = 1.0 if state == FREE and tree.torn[row] else 0.0
    value, steps, optimal = solved(b, account, room, iterations_max)
    base = b.lot_at[i0]
    for row in range(n):
        net = room.bought[row]
        for lot in range(b.lot_at[i0 + row], b.lot_at[i0 + row + 1]):
            net -= room.sold[lot - base]
        tree.net[row] = net
    return value, steps, optimal


@part
def lower_by(b: Batch, account: int, room: Room, tree: Tree, row: int) -> float:
    """Return by how much the relaxation is below what one instrument really costs; infinite for a trade too small."""
    i = b.instrument_at[account] + row
    start, d = b.instruments[START, i], tree.net[row]
    w = start + d
    if abs(d) > NOISE and abs(d) < tree.least[1 if d > 0.0 else 0, row] - NOISE:
        return np.inf
    if room.bounds[MIXED, row] == 0.0:
        return 0.0
    s = room.places[FIRST, row]
    while s < room.places[END, row] - 1 and room.segments[RIGHT, s] < w:
        s += 1
    below = room.segments[VALUE, s] + room.segments[SLOPE, s] * (w - room.segments[LEFT, s])
    away = abs(w - b.instruments[TARGET, i]) - b.instruments[BAND, i]
    true = b.accounts[account, BAND_PRICE] * max(away, 0.0)
    left = -d
    gains_price, hinge_price = room.laid_out[0], room.laid_out[1]
    first = b.lot_at[i] - b.lot_at[b.instrument_at[account]]
    p = first + room.places[SELLABLE, row] - 1
    while left > 0.0 and p >= first:
        lot = room.order[p]
        part = min(left, b.lots[CAP, lot])
        true += (b.lots[TAX, lot] + gains_price * b.lots[GAIN, lot] + hinge_price * b.lots[HINGED, lot]) * part
        left -= part
        p -= 1
    missed: float = true - below
    return missed


@part
def open_question(b: Batch, account: int, room: Room, tree: Tree) -> int:
    """Return the instrument whose relaxation is farthest from the truth; −1 when all are true."""
    n = b.instrument_at[account + 1] - b.instrument_at[account]
    pick = -1
    worst = EXACT_BPS
    for row in range(n):
        state = tree.state[row]
        if state in (NONE, SELL, BUY):
            continue
        d = tree.net[row]
        missed = lower_by(b, account, room, tree, row)
        if missed == np.inf:
            short = min(abs(d), tree.least[1 if d > 0.0 else 0, row] - abs(d))
            missed = 0.5 * room.lines[Q, row] * short * short + 10.0 * EXACT_BPS
        if tree.torn[row] and state == FREE and abs(d) > NOISE:
            # Of identical instruments one is sold and another bought.
            for other in range(n):
                same = other != row and tree.torn[other] and tree.identity[other] == tree.identity[row]
                if same and tree.net[other] * d < 0.0 and abs(tree.net[other]) > NOISE:
                    missed = max(missed, 1.0)
        if missed > worst:
            worst = missed
            pick = row
    return pick


@part
def turn(b: Batch, account: int, tree: Tree, row: int, state: int) -> bool:
    """Put an instrument, and if it is torn all that are identical to it, into a state; return whether that can be."""
    n = b.instrument_at[account + 1] - b.instrument_at[account]
    if state in (UP, DOWN) and tree.torn[row]:
        for other in range(n):
            if tree.torn[other] and tree.identity[other] == tree.identity[row] and tree.state[other] == FREE:
                tree.state[other] = state
        return True
    tree.state[row] = state
    return possible(tree, row, state)


@part
def settle(b: Batch, account: int, tree: Tree, share: float, by_target: bool) -> None:
    """Fill the states of a plan near the root's wishes: one way for what is torn, and no trade that is too small."""
    i0, n = b.instrument_at[account], b.instrument_at[account + 1] - b.instrument_at[account]
    for row in range(n):
        tree.state[row] = FREE
    for row in range(n):
        if not tree.torn[row] or tree.state[row] != FREE:
            continue
        net = 0.0
        for other in range(n):
            if tree.torn[other] and tree.identity[other] == tree.identity[row]:
                i = i0 + other
                net += b.instruments[TARGET, i] - b.instruments[START, i] if by_target else tree.wanted[other]
        turn(b, account, tree, row, UP if net > 0.0 else DOWN)
    for row in range(n):
        least_sold, least_bought = tree.least[0, row], tree.least[1, row]
        if least_sold <= 0.0 and least_bought <= 0.0:
            continue
        d = tree.wanted[row]
        way = tree.state[row]
        tree.state[row] = NONE
        if d > share * least_bought and way != DOWN:
            tree.state[row] = BUY
        elif -d > share * least_sold and way != UP:
            tree.state[row] = SELL


@part
def branch_and_bound(  # noqa: C901 - one tree, without recursion
    b: Batch, account: int, room: Room, tree: Tree, iterations_max: int, nodes_max: int, gap_bps: float
) -> tuple[float, float, int, bool]:
    """Search the account in the room, which `enter` brought in; the best plan's prices and weights end in it.

    Args:
        b: The batch.
        account: Of the batch.
        room: As `newton` left it.
        tree: `least`, `torn` and `identity` are filled in; `start` has the prices to begin at.
        iterations_max: Of Newton's method, at each node.
        nodes_max: Nodes looked at.
        gap_bps: A plan that is proven to be so near to the best is the best.

    Returns:
        The best plan's value, a value that no plan is below, both in basis points, the number of nodes, and whether a
        plan was found; its states are in `tree.best`.
    """
    n = b.instrument_at[account + 1] - b.instrument_at[account]
    enter(b, account, room)
    for row in range(n):
        tree.state[row] = FREE
        tree.best[row] = FREE
    value, _, optimal = solve_node(b, account, room, tree, iterations_max)
    nodes = 1
    root = value
    if not optimal:
        return np.inf, -np.inf, nodes, False
    for r in range(room.prices.shape[1]):
        tree.start[r] = room.prices[Z, r]
    for row in range(n):
        tree.wanted[row] = tree.net[row]
    if open_question(b, account, room, tree) < 0:
        return value, value, nodes, True

    best = np.inf
    last_is_best = False
    for attempt in range(2 * len(ROUND_UP_FROM)):
        settle(b, account, tree, ROUND_UP_FROM[attempt // 2], attempt % 2 == 1)
        value, _, optimal = solve_node(b, account, room, tree, iterations_max)
        nodes += 1
        last_is_best = False
        if optimal and value < best and open_question(b, account, room, tree) < 0:
            best = value
            last_is_best = True
            for row in range(n):
                tree.best[row] = tree.state[row]
        if best <= root + gap_bps:
            break

    limit = tree.open.shape[0]
    count = 0
    unproven = np.inf
    if best > root + gap_bps:
        for row in range(n):
            tree.open[0, row] = FREE
        tree.bounds[0] = root
        count = 1
    while count > 0:
        count -= 1
        if tree.bounds[count] >= best - gap_bps:
            continue
        if nodes >= nodes_max:
            unproven = min(unproven, tree.bounds[count])
            continue
        for row in range(n):
            tree.state[row] = tree.open[count, row]
        value, _, optimal = solve_node(b, account, room, tree, iterations_max)
        nodes += 1
        last_is_best = False
        bound = max(value, tree.bounds[count])
        if bound >= best - gap_bps:
            continue
        pick = open_question(b, account, room, tree)
        if pick < 0:
            if optimal:
                best = value
                last_is_best = True
                for row in range(n):
                    tree.best[row] = tree.state[row]
            else:
                unproven = min(unproven, bound)
            continue
        d = tree.net[pick]
        state = tree.state[pick]
        large = abs(d) > 0.5 * tree.least[1 if d > 0.0 else 0, pick]
        if state == DOWN:
            first, second = (SELL, NONE) if large else (NONE, SELL)
        elif state == UP:
            first, second = (BUY, NONE) if large else (NONE, BUY)
        elif tree.torn[pick]:
            first, second = (UP, DOWN) if d > 0.0 else (DOWN, UP)
        elif d > 0.0:
            first, second = (BUY, DOWN) if large else (DOWN, BUY)
        else:
            first, second = (SELL, UP) if large else (UP, SELL)
        # The one looked at first goes on top.
        for child in (second, first):
            if count >= limit:
                unproven = min(unproven, bound)
                break
            for row in range(n):
                tree.open[count, row] = tree.state[row]
            kept = tree.state[pick]
            able = turn(b, account, tree, pick, child)
            if able:
                for row in range(n):
                    kept_row = tree.state[row]
                    tree.state[row] = tree.open[count, row]
                    tree.open[count, row] = kept_row
                tree.bounds[count] = bound
                count += 1
            else:
                tree.state[pick] = kept
    if best == np.inf:
        return best, max(root, -np.inf), nodes, False
    if not last_is_best:
        for row in range(n):
            tree.state[row] = tree.best[row]
        best, _, optimal = solve_node(b, account, room, tree, iterations_max)
    proven = min(best - gap_bps if count == 0 else best, unproven)
    return best, max(root, min(proven, best)), nodes, True
