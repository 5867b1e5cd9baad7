"""From the solver's weights to trades that a venue takes: what `rounding` does for one account, compiled.

It starts at the allowed trades nearest to the solution, mends limits that rounding broke by the moves that cost least
for what they mend, and walks downhill one instrument at a time. Whole increments, cents and limits are counted in
integers; floats only guide the choice.
"""

import numpy as np

from services.decision.domain.bulk.columns import CHARACTER, INCREMENT, MONEY, NONE, PRICE, QUANTITY, SHORT, Inputs
from services.decision.domain.bulk.desk import (
    AWAY,
    BACK,
    BENT,
    CASH_LEAST,
    CASH_NOW,
    CENT,
    EACH,
    FINE_STEP,
    GAIN_MOST,
    GAIN_NOW,
    GUESSED,
    IMPACT_RATE,
    LONG_NOW,
    MIX,
    NO_STEPS,
    NOISE,
    NOW,
    OWN,
    SHORT_NOW,
    STEEP,
    TAX_NOW,
    TAXED,
    THE_NOW,
    THE_OTHER,
    TRADED_MOST,
    TRADED_NOW,
    UNIT,
    UNIT_WEIGHT,
    Desk,
    basis_in_cents,
    cost_in_cents,
    snapped,
    value_in_cents,
    weighed_cost,
)
from services.decision.domain.bulk.exact import rounded_by, whole
from services.decision.domain.bulk.layout import counted_gain, tax_counted
from services.decision.domain.compiling import part, within
from services.decision.domain.convex import BPS_PER_ONE, Floats
from services.decision.domain.kernel.arrays import (
    BAND,
    BAND_PRICE,
    CAP,
    CASH_CEILING,
    COST_PRICE,
    GAIN,
    RISK,
    START,
    TARGET,
    TAX,
    VARIANCE,
    Batch,
    Integers,
)

# As in `rounding`, where each is explained.
MOVES_PER_INSTRUMENT_MAX = 8
# In basis points: what another trade must be better by; and how much worse a guess in floating point, which knows no
# cents, may find a trade that is worth weighing exactly.
BETTER_BPS = 1e-4
GUESS_BPS = 1e-4


@part
def weigh(inputs: Inputs, b: Batch, account: int, desk: Desk, row: int, place: int, steps: int) -> None:
    """Fill in what trading so many increments does, at a place: 0 for the trade now, 1 for another."""
    i = inputs.instrument_at[account] + row
    cent, mix = desk.totals[CENT], np.float64(desk.totals[MIX])
    value = value_in_cents(steps, desk.whole[UNIT, row], cent) if steps != 0 else whole(0)
    gain = 0
    tax = short = long = 0.0
    together = inputs.piece_at[account + 1] > inputs.piece_at[account]
    if steps < 0:
        left = -steps * inputs.instruments[INCREMENT, i]
        money = value
        p = inputs.lot_at[i] - inputs.lot_at[inputs.instrument_at[account]]
        while left > 0:
            lot = desk.order[p]
            quantity = min(left, inputs.lots[QUANTITY, lot])
            left -= quantity
            proceeds = rounded_by(quantity * inputs.instruments[PRICE, i], cent) if left > 0 else money
            money -= proceeds
            gain += proceeds - basis_in_cents(inputs, desk, lot, quantity)
            part = np.float64(proceeds * cent) / mix
            if not together:
                tax += part * b.lots[TAX, lot]
            elif inputs.lots[CHARACTER, lot] == SHORT:
                short += part * counted_gain(inputs, b, account, lot)
            else:
                long += part * counted_gain(inputs, b, account, lot)
            p += 1
    paid = 0
    cost = 0.0
    if steps != 0:
        spread, commission, impact = cost_in_cents(inputs, i, value, desk.real[IMPACT_RATE, row])
        paid = spread + commission + impact
        cost = weighed_cost(inputs, b, desk, i, np.float64(value * cent) / mix)
    signed = value if steps > 0 else -value
    weight = np.float64(signed * cent) / mix
    excess = abs(b.instruments[START, i] + weight - b.instruments[TARGET, i]) - b.instruments[BAND, i]
    at = NOW + EACH * place
    desk.whole[at, row], desk.whole[at + 1, row] = steps, signed
    desk.whole[at + 2, row], desk.whole[at + 3, row] = -signed - paid, gain
    own = tax + b.accounts[account, COST_PRICE] * cost
    desk.real[OWN + 2 * place, row] = own + b.accounts[account, BAND_PRICE] * max(excess, 0.0)
    desk.real[OWN + 2 * place + 1, row] = weight
    desk.real[TAXED + 2 * place, row], desk.real[TAXED + 2 * place + 1, row] = short, long


@part
def add_up(inputs: Inputs, b: Batch, account: int, held: Integers, desk: Desk) -> None:
    """Add up the trades now: cash, value traded, gain, groups, and the slope of risk."""
    i0, n = inputs.instrument_at[account], inputs.instrument_at[account + 1] - inputs.instrument_at[account]
    k = b.exposures.shape[1]
    cent = desk.totals[CENT]
    cash = traded = gain = 0
    short = long = 0.0
    for f in range(k):
        desk.factor[f] = 0.0
    for row in range(n):
        cash += desk.whole[NOW + 2, row]
        traded += abs(desk.whole[NOW + 1, row])
        gain += desk.whole[NOW + 3, row]
        short += desk.real[TAXED, row]
        long += desk.real[TAXED + 1, row]
        d = b.instruments[START, i0 + row] + desk.real[OWN + 1, row] - b.instruments[TARGET, i0 + row]
        line = b.exposures[b.exposure_at[i0 + row]]
        for f in range(k):
            desk.factor[f] += line[f] * d
    for row in range(n):
        d = b.instruments[START, i0 + row] + desk.real[OWN + 1, row] - b.instruments[TARGET, i0 + row]
        line = b.exposures[b.exposure_at[i0 + row]]
        slope = b.instruments[VARIANCE, i0 + row] * d
        for f in range(k):
            slope += line[f] * desk.factor[f]
        desk.real[STEEP, row] = slope
    desk.totals[CASH_NOW] = inputs.accounts[account, MONEY] + cash * cent
    desk.totals[TRADED_NOW], desk.totals[GAIN_NOW] = traded * cent, gain * cent
    desk.taxes[SHORT_NOW], desk.taxes[LONG_NOW] = short, long
    if inputs.piece_at[account + 1] > inputs.piece_at[account]:
        desk.taxes[TAX_NOW] = tax_counted(inputs, account, short, long, desk.totals[MIX])
    g0 = inputs.group_at[account]
    for g in range(g0, inputs.group_at[account + 1]):
        value = 0
        for row in range(n):
            if inputs.member[inputs.member_at[g] + row] > 0.0:
                value += held[row] + desk.whole[NOW + 1, row] * cent
        desk.grouped[0, g - g0] = value


@within
def broken_by(inputs: Inputs, account: int, desk: Desk, row: int, place: int) -> int:
    """Return by how much, in units of money, limits are broken in all when `row` makes the trade at a place."""
    cent = desk.totals[CENT]
    now, at = NOW, NOW + EACH * place
    cash = desk.totals[CASH_NOW] + (desk.whole[at + 2, row] - desk.whole[now + 2, row]) * cent
    over: int = max(desk.totals[CASH_LEAST] - cash, 0)
    if desk.totals[TRADED_MOST] != NONE:
        more = abs(desk.whole[at + 1, row]) - abs(desk.whole[now + 1, row])
        over += max(desk.totals[TRADED_NOW] + more * cent - desk.totals[TRADED_MOST], 0)
    if desk.totals[GAIN_MOST] != NONE:
        more = desk.whole[at + 3, row] - desk.whole[now + 3, row]
        over += max(desk.totals[GAIN_NOW] + more * cent - desk.totals[GAIN_MOST], 0)
    change = (desk.whole[at + 1, row] - desk.whole[now + 1, row]) * cent
    g0 = inputs.group_at[account]
    for g in range(g0, inputs.group_at[account + 1]):
        value = desk.grouped[0, g - g0]
        if inputs.member[inputs.member_at[g] + row] > 0.0:
            value += change
        over += max(desk.grouped[1, g - g0] - value, 0) + max(value - desk.grouped[2, g - g0], 0)
    return over


@within
def change_by(inputs: Inputs, b: Batch, account: int, desk: Desk, row: int, place: int) -> float:
    """Return how much the objective grows, in basis points, when `row` makes the trade at a place."""
    by = desk.real[OWN + 2 * place + 1, row] - desk.real[OWN + 1, row]
    deviation = b.accounts[account, RISK] * (desk.real[STEEP, row] * by + desk.real[BENT, row] * by * by / 2.0)
    cent, mix = desk.totals[CENT], np.float64(desk.totals[MIX])
    before = desk.totals[CASH_NOW]
    after = before + (desk.whole[NOW + EACH * place + 2, row] - desk.whole[NOW + 2, row]) * cent
    ceiling = b.accounts[account, CASH_CEILING]
    idle = max(np.float64(after) / mix - ceiling, 0.0) - max(np.float64(before) / mix - ceiling, 0.0)
    own: float = desk.real[OWN + 2 * place, row] - desk.real[OWN, row]
    if inputs.piece_at[account + 1] > inputs.piece_at[account]:
        short = desk.taxes[SHORT_NOW] + desk.real[TAXED + 2 * place, row] - desk.real[TAXED, row]
        long = desk.taxes[LONG_NOW] + desk.real[TAXED + 2 * place + 1, row] - desk.real[TAXED + 1, row]
        own += tax_counted(inputs, account, short, long, desk.totals[MIX]) - desk.taxes[TAX_NOW]
    grown: float = own + deviation + b.accounts[account, BAND_PRICE] * idle
    return grown


@part
def make(inputs: Inputs, b: Batch, account: int, held: Integers, desk: Desk, row: int, steps: int) -> None:
    """Make another trade in one instrument."""
    weigh(inputs, b, account, desk, row, THE_NOW, steps)
    add_up(inputs, b, account, held, desk)
    desk.real[GUESSED, row], _, _ = guess(inputs, b, account, desk, row, steps)


@within
def guess(inputs: Inputs, b: Batch, account: int, desk: Desk, row: int, steps: int) -> tuple[float, float, float]:
    """Return what `weigh` would find without rounding to cents: own part, cost and gain, the latter two as weights."""
    i = inputs.instrument_at[account] + row
    weight = steps * desk.real[UNIT_WEIGHT, row]
    amount = abs(weight)
    tax = gain = 0.0
    if steps < 0:
        left = amount
        p = inputs.lot_at[i] - inputs.lot_at[inputs.instrument_at[account]]
        last = p + desk.sellable[row]
        while left > 0.0 and p < last:
            lot = desk.order[p]
            sold = min(left, b.lots[CAP, lot])
            tax += sold * b.lots[TAX, lot]
            gain += sold * b.lots[GAIN, lot]
            left -= sold
            p += 1
    cost = 0.0
    if steps != 0:
        cost = weighed_cost(inputs, b, desk, i, amount)
    excess = abs(b.instruments[START, i] + weight - b.instruments[TARGET, i]) - b.instruments[BAND, i]
    own = tax + b.accounts[account, COST_PRICE] * cost + b.accounts[account, BAND_PRICE] * max(excess, 0.0)
    return own, cost, gain


@within
def guess_change(b: Batch, account: int, desk: Desk, row: int, own: float, cost: float, by: float) -> float:
    """Return how much the objective would grow, in basis points, by a guess of another trade, `by` more weight."""
    deviation = b.accounts[account, RISK] * (desk.real[STEEP, row] * by + desk.real[BENT, row] * by * by / 2.0)
    before = np.float64(desk.totals[CASH_NOW]) / np.float64(desk.totals[MIX])
    ceiling = b.accounts[account, CASH_CEILING]
    idle = max(before - by - cost - ceiling, 0.0) - max(before - ceiling, 0.0)
    grown: float = own - desk.real[GUESSED, row] + deviation + b.accounts[account, BAND_PRICE] * idle
    return grown


@part
def begin_near(inputs: Inputs, b: Batch, account: int, held: Integers, desk: Desk, net: Floats) -> None:
    """Make the allowed trades nearest to the weights in `net`."""
    n = inputs.instrument_at[account + 1] - inputs.instrument_at[account]
    for row in range(n):
        steps = whole(0)
        if abs(net[row]) > NOISE:
            wanted = net[row] / desk.real[UNIT_WEIGHT, row]
            count = whole(np.rint(wanted))
            away, back = snapped(desk, row, count, AWAY), snapped(desk, row, count, BACK)
            steps = away if abs(away - wanted) <= abs(back - wanted) else back
        weigh(inputs, b, account, desk, row, THE_NOW, steps)
        desk.real[GUESSED, row], _, _ = guess(inputs, b, account, desk, row, steps)
    add_up(inputs, b, account, held, desk)


@within
def may_mend(inputs: Inputs, account: int, desk: Desk, row: int, more: bool) -> bool:
    """Return whether trading more of an instrument, or less, can help a limit that is broken now."""
    if desk.totals[CASH_NOW] < desk.totals[CASH_LEAST] and not more:
        return True
    selling = desk.whole[NOW, row] < 0 or (desk.whole[NOW, row] == 0 and not more)
    shrinks = desk.whole[NOW, row] != 0 and selling == more
    if desk.totals[TRADED_MOST] != NONE and desk.totals[TRADED_NOW] > desk.totals[TRADED_MOST] and shrinks:
        return True
    if desk.totals[GAIN_MOST] != NONE and desk.totals[GAIN_NOW] > desk.totals[GAIN_MOST]:
        return True
    g0 = inputs.group_at[account]
    for g in range(g0, inputs.group_at[account + 1]):
        if inputs.member[inputs.member_at[g] + row] > 0.0:
            if desk.grouped[0, g - g0] < desk.grouped[1, g - g0] and more:
                return True
            if desk.grouped[0, g - g0] > desk.grouped[2, g - g0] and not more:
                return True
    return False


@part
def mend(inputs: Inputs, b: Batch, account: int, held: Integers, desk: Desk) -> bool:
    """Move until all limits are kept; return whether they are."""
    n = inputs.instrument_at[account + 1] - inputs.instrument_at[account]
    mix = np.float64(desk.totals[MIX])
    for _ in range(MOVES_PER_INSTRUMENT_MAX * n + 1):
        broken = broken_by(inputs, account, desk, NO_STEPS, THE_NOW)
        if broken == 0:
            return True
        best, best_row, best_steps = np.inf, whole(-1), whole(0)
        # A trade moves cash by its value less its cost, which is far below a hundredth of it, and both in cents.
        needed = (1.01 * np.float64(broken) + 2.0 * np.float64(desk.totals[CENT])) / mix
        for row in range(n):
            now = desk.whole[NOW, row]
            enough = whole(np.ceil(min(needed / desk.real[UNIT_WEIGHT, row], 1e15)))
            last = now
            for kind in range(10):
                # None at all; a step, or enough, up; then down.
                wish = whole(0)
                if kind // 2 == 1:
                    wish = now + 1
                elif kind // 2 == 2:
                    wish = now + enough
                elif kind // 2 == 3:
                    wish = now - 1
                elif kind // 2 == 4:
                    wish = now - enough
                steps = snapped(desk, row, wish, AWAY if kind % 2 == 0 else BACK)
                if steps in (now, last) or not may_mend(inputs, account, desk, row, steps > now):
                    continue
                last = steps
                own, cost, _ = guess(inputs, b, account, desk, row, steps)
                guessed = guess_change(b, account, desk, row, own, cost, (steps - now) * desk.real[UNIT_WEIGHT, row])
                # However it mends, it mends no more than all.
                if guessed > 0.0 and guessed / (np.float64(broken) / mix) > best + 1.0:
                    continue
                weigh(inputs, b, account, desk, row, THE_OTHER, steps)
                mended = broken - broken_by(inputs, account, desk, row, THE_OTHER)
                if mended > 0:
                    price = change_by(inputs, b, account, desk, row, THE_OTHER) / (np.float64(mended) / mix)
                    if price < best or (price == best and row == best_row and steps < best_steps):
                        best, best_row, best_steps = price, whole(row), steps
        if best_row < 0:
            return False
        make(inputs, b, account, held, desk, best_row, best_steps)
    return False


@part
def improve(inputs: Inputs, b: Batch, account: int, held: Integers, desk: Desk) -> None:
    """Move while a single move within the limits is better, instrument by instrument, until none is."""
    n = inputs.instrument_at[account + 1] - inputs.instrument_at[account]
    left = MOVES_PER_INSTRUMENT_MAX * n + 1
    worth = max(BETTER_BPS, BPS_PER_ONE * np.float64(desk.totals[CENT]) / np.float64(desk.totals[MIX]))
    moved = True
    while moved and left > 0:
        moved = False
        for row in range(n):
            now = desk.whole[NOW, row]
            fine = desk.real[UNIT_WEIGHT, row] < FINE_STEP
            best, best_steps = np.inf, now
            for kind in range(3):
                # None at all; a step down, a step up; away from no trade, as far as the smallest.
                steps = whole(0)
                if kind > 0:
                    wish = now - 1 if kind == 1 else now + 1
                    away = now <= 0 if kind == 1 else now >= 0
                    steps = now if fine else snapped(desk, row, wish, away)
                if steps == now:
                    continue
                own, cost, _ = guess(inputs, b, account, desk, row, steps)
                by = (steps - now) * desk.real[UNIT_WEIGHT, row]
                grows = guess_change(b, account, desk, row, own, cost, by)
                # Trading less often is worth a cent; any other move must gain.
                enough = worth if steps == 0 else (-worth if now == 0 else -BETTER_BPS)
                if grows > enough + GUESS_BPS:
                    continue
                weigh(inputs, b, account, desk, row, THE_OTHER, steps)
                change = change_by(inputs, b, account, desk, row, THE_OTHER)
                if change >= enough or change >= best:
                    continue
                if broken_by(inputs, account, desk, row, THE_OTHER) == 0:
                    best, best_steps = change, steps
            if best_steps != now:
                make(inputs, b, account, held, desk, whole(row), best_steps)
                moved = True
                left -= 1
