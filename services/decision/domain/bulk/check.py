"""Does a plan keep every hard limit? Added up again from input and plan columns alone, exactly, in integers.

The compiled equal of `checker`, which says what each rule means. It shares no arithmetic with what made the trades:
a rounding is not repeated but its result bounded, by products of up to 126 bits in two halves.
"""

from typing import Any, cast

import numpy as np

from services.decision.domain.bulk.columns import (
    ABOVE,
    AWAY,
    BASIS,
    BASIS_SCALE,
    BENT_BY,
    BPS_ONE,
    BUDGET_LEFT,
    CHARACTER,
    COMMISSION,
    COMMISSION_BPS,
    CONSTANT,
    FLOOR,
    FLOOR_WEIGHT,
    GAIN,
    HINGE_LONG,
    HINGE_SHORT,
    IDENTICAL,
    IMPACT,
    INCREMENT,
    KEPT,
    LOT_GAIN,
    LOT_TAX,
    MINIMUM,
    MONEY,
    NO_BUY,
    NO_SELL,
    NONE,
    OF_LONG,
    OF_SHORT,
    PAID_COMMISSION,
    PRICE,
    PROCEEDS,
    QUANTITY,
    RATE,
    RATE_ONE,
    SHORT,
    SOLD_BASIS,
    SOLD_QUANTITY,
    SPREAD,
    SPREAD_BPS,
    STEPS,
    TAX,
    TAXABLE,
    TURNOVER_LIMIT,
    VALUE,
    VALUE_SCALE,
    WEIGHT_MAX,
    WEIGHT_ONE,
    WITHDRAWAL,
    Inputs,
    Plans,
)
from services.decision.domain.bulk.exact import whole
from services.decision.domain.compiling import part, within

# Bits of what is broken, as `checker.Rule` names them.
(
    INCREMENT_RULE,
    MINIMUM_RULE,
    VALUE_RULE,
    COST_RULE,
    LOTS_RULE,
    GAIN_AND_TAX_RULE,
    NO_BUY_RULE,
    NO_SELL_RULE,
    TAX_RULE,
    WEIGHT_MAX_RULE,
    CASH_FLOOR_RULE,
    TURNOVER_RULE,
    GAIN_BUDGET_RULE,
    GROUP_MIN_RULE,
    GROUP_MAX_RULE,
) = (1 << bit for bit in range(15))

HALF = cast(int, np.int64(32))
LOW = cast(int, np.int64((1 << 32) - 1))
# Divides basis points of money, and half of them.
BPS_OF_MONEY = cast(int, np.int64(10_000 * BPS_ONE))

ONE_CENT = cast(int, np.int64(1))


@within
def product(a: int, b: int) -> tuple[int, int]:
    """Return a · b, neither negative, as high and low halves of 63 bits: high · 2^63 + low."""
    a1, a0, b1, b0 = a >> HALF, a & LOW, b >> HALF, b & LOW
    low = np.uint64(a0) * np.uint64(b0)
    cross = np.uint64(a1) * np.uint64(b0) + (low >> np.uint64(HALF))
    other = np.uint64(a0) * np.uint64(b1) + (cross & np.uint64(LOW))
    high = np.uint64(a1) * np.uint64(b1) + (cross >> np.uint64(HALF)) + (other >> np.uint64(HALF))
    rest = (other << np.uint64(HALF)) | (low & np.uint64(LOW))
    upper: Any = (high << np.uint64(1)) | (rest >> np.uint64(63))
    lower: Any = rest & np.uint64((1 << 63) - 1)
    return whole(upper), whole(lower)


@within
def exceeds(a: int, b: int, c: int, d: int) -> bool:
    """Return whether a · b > c · d; none is negative."""
    high, low = product(a, b)
    other_high, other_low = product(c, d)
    return high > other_high or (high == other_high and low > other_low)


@within
def is_near(kept: int, unit: int, a: int, b: int, slack: int) -> bool:
    """Return whether kept · unit is at most slack · unit away from a · b; kept, a and b have one sign or are 0."""
    return not exceeds(max(kept - slack, 0), unit, a, b) and not exceeds(a, b, kept + slack, unit)


@within
def ten_to(exponent: int) -> int:
    """Return 10^exponent."""
    power = 1
    for _ in range(exponent):
        power *= 10
    return power


@part
def check_trade(inputs: Inputs, plans: Plans, account: int, i: int, cent: int) -> int:  # noqa: C901 - one rule after the other
    """Return the bits of the rules that the trade in one instrument breaks, its lots included."""
    steps, value = plans.instruments[STEPS, i], plans.instruments[VALUE, i]
    price, increment = inputs.instruments[PRICE, i], inputs.instruments[INCREMENT, i]
    units = abs(steps) * increment
    worth = units * price
    found = 0
    # Half-even to the cent is at most half of one away, and only from an even one.
    away = abs(value * cent - worth)
    if value < 0 or 2 * away > cent or (2 * away == cent and value % 2 == 1):
        found |= VALUE_RULE
    if exceeds(value, inputs.instruments[SPREAD_BPS, i], plans.instruments[SPREAD, i], 2 * BPS_OF_MONEY):
        found |= COST_RULE
    paid = plans.instruments[PAID_COMMISSION, i] - inputs.instruments[COMMISSION, i]
    if paid < 0 or exceeds(value, inputs.instruments[COMMISSION_BPS, i], paid, BPS_OF_MONEY):
        found |= COST_RULE
    if plans.instruments[IMPACT, i] < 0 or plans.instruments[SPREAD, i] < 0:
        found |= COST_RULE
    held = sold = proceeds = gain = tax = lots = 0
    basis_one, basis_scale = ten_to(inputs.accounts[account, BASIS_SCALE] - 2), inputs.accounts[account, BASIS_SCALE]
    slack = inputs.lot_at[i + 1] - inputs.lot_at[i]
    alone = inputs.piece_at[account] == inputs.piece_at[account + 1]
    for lot in range(inputs.lot_at[i], inputs.lot_at[i + 1]):
        quantity = inputs.lots[QUANTITY, lot]
        held += quantity
        part = plans.lots[SOLD_QUANTITY, lot]
        if part == 0:
            if plans.lots[PROCEEDS, lot] != 0 or plans.lots[LOT_TAX, lot] != 0 or plans.lots[LOT_GAIN, lot] != 0:
                found |= LOTS_RULE
            continue
        lots += 1
        if part < 0 or part > quantity:
            found |= LOTS_RULE
            continue
        if inputs.instruments[NO_SELL, i] != 0 or inputs.lots[KEPT, lot] != 0:
            found |= NO_SELL_RULE
        money, basis = plans.lots[PROCEEDS, lot], plans.lots[SOLD_BASIS, lot]
        if abs(money * cent - part * price) > slack * cent:
            found |= GAIN_AND_TAX_RULE
        # basis / 100 ≈ basis_total · part / quantity, to the cent.
        if basis_scale >= 2 and not is_near(basis, basis_one * quantity, inputs.lots[BASIS, lot], part, ONE_CENT):
            found |= GAIN_AND_TAX_RULE
        won = plans.lots[LOT_GAIN, lot]
        owed = plans.lots[LOT_TAX, lot]
        if (
            won != money - basis
            or (owed != 0 and (owed > 0) != (won > 0))
            or (alone and not is_near(abs(owed), RATE_ONE, abs(won), inputs.lots[RATE, lot], ONE_CENT))
            or abs(owed) > abs(won)
        ):
            found |= GAIN_AND_TAX_RULE
        sold, proceeds, gain, tax = sold + part, proceeds + money, gain + won, tax + owed
    if steps < 0:
        if sold != units or proceeds != value:
            found |= LOTS_RULE
        if inputs.instruments[NO_SELL, i] != 0:
            found |= NO_SELL_RULE
    elif lots > 0:
        found |= LOTS_RULE
    if gain != plans.instruments[GAIN, i] or tax != plans.instruments[TAX, i]:
        found |= GAIN_AND_TAX_RULE
    if steps > 0 and inputs.instruments[NO_BUY, i] != 0:
        found |= NO_BUY_RULE
    # What cannot be sold in whole increments is left behind, so the position is emptied when less than one is left.
    emptied = steps < 0 and held - units < increment
    if worth < inputs.instruments[MINIMUM, i] and not emptied:
        found |= MINIMUM_RULE
    return found


@within
def loses(inputs: Inputs, account: int, i: int, lot: int) -> bool:
    """Return whether a lot's price is below its basis: quantity · price · 10^basis scale < basis · 10^value scale."""
    worth = inputs.lots[QUANTITY, lot] * inputs.instruments[PRICE, i]
    of_basis, of_worth = ten_to(inputs.accounts[account, VALUE_SCALE]), ten_to(inputs.accounts[account, BASIS_SCALE])
    return exceeds(inputs.lots[BASIS, lot], of_basis, worth, of_worth)


@part
def washes(inputs: Inputs, plans: Plans, account: int) -> bool:
    """Return whether a loss is sold and what is identical to it bought in one plan."""
    i0, i1 = inputs.instrument_at[account], inputs.instrument_at[account + 1]
    for i in range(i0, i1):
        if plans.instruments[STEPS, i] >= 0:
            continue
        at_loss = False
        for lot in range(inputs.lot_at[i], inputs.lot_at[i + 1]):
            if plans.lots[SOLD_QUANTITY, lot] > 0 and loses(inputs, account, i, lot):
                at_loss = True
        if at_loss:
            for other in range(i0, i1):
                same = inputs.instruments[IDENTICAL, other] == inputs.instruments[IDENTICAL, i]
                if same and plans.instruments[STEPS, other] > 0:
                    return True
    return False


@part
def owes_together(inputs: Inputs, plans: Plans, account: int) -> bool:
    """Return whether the lots' taxes sum, but for a cent each, to the least of the tax's pieces at their net gains."""
    first, last = inputs.piece_at[account], inputs.piece_at[account + 1]
    if first == last:
        return True
    i0, i1 = inputs.instrument_at[account], inputs.instrument_at[account + 1]
    short = other = told = lots = 0
    for lot in range(inputs.lot_at[i0], inputs.lot_at[i1]):
        gain = plans.lots[LOT_GAIN, lot]
        told += plans.lots[LOT_TAX, lot]
        lots += 1 if plans.lots[SOLD_QUANTITY, lot] != 0 else 0
        if inputs.lots[CHARACTER, lot] == SHORT:
            short += gain
        else:
            other += gain
    least = np.inf
    for piece in range(first, last):
        own = inputs.pieces[piece]
        bent = max(own[HINGE_SHORT] * short + own[HINGE_LONG] * other - 100.0 * own[ABOVE], 0.0)
        value = 100.0 * own[CONSTANT] + own[OF_SHORT] * short + own[OF_LONG] * other + own[BENT_BY] * bent
        least = min(least, value)
    near: bool = abs(told - least) <= lots + 1e-9 * (abs(short) + abs(other))
    return near


@part
def check_plan(inputs: Inputs, plans: Plans, account: int) -> int:  # noqa: C901 - one rule after the other
    """Return the bits of every rule that an account's plan breaks; 0 when it may be released."""
    i0, i1 = inputs.instrument_at[account], inputs.instrument_at[account + 1]
    own = inputs.accounts[account]
    cent = ten_to(own[VALUE_SCALE] - 2)
    found = 0
    mix = own[MONEY] - own[WITHDRAWAL]
    cash = own[MONEY]
    traded = gain = 0
    for i in range(i0, i1):
        held = inputs.instruments[AWAY, i]
        for lot in range(inputs.lot_at[i], inputs.lot_at[i + 1]):
            held += inputs.lots[QUANTITY, lot] * inputs.instruments[PRICE, i]
        mix += held
        steps = plans.instruments[STEPS, i]
        if steps == 0:
            for lot in range(inputs.lot_at[i], inputs.lot_at[i + 1]):
                if plans.lots[SOLD_QUANTITY, lot] != 0:
                    found |= LOTS_RULE
            continue
        found |= check_trade(inputs, plans, account, i, cent)
        value = plans.instruments[VALUE, i]
        cash -= (value if steps > 0 else -value) * cent
        cash -= (plans.instruments[SPREAD, i] + plans.instruments[PAID_COMMISSION, i]) * cent
        cash -= plans.instruments[IMPACT, i] * cent
        traded += value * cent
        gain += plans.instruments[GAIN, i] * cent
    left = cash - own[WITHDRAWAL]
    if left < own[FLOOR] or (left < 0 or exceeds(own[FLOOR_WEIGHT], mix, left, WEIGHT_ONE)):
        found |= CASH_FLOOR_RULE
    if own[TURNOVER_LIMIT] != NONE and exceeds(traded, WEIGHT_ONE, own[TURNOVER_LIMIT], mix):
        found |= TURNOVER_RULE
    if own[TAXABLE] != 0 and own[BUDGET_LEFT] != NONE and gain > own[BUDGET_LEFT]:
        found |= GAIN_BUDGET_RULE
    if own[TAXABLE] != 0 and washes(inputs, plans, account):
        found |= TAX_RULE
    if not owes_together(inputs, plans, account):
        found |= GAIN_AND_TAX_RULE
    for i in range(i0, i1):
        limit = inputs.instruments[WEIGHT_MAX, i]
        if plans.instruments[STEPS, i] > 0 and limit != NONE:
            # Half a cent is the rounding of the trade's own value.
            over = value_after(inputs, plans, i, cent) - cent // 2
            if over > 0 and exceeds(over, WEIGHT_ONE, limit, mix):
                found |= WEIGHT_MAX_RULE
    for g in range(inputs.group_at[account], inputs.group_at[account + 1]):
        value = 0
        for i in range(i0, i1):
            if inputs.member[inputs.member_at[g] + i - i0] > 0.0:
                value += value_after(inputs, plans, i, cent)
        if exceeds(inputs.groups[g, 0], mix, value, WEIGHT_ONE):
            found |= GROUP_MIN_RULE
        if exceeds(value, WEIGHT_ONE, inputs.groups[g, 1], mix):
            found |= GROUP_MAX_RULE
    return found


@within
def value_after(inputs: Inputs, plans: Plans, i: int, cent: int) -> int:
    """Return what is held of an instrument after the plan, in units of money."""
    held = inputs.instruments[AWAY, i]
    for lot in range(inputs.lot_at[i], inputs.lot_at[i + 1]):
        held += inputs.lots[QUANTITY, lot] * inputs.instruments[PRICE, i]
    value: int = plans.instruments[VALUE, i] * cent
    after: int = held + value if plans.instruments[STEPS, i] > 0 else held - value
    return after
