"""One account, compiled: Newton's method on its dual.

What couples instruments is little: k factors and a few limits. Given their prices z, every instrument answers alone,
and the dual value D(z), the sum of those answers, is concave, smooth, and piecewise quadratic but for market impact. So
a Newton method that takes the curvature of the pieces it stands on (semismooth) ends after a few steps at the exact
optimum. Prices of limits stay within their bounds by leaving out those that a bound holds (Bertsekas 1982, "Projected
Newton methods for optimization problems with simple constraints"). What the instruments answer last is the plan, and D
is its bound.

Prices are z = (ν, y): ν of the factors, free; y of the limits, from 0 to `most`, in this order: cash floor, cash
ceiling, turnover, gains, the tax's hinge, group minima, group maxima. Factors are scaled by √(λ · 10⁴), so that their
own term is −½ ‖ν‖².

One instrument: its lots sorted by what selling them costs, everything that belongs to it is a convex function of its
final weight w: q/2 · d² for d = w − t, and on each *segment* a price per unit that is constant. From the weight with
everything sold, the segments are the lots, dearest first (going up keeps a lot), then the purchase; the edges of the
band split them. On a segment, moving w by one trades one unit (`SIDE` says of which side), and what a traded unit costs
is the same for the whole instrument. Where trades have a least size, one segment *bridges* what lies between no trade
and that size, nearly straight (`LOOSE`): the convex hull of what may be done. Market impact adds ι · u^1.5 for the
weight u traded, and a point where its slope balances the rest has a closed form. The least point is where the slope
changes its sign.

Where the gain budget, or the corner of the tax's hinge, binds between two lots that then cost the same, D has a kink
and the method does not end. Then that price is *held*, and found from outside: between prices at which two lots cost
the same its limit moves in straight lines, so both sides of such a price are tried, the nearest to where a line
crosses. The optimum is a mixture of what the lots' two orders sell.

Sums run in a stated order and nothing is reassociated, so every machine gets the same digits; loops over factors or
instruments are written element by element, so that they are vectorised all the same.
"""

from typing import cast

import numpy as np

from services.decision.domain.compiling import compiled, inlined, part
from services.decision.domain.kernel.arrays import CAP, GAIN, HINGED, TAX, Batch, Results
from services.decision.domain.kernel.climbing import TOLERANCE, climb
from services.decision.domain.kernel.room import (
    GAINS,
    GRADIENT,
    HELD_GAINS,
    HELD_HINGE,
    HINGE,
    MOST,
    NO_ROW,
    SELLABLE,
    W0,
    WEIGHT,
    Room,
    Z,
)
from services.decision.domain.kernel.segments import enter, lay_out

# Phases of a solve: all prices free; one held, and looked for; taking what is sold at its lower end; at its upper.
UNHELD, LOOKING, AT_LOW, AT_HIGH = range(4)
# Of `SAME_PRICE`: so far to either side of a price at which two lots cost the same is looked.
ASIDE = 0.4
# Of a price that is held: two of them that differ by less are one.
SAME_PRICE = 1e-14
# In basis points per unit of gain: a budget that nothing but this would keep cannot be kept.
GAINS_PRICE_MAX = 1e7
# As `climbing.FIRST_POINT`: no value at which to stop.
NEVER = cast(float, np.float64(np.inf))


@part
def take(b: Batch, account: int, room: Room, point: int, share: float) -> None:
    """Add a share of a point's trades to `sold` and `bought`; the dearest lots are sold last, equal ones by id."""
    i0, i1 = b.instrument_at[account], b.instrument_at[account + 1]
    base = b.lot_at[i0]
    for row in range(i1 - i0):
        change = room.lines[WEIGHT + point, row] - room.lines[W0, row]
        if change >= 0.0:
            room.bought[row] += share * change
            continue
        first = b.lot_at[i0 + row] - base
        left = -change
        for p in range(first + room.places[SELLABLE, row] - 1, first - 1, -1):
            lot = room.order[p]
            part = min(left, b.lots[CAP, lot])
            room.sold[lot - base] += share * part
            left -= part
            if left <= 0.0:
                break


@part
def tie_near(b: Batch, account: int, room: Room, held: int, low: float, high: float, near: float) -> float:
    """Return the held price between two at which two lots of an instrument cost the same, the nearest; −1 for none."""
    i0, i1 = b.instrument_at[account], b.instrument_at[account + 1]
    base = b.lot_at[i0]
    by, other = (b.lots[GAIN], b.lots[HINGED]) if held == GAINS else (b.lots[HINGED], b.lots[GAIN])
    at = room.laid_out[1] if held == GAINS else room.laid_out[0]
    found = -1.0
    for i in range(i0, i1):
        first = b.lot_at[i] - base
        last = first + room.places[SELLABLE, i - i0]
        for p in range(first + 1, last):
            one = room.order[p]
            for q in range(first, p):
                two = room.order[q]
                bends = by[one] - by[two]
                if bends == 0.0:
                    continue
                tie = (b.lots[TAX, two] - b.lots[TAX, one] + at * (other[two] - other[one])) / bends
                if low < tie < high and (found < 0.0 or abs(tie - near) < abs(found - near)):
                    found = tie
    return found


@part
def next_price(
    b: Batch, account: int, room: Room, held: int, low: float, high: float, over_low: float, over_high: float, turn: int
) -> tuple[float, float]:
    """Return the price between two to try next, and the one to try after it where that still lies between them.

    Between prices at which lots cost the same the limit is piecewise linear in its price, and there it jumps: so the
    nearest of these to where a straight line crosses is tried on both sides. Every third turn halves what is left.
    """
    near = 0.5 * (low + high)
    if turn % 3 != 2:
        near = min(max(low + (high - low) * over_low / (over_low - over_high), low), high)
    tie = tie_near(b, account, room, held, low, high, near)
    if tie >= 0.0:
        aside = ASIDE * SAME_PRICE * (1.0 + tie)
        below, above = tie - aside, tie + aside
        if near < tie and low < below < high:
            return below, above
        if low < above < high:
            return above, below
    if low < near < high:
        return near, -1.0
    return 0.5 * (low + high), -1.0


@inlined
def optimum(  # noqa: C901 - one search, in phases
    b: Batch, account: int, room: Room, iterations_max: int, enough: float
) -> tuple[float, int, bool]:
    """Solve the account in the room from the prices in row `Z`; return dual value, iterations, and whether optimal.

    Prices end in row `Z`, trades in `sold` and `bought`. The price of the hinge is held from the beginning, because it
    is mostly at one of its ends; that of gains when it does not settle. What is best on either side of it is mixed.
    """
    k = b.exposures.shape[1]
    i0, n = b.instrument_at[account], b.instrument_at[account + 1] - b.instrument_at[account]
    for row in range(n):
        room.bought[row] = 0.0
    for lot in range(b.lot_at[i0 + n] - b.lot_at[i0]):
        room.sold[lot] = 0.0
    price, most = room.prices[Z, k + HINGE], room.prices[MOST, k + HINGE]
    phase, held = (LOOKING, HELD_HINGE) if most > 0.0 else (UNHELD, NO_ROW)
    # Ends between which the price lies, −1 while unknown, and by how much the limit is missed there.
    low, high, over_low, over_high = -1.0, -1.0, 0.0, 0.0
    beyond = -1.0
    turn = 0
    steps = 0
    released = False
    while True:
        lay_out(b, account, room, room.prices[Z, k + GAINS], room.prices[Z, k + HINGE])
        value, more, optimal, here = climb(b, account, room, held, iterations_max, enough)
        steps += more
        over = room.prices[GRADIENT + here, k + held]
        for r in range(room.prices.shape[1]):
            room.prices[Z, r] = room.prices[Z + here, r]
        if (phase == UNHELD and optimal) or (phase <= LOOKING and value >= enough):
            take(b, account, room, here, 1.0)
            break
        if phase == UNHELD:
            # Not every price that is not settled is the one to hold; what settles at its bound is not.
            slope, at = room.prices[GRADIENT + here, k + HINGE], room.prices[Z, k + HINGE]
            settled = (at <= 0.0 and slope <= 0.0) or (at >= most and slope >= 0.0)
            if room.prices[Z, k + GAINS] <= 0.0 or not settled:
                break
            phase, held, price = LOOKING, HELD_GAINS, 1.0
            low, high, beyond = 0.0, -1.0, -1.0
            for r in range(room.prices.shape[1]):
                room.prices[Z, r] = 0.0
        elif not optimal:
            if held != HELD_HINGE or released:
                break
            # Perhaps gains do not settle while the hinge is held.
            phase, held, released = UNHELD, NO_ROW, True
            for r in range(room.prices.shape[1]):
                room.prices[Z, r] = 0.0
            continue
        elif phase == LOOKING:
            at_end = held == HINGE and ((price <= 0.0 and over <= 0.0) or (price >= most and over >= 0.0))
            if at_end or abs(over) <= TOLERANCE:
                take(b, account, room, here, 1.0)
                break
            if over > 0.0:
                low, over_low = price, over
            else:
                high, over_high = price, over
            if high < 0.0:
                # Before there is a price at which too little is gained, that is looked for.
                price = most if held == HINGE else 8.0 * price
            elif low < 0.0 or over_low <= 0.0:
                price = 0.0
            elif low < beyond < high:
                price, beyond = beyond, -1.0
            else:
                price, beyond = next_price(b, account, room, held, low, high, over_low, over_high, turn)
                turn += 1
            narrow = high >= 0.0 and (high - low <= SAME_PRICE * (1.0 + high) or price <= low or price >= high)
            narrow = narrow and low >= 0.0 and over_low > 0.0
            if price > GAINS_PRICE_MAX or high == 0.0:
                # No price is high enough, or none low enough.
                optimal = False
                break
            if narrow:
                phase, price = AT_LOW, low
        elif phase == AT_LOW:
            take(b, account, room, here, over_high / (over_high - over_low))
            phase, price = AT_HIGH, high
        else:
            take(b, account, room, here, over_low / (over_low - over_high))
            break
        room.prices[Z, k + held] = price
    return value, steps, optimal


@part
def solved(b: Batch, account: int, room: Room, iterations_max: int, enough: float) -> tuple[float, int, bool]:
    """Solve the account in the room within its bounds, or until its dual value is `enough`; see `optimum`."""
    return optimum(b, account, room, iterations_max, enough)


@compiled
def run(b: Batch, begin: int, end: int, room: Room, iterations_max: int, results: Results) -> None:
    """Solve accounts from `begin` to before `end` and fill in their results; prices there are where to start."""
    rows = results.prices.shape[1]
    for account in range(begin, end):
        i0, i1 = b.instrument_at[account], b.instrument_at[account + 1]
        for r in range(rows):
            room.prices[Z, r] = results.prices[account, r]
            room.prices[GRADIENT, r] = room.prices[GRADIENT + 1, r] = 0.0
        enter(b, account, room)
        value, steps, optimal = solved(b, account, room, iterations_max, NEVER)
        results.duals[account] = value
        results.iterations[account] = steps
        results.optimal[account] = optimal
        for row in range(i1 - i0):
            results.bought[i0 + row] = room.bought[row]
        for lot in range(b.lot_at[i0], b.lot_at[i1]):
            results.sold[lot] = room.sold[lot - b.lot_at[i0]]
        for r in range(rows):
            results.prices[account, r] = room.prices[Z, r]
