"""The pieces of an account's tax, compiled: what bounds one not searched, and the best plan while others are."""

from typing import NamedTuple

import numpy as np

from services.decision.domain.batch_certificate import added_up, bound_below
from services.decision.domain.bulk.columns import CHARACTER, SHORT, Inputs
from services.decision.domain.bulk.layout import counted_gain, tax_counted
from services.decision.domain.compiling import part
from services.decision.domain.convex import Floats
from services.decision.domain.kernel.arrays import HINGE_ABOVE, HINGE_PRICE, HINGED, Batch, Integers
from services.decision.domain.kernel.arrays import TAX as TAX_PRICE
from services.decision.domain.kernel.nodes import States, Tree
from services.decision.domain.kernel.room import Room, Z

# Prices of the hinge at which a piece is bounded before it is searched: none, all, and so many less one between.
HINGE_SHARES = 4
# More than the corners that all pieces of a tax have.
BENDS_MAX = 64


class Work(NamedTuple):
    """Where one account is decided: everything that its steps share.

    Attributes:
        held: Value of each instrument in the mix, in units of money, shape (n,).
        flags: Room for two rows of flags, shape (2, n).
        room: For the certificate, shape (7, n); `factor` likewise, shape (k,); `order` of lots, shape (m,).
        sold: Weights sold of each lot, shape (m,); `bought` of each instrument, shape (n,).
        volatility: Of a day, of each row of the risk model.
        found: Prices, then what is sold of each lot and bought of each instrument, then trades at the root and at the
            end, of the best piece of the tax, shape (rows + m + 3 n,); `states` of its instruments, shape (n,).
        bends: Where the tax bends on the way to a plan, shape (64,).
        any_size: Zeros: trades of any size, shape (3, n).
    """

    held: Integers
    flags: np.ndarray
    room: Floats
    factor: Floats
    order: Integers
    sold: Floats
    bought: Floats
    volatility: Floats
    found: Floats
    states: States
    bends: Floats
    any_size: Floats


@part
def bound_at_best(b: Batch, account: int, work: Work, rows: int, least: Floats) -> float:
    """Return what bounds the piece that is laid out, at the prices and from the trades of the best one so far."""
    k = b.exposures.shape[1]
    i0, n = b.instrument_at[account], b.instrument_at[account + 1] - b.instrument_at[account]
    base, lots = b.lot_at[i0], b.lot_at[i0 + n] - b.lot_at[i0]
    sold, bought = work.found[rows : rows + lots], work.found[rows + lots : rows + lots + n]
    added_up(b, account, sold, bought, work.room, work.factor)
    over = -b.accounts[account, HINGE_ABOVE]
    for lot in range(lots):
        over += b.lots[HINGED, base + lot] * sold[lot]
    y = work.found[k:rows]
    kept = y[4]
    bound: float = -np.inf
    for share in range(HINGE_SHARES + 1):
        y[4] = b.accounts[account, HINGE_PRICE] * share / HINGE_SHARES
        bound = max(bound, bound_below(b, account, y, work.room, work.factor, work.order, least))
    y[4] = kept
    return bound


@part
def keep_found(b: Batch, account: int, room: Room, tree: Tree, work: Work, rows: int) -> None:
    """Remember the best plan of a piece of the tax, while others are searched."""
    i0, n = b.instrument_at[account], b.instrument_at[account + 1] - b.instrument_at[account]
    lots = b.lot_at[i0 + n] - b.lot_at[i0]
    for r in range(rows):
        work.found[r] = room.prices[Z, r]
    for lot in range(lots):
        work.found[rows + lot] = room.sold[lot]
    for row in range(n):
        at = rows + lots + row
        work.found[at], work.found[at + n], work.found[at + 2 * n] = room.bought[row], tree.wanted[row], tree.net[row]
        work.states[row] = tree.best[row]


@part
def take_found(b: Batch, account: int, room: Room, tree: Tree, work: Work, rows: int) -> None:
    """Go on with the plan that was remembered."""
    i0, n = b.instrument_at[account], b.instrument_at[account + 1] - b.instrument_at[account]
    lots = b.lot_at[i0 + n] - b.lot_at[i0]
    for r in range(rows):
        room.prices[Z, r] = work.found[r]
    for lot in range(lots):
        room.sold[lot] = work.found[rows + lot]
    for row in range(n):
        at = rows + lots + row
        room.bought[row], tree.wanted[row], tree.net[row] = work.found[at], work.found[at + n], work.found[at + 2 * n]
        tree.best[row] = work.states[row]


@part
def tax_beyond(inputs: Inputs, b: Batch, account: int, work: Work, mix: int) -> float:
    """Return what the tax of what is sold is beyond what the lots' prices make it, in basis points."""
    if inputs.piece_at[account + 1] == inputs.piece_at[account]:
        return 0.0
    base = inputs.lot_at[inputs.instrument_at[account]]
    short = long = priced = 0.0
    for lot in range(base, inputs.lot_at[inputs.instrument_at[account + 1]]):
        sold = work.sold[lot - base]
        gain = sold * counted_gain(inputs, b, account, lot)
        priced += sold * b.lots[TAX_PRICE, lot]
        if inputs.lots[CHARACTER, lot] == SHORT:
            short += gain
        else:
            long += gain
    return tax_counted(inputs, account, short, long, mix) - priced
