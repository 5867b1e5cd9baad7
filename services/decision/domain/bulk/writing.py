"""A plan written into its columns, compiled: its trades, or why there are none."""

import numpy as np

from services.decision.domain.bulk.columns import (
    COMMISSION,
    DUAL,
    GAIN,
    IMPACT,
    INCREMENT,
    LOT_GAIN,
    LOT_TAX,
    MINIMUM,
    NO_TRADE,
    OUTCOME,
    PAID_COMMISSION,
    PRICE,
    PRIMAL,
    PROCEEDS,
    QUANTITY,
    RATE,
    RATE_ONE,
    SOLD_BASIS,
    SOLD_QUANTITY,
    SPREAD,
    STEPS,
    TAX,
    VALUE,
    WHY,
    Inputs,
    Plans,
)
from services.decision.domain.bulk.desk import (
    CENT,
    IMPACT_RATE,
    NOW,
    Desk,
    basis_in_cents,
    cost_in_cents,
    value_in_cents,
)
from services.decision.domain.bulk.exact import rounded_by, rounded_over, whole
from services.decision.domain.bulk.pieces import Work
from services.decision.domain.bulk.why import tell_account
from services.decision.domain.compiling import part
from services.decision.domain.convex import Floats
from services.decision.domain.kernel.arrays import BUY_CAP, CAP, COST_PRICE, Batch

MILLION = 1e6


@part
def least_trades(inputs: Inputs, b: Batch, account: int, mix: int, cent: int, least: Floats) -> None:
    """Fill in the least weight that a sale and a purchase of each instrument have; infinite where none can be made."""
    i0, i1 = inputs.instrument_at[account], inputs.instrument_at[account + 1]
    for i in range(i0, i1):
        row = i - i0
        least[0, row] = least[1, row] = 0.0
        if inputs.instruments[MINIMUM, i] <= 0:
            continue
        unit = inputs.instruments[INCREMENT, i] * inputs.instruments[PRICE, i]
        steps = -(-inputs.instruments[MINIMUM, i] // unit)
        smallest = np.float64(value_in_cents(steps, unit, cent) * cent) / np.float64(mix)
        sellable = 0
        whole_of_it = True
        for lot in range(inputs.lot_at[i], inputs.lot_at[i + 1]):
            if b.lots[CAP, lot] > 0.0:
                sellable += inputs.lots[QUANTITY, lot]
            else:
                whole_of_it = False
        all_steps = sellable // inputs.instruments[INCREMENT, i]
        least[0, row] = least[1, row] = smallest
        if all_steps < steps:
            # Less than the smallest trade may be sold where that empties the position.
            everything = np.float64(value_in_cents(all_steps, unit, cent) * cent) / np.float64(mix)
            least[0, row] = everything if whole_of_it and all_steps > 0 else np.inf
        if smallest > b.instruments[BUY_CAP, i]:
            least[1, row] = np.inf


@part
def stay(
    inputs: Inputs,
    plans: Plans,
    account: int,
    work: Work,
    mix: int,
    cent: int,
    hold: float,
    dual: float,
    why: int,
) -> int:
    """Write down that nothing is traded, and why."""
    told = plans.accounts[account]
    told[OUTCOME], told[WHY] = NO_TRADE, why
    told[PRIMAL], told[DUAL] = whole(np.rint(hold * MILLION)), whole(np.rint(dual * MILLION))
    tell_account(inputs, plans, account, work.held, mix, cent)
    return why


@part
def write_trades(inputs: Inputs, plans: Plans, account: int, desk: Desk) -> int:
    """Write the trades on the desk into the plan, with what is sold out of each lot; return their number."""
    i0, n = inputs.instrument_at[account], inputs.instrument_at[account + 1] - inputs.instrument_at[account]
    cent = desk.totals[CENT]
    base = inputs.lot_at[i0]
    count = 0
    for row in range(n):
        i = i0 + row
        steps = desk.whole[NOW, row]
        if steps == 0:
            continue
        count += 1
        value = abs(desk.whole[NOW + 1, row])
        plans.instruments[STEPS, i], plans.instruments[VALUE, i] = steps, value
        spread, commission, impact = cost_in_cents(inputs, i, value, desk.real[IMPACT_RATE, row])
        plans.instruments[SPREAD, i], plans.instruments[PAID_COMMISSION, i] = spread, commission
        plans.instruments[IMPACT, i] = impact
        left = -steps * inputs.instruments[INCREMENT, i] if steps < 0 else 0
        money = value
        p = inputs.lot_at[i] - base
        gain = tax = 0
        while left > 0:
            lot = desk.order[p]
            quantity = min(left, inputs.lots[QUANTITY, lot])
            left -= quantity
            proceeds = rounded_by(quantity * inputs.instruments[PRICE, i], cent) if left > 0 else money
            money -= proceeds
            basis = basis_in_cents(inputs, desk, lot, quantity)
            won = proceeds - basis
            owed = rounded_over(won, inputs.lots[RATE, lot], RATE_ONE)
            plans.lots[SOLD_QUANTITY, lot], plans.lots[PROCEEDS, lot] = quantity, proceeds
            plans.lots[SOLD_BASIS, lot], plans.lots[LOT_GAIN, lot], plans.lots[LOT_TAX, lot] = basis, won, owed
            gain += won
            tax += owed
            p += 1
        plans.instruments[GAIN, i], plans.instruments[TAX, i] = gain, tax
    return count


@part
def forget_trades(inputs: Inputs, plans: Plans, account: int) -> None:
    """Take the trades out of the plan again."""
    i0, i1 = inputs.instrument_at[account], inputs.instrument_at[account + 1]
    for i in range(i0, i1):
        for figure in range(STEPS, GAIN + 1):
            plans.instruments[figure, i] = 0
    for lot in range(inputs.lot_at[i0], inputs.lot_at[i1]):
        for figure in range(plans.lots.shape[0]):
            plans.lots[figure, lot] = 0


@part
def commissions(inputs: Inputs, plans: Plans, b: Batch, account: int, mix: int, cent: int) -> float:
    """Return what is paid once for every trade, which `added_up` does not count, as the objective does."""
    paid = 0
    for i in range(inputs.instrument_at[account], inputs.instrument_at[account + 1]):
        paid += inputs.instruments[COMMISSION, i] if plans.instruments[STEPS, i] != 0 else 0
    counted: float = b.accounts[account, COST_PRICE] * (np.float64(paid * cent) / np.float64(mix))
    return counted
