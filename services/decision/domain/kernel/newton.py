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
and the method does not end. Then that price is *held*: found by bisection, and the optimum is a mixture of what the
lots' two orders sell.

Sums run in a stated order and nothing is reassociated, so every machine gets the same digits; loops over factors or
instruments are written element by element, so that they are vectorised all the same.
"""

from typing import NamedTuple, cast

import numpy as np

from services.decision.domain.compiling import compiled, inlined, part
from services.decision.domain.convex import Floats
from services.decision.domain.kernel.arrays import (
    BAND,
    BAND_PRICE,
    BUY_CAP,
    CAP,
    CASH_CEILING,
    CASH_FLOOR,
    COST,
    COST_PRICE,
    FREE_CASH,
    GAIN,
    GAIN_BUDGET,
    HINGE_ABOVE,
    HINGE_PRICE,
    HINGED,
    IMPACT,
    LEAST,
    RISK,
    START,
    TARGET,
    TAX,
    TAX_CONSTANT,
    TURNOVER_MAX,
    VARIANCE,
    Batch,
    Integers,
    Results,
)
from services.decision.domain.kernel.arrays import (
    MOST as MOST_HELD,
)

# Rows of y before those of the groups.
CASH, CEILING, TURNOVER, GAINS, HINGE, GROUPS = 0, 1, 2, 3, 4, 5
# The row that is held, or none; see `FIRST_POINT`.
NO_ROW, HELD_GAINS, HELD_HINGE = cast(int, np.int64(-1)), cast(int, np.int64(GAINS)), cast(int, np.int64(HINGE))
# A limit is kept, and a factor met, to this weight: a ten-thousandth of a cent in a million.
TOLERANCE = 1e-10
# Of the dual's value: what limits missed by so little may cost at their prices.
GAP_MAX = 1e-8
# In basis points per unit of weight: with dearer limits the arithmetic tells nothing any more.
PRICE_MAX = 1e9
# Share of its promise that a step must bring (Armijo's rule).
PROMISE_KEPT = 1e-4
# Of the dual's value: below it a change is rounding.
ROUNDING = 1e-13
# A step shortened so often is none.
SHORTENED_MAX = 40
# In basis points per unit of weight: a limit that would be worth paying the whole account for.
PRICE_STEP_MAX = 1e4
# Of a price that is held: two of them that differ by less are one.
SAME_PRICE = 1e-14
# Longest multiple of a step without curvature.
LENGTH_MAX = 2.0**60
# Two pieces may take turns along a ridge of the dual. From this iteration on, every third step goes on in the direction
# of the last two together, for as long as the dual rises.
RIDGE_AFTER = 8
# A pivot that elimination leaves less than this share of is a direction without curvature.
FLAT = 1e-5
# In basis points per unit of gain: a budget that nothing but this would keep cannot be kept.
GAINS_PRICE_MAX = 1e7
# The first of two points. numpy's, because a plain constant would be a type of its own for the compiler, and what it is
# passed to compiled twice.
FIRST_POINT = cast(int, np.int64(0))
# Likewise: no value at which to stop.
NEVER = cast(float, np.float64(np.inf))
# Segments more than one for each lot: the purchase, and what the start, the two edges of the band, and the ends of the
# two bridges split.
SEGMENTS_MORE = 6
# Share of an instrument's curvature that a bridge keeps, so that the dual stays smooth. It costs the kernel's bound as
# large a share of what bridging gains; the certificate's has no such loss.
LOOSE = 0.02

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


@part
def sort_lots(b: Batch, i: int, first: int, order: Integers, gains_price: float, hinge_price: float) -> int:
    """Sort the lots of instrument i that may be sold, the dearest to sell first, equal ones by id; return their number.

    They are written to `order` from `first` on.
    """
    tax, gain, cap, hinged = b.lots[TAX], b.lots[GAIN], b.lots[CAP], b.lots[HINGED]
    end = first
    for lot in range(b.lot_at[i], b.lot_at[i + 1]):
        if cap[lot] <= 0.0:
            continue
        price = tax[lot] + gains_price * gain[lot] + hinge_price * hinged[lot]
        place = end
        while place > first:
            before = order[place - 1]
            if tax[before] + gains_price * gain[before] + hinge_price * hinged[before] >= price:
                break
            order[place] = before
            place -= 1
        order[place] = lot
        end += 1
    return end - first


@part
def lay_out(  # noqa: C901 - one walk over the pieces
    b: Batch, account: int, room: Room, gains_price: float, hinge_price: float
) -> None:
    """Lay out the segments of all instruments at the prices of gains and of the hinge."""
    i0, i1 = b.instrument_at[account], b.instrument_at[account + 1]
    base = b.lot_at[i0]
    band_price = b.accounts[account, BAND_PRICE]
    tax, gain, cap, hinged = b.lots[TAX], b.lots[GAIN], b.lots[CAP], b.lots[HINGED]
    left, right, slope, side = room.segments[LEFT], room.segments[RIGHT], room.segments[SLOPE], room.segments[SIDE]
    gain_slope, at_left, gained = room.segments[GAIN_SLOPE], room.segments[VALUE], room.segments[GAINED]
    hinge_slope, counts, bridges = room.segments[HINGE_SLOPE], room.segments[COUNTS], room.segments[BRIDGES]
    order = room.order
    for i in range(i0, i1):
        row = i - i0
        first = b.lot_at[i] - base
        count = sort_lots(b, i, first, order, gains_price, hinge_price)
        start, t, band = b.instruments[START, i], b.instruments[TARGET, i], b.instruments[BAND, i]
        low, high = t - band, t + band
        value = 0.0
        gains = counted = 0.0
        edge = start
        for p in range(first, first + count):
            lot = order[p]
            edge -= cap[lot]
            value += (tax[lot] + gains_price * gain[lot] + hinge_price * hinged[lot]) * cap[lot]
            gains += gain[lot] * cap[lot]
            counted += hinged[lot] * cap[lot]
        if band_price > 0.0:
            value += band_price * max(low - edge, edge - high, 0.0)
        only, only_value, only_gains, only_counted = edge, value, gains, counted
        s = first + SEGMENTS_MORE * row
        room.places[FIRST, row] = s
        room.places[SELLABLE, row] = count
        pieces = count + 1 if b.instruments[BUY_CAP, i] > 0.0 else count
        # Where both ways are open, and a search has not closed one yet, losses are sold before the purchase ends: the
        # convex function below both ways. Else the purchase comes last.
        purchase = count
        if room.bounds[MIXED, row] > 0.0 and pieces > count:
            while purchase > 0:
                lot = order[first + purchase - 1]
                if tax[lot] + gains_price * gain[lot] + hinge_price * hinged[lot] >= 0.0:
                    break
                purchase -= 1
        least, most = room.bounds[FROM, row], room.bounds[TO, row]
        sales_end = max(start - room.bounds[LEAST_SOLD, row], edge)
        purchases_begin = start + room.bounds[LEAST_BOUGHT, row]
        bridging = False
        bank = bank_value = bank_gains = bank_counted = 0.0
        for p in range(pieces):
            if p == purchase and pieces > count:
                end, own, rate, by = edge + b.instruments[BUY_CAP, i], 0.0, 0.0, 0.0
            else:
                lot = order[first + p] if p < purchase else order[first + p - 1]
                own = -(tax[lot] + gains_price * gain[lot] + hinge_price * hinged[lot])
                end, rate, by = edge + cap[lot], -gain[lot], -hinged[lot]
            # The last lot ends where the account began, whatever rounding left.
            if p == count - 1 and purchase == count:
                end = start
            elif p == pieces - 1 and pieces > count:
                end = start + b.instruments[BUY_CAP, i]
            while edge < end:
                stop, price = end, own
                way = 1.0
                if edge < start:
                    stop, way = min(stop, start), -1.0
                if band_price > 0.0:
                    if edge < low:
                        stop, price = min(stop, low), own - band_price
                    elif edge < high:
                        stop = min(stop, high)
                    else:
                        price = own + band_price
                if edge < sales_end:
                    stop = min(stop, sales_end)
                elif start <= edge < purchases_begin:
                    stop = min(stop, purchases_begin)
                if not bridging and (sales_end <= edge < start or start <= edge < purchases_begin):
                    bridging = True
                    bank, bank_value, bank_gains, bank_counted = edge, value, gains, counted
                if bridging and stop in (start, purchases_begin):
                    bridging = False
                    if stop > least and bank < most:
                        size = stop - bank
                        # Between both ends lies `LOOSE` of the curvature, so that the rest of it belongs to the ends.
                        bent = 0.5 * (1.0 - LOOSE) * room.lines[Q, row]
                        begins = bank_value + bent * (bank - t) * (bank - t)
                        ends = value + price * (stop - edge) + bent * (stop - t) * (stop - t)
                        left[s], right[s], slope[s], side[s] = bank, stop, (ends - begins) / size, way
                        at_left[s], gained[s], counts[s] = begins, bank_gains, bank_counted
                        gain_slope[s] = (gains + rate * (stop - edge) - bank_gains) / size
                        hinge_slope[s] = (counted + by * (stop - edge) - bank_counted) / size
                        bridges[s] = np.sqrt(size)
                        s += 1
                elif not bridging and stop > least and edge < most:
                    bridges[s] = 0.0
                    left[s], right[s], slope[s], side[s] = max(edge, least), min(stop, most), price, way
                    at_left[s], gained[s] = value + price * (left[s] - edge), gains + rate * (left[s] - edge)
                    gain_slope[s] = rate
                    hinge_slope[s], counts[s] = by, counted + by * (left[s] - edge)
                    s += 1
                if edge <= least <= stop and s == room.places[FIRST, row]:
                    # Nothing but this weight is left, or it is where what is left begins.
                    only, only_value, only_gains = least, value + price * (least - edge), gains + rate * (least - edge)
                    only_counted = counted + by * (least - edge)
                value += price * (stop - edge)
                gains += rate * (stop - edge)
                counted += by * (stop - edge)
                edge = stop
        if s == room.places[FIRST, row]:
            left[s], right[s], slope[s], side[s] = only, only, 0.0, 1.0 if only >= start else -1.0
            gain_slope[s], at_left[s], gained[s] = 0.0, only_value, only_gains
            hinge_slope[s], counts[s], bridges[s] = 0.0, only_counted, 0.0
            s += 1
        room.places[END, row] = s
    room.laid_out[0], room.laid_out[1] = gains_price, hinge_price


@part
def enter(b: Batch, account: int, room: Room) -> None:
    """Bring one account into the room: prices where they are in row 0 of `z`, every instrument where it starts."""
    i0, n = b.instrument_at[account], b.instrument_at[account + 1] - b.instrument_at[account]
    k = b.exposures.shape[1]
    risk = b.accounts[account, RISK]
    scale = np.sqrt(risk)
    own = room.lines
    for row in range(n):
        i = i0 + row
        q = risk * b.instruments[VARIANCE, i]
        own[T, row], own[Q, row], own[INVERSE, row] = b.instruments[TARGET, i], q, 1.0 / q
        own[W0, row], own[KAPPA, row] = b.instruments[START, i], b.instruments[COST, i]
        own[IOTA, row] = b.instruments[IMPACT, i]
        room.lines[COUNTED, row] = 0.0
        room.bounds[FROM, row], room.bounds[TO, row], room.bounds[MIXED, row] = -np.inf, np.inf, 0.0
        room.bounds[LEAST_SOLD, row] = room.bounds[LEAST_BOUGHT, row] = 0.0
        line = b.exposures[b.exposure_at[i]]
        for f in range(k):
            room.exposures[row, f] = scale * line[f]
        for f in range(k):
            room.turned[f, row] = scale * line[f]
    for f in range(k):
        for c in range(f + 1):
            room.factors[f, c] = 0.0
    for r in range(room.prices.shape[1]):
        room.prices[MOST, r] = np.inf
    room.prices[MOST, k + CEILING] = b.accounts[account, BAND_PRICE]
    room.prices[MOST, k + HINGE] = b.accounts[account, HINGE_PRICE]


@part
def stand_at_start(room: Room, n: int, point: int) -> None:
    """Let the search for each instrument's answer begin where the account begins."""
    for row in range(n):
        s = room.places[FIRST, row]
        while s < room.places[END, row] - 1 and room.segments[RIGHT, s] < room.lines[W0, row]:
            s += 1
        room.places[AT + point, row] = s


@part
def price_weights(b: Batch, account: int, room: Room, z: Floats, cash_price: float) -> None:
    """Fill in what a unit of each instrument's weight costs by cash, factors and groups."""
    n = b.instrument_at[account + 1] - b.instrument_at[account]
    g0 = b.group_at[account]
    groups = b.group_at[account + 1] - g0
    k = b.exposures.shape[1]
    pull = room.lines[PULL]
    for row in range(n):
        pull[row] = cash_price
    for f in range(k):
        zf = z[f]
        line = room.turned[f]
        for row in range(n):
            pull[row] += line[row] * zf
    for g in range(groups):
        price = z[k + GROUPS + groups + g] - z[k + GROUPS + g]
        if price != 0.0:
            member = b.member_at[g0 + g]
            for row in range(n):
                pull[row] += b.member[member + row] * price


@part
def respond(room: Room, row: int, s: int, price: float, common: float, c: float) -> tuple[float, int, float]:
    """Return an instrument's best final weight, its segment, and by how much it gives way: the inverse curvature.

    Args:
        room: The segments.
        row: The instrument.
        s: Segment from which to walk: the answer at the previous prices.
        price: Of weight.
        common: Of each unit traded.
        c: Of the slope of impact, c · √u.
    """
    first, last = room.places[FIRST, row], room.places[END, row] - 1
    left, right, slope, side = room.segments[LEFT], room.segments[RIGHT], room.segments[SLOPE], room.segments[SIDE]
    t, q, inverse, start = room.lines[T, row], room.lines[Q, row], room.lines[INVERSE, row], room.lines[W0, row]
    came = 0
    while True:
        along = slope[s] + side[s] * common + price
        give = inverse
        bridge = room.segments[BRIDGES, s]
        if bridge > 0.0:
            # Impact is straight there too: c · √u at the far end is 1.5 times what a unit costs.
            give = inverse / LOOSE
            w = t - (along + side[s] * (c / 1.5) * bridge) * give
        elif c > 0.0:
            # q u + c √u = force, for the weight u traded on this side.
            force = -side[s] * (q * (start - t) + along)
            # Nothing is to be traded on this side; perhaps on the other.
            w = -side[s] * np.inf
            if force > 0.0:
                root = 2.0 * force / (c + np.sqrt(c * c + 4.0 * q * force))
                w = start + side[s] * root * root
                give = root / (q * root + 0.5 * c)
        else:
            w = t - along * inverse
        if w > right[s]:
            if s == last or came < 0:
                return right[s], s, 0.0
            came = 1
            s += 1
        elif w < left[s]:
            if s == first or came > 0:
                return left[s], s, 0.0
            came = -1
            s -= 1
        else:
            return w, s, give


@part
def evaluate(b: Batch, account: int, room: Room, point: int) -> float:
    """Answer all instruments at a point's prices; fill in the rest of the point and return the dual value."""
    n = b.instrument_at[account + 1] - b.instrument_at[account]
    g0 = b.group_at[account]
    groups = b.group_at[account + 1] - g0
    k = b.exposures.shape[1]
    z, gradient = room.prices[Z + point], room.prices[GRADIENT + point]
    weight, gives, marginal = room.lines[WEIGHT + point], room.lines[GIVES + point], room.lines[MARGINAL + point]
    at, pull = room.places[AT + point], room.lines[PULL]
    t, q, w0 = room.lines[T], room.lines[Q], room.lines[W0]
    kappa, iota = room.lines[KAPPA], room.lines[IOTA]
    left, slope = room.segments[LEFT], room.segments[SLOPE]
    own_price = b.accounts[account, COST_PRICE]
    cash_price = z[k + CASH] - z[k + CEILING]
    cost_price = own_price + cash_price
    impact_price = own_price + z[k + CASH]
    turnover_price = z[k + TURNOVER]

    price_weights(b, account, room, z, cash_price)
    value: float = b.accounts[account, TAX_CONSTANT]
    linear_out = 0.0
    impact_out = 0.0
    traded = 0.0
    gained = counted = 0.0
    for row in range(n):
        common = kappa[row] * cost_price + turnover_price
        w, s, give = respond(room, row, at[row], pull[row], common, 1.5 * iota[row] * impact_price)
        at[row] = s
        weight[row] = w
        d = w - t[row]
        change = w - w0[row]
        amount = abs(change)
        bridge = room.segments[BRIDGES, s]
        bent = q[row] if bridge == 0.0 else LOOSE * q[row]
        value += (
            room.segments[VALUE, s] + slope[s] * (w - left[s]) + (0.5 * bent * d) * d + own_price * kappa[row] * amount
        )
        rate = 0.0
        if iota[row] > 0.0:
            root = np.sqrt(amount) if bridge == 0.0 else bridge
            rate = 1.5 * iota[row] * root if bridge == 0.0 else iota[row] * root
            value += own_price * iota[row] * amount * root
            impact_out += iota[row] * amount * root
        gives[row] = give
        marginal[row] = rate
        linear_out += change + kappa[row] * amount
        traded += amount
        gained += room.segments[GAINED, s] + room.segments[GAIN_SLOPE, s] * (w - left[s])
        counted += room.segments[COUNTS, s] + room.segments[HINGE_SLOPE, s] * (w - left[s])
        pull[row] = d

    for f in range(k):
        gradient[f] = 0.0
    for row in range(n):
        d = pull[row]
        line = room.exposures[row]
        for f in range(k):
            gradient[f] += line[f] * d
    for f in range(k):
        value += z[f] * gradient[f] - 0.5 * z[f] * z[f]
        gradient[f] -= z[f]
    free, floor = b.accounts[account, FREE_CASH], b.accounts[account, CASH_FLOOR]
    gradient[k + CASH] = linear_out + impact_out + floor - free
    gradient[k + CEILING] = free - b.accounts[account, CASH_CEILING] - linear_out
    gradient[k + TURNOVER] = traded - b.accounts[account, TURNOVER_MAX]
    gradient[k + GAINS] = gained - b.accounts[account, GAIN_BUDGET]
    gradient[k + HINGE] = counted - b.accounts[account, HINGE_ABOVE]
    for g in range(groups):
        member = b.member_at[g0 + g]
        held = 0.0
        for row in range(n):
            held += b.member[member + row] * weight[row]
        gradient[k + GROUPS + g] = b.groups[g0 + g, LEAST] - held
        gradient[k + GROUPS + groups + g] = held - b.groups[g0 + g, MOST_HELD]
        value += z[k + GROUPS + g] * gradient[k + GROUPS + g]
        value += z[k + GROUPS + groups + g] * gradient[k + GROUPS + groups + g]
    # Segments count gains at their prices, so what is left of them is the limits' part.
    value += z[k + CASH] * gradient[k + CASH] + z[k + CEILING] * gradient[k + CEILING]
    value += z[k + TURNOVER] * gradient[k + TURNOVER]
    value -= z[k + GAINS] * b.accounts[account, GAIN_BUDGET] + z[k + HINGE] * b.accounts[account, HINGE_ABOVE]
    return value


@part
def add_products(rows: Integers, count: int, by: Floats, exposures: Floats, k: int, into: Floats) -> None:
    """Add Σ by · e eᵀ over the listed rows e of the exposures to the lower triangle of `into`, four at a time."""
    for first in range(0, count, 4):
        i0 = rows[first]
        i1, i2, i3 = rows[min(first + 1, count - 1)], rows[min(first + 2, count - 1)], rows[min(first + 3, count - 1)]
        b0 = by[i0]
        b1 = by[i1] if first + 1 < count else 0.0
        b2 = by[i2] if first + 2 < count else 0.0
        b3 = by[i3] if first + 3 < count else 0.0
        e0, e1, e2, e3 = exposures[i0], exposures[i1], exposures[i2], exposures[i3]
        for r in range(k):
            v0, v1, v2, v3 = b0 * e0[r], b1 * e1[r], b2 * e2[r], b3 * e3[r]
            line = into[r]
            for c in range(r + 1):
                line[c] += v0 * e0[c] + v1 * e1[c] + v2 * e2[c] + v3 * e3[c]


@part
def bend_factors(room: Room, point: int, n: int, k: int) -> None:
    """Bring the curvature over the factors up to date with the instruments whose own has changed."""
    gives, counted, by = room.lines[GIVES + point], room.lines[COUNTED], room.lines[BY]
    changed = room.active[room.prices.shape[1] :]
    count = 0
    for row in range(n):
        change = gives[row] - counted[row]
        if change != 0.0:
            counted[row] = gives[row]
            by[row] = change
            changed[count] = row
            count += 1
    add_products(changed, count, by, room.exposures, k, room.factors)


@part
def per_weight(b: Batch, account: int, room: Room, point: int, limit: int, groups: int, column: Floats) -> None:
    """Fill in what one more unit of each instrument's weight adds to a limit."""
    n = b.instrument_at[account + 1] - b.instrument_at[account]
    at, side = room.places[AT + point], room.segments[SIDE]
    kappa, marginal = room.lines[KAPPA], room.lines[MARGINAL + point]
    if limit == CASH:
        for row in range(n):
            column[row] = 1.0 + side[at[row]] * (kappa[row] + marginal[row])
    elif limit == CEILING:
        for row in range(n):
            column[row] = -1.0 - side[at[row]] * kappa[row]
    elif limit == TURNOVER:
        for row in range(n):
            column[row] = side[at[row]]
    elif limit == GAINS:
        for row in range(n):
            column[row] = room.segments[GAIN_SLOPE, at[row]]
    elif limit == HINGE:
        for row in range(n):
            column[row] = room.segments[HINGE_SLOPE, at[row]]
    else:
        sign = -1.0 if limit < GROUPS + groups else 1.0
        g = limit - GROUPS if limit < GROUPS + groups else limit - GROUPS - groups
        member = b.member_at[b.group_at[account] + g]
        for row in range(n):
            column[row] = sign * b.member[member + row]


@part
def bend(b: Batch, account: int, room: Room, point: int, count: int) -> None:
    """Fill the lower triangle of −D″ over the first `count` active prices, all factors first."""
    k = b.exposures.shape[1]
    n = b.instrument_at[account + 1] - b.instrument_at[account]
    groups = b.group_at[account + 1] - b.group_at[account]
    h, gives = room.curvature, room.lines[GIVES + point]
    for r in range(k):
        line, known = h[r], room.factors[r]
        for c in range(r + 1):
            line[c] = known[c]
        line[r] += 1.0
    for r in range(k, count):
        column, line = room.columns[r - k], h[r]
        per_weight(b, account, room, point, room.active[r] - k, groups, column)
        for c in range(r + 1):
            line[c] = 0.0
        for row in range(n):
            by = gives[row] * column[row]
            if by != 0.0:
                exposure = room.exposures[row]
                for c in range(k):
                    line[c] += by * exposure[c]
                for c in range(k, r + 1):
                    line[c] += by * room.columns[c - k, row]


@part
def newton_step(room: Room, count: int, typical: float) -> bool:
    """Solve curvature · x = step into `step` by Cholesky; return whether some direction has no curvature.

    Such a direction gets `typical` for its pivot, as if one more instrument were free: a short step, which the line
    search lengthens.
    """
    h, step, column = room.curvature, room.prices[STEP], room.prices[COLUMN]
    flat = False
    for r in range(count):
        room.prices[DIAGONAL, r] = h[r, r]
    for c in range(count):
        pivot = h[c, c]
        if pivot <= FLAT * room.prices[DIAGONAL, c]:
            pivot = typical
            flat = True
            h[c, c] = pivot
        # L D Lᵀ: below the diagonal stays L, and D on it.
        inverse = 1.0 / pivot
        done = step[c]
        for r in range(c + 1, count):
            column[r] = h[r, c]
        for r in range(c + 1, count):
            by = column[r] * inverse
            if by != 0.0:
                line = h[r]
                for j in range(c + 1, r + 1):
                    line[j] -= by * column[j]
                line[c] = by
                step[r] -= by * done
    for r in range(count):
        step[r] /= h[r, r]
    for r in range(count - 1, 0, -1):
        found, line = step[r], h[r]
        for j in range(r):
            step[j] -= line[j] * found
    return flat


@inlined
def advance(b: Batch, account: int, room: Room, here: int, count: int, size: float) -> tuple[float, float]:
    """Answer `size` steps from the origin, within bounds; return the dual value there and the gain promised."""
    k = b.exposures.shape[1]
    n = b.instrument_at[account + 1] - b.instrument_at[account]
    there = 1 - here
    z, origin = room.prices[Z + there], room.prices[ORIGIN]
    for r in range(len(z)):
        z[r] = origin[r]
    promise = 0.0
    for j in range(count):
        r = room.active[j]
        moved = origin[r] + size * room.prices[STEP, j]
        if r >= k:
            moved = min(max(moved, 0.0), room.prices[MOST, r])
        promise += room.prices[RISE, r] * (moved - origin[r])
        z[r] = moved
    if z[k + GAINS] != room.laid_out[0] or z[k + HINGE] != room.laid_out[1]:
        lay_out(b, account, room, z[k + GAINS], z[k + HINGE])
        stand_at_start(room, n, there)
    else:
        for row in range(n):
            room.places[AT + there, row] = room.places[AT + here, row]
    return evaluate(b, account, room, there), promise


@inlined
def search(
    b: Batch, account: int, room: Room, here: int, count: int, value: float, lengthen: bool, any_rise: bool
) -> tuple[float, bool, int]:
    """Move along a step as far as is good; return the value reached, whether it is an advance, and the point.

    A step that does not bring enough is shortened. With `lengthen`, one that does is doubled while it keeps half of its
    promise; with `any_rise`, while the dual rises at all.
    """
    k = b.exposures.shape[1]
    size = 1.0
    for j in range(count):
        if room.active[j] >= k:
            size = min(size, PRICE_STEP_MAX / max(abs(room.prices[STEP, j]), PRICE_STEP_MAX))
    for r in range(room.prices.shape[1]):
        room.prices[ORIGIN, r] = room.prices[Z + here, r]
        room.prices[RISE, r] = room.prices[GRADIENT + here, r]
    best, good_size = value, 0.0
    advanced = False
    shortened = 0
    going = True
    while going:
        found, promise = advance(b, account, room, here, count, size)
        if size == good_size:
            # Only answered again where we stay, on the segments of its prices of gains.
            here = 1 - here
            break
        if any_rise:
            good = found > best
        elif advanced:
            good = found > best and found >= value + 0.5 * promise
        else:
            good = found >= value + PROMISE_KEPT * promise - ROUNDING * (1.0 + abs(value))
        if good:
            best, good_size = found, size
            advanced = True
            here = 1 - here
            going = lengthen and shortened == 0 and size <= LENGTH_MAX
            size *= 2.0
        elif advanced or any_rise or shortened == SHORTENED_MAX:
            going = room.laid_out[0] != room.prices[Z + here, k + GAINS]
            going = going or room.laid_out[1] != room.prices[Z + here, k + HINGE]
            size = good_size
        else:
            shortened += 1
            # To the top of the parabola through what is known, within a tenth and a half.
            size *= min(max(0.5 * promise / (promise - (found - value)), 0.1), 0.5)
    return best, advanced, here


@inlined
def movable(b: Batch, account: int, room: Room, here: int, held: int) -> tuple[int, float]:
    """List the prices that may move, all factors first; return their number and the largest slope.

    A price at its bound, with the dual falling into the range, may not move; nor the one that is held.
    """
    k = b.exposures.shape[1]
    rows = k + GROUPS + 2 * (b.group_at[account + 1] - b.group_at[account])
    z, gradient = room.prices[Z + here], room.prices[GRADIENT + here]
    count = 0
    largest = 0.0
    for r in range(rows):
        slope = gradient[r]
        if r >= k and ((z[r] <= 0.0 and slope <= 0.0) or (z[r] >= room.prices[MOST, r] and slope >= 0.0)):
            continue
        if r == k + held and held >= 0:
            continue
        room.active[count] = r
        count += 1
        largest = max(largest, abs(slope))
    return count, largest


@inlined
def direct(b: Batch, account: int, room: Room, here: int, count: int, typical: float) -> tuple[int, bool]:
    """Make Newton's step over the active prices; return over how many it goes, and whether it is flat somewhere."""
    k = b.exposures.shape[1]
    z, gradient = room.prices[Z + here], room.prices[GRADIENT + here]
    bend_factors(room, here, b.instrument_at[account + 1] - b.instrument_at[account], k)
    while True:
        bend(b, account, room, here, count)
        for j in range(count):
            room.prices[STEP, j] = gradient[room.active[j]]
        flat = newton_step(room, count, typical)
        left = 0
        for j in range(count):
            r = room.active[j]
            step = room.prices[STEP, j]
            # A price that stands at a bound and would step over it stays; the others step without it.
            if r >= k and ((z[r] <= 0.0 and step < 0.0) or (z[r] >= room.prices[MOST, r] and step > 0.0)):
                continue
            room.active[left] = r
            room.prices[STEP, left] = step
            left += 1
        if left == count:
            return count, flat
        count = left


@inlined
def climb(
    b: Batch, account: int, room: Room, held: int, iterations_max: int, enough: float
) -> tuple[float, int, bool, int]:
    """Go from the prices in row `Z` to the optimum; return the dual value, iterations, whether optimal, and the point.

    Segments are laid out for those prices of gains and hinge; the one that is held stays. It ends before the optimum
    when the dual value is `enough`.
    """
    n = b.instrument_at[account + 1] - b.instrument_at[account]
    typical = 0.0
    for row in range(n):
        typical += room.lines[INVERSE, row] / n
    here = FIRST_POINT
    stand_at_start(room, n, here)
    value = -np.inf
    count = 0
    flat = along_ridge = False
    optimal = False
    iteration = 0
    while iteration < iterations_max and value < enough:
        if iteration > 0:
            along_ridge = iteration > RIDGE_AFTER + 2 and iteration % 3 == 0
            if along_ridge:
                count = 0
                flat = True
                for r in range(room.prices.shape[1]):
                    by = room.prices[Z + here, r] - room.prices[PAST, r]
                    if by != 0.0:
                        room.active[count] = r
                        room.prices[STEP, count] = by
                        count += 1
            else:
                if iteration % 3 == 1:
                    for r in range(room.prices.shape[1]):
                        room.prices[PAST, r] = room.prices[Z + here, r]
                count, largest = movable(b, account, room, here, held)
                if largest <= TOLERANCE:
                    # Where prices are beyond all measure, even so little times its price is too much.
                    missed = dearest = 0.0
                    for r in range(b.exposures.shape[1], room.prices.shape[1]):
                        dearest = max(dearest, room.prices[Z + here, r])
                        if held < 0 or r != b.exposures.shape[1] + held:
                            missed += room.prices[Z + here, r] * abs(room.prices[GRADIENT + here, r])
                    optimal = missed <= GAP_MAX * (1.0 + abs(value)) and dearest <= PRICE_MAX
                    break
                count, flat = direct(b, account, room, here, count, typical)
        # The first round only answers at the given prices.
        value, advanced, here = search(b, account, room, here, count, value, flat, along_ridge)
        if not advanced and not along_ridge:
            break
        iteration += 1
    return value, iteration, optimal, here


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


@inlined
def optimum(  # noqa: C901 - one search, in phases
    b: Batch, account: int, room: Room, iterations_max: int, enough: float
) -> tuple[float, int, bool]:
    """Solve the account in the room from the prices in row `Z`; return dual value, iterations, and whether optimal.

    Prices end in row `Z`, trades in `sold` and `bought`. When the price of gains or of the hinge does not settle it is
    bisected, and what is best on either side of it is mixed.
    """
    k = b.exposures.shape[1]
    i0, n = b.instrument_at[account], b.instrument_at[account + 1] - b.instrument_at[account]
    for row in range(n):
        room.bought[row] = 0.0
    for lot in range(b.lot_at[i0 + n] - b.lot_at[i0]):
        room.sold[lot] = 0.0
    # Free; bisecting; taking what is sold at the lower end; at the upper.
    phase = 0
    held = NO_ROW
    price = most = 0.0
    low, high, over_low, over_high = 0.0, -1.0, 0.0, 0.0
    steps = 0
    while True:
        lay_out(b, account, room, room.prices[Z, k + GAINS], room.prices[Z, k + HINGE])
        value, more, optimal, here = climb(b, account, room, held, iterations_max, enough)
        steps += more
        over = room.prices[GRADIENT + here, k + held]
        for r in range(room.prices.shape[1]):
            room.prices[Z, r] = room.prices[Z + here, r]
        if phase == 0:
            if optimal or value >= enough:
                take(b, account, room, here, 1.0)
                break
            # Not every price that is not settled is the one to hold; what settles at its bound is not.
            slope, at = room.prices[GRADIENT + here, k + HINGE], room.prices[Z, k + HINGE]
            most = room.prices[MOST, k + HINGE]
            settled = (at <= 0.0 and slope <= 0.0) or (at >= most and slope >= 0.0)
            if room.prices[Z, k + GAINS] > 0.0 and settled:
                held, price, most = HELD_GAINS, 1.0, np.inf
            elif most > 0.0:
                held, price = HELD_HINGE, 0.0
            else:
                break
            phase = 1
            for r in range(room.prices.shape[1]):
                room.prices[Z, r] = 0.0
        elif not optimal:
            break
        elif phase == 1:
            at_bound = held == HINGE and ((price <= 0.0 and over <= 0.0) or (price >= most and over >= 0.0))
            if at_bound or abs(over) <= TOLERANCE:
                take(b, account, room, here, 1.0)
                break
            if over > 0.0:
                low, over_low = price, over
            else:
                high, over_high = price, over
            # Before there is a price at which too little is gained, that is looked for.
            dearer = most if held == HINGE else 8.0 * price
            price = dearer if high < 0.0 else 0.5 * (low + high)
            narrow = high >= 0.0 and (high - low <= SAME_PRICE * (1.0 + high) or price <= low or price >= high)
            if price > GAINS_PRICE_MAX or (narrow and over_low <= 0.0):
                # No price is high enough, or none low enough was tried at which too much is gained.
                optimal = False
                break
            if narrow:
                phase, price = 2, low
        elif phase == 2:
            take(b, account, room, here, over_high / (over_high - over_low))
            phase, price = 3, high
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
