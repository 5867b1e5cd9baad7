"""Where one account is solved: the rows of its arrays, and their sizes."""

from typing import NamedTuple, cast

import numpy as np

from services.decision.domain.convex import Floats
from services.decision.domain.kernel.arrays import Integers

# Rows of y before those of the groups.
CASH, CEILING, TURNOVER, GAINS, HINGE, GROUPS = 0, 1, 2, 3, 4, 5
# The row that is held, or none; see `climbing.FIRST_POINT`.
NO_ROW, HELD_GAINS, HELD_HINGE = cast(int, np.int64(-1)), cast(int, np.int64(GAINS)), cast(int, np.int64(HINGE))
# Segments more than one for each lot: the purchase, and what the start, the two edges of the band, and the ends of the
# two bridges split.
SEGMENTS_MORE = 6
# Rows of `Room.segments`: left and right end; price of weight on it; +1 bought, −1 sold; gain per unit of weight; value
# and gain at its left end; what the hinge counts per unit of weight, and at its left end; the root of a bridge's
# length, 0 for any other.
LEFT, RIGHT, SLOPE, SIDE, GAIN_SLOPE, VALUE, GAINED, HINGE_SLOPE, COUNTS, BRIDGES = range(10)
# Rows of `Room.places`: the segment of each answer, at both points; the instrument's first segment, and one past its
# last; how many of its lots may be sold.
AT, _, FIRST, END, SELLABLE = range(5)
# Rows of `Room.lines`: target, q, 1 / q, start, cost rate, impact rate; the inverse curvature that `factors` counts;
# the price of weight, then its deviation; then, for both points, the final weight, the inverse curvature (0 where an
# edge holds it), and the slope of impact.
T, Q, INVERSE, W0, KAPPA, IOTA, COUNTED, PULL = range(8)
WEIGHT, GIVES, MARGINAL = 8, 10, 12
BY = 14
# Rows of `Room.bounds`: least and most final weight; 1 where a purchase counts as made before losses are kept; least
# weights of a sale and of a purchase, 0 for any.
FROM, TO, MIXED, LEAST_SOLD, LEAST_BOUGHT = range(5)
# Rows of `Room.prices`: prices and gradient of D, at both points; a step, and prices and gradient where it begins;
# prices two steps ago; largest price of each limit, after as many places as there are factors; a column and the
# diagonal of elimination.
Z, GRADIENT, STEP, ORIGIN, RISE, PAST, MOST, COLUMN, DIAGONAL = 0, 2, 4, 5, 6, 7, 8, 9, 10


class Room(NamedTuple):
    """Where one account is solved. What there is two of belongs to the point reached and the point tried.

    Attributes:
        order: Lots of each instrument, the dearest to sell first, shape (m,).
        segments: Rows from `LEFT` on, shape (10, m + 6 n).
        places: Rows from `AT` on, by instrument, shape (5, n).
        lines: Rows from `T` on, by instrument, shape (15, n).
        prices: Rows from `Z` on, by price, shape (11, rows).
        active: Which prices move, then room for as many instruments, shape (rows + n,).
        exposures: √(λ · 10⁴) · F, shape (n, k); `turned` is its transpose.
        factors: Curvature over the factors, lower triangle, shape (k, k).
        curvature: Of the prices that move, lower triangle, shape (rows, rows).
        columns: What a unit of weight adds to each limit that moves, shape (rows − k, n).
        sold: Of each lot, shape (m,); `bought` of each instrument, shape (n,).
        laid_out: The prices of gains and of the hinge that segments are laid out for, shape (2,).
        bounds: Rows from `FROM` on, by instrument, shape (5, n): what a search narrows.
    """

    order: Integers
    segments: Floats
    places: Integers
    lines: Floats
    prices: Floats
    active: Integers
    exposures: Floats
    turned: Floats
    factors: Floats
    curvature: Floats
    columns: Floats
    sold: Floats
    bought: Floats
    laid_out: Floats
    bounds: Floats


def room_for(instruments: int, lots: int, factors: int, rows: int) -> Room:
    """Return room for accounts of at most these sizes."""
    return Room(
        np.zeros(lots, dtype=np.int64),
        np.zeros((10, lots + SEGMENTS_MORE * instruments)),
        np.zeros((5, instruments), dtype=np.int64),
        np.zeros((15, instruments)),
        np.zeros((11, rows)),
        np.zeros(rows + instruments, dtype=np.int64),
        np.zeros((instruments, factors)),
        np.zeros((factors, instruments)),
        np.zeros((factors, factors)),
        np.zeros((rows, rows)),
        np.zeros((rows - factors, instruments)),
        np.zeros(lots),
        np.zeros(instruments),
        np.zeros(2),
        np.zeros((5, instruments)),
    )
