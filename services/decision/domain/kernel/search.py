"""Which way does each instrument go, and which trades are too small to make? A branch and bound, compiled.

Two things are not convex. A trade is at least so large, or is not made. And an instrument with a loss to sell goes one
way, with all that are identical to it: to sell the loss and buy the instrument back is a wash sale. So every instrument
has a *state*, which bounds its final weight; where a state leaves something open, the kernel solves the convex hull of
what may be done (Land and Doig 1960): no trade and the smallest are bridged by a straight line, and of lots and
purchase together the losses come first. The node with the least bound is looked at first, then one below the other
until there is a plan; beside a plan its instruments are turned one after the other. A way that no better plan goes is
closed below its node (`narrowing`). A node costs the kernel a few steps of Newton's method from the prices of the one
above, so most accounts are proven in a millisecond.

What a node proves of the plans in its states is computed from its prices by the certificate's code, not the kernel's.
The account's bound is the least over the nodes at which the search stopped, whether they were closed or it ran out of
nodes: a wrong price makes it weaker, never false.
"""

import numpy as np

from services.decision.domain.compiling import part
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
from services.decision.domain.kernel.narrowing import has_least, narrow, way_to_try
from services.decision.domain.kernel.newton import NEVER
from services.decision.domain.kernel.nodes import BUY, DOWN, FREE, NONE, SELL, UP, Tree, possible, solve_node
from services.decision.domain.kernel.room import (
    BRIDGES,
    END,
    FIRST,
    LEFT,
    MIXED,
    RIGHT,
    SELLABLE,
    SLOPE,
    VALUE,
    Q,
    Room,
    Z,
)
from services.decision.domain.kernel.segments import LOOSE, enter

# In weight: a trade smaller than this is none, and a trade misses its least size by no less.
NOISE = 1e-9
# Of the value, in basis points: a relaxation nearer than this to the truth is the truth.
EXACT_BPS = 1e-7
# Shares of the smallest trade from which on a trade is rounded up to it, tried in turn.
ROUND_UP_FROM = (0.5, 0.25, 0.9)
# A search that has spent this share of its nodes ends when a plan is proven so many times as near as was asked.
EASED_AFTER, EASED_BY = 0.3, 1.6
# Nodes that may be spent on looking for a better plan beside each one found.
BESIDE_MAX = 60


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
    if room.segments[BRIDGES, s] > 0.0:
        away = w - b.instruments[TARGET, i]
        below -= 0.5 * (1.0 - LOOSE) * room.lines[Q, row] * away * away
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
def keep_best(tree: Tree, room: Room, n: int) -> None:
    """Remember the node looked at as the best plan: what is open in it goes the way that it trades."""
    for row in range(n):
        state, d = tree.state[row], tree.net[row]
        if has_least(tree, row) and not (state == FREE and tree.torn[row]):
            state = NONE
            if abs(d) > NOISE:
                state = BUY if d > 0.0 else SELL
        tree.best[row] = state
    for r in range(room.prices.shape[1]):
        tree.best_at[r] = room.prices[Z, r]


@part
def push(tree: Tree, room: Room, n: int, place: int, bound: float) -> None:
    """Keep the node looked at for later, with the prices at which to begin."""
    for row in range(n):
        tree.open[place, row] = tree.state[row]
    for r in range(room.prices.shape[1]):
        tree.at[place, r] = room.prices[Z, r]
    tree.bounds[place] = bound


@part
def pop_least(tree: Tree, room: Room, n: int, count: int) -> float:
    """Take the node with the least bound, the first of equals, out of the `count` that wait; return its bound."""
    place = 0
    for other in range(1, count):
        if tree.bounds[other] < tree.bounds[place]:
            place = other
    bound: float = tree.bounds[place]
    last = count - 1
    for row in range(n):
        tree.state[row] = tree.open[place, row]
        tree.open[place, row] = tree.open[last, row]
    for r in range(room.prices.shape[1]):
        room.prices[Z, r] = tree.at[place, r]
        tree.at[place, r] = tree.at[last, r]
    tree.bounds[place] = tree.bounds[last]
    return bound


@part
def ways_on(tree: Tree, pick: int) -> tuple[int, int]:
    """Return the states into which an instrument's is split: first the one that is nearer to what is wanted."""
    d, state = tree.net[pick], tree.state[pick]
    large = abs(d) > 0.5 * tree.least[1 if d > 0.0 else 0, pick]
    if state in (DOWN, UP):
        trade = SELL if state == DOWN else BUY
        return (trade, NONE) if large else (NONE, trade)
    if tree.torn[pick]:
        return (UP, DOWN) if d > 0.0 else (DOWN, UP)
    trade, rest = (BUY, DOWN) if d > 0.0 else (SELL, UP)
    return (trade, rest) if large else (rest, trade)


@part
def round_root(
    b: Batch, account: int, room: Room, tree: Tree, iterations_max: int, root: float, gap_bps: float
) -> tuple[float, int]:
    """Look for a plan near the root's wishes; return the best one's value, infinite without any, and nodes."""
    n = b.instrument_at[account + 1] - b.instrument_at[account]
    best = np.inf
    nodes = 0
    while nodes < 2 * len(ROUND_UP_FROM) and best > root + gap_bps:
        settle(b, account, tree, ROUND_UP_FROM[nodes // 2], nodes % 2 == 1)
        for r in range(room.prices.shape[1]):
            room.prices[Z, r] = tree.start[r]
        value, _, optimal = solve_node(b, account, room, tree, iterations_max, best)
        nodes += 1
        if optimal and value < best and open_question(b, account, room, tree) < 0:
            best = value
            keep_best(tree, room, n)
    return best, nodes


@part
def look_beside(
    b: Batch, account: int, room: Room, tree: Tree, iterations_max: int, best: float, enough: float
) -> tuple[float, int]:
    """Turn one instrument of the best plan after the other, as long as that makes it better; return value and nodes.

    It ends when the value is `enough`, or after `BESIDE_MAX` nodes.
    """
    n = b.instrument_at[account + 1] - b.instrument_at[account]
    for row in range(n):
        tree.tried[row] = False
    nodes = 0
    while nodes < BESIDE_MAX and best > enough:
        for r in range(room.prices.shape[1]):
            room.prices[Z, r] = tree.best_at[r]
        pick, becomes = way_to_try(b, account, room, tree)
        if pick < 0:
            break
        tree.tried[pick] = True
        for row in range(n):
            tree.state[row] = tree.best[row]
        tree.state[pick] = becomes
        value, _, optimal = solve_node(b, account, room, tree, iterations_max, best)
        nodes += 1
        if optimal and value < best and open_question(b, account, room, tree) < 0:
            best = value
            keep_best(tree, room, n)
            for row in range(n):
                tree.tried[row] = False
    return best, nodes


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
        gap_bps: A plan that is proven to be so near to the best is the best; after a share of the nodes `EASED_BY`
            times as much is enough.

    Returns:
        The best plan's value, a value that no plan is below, both in basis points, the number of nodes, and whether a
        plan was found; its states are in `tree.best`.
    """
    n = b.instrument_at[account + 1] - b.instrument_at[account]
    enter(b, account, room)
    for row in range(n):
        tree.state[row] = FREE
        tree.best[row] = FREE
    for r in range(room.prices.shape[1]):
        room.prices[Z, r] = tree.start[r]
    value, root, optimal = solve_node(b, account, room, tree, iterations_max, NEVER)
    if not optimal:
        return np.inf, -np.inf, 1, False
    for r in range(room.prices.shape[1]):
        tree.start[r] = room.prices[Z, r]
    for row in range(n):
        tree.wanted[row] = tree.net[row]
    if open_question(b, account, room, tree) < 0:
        return value, root, 1, True
    best, nodes = round_root(b, account, room, tree, iterations_max, root, gap_bps)
    nodes += 1
    if best < np.inf:
        best, more = look_beside(b, account, room, tree, iterations_max, best, root + gap_bps)
        nodes += more
    limit = tree.open.shape[0]
    # What is proven of the nodes at which the search stopped.
    closed = np.inf
    for row in range(n):
        tree.state[row] = FREE
    for r in range(room.prices.shape[1]):
        room.prices[Z, r] = tree.start[r]
    push(tree, room, n, 0, root)
    count = 1
    above = root
    gap = gap_bps
    deeper = False
    while deeper or count > 0:
        if nodes >= EASED_AFTER * nodes_max:
            gap = EASED_BY * gap_bps
        if not deeper:
            above = pop_least(tree, room, n, count)
            count -= 1
            if above >= best - gap or nodes >= nodes_max:
                # No other is below it.
                closed = min(closed, above)
                break
        deeper = False
        value, bound, optimal = solve_node(b, account, room, tree, iterations_max, best - gap)
        nodes += 1
        above = max(above, bound)
        if above >= best - gap or count >= limit:
            closed = min(closed, above)
            continue
        beyond, changed = narrow(b, account, tree, best - gap - bound)
        closed = min(closed, bound + beyond)
        pick = open_question(b, account, room, tree)
        if pick < 0:
            if changed:
                # What answers all questions may go a way that was just closed.
                deeper = True
                continue
            closed = min(closed, above)
            if optimal and value < best:
                best = value
                keep_best(tree, room, n)
                best, more = look_beside(b, account, room, tree, iterations_max, best, root + gap)
                nodes += more
            continue
        first, second = ways_on(tree, pick)
        # One waits, the other is looked at next.
        push(tree, room, n, count, above)
        if turn(b, account, tree, pick, second):
            for row in range(n):
                kept = tree.state[row]
                tree.state[row] = tree.open[count, row]
                tree.open[count, row] = kept
            count += 1
        else:
            for row in range(n):
                tree.state[row] = tree.open[count, row]
        deeper = turn(b, account, tree, pick, first)
    if best == np.inf:
        return best, root, nodes, False
    for row in range(n):
        tree.state[row] = tree.best[row]
    for r in range(room.prices.shape[1]):
        room.prices[Z, r] = tree.best_at[r]
    best, _, optimal = solve_node(b, account, room, tree, iterations_max, NEVER)
    return best, max(root, min(closed, best)), nodes, optimal
