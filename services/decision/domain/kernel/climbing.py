"""From given prices to the top of the dual: Newton steps, each as long as is good."""

from typing import cast

import numpy as np

from services.decision.domain.compiling import inlined
from services.decision.domain.kernel.answers import evaluate
from services.decision.domain.kernel.arrays import Batch
from services.decision.domain.kernel.curvature import bend, bend_factors, newton_step
from services.decision.domain.kernel.room import (
    AT,
    GAINS,
    GRADIENT,
    GROUPS,
    HINGE,
    INVERSE,
    MOST,
    ORIGIN,
    PAST,
    RISE,
    STEP,
    Room,
    Z,
)
from services.decision.domain.kernel.segments import lay_out, stand_at_start

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
# Longest multiple of a step without curvature.
LENGTH_MAX = 2.0**60
# Two pieces may take turns along a ridge of the dual. From this iteration on, every third step goes on in the direction
# of the last two together, for as long as the dual rises.
RIDGE_AFTER = 8
# The first of two points. numpy's, because a plain constant would be a type of its own for the compiler, and what it is
# passed to compiled twice.
FIRST_POINT = cast(int, np.int64(0))


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
