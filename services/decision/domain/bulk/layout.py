"""From exact columns to the arrays that the kernel solves: what `convex.enter` does for one account, compiled.

And the exact questions that come before: is anything too large for 64 bits, and does anything ask for a rebalance?
"""

import numpy as np

from services.decision.domain.bulk.columns import (
    ABOVE,
    AIM,
    ASKED,
    AVERSION,
    AWAY,
    BASIS,
    BASIS_SCALE,
    BENT_BY,
    BPS_ONE,
    BUDGET_LEFT,
    BY_CEILING,
    BY_DRIFT,
    BY_FLOOR,
    BY_FLOW,
    BY_REQUEST,
    CEILING_WEIGHT,
    CHARACTER,
    COMMISSION_BPS,
    CONSTANT,
    COST_WEIGHT,
    CREDIT_WEIGHT,
    DESTINATION,
    EXCESS_PRICE,
    FLOOR,
    FLOOR_WEIGHT,
    FLOW,
    HINGE_LONG,
    HINGE_SHORT,
    IDENTICAL,
    IMPACT_COEFFICIENT,
    KEPT,
    MONEY,
    NO_BUY,
    NO_SELL,
    NONE,
    OF_LONG,
    OF_SHORT,
    OUTER,
    PRICE,
    QUANTITY,
    RATE,
    RATE_ONE,
    RISK_ROW,
    SHORT,
    SPREAD_BPS,
    TAX_WEIGHT,
    TAXABLE,
    TURNOVER_LIMIT,
    VALUE_SCALE,
    WEIGHT_MAX,
    WEIGHT_ONE,
    WITHDRAWAL,
    Inputs,
)
from services.decision.domain.bulk.exact import ceiling_over, floor_over
from services.decision.domain.compiling import part, within
from services.decision.domain.convex import BPS_PER_ONE, NO_LIMIT
from services.decision.domain.kernel.arrays import (
    ACCOUNT_COLUMNS,
    BAND,
    BAND_PRICE,
    BUY_CAP,
    CAP,
    CASH_CEILING,
    CASH_FLOOR,
    COST,
    COST_PRICE,
    FREE_CASH,
    GAIN,
    GAIN_BUDGET,
    HINGE_ABOVE,
    HINGE_PRICE,
    HINGED,
    IMPACT,
    INSTRUMENT_ROWS,
    LEAST,
    LOT_ROWS,
    MOST,
    RISK,
    START,
    TARGET,
    TAX,
    TAX_CONSTANT,
    TURNOVER_MAX,
    VARIANCE,
    Batch,
    Integers,
)

# Amounts of money are below this many units: sums of four still fit 63 bits, and products with weights 110.
AMOUNT_MAX = 2.0**59
# Per unit of weight: a gain below it may be a loss, which is then asked exactly.
NO_GAIN = 1e-9


def room_for_batch(inputs: Inputs) -> Batch:
    """Return the kernel's arrays for accounts, to be filled in by `lay_out_account`."""
    return Batch(
        instrument_at=inputs.instrument_at,
        lot_at=inputs.lot_at,
        group_at=inputs.group_at,
        member_at=inputs.member_at,
        member=inputs.member,
        accounts=np.zeros((len(inputs.accounts), ACCOUNT_COLUMNS)),
        instruments=np.zeros((INSTRUMENT_ROWS, inputs.instruments.shape[1])),
        lots=np.zeros((LOT_ROWS, inputs.lots.shape[1])),
        groups=inputs.groups / WEIGHT_ONE,
        exposure_at=np.ascontiguousarray(inputs.instruments[RISK_ROW]),
        exposures=inputs.exposures,
    )


@within
def power_of_ten(exponent: int) -> int:
    """Return 10^exponent, exponent 0 to 18."""
    power = 1
    for _ in range(exponent):
        power *= 10
    return power


@part
def values_of(inputs: Inputs, account: int, held: Integers) -> int:
    """Fill in each instrument's value in the mix, in the account's units of money; return the mix's, or 0.

    It is 0 when the account is worth nothing, or when something is too large for 64 bits.
    """
    i0, i1 = inputs.instrument_at[account], inputs.instrument_at[account + 1]
    total = np.float64(abs(inputs.accounts[account, MONEY])) + np.float64(inputs.accounts[account, WITHDRAWAL])
    mix = inputs.accounts[account, MONEY] - inputs.accounts[account, WITHDRAWAL]
    for i in range(i0, i1):
        quantity = 0
        for lot in range(inputs.lot_at[i], inputs.lot_at[i + 1]):
            quantity += inputs.lots[QUANTITY, lot]
        total += np.float64(quantity) * np.float64(inputs.instruments[PRICE, i])
        total += np.float64(inputs.instruments[AWAY, i])
        if total > AMOUNT_MAX:
            return 0
        held[i - i0] = quantity * inputs.instruments[PRICE, i] + inputs.instruments[AWAY, i]
        mix += held[i - i0]
    value: int = max(mix, 0)
    return value


@within
def floor_of(inputs: Inputs, account: int, mix: int) -> int:
    """Return the least cash after the plan, the withdrawal included, rounded up to a unit of money."""
    least = ceiling_over(inputs.accounts[account, FLOOR_WEIGHT], mix, WEIGHT_ONE)
    floor: int = max(inputs.accounts[account, FLOOR], least) + inputs.accounts[account, WITHDRAWAL]
    return floor


@part
def asked_by(inputs: Inputs, account: int, held: Integers, mix: int) -> int:
    """Return the bits of what asks for a rebalance, exactly; see `triggers`."""
    i0, i1 = inputs.instrument_at[account], inputs.instrument_at[account + 1]
    cash = inputs.accounts[account, MONEY]
    found = 0
    for i in range(i0, i1):
        # |held / mix − target| > trigger, in whole units: held beyond what the edge allows.
        over = inputs.instruments[AIM, i] + inputs.instruments[OUTER, i]
        under = inputs.instruments[AIM, i] - inputs.instruments[OUTER, i]
        most, _ = floor_over(over, mix, WEIGHT_ONE)
        if held[i - i0] > most or held[i - i0] < ceiling_over(under, mix, WEIGHT_ONE):
            found |= BY_DRIFT
            break
    ceiling, _ = floor_over(inputs.accounts[account, CEILING_WEIGHT], mix, WEIGHT_ONE)
    if cash < floor_of(inputs, account, mix):
        found |= BY_FLOOR
    elif cash > ceiling + inputs.accounts[account, WITHDRAWAL]:
        found |= BY_CEILING
    if inputs.accounts[account, FLOW] != 0:
        found |= BY_FLOW
    if inputs.accounts[account, ASKED] != 0:
        found |= BY_REQUEST
    return found


@within
def at_loss(inputs: Inputs, account: int, i: int, lot: int) -> bool:
    """Return whether a lot's price is below its basis, exactly."""
    basis = power_of_ten(inputs.accounts[account, BASIS_SCALE])
    whole, left = floor_over(inputs.lots[BASIS, lot], power_of_ten(inputs.accounts[account, VALUE_SCALE]), basis)
    worth = inputs.lots[QUANTITY, lot] * inputs.instruments[PRICE, i]
    return worth < whole or (worth == whole and left > 0)


@part
def lay_out_account(inputs: Inputs, volatility: np.ndarray, b: Batch, account: int, held: Integers, mix: int) -> None:
    """Fill in one account's rows of the kernel's arrays; symbols and units as there."""
    i0, i1 = inputs.instrument_at[account], inputs.instrument_at[account + 1]
    own, goals = inputs.accounts[account], inputs.objectives[account]
    one = np.float64(power_of_ten(own[VALUE_SCALE]))
    scale = 1.0 / np.float64(mix)
    floor = floor_of(inputs, account, mix)
    ceiling = own[CEILING_WEIGHT] / WEIGHT_ONE + np.float64(own[WITHDRAWAL]) * scale
    b.accounts[account, FREE_CASH] = np.float64(own[MONEY]) * scale
    b.accounts[account, CASH_FLOOR] = np.float64(floor) * scale
    b.accounts[account, CASH_CEILING] = max(ceiling, np.float64(floor) * scale)
    limit, budget = own[TURNOVER_LIMIT], own[BUDGET_LEFT]
    together = 0
    for i in range(i0, i1):
        together += held[i - i0]
    # As `convex.no_limit` says.
    unlimited = NO_LIMIT * max(1.0, np.float64(together) * scale)
    b.accounts[account, TURNOVER_MAX] = unlimited if limit == NONE else min(limit / WEIGHT_ONE, unlimited)
    b.accounts[account, GAIN_BUDGET] = unlimited if budget == NONE else min(np.float64(budget) * scale, unlimited)
    b.accounts[account, BAND_PRICE] = BPS_PER_ONE * goals[EXCESS_PRICE]
    b.accounts[account, COST_PRICE] = BPS_PER_ONE * goals[COST_WEIGHT]
    b.accounts[account, RISK] = BPS_PER_ONE * goals[AVERSION]
    root = np.sqrt(np.float64(mix) / one)
    basis_one = 1.0 / np.float64(power_of_ten(own[BASIS_SCALE]))
    for i in range(i0, i1):
        row = inputs.instruments[RISK_ROW, i]
        start = np.float64(held[i - i0]) * scale
        b.instruments[START, i] = start
        b.instruments[TARGET, i] = inputs.instruments[AIM, i] / WEIGHT_ONE
        b.instruments[VARIANCE, i] = inputs.specific_variance[row]
        b.instruments[BAND, i] = inputs.instruments[DESTINATION, i] / WEIGHT_ONE
        bps = 0.5 * inputs.instruments[SPREAD_BPS, i] + inputs.instruments[COMMISSION_BPS, i]
        b.instruments[COST, i] = bps / (BPS_ONE * BPS_PER_ONE)
        volume = inputs.daily_value[i]
        b.instruments[IMPACT, i] = (
            goals[IMPACT_COEFFICIENT] * volatility[row] / np.sqrt(volume) * root if volume > 0.0 else 0.0
        )
        most = 1.0 if inputs.instruments[WEIGHT_MAX, i] == NONE else inputs.instruments[WEIGHT_MAX, i] / WEIGHT_ONE
        b.instruments[BUY_CAP, i] = 0.0 if inputs.instruments[NO_BUY, i] else max(most - start, 0.0)
        price = np.float64(inputs.instruments[PRICE, i])
        for lot in range(inputs.lot_at[i], inputs.lot_at[i + 1]):
            worth = np.float64(inputs.lots[QUANTITY, lot]) * price
            gain = 1.0 - np.float64(inputs.lots[BASIS, lot]) * basis_one / (worth / one)
            tax = gain * inputs.lots[RATE, lot] / RATE_ONE * goals[TAX_WEIGHT]
            if tax < 0.0:
                tax *= goals[CREDIT_WEIGHT]
            kept = inputs.instruments[NO_SELL, i] != 0 or inputs.lots[KEPT, lot] != 0
            b.lots[CAP, lot] = 0.0 if kept else worth * scale
            b.lots[TAX, lot] = BPS_PER_ONE * tax
            b.lots[GAIN, lot] = gain
    for g in range(inputs.group_at[account], inputs.group_at[account + 1]):
        b.groups[g, LEAST] = inputs.groups[g, 0] / WEIGHT_ONE
        b.groups[g, MOST] = inputs.groups[g, 1] / WEIGHT_ONE


@within
def counted_gain(inputs: Inputs, b: Batch, account: int, lot: int) -> float:
    """Return what of a lot's gain counts, per unit of weight."""
    gain: float = b.lots[GAIN, lot]
    return gain * inputs.objectives[account, CREDIT_WEIGHT] if gain < 0.0 else gain


@part
def lay_out_piece(inputs: Inputs, b: Batch, account: int, piece: int, mix: int) -> None:
    """Fill in the tax of an account's lots by one piece of it."""
    weight = BPS_PER_ONE * inputs.objectives[account, TAX_WEIGHT]
    scale = np.float64(power_of_ten(inputs.accounts[account, VALUE_SCALE])) / np.float64(mix)
    own = inputs.pieces[piece]
    b.accounts[account, TAX_CONSTANT] = weight * own[CONSTANT] * scale
    b.accounts[account, HINGE_PRICE] = weight * own[BENT_BY]
    b.accounts[account, HINGE_ABOVE] = own[ABOVE] * scale
    first, last = inputs.instrument_at[account], inputs.instrument_at[account + 1]
    for lot in range(inputs.lot_at[first], inputs.lot_at[last]):
        gain = counted_gain(inputs, b, account, lot)
        short = inputs.lots[CHARACTER, lot] == SHORT
        b.lots[TAX, lot] = weight * (own[OF_SHORT] if short else own[OF_LONG]) * gain
        b.lots[HINGED, lot] = (own[HINGE_SHORT] if short else own[HINGE_LONG]) * gain


@part
def settle_hinge(b: Batch, account: int, first: int, last: int, price: float) -> None:
    """Let lots cost what they do at a price of the hinge, which there is no more."""
    for lot in range(first, last):
        b.lots[TAX, lot] += price * b.lots[HINGED, lot]
        b.lots[HINGED, lot] = 0.0
    b.accounts[account, TAX_CONSTANT] = b.accounts[account, HINGE_PRICE] = b.accounts[account, HINGE_ABOVE] = 0.0


@part
def least_of_pieces(inputs: Inputs, account: int, short: float, long: float) -> float:
    """Return the tax of net gains, both in currency: the least of the account's pieces."""
    least: float = np.inf
    for piece in range(inputs.piece_at[account], inputs.piece_at[account + 1]):
        own = inputs.pieces[piece]
        over = own[HINGE_SHORT] * short + own[HINGE_LONG] * long - own[ABOVE]
        least = min(least, own[CONSTANT] + own[OF_SHORT] * short + own[OF_LONG] * long + own[BENT_BY] * max(over, 0.0))
    return least


@within
def tax_counted(inputs: Inputs, account: int, short: float, long: float, mix: int) -> float:
    """Return the tax of net gains as it counts in the objective, in basis points; gains are over the mix value."""
    one = np.float64(mix) / np.float64(power_of_ten(inputs.accounts[account, VALUE_SCALE]))
    weight = BPS_PER_ONE * inputs.objectives[account, TAX_WEIGHT]
    counted: float = weight * least_of_pieces(inputs, account, short * one, long * one) / one
    return counted


@part
def find_torn(
    inputs: Inputs, b: Batch, account: int, torn: np.ndarray, identity: Integers, sells: np.ndarray, alone: np.ndarray
) -> None:
    """Fill in what may go one way only, as `ConvexProblem.torn` says, and the first of those that are identical.

    `sells` and `alone` are room for as many flags as there are instruments.
    """
    i0, n = inputs.instrument_at[account], inputs.instrument_at[account + 1] - inputs.instrument_at[account]
    taxable, budgeted = inputs.accounts[account, TAXABLE] != 0, inputs.accounts[account, BUDGET_LEFT] != NONE
    for row in range(n):
        identity[row] = inputs.instruments[IDENTICAL, i0 + row]
        torn[row] = sells[row] = False
        alone[row] = True
    for row in range(n):
        if identity[row] != row:
            alone[row] = alone[identity[row]] = False
    if not taxable:
        return
    for row in range(n):
        i = i0 + row
        for lot in range(inputs.lot_at[i], inputs.lot_at[i + 1]):
            least = b.lots[TAX, lot] + min(b.accounts[account, HINGE_PRICE] * b.lots[HINGED, lot], 0.0)
            pays = least < 0.0 or budgeted or not alone[identity[row]]
            if pays and b.lots[CAP, lot] > 0.0 and b.lots[GAIN, lot] < NO_GAIN and at_loss(inputs, account, i, lot):
                sells[identity[row]] = True
                break
    for row in range(n):
        if b.instruments[BUY_CAP, i0 + row] > 0.0 and sells[identity[row]]:
            torn[identity[row]] = True
    for row in range(n):
        torn[row] = torn[identity[row]]
