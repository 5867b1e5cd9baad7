"""Exact integer arithmetic for compiled code: a product over a divisor, though the product has more than 64 bits.

The quotient is first taken in floating point, which is near. What is left then fits 64 bits, and integers that overflow
wrap around, so the wrapped difference is the true one; it corrects the quotient to the last digit.
"""

import numpy as np

from services.decision.domain.kernel.newton import part

# Products are below this, in magnitude: the float quotient is then near enough. Divisors are at most `DIVISOR_MAX`.
PRODUCT_MAX = 2.0**110
DIVISOR_MAX = 2 * 10**18


@part
def floor_over(a: int, b: int, divisor: int) -> tuple[int, int]:
    """Return floor(a · b / divisor) and the remainder; |a · b| < 2^110, the quotient below 2^51, 1 ≤ divisor ≤ 2e18."""
    quotient = np.int64(np.floor(np.float64(a) * np.float64(b) / np.float64(divisor)))
    left = np.int64(a) * np.int64(b) - quotient * np.int64(divisor)
    more = left // divisor
    return quotient + more, left - more * divisor


@part
def rounded_over(a: int, b: int, divisor: int) -> int:
    """Return a · b / divisor rounded half-even."""
    quotient, left = floor_over(a, b, divisor)
    if 2 * left > divisor or (2 * left == divisor and quotient % 2 == 1):
        return quotient + 1
    return quotient


@part
def ceiling_over(a: int, b: int, divisor: int) -> int:
    """Return a · b / divisor rounded up."""
    quotient, left = floor_over(a, b, divisor)
    return quotient + 1 if left > 0 else quotient


@part
def rounded_by(a: int, divisor: int) -> int:
    """Return a / divisor rounded half-even."""
    quotient = a // divisor
    left = a - quotient * divisor
    if 2 * left > divisor or (2 * left == divisor and quotient % 2 == 1):
        return quotient + 1
    return quotient
