"""From the solver's weights to trades that a venue takes: what `rounding` does for one account, compiled.

It starts at the allowed trades nearest to the solution, mends limits that rounding broke by the moves that cost least
for what they mend, and walks downhill one instrument at a time. Whole increments, cents and limits are counted in
integers; floats only guide the choice.
"""

from typing import NamedTuple, cast

import numpy as np

from services.decision.domain.bulk.columns import (
    BASIS,
    BASIS_SCALE,
    BPS_ONE,
    BUDGET_LEFT,
    CHARACTER,
    COMMISSION,
    COMMISSION_BPS,
    IMPACT_COEFFICIENT,
    INCREMENT,
    KEPT,
    MINIMUM,
    MONEY,
    NO_BUY,
    NO_SELL,
    NONE,
    PRICE,
    QUANTITY,
    RISK_ROW,
    SHORT,
    SPREAD_BPS,
    TURNOVER_LIMIT,
    VALUE_SCALE,
    WEIGHT_MAX,
    WEIGHT_ONE,
    Inputs,
)
from services.decision.domain.bulk.exact import ceiling_over, floor_over, rounded_by, rounded_over, whole
from services.decision.domain.bulk.layout import counted_gain, floor_of, power_of_ten, tax_counted
from services.decision.domain.compiling import part, within
from services.decision.domain.convex import BPS_PER_ONE, Floats
from services.decision.domain.kernel.arrays import (
    BAND,
    BAND_PRICE,
    CAP,
    CASH_CEILING,
    COST,
    COST_PRICE,
    GAIN,
    IMPACT,
    RISK,
    START,
    TARGET,
    TAX,
    VARIANCE,
    Batch,
    Integers,
)
from services.decision.domain.kernel.nodes import BUY, DOWN, SELL, States
from services.decision.domain.kernel.nodes import NONE as NO_TRADE_STATE
from services.decision.domain.kernel.nodes import UP as ONLY_UP

# As in `rounding`, where each is explained.
MOVES_PER_INSTRUMENT_MAX = 8
FINE_STEP = 1e-7
NOISE = 1e-7
# Divides basis points of money. Constants that are passed on are numpy's; see `columns`.
BPS_OF_MONEY = whole(10_000 * BPS_ONE)
# Places of the trade now, and of the first other.
THE_NOW, THE_OTHER = whole(0), whole(1)
NO_STEPS = whole(0)
# Which allowed trade is taken for one that is not: the next larger, or the next smaller.
AWAY, BACK = cast(bool, np.bool_(True)), cast(bool, np.bool_(False))

# In basis points: what another trade must be better by; and how much worse a guess in floating point, which knows no
# cents, may find a trade that is worth weighing exactly.
BETTER_BPS = 1e-4
GUESS_BPS = 1e-4

# Rows of `Desk.whole`, by instrument: bounds of a trade in increments, the smallest, whether selling all empties the
# position, a unit's value; then for the trade now and for another: increments, signed value and change of cash in
# cents, gain in cents.
LOWEST, HIGHEST, SMALLEST, EMPTIES, UNIT = range(5)
NOW = 5
PLACES = 2
EACH = 4
# Rows of `Desk.real`, by instrument: a unit's weight, risk's slope and curvature, c of impact; then for the trade now
# and another: own part of the objective, weight; then what is guessed for the trade now; last, again for both, what of
# its gain counts as short-term and as long-term where the tax is that of all lots together.
UNIT_WEIGHT, STEEP, BENT, IMPACT_RATE = range(4)
OWN = 4
GUESSED = OWN + 2 * PLACES
TAXED = GUESSED + 1
# Places of `Desk.taxes`: net gains now, over the mix value, and their tax in basis points.
SHORT_NOW, LONG_NOW, TAX_NOW = range(3)


class Desk(NamedTuple):
    """Where one account's trades are made.

    Attributes:
        whole: Rows from `LOWEST` on, shape (13, n).
        real: Rows from `UNIT_WEIGHT` on, shape (13, n).
        order: Lots of each instrument that may be sold, the cheapest to sell first, shape (m,); `sellable` counts them.
        grouped: Value of each group now, its least and its most, shape (3, groups).
        totals: Cash, value traded, gain, each in units of money or cents: see `CENT`, shape (9,).
        factor: Shape (k,).
        taxes: Places from `SHORT_NOW` on, shape (3,).
    """

    whole: Integers
    real: Floats
    order: Integers
    sellable: Integers
    grouped: Integers
    totals: Integers
    factor: Floats
    taxes: Floats


# Places of `Desk.totals`: a cent in units of money; the mix's value; cash, value traded, and gain now, in units of
# money; the least cash and the most of the others; a cent in units of basis.
CENT, MIX, CASH_NOW, TRADED_NOW, GAIN_NOW, CASH_LEAST, TRADED_MOST, GAIN_MOST, BASIS_CENT = range(9)


def desk_for(instruments: int, lots: int, groups: int, factors: int) -> Desk:
    """Return room for accounts of at most these sizes."""
    return Desk(
        np.zeros((NOW + PLACES * EACH, instruments), dtype=np.int64),
        np.zeros((TAXED + 2 * PLACES, instruments)),
        np.zeros(lots, dtype=np.int64),
        np.zeros(instruments, dtype=np.int64),
        np.zeros((3, groups), dtype=np.int64),
        np.zeros(9, dtype=np.int64),
        np.zeros(factors),
        np.zeros(3),
    )


@within
def value_in_cents(steps: int, unit: int, cent: int) -> int:
    """Return what so many increments are worth, positive, half-even to the cent."""
    return rounded_by(abs(steps) * unit, cent)


@within
def basis_in_cents(inputs: Inputs, desk: Desk, lot: int, quantity: int) -> int:
    """Return the basis of a part of a lot, half-even to the cent."""
    if quantity == inputs.lots[QUANTITY, lot]:
        return rounded_by(inputs.lots[BASIS, lot], desk.totals[BASIS_CENT])
    return rounded_over(inputs.lots[BASIS, lot], quantity, inputs.lots[QUANTITY, lot] * desk.totals[BASIS_CENT])


@within
def cost_in_cents(inputs: Inputs, i: int, value: int, impact_rate: float) -> tuple[int, int, int]:
    """Return spread, commission and impact of trading a value in cents, each rounded up to the cent."""
    spread = ceiling_over(value, inputs.instruments[SPREAD_BPS, i], 2 * BPS_OF_MONEY)
    commission = inputs.instruments[COMMISSION, i]
    if inputs.instruments[COMMISSION_BPS, i] != 0:
        commission += ceiling_over(value, inputs.instruments[COMMISSION_BPS, i], BPS_OF_MONEY)
    amount = value / 100.0
    impact = whole(np.ceil(100.0 * (impact_rate * amount * np.sqrt(amount))))
    return spread, commission, impact


@within
def weighed_cost(inputs: Inputs, b: Batch, desk: Desk, i: int, amount: float) -> float:
    """Return the cost of trading so much weight, not zero, as the objective counts it: as a weight, not rounded."""
    once = np.float64(inputs.instruments[COMMISSION, i] * desk.totals[CENT]) / np.float64(desk.totals[MIX])
    rated: float = b.instruments[COST, i] * amount + b.instruments[IMPACT, i] * amount * np.sqrt(amount)
    return rated + once


@part
def sit_down(
    inputs: Inputs, volatility: Floats, b: Batch, account: int, held: Integers, mix: int, gains_price: float, desk: Desk
) -> None:
    """Prepare the desk for an account: what each instrument allows, the order of its lots, and the limits."""
    i0, i1 = inputs.instrument_at[account], inputs.instrument_at[account + 1]
    own = inputs.accounts[account]
    k = b.exposures.shape[1]
    cent = power_of_ten(own[VALUE_SCALE] - 2)
    desk.totals[CENT], desk.totals[MIX] = cent, mix
    desk.totals[BASIS_CENT] = power_of_ten(own[BASIS_SCALE] - 2)
    desk.totals[CASH_LEAST] = floor_of(inputs, account, mix)
    limit, _ = floor_over(own[TURNOVER_LIMIT], mix, WEIGHT_ONE)
    desk.totals[TRADED_MOST] = NONE if own[TURNOVER_LIMIT] == NONE else limit
    desk.totals[GAIN_MOST] = own[BUDGET_LEFT]
    base = inputs.lot_at[i0]
    for i in range(i0, i1):
        row = i - i0
        first = inputs.lot_at[i] - base
        count = 0
        sellable = kept = 0
        for lot in range(inputs.lot_at[i], inputs.lot_at[i + 1]):
            if inputs.instruments[NO_SELL, i] != 0 or inputs.lots[KEPT, lot] != 0:
                kept += inputs.lots[QUANTITY, lot]
                continue
            sellable += inputs.lots[QUANTITY, lot]
            price = b.lots[TAX, lot] + gains_price * b.lots[GAIN, lot]
            place = first + count
            while place > first:
                before = desk.order[place - 1]
                if b.lots[TAX, before] + gains_price * b.lots[GAIN, before] <= price:
                    break
                desk.order[place] = before
                place -= 1
            desk.order[place] = lot
            count += 1
        desk.sellable[row] = count
        increment = inputs.instruments[INCREMENT, i]
        unit = increment * inputs.instruments[PRICE, i]
        desk.whole[UNIT, row] = unit
        desk.whole[LOWEST, row] = -(sellable // increment)
        buyable = 0
        if inputs.instruments[NO_BUY, i] == 0:
            most = mix
            if inputs.instruments[WEIGHT_MAX, i] != NONE:
                most, _ = floor_over(inputs.instruments[WEIGHT_MAX, i], mix, WEIGHT_ONE)
            buyable = max(most - held[row], 0)
        desk.whole[HIGHEST, row] = buyable // unit
        desk.whole[SMALLEST, row] = max(1, -(-inputs.instruments[MINIMUM, i] // unit))
        desk.whole[EMPTIES, row] = 1 if kept == 0 else 0
        desk.real[UNIT_WEIGHT, row] = np.float64(unit) / np.float64(mix)
        bent = b.instruments[VARIANCE, i]
        line = b.exposures[b.exposure_at[i]]
        for f in range(k):
            bent += line[f] * line[f]
        desk.real[BENT, row] = bent
        volume = inputs.daily_value[i]
        rate = 0.0
        if volume > 0.0:
            coefficient = inputs.objectives[account, IMPACT_COEFFICIENT]
            rate = coefficient * volatility[inputs.instruments[RISK_ROW, i]] / np.sqrt(volume)
        desk.real[IMPACT_RATE, row] = rate
    for g in range(inputs.group_at[account], inputs.group_at[account + 1]):
        desk.grouped[1, g - inputs.group_at[account]] = ceiling_over(inputs.groups[g, 0], mix, WEIGHT_ONE)
        most, _ = floor_over(inputs.groups[g, 1], mix, WEIGHT_ONE)
        desk.grouped[2, g - inputs.group_at[account]] = most


@part
def close_ways(desk: Desk, states: States, n: int) -> None:
    """Close the directions that states close."""
    for row in range(n):
        state = states[row]
        if state in (NO_TRADE_STATE, SELL, DOWN):
            desk.whole[HIGHEST, row] = 0
        if state in (NO_TRADE_STATE, BUY, ONLY_UP):
            desk.whole[LOWEST, row] = 0


@within
def allowed(desk: Desk, row: int, steps: int) -> bool:
    """Return whether a trade of so many increments may be made."""
    if steps < desk.whole[LOWEST, row] or steps > desk.whole[HIGHEST, row]:
        return False
    if steps == 0 or abs(steps) >= desk.whole[SMALLEST, row]:
        return True
    all_of_it: bool = desk.whole[EMPTIES, row] != 0 and steps == desk.whole[LOWEST, row]
    return all_of_it


@within
def snapped(desk: Desk, row: int, steps: int, away: bool) -> int:
    """Return an allowed trade near `steps`: at least as large when `away` and there is one, else at most."""
    steps = min(max(steps, desk.whole[LOWEST, row]), desk.whole[HIGHEST, row])
    if allowed(desk, row, steps):
        return steps
    if away:
        smallest: int = desk.whole[SMALLEST, row]
        larger = -smallest if steps < 0 else smallest
        if allowed(desk, row, whole(larger)):
            return larger
        if steps < 0 and allowed(desk, row, desk.whole[LOWEST, row]):
            lowest: int = desk.whole[LOWEST, row]
            return lowest
    return 0


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
