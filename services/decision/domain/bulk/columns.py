"""Columns of a batch of accounts, as they come in and as plans go out.

Everything exact is a 64-bit integer with a stated scale. An account has two scales of its own: quantities are integers
times 10^−QUANTITY_SCALE, amounts of money integers times 10^−VALUE_SCALE, prices 10^−(VALUE_SCALE − QUANTITY_SCALE), so
that quantity times price is an amount. Scales are the account's and not the batch's, so that its plan does not depend
on which other accounts it is decided with. What trades cost and bring is in cents.

Accounts are end to end, instruments in the order of their ids, lots in the order of theirs, as in `kernel.arrays`.
"""

from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from services.decision.domain.convex import Floats

Integers = NDArray[np.int64]

# Weights are integers times 10^−12, rates times 10^−9, basis points times 10^−6. They are numpy's, because compiled
# code takes a plain constant for a type of its own, and compiles what it is passed to once more.
WEIGHT_ONE = cast(int, np.int64(10**12))
RATE_ONE = cast(int, np.int64(10**9))
BPS_ONE = cast(int, np.int64(10**6))
# Stands for "no limit".
NONE = -1

# Columns of `Inputs.accounts`. BUDGET_LEFT is the net gain that may still be realized; FLOOR is in currency, the larger
# of it and FLOOR_WEIGHT holds. ASKED is 1 when a person, or the calendar, asks.
(
    QUANTITY_SCALE,
    VALUE_SCALE,
    BASIS_SCALE,
    MONEY,
    FLOOR,
    FLOOR_WEIGHT,
    CEILING_WEIGHT,
    WITHDRAWAL,
    FLOW,
    TURNOVER_LIMIT,
    BUDGET_LEFT,
    NET_BENEFIT_MIN,
    ASKED,
    TAXABLE,
) = range(14)
# Columns of `Inputs.objectives`, as fractions, not basis points.
AVERSION, EXCESS_PRICE, COST_WEIGHT, TAX_WEIGHT, CREDIT_WEIGHT, IMPACT_COEFFICIENT = range(6)
# Rows of `Inputs.instruments`. IDENTICAL is the row, within the account, of the first that is identical. COMMISSION is
# in cents, once for every trade; COMMISSION_BPS of the traded value.
(
    PRICE,
    INCREMENT,
    AIM,
    DESTINATION,
    OUTER,
    SPREAD_BPS,
    COMMISSION_BPS,
    COMMISSION,
    MINIMUM,
    AWAY,
    WEIGHT_MAX,
    IDENTICAL,
    NO_BUY,
    NO_SELL,
    RISK_ROW,
) = range(15)
# Columns of `Inputs.pieces`: a convex function that the tax is nowhere above, of net gains in currency: its slopes, its
# constant, and a hinge (see `tax.liability`), of rate 0 for none. The least of an account's pieces is the tax.
OF_SHORT, OF_LONG, CONSTANT, BENT_BY, HINGE_SHORT, HINGE_LONG, ABOVE = range(7)
# Rows of `Inputs.lots`. CHARACTER is 0 exempt, 1 short, 2 long; KEPT is 1 when it may not be sold.
QUANTITY, BASIS, RATE, CHARACTER, KEPT = range(5)
EXEMPT, SHORT, LONG = range(3)


class Inputs(NamedTuple):
    """What accounts are decided on.

    Attributes:
        instrument_at: Offset of each account's first instrument, shape (accounts + 1,).
        lot_at: Offset of each instrument's first lot, shape (instruments + 1,).
        group_at: Offset of each account's first group, shape (accounts + 1,).
        member_at: Offset of each group's row in `member`, shape (groups + 1,).
        member: 1 where an instrument of the account belongs to the group.
        groups: Least and most weight, shape (groups, 2).
        accounts: Shape (accounts, 14).
        objectives: Shape (accounts, 6).
        instruments: Shape (15, instruments).
        daily_value: Traded in the market a day, in currency; 0 where it is not known, shape (instruments,).
        lots: Shape (5, lots).
        piece_at: Offset of each account's first piece of the tax, shape (accounts + 1,); without any each lot is
            taxed at its own rate.
        pieces: Shape (pieces, 7).
        exposures: F of the risk model, shape (rows, k).
        specific_variance: D, shape (rows,).
    """

    instrument_at: Integers
    lot_at: Integers
    group_at: Integers
    member_at: Integers
    member: Floats
    groups: Integers
    accounts: Integers
    objectives: Floats
    instruments: Integers
    daily_value: Floats
    lots: Integers
    piece_at: Integers
    pieces: Floats
    exposures: Floats
    specific_variance: Floats


# What became of an account. OTHER_ROAD: this code does not answer it; `WHY` says why.
UNDECIDED, TRADE, NO_TRADE, OTHER_ROAD = range(4)
# Why nothing is traded.
WITHIN_BANDS, NOT_WORTH_IT, BELOW_MINIMUM = range(1, 4)
# Why this code does not answer: numbers too large for its integers; no optimum reached; no aversion to risk, so that
# the optimum is not unique; no plan found that keeps every limit; a plan that fails the exact check; one that breaks a
# limit which this code does not know.
TOO_LARGE, NOT_REACHED, NO_AVERSION, NO_PLAN, CHECK_FAILED, LIMIT_UNKNOWN = range(11, 17)
# Bits of `ASKED_BY`.
BY_DRIFT, BY_FLOOR, BY_CEILING, BY_FLOW, BY_REQUEST = 1, 2, 4, 8, 16

# Columns of `Plans.accounts`: what became of it and why; bits of what asks; bits of what the check found; nodes that
# were searched; the certificate in millionths of a basis point; then money in cents and weights in millionths; prices
# of limits in millionths; then the parts of the objective, before and after, and what the search
# could not prove, in millionths of a basis point.
(
    OUTCOME,
    WHY,
    ASKED_BY,
    BROKEN,
    NODES,
    PRIMAL,
    DUAL,
    HOLD,
    CONVEX_GAP,
    MIX_VALUE,
    DRIFT_BEFORE,
    DRIFT_AFTER,
    DRIFT_MAX_BEFORE,
    DRIFT_MAX_AFTER,
    ERROR_BEFORE,
    ERROR_AFTER,
    CASH_BEFORE,
    CASH_AFTER,
    BOUGHT,
    SOLD,
    TURNOVER,
    COST,
    GAIN_SHORT,
    GAIN_LONG,
    TAX_REALIZED,
    TAX_SAVED,
    NET_BENEFIT,
    FLOOR_PRICE,
    TURNOVER_PRICE,
    BUDGET_PRICE,
    DEVIATION_BEFORE,
    OUTSIDE_BEFORE,
    IDLE_BEFORE,
    DEVIATION_AFTER,
    OUTSIDE_AFTER,
    IDLE_AFTER,
    COST_AFTER,
    TAX_AFTER,
    UNPROVEN,
) = range(39)
# Rows of `Plans.instruments`: a trade in increments, positive buys; money in cents; weights in millionths; BENEFIT, NET
# in cents; RISK in hundredths of a basis point; the limit that requires it; what buying or selling one more is worth.
(
    STEPS,
    VALUE,
    SPREAD,
    PAID_COMMISSION,
    IMPACT,
    TAX,
    GAIN,
    WEIGHT_BEFORE,
    WEIGHT_AFTER,
    BENEFIT,
    NET,
    RISK,
    REQUIRED_BY,
    BUY_WORTH,
    SELL_WORTH,
) = range(15)
# Values of REQUIRED_BY.
NOTHING, BY_CASH_FLOOR, BY_GAIN_BUDGET, BY_GROUP_MAX, BY_GROUP_MIN = range(5)
# Rows of `Plans.lots`: what is sold out of each lot; money in cents.
SOLD_QUANTITY, PROCEEDS, SOLD_BASIS, LOT_GAIN, LOT_TAX = range(5)


class Plans(NamedTuple):
    """What accounts should trade, how good that provably is, and why.

    Attributes:
        accounts: Shape (accounts, 39).
        instruments: Shape (15, instruments).
        lots: Shape (5, lots).
        groups: Price of the least and of the most, in millionths, shape (groups, 2).
    """

    accounts: Integers
    instruments: Integers
    lots: Integers
    groups: Integers


def room_for_plans(inputs: Inputs) -> Plans:
    """Return empty plans for accounts."""
    return Plans(
        np.zeros((len(inputs.accounts), 39), dtype=np.int64),
        np.zeros((15, inputs.instruments.shape[1]), dtype=np.int64),
        np.zeros((5, inputs.lots.shape[1]), dtype=np.int64),
        np.zeros((len(inputs.groups), 2), dtype=np.int64),
    )
