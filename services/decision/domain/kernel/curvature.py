"""How the dual bends where it stands, and Newton's step there."""

from services.decision.domain.compiling import part
from services.decision.domain.convex import Floats
from services.decision.domain.kernel.arrays import Batch, Integers
from services.decision.domain.kernel.room import (
    AT,
    BY,
    CASH,
    CEILING,
    COLUMN,
    COUNTED,
    DIAGONAL,
    GAIN_SLOPE,
    GAINS,
    GIVES,
    GROUPS,
    HINGE,
    HINGE_SLOPE,
    KAPPA,
    MARGINAL,
    SIDE,
    STEP,
    TURNOVER,
    Room,
)

# A pivot that elimination leaves less than this share of is a direction without curvature.
FLAT = 1e-5


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
