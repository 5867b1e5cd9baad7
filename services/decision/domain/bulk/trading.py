"""From the solver's weights to trades that a venue takes: what `rounding` does for one account, compiled.

It starts at the allowed trades nearest to the solution, mends limits that rounding broke by the moves that cost least
for what they mend, and walks downhill one instrument at a time. Whole increments, cents and limits are counted in
integers; floats only guide the choice.
"""

from typing import NamedTuple, cast

import numpy as np

from services.decision.domain.bulk.columns import (
    AIM,
    BASIS,
    BASIS_SCALE,
    BPS_ONE,
    BUDGET_LEFT,
    CEILING_WEIGHT,
    COMMISSION,
    COMMISSION_BPS,
    DESTINATION,
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
    QUANTITY_SCALE,
    RISK_ROW,
    SPREAD_BPS,
    TURNOVER_LIMIT,
    VALUE_SCALE,
    WEIGHT_MAX,
    WEIGHT_ONE,
    Inputs,
)
from services.decision.domain.bulk.exact import ceiling_over, floor_over, rounded_by, rounded_over
from services.decision.domain.bulk.layout import floor_of, power_of_ten
from services.decision.domain.convex import BPS_PER_ONE, Floats
from services.decision.domain.kernel.arrays import (
    BAND,
    BAND_PRICE,
    CAP,
    CASH_CEILING,
    COST_PRICE,
    GAIN,
    LEAST,
    MOST,
    RISK,
    START,
    TARGET,
    TAX,
    VARIANCE,
    Batch,
    Integers,
)
from services.decision.domain.kernel.newton import part
from services.decision.domain.kernel.search import BUY, DOWN, SELL, States
from services.decision.domain.kernel.search import NONE as NO_TRADE_STATE
from services.decision.domain.kernel.search import UP as ONLY_UP

# As in `rounding`, where each is explained.
MOVES_PER_INSTRUMENT_MAX = 8
EQUAL_BPS = 1e-6
FINE_STEP = 1e-7
NOISE = 1e-7
# Divides basis points of money. Constants that are passed on are numpy's; see `columns`.
BPS_OF_MONEY = cast(int, np.int64(10_000 * BPS_ONE))
# Places of the trade now, and of the first other.
THE_NOW, THE_OTHER = cast(int, np.int64(0)), cast(int, np.int64(1))
NO_STEPS = cast(int, np.int64(0))
# Which allowed trade is taken for one that is not: the next larger, or the next smaller.
AWAY, BACK = cast(bool, np.bool_(True)), cast(bool, np.bool_(False))

# Rows of `Desk.whole`, by instrument: bounds of a trade in increments, the smallest, whether selling all empties the
# position; the trade now; then for the trade now and for up to three others: increments, signed value and change of
# cash in cents, gain in cents.
LOWEST, HIGHEST, SMALLEST, EMPTIES, UNIT = range(5)
NOW = 5
OTHERS = 4
EACH = 4
# Rows of `Desk.real`, by instrument: a unit's weight, risk's slope and curvature, c of impact; then for the trade now
# and the others: own part of the objective, weight.
UNIT_WEIGHT, STEEP, BENT, IMPACT_RATE = range(4)
OWN = 4


class Desk(NamedTuple):
    """Where one account's trades are made.

    Attributes:
        whole: Rows from `LOWEST` on, shape (21, n).
        real: Rows from `UNIT_WEIGHT` on, shape (12, n).
        order: Lots of each instrument that may be sold, the cheapest to sell first, shape (m,); `sellable` counts them.
        grouped: Value of each group now, its least and its most, shape (3, groups).
        totals: Cash, value traded, gain, each in units of money or cents: see `TOTALS`, shape (8,).
        factor: Shape (k,).
    """

    whole: Integers
    real: Floats
    order: Integers
    sellable: Integers
    grouped: Integers
    totals: Integers
    factor: Floats


# Places of `Desk.totals`: a cent in units of money; the mix's value; cash, value traded, and gain now, in units of
# money; the least cash and the most of the others.
CENT, MIX, CASH_NOW, TRADED_NOW, GAIN_NOW, CASH_LEAST, TRADED_MOST, GAIN_MOST = range(8)


def desk_for(instruments: int, lots: int, groups: int, factors: int) -> Desk:
    """Return room for accounts of at most these sizes."""
    return Desk(
        np.zeros((NOW + OTHERS * EACH, instruments), dtype=np.int64),
        np.zeros((OWN + 2 * OTHERS, instruments)),
        np.zeros(lots, dtype=np.int64),
        np.zeros(instruments, dtype=np.int64),
        np.zeros((3, groups), dtype=np.int64),
        np.zeros(8, dtype=np.int64),
        np.zeros(factors),
    )


@part
def value_in_cents(steps: int, unit: int, cent: int) -> int:
    """Return what so many increments are worth, positive, half-even to the cent."""
    return rounded_by(abs(steps) * unit, cent)


@part
def basis_in_cents(inputs: Inputs, account: int, lot: int, quantity: int) -> int:
    """Return the basis of a part of a lot, half-even to the cent."""
    scale = inputs.accounts[account, BASIS_SCALE]
    return rounded_over(inputs.lots[BASIS, lot], quantity, inputs.lots[QUANTITY, lot] * power_of_ten(scale - 2))


@part
def cost_in_cents(inputs: Inputs, i: int, value: int, impact_rate: float) -> tuple[int, int, int]:
    """Return spread, commission and impact of trading a value in cents, each rounded up to the cent."""
    spread = ceiling_over(value, inputs.instruments[SPREAD_BPS, i], 2 * BPS_OF_MONEY)
    commission = ceiling_over(value, inputs.instruments[COMMISSION_BPS, i], BPS_OF_MONEY)
    amount = value / 100.0
    impact = np.int64(np.ceil(100.0 * (impact_rate * amount * np.sqrt(amount))))
    return spread, commission + inputs.instruments[COMMISSION, i], impact


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
        if state == NO_TRADE_STATE or state == SELL or state == DOWN:
            desk.whole[HIGHEST, row] = 0
        if state == NO_TRADE_STATE or state == BUY or state == ONLY_UP:
            desk.whole[LOWEST, row] = 0


@part
def allowed(desk: Desk, row: int, steps: int) -> bool:
    """Return whether a trade of so many increments may be made."""
    if steps < desk.whole[LOWEST, row] or steps > desk.whole[HIGHEST, row]:
        return False
    if steps == 0 or abs(steps) >= desk.whole[SMALLEST, row]:
        return True
    return desk.whole[EMPTIES, row] != 0 and steps == desk.whole[LOWEST, row]


@part
def snapped(desk: Desk, row: int, steps: int, away: bool) -> int:
    """Return an allowed trade near `steps`: at least as large when `away` and there is one, else at most."""
    steps = min(max(steps, desk.whole[LOWEST, row]), desk.whole[HIGHEST, row])
    if allowed(desk, row, steps):
        return steps
    if away:
        smallest = desk.whole[SMALLEST, row]
        larger = -smallest if steps < 0 else smallest
        if allowed(desk, row, np.int64(larger)):
            return larger
        if steps < 0 and allowed(desk, row, desk.whole[LOWEST, row]):
            return desk.whole[LOWEST, row]
    return 0


@part
def weigh(inputs: Inputs, b: Batch, account: int, desk: Desk, row: int, place: int, steps: int) -> None:
    """Fill in what trading so many increments does, at a place: 0 for the trade now, 1 to 3 for others."""
    i = inputs.instrument_at[account] + row
    cent, mix = desk.totals[CENT], np.float64(desk.totals[MIX])
    value = value_in_cents(steps, desk.whole[UNIT, row], cent)
    gain = 0
    tax = 0.0
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
            gain += proceeds - basis_in_cents(inputs, account, lot, quantity)
            tax += np.float64(proceeds * cent) / mix * b.lots[TAX, lot]
            p += 1
    cost = 0
    if steps != 0:
        spread, commission, impact = cost_in_cents(inputs, i, value, desk.real[IMPACT_RATE, row])
        cost = spread + commission + impact
    signed = value if steps > 0 else -value
    weight = np.float64(signed * cent) / mix
    excess = abs(b.instruments[START, i] + weight - b.instruments[TARGET, i]) - b.instruments[BAND, i]
    at = NOW + EACH * place
    desk.whole[at, row], desk.whole[at + 1, row] = steps, signed
    desk.whole[at + 2, row], desk.whole[at + 3, row] = -signed - cost, gain
    own = tax + b.accounts[account, COST_PRICE] * (np.float64(cost * cent) / mix)
    desk.real[OWN + 2 * place, row] = own + b.accounts[account, BAND_PRICE] * max(excess, 0.0)
    desk.real[OWN + 2 * place + 1, row] = weight


@part
def add_up(inputs: Inputs, b: Batch, account: int, held: Integers, desk: Desk) -> None:
    """Add up the trades now: cash, value traded, gain, groups, and the slope of risk."""
    i0, n = inputs.instrument_at[account], inputs.instrument_at[account + 1] - inputs.instrument_at[account]
    k = b.exposures.shape[1]
    cent = desk.totals[CENT]
    cash = traded = gain = 0
    for f in range(k):
        desk.factor[f] = 0.0
    for row in range(n):
        cash += desk.whole[NOW + 2, row]
        traded += abs(desk.whole[NOW + 1, row])
        gain += desk.whole[NOW + 3, row]
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
    g0 = inputs.group_at[account]
    for g in range(g0, inputs.group_at[account + 1]):
        value = 0
        for row in range(n):
            if inputs.member[inputs.member_at[g] + row] > 0.0:
                value += held[row] + desk.whole[NOW + 1, row] * cent
        desk.grouped[0, g - g0] = value


@part
def broken_by(inputs: Inputs, account: int, desk: Desk, row: int, place: int) -> int:
    """Return by how much, in units of money, limits are broken in all when `row` makes the trade at a place."""
    cent = desk.totals[CENT]
    now, at = NOW, NOW + EACH * place
    cash = desk.totals[CASH_NOW] + (desk.whole[at + 2, row] - desk.whole[now + 2, row]) * cent
    over = max(desk.totals[CASH_LEAST] - cash, 0)
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


@part
def change_by(b: Batch, account: int, desk: Desk, row: int, place: int) -> float:
    """Return how much the objective grows, in basis points, when `row` makes the trade at a place."""
    by = desk.real[OWN + 2 * place + 1, row] - desk.real[OWN + 1, row]
    deviation = b.accounts[account, RISK] * (desk.real[STEEP, row] * by + desk.real[BENT, row] * by * by / 2.0)
    cent, mix = desk.totals[CENT], np.float64(desk.totals[MIX])
    before = desk.totals[CASH_NOW]
    after = before + (desk.whole[NOW + EACH * place + 2, row] - desk.whole[NOW + 2, row]) * cent
    ceiling = b.accounts[account, CASH_CEILING]
    idle = max(np.float64(after) / mix - ceiling, 0.0) - max(np.float64(before) / mix - ceiling, 0.0)
    grown = desk.real[OWN + 2 * place, row] - desk.real[OWN, row]
    return grown + deviation + b.accounts[account, BAND_PRICE] * idle


@part
def make(inputs: Inputs, b: Batch, account: int, held: Integers, desk: Desk, row: int, steps: int) -> None:
    """Make another trade in one instrument."""
    weigh(inputs, b, account, desk, row, THE_NOW, np.int64(steps))
    add_up(inputs, b, account, held, desk)


@part
def begin_near(inputs: Inputs, b: Batch, account: int, held: Integers, desk: Desk, net: Floats) -> None:
    """Make the allowed trades nearest to the weights in `net`."""
    n = inputs.instrument_at[account + 1] - inputs.instrument_at[account]
    for row in range(n):
        steps = 0
        if abs(net[row]) > NOISE:
            wanted = net[row] / desk.real[UNIT_WEIGHT, row]
            count = np.int64(np.rint(wanted))
            away, back = snapped(desk, row, count, AWAY), snapped(desk, row, count, BACK)
            steps = away if abs(away - wanted) <= abs(back - wanted) else back
        weigh(inputs, b, account, desk, row, THE_NOW, np.int64(steps))
    add_up(inputs, b, account, held, desk)


@part
def mend(inputs: Inputs, b: Batch, account: int, held: Integers, desk: Desk) -> bool:
    """Move until all limits are kept; return whether they are."""
    n = inputs.instrument_at[account + 1] - inputs.instrument_at[account]
    mix = np.float64(desk.totals[MIX])
    for _ in range(MOVES_PER_INSTRUMENT_MAX * n + 1):
        broken = broken_by(inputs, account, desk, NO_STEPS, THE_NOW)
        if broken == 0:
            return True
        best, best_row, best_steps = np.inf, -1, 0
        # A trade moves cash by its value less its cost, which is far below a hundredth of it, and both in cents.
        needed = (1.01 * np.float64(broken) + 2.0 * np.float64(desk.totals[CENT])) / mix
        for row in range(n):
            now = desk.whole[NOW, row]
            enough = np.int64(np.ceil(min(needed / desk.real[UNIT_WEIGHT, row], 1e15)))
            for kind in range(10):
                wish = 0
                if kind // 2 == 0:
                    wish = now - enough
                elif kind // 2 == 1:
                    wish = now + enough
                elif kind // 2 == 2:
                    wish = now - 1
                elif kind // 2 == 3:
                    wish = now + 1
                steps = snapped(desk, row, np.int64(wish), AWAY if kind % 2 == 0 else BACK)
                if steps == now:
                    continue
                weigh(inputs, b, account, desk, row, THE_OTHER, np.int64(steps))
                mended = broken - broken_by(inputs, account, desk, np.int64(row), THE_OTHER)
                if mended > 0:
                    price = change_by(b, account, desk, np.int64(row), THE_OTHER) / (np.float64(mended) / mix)
                    if price < best or (price == best and row == best_row and steps < best_steps):
                        best, best_row, best_steps = price, row, steps
        if best_row < 0:
            return False
        make(inputs, b, account, held, desk, np.int64(best_row), np.int64(best_steps))
    return False


@part
def prepare_others(inputs: Inputs, b: Batch, account: int, desk: Desk, row: int) -> None:
    """Weigh the trades that one instrument might make instead: none, a step less, a step more."""
    now = desk.whole[NOW, row]
    fine = desk.real[UNIT_WEIGHT, row] < FINE_STEP
    for place in range(1, OTHERS):
        steps = 0
        if place > 1:
            wish = now - 1 if place == 2 else now + 1
            # Away from no trade, as far as the smallest.
            away = now <= 0 if place == 2 else now >= 0
            steps = now if fine else snapped(desk, row, np.int64(wish), away)
        if steps == now:
            desk.whole[NOW + EACH * place, row] = now
        else:
            weigh(inputs, b, account, desk, row, np.int64(place), np.int64(steps))


@part
def improve(inputs: Inputs, b: Batch, account: int, held: Integers, desk: Desk) -> None:
    """Move while a single move within the limits is better."""
    n = inputs.instrument_at[account + 1] - inputs.instrument_at[account]
    for row in range(n):
        prepare_others(inputs, b, account, desk, np.int64(row))
    for _ in range(MOVES_PER_INSTRUMENT_MAX * n + 1):
        best, best_row, best_steps = np.inf, -1, 0
        for row in range(n):
            now = desk.whole[NOW, row]
            for place in range(1, OTHERS):
                steps = desk.whole[NOW + EACH * place, row]
                if steps == now:
                    continue
                change = change_by(b, account, desk, np.int64(row), np.int64(place))
                # Trading less often is worth it at equal objective; any other move must gain.
                if change >= (EQUAL_BPS if steps == 0 else -EQUAL_BPS) or change > best:
                    continue
                if change == best and (row != best_row or steps >= best_steps):
                    continue
                if broken_by(inputs, account, desk, np.int64(row), np.int64(place)) == 0:
                    best, best_row, best_steps = change, row, steps
        if best_row < 0:
            return
        make(inputs, b, account, held, desk, np.int64(best_row), np.int64(best_steps))
        prepare_others(inputs, b, account, desk, np.int64(best_row))
