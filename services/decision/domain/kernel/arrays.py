"""The accounts of a batch, end to end in a few arrays: columns in, columns out.

Few arrays with many rows, because compiled code passes each array as seven values. Weights are fractions; prices,
penalties and taxes are in basis points. Symbols as in `convex`.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.decision.domain.convex import Floats

Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]

# Columns of `Batch.accounts`. RISK is 10⁴ · λ, BAND_PRICE 10⁴ · M, COST_PRICE 10⁴ · ω; HINGE_PRICE is 10⁴ · ρ of the
# tax's hinge, 0 for none, and TAX_CONSTANT 10⁴ · c.
(
    FREE_CASH,
    CASH_FLOOR,
    CASH_CEILING,
    TURNOVER_MAX,
    GAIN_BUDGET,
    BAND_PRICE,
    COST_PRICE,
    RISK,
    HINGE_ABOVE,
    HINGE_PRICE,
    TAX_CONSTANT,
) = range(ACCOUNT_COLUMNS := 11)
# Rows of `Batch.instruments`; VARIANCE is D, IMPACT is ι.
START, TARGET, VARIANCE, BAND, COST, IMPACT, BUY_CAP = range(INSTRUMENT_ROWS := 7)
# Rows of `Batch.lots`; HINGED is η.
CAP, TAX, GAIN, HINGED = range(LOT_ROWS := 4)
# Columns of `Batch.groups`.
LEAST, MOST = range(2)


class Batch(NamedTuple):
    """Accounts one after the other; each one's instruments, and each instrument's lots, are between two offsets.

    Attributes:
        instrument_at: Offset of each account's first instrument, shape (accounts + 1,).
        lot_at: Offset of each instrument's first lot, shape (instruments + 1,).
        group_at: Offset of each account's first group, shape (accounts + 1,).
        member_at: Offset of each group's row in `member`, shape (groups + 1,).
        member: 1 where an instrument of the account belongs to the group.
        accounts: Shape (accounts, 11).
        instruments: Shape (7, instruments).
        lots: Shape (4, lots).
        groups: Shape (groups, 2).
        exposure_at: Row in `exposures` of each instrument, shape (instruments,).
        exposures: F, shape (rows, k): accounts that hold the same instruments share its rows.
    """

    instrument_at: Integers
    lot_at: Integers
    group_at: Integers
    member_at: Integers
    member: Floats
    accounts: Floats
    instruments: Floats
    lots: Floats
    groups: Floats
    exposure_at: Integers
    exposures: Floats


def check_layout(batch: Batch) -> None:
    """See that the arrays have the columns and rows that compiled code reads: it reads on past the end of others.

    Raises:
        ValueError: One has not.
    """
    for name, has, needs in (
        ("columns of accounts", batch.accounts.shape[1], ACCOUNT_COLUMNS),
        ("rows of instruments", len(batch.instruments), INSTRUMENT_ROWS),
        ("rows of lots", len(batch.lots), LOT_ROWS),
        ("lots", batch.lots.shape[1], int(batch.lot_at[-1])),
        ("instruments", batch.instruments.shape[1], int(batch.instrument_at[-1])),
    ):
        if has != needs:
            raise ValueError(f"a batch must have {needs} {name}, had {has}")


class Results(NamedTuple):
    """What is found, in the rows of a batch.

    Attributes:
        prices: ν of the factors, then y of the limits, in basis points, shape (accounts, k + 5 + 2 · most groups).
        bought: Shape (instruments,).
        sold: Shape (lots,).
        duals: Shape (accounts,).
        iterations: Of Newton's method, shape (accounts,).
        optimal: Shape (accounts,).
    """

    prices: Floats
    bought: Floats
    sold: Floats
    duals: Floats
    iterations: Integers
    optimal: Flags
