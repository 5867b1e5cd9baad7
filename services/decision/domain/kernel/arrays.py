"""The accounts of a batch, end to end in a few arrays, and the room in which one account is solved.

Few arrays with many columns, because compiled code passes each array as seven values. Weights are fractions; prices,
penalties and taxes are in basis points. Symbols as in `convex`.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.decision.domain.convex import Floats

Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]

# Columns of `Batch.accounts`.
FREE_CASH, CASH_FLOOR, CASH_CEILING, TURNOVER_MAX, GAIN_BUDGET, BAND_PRICE, COST_PRICE = range(7)
# Columns of `Batch.instruments`; CURVE is λ · 10⁴ · D.
START, TARGET, CURVE, BAND, COST, BUY_CAP = range(6)
# Columns of `Batch.lots`.
CAP, TAX, GAIN = range(3)
# Columns of `Batch.groups`.
LEAST, MOST = range(2)
# Columns of `Room.places`: where the segment begins, and tax and gain of selling all of the instrument's later places.
LEFT, TAX_ABOVE, GAIN_ABOVE = range(3)


class Batch(NamedTuple):
    """Accounts one after the other; each one's instruments, and each instrument's lots, are between two offsets.

    Attributes:
        instrument_at: Offset of each account's first instrument, shape (accounts + 1,).
        lot_at: Offset of each instrument's first lot, shape (instruments + 1,).
        group_at: Offset of each account's first group, shape (accounts + 1,).
        member_at: Offset of each group's row in `member`, shape (groups + 1,).
        member: 1 where an instrument of the account belongs to the group.
        accounts: Shape (accounts, 7).
        instruments: Shape (instruments, 6).
        lots: Shape (lots, 3).
        groups: Shape (groups, 2).
        exposures: √(λ · 10⁴) · F, shape (instruments, k).
    """

    instrument_at: Integers
    lot_at: Integers
    group_at: Integers
    member_at: Integers
    member: Floats
    accounts: Floats
    instruments: Floats
    lots: Floats
    groups: Floats
    exposures: Floats


class Results(NamedTuple):
    """What is found, in the rows of a batch; `z` are prices, from which each account starts and at which it ends."""

    z: Floats
    weights: Floats
    sold: Floats
    duals: Floats
    iterations: Integers
    optimal: Flags


class Room(NamedTuple):
    """Where the account's lots are sorted.

    Attributes:
        order: Lot of each place, an instrument's dearest to sell first.
        places: Shape (lots of the account, 3).
        gains_price: The price of gains that they are sorted for, shape (1,).
    """

    order: Integers
    places: Floats
    gains_price: Floats


class Point(NamedTuple):
    """Prices, and what the instruments answer to them.

    Attributes:
        z: ν of the factors, then y of the limits.
        gradient: Of the dual: by how much factors miss ν and limits are broken.
        weight: Final weight of each instrument.
        place: Place of its segment; one past its lots is the purchase.
        free: Whether it moves when prices do.
    """

    z: Floats
    gradient: Floats
    weight: Floats
    place: Integers
    free: Flags


class Move(NamedTuple):
    """A step in prices.

    Attributes:
        active: Which prices move, as many as are counted beside it.
        step: By how much each of those moves.
        origin: Prices where the step begins.
        slope: Gradient there.
        past: Prices two steps ago.
        most: Largest price of each limit.
        column: Room for what one instrument adds to each row.
    """

    active: Integers
    step: Floats
    origin: Floats
    slope: Floats
    past: Floats
    most: Floats
    column: Floats
