"""Where one account's trades are made, compiled: what each instrument allows, and what trades cost to the cent."""

from typing import NamedTuple, cast

import numpy as np

from services.decision.domain.bulk.columns import (
    BASIS,
    BASIS_SCALE,
    BPS_ONE,
    BUDGET_LEFT,
    COMMISSION,
    COMMISSION_BPS,
    IMPACT_COEFFICIENT,
    INCREMENT,
    KEPT,
    MINIMUM,
    NO_BUY,
    NO_SELL,
    NONE,
    PRICE,
    QUANTITY,
    RISK_ROW,
    SPREAD_BPS,
    TURNOVER_LIMIT,
    VALUE_SCALE,
    WEIGHT_MAX,
    WEIGHT_ONE,
    Inputs,
)
from services.decision.domain.bulk.exact import ceiling_over, floor_over, rounded_by, rounded_over, whole
from services.decision.domain.bulk.layout import floor_of, power_of_ten
from services.decision.domain.compiling import part, within
from services.decision.domain.convex import Floats
from services.decision.domain.kernel.arrays import COST, GAIN, IMPACT, TAX, VARIANCE, Batch, Integers
from services.decision.domain.kernel.nodes import BUY, DOWN, SELL, States
from services.decision.domain.kernel.nodes import NONE as NO_TRADE_STATE
from services.decision.domain.kernel.nodes import UP as ONLY_UP

FINE_STEP = 1e-7
NOISE = 1e-7
# Divides basis points of money. Constants that are passed on are numpy's; see `columns`.
BPS_OF_MONEY = whole(10_000 * BPS_ONE)
# Places of the trade now, and of the first other.
THE_NOW, THE_OTHER = whole(0), whole(1)
NO_STEPS = whole(0)
# Which allowed trade is taken for one that is not: the next larger, or the next smaller.
AWAY, BACK = cast(bool, np.bool_(True)), cast(bool, np.bool_(False))
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
