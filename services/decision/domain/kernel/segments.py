"""Each instrument's pieces: its lots by price, its purchase, split by the band and bridged to the least trade."""

import numpy as np

from services.decision.domain.compiling import part
from services.decision.domain.kernel.arrays import (
    BAND,
    BAND_PRICE,
    BUY_CAP,
    CAP,
    COST,
    GAIN,
    HINGE_PRICE,
    HINGED,
    IMPACT,
    RISK,
    START,
    TARGET,
    TAX,
    VARIANCE,
    Batch,
    Integers,
)
from services.decision.domain.kernel.room import (
    AT,
    BRIDGES,
    CEILING,
    COUNTED,
    COUNTS,
    END,
    FIRST,
    FROM,
    GAIN_SLOPE,
    GAINED,
    HINGE,
    HINGE_SLOPE,
    INVERSE,
    IOTA,
    KAPPA,
    LEAST_BOUGHT,
    LEAST_SOLD,
    LEFT,
    MIXED,
    MOST,
    RIGHT,
    SEGMENTS_MORE,
    SELLABLE,
    SIDE,
    SLOPE,
    TO,
    VALUE,
    W0,
    Q,
    Room,
    T,
)

# Share of an instrument's curvature that a bridge keeps, so that the dual stays smooth. It costs the kernel's bound as
# large a share of what bridging gains; the certificate's has no such loss.
LOOSE = 0.02


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
