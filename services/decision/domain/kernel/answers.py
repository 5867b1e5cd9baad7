"""What every instrument answers to prices, and what the dual is worth there."""

import numpy as np

from services.decision.domain.compiling import part
from services.decision.domain.convex import Floats
from services.decision.domain.kernel.arrays import (
    CASH_CEILING,
    CASH_FLOOR,
    COST_PRICE,
    FREE_CASH,
    GAIN_BUDGET,
    HINGE_ABOVE,
    LEAST,
    TAX_CONSTANT,
    TURNOVER_MAX,
    Batch,
)
from services.decision.domain.kernel.arrays import MOST as MOST_HELD
from services.decision.domain.kernel.room import (
    AT,
    BRIDGES,
    CASH,
    CEILING,
    COUNTS,
    END,
    FIRST,
    GAIN_SLOPE,
    GAINED,
    GAINS,
    GIVES,
    GRADIENT,
    GROUPS,
    HINGE,
    HINGE_SLOPE,
    INVERSE,
    IOTA,
    KAPPA,
    LEFT,
    MARGINAL,
    PULL,
    RIGHT,
    SIDE,
    SLOPE,
    TURNOVER,
    VALUE,
    W0,
    WEIGHT,
    Q,
    Room,
    T,
    Z,
)
from services.decision.domain.kernel.segments import LOOSE


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
