"""One account, compiled: Newton's method on its dual.

What couples instruments is little: k factors and a few limits. Given their prices z, every instrument answers alone,
and the dual value D(z), the sum of those answers, is concave, piecewise quadratic and smooth. So a Newton method that
takes the curvature of the pieces it stands on (semismooth) ends after a few steps at the exact optimum. Prices of
limits stay within their bounds by leaving out those that a bound holds (Bertsekas 1982, "Projected Newton methods for
optimization problems with simple constraints"). What the instruments answer last is the plan, and D is its bound.

Prices are z = (ν, y): ν of the factors, free; y of the limits, from 0 to `most`, in this order: cash floor, cash
ceiling, turnover, gains, group minima, group maxima. Factors are scaled by √(λ · 10⁴), so that their own term is
−½ ‖ν‖².

One instrument: its lots sorted by what selling them costs, everything that belongs to it is a convex piecewise
quadratic function of its final weight w: q/2 · d² for d = w − t, a penalty outside its band, and a price per unit that
is constant on each segment. From the weight with everything sold, the segments are the lots, dearest first (going up
keeps a lot), then the purchase. The least point is where the slope changes its sign. A *place* is a segment's lot,
counted within the account and in that order; one past an instrument's lots is its purchase.

Where the gain budget binds between two lots of one instrument that then cost the same, D has a kink and the method
does not end; it says so.

All compiled code is in this file, because numba's cache is renewed when the file of a function changes, and not when
that of a function which it calls does.
"""

from collections.abc import Callable
from typing import TypeVar, cast

import numpy as np
from numba import njit

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
    CURVE,
    FREE_CASH,
    GAIN,
    GAIN_ABOVE,
    GAIN_BUDGET,
    LEAST,
    LEFT,
    MOST,
    START,
    TARGET,
    TAX,
    TAX_ABOVE,
    TURNOVER_MAX,
    Batch,
    Move,
    Point,
    Results,
    Room,
)

# Rows of y before those of the groups.
CASH, CEILING, TURNOVER, GAINS, GROUPS = 0, 1, 2, 3, 4
# A limit is kept, and a factor met, to this weight: a ten-thousandth of a cent in a million.
TOLERANCE = 1e-10
# Share of its promise that a step must bring (Armijo's rule).
PROMISE_KEPT = 1e-4
# Of the dual's value: below it a change is rounding.
ROUNDING = 1e-13
# A step shortened so often is none.
SHORTENED_MAX = 40
# In basis points per unit of weight: a limit that would be worth paying the whole account for.
PRICE_STEP_MAX = 1e4
# Longest multiple of a step without curvature.
LENGTH_MAX = 2.0**60
# Two pieces may take turns along a ridge of the dual. From this iteration on, every third step goes on in the direction
# of the last two together, for as long as the dual rises.
RIDGE_AFTER = 8
# A pivot that elimination leaves less than this share of is a direction without curvature.
FLAT = 1e-5


Function = TypeVar("Function", bound=Callable[..., object])


def compiled(function: Function) -> Function:
    """Compile a function when it is first called, or load what was compiled; it then runs without Python's lock."""
    return cast(Function, njit(cache=True, nogil=True)(function))


@compiled
def sort_lots(b: Batch, account: int, room: Room, gains_price: float) -> None:
    """Sort each instrument's lots by falling price of selling, at the price of gains, and lay out their segments.

    The sort is stable and expects them nearly sorted.
    """
    order, lots = room.order, b.lots
    base = b.lot_at[b.instrument_at[account]]
    for i in range(b.instrument_at[account], b.instrument_at[account + 1]):
        first, last = b.lot_at[i] - base, b.lot_at[i + 1] - base
        for p in range(first + 1, last):
            lot = order[p]
            price = lots[lot, TAX] + gains_price * lots[lot, GAIN]
            place = p
            while place > first:
                before = order[place - 1]
                if lots[before, TAX] + gains_price * lots[before, GAIN] >= price:
                    break
                order[place] = before
                place -= 1
            order[place] = lot
        edge = b.instruments[i, START]
        tax = 0.0
        gain = 0.0
        for p in range(last - 1, first - 1, -1):
            lot = order[p]
            edge -= lots[lot, CAP]
            room.places[p, LEFT] = edge
            room.places[p, TAX_ABOVE] = tax
            room.places[p, GAIN_ABOVE] = gain
            tax += lots[lot, TAX] * lots[lot, CAP]
            gain += lots[lot, GAIN] * lots[lot, CAP]
    room.gains_price[0] = gains_price


@compiled
def level_point(pull: float, q: float, t: float, band: float, band_price: float) -> tuple[float, bool]:
    """Return where q·d + M·sign(d) outside the band equals `pull`, and whether the quadratic is free to move there."""
    reach = q * band
    if pull > reach:
        if pull - band_price > reach:
            return t + (pull - band_price) / q, True
        return t + band, False
    if pull < -reach:
        if pull + band_price < -reach:
            return t + (pull + band_price) / q, True
        return t - band, False
    return t + pull / q, True


@compiled
def respond(
    b: Batch,
    i: int,
    base: int,
    room: Room,
    at: int,
    band_price: float,
    there: float,
    sell: float,
    buy: float,
    gains_price: float,
) -> tuple[float, int, bool]:
    """Return an instrument's best final weight, the place of its segment, and whether it is free to move.

    Args:
        b: The accounts.
        i: The instrument.
        base: The account's first lot.
        room: The segments.
        at: Place from which to walk: the answer at the previous prices.
        band_price: Price of each unit outside the band.
        there: Price of weight itself: factors and groups.
        sell: Price of selling a unit, the lot's own tax and gain left out.
        buy: Price of buying a unit.
        gains_price: η.
    """
    first, last = b.lot_at[i] - base, b.lot_at[i + 1] - base
    start, buy_cap = b.instruments[i, START], b.instruments[i, BUY_CAP]
    t, q, band = b.instruments[i, TARGET], b.instruments[i, CURVE], b.instruments[i, BAND]
    top = last if buy_cap > 0.0 else last - 1
    if top < first:
        # Nothing may be done: the place is the purchase's, of which nothing is bought.
        return start, last, False
    p = min(max(at, first), top)
    came = 0
    while True:
        if p == last:
            low = start
            high = start + buy_cap
            slope = buy
        else:
            lot = room.order[p]
            low = room.places[p, LEFT]
            high = low + b.lots[lot, CAP]
            slope = -(sell + b.lots[lot, TAX] + gains_price * b.lots[lot, GAIN])
        w, free = level_point(-(there + slope), q, t, band, band_price)
        if w > high:
            if p == top or came < 0:
                return high, p, False
            came = 1
            p += 1
        elif w < low:
            if p == first or came > 0:
                return low, p, False
            came = -1
            p -= 1
        else:
            return w, p, free


@compiled
def price_of_weight(b: Batch, account: int, row: int, z: Floats) -> float:
    """Return what a unit of an instrument's weight costs by its factors and groups."""
    k = b.exposures.shape[1]
    i = b.instrument_at[account] + row
    g0 = b.group_at[account]
    groups = b.group_at[account + 1] - g0
    price = 0.0
    for f in range(k):
        price += b.exposures[i, f] * z[f]
    for g in range(groups):
        member = b.member[b.member_at[g0 + g] + row]
        price += member * (z[k + GROUPS + groups + g] - z[k + GROUPS + g])
    return price


@compiled
def evaluate(b: Batch, account: int, room: Room, point: Point) -> float:
    """Answer all instruments at the point's prices; fill in the rest of the point and return the dual value."""
    i0, i1 = b.instrument_at[account], b.instrument_at[account + 1]
    g0, g1 = b.group_at[account], b.group_at[account + 1]
    base = b.lot_at[i0]
    k, groups = b.exposures.shape[1], g1 - g0
    z, gradient = point.z, point.gradient
    cash_price = z[k + CASH] - z[k + CEILING]
    cost_price = b.accounts[account, COST_PRICE] + cash_price
    turnover_price, gains_price = z[k + TURNOVER], z[k + GAINS]
    band_price = b.accounts[account, BAND_PRICE]

    for r in range(len(gradient)):
        gradient[r] = 0.0
    cash_out = 0.0
    traded = 0.0
    gained = 0.0
    value: float = 0.0
    for i in range(i0, i1):
        row = i - i0
        there = price_of_weight(b, account, row, z)
        sell = b.instruments[i, COST] * cost_price + turnover_price - cash_price
        buy = b.instruments[i, COST] * cost_price + turnover_price + cash_price
        first, last = b.lot_at[i] - base, b.lot_at[i + 1] - base
        w, place, free = respond(b, i, base, room, point.place[row], band_price, there, sell, buy, gains_price)
        point.weight[row] = w
        point.place[row] = place
        point.free[row] = free
        d = w - b.instruments[i, TARGET]
        value += 0.5 * b.instruments[i, CURVE] * d * d + there * d
        outside = abs(d) - b.instruments[i, BAND]
        if outside > 0.0:
            value += band_price * outside
        change = w - b.instruments[i, START]
        if place == last:
            bought = change
            value += buy * bought
            cash_out += (1.0 + b.instruments[i, COST]) * bought
            traded += bought
        elif last > first:
            lot = room.order[place]
            part = room.places[place, LEFT] + b.lots[lot, CAP] - w
            tax = room.places[place, TAX_ABOVE] + b.lots[lot, TAX] * part
            gain = room.places[place, GAIN_ABOVE] + b.lots[lot, GAIN] * part
            value += tax + gains_price * gain - sell * change
            cash_out += (1.0 - b.instruments[i, COST]) * change
            traded -= change
            gained += gain
        for f in range(k):
            gradient[f] += b.exposures[i, f] * d
        for g in range(groups):
            if b.member[b.member_at[g0 + g] + row] != 0.0:
                gradient[k + GROUPS + g] -= d
                gradient[k + GROUPS + groups + g] += d

    for f in range(k):
        value -= 0.5 * z[f] * z[f]
        gradient[f] -= z[f]
    gradient[k + CASH] = cash_out + b.accounts[account, CASH_FLOOR] - b.accounts[account, FREE_CASH]
    gradient[k + CEILING] = b.accounts[account, FREE_CASH] - b.accounts[account, CASH_CEILING] - cash_out
    gradient[k + TURNOVER] = traded - b.accounts[account, TURNOVER_MAX]
    gradient[k + GAINS] = gained - b.accounts[account, GAIN_BUDGET]
    value += z[k + CASH] * (b.accounts[account, CASH_FLOOR] - b.accounts[account, FREE_CASH])
    value += z[k + CEILING] * (b.accounts[account, FREE_CASH] - b.accounts[account, CASH_CEILING])
    value -= turnover_price * b.accounts[account, TURNOVER_MAX]
    value -= gains_price * b.accounts[account, GAIN_BUDGET]
    for g in range(groups):
        # Groups limit w; the sums above are of d = w − t.
        wanted = 0.0
        for row in range(i1 - i0):
            wanted += b.member[b.member_at[g0 + g] + row] * b.instruments[i0 + row, TARGET]
        gradient[k + GROUPS + g] += b.groups[g0 + g, LEAST] - wanted
        gradient[k + GROUPS + groups + g] += wanted - b.groups[g0 + g, MOST]
        value += z[k + GROUPS + g] * (b.groups[g0 + g, LEAST] - wanted)
        value += z[k + GROUPS + groups + g] * (wanted - b.groups[g0 + g, MOST])
    return value


@compiled
def fill_column(b: Batch, account: int, row: int, room: Room, point: Point, move: Move, count: int) -> None:
    """Write what one more unit of an instrument's weight adds to each listed row into `move.column`."""
    k = b.exposures.shape[1]
    i = b.instrument_at[account] + row
    g0 = b.group_at[account]
    groups = b.group_at[account + 1] - g0
    buys = point.place[row] == b.lot_at[i + 1] - b.lot_at[b.instrument_at[account]]
    cash = 1.0 + b.instruments[i, COST] if buys else 1.0 - b.instruments[i, COST]
    for r in range(count):
        name = move.active[r]
        if name < k:
            move.column[r] = b.exposures[i, name]
        elif name == k + CASH:
            move.column[r] = cash
        elif name == k + CEILING:
            move.column[r] = -cash
        elif name == k + TURNOVER:
            move.column[r] = 1.0 if buys else -1.0
        elif name == k + GAINS:
            move.column[r] = 0.0 if buys else -b.lots[room.order[point.place[row]], GAIN]
        elif name < k + GROUPS + groups:
            move.column[r] = -b.member[b.member_at[g0 + name - k - GROUPS] + row]
        else:
            move.column[r] = b.member[b.member_at[g0 + name - k - GROUPS - groups] + row]


@compiled
def curvature(b: Batch, account: int, room: Room, point: Point, move: Move, count: int, h: Floats) -> None:
    """Fill the lower triangle of −D″ over the listed prices: h[r, c] for c ≤ r < count."""
    k = b.exposures.shape[1]
    i0, i1 = b.instrument_at[account], b.instrument_at[account + 1]
    for r in range(count):
        for c in range(r + 1):
            h[r, c] = 0.0
        if move.active[r] < k:
            h[r, r] = 1.0
    for row in range(i1 - i0):
        if not point.free[row]:
            continue
        fill_column(b, account, row, room, point, move, count)
        inverse = 1.0 / b.instruments[i0 + row, CURVE]
        for r in range(count):
            scaled = move.column[r] * inverse
            if scaled != 0.0:
                for c in range(r + 1):
                    h[r, c] += scaled * move.column[c]


@compiled
def newton_step(h: Floats, count: int, step: Floats, typical: float) -> bool:
    """Solve h · x = step into `step` by Cholesky; return whether some direction has no curvature.

    Such a direction gets `typical` for its pivot, as if one more instrument were free: a short step, which the line
    search lengthens.
    """
    flat = False
    for c in range(count):
        pivot = h[c, c]
        floor = FLAT * pivot
        for j in range(c):
            pivot -= h[c, j] * h[c, j]
        if pivot <= floor:
            pivot = typical
            flat = True
        root = np.sqrt(pivot)
        h[c, c] = root
        for r in range(c + 1, count):
            total = h[r, c]
            for j in range(c):
                total -= h[r, j] * h[c, j]
            h[r, c] = total / root
    for r in range(count):
        total = step[r]
        for j in range(r):
            total -= h[r, j] * step[j]
        step[r] = total / h[r, r]
    for r in range(count - 1, -1, -1):
        total = step[r]
        for j in range(r + 1, count):
            total -= h[j, r] * step[j]
        step[r] = total / h[r, r]
    return flat


@compiled
def advance(
    b: Batch, account: int, room: Room, here: Point, there: Point, move: Move, count: int, size: float
) -> tuple[float, float]:
    """Answer `size` steps from the move's origin, within bounds; return the dual value there and the gain promised."""
    k = b.exposures.shape[1]
    for r in range(len(here.z)):
        there.z[r] = move.origin[r]
    promise = 0.0
    for j in range(count):
        r = move.active[j]
        moved = move.origin[r] + size * move.step[j]
        if r >= k:
            moved = min(max(moved, 0.0), move.most[r - k])
        promise += move.slope[r] * (moved - move.origin[r])
        there.z[r] = moved
    if there.z[k + GAINS] != room.gains_price[0]:
        sort_lots(b, account, room, there.z[k + GAINS])
    for row in range(b.instrument_at[account + 1] - b.instrument_at[account]):
        there.place[row] = here.place[row]
    return evaluate(b, account, room, there), promise


@compiled
def search(
    b: Batch,
    account: int,
    room: Room,
    here: Point,
    there: Point,
    move: Move,
    count: int,
    value: float,
    lengthen: bool,
    any_rise: bool,
) -> tuple[float, bool]:
    """Move `here` along a step as far as is good; return the dual value reached, and whether that is an advance.

    A step that does not bring enough is shortened. With `lengthen`, one that does is doubled while it keeps half of its
    promise; with `any_rise`, while the dual rises at all.
    """
    k = b.exposures.shape[1]
    size = 1.0
    for j in range(count):
        if move.active[j] >= k:
            size = min(size, PRICE_STEP_MAX / max(abs(move.step[j]), PRICE_STEP_MAX))
    for r in range(len(here.z)):
        move.origin[r] = here.z[r]
        move.slope[r] = here.gradient[r]
    best = value
    advanced = False
    shortened = 0
    while True:
        found, promise = advance(b, account, room, here, there, move, count, size)
        if any_rise:
            good = found > best
        elif advanced:
            good = found > best and found >= value + 0.5 * promise
        else:
            good = found >= value + PROMISE_KEPT * promise - ROUNDING * (1.0 + abs(value))
        if good:
            best = found
            advanced = True
            for r in range(len(here.z)):
                here.z[r] = there.z[r]
                here.gradient[r] = there.gradient[r]
            for row in range(b.instrument_at[account + 1] - b.instrument_at[account]):
                here.weight[row] = there.weight[row]
                here.place[row] = there.place[row]
                here.free[row] = there.free[row]
            if not lengthen or shortened > 0 or size > LENGTH_MAX:
                return best, True
            size *= 2.0
        elif advanced or any_rise or shortened == SHORTENED_MAX:
            return best, advanced
        else:
            shortened += 1
            # To the top of the parabola through what is known, within a tenth and a half.
            size *= min(max(0.5 * promise / (promise - (found - value)), 0.1), 0.5)


@compiled
def movable(b: Batch, account: int, here: Point, move: Move) -> tuple[int, float]:
    """List the prices that may move; return their number and the largest slope.

    A price at its bound, with the dual falling into the range, may not move.
    """
    k = b.exposures.shape[1]
    rows = k + GROUPS + 2 * (b.group_at[account + 1] - b.group_at[account])
    count = 0
    largest = 0.0
    for r in range(rows):
        slope = here.gradient[r]
        if r >= k and ((here.z[r] <= 0.0 and slope <= 0.0) or (here.z[r] >= move.most[r - k] and slope >= 0.0)):
            continue
        move.active[count] = r
        count += 1
        largest = max(largest, abs(slope))
    return count, largest


@compiled
def direct(
    b: Batch, account: int, room: Room, here: Point, move: Move, h: Floats, count: int, typical: float
) -> tuple[int, bool]:
    """Make Newton's step over the listed prices; return over how many it goes, and whether it is flat somewhere."""
    k = b.exposures.shape[1]
    while True:
        curvature(b, account, room, here, move, count, h)
        for j in range(count):
            move.step[j] = here.gradient[move.active[j]]
        flat = newton_step(h, count, move.step, typical)
        left = 0
        for j in range(count):
            r = move.active[j]
            step = move.step[j]
            # A price that stands at a bound and would step over it stays; the others step without it.
            if r >= k and ((here.z[r] <= 0.0 and step < 0.0) or (here.z[r] >= move.most[r - k] and step > 0.0)):
                continue
            move.active[left] = r
            move.step[left] = step
            left += 1
        if left == count:
            return count, flat
        count = left


@compiled
def solve(
    b: Batch, account: int, room: Room, here: Point, there: Point, move: Move, h: Floats, iterations_max: int
) -> tuple[float, int, bool]:
    """Move `here` from its prices to the optimum; return the dual value, the iterations, and whether it is optimal.

    `there`, `move` and `h` are room.
    """
    k = b.exposures.shape[1]
    i0, i1 = b.instrument_at[account], b.instrument_at[account + 1]
    typical = 0.0
    for i in range(i0, i1):
        typical += 1.0 / (b.instruments[i, CURVE] * (i1 - i0))
    sort_lots(b, account, room, here.z[k + GAINS])
    value = -np.inf
    count = 0
    flat = False
    for iteration in range(iterations_max):
        along_ridge = iteration > RIDGE_AFTER + 2 and iteration % 3 == 0
        if along_ridge:
            count = len(here.z)
            for r in range(count):
                move.active[r] = r
                move.step[r] = here.z[r] - move.past[r]
        elif iteration > 0:
            if iteration % 3 == 1:
                for r in range(len(here.z)):
                    move.past[r] = here.z[r]
            count, largest = movable(b, account, here, move)
            if largest <= TOLERANCE:
                return value, iteration, True
            count, flat = direct(b, account, room, here, move, h, count, typical)
        # The first round only answers at the given prices.
        lengthen = flat or along_ridge
        value, advanced = search(b, account, room, here, there, move, count, value, lengthen, along_ridge)
        if not advanced and not along_ridge:
            return value, iteration, False
        if here.z[k + GAINS] != room.gains_price[0]:
            sort_lots(b, account, room, here.z[k + GAINS])
    return value, iterations_max, False


@compiled
def run(
    b: Batch,
    begin: int,
    end: int,
    room: Room,
    here: Point,
    there: Point,
    move: Move,
    h: Floats,
    iterations_max: int,
    results: Results,
) -> None:
    """Solve accounts from `begin` to before `end` and fill in their results; prices there are where to start."""
    k = b.exposures.shape[1]
    for account in range(begin, end):
        i0, i1 = b.instrument_at[account], b.instrument_at[account + 1]
        base = b.lot_at[i0]
        for r in range(len(move.most)):
            move.most[r] = np.inf
        move.most[CEILING] = b.accounts[account, BAND_PRICE]
        for r in range(len(here.z)):
            here.z[r] = results.z[account, r]
            here.gradient[r] = 0.0
        for p in range(b.lot_at[i1] - base):
            room.order[p] = base + p
        for row in range(i1 - i0):
            # Before trading: at the purchase's place, of which nothing is bought.
            here.place[row] = b.lot_at[i0 + row + 1] - base
        value, steps, done = solve(b, account, room, here, there, move, h, iterations_max)
        results.duals[account] = value
        results.iterations[account] = steps
        results.optimal[account] = done
        for r in range(len(here.z)):
            results.z[account, r] = here.z[r]
        # Lots of equal price are sold in the order of their ids, whichever way the sort came.
        for p in range(b.lot_at[i1] - base):
            room.order[p] = base + p
        sort_lots(b, account, room, here.z[k + GAINS])
        for i in range(i0, i1):
            w = here.weight[i - i0]
            results.weights[i] = w
            for p in range(b.lot_at[i] - base, b.lot_at[i + 1] - base):
                lot = room.order[p]
                sold = room.places[p, LEFT] + b.lots[lot, CAP] - w
                results.sold[lot] = min(max(sold, 0.0), b.lots[lot, CAP])
