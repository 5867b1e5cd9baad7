"""What each lot bears of a plan's tax, in columns: its gain at what a unit costs on average; see `netting`.

All sales grow from nothing together; between the shares of them at which the tax bends, a unit costs the same.
"""

import numpy as np

from services.decision.domain.bulk.columns import (
    ABOVE,
    BENT_BY,
    CHARACTER,
    CONSTANT,
    HINGE_LONG,
    HINGE_SHORT,
    LOT_GAIN,
    LOT_TAX,
    OF_LONG,
    OF_SHORT,
    SHORT,
    TAX,
    Inputs,
    Plans,
)
from services.decision.domain.bulk.exact import whole
from services.decision.domain.compiling import part, within
from services.decision.domain.convex import Floats


@within
def at_share(inputs: Inputs, piece: int, short: float, long: float) -> float:
    """Return a piece of the tax at net gains in currency."""
    own = inputs.pieces[piece]
    over = own[HINGE_SHORT] * short + own[HINGE_LONG] * long - own[ABOVE]
    value: float = own[CONSTANT] + own[OF_SHORT] * short + own[OF_LONG] * long + own[BENT_BY] * max(over, 0.0)
    return value


@within
def put_in(bends: Floats, count: int, share: float) -> int:
    """Put a share above 0 and below 1 among those that are there, in order; return their number."""
    if share <= 0.0 or share >= 1.0 or count >= len(bends):
        return count
    place = count
    while place > 0 and bends[place - 1] > share:
        bends[place] = bends[place - 1]
        place -= 1
    bends[place] = share
    return count + 1


@part
def bend_shares(inputs: Inputs, account: int, short: float, long: float, bends: Floats) -> int:
    """Fill in, in order, the shares of net gains at which the tax may bend, 0 and 1 among them; return their number."""
    first, last = inputs.piece_at[account], inputs.piece_at[account + 1]
    bends[0] = 0.0
    count = whole(1)
    for piece in range(first, last):
        by = inputs.pieces[piece, HINGE_SHORT] * short + inputs.pieces[piece, HINGE_LONG] * long
        if inputs.pieces[piece, BENT_BY] > 0.0 and by != 0.0:
            count = put_in(bends, count, inputs.pieces[piece, ABOVE] / by)
    corners = count
    bends[count] = 1.0
    # Pieces are linear between corners, and cross there at most once. The crossings go behind, and then into order.
    found = corners + 1
    for n in range(corners):
        begin, end = bends[n], bends[n + 1]
        for one in range(first, last):
            for other in range(one + 1, last):
                ahead = at_share(inputs, one, begin * short, begin * long)
                ahead -= at_share(inputs, other, begin * short, begin * long)
                then = at_share(inputs, one, end * short, end * long) - at_share(inputs, other, end * short, end * long)
                if ahead * then < 0.0 and found < len(bends):
                    bends[found] = begin + (end - begin) * ahead / (ahead - then)
                    found += 1
    for at in range(1, found):
        share = bends[at]
        place = at
        while place > 0 and bends[place - 1] > share:
            bends[place] = bends[place - 1]
            place -= 1
        bends[place] = share
    return found


@part
def share_tax(inputs: Inputs, plans: Plans, account: int, bends: Floats) -> None:
    """Fill in each sold lot's part of the tax, in cents, where that is the tax of all lots together."""
    first, last = inputs.piece_at[account], inputs.piece_at[account + 1]
    if last == first:
        return
    i0, i1 = inputs.instrument_at[account], inputs.instrument_at[account + 1]
    short = long = 0.0
    for lot in range(inputs.lot_at[i0], inputs.lot_at[i1]):
        gain = plans.lots[LOT_GAIN, lot] / 100.0
        if inputs.lots[CHARACTER, lot] == SHORT:
            short += gain
        else:
            long += gain
    count = bend_shares(inputs, account, short, long, bends)
    of_short = of_long = 0.0
    for n in range(count - 1):
        length, middle = bends[n + 1] - bends[n], 0.5 * (bends[n] + bends[n + 1])
        chosen, least = first, np.inf
        for piece in range(first, last):
            value = at_share(inputs, piece, middle * short, middle * long)
            if value < least:
                chosen, least = piece, value
        own = inputs.pieces[chosen]
        bent = own[HINGE_SHORT] * short * middle + own[HINGE_LONG] * long * middle > own[ABOVE]
        by = own[BENT_BY] if bent else 0.0
        of_short += length * (own[OF_SHORT] + by * own[HINGE_SHORT])
        of_long += length * (own[OF_LONG] + by * own[HINGE_LONG])
    for i in range(i0, i1):
        tax = 0
        for lot in range(inputs.lot_at[i], inputs.lot_at[i + 1]):
            rate = of_short if inputs.lots[CHARACTER, lot] == SHORT else of_long
            plans.lots[LOT_TAX, lot] = whole(np.rint(plans.lots[LOT_GAIN, lot] * rate))
            tax += plans.lots[LOT_TAX, lot]
        plans.instruments[TAX, i] = tax
