"""Decides a batch of accounts, one after the other, from columns to columns; all of it is compiled.

The steps are those of `decide`: ask the triggers; solve, searching for directions and minimum trades; round to what a
venue takes; check exactly; compare with doing nothing; certify; explain. An account that this code cannot answer is
marked OTHER_ROAD with the reason, and nothing is said of it. Accounts do not influence each other: the same account
gets the same plan in any batch.
"""

from typing import cast

import numpy as np

from services.decision.domain.batch_certificate import added_up, bound_below
from services.decision.domain.bulk.check import check_plan
from services.decision.domain.bulk.columns import (
    ASKED_BY,
    AVERSION,
    BELOW_MINIMUM,
    BROKEN,
    CHECK_FAILED,
    CONVEX_GAP,
    DUAL,
    HOLD,
    NET_BENEFIT,
    NET_BENEFIT_MIN,
    NO_AVERSION,
    NO_PLAN,
    NODES,
    NOT_REACHED,
    NOT_WORTH_IT,
    OTHER_ROAD,
    OUTCOME,
    PRIMAL,
    PROCEEDS,
    STEPS,
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
from services.decision.domain.bulk.desk import Desk, close_ways, desk_for, sit_down
from services.decision.domain.bulk.exact import whole
from services.decision.domain.bulk.layout import (
    asked_by,
    find_torn,
    lay_out_account,
    lay_out_piece,
    power_of_ten,
    room_for_batch,
    settle_hinge,
    values_of,
)
from services.decision.domain.bulk.pieces import BENDS_MAX, Work, bound_at_best, keep_found, take_found, tax_beyond
from services.decision.domain.bulk.sharing import share_tax
from services.decision.domain.bulk.trading import begin_near, improve, mend
from services.decision.domain.bulk.why import tell_account, tell_limits, tell_paid, tell_risk, tell_trades
from services.decision.domain.bulk.writing import MILLION, commissions, forget_trades, least_trades, stay, write_trades
from services.decision.domain.compiling import compiled, inlined
from services.decision.domain.costs import daily_volatility
from services.decision.domain.kernel.arrays import HINGE_ABOVE, HINGE_PRICE, START, TARGET, TAX_CONSTANT, Batch
from services.decision.domain.kernel.nodes import NONE as STANDS
from services.decision.domain.kernel.nodes import Tree, tree_for
from services.decision.domain.kernel.room import GROUPS, HINGE, Room, Z, room_for
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
# A piece of the tax whose bound is better by less than this, in basis points, is not searched.
PIECE_BPS = 1e-2
# When the tracking error is told.
BEFORE, AFTER = cast(bool, np.bool_(False)), cast(bool, np.bool_(True))


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
        np.zeros((7, instruments)),
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
