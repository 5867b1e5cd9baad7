"""What the costs of an instrument's ways tell a search, compiled: which no better plan goes, and which to try.

The certificate's code says at a node's prices what no trade, a sale and a purchase of each instrument cost beyond the
least of the three. By so much the node's bound rises when only that way is left. A way for which it rises to where no
better plan is need not be looked at below the node (reduced-cost fixing: Crowder, Johnson and Padberg 1983, "Solving
large-scale zero-one linear programming problems"). At a plan's prices, a way that costs less than the plan's is one to
try.
"""

import numpy as np

from services.decision.domain.compiling import part
from services.decision.domain.kernel.arrays import Batch
from services.decision.domain.kernel.nodes import BUY, DOWN, FREE, NONE, SELL, UP, Tree, proven_by
from services.decision.domain.kernel.room import Room

# Rows of `Tree.room` that say what each way costs beyond the least.
STANDS, SOLD, BOUGHT = 4, 5, 6
# In basis points: a way that costs a plan less by no more than this is not tried.
WORTH_BPS = 1e-6


@part
def has_least(tree: Tree, row: int) -> bool:
    """Return whether an instrument's trades have a least size."""
    return bool(tree.least[0, row] > 0.0 or tree.least[1, row] > 0.0)


@part
def narrow(b: Batch, account: int, tree: Tree, excess: float) -> tuple[float, bool]:
    """Close every way that costs `excess` or more beyond an instrument's least, at the node just bounded.

    Returns what the cheapest of the ways that were closed costs beyond it, infinite without any, and whether a state
    changed.
    """
    n = b.instrument_at[account + 1] - b.instrument_at[account]
    closed = np.inf
    changed = False
    for row in range(n):
        state = tree.state[row]
        if state in (NONE, SELL, BUY) or (state == FREE and tree.torn[row]) or not has_least(tree, row):
            continue
        stands, sold, bought = tree.room[STANDS, row], tree.room[SOLD, row], tree.room[BOUGHT, row]
        may_stand, may_sell, may_buy = stands < excess, sold < excess, bought < excess
        becomes = state
        if may_stand:
            if not may_sell:
                becomes = UP if may_buy else NONE
            elif not may_buy:
                becomes = DOWN
        elif may_sell != may_buy:
            becomes = SELL if may_sell else BUY
        if becomes == state:
            continue
        tree.state[row] = becomes
        changed = True
        if not may_stand:
            closed = min(closed, stands)
        if not may_sell:
            closed = min(closed, sold)
        if not may_buy:
            closed = min(closed, bought)
    return closed, changed


@part
def way_to_try(b: Batch, account: int, room: Room, tree: Tree) -> tuple[int, int]:
    """Return the instrument of the plan in `tree.best` that another way costs least beside its own, and that state.

    Costs are at the room's prices, those of the plan; what `tree.tried` names is left out. The instrument is −1 when
    no way costs less.
    """
    n = b.instrument_at[account + 1] - b.instrument_at[account]
    for row in range(n):
        tree.sizes[0, row], tree.sizes[1, row], tree.sizes[2, row] = tree.least[0, row], tree.least[1, row], 0.0
    proven_by(b, account, room, tree)
    pick, becomes = -1, FREE
    most = WORTH_BPS
    for row in range(n):
        state = tree.best[row]
        if tree.tried[row] or tree.torn[row] or state not in (NONE, SELL, BUY):
            continue
        own = tree.room[STANDS if state == NONE else (SOLD if state == SELL else BOUGHT), row]
        if own > most:
            most, pick = own, row
            becomes = NONE if tree.room[STANDS, row] <= 0.0 else SELL if tree.room[SOLD, row] <= 0.0 else BUY
    return pick, becomes
