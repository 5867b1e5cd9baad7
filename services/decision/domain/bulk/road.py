"""Decides a batch of accounts, one after the other, from columns to columns; all of it is compiled.

The steps are those of `decide`: ask the triggers; solve, searching for directions and minimum trades; round to what a
venue takes; check exactly; compare with doing nothing; certify; explain. An account that this code cannot answer is
marked OTHER_ROAD with the reason, and nothing is said of it. Accounts do not influence each other: the same account
gets the same plan in any batch.
"""

from typing import NamedTuple, cast

import numpy as np

from services.decision.domain.batch_certificate import added_up, bound_below
from services.decision.domain.bulk.check import check_plan
from services.decision.domain.bulk.columns import (
    ASKED_BY,
    AVERSION,
    BELOW_MINIMUM,
    BROKEN,
    CHARACTER,
    CHECK_FAILED,
    COMMISSION,
    CONVEX_GAP,
    DUAL,
    GAIN,
    HOLD,
    IMPACT,
    INCREMENT,
    LOT_GAIN,
    LOT_TAX,
    MINIMUM,
    NET_BENEFIT,
    NET_BENEFIT_MIN,
    NO_AVERSION,
    NO_PLAN,
    NO_TRADE,
    NODES,
    NOT_REACHED,
    NOT_WORTH_IT,
    OTHER_ROAD,
    OUTCOME,
    PAID_COMMISSION,
    PRICE,
    PRIMAL,
    PROCEEDS,
    QUANTITY,
    RATE,
    RATE_ONE,
    SHORT,
    SOLD_BASIS,
    SOLD_QUANTITY,
    SPREAD,
    STEPS,
    TAX,
    TOO_LARGE,
    TRADE,
    UNPROVEN,
    VALUE,
    VALUE_SCALE,
    WHY,
    WITHIN_BANDS,
    Inputs,
    Plans,
    room_for_plans,
)
from services.decision.domain.bulk.exact import rounded_by, rounded_over, whole
from services.decision.domain.bulk.layout import (
    asked_by,
    counted_gain,
    find_torn,
    lay_out_account,
    lay_out_piece,
    power_of_ten,
    room_for_batch,
    settle_hinge,
    tax_counted,
    values_of,
)
from services.decision.domain.bulk.sharing import share_tax
from services.decision.domain.bulk.trading import (
    CENT,
    IMPACT_RATE,
    NOW,
    Desk,
    basis_in_cents,
    begin_near,
    close_ways,
    cost_in_cents,
    desk_for,
    improve,
    mend,
    sit_down,
    value_in_cents,
)
from services.decision.domain.bulk.why import tell_account, tell_limits, tell_paid, tell_risk, tell_trades
from services.decision.domain.compiling import compiled, inlined, part
from services.decision.domain.convex import Floats
from services.decision.domain.costs import daily_volatility
from services.decision.domain.kernel.arrays import (
    BUY_CAP,
    CAP,
    COST_PRICE,
    HINGE_ABOVE,
    HINGE_PRICE,
    HINGED,
    START,
    TARGET,
    TAX_CONSTANT,
    Batch,
    Integers,
)
from services.decision.domain.kernel.arrays import TAX as TAX_PRICE
from services.decision.domain.kernel.newton import GROUPS, HINGE, Room, Z, room_for
from services.decision.domain.kernel.nodes import NONE as STANDS
from services.decision.domain.kernel.nodes import States, Tree, tree_for
from services.decision.domain.kernel.search import branch_and_bound

ITERATIONS_MAX = 200
# In basis points: two plans nearer than this are equals; see `rounding`.
EQUAL_BPS = 1e-6
# A search for directions and minimum trades ends when a plan is proven this near to the best, in basis points.
SEARCH_GAP_BPS = 1e-1
# Or this share of what the objective is without trades.
SEARCH_GAP_SHARE = 5e-4
# Nodes after which it ends unproven: some milliseconds for a small account, two thirds of a second for 500 names.
NODES_MAX = 1000
MILLION = 1e6
# A piece of the tax whose bound is better by less than this, in basis points, is not searched.
PIECE_BPS = 1e-2
# More than the corners that all pieces of a tax have.
BENDS_MAX = 64
# When the tracking error is told.
BEFORE, AFTER = cast(bool, np.bool_(False)), cast(bool, np.bool_(True))


class Work(NamedTuple):
    """Where one account is decided: everything that its steps share.

    Attributes:
        held: Value of each instrument in the mix, in units of money, shape (n,).
        flags: Room for two rows of flags, shape (2, n).
        room: For the certificate, shape (4, n); `factor` likewise, shape (k,); `order` of lots, shape (m,).
        sold: Weights sold of each lot, shape (m,); `bought` of each instrument, shape (n,).
        volatility: Of a day, of each row of the risk model.
        found: Prices, then what is sold of each lot and bought of each instrument, then trades at the root and at the
            end, of the best piece of the tax, shape (rows + m + 3 n,); `states` of its instruments, shape (n,).
        bends: Where the tax bends on the way to a plan, shape (64,).
        any_size: Zeros: trades of any size, shape (3, n).
    """

    held: Integers
    flags: np.ndarray
    room: Floats
    factor: Floats
    order: Integers
    sold: Floats
    bought: Floats
    volatility: Floats
    found: Floats
    states: States
    bends: Floats
    any_size: Floats


def decide_columns(inputs: Inputs, nodes_max: int = NODES_MAX, gap_bps: float = SEARCH_GAP_BPS) -> Plans:
    """Return the plans of accounts.

    Args:
        inputs: What they are decided on.
        nodes_max: Of the search in an account.
        gap_bps: So near to the best a plan must be proven to be for its search to end.
    """
    plans = room_for_plans(inputs)
    sizes = np.diff(inputs.instrument_at)
    instruments = int(sizes.max(initial=0))
    lots = int(np.diff(inputs.lot_at[inputs.instrument_at]).max(initial=0))
    groups = int(np.diff(inputs.group_at).max(initial=0))
    k = inputs.exposures.shape[1]
    rows = k + GROUPS + 2 * groups
    variance = inputs.specific_variance + (inputs.exposures**2).sum(axis=1)
    work = Work(
        np.zeros(instruments, dtype=np.int64),
        np.zeros((2, instruments), dtype=np.bool_),
        np.zeros((4, instruments)),
        np.zeros(k),
        np.zeros(lots, dtype=np.int64),
        np.zeros(lots),
        np.zeros(instruments),
        np.array([float(daily_volatility(float(each))) for each in variance], dtype=np.float64),
        np.zeros(rows + lots + 3 * instruments),
        np.zeros(instruments, dtype=np.int8),
        np.zeros(BENDS_MAX),
        np.zeros((3, instruments)),
    )
    room = room_for(instruments, lots, k, rows)
    tree, desk = tree_for(instruments, lots, k, rows), desk_for(instruments, lots, groups, k)
    batch = room_for_batch(inputs)
    _decide_range(inputs, batch, plans, 0, len(inputs.accounts), room, tree, desk, work, nodes_max, gap_bps)
    return plans


@compiled
def _decide_range(
    inputs: Inputs,
    b: Batch,
    plans: Plans,
    begin: int,
    end: int,
    room: Room,
    tree: Tree,
    desk: Desk,
    work: Work,
    nodes_max: int,
    gap_bps: float,
) -> None:
    for account in range(begin, end):
        why = decide_account(inputs, b, plans, account, room, tree, desk, work, nodes_max, gap_bps)
        if why >= TOO_LARGE:
            plans.accounts[account, OUTCOME], plans.accounts[account, WHY] = OTHER_ROAD, why


@inlined
def decide_account(  # noqa: C901 - the steps of one decision, in order
    inputs: Inputs,
    b: Batch,
    plans: Plans,
    account: int,
    room: Room,
    tree: Tree,
    desk: Desk,
    work: Work,
    nodes_max: int,
    gap_bps: float,
) -> int:
    """Decide one account and return why nothing is traded, or why this code does not answer; 0 when it trades."""
    i0, n = inputs.instrument_at[account], inputs.instrument_at[account + 1] - inputs.instrument_at[account]
    k = b.exposures.shape[1]
    told = plans.accounts[account]
    mix = values_of(inputs, account, work.held)
    if mix <= 0:
        return TOO_LARGE
    cent = power_of_ten(inputs.accounts[account, VALUE_SCALE] - 2)
    lay_out_account(inputs, work.volatility, b, account, work.held, mix)
    told[ASKED_BY] = asked_by(inputs, account, work.held, mix)
    standing = check_plan(inputs, plans, account)
    least_trades(inputs, b, account, mix, cent, tree.least)
    base, lots = inputs.lot_at[i0], inputs.lot_at[i0 + n] - inputs.lot_at[i0]
    for lot in range(lots):
        work.sold[lot] = 0.0
    for row in range(n):
        work.bought[row] = 0.0
        work.room[1, row] = b.instruments[START, i0 + row] - b.instruments[TARGET, i0 + row]
    rows = k + GROUPS + 2 * (inputs.group_at[account + 1] - inputs.group_at[account])
    for r in range(room.prices.shape[1]):
        tree.start[r] = 0.0
    first, last = inputs.piece_at[account], inputs.piece_at[account + 1]
    hold = 0.0
    dual = np.inf
    # Every piece bounds the account that is left alone; any of them says what that costs.
    for piece in range(first, last if told[ASKED_BY] == 0 and last > first else first + 1):
        if piece < last:
            lay_out_piece(inputs, b, account, piece, mix)
        hold, _ = added_up(b, account, work.sold[:lots], work.bought[:n], work.room, work.factor)
        if told[ASKED_BY] == 0:
            y = tree.start[k:rows]
            dual = min(dual, bound_below(b, account, y, work.room, work.factor, work.order, tree.least))
    # By any piece: what it has for doing nothing is no tax.
    hold -= b.accounts[account, TAX_CONSTANT]
    hold -= b.accounts[account, HINGE_PRICE] * max(-b.accounts[account, HINGE_ABOVE], 0.0)
    told[HOLD] = whole(np.rint(hold * MILLION))
    tell_risk(plans, b, account, work.room, work.factor, BEFORE)
    if told[ASKED_BY] == 0:
        return stay(inputs, plans, account, work, mix, cent, hold, dual, whole(WITHIN_BANDS))
    if inputs.objectives[account, AVERSION] <= 0.0:
        return NO_AVERSION

    gap = min(gap_bps, SEARCH_GAP_SHARE * abs(hold))
    best = dual = np.inf
    chosen = laid_out = first - 1
    for piece in range(first, max(last, first + 1)):
        if piece < last:
            lay_out_piece(inputs, b, account, piece, mix)
        laid_out = piece
        if chosen >= first:
            # At the prices, and from the trades, of the best piece so far.
            near = bound_at_best(b, account, work, rows, tree.least)
            if near >= best - PIECE_BPS:
                dual = min(dual, near)
                continue
        find_torn(inputs, b, account, tree.torn, tree.identity, work.flags[0], work.flags[1])
        tree.start[k + HINGE] = 0.0
        value, proven, nodes, found = branch_and_bound(b, account, room, tree, ITERATIONS_MAX, nodes_max, gap)
        told[NODES] += nodes
        if not found:
            return NOT_REACHED
        dual = min(dual, proven)
        if value < best or chosen < first:
            best, chosen = value, piece
            keep_found(b, account, room, tree, work, rows)
    if laid_out != chosen:
        lay_out_piece(inputs, b, account, chosen, mix)
        find_torn(inputs, b, account, tree.torn, tree.identity, work.flags[0], work.flags[1])
    take_found(b, account, room, tree, work, rows)
    y = room.prices[Z, k:rows]
    value, _ = added_up(b, account, room.sold[:lots], room.bought[:n], work.room, work.factor)
    near = bound_below(b, account, y, work.room, work.factor, work.order, work.any_size)
    told[UNPROVEN] = whole(np.rint((best - dual) * MILLION))
    told[CONVEX_GAP] = whole(np.rint((value - (near if told[NODES] == 1 else best)) * MILLION))
    settle_hinge(b, account, base, base + lots, min(max(y[4], 0.0), b.accounts[account, HINGE_PRICE]))
    tell_limits(inputs, plans, b, account, y, work.room)

    gains_price = y[3]
    sit_down(inputs, work.volatility, b, account, work.held, mix, gains_price, desk)
    close_ways(desk, tree.best, n)
    begin_near(inputs, b, account, work.held, desk, tree.net)
    kept = mend(inputs, b, account, work.held, desk)
    if not kept:
        # Without what was left out for being small there may be no way to keep the limits.
        for row in range(n):
            if tree.best[row] == STANDS and not tree.torn[row]:
                tree.best[row] = 0
        sit_down(inputs, work.volatility, b, account, work.held, mix, gains_price, desk)
        close_ways(desk, tree.best, n)
        begin_near(inputs, b, account, work.held, desk, tree.net)
        kept = mend(inputs, b, account, work.held, desk)
    if not kept:
        if standing != 0:
            return NO_PLAN
        return stay(inputs, plans, account, work, mix, cent, hold, dual, whole(BELOW_MINIMUM))
    improve(inputs, b, account, work.held, desk)
    trades = write_trades(inputs, plans, account, desk)
    share_tax(inputs, plans, account, work.bends)
    for lot in range(lots):
        work.sold[lot] = np.float64(plans.lots[PROCEEDS, base + lot] * cent) / np.float64(mix)
    for row in range(n):
        steps = plans.instruments[STEPS, i0 + row]
        worth = np.float64(plans.instruments[VALUE, i0 + row] * cent) / np.float64(mix)
        work.bought[row] = worth if steps > 0 else 0.0
    primal, _ = added_up(b, account, work.sold[:lots], work.bought[:n], work.room, work.factor)
    once = commissions(inputs, plans, b, account, mix, cent)
    primal += once
    primal += tax_beyond(inputs, b, account, work, mix)
    needed = 1e4 * np.float64(inputs.accounts[account, NET_BENEFIT_MIN]) / np.float64(mix) + EQUAL_BPS
    if standing == 0 and (trades == 0 or hold - primal < needed):
        forget_trades(inputs, plans, account)
        # When trades of any size do not beat doing nothing, nothing can; else it is increments and minimum trades.
        proven = hold - min(near, dual) < needed or trades > 0
        why = whole(NOT_WORTH_IT if proven else BELOW_MINIMUM)
        return stay(inputs, plans, account, work, mix, cent, hold, dual, why)
    told[BROKEN] = check_plan(inputs, plans, account)
    if told[BROKEN] != 0:
        return CHECK_FAILED
    told[OUTCOME] = TRADE
    told[PRIMAL], told[DUAL] = whole(np.rint(primal * MILLION)), whole(np.rint(dual * MILLION))
    tell_account(inputs, plans, account, work.held, mix, cent)
    tell_paid(inputs, plans, b, account, work.sold, once, mix, cent, work.room)
    told[NET_BENEFIT] = whole(np.rint((hold - primal) / 1e4 * (np.float64(mix) / np.float64(cent))))
    tell_trades(inputs, plans, b, account, y, cent, mix, work.room, work.factor)
    tell_risk(plans, b, account, work.room, work.factor, AFTER)
    return 0


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
def bound_at_best(b: Batch, account: int, work: Work, rows: int, least: Floats) -> float:
    """Return what bounds the piece that is laid out, at the prices and from the trades of the best one so far."""
    k = b.exposures.shape[1]
    i0, n = b.instrument_at[account], b.instrument_at[account + 1] - b.instrument_at[account]
    base, lots = b.lot_at[i0], b.lot_at[i0 + n] - b.lot_at[i0]
    sold, bought = work.found[rows : rows + lots], work.found[rows + lots : rows + lots + n]
    added_up(b, account, sold, bought, work.room, work.factor)
    over = -b.accounts[account, HINGE_ABOVE]
    for lot in range(lots):
        over += b.lots[HINGED, base + lot] * sold[lot]
    y = work.found[k:rows]
    kept = y[4]
    y[4] = b.accounts[account, HINGE_PRICE] if over > 0.0 else 0.0
    bound = bound_below(b, account, y, work.room, work.factor, work.order, least)
    y[4] = kept
    return bound


@part
def keep_found(b: Batch, account: int, room: Room, tree: Tree, work: Work, rows: int) -> None:
    """Remember the best plan of a piece of the tax, while others are searched."""
    i0, n = b.instrument_at[account], b.instrument_at[account + 1] - b.instrument_at[account]
    lots = b.lot_at[i0 + n] - b.lot_at[i0]
    for r in range(rows):
        work.found[r] = room.prices[Z, r]
    for lot in range(lots):
        work.found[rows + lot] = room.sold[lot]
    for row in range(n):
        at = rows + lots + row
        work.found[at], work.found[at + n], work.found[at + 2 * n] = room.bought[row], tree.wanted[row], tree.net[row]
        work.states[row] = tree.best[row]


@part
def take_found(b: Batch, account: int, room: Room, tree: Tree, work: Work, rows: int) -> None:
    """Go on with the plan that was remembered."""
    i0, n = b.instrument_at[account], b.instrument_at[account + 1] - b.instrument_at[account]
    lots = b.lot_at[i0 + n] - b.lot_at[i0]
    for r in range(rows):
        room.prices[Z, r] = work.found[r]
    for lot in range(lots):
        room.sold[lot] = work.found[rows + lot]
    for row in range(n):
        at = rows + lots + row
        room.bought[row], tree.wanted[row], tree.net[row] = work.found[at], work.found[at + n], work.found[at + 2 * n]
        tree.best[row] = work.states[row]


@part
def tax_beyond(inputs: Inputs, b: Batch, account: int, work: Work, mix: int) -> float:
    """Return what the tax of what is sold is beyond what the lots' prices make it, in basis points."""
    if inputs.piece_at[account + 1] == inputs.piece_at[account]:
        return 0.0
    base = inputs.lot_at[inputs.instrument_at[account]]
    short = long = priced = 0.0
    for lot in range(base, inputs.lot_at[inputs.instrument_at[account + 1]]):
        sold = work.sold[lot - base]
        gain = sold * counted_gain(inputs, b, account, lot)
        priced += sold * b.lots[TAX_PRICE, lot]
        if inputs.lots[CHARACTER, lot] == SHORT:
            short += gain
        else:
            long += gain
    return tax_counted(inputs, account, short, long, mix) - priced


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
