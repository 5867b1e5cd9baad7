"""Amounts and units in whole numbers, compiled: what every other file of this package that is compiled is made of.

Money is in cents and units in millionths, both in 64 bits; days are ordinals as `date.toordinal` counts; rates are in
ten-thousandths. A product of money and units does not fit, its quotient does: it is guessed in floating point, and the
guess is corrected by its remainder, which wraps around to the right number.
"""

from typing import TypeAlias

import numba
import numpy as np
from numpy.typing import NDArray

Ints: TypeAlias = NDArray[np.int64]
Flags: TypeAlias = NDArray[np.bool_]

compiled = numba.njit(cache=True, nogil=True)

# Units of a column are in steps of a millionth.
UNIT_SCALE = 6
UNIT = 10**UNIT_SCALE
# Units and price are in millionths, and a cent is a hundredth.
VALUE_STEP = UNIT * UNIT // 100
_PER_CENT = 1.0 / VALUE_STEP
# Rates travel in ten-thousandths, so that a tax before rounding is in ten-thousandths of a cent.
RATE_SCALE = 10_000


@compiled
def _half_to_even(quotient: int, rest: int, of: int) -> int:
    """Return `quotient` + `rest` / `of` as a whole number, half to even; `rest` is from 0 to below `of`."""
    twice = 2 * rest
    if twice > of or (twice == of and quotient % 2 != 0):
        return quotient + 1
    return quotient


@compiled
def share(amount: int, units: int, of: int) -> int:
    """Return `amount` · `units` / `of` half to even: what `units` bear of an amount that belongs to `of` units.

    Exact while the result is below 2 ** 52 and `of` below 2 ** 61.
    """
    if units == of:
        return amount
    quotient = int(float(amount) * (float(units) / float(of)))
    # Both products wrap around in 64 bits; their difference is small and so is right.
    rest = amount * units - quotient * of
    while rest < 0:
        quotient -= 1
        rest += of
    while rest >= of:
        quotient += 1
        rest -= of
    return _half_to_even(quotient, rest, of)


@compiled
def value(units: int, price: int) -> int:
    """Return what `units` are worth in cents, half to even; `price` is of one unit in millionths of the currency.

    Exact while the result is below 2 ** 52.
    """
    quotient = int(float(units) * float(price) * _PER_CENT)
    rest = units * price - quotient * VALUE_STEP
    if rest < 0:
        quotient -= 1
        rest += VALUE_STEP
    elif rest >= VALUE_STEP:
        quotient += 1
        rest -= VALUE_STEP
    return _half_to_even(quotient, rest, VALUE_STEP)


@compiled
def rounded(amount: int, step: int) -> int:
    """Return `amount` / `step` as a whole number, half to even."""
    return _half_to_even(amount // step, amount % step, step)
