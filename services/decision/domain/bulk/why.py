"""Why these trades: the figures of `explanation` and `binding` for one account, compiled, as columns.

A trade's benefit is measured by leaving it out. What that changes in the deviation follows from the slope and the
curvature of risk at the plan, so it costs no more than reading the trade.
"""

import numpy as np

from services.decision.domain.batch_certificate import exposed
from services.decision.domain.bulk.columns import (
    AIM,
    BENEFIT,
    BOUGHT,
    BUDGET_LEFT,
    BUDGET_PRICE,
    BUY_WORTH,
    BY_CASH_FLOOR,
    BY_GAIN_BUDGET,
    BY_GROUP_MAX,
    BY_GROUP_MIN,
    CASH_AFTER,
    CASH_BEFORE,
    CHARACTER,
    COST,
    COST_AFTER,
    DEVIATION_AFTER,
    DEVIATION_BEFORE,
    DRIFT_AFTER,
    DRIFT_BEFORE,
    DRIFT_MAX_AFTER,
    DRIFT_MAX_BEFORE,
    ERROR_AFTER,
    ERROR_BEFORE,
    FLOOR_PRICE,
    GAIN,
    GAIN_LONG,
    GAIN_SHORT,
    IDLE_AFTER,
    IDLE_BEFORE,
    IMPACT,
    KEPT,
    LONG,
    LOT_GAIN,
    LOT_TAX,
    MIX_VALUE,
    MONEY,
    NET,
    NO_BUY,
    NO_SELL,
    NONE,
    NOTHING,
    OUTSIDE_AFTER,
    OUTSIDE_BEFORE,
    PAID_COMMISSION,
    PROCEEDS,
    REQUIRED_BY,
    RISK,
    SELL_WORTH,
    SHORT,
    SOLD,
    SPREAD,
    STEPS,
    TAX_AFTER,
    TAX_REALIZED,
    TAX_SAVED,
    TURNOVER,
    TURNOVER_LIMIT,
    TURNOVER_PRICE,
    VALUE,
    WEIGHT_AFTER,
    WEIGHT_BEFORE,
    WEIGHT_MAX,
    WEIGHT_ONE,
    WITHDRAWAL,
    Inputs,
    Plans,
)
from services.decision.domain.bulk.exact import rounded_by, rounded_over, whole
from services.decision.domain.bulk.layout import counted_gain, tax_counted
from services.decision.domain.compiling import part, within
from services.decision.domain.convex import BPS_PER_ONE, Floats
from services.decision.domain.kernel.arrays import (
    BAND,
    BAND_PRICE,
    BUY_CAP,
    CASH_CEILING,
    COST_PRICE,
    FREE_CASH,
    VARIANCE,
    Batch,
    Integers,
)
from services.decision.domain.kernel.arrays import COST as COST_RATE
from services.decision.domain.kernel.arrays import GAIN as GAIN_RATE
from services.decision.domain.kernel.arrays import IMPACT as IMPACT_RATE
from services.decision.domain.kernel.arrays import RISK as RISK_PRICE
from services.decision.domain.kernel.arrays import TAX as TAX_PRICE

# Units of kept figures: weights and prices in millionths, basis points in hundredths.
MILLION = 1_000_000
# A limit whose relaxation is worth less than a basis point of what it is relaxed by is not mentioned.
SHOWN_MIN = 100


@within
def kept_price(price_bps: float) -> int:
    """Return the price of a limit, in basis points per weight, as it is kept: in millionths; 0 when not mentioned."""
    price = whole(np.rint(min(price_bps, 1e12) / BPS_PER_ONE * MILLION))
    return price if price >= SHOWN_MIN else 0


@part
def tell_account(inputs: Inputs, plans: Plans, account: int, held: Integers, mix: int, cent: int) -> None:
    """Fill in the account before and after its trades, in exact figures."""
    i0, i1 = inputs.instrument_at[account], inputs.instrument_at[account + 1]
    own, told = inputs.accounts[account], plans.accounts[account]
    bought = sold = cost = 0
    before = after = 0.0
    most_before = most_after = 0.0
    aimed = 0
    for i in range(i0, i1):
        steps, value = plans.instruments[STEPS, i], plans.instruments[VALUE, i]
        signed = value if steps > 0 else -value
        if steps > 0:
            bought += value
        elif steps < 0:
            sold += value
        cost += plans.instruments[SPREAD, i] + plans.instruments[PAID_COMMISSION, i] + plans.instruments[IMPACT, i]
        aim = inputs.instruments[AIM, i]
        aimed += aim
        now, then = held[i - i0], held[i - i0] + signed * cent
        plans.instruments[WEIGHT_BEFORE, i] = rounded_over(now, MILLION, mix)
        plans.instruments[WEIGHT_AFTER, i] = rounded_over(then, MILLION, mix)
        away = abs(np.float64(now) / np.float64(mix) - aim / WEIGHT_ONE)
        before, most_before = before + away, max(most_before, away)
        away = abs(np.float64(then) / np.float64(mix) - aim / WEIGHT_ONE)
        after, most_after = after + away, max(most_after, away)
    rest = (WEIGHT_ONE - aimed) / WEIGHT_ONE
    cash = own[MONEY] - own[WITHDRAWAL]
    away = abs(np.float64(cash) / np.float64(mix) - rest)
    before, most_before = before + away, max(most_before, away)
    away = abs(np.float64(cash + (sold - bought) * cent) / np.float64(mix) - rest)
    after, most_after = after + away, max(most_after, away)
    told[MIX_VALUE] = rounded_by(mix, cent)
    told[DRIFT_BEFORE] = whole(np.rint(0.5 * before * MILLION))
    told[DRIFT_AFTER] = whole(np.rint(0.5 * after * MILLION))
    told[DRIFT_MAX_BEFORE] = whole(np.rint(most_before * MILLION))
    told[DRIFT_MAX_AFTER] = whole(np.rint(most_after * MILLION))
    told[CASH_BEFORE] = rounded_by(own[MONEY], cent)
    told[CASH_AFTER] = rounded_by(own[MONEY] + (sold - bought - cost) * cent, cent)
    told[BOUGHT], told[SOLD], told[COST] = bought, sold, cost
    told[TURNOVER] = rounded_over((bought + sold) * cent, MILLION, mix)
    short = long = realized = saved = 0
    for lot in range(inputs.lot_at[i0], inputs.lot_at[i1]):
        gain, tax = plans.lots[LOT_GAIN, lot], plans.lots[LOT_TAX, lot]
        if inputs.lots[CHARACTER, lot] == SHORT:
            short += gain
        elif inputs.lots[CHARACTER, lot] == LONG:
            long += gain
        if tax > 0:
            realized += tax
        else:
            saved -= tax
    told[GAIN_SHORT], told[GAIN_LONG], told[TAX_REALIZED], told[TAX_SAVED] = short, long, realized, saved


@part
def net_gains(
    inputs: Inputs, plans: Plans, b: Batch, account: int, first: int, last: int, cent: int, mix: int
) -> tuple[float, float]:
    """Return what the sales of instruments gain short-term and long-term, over the mix value, as it counts."""
    short = long = 0.0
    for lot in range(inputs.lot_at[first], inputs.lot_at[last]):
        sold = np.float64(plans.lots[PROCEEDS, lot] * cent) / np.float64(mix)
        if inputs.lots[CHARACTER, lot] == SHORT:
            short += sold * counted_gain(inputs, b, account, lot)
        else:
            long += sold * counted_gain(inputs, b, account, lot)
    return short, long


@part
def tell_trades(
    inputs: Inputs, plans: Plans, b: Batch, account: int, y: Floats, cent: int, mix: int, room: Floats, factor: Floats
) -> None:
    """Fill in what each trade gains and costs.

    Args:
        inputs: What was decided on.
        plans: Its trades are filled in.
        b: The kernel's arrays.
        account: Which.
        y: Prices of the limits.
        cent: In units of money.
        mix: The account's value, in units of money.
        room: As `added_up` left it at the plan's trades: deviations in row 1; row 2 is used.
        factor: As `added_up` left it.
    """
    i0, i1 = inputs.instrument_at[account], inputs.instrument_at[account + 1]
    k = b.exposures.shape[1]
    risk, band_price = b.accounts[account, RISK_PRICE], b.accounts[account, BAND_PRICE]
    ceiling = b.accounts[account, CASH_CEILING]
    money = np.float64(mix) / np.float64(cent) / BPS_PER_ONE
    variance = 0.0
    for f in range(k):
        variance += factor[f] * factor[f]
    cash = b.accounts[account, FREE_CASH]
    for i in range(i0, i1):
        d = room[1, i - i0]
        variance += b.instruments[VARIANCE, i] * d * d
        change = room[3, i - i0] - room[0, i - i0]
        cash -= change + b.instruments[COST_RATE, i] * abs(change)
    error = np.sqrt(variance)
    together = inputs.piece_at[account + 1] > inputs.piece_at[account]
    short, long = net_gains(inputs, plans, b, account, i0, i1, cent, mix)
    owed = tax_counted(inputs, account, short, long, mix) if together else 0.0
    g0, groups = inputs.group_at[account], inputs.group_at[account + 1] - inputs.group_at[account]
    for i in range(i0, i1):
        steps = plans.instruments[STEPS, i]
        if steps == 0:
            continue
        line = b.exposures[b.exposure_at[i]]
        d = room[1, i - i0]
        slope, bent = b.instruments[VARIANCE, i] * d, b.instruments[VARIANCE, i]
        for f in range(k):
            slope += line[f] * factor[f]
            bent += line[f] * line[f]
        by = room[3, i - i0] - room[0, i - i0]
        more = bent * by * by - 2.0 * slope * by
        off = max(abs(d - by) - b.instruments[BAND, i], 0.0) - max(abs(d) - b.instruments[BAND, i], 0.0)
        spare = cash + by + b.instruments[COST_RATE, i] * abs(by)
        idle = max(spare - ceiling, 0.0) - max(cash - ceiling, 0.0)
        benefit = whole(np.rint((0.5 * risk * more + band_price * (off + idle)) * money))
        tax = 0.0
        for lot in range(inputs.lot_at[i], inputs.lot_at[i + 1]):
            tax += np.float64(plans.lots[PROCEEDS, lot] * cent) / np.float64(mix) * b.lots[TAX_PRICE, lot]
        if together:
            own_short, own_long = net_gains(inputs, plans, b, account, i, i + 1, cent, mix)
            tax = owed - tax_counted(inputs, account, short - own_short, long - own_long, mix)
        counted = whole(np.rint(tax * money))
        cost = plans.instruments[SPREAD, i] + plans.instruments[PAID_COMMISSION, i] + plans.instruments[IMPACT, i]
        weighted = whole(np.rint(b.accounts[account, COST_PRICE] / BPS_PER_ONE * cost))
        plans.instruments[BENEFIT, i] = benefit
        plans.instruments[NET, i] = benefit - weighted - counted
        without = np.sqrt(max(variance + more, 0.0))
        plans.instruments[RISK, i] = whole(np.rint((without - error) * BPS_PER_ONE * 100.0))
        required = NOTHING
        if plans.instruments[NET, i] < 0:
            most = 0.0
            # Of equals the last by name.
            gain = np.float64(plans.instruments[GAIN, i] * cent) / np.float64(mix)
            helped = -by * y[0] if plans.accounts[account, FLOOR_PRICE] > 0 else 0.0
            if helped > most:
                most, required = helped, BY_CASH_FLOOR
            helped = -gain * y[3] if plans.accounts[account, BUDGET_PRICE] > 0 else 0.0
            if helped > most:
                most, required = helped, BY_GAIN_BUDGET
            low = high = 0.0
            for g in range(groups):
                member = inputs.member[inputs.member_at[g0 + g] + i - i0]
                low += member * y[5 + g] if plans.groups[g0 + g, 0] > 0 else 0.0
                high += member * y[5 + groups + g] if plans.groups[g0 + g, 1] > 0 else 0.0
            if -by * high > most:
                most, required = -by * high, BY_GROUP_MAX
            if by * low > most:
                most, required = by * low, BY_GROUP_MIN
        plans.instruments[REQUIRED_BY, i] = required


@part
def tell_limits(inputs: Inputs, plans: Plans, b: Batch, account: int, y: Floats, room: Floats) -> None:
    """Fill in what the limits that hold the plan back are worth, as `binding_constraints` does.

    Args:
        inputs: What was decided on.
        plans: What is told.
        b: The kernel's arrays.
        account: Which.
        y: Prices of the limits.
        room: As `bound_below` left it at the solution: what is sold, deviations, pulls, what is bought.
    """
    i0, i1 = inputs.instrument_at[account], inputs.instrument_at[account + 1]
    told = plans.accounts[account]
    g0, groups = inputs.group_at[account], inputs.group_at[account + 1] - inputs.group_at[account]
    told[FLOOR_PRICE] = kept_price(y[0])
    told[TURNOVER_PRICE] = kept_price(y[2]) if inputs.accounts[account, TURNOVER_LIMIT] != NONE else 0
    told[BUDGET_PRICE] = kept_price(y[3]) if inputs.accounts[account, BUDGET_LEFT] != NONE else 0
    for g in range(groups):
        plans.groups[g0 + g, 0] = kept_price(y[5 + g])
        plans.groups[g0 + g, 1] = kept_price(y[5 + groups + g])
    risk, band_price = b.accounts[account, RISK_PRICE], b.accounts[account, BAND_PRICE]
    own_price = b.accounts[account, COST_PRICE]
    cash, ceiling = max(y[0], 0.0), min(max(y[1], 0.0), band_price)
    turnover, gains = max(y[2], 0.0), max(y[3], 0.0)
    for i in range(i0, i1):
        d = room[1, i - i0]
        there = room[2, i - i0] + risk * b.instruments[VARIANCE, i] * d
        if abs(d) > b.instruments[BAND, i]:
            there += band_price if d > 0.0 else -band_price
        spread = (own_price + cash - ceiling) * b.instruments[COST_RATE, i] + turnover
        bend = 1.5 * (own_price + cash) * b.instruments[IMPACT_RATE, i]
        bought = room[3, i - i0]
        capped = inputs.instruments[WEIGHT_MAX, i] != NONE and bought >= b.instruments[BUY_CAP, i]
        worth = 0
        if inputs.instruments[NO_BUY, i] != 0 or capped:
            buy = spread + bend * np.sqrt(max(bought, 0.0)) + cash - ceiling
            worth = kept_price(-(buy + there))
        plans.instruments[BUY_WORTH, i] = worth
        most = -np.inf
        for lot in range(inputs.lot_at[i], inputs.lot_at[i + 1]):
            if inputs.instruments[NO_SELL, i] != 0 or inputs.lots[KEPT, lot] != 0:
                sell = spread + bend * np.sqrt(max(room[0, i - i0], 0.0)) - cash + ceiling
                sell += b.lots[TAX_PRICE, lot] + gains * b.lots[GAIN_RATE, lot]
                most = max(most, there - sell)
        plans.instruments[SELL_WORTH, i] = kept_price(most) if most > 0.0 else 0


@part
def tell_risk(plans: Plans, b: Batch, account: int, room: Floats, factor: Floats, after: bool) -> None:
    """Fill in the yearly tracking error where row 1 of `room` stands, and what the deviations there cost."""
    variance = exposed(b, account, room, factor)
    i0 = b.instrument_at[account]
    outside = 0.0
    cash = b.accounts[account, FREE_CASH]
    for i in range(i0, b.instrument_at[account + 1]):
        d = room[1, i - i0]
        variance += b.instruments[VARIANCE, i] * d * d
        outside += max(abs(d) - b.instruments[BAND, i], 0.0)
        change = room[3, i - i0] - room[0, i - i0]
        cash -= change + b.instruments[COST_RATE, i] * abs(change)
    band_price = b.accounts[account, BAND_PRICE]
    deviation = whole(np.rint(0.5 * b.accounts[account, RISK_PRICE] * variance * MILLION))
    beyond = whole(np.rint(band_price * outside * MILLION))
    idle = whole(np.rint(band_price * max(cash - b.accounts[account, CASH_CEILING], 0.0) * MILLION))
    error = whole(np.rint(np.sqrt(variance) * BPS_PER_ONE * 100.0))
    told = plans.accounts[account]
    if after:
        told[ERROR_AFTER], told[DEVIATION_AFTER], told[OUTSIDE_AFTER], told[IDLE_AFTER] = error, deviation, beyond, idle
    else:
        told[ERROR_BEFORE], told[DEVIATION_BEFORE], told[OUTSIDE_BEFORE], told[IDLE_BEFORE] = (
            error,
            deviation,
            beyond,
            idle,
        )


@part
def tell_paid(
    inputs: Inputs, plans: Plans, b: Batch, account: int, sold: Floats, once: float, mix: int, cent: int, room: Floats
) -> None:
    """Fill in what cost and tax of the trades count in the objective.

    `once` is what commissions of each trade count, and `room` as `added_up` left it at the plan's trades.
    """
    i0, i1 = inputs.instrument_at[account], inputs.instrument_at[account + 1]
    told = plans.accounts[account]
    rated = 0.0
    for i in range(i0, i1):
        amount = room[0, i - i0] + room[3, i - i0]
        rated += b.instruments[COST_RATE, i] * amount + b.instruments[IMPACT_RATE, i] * amount * np.sqrt(amount)
    cost = once + b.accounts[account, COST_PRICE] * rated
    tax = 0.0
    base = inputs.lot_at[i0]
    for lot in range(base, inputs.lot_at[i1]):
        tax += b.lots[TAX_PRICE, lot] * sold[lot - base]
    if inputs.piece_at[account + 1] > inputs.piece_at[account]:
        short, long = net_gains(inputs, plans, b, account, i0, i1, cent, mix)
        tax = tax_counted(inputs, account, short, long, mix)
    told[COST_AFTER], told[TAX_AFTER] = whole(np.rint(cost * MILLION)), whole(np.rint(tax * MILLION))
