"""Exact integer arithmetic for compiled code: a product over a divisor, though the product has more than 64 bits.

The quotient is first taken in floating point, which is near. What is left then fits 64 bits, and integers that overflow
wrap around, so the wrapped difference is the true one; it corrects the quotient to the last digit.
"""

from collections.abc import Callable
from typing import cast

import numpy as np

from services.decision.domain.compiling import within

# Makes an integer of 64 bits out of a number, and out of a plain constant, which compiled code takes for a type of its
# own: what is passed one would be compiled once more.
whole = cast(Callable[[float], int], np.int64)


@within
def floor_over(a: int, b: int, divisor: int) -> tuple[int, int]:
    """Return floor(a · b / divisor) and the remainder; |a · b| < 2^110, the quotient below 2^51, 1 ≤ divisor ≤ 2e18."""
    quotient = whole(np.floor(np.float64(a) * np.float64(b) / np.float64(divisor)))
    left = whole(a) * whole(b) - quotient * whole(divisor)
    # Three roundings, each of 2^-53, of a quotient below 2^51: one off at most. A division would take longer than both.
    if left < 0:
        quotient, left = quotient - 1, left + divisor
    elif left >= divisor:
        quotient, left = quotient + 1, left - divisor
    return quotient, left


@within
def rounded_over(a: int, b: int, divisor: int) -> int:
    """Return a · b / divisor rounded half-even."""
    quotient, left = floor_over(a, b, divisor)
    if 2 * left > divisor or (2 * left == divisor and quotient % 2 == 1):
        return quotient + 1
    return quotient


@within
def ceiling_over(a: int, b: int, divisor: int) -> int:
    """Return a · b / divisor rounded up."""
    quotient, left = floor_over(a, b, divisor)
    return quotient + 1 if left > 0 else quotient


@within
def rounded_by(a: int, divisor: int) -> int:
    """Return a / divisor rounded half-even."""
    quotient = a // divisor
    left = a - quotient * divisor
    if 2 * left > divisor or (2 * left == divisor and quotient % 2 == 1):
        return quotient + 1
    return quotient
